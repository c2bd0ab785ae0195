/* SPDX-License-Identifier: Apache-2.0 */
/* bus_state.h - what the files of a bus share: its state, and what becomes of its requests. */
#pragma once

#include "base/log.h"
#include "config/conf.h"
#include "field/bulletin.h"
#include "field/bus.h"
#include "field/opener.h"
#include "field/schedule.h"
#include "field/wire.h"
#include "field/writer.h"

struct bus {
	sd_event *loop;
	const struct bus_config *config;
	const struct conf *conf;
	mapping_sink *sink;
	void *sink_data;
	struct device *devices;
	struct schedule schedule;
	struct opener *opener;
	struct wire *wire; /* NULL: the port is not there */
	struct bulletin *bulletin;
	sd_event_source *timer;
	struct writer *writer;
	struct device *device; /* the one that is asked */
	uint64_t asked_us;     /* since then */
	bool writing;          /* for a command */
	bool reads_next;       /* a command had its turn */
	uint64_t lost; /* times that the port was */

	bool leaving;      /* nothing more is asked */
	bus_left *left;    /* NULL: nobody is to be told */
	void *left_data;
};

/* What a line of the log is about; `device` may be NULL. */
struct log_subject bus_subject(const struct bus *bus, const struct device *device);

/* Publishes what the device's poll has read. */
void bus_publish(struct bus *bus, struct device *device, uint64_t now_us);

/*
 * What became of the request that is out, which read, or wrote or read for a command: it is
 * done, or to be asked again.
 */
void bus_settle(struct bus *bus, const struct wire_outcome *outcome);
