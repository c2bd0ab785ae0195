/* SPDX-License-Identifier: Apache-2.0 */
/* device.h - one device of a bus while it runs: what is due, what was read, how it fares. */
#pragma once

#include "bridge/mapping.h"
#include "field/driver.h"

enum device_state {
	DEVICE_UNKNOWN, /* never heard of since the start */
	DEVICE_ONLINE,
	DEVICE_OFFLINE, /* asked less and less often */
};

struct device {
	const struct device_config *config;
	const struct driver *driver;
	char *topic, *availability_topic;
	uint64_t *due_us;      /* of each point, CLOCK_MONOTONIC */
	bool *alone;           /* a point that must not share a request */
	struct value *last;    /* of each point, as published */
	uint64_t *last_us;     /* when; 0: never */
	enum device_state state;
	unsigned failures;     /* polls without an answer, since the last good one */
	uint64_t backoff_us;   /* not asked before */

	/* the poll that runs */
	uint16_t *points;      /* due, as planned */
	struct request *requests;
	size_t request_count, request_index;
	struct reading *readings;
	size_t reading_count;
};

/* 0 or -ENOMEM; on failure device_done() frees what there is. */
int device_init(struct device *device, const struct device_config *config, const char *bus,
		const struct conf *conf, uint64_t now_us) _must_check_;
void device_done(struct device *device);

/* When the device is to be polled next. */
uint64_t device_due_us(const struct device *device);

/* Plans the requests for the points that are due; how many. */
size_t device_plan(struct device *device, uint64_t now_us);

/* Takes a request's whole reply to pieces, into the readings. */
void device_take(struct device *device, const struct request *request,
		 const struct reply *reply);

/* Sets the points of the poll due again, a period on, leaving out what was missed. */
void device_reschedule(struct device *device, uint64_t now_us);

/*
 * Publishes what the poll read, less what has not changed enough (deadband), or all points
 * where the device is configured so. Returns what mapping_publish() does, or 0.
 */
int device_publish(struct device *device, const struct publish_conf *publish, uint64_t now_us,
		   mapping_sink *sink, void *data);

/* The device answered, or did not: true when that changed its state. */
bool device_answered(struct device *device);
bool device_failed(struct device *device, uint64_t now_us);

/* Publishes the state on the availability topic, retained. */
void device_announce(const struct device *device, const struct publish_conf *publish,
		     mapping_sink *sink, void *data);
