/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - what time it is, and which boot of the machine this is. */
#pragma once

#include "bridge/message.h"

enum { BOOT_ID_SIZE = 16 };

/* Stamps a message with both clocks and whether the wall clock is right. */
void clock_stamp(struct message *message);

/*
 * Whether the wall clock is right: the kernel says so (adjtimex), or, where it may not be
 * asked, clock_note_synced() did; or systemd-timesyncd has set it in this boot.
 */
bool clock_is_synced(void);
/* Whether the kernel may be asked. */
bool clock_can_be_asked(void);
/* What somebody else says who may ask it. Of any thread. */
void clock_note_synced(bool synced);

/* Identity of this boot; zeros where the kernel tells none. */
void clock_boot_id(uint8_t id[BOOT_ID_SIZE]);

/*
 * CLOCK_MONOTONIC, which sd-event's timers count in, and CLOCK_BOOTTIME, which also counts
 * while the machine sleeps, in microseconds; CLOCK_REALTIME.
 */
uint64_t clock_monotonic_us(void);
uint64_t clock_boottime_us(void);
uint64_t clock_wall_us(void);
int64_t clock_wall_ms(void);
