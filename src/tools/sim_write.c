/* SPDX-License-Identifier: Apache-2.0 */
/* sim_write.c - what a simulated device does when it is written to. */
#include "tools/sim_write.h"

#include "bridge/number.h"
#include "config/writing.h"
#include "drivers/modbus.h"
#include "drivers/raw.h"

#include <math.h>
#include <string.h>

enum {
	/* MODBUS Application Protocol V1.1b3 */
	WRITE_REGISTERS_MOST = 123, /* 6.12 */
	WRITE_COILS_MOST = 1968,    /* 6.11 */
};

static bool is_touched(const struct point *point, const struct request *request)
{
	return point->table == request->table &&
	       point->addr < request->first + request->count &&
	       point->addr + point_span(point) > request->first;
}

/* Whether each register or coil of the request belongs to a point that can be written. */
static bool is_covered(const struct device_map *map, const struct request *request)
{
	for (unsigned addr = request->first;
	     addr < request->first + (unsigned)request->count; addr++) {
		const struct request one = {
			.table = request->table, .first = (uint16_t)addr, .count = 1};
		bool found = false;

		for (size_t i = 0; i < map->point_count && !found; i++)
			found = map->points[i].writable &&
				is_touched(&map->points[i], &one);
		if (!found)
			return false;
	}
	return true;
}

static bool is_writable_table(const struct device_map *map, enum table table)
{
	for (size_t i = 0; i < map->point_count; i++)
		if (map->points[i].writable && map->points[i].table == table)
			return true;
	return false;
}

static uint8_t exception_of(const struct sim_device *device,
			    const struct request *request, const uint8_t *bytes)
{
	unsigned most =
		request->table == TABLE_COIL ? WRITE_COILS_MOST : WRITE_REGISTERS_MOST;

	if (!is_writable_table(device->map, request->table))
		return EXCEPTION_FUNCTION;
	if (!request->count || request->count > most)
		return EXCEPTION_VALUE;
	if (!is_covered(device->map, request))
		return EXCEPTION_ADDRESS;
	if (request->function == MODBUS_WRITE_COIL &&
	    (bytes[1] || (bytes[0] && bytes[0] != 0xFF)))
		return EXCEPTION_VALUE;
	return 0;
}

/* --- points --- */

static struct value value_of(const struct sim_device *device, const struct point *point,
			     double seconds)
{
	const struct request request = {.table = point->table,
					.first = point->addr,
					.count = (uint16_t)point_span(point)};
	uint8_t bytes[DATA_MAX];
	struct value value;

	sim_device_fill(device, &request, seconds, bytes);
	raw_decode(point, bytes, &value);
	return value;
}

/* Whether what all the points hold by now is what their map lets them hold. */
static bool are_allowed(const struct sim_device *device, const struct request *request,
			double seconds)
{
	for (size_t i = 0; i < device->map->point_count; i++) {
		const struct point *point = &device->map->points[i];
		struct value value;
		double least, most;

		if (!point->writable || !is_touched(point, request))
			continue;
		if (point->type == TYPE_BOOL || point->type == TYPE_STRING ||
		    point->value_count)
			continue;
		value = value_of(device, point, seconds);
		writing_range(point, &least, &most);
		/* Not a number is neither. */
		if (value_number(&value) < least - 1e-6 || value_number(&value) > most + 1e-6)
			return false;
	}
	return true;
}

/* Whether a bool holds 1, by whatever name. */
static bool is_on(const struct point *point, const struct value *value)
{
	if (value->kind == VALUE_BOOL)
		return value->u;
	for (size_t i = 0; value->kind == VALUE_TEXT && i < point->value_count; i++)
		if (!strcmp(point->values[i].name, value->text))
			return point->values[i].value == 1;
	return false;
}

static void tell(const struct sim_device *device, size_t i, bool was_on, double seconds,
		 sim_written_sink *sink, void *data)
{
	const struct point *point = &device->map->points[i];
	struct sim_written written = {
		.map = device->map,
		.address = device->address,
		.point = point,
		.value = value_of(device, point, seconds),
	};

	device->on_counts[i] += !was_on && is_on(point, &written.value);
	if (point->type == TYPE_BOOL)
		written.on_count = device->on_counts[i];
	if (sink)
		sink(data, &written);
}

