/* SPDX-License-Identifier: Apache-2.0 */
/* schedule.c - which device of a bus is asked next: the one whose deadline is the earliest. */
#include "field/schedule.h"
#include "base/units.h"

#include <errno.h>

#define WINDOW_US (10 * USEC_PER_SEC)
/* Overloaded from the first of these on, and until it is below the second. */
#define STRETCH_BEGIN 1.05
#define STRETCH_END 1.02

int schedule_init(struct schedule *schedule, struct device *devices, size_t count,
		  uint64_t now_us)
{
	size_t most = 0;

	for (size_t i = 0; i < count; i++)
		if (devices[i].config->point_count > most)
			most = devices[i].config->point_count;
	*schedule = (struct schedule){
		.devices = devices,
		.count = count,
		.room = calloc(most, sizeof(*schedule->room)),
		.window_us = now_us,
		.idle_since_us = now_us,
		.stretch = 1,
	};
	return schedule->room ? 0 : -ENOMEM;
}

void schedule_done(struct schedule *schedule)
{
	free(schedule->room);
}

uint64_t schedule_time_us(const struct schedule *schedule, uint64_t now_us)
{
	return now_us - schedule->lag_us;
}

/* When a device that can't be asked now can be. */
static uint64_t wake_of(const struct schedule *schedule, const struct device *device)
{
	uint64_t due_us = device->next_due_us + schedule->lag_us;

	return due_us > device->rest_us ? due_us : device->rest_us;
}

struct device *schedule_next(struct schedule *schedule, uint64_t now_us, uint64_t *wake_us)
{
	uint64_t time_us = schedule_time_us(schedule, now_us), first_us = UINT64_MAX;
	struct device *next = NULL;

	*wake_us = UINT64_MAX;
	for (size_t i = 0; i < schedule->count; i++) {
		struct device *device = &schedule->devices[i];
		uint64_t deadline_us = device->rest_us > now_us
					       ? UINT64_MAX
					       : device_deadline_us(device, time_us);

		if (deadline_us == UINT64_MAX) {
			uint64_t then_us = wake_of(schedule, device);

			*wake_us = then_us < *wake_us ? then_us : *wake_us;
		} else if (deadline_us < first_us) {
			first_us = deadline_us;
			next = device;
		}
	}
	if (next && schedule->idle_since_us) {
		schedule->idle_us += now_us - schedule->idle_since_us;
		schedule->idle_since_us = 0;
	} else if (!next && !schedule->idle_since_us) {
		schedule->idle_since_us = now_us;
	}
	/* Late for a device's own reason, as its repeated requests are, is not overload. */
	if (next && !next->asking && first_us < time_us)
		schedule->lag_us += time_us - first_us;
	return next;
}

static void begin_window(struct schedule *schedule, uint64_t now_us)
{
	schedule->window_us = now_us;
	schedule->window_lag_us = schedule->lag_us;
	schedule->idle_us = 0;
	if (schedule->idle_since_us)
		schedule->idle_since_us = now_us;
}

void schedule_resume(struct schedule *schedule, uint64_t now_us)
{
	uint64_t time_us = schedule_time_us(schedule, now_us), due_us = UINT64_MAX;

	for (size_t i = 0; i < schedule->count; i++)
		if (schedule->devices[i].next_due_us < due_us)
			due_us = schedule->devices[i].next_due_us;
	if (due_us < time_us)
		schedule->lag_us += time_us - due_us;
	begin_window(schedule, now_us);
}

bool schedule_look(struct schedule *schedule, uint64_t now_us)
{
	uint64_t window_us = now_us - schedule->window_us, lag_us, idle_us;
	bool before = schedule->overloaded;

	if (window_us < WINDOW_US)
		return false;
	lag_us = schedule->lag_us - schedule->window_lag_us;
	idle_us = schedule->idle_us;
	if (schedule->idle_since_us)
		idle_us += now_us - schedule->idle_since_us;
	schedule->load = 1 - (double)idle_us / (double)window_us;
	schedule->stretch = lag_us < window_us ? (double)window_us / (double)(window_us - lag_us)
					       : (double)window_us;
	schedule->overloaded = schedule->stretch >
			       (before ? STRETCH_END : STRETCH_BEGIN);
	begin_window(schedule, now_us);
	return schedule->overloaded != before;
}
