/* SPDX-License-Identifier: Apache-2.0 */
/* bus.h - one port and what hangs on it: what is due, one request on the wire at a time. */
#pragma once

#include "bridge/mapping.h"
#include "field/driver.h"

#include <systemd/sd-event.h>

struct bus;

/*
 * A bus that polls as soon as `loop` runs, and gives its messages to `sink`. A port that is
 * missing is waited for. The configuration must outlive it. 0 or -errno.
 */
int bus_new(sd_event *loop, const struct bus_config *config, const struct conf *conf,
	    mapping_sink *sink, void *data, struct bus **bus) _must_check_;
void bus_free(struct bus *bus);
DEFINE_CLEANUP(struct bus *, bus_free)

struct bus_stats {
	uint64_t requests, answers, timeouts;
	uint64_t refused[REPLY_STATUS_COUNT]; /* by what was wrong with the answer */
	size_t devices, offline;
	bool open;
};

struct bus_stats bus_stats(const struct bus *bus);