/* --- cells --- */

/* Puts what the request writes over what is in its cells. */
static void merge(const struct request *request, const uint8_t *bytes, uint8_t *image)
{
	switch (request->function) {
	case MODBUS_WRITE_COIL:
		image[0] = bytes[0] != 0;
		return;
	case MODBUS_MASK_REGISTER:
		for (size_t i = 0; i < 2; i++)
			image[i] = (image[i] & bytes[i]) | (bytes[i + 2] & ~bytes[i]);
		return;
	default:
		memcpy(image, bytes, modbus_data_length(request));
		return;
	}
}

static bool store(struct sim_device *device, const struct request *request,
		  const uint8_t *image)
{
	for (unsigned i = 0; i < request->count; i++) {
		uint16_t value =
			request->table == TABLE_COIL
				? image[i / 8] >> i % 8 & 1
				: (uint16_t)(image[2 * i] << 8 | image[2 * i + 1]);

		if (!sim_device_hold(device, request->table,
				     (uint16_t)(request->first + i), value, INFINITY))
			return false;
	}
	return true;
}

/* A relay board's own pulse: the point that it is of, or -1. */
static ssize_t flashed(const struct device_map *map, const struct request *request)
{
	for (size_t i = 0; request->function == MODBUS_WRITE_COIL && i < map->point_count;
	     i++) {
		const struct flash *flash = &map->points[i].write_flash;

		if (map->points[i].writable && flash->unit_us &&
		    flash->addr == request->first)
			return (ssize_t)i;
	}
	return -1;
}

static uint8_t flash(struct sim_device *device, size_t i, const uint8_t *bytes,
		     double seconds, sim_written_sink *sink, void *data)
{
	const struct point *point = &device->map->points[i];
	struct value before = value_of(device, point, seconds);
	double time_s =
		(bytes[0] << 8 | bytes[1]) * (double)point->write_flash.unit_us / 1e6;

	if (!sim_device_hold(device, TABLE_COIL, point->addr, 1, seconds + time_s))
		return EXCEPTION_FAILURE;
	tell(device, i, is_on(point, &before), seconds, sink, data);
	return 0;
}

uint8_t sim_device_write(struct sim_device *device, const struct request *request,
			 const uint8_t *bytes, double seconds, sim_written_sink *sink,
			 void *data)
{
	ssize_t flashed_point = flashed(device->map, request);
	_cleanup_free_ bool *was_on = calloc(device->map->point_count, sizeof(*was_on));
	uint8_t image[DATA_MAX], before[DATA_MAX], exception;

	if (flashed_point >= 0)
		return flash(device, (size_t)flashed_point, bytes, seconds, sink, data);
	exception = exception_of(device, request, bytes);
	if (exception || !was_on)
		return exception ? exception : EXCEPTION_FAILURE;
	for (size_t i = 0; i < device->map->point_count; i++) {
		const struct point *point = &device->map->points[i];
		struct value value = value_of(device, point, seconds);

		was_on[i] = point->type == TYPE_BOOL && is_on(point, &value);
	}
	sim_device_fill(device, request, seconds, image);
	memcpy(before, image, sizeof(before));
	merge(request, bytes, image);
	if (!store(device, request, image))
		return EXCEPTION_FAILURE;
	if (!are_allowed(device, request, seconds))
		return store(device, request, before) ? EXCEPTION_VALUE
						      : EXCEPTION_FAILURE;
	for (size_t i = 0; i < device->map->point_count; i++) {
		const struct point *point = &device->map->points[i];

		if (point->writable && is_touched(point, request))
			tell(device, i, was_on[i], seconds, sink, data);
	}
	return 0;
}

void sim_saying_tell(const struct saying *saying, sim_written_sink *sink, void *data)
{
	for (size_t i = 0; sink && saying->written && i < saying->written->value_count; i++) {
		const struct example_value *value = &saying->written->values[i];
		struct sim_written written = {
			.map = saying->device->map,
			.address = saying->device->address,
			.point = &saying->device->map->points[value->point],
			.value.kind = VALUE_TEXT,
		};

		snprintf(written.value.text, sizeof(written.value.text), "%s", value->text);
		sink(data, &written);
	}
}
