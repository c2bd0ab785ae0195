/* SPDX-License-Identifier: Apache-2.0 */
/* told.h - what Home Assistant was told of, as it is kept on the disk. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The file `discovery` in the spool's directory, a line for each topic that has a payload:
 *
 *     postbus discovery 1
 *     pending 18231 12 45        the last message of those that told it, how many messages the
 *                                spool had given up until then, and of how many entities they
 *                                tell; not there once they have left the spool
 *     5d4d8b3f6a1c9e07 homeassistant/sensor/barn/meter-1-voltage/config
 */
struct told_entry {
	uint64_t hash; /* of the payload */
	char *topic;
};

struct told {
	struct told_entry *entries;
	size_t count, room;
	struct pending {
		uint64_t seq, given_up, count;
	} pending; /* seq 0: nothing is */
};

void told_done(struct told *told);

/* Adds an entry, with a copy of the topic. 0 or -ENOMEM. */
int told_add(struct told *told, const char *topic, uint64_t hash) _must_check_;
/* Sorts by topic, as told_find() needs it. */
void told_sort(struct told *told);
struct told_entry *told_find(const struct told *told, const char *topic);

/* Reads such a text; lines that are none are passed over. Sorted. 0 or -ENOMEM. */
int told_parse(const char *bytes, size_t n, struct told *told) _must_check_;

/* Without a file nothing was told. 0 or -errno; told_done() in either case. */
int told_load(const char *directory, struct told *told) _must_check_;
/* Replaces the file as a whole, or takes it away where nothing is told. 0 or -errno. */
int told_save(const char *directory, const struct told *told) _must_check_;
