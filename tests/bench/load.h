/* SPDX-License-Identifier: Apache-2.0 */
/* load.h - a gateway's load on a store, at the pace of its sensors, for as long as it runs. */
#pragma once

#include "store.h"

struct load {
	const struct store *store; /* NULL: the spool, as the uplink uses it */
	bool online;               /* the link is up: what is taken in is acknowledged at once */
	unsigned rate;             /* records a second */
	uint64_t age_bytes;        /* the store held and lost as much before */
};

/* Shared memory. */
struct load_state {
	volatile bool ready, failed;
	volatile uint64_t records;
};

/* Runs until it is killed, or -errno. */
int load_run(const struct load *load, const char *directory, struct load_state *state);
