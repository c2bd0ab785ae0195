/* SPDX-License-Identifier: Apache-2.0 */
/* top_feed.h - asks a gateway for its status again and again, and waits for nothing. */
#pragma once

#include "tools/status.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct top_feed;

/* What it says. */
struct top_feed_ear {
	/* A status, which the ear takes over. */
	void (*on_status)(void *data, cJSON *status);
	/* Why there is none: told each time that one should have been there. */
	void (*on_trouble)(void *data, const char *why);
	void *data;
};

/*
 * Asks each `interval_us`, and looks each second for a gateway where there is none. The place
 * must outlive it. 0 or -errno.
 */
int top_feed_new(sd_event *loop, const struct status_place *place, uint64_t interval_us,
		 const struct top_feed_ear *ear, struct top_feed **feed) _must_check_;
void top_feed_free(struct top_feed *feed);
DEFINE_CLEANUP(struct top_feed *, top_feed_free)
