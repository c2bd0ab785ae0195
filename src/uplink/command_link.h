/* SPDX-License-Identifier: Apache-2.0 */
/* command_link.h - since when the broker may have held what comes in. */
#pragma once

#include "uplink/command_age.h"
#include "uplink/session.h"

/*
 * A message says nothing of when it was sent. What comes right after the link is up may have
 * waited as long as there was none; what comes later is new:
 *
 *     link ────────┤ lost              up ├──┬──┬──┬──── · · ────┬─────▶
 *                  └──── outage ──────────┘  each may be as      new
 *                                            old as that
 *
 * When it was lost is in the journal, since a process may end in between. One that is killed
 * says nothing: it was there at least as long as the last message that it took in.
 */
struct command_link {
	uint32_t boot;       /* of the machine */
	uint32_t session;    /* the broker's sessions so far: identifiers are of one each */
	uint32_t number;     /* links so far, of this process */
	bool is_up;
	uint64_t changed_us; /* as struct session_state's `since_us` */
	uint64_t lost_us;    /* CLOCK_BOOTTIME; AGE_UNKNOWN */
	uint64_t outage_us;  /* before this link; AGE_UNKNOWN */
	uint64_t old_until_us, old_most_us; /* CLOCK_MONOTONIC: what comes by then may be old */
};

void command_link_load(struct command_link *link, const struct spool *spool);

/*
 * What became of the link is noted: to be called before anything that came by it is looked at,
 * and when it may have been lost. 0 or -errno of spool_note().
 */
int command_link_follow(struct command_link *link, const struct session_state *state,
			struct spool *spool) _must_check_;

/* How long a message that comes in now may have waited at the broker; AGE_UNKNOWN. */
uint64_t command_link_waited_us(struct command_link *link);
