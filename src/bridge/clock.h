/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - what time it is, and which boot of the machine this is. */
#pragma once

#include "bridge/message.h"

enum { BOOT_ID_SIZE = 16 };

/* Stamps a message with both clocks and whether the kernel calls the wall clock right. */
void clock_stamp(struct message *message);

/*
 * The wall-clock time that a message's payload is to say, in milliseconds since 1970, as
 * best known now: for a message of this boot the time since it was read is taken off the
 * clock as it is now, so that a clock set right in between sets the message right.
 */
int64_t clock_message_ms(const struct message *message);

/* Identity of this boot; zeros where the kernel tells none. */
void clock_boot_id(uint8_t id[BOOT_ID_SIZE]);

/* CLOCK_MONOTONIC in microseconds, which sd-event's timers count in; CLOCK_REALTIME in ms. */
uint64_t clock_monotonic_us(void);
int64_t clock_wall_ms(void);
