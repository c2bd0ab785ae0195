/* SPDX-License-Identifier: Apache-2.0 */
/* device.c - one device of a bus while it runs: what is due, what was read, how it fares. */
#include "field/device.h"
#include "base/units.h"
#include "field/plan.h"

#include <errno.h>

enum {
	/* So many requests given up in a row, and a device is offline. */
	OFFLINE_AFTER = 2,
	/* Asking in vain takes at most one part in so many of the bus's time. */
	VAIN_SHARE = 20,
};

/* A device that failed once is looked at again after the first, and at last at the most. */
#define REST_FIRST_US USEC_PER_SEC
#define REST_MOST_US (60 * USEC_PER_SEC)
/* A point that the device refused is tried again so often: the model may be another now. */
#define REFUSED_US (600 * USEC_PER_SEC)
/* What may have changed is read within this time. */
#define HURRY_US (100 * USEC_PER_MSEC)

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* When a point that is due has to be read by. */
static uint64_t point_deadline_us(const struct device *device, size_t point)
{
	uint64_t every_us = device->config->points[point].every_us;

	if (device->hurried[point] && every_us > HURRY_US)
		every_us = HURRY_US;
	return device->due_us[point] + every_us;
}

int device_init(struct device *device, const struct device_config *config, const char *bus,
		const struct conf *conf, uint64_t now_us)
{
	size_t n = config->point_count;
	int r;

	*device = (struct device){ .config = config };
	device->driver = driver_find(config->map->driver);
	device->topic = topic_expand(config->topic ? config->topic : conf->publish.topic,
				     conf->gateway, bus, config, NULL);
	device->availability_topic = topic_expand("{gateway}/{device}/availability",
						  conf->gateway, bus, config, NULL);
	device->due_us = calloc(n, sizeof(*device->due_us));
	device->hurried = calloc(n, sizeof(*device->hurried));
	device->last = calloc(n, sizeof(*device->last));
	device->points = calloc(n, sizeof(*device->points));
	device->readings = calloc(n, sizeof(*device->readings));
	r = split_init(&device->split, config->points, n);
	if (r < 0)
		return r;
	if (!device->topic || !device->availability_topic || !device->due_us ||
	    !device->hurried || !device->last || !device->points || !device->readings)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		device->due_us[i] = point_is_read(&config->points[i]) ? now_us : UINT64_MAX;
	device->next_due_us = device->answered_us = now_us;
	return 0;
}

void device_done(struct device *device)
{
	free(device->topic);
	free(device->availability_topic);
	free(device->due_us);
	free(device->hurried);
	free(device->last);
	free(device->points);
	free(device->readings);
	split_done(&device->split);
}

/* --- what is due --- */

static void find_next_due(struct device *device)
{
	device->next_due_us = UINT64_MAX;
	for (size_t i = 0; i < device->config->point_count; i++)
		if (device->due_us[i] < device->next_due_us)
			device->next_due_us = device->due_us[i];
}

uint64_t device_deadline_us(const struct device *device, uint64_t time_us)
{
	uint64_t first_us = UINT64_MAX;

	if (device->asking)
		return device->deadline_us;
	if (device->next_due_us > time_us)
		return UINT64_MAX;
	for (size_t i = 0; i < device->config->point_count; i++) {
		uint64_t deadline_us;

		if (device->due_us[i] > time_us)
			continue;
		deadline_us = point_deadline_us(device, i);
		if (deadline_us < first_us)
			first_us = deadline_us;
	}
	return first_us;
}

/* When the most urgent of the request's points has to be read by. */
static uint64_t request_deadline_us(const struct device *device, const struct request *request)
{
	uint64_t first_us = UINT64_MAX;

	for (uint16_t i = 0; i < request->point_count; i++) {
		uint16_t point = device->points[request->point_first + i];
		uint64_t deadline_us = point_deadline_us(device, point);

		if (deadline_us < first_us)
			first_us = deadline_us;
	}
	return first_us;
}

static bool was_read(const struct device *device, uint16_t point)
{
	return device->last[point].read_us > device->poll_begun_us;
}

/* Whether the request reads a point a second time since the poll began. */
static bool is_of_next_poll(const struct device *device)
{
	const struct request *request = &device->request;

	for (uint16_t i = 0; i < request->point_count; i++)
		if (was_read(device, device->points[request->point_first + i]))
			return true;
	return false;
}

/* Whether all is read that was due when the poll began. */
static bool is_poll_over(const struct device *device)
{
	for (size_t i = 0; i < device->config->point_count; i++)
		if (device->due_us[i] <= device->poll_us && !was_read(device, i))
			return false;
	return true;
}

bool device_choose(struct device *device, uint64_t time_us, struct request *room)
{
	const struct device_config *config = device->config;
	size_t due = 0, count;

	for (size_t i = 0; i < config->point_count; i++)
		if (device->due_us[i] <= time_us)
			device->points[due++] = i;
	count = plan_requests(config->points, &config->map->batch, config->address,
			      device->split.segment, device->points, due, room);
	device->deadline_us = UINT64_MAX;
	for (size_t i = 0; i < count; i++) {
		uint64_t deadline_us = request_deadline_us(device, &room[i]);

		if (deadline_us >= device->deadline_us)
			continue;
		device->deadline_us = deadline_us;
		device->request = room[i];
	}
	device->asking = true;
	device->attempts = device->owed = 0;
	device->vain_us = 0;
	return !device->polling || is_of_next_poll(device);
}

void device_begin(struct device *device, uint64_t now_us, uint64_t time_us)
{
	device->polling = true;
	device->poll_begun_us = now_us;
	device->poll_us = time_us;
	device->reading_count = 0;
}

