/* SPDX-License-Identifier: Apache-2.0 */
/* bulletin.h - the state of a bus, published again and again. */
#pragma once

#include "config/conf.h"
#include "bridge/mapping.h"
#include "field/stats.h"

#include <systemd/sd-event.h>

struct bulletin;

struct bulletin_subject {
	const char *bus; /* its name */
	const struct conf *conf;
	struct bus_stats (*stats)(const void *data); /* as they are now */
	const void *data;                            /* of stats */
	mapping_sink *sink;
	void *sink_data;
};

/*
 * Publishes the bus's state, retained, on {gateway}/status/bus/{bus}, soon after the start and
 * then each minute. What the subject points to must outlive it. 0 or -errno.
 */
int bulletin_new(sd_event *loop, const struct bulletin_subject *subject,
		 struct bulletin **bulletin) _must_check_;
void bulletin_free(struct bulletin *bulletin);
DEFINE_CLEANUP(struct bulletin *, bulletin_free)
