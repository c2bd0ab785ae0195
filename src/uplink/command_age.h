/* SPDX-License-Identifier: Apache-2.0 */
/* command_age.h - until when a command may begin: a relay must not click because of last week. */
#pragma once

#include "uplink/command_book.h"

/* Nobody knows how long. */
#define AGE_UNKNOWN UINT64_MAX

/*
 * What there is to go by. A message says itself until when it holds, by a time (`expires`) or
 * by MQTT 5's expiry interval, which the broker counts down; the earlier one counts. One that
 * says neither holds for max_us from when it was sent, and may have been sent as long ago as
 * the broker may have held it for us.
 */
struct command_age {
	bool has_expires, has_expiry;
	uint64_t expires_ms; /* wall clock */
	uint64_t expiry_us;
	uint64_t waited_us; /* at most; AGE_UNKNOWN */
	uint64_t max_us;
};

/*
 * Sets until when the command may begin, from now on; `boot` is this boot of the machine.
 * NULL, or why it is too late already, or can't be told: a constant text.
 */
const char *command_set_age(struct command_entry *entry, const struct command_age *age,
			    uint32_t boot);

/* NULL, or why it is too late for it to begin now: a constant text. */
const char *command_too_late(const struct command_entry *entry, uint32_t boot);
