/* SPDX-License-Identifier: Apache-2.0 */
/* uplink.h - the thread that owns the disk and the link. */
#pragma once

#include "bridge/catalog.h"
#include "bridge/queue.h"
#include "config/conf.h"
#include "uplink/commands.h"

struct uplink;

/*
 * Opens the spool and starts the thread, which takes messages from `queue` and hands commands
 * to the field side by `ring`, which must outlive it. It shares conf; the table becomes its own,
 * also on failure. 0 or -errno, logged: the spool can't be opened, -EBUSY: another gateway has
 * it.
 */
struct uplink_setup {
	struct conf *conf;
	struct queue *queue;
	struct command_ring *ring;
	struct settable *settable;
};
int uplink_start(const struct uplink_setup *setup, struct uplink **uplink) _must_check_;

/*
 * Stops it: what is in the queue is spooled, what is in flight has a moment to be
 * acknowledged, the broker is told, the spool is synced and closed. Returns true when a
 * helper thread still waits for a name server: the process is then to end by _exit().
 */
bool uplink_stop(struct uplink *uplink);

/*
 * What there is to read, to be told to those who look for it (publish.discovery); the uplink's
 * from now on. Of any thread.
 */
void uplink_offer(struct uplink *uplink, struct catalog *catalog);

/*
 * Has it go on with other settings, which it shares, as soon as it can; those that can't change
 * while it runs are to be the same. Where they are of the link, that is made anew once what is
 * in flight had a moment to be acknowledged.
 */
void uplink_change(struct uplink *uplink, struct conf *conf);

/*
 * What can be set from now on: the table takes the place of the one there was, within a second,
 * and becomes the uplink's. Of any thread.
 */
void uplink_set(struct uplink *uplink, struct settable *settable);

/* Turns so far; grows at least once a second while the thread makes progress. */
uint64_t uplink_turns(const struct uplink *uplink);

/* How it stands, as of the last second. */
struct uplink_state {
	char link[512]; /* in words */
	struct session_state session;
	struct spool_sums sums;
	struct spool_state spool;
	struct command_counts commands;
	uint64_t next_seq; /* the number that the next message gets */
};
void uplink_describe(struct uplink *uplink, struct uplink_state *state);
