/* SPDX-License-Identifier: Apache-2.0 */
/* device.c - one device of a bus while it runs: what is due, what was read, how it fares. */
#include "field/device.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/plan.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum {
	/* So many polls in a row without an answer, and a device is offline. */
	OFFLINE_AFTER = 3,
	/* An offline device is asked at least so often. */
	BACKOFF_MOST_S = 60,
};

int device_init(struct device *device, const struct device_config *config, const char *bus,
		const struct conf *conf, uint64_t now_us)
{
	size_t n = config->point_count;

	*device = (struct device){ .config = config };
	device->driver = driver_find(config->map->driver);
	device->topic = topic_expand(config->topic ? config->topic : conf->publish.topic,
				     conf->gateway, bus, config, NULL);
	device->availability_topic = topic_expand("{gateway}/{device}/availability",
						  conf->gateway, bus, config, NULL);
	device->due_us = calloc(n, sizeof(*device->due_us));
	device->alone = calloc(n, sizeof(*device->alone));
	device->last = calloc(n, sizeof(*device->last));
	device->last_us = calloc(n, sizeof(*device->last_us));
	device->points = calloc(n, sizeof(*device->points));
	device->requests = calloc(n, sizeof(*device->requests));
	device->readings = calloc(n, sizeof(*device->readings));
	if (!device->topic || !device->availability_topic || !device->due_us ||
	    !device->alone || !device->last || !device->last_us || !device->points ||
	    !device->requests || !device->readings)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		device->due_us[i] = now_us;
	return 0;
}

void device_done(struct device *device)
{
	free(device->topic);
	free(device->availability_topic);
	free(device->due_us);
	free(device->alone);
	free(device->last);
	free(device->last_us);
	free(device->points);
	free(device->requests);
	free(device->readings);
}

uint64_t device_due_us(const struct device *device)
{
	uint64_t due_us = UINT64_MAX;

	for (size_t i = 0; i < device->config->point_count; i++)
		if (device->due_us[i] < due_us)
			due_us = device->due_us[i];
	return due_us > device->backoff_us ? due_us : device->backoff_us;
}

size_t device_plan(struct device *device, uint64_t now_us)
{
	const struct device_config *config = device->config;
	size_t due = 0;

	for (size_t i = 0; i < config->point_count; i++)
		if (device->due_us[i] <= now_us)
			device->points[due++] = i;
	device->request_count = plan_requests(config->points, &config->map->batch,
					      config->address, device->alone, device->points,
					      due, device->requests);
	device->request_index = 0;
	device->reading_count = 0;
	return device->request_count;
}

void device_take(struct device *device, const struct request *request,
		 const struct reply *reply)
{
	for (uint16_t i = 0; i < request->point_count; i++) {
		struct reading *reading = &device->readings[device->reading_count++];

		reading->point = device->points[request->point_first + i];
		device->driver->value(request, reply->data,
				      &device->config->points[reading->point],
				      &reading->value);
	}
}

void device_reschedule(struct device *device, uint64_t now_us)
{
	for (size_t i = 0; i < device->config->point_count; i++) {
		uint64_t every_us = device->config->points[i].every_us;
		uint64_t *due_us = &device->due_us[i];

		if (*due_us > now_us)
			continue;
		*due_us += every_us;
		if (*due_us <= now_us)
			*due_us = now_us + every_us - (now_us - *due_us) % every_us;
	}
}

static double number_of(const struct value *value)
{
	switch (value->kind) {
	case VALUE_BOOL:
	case VALUE_UNSIGNED:
		return value->u;
	case VALUE_SIGNED:
		return value->i;
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
	case VALUE_DECIMAL:
		return value->d;
	case VALUE_NULL:
	case VALUE_TEXT:
		break;
	}
	return NAN;
}

/* Whether a reading is news, or its point has been silent for too long. */
static bool is_news(const struct device *device, const struct reading *reading,
		    uint64_t now_us)
{
	const struct point *point = &device->config->points[reading->point];
	const struct value *last = &device->last[reading->point];
	uint64_t last_us = device->last_us[reading->point];
	double from = number_of(last), to = number_of(&reading->value), band;

	if (!point->deadband.amount || !last_us || last->kind != reading->value.kind)
		return true;
	if (point->max_silence_us && now_us - last_us >= point->max_silence_us)
		return true;
	if (last->kind == VALUE_TEXT)
		return strcmp(last->text, reading->value.text) != 0;
	if (last->kind == VALUE_NULL)
		return false;
	band = point->deadband.amount;
	if (point->deadband.percent)
		band *= fabs(from) / 100;
	return fabs(to - from) >= band;
}

/* Keeps the readings that are news and remembers them as published. */
static void filter_readings(struct device *device, uint64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < device->reading_count; i++) {
		struct reading *reading = &device->readings[i];

		if (!is_news(device, reading, now_us))
			continue;
		device->last[reading->point] = reading->value;
		device->last_us[reading->point] = now_us;
		device->readings[kept++] = *reading;
	}
	device->reading_count = kept;
}

/* Every point that was ever read, with its last value. */
static void fill_readings(struct device *device)
{
	device->reading_count = 0;
	for (size_t i = 0; i < device->config->point_count; i++)
		if (device->last_us[i])
			device->readings[device->reading_count++] =
				(struct reading){ i, device->last[i] };
}

/* Points stand in the map's order, whatever order they were asked for in. */
static int compare_readings(const void *a, const void *b)
{
	const struct reading *x = a, *y = b;

	return x->point < y->point ? -1 : x->point > y->point;
}

int device_publish(struct device *device, const struct publish_conf *publish, uint64_t now_us,
		   mapping_sink *sink, void *data)
{
	struct message when = { 0 };

	filter_readings(device, now_us);
	if (!device->reading_count)
		return 0;
	if (device->config->full)
		fill_readings(device);
	else
		qsort(device->readings, device->reading_count, sizeof(*device->readings),
		      compare_readings);
	clock_stamp(&when);
	return mapping_publish(publish, device->topic, device->config->points,
			       device->readings, device->reading_count, &when, sink, data);
}

bool device_answered(struct device *device)
{
	bool changed = device->state != DEVICE_ONLINE;

	device->failures = 0;
	device->backoff_us = 0;
	device->state = DEVICE_ONLINE;
	return changed;
}

bool device_failed(struct device *device, uint64_t now_us)
{
	uint64_t wait_us = USEC_PER_SEC;
	bool changed;

	if (++device->failures < OFFLINE_AFTER)
		return false;
	changed = device->state != DEVICE_OFFLINE;
	device->state = DEVICE_OFFLINE;
	for (unsigned i = OFFLINE_AFTER; i < device->failures; i++) {
		wait_us *= 2;
		if (wait_us >= BACKOFF_MOST_S * USEC_PER_SEC)
			break;
	}
	if (wait_us > BACKOFF_MOST_S * USEC_PER_SEC)
		wait_us = BACKOFF_MOST_S * USEC_PER_SEC;
	device->backoff_us = now_us + wait_us;
	return changed;
}

void device_announce(const struct device *device, const struct publish_conf *publish,
		     mapping_sink *sink, void *data)
{
	const char *state = device->state == DEVICE_ONLINE ? "online" : "offline";
	struct message message = {
		.qos = publish->qos ? publish->qos : 1,
		.retain = true,
		.form = FORM_BARE,
		.topic = device->availability_topic,
		.topic_length = strlen(device->availability_topic),
		.body = state,
		.body_length = strlen(state),
	};

	clock_stamp(&message);
	sink(data, &message);
}
