/* SPDX-License-Identifier: Apache-2.0 */
/* figures.h - all that is counted in a gateway, at one moment. */
#pragma once

#include "report.h"

struct figures_device {
	const char *bus, *name; /* of `names` */
	bool online;
	uint64_t silent_us; /* since its last answer, where counters.answers */
	struct counters counters;
};

struct figures_bus {
	struct bus_stats stats; /* its texts: name of `names`, the others NULL */
};

struct figures {
	char gateway[NAME_MAX_LENGTH + 1];
	int64_t now_ms; /* the wall clock */
	uint64_t uptime_us, link_us; /* since the start; that the link has been up, or down */
	bool clock_synced;
	uint64_t spool_max_bytes;
	struct uplink_state uplink;
	struct figures_bus *buses;
	size_t bus_count;
	struct figures_device *devices; /* in the order of their buses */
	size_t device_count;
	char *names;
};

/*
 * Takes them of a gateway that began at `begun_us` (CLOCK_MONOTONIC), on the field side's
 * thread; it is a copy that may go to others. 0 or -ENOMEM.
 */
int figures_take(const struct report_subject *subject, uint64_t begun_us,
		 struct figures **figures) _must_check_;
void figures_free(struct figures *figures);
DEFINE_CLEANUP(struct figures *, figures_free)
