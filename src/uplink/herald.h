/* SPDX-License-Identifier: Apache-2.0 */
/* herald.h - when Home Assistant is told: of what is offered, and again where it has to be. */
#pragma once

#include "bridge/catalog.h"
#include "uplink/session.h"

/*
 *     what is offered ─▶ · its birth message ─▶ · a broker that lost our session ─▶ told
 *
 * What and how is the discoverer's business.
 */
struct herald;

/*
 * What was told is kept in `directory`. Session and spool must outlive it, but for
 * herald_free(). 0 or -ENOMEM.
 */
int herald_new(struct session *session, struct spool *spool, const char *directory,
	       struct herald **herald) _must_check_;
void herald_free(struct herald *herald);
DEFINE_CLEANUP(struct herald *, herald_free)

/* This is what there is from now on; takes the catalog over. */
void herald_offer(struct herald *herald, struct catalog *catalog);

/* Once a turn of the uplink, before session_feed(); true when there is more to do at once. */
bool herald_turn(struct herald *herald, uint64_t now_us);
