/* SPDX-License-Identifier: Apache-2.0 */
/* turn.h - sends, and turns an RS-485 line round by RTS where nobody else does. */
#pragma once

#include "field/port.h"

#include <systemd/sd-event.h>

struct turn;

/*
 * On a port that stays the caller's, and must outlive it as the configuration must. Where its
 * RS-485 mode is rts, RTS is on from `before` ahead of the first bit until `after` behind the
 * last. 0 or -errno.
 */
int turn_new(sd_event *loop, const struct bus_config *config, struct port *port,
	     struct turn **turn) _must_check_;
void turn_free(struct turn *turn);
DEFINE_CLEANUP(struct turn *, turn_free)

/*
 * Sends the bytes, which have to stay as they are until *end_us (CLOCK_MONOTONIC), when the
 * last of them is on the wire. Nothing else may be under way. 0 or -errno.
 */
int turn_send(struct turn *turn, const uint8_t *bytes, size_t n, uint64_t *end_us) _must_check_;
