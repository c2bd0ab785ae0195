/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.h - which device of a bus is asked next: the one whose deadline is the earliest. */
#pragma once

#include "field/device.h"

/*
 * Each point is due a period after it was due before, and its deadline is the end of the
 * period that begins then. Earliest deadline first reads all of them in time wherever that
 * can be done, and starves none.
 *
 * Where more is due than the wire carries, deadlines are missed. Then the bus's own time is
 * held back until the missed one is just met: it runs slower than the clock, by as much as is
 * too much, and so all periods are stretched by the same factor and nothing is left behind
 * that would have to be caught up with.
 */
struct schedule {
	struct device *devices;
	size_t count;
	struct request *room; /* to plan in */
	uint64_t lag_us;      /* of the bus's time, behind the clock */
	uint64_t idle_since_us; /* 0: a request is chosen */

	/* measured over the last seconds */
	uint64_t window_us, window_lag_us, idle_us;
	double load, stretch;
	bool overloaded;
};

/* The devices must outlive it. 0 or -ENOMEM. */
int schedule_init(struct schedule *schedule, struct device *devices, size_t count,
		  uint64_t now_us) _must_check_;
void schedule_done(struct schedule *schedule);

/* The bus's time. */
uint64_t schedule_time_us(const struct schedule *schedule, uint64_t now_us);

/*
 * The device to be asked now. NULL where nothing is due: then *wake_us is when something will
 * be, on the clock.
 */
struct device *schedule_next(struct schedule *schedule, uint64_t now_us, uint64_t *wake_us);

/* The port was closed until now: what was not read meanwhile is nobody's fault. */
void schedule_resume(struct schedule *schedule, uint64_t now_us);

/*
 * Takes stock, each ten seconds: true when the bus has become overloaded or is so no more.
 */
bool schedule_look(struct schedule *schedule, uint64_t now_us);
