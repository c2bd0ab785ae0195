/* SPDX-License-Identifier: Apache-2.0 */
/* sim_device.c - what a simulated device holds: its registers and bits, from its map. */
#include "tools/sim_device.h"
#include "config/identity.h"
#include "tools/measure.h"

#include <errno.h>
#include <string.h>

enum {
	/* MODBUS Application Protocol V1.1b3, section 7. */
	EXCEPTION_ADDRESS = 2,
	EXCEPTION_VALUE = 3,
	MARGIN = STRING_MAX_LENGTH / 2, /* registers of the longest point */
};

int sim_device_init(struct sim_device *device, const struct device_map *map, uint8_t address)
{
	*device = (struct sim_device){.map = map, .address = address};
	device->pins = calloc(map->point_count, sizeof(*device->pins));
	return device->pins ? 0 : -ENOMEM;
}

void sim_device_done(struct sim_device *device)
{
	free(device->pins);
}

int sim_device_pin(const struct sim_device *device, const char *point, double number)
{
	ssize_t index = device_map_find(device->map, point);

	if (index < 0)
		return -ENOENT;
	device->pins[index] = (struct pin){.set = true, .number = number};
	return 0;
}

static bool is_bits(enum table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}

/* Whether the map has the request's registers; holes between points count as its own. */
static bool is_inside(const struct device_map *map, const struct request *request)
{
	unsigned first = UINT16_MAX + 1u, end = 0;

	for (size_t i = 0; i < map->point_count; i++) {
		const struct point *point = &map->points[i];

		if (point->table != request->table)
			continue;
		if (point->addr < first)
			first = point->addr;
		if (point->addr + point_span(point) > end)
			end = point->addr + point_span(point);
	}
	return request->first >= first &&
	       request->first + (unsigned)request->count <= end;
}

/* What it says it is stands apart from the points, and is asked for by itself. */
static bool asks_identity(const struct device_map *map, const struct request *request)
{
	return request->table == map->identity.table && request->first == map->identity.addr &&
	       request->count == identity_registers(&map->identity);
}

void sim_device_fill(const struct sim_device *device, const struct request *request,
		     double seconds, uint8_t *data)
{
	/* A cell a register or bit, and room for points that are partly inside. */
	uint8_t image[BATCH_MAX_BITS + 2 * MARGIN] = {0};
	size_t cell = is_bits(request->table) ? 1 : 2;
	int cells = request->count + 2 * MARGIN;

	if (asks_identity(device->map, request)) {
		identity_fill(&device->map->identity, data);
		return;
	}
	for (size_t i = 0; i < device->map->point_count; i++) {
		const struct point *point = &device->map->points[i];
		int at = point->addr - request->first + MARGIN;

		if (point->table != request->table || at < 0 ||
		    at + (int)point_span(point) > cells)
			continue;
		if (device->pins[i].set)
			measure_pinned(point, device->pins[i].number,
				       image + (size_t)at * cell);
		else
			measure(device->map, i, device->address, seconds,
				image + (size_t)at * cell);
	}
	if (!is_bits(request->table)) {
		memcpy(data, image + MARGIN * cell, request->count * cell);
		return;
	}
	memset(data, 0, (request->count + 7u) / 8u);
	for (size_t i = 0; i < request->count; i++)
		data[i / 8] |= (uint8_t)((image[MARGIN + i] != 0) << i % 8);
}

uint8_t sim_device_exception(const struct sim_device *device, const struct request *request)
{
	unsigned most = is_bits(request->table) ? BATCH_MAX_BITS : BATCH_MAX_REGISTERS;

	if (request->count == 0 || request->count > most)
		return EXCEPTION_VALUE;
	if (asks_identity(device->map, request))
		return 0;
	return is_inside(device->map, request) ? 0 : EXCEPTION_ADDRESS;
}
