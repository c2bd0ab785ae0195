/* SPDX-License-Identifier: Apache-2.0 */
/* device.h - one device of a bus while it runs: what is due, what was read, how it fares. */
#pragma once

#include "bridge/mapping.h"
#include "field/driver.h"
#include "field/split.h"
#include "field/stats.h"

/*
 * Two clocks: `now_us` is CLOCK_MONOTONIC; `time_us` is the bus's, by which points are due.
 * It stands still while more is due than the wire carries (schedule.h).
 */

enum device_state {
	DEVICE_UNKNOWN, /* never heard of since the start */
	DEVICE_ONLINE,
	DEVICE_OFFLINE, /* asked less and less often */
};

/* What was last published of a point and last read, when, and how often in vain since. */
struct last {
	struct value value, read;
	uint64_t published_us, read_us; /* CLOCK_MONOTONIC; 0: never */
	unsigned misses;
};

struct device {
	const struct device_config *config;
	const struct driver *driver;
	char *topic, *availability_topic;

	uint64_t *due_us;     /* of each point; UINT64_MAX: it is never read */
	uint64_t next_due_us; /* the first of them */
	bool *hurried;        /* each point that is to be read soon, however seldom it is else */
	uint64_t rest_us;     /* CLOCK_MONOTONIC: not asked before */
	struct split split;

	/* the request that is under way, repeated until it is answered or given up */
	bool asking;
	struct request request;
	uint16_t *points;     /* that were due when it was chosen: its slice is of these */
	uint64_t deadline_us;
	unsigned attempts;
	uint64_t vain_us;     /* of the bus's time, that attempts without an answer took */
	unsigned owed;        /* answers that may come yet: attempts that nothing came back for */

	/* the poll: all that was due at one time */
	bool polling;
	uint64_t poll_us;       /* that time */
	uint64_t poll_begun_us; /* CLOCK_MONOTONIC */
	struct reading *readings;
	size_t reading_count;
	struct last *last; /* of each point */

	/* what commands have to heed */
	uint64_t quiet_us;     /* CLOCK_MONOTONIC: an answer nobody waits for may come until then */
	double allowance;      /* commands that it takes at once, at that time (errand.h) */
	uint64_t allowance_us;

	enum device_state state;
	unsigned failures; /* requests that were given up, since the last answer */
	unsigned busy;     /* times in a row that it asked to be asked later */
	bool set_up;       /* it was told its map's `setup:`, as far as is known */
	bool excepted;     /* it said that something is wrong with it: told once */
	uint64_t answered_us;
	struct counters counters;
};

/* 0 or -errno; on failure device_done() frees what there is. */
int device_init(struct device *device, const struct device_config *config, const char *bus,
		const struct conf *conf, uint64_t now_us) _must_check_;
void device_done(struct device *device);

/* When the most urgent of the points that are due has to be read by; UINT64_MAX: none is. */
uint64_t device_deadline_us(const struct device *device, uint64_t time_us);

/*
 * Chooses the request that the most urgent of the due points is read with, together with as
 * many others as fit. `room` is for as many requests as the device has points. True when a
 * poll begins with it: what was read before is then to be published first.
 */
bool device_choose(struct device *device, uint64_t time_us, struct request *room);
/* The next poll begins: nothing is read yet. */
void device_begin(struct device *device, uint64_t now_us, uint64_t time_us);

/* Takes the reply to the request to pieces, into the readings. */
void device_take(struct device *device, const struct reply *reply, uint64_t now_us);

/* Adds a reading to those of this poll. */
void device_note(struct device *device, const struct reading *reading, uint64_t now_us);

/*
 * The request is done with: its points are due again a period on, at the earliest after
 * `least_us`. True when nothing of the poll is left to be asked.
 */
bool device_settle(struct device *device, uint64_t time_us, uint64_t least_us);

/* The same where it was refused: it will be asked in parts, or a single point hardly ever. */
bool device_refuse(struct device *device, uint64_t time_us);

/* The point is read as soon as may be, since it may have changed. */
void device_hurry(struct device *device, size_t point, uint64_t time_us);

/* An answer that nobody waits for any more may come until then (CLOCK_MONOTONIC). */
void device_expect_late(struct device *device, uint64_t until_us);

/* Nothing is asked of the device for so long. */
void device_rest(struct device *device, uint64_t now_us, uint64_t time_us, uint64_t wait_us);

/* The device answered; true when that changed its state. Back from offline, all is due. */
bool device_answered(struct device *device, uint64_t now_us, uint64_t time_us);

/*
 * An attempt was in vain, and took the bus `vain_us`. True when the same is to be asked again:
 * at once, but those go first who are late because of it. A device that failed before is not
 * asked twice.
 */
bool device_missed(struct device *device, unsigned retries, uint64_t time_us,
		   uint64_t vain_us);

/*
 * The request is given up. The device rests, the longer the more of the bus's time was spent
 * in vain. True when that changed its state.
 */
bool device_failed(struct device *device, uint64_t now_us, uint64_t time_us);

/*
 * Publishes what the poll read, less what has not changed enough (deadband), or all points
 * where the device is configured so. Returns what mapping_publish() does, or 0.
 */
int device_publish(struct device *device, const struct publish_conf *publish, uint64_t now_us,
		   mapping_sink *sink, void *data);

/* Whether a point that was read before was not for several of its periods. */
bool device_is_stale(const struct device *device, size_t point, uint64_t now_us);

/* Publishes the state on the availability topic, retained. */
void device_announce(const struct device *device, const struct publish_conf *publish,
		     mapping_sink *sink, void *data);

struct device_stats device_stats(const struct device *device, uint64_t now_us);