void device_note(struct device *device, const struct reading *reading, uint64_t now_us)
{
	struct last *last = &device->last[reading->point];

	device->readings[device->reading_count++] = *reading;
	last->read = reading->value;
	last->read_us = now_us;
	last->misses = 0;
}

void device_take(struct device *device, const struct reply *reply, uint64_t now_us)
{
	const struct request *request = &device->request;

	for (uint16_t i = 0; i < request->point_count; i++) {
		struct reading reading = {
			.point = device->points[request->point_first + i],
			.quality = QUALITY_GOOD,
		};

		device->driver->value(request, reply->data,
				      &device->config->points[reading.point], &reading.value);
		device_note(device, &reading, now_us);
		split_accept(&device->split, reading.point);
	}
}

/*
 * What the device itself was late with is not made up for; what the wire was late with is,
 * and so shared by all.
 */
bool device_settle(struct device *device, uint64_t time_us, uint64_t least_us)
{
	const struct request *request = &device->request;

	if (device->attempts > 1)
		least_us = later(least_us, time_us);
	for (uint16_t i = 0; i < request->point_count; i++) {
		uint16_t point = device->points[request->point_first + i];
		uint64_t due_us =
			device->due_us[point] + device->config->points[point].every_us;

		device->due_us[point] = later(due_us, least_us);
		device->hurried[point] = false;
	}
	device->asking = false;
	find_next_due(device);
	return is_poll_over(device);
}

bool device_refuse(struct device *device, uint64_t time_us)
{
	const uint16_t *points = device->points + device->request.point_first;

	split_refuse(&device->split, points, device->request.point_count);
	if (device->request.point_count == 1)
		device->due_us[points[0]] = time_us + REFUSED_US;
	device->asking = false;
	find_next_due(device);
	return is_poll_over(device);
}

/* --- how it fares --- */

void device_expect_late(struct device *device, uint64_t until_us)
{
	device->quiet_us = later(device->quiet_us, until_us);
}

/* All is put off by the same time, so that what was more urgent stays so. */
void device_rest(struct device *device, uint64_t now_us, uint64_t time_us, uint64_t wait_us)
{
	uint64_t until_us = time_us + wait_us;
	uint64_t shift_us = until_us > device->next_due_us ? until_us - device->next_due_us : 0;

	device->rest_us = later(device->rest_us, now_us + wait_us);
	for (size_t i = 0; i < device->config->point_count; i++)
		if (device->due_us[i] != UINT64_MAX)
			device->due_us[i] += shift_us;
	if (device->next_due_us != UINT64_MAX)
		device->next_due_us += shift_us;
}

void device_hurry(struct device *device, size_t point, uint64_t time_us)
{
	uint64_t *due_us = &device->due_us[point];

	/* What the device does not give is not asked for the sooner. */
	if (*due_us == UINT64_MAX || device->split.refused[point])
		return;
	if (*due_us > time_us)
		*due_us = time_us;
	device->hurried[point] = true;
	find_next_due(device);
}

static void make_all_due(struct device *device, uint64_t time_us)
{
	for (size_t i = 0; i < device->config->point_count; i++)
		if (!device->split.refused[i] && device->due_us[i] != UINT64_MAX)
			device->due_us[i] = time_us;
}

bool device_answered(struct device *device, uint64_t now_us, uint64_t time_us)
{
	bool changed = device->state != DEVICE_ONLINE;

	if (device->state == DEVICE_OFFLINE)
		make_all_due(device, time_us);
	device->failures = 0;
	device->rest_us = 0;
	device->state = DEVICE_ONLINE;
	device->answered_us = now_us;
	return changed;
}

bool device_missed(struct device *device, unsigned retries, uint64_t time_us, uint64_t vain_us)
{
	device->vain_us += vain_us;
	if (device->failures || device->attempts > retries)
		return false;
	device->deadline_us = later(device->deadline_us, time_us);
	return true;
}

/* Notes that the request's points were not read; the most that one of them was not in a row. */
static unsigned miss(struct device *device)
{
	const struct request *request = &device->request;
	unsigned most = 0;

	for (uint16_t i = 0; i < request->point_count; i++) {
		struct last *last = &device->last[device->points[request->point_first + i]];

		if (++last->misses > most)
			most = last->misses;
	}
	return most;
}

/*
 * Once may be chance, and is looked into soon. From then on it has to be worth the time: that
 * goes for the device, and for points that it never answers for while it does for others.
 */
bool device_failed(struct device *device, uint64_t now_us, uint64_t time_us)
{
	uint64_t fair_us = (VAIN_SHARE - 1) * device->vain_us, wait_us = REST_FIRST_US;
	bool changed;

	device_settle(device, time_us, miss(device) > 1 ? time_us + fair_us : time_us);
	device->polling = false;
	if (++device->failures < OFFLINE_AFTER) {
		/* What is still on its way to us must not meet another request. */
		device_rest(device, now_us, time_us, later(wait_us, device->vain_us));
		return false;
	}
	for (unsigned i = 1; i < device->failures && wait_us < REST_MOST_US; i++)
		wait_us *= 2;
	if (wait_us > REST_MOST_US)
		wait_us = REST_MOST_US;
	device_rest(device, now_us, time_us, later(wait_us, fair_us));
	changed = device->state != DEVICE_OFFLINE;
	device->state = DEVICE_OFFLINE;
	return changed;
}

struct device_stats device_stats(const struct device *device, uint64_t now_us)
{
	static const char *const states[] = {
		[DEVICE_UNKNOWN] = "unknown",
		[DEVICE_ONLINE] = "online",
		[DEVICE_OFFLINE] = "offline",
	};

	return (struct device_stats){
		.name = device->config->name,
		.state = states[device->state],
		.silent_us = now_us - device->answered_us,
		.counters = device->counters,
	};
}
