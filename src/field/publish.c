/* SPDX-License-Identifier: Apache-2.0 */
/* publish.c - what of a device's readings is worth a message. */
#include "bridge/clock.h"
#include "bridge/number.h"
#include "field/device.h"

#include <math.h>
#include <string.h>

enum {
	/* A value is stale that was not read for so many of its periods. */
	STALE_PERIODS = 3,
};

static bool is_same(const struct value *a, const struct value *b)
{
	switch (a->kind) {
	case VALUE_NULL:
		return true;
	case VALUE_TEXT:
		return !strcmp(a->text, b->text);
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
	case VALUE_DECIMAL:
		return a->d == b->d;
	case VALUE_BOOL:
	case VALUE_UNSIGNED:
	case VALUE_SIGNED:
		break;
	}
	return a->u == b->u;
}

/*
 * Whether a reading is news, or its point has been silent for too long. Where there is a
 * max_silence but no deadband, any change is news.
 */
static bool is_news(const struct device *device, const struct reading *reading,
		    uint64_t now_us)
{
	const struct point *point = &device->config->points[reading->point];
	const struct last *last = &device->last[reading->point];
	double from = value_number(&last->value), band = point->deadband.amount;

	if ((!band && !point->max_silence_us) || !last->published_us ||
	    last->value.kind != reading->value.kind)
		return true;
	if (point->max_silence_us && now_us - last->published_us >= point->max_silence_us)
		return true;
	if (!band || isnan(from))
		return !is_same(&last->value, &reading->value);
	if (point->deadband.percent)
		band *= fabs(from) / 100;
	/* Not smaller than the band, and not the same: the band around 0 % of 0 is nothing. */
	return fabs(value_number(&reading->value) - from) >= band &&
	       !is_same(&last->value, &reading->value);
}

/* Keeps the readings that are news and remembers them as published. */
static void filter_readings(struct device *device, uint64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < device->reading_count; i++) {
		struct reading *reading = &device->readings[i];
		struct last *last = &device->last[reading->point];

		if (!is_news(device, reading, now_us))
			continue;
		last->value = reading->value;
		last->published_us = now_us;
		device->readings[kept++] = *reading;
	}
	device->reading_count = kept;
}

bool device_is_stale(const struct device *device, size_t point, uint64_t now_us)
{
	return now_us - device->last[point].read_us >
	       STALE_PERIODS * device->config->points[point].every_us;
}

/* Every point that was ever read, with its last value, and whether that is an old one. */
static void fill_readings(struct device *device, uint64_t now_us)
{
	const struct device_config *config = device->config;

	device->reading_count = 0;
	for (size_t i = 0; i < config->point_count; i++) {
		const struct last *last = &device->last[i];

		if (!last->published_us)
			continue;
		device->readings[device->reading_count++] = (struct reading){
			.point = i,
			.quality = device_is_stale(device, i, now_us) ? QUALITY_STALE
								      : QUALITY_GOOD,
			.value = last->value,
		};
	}
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
	int r;

	filter_readings(device, now_us);
	if (!device->reading_count)
		return 0;
	if (device->config->full)
		fill_readings(device, now_us);
	else
		qsort(device->readings, device->reading_count, sizeof(*device->readings),
		      compare_readings);
	clock_stamp(&when);
	r = mapping_publish(publish, device->topic, device->config->points, device->readings,
			    device->reading_count, &when, sink, data);
	device->reading_count = 0;
	return r;
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
