/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_stream.h - any bytes, cut anywhere, through a driver of streams with a given map. */
#pragma once

#include "bridge/number.h"
#include "field/driver.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { FUZZ_POINTS_MAX = 32 };

static inline struct device_map *fuzz_map(const char *text)
{
	struct faults *faults = faults_new();
	struct device_map *map = NULL;

	if (device_map_parse("m.yaml", text, strlen(text), driver_names(), &map, faults) < 0) {
		faults_print(faults, stderr);
		abort();
	}
	faults_free(faults);
	if (map->point_count > FUZZ_POINTS_MAX)
		abort();
	return map;
}

static inline void fuzz_unit(const struct device_map *map, const struct driver *driver,
			     const struct chunk *chunk)
{
	struct reading readings[FUZZ_POINTS_MAX];
	size_t count = driver->values(map, map->points, map->point_count, chunk->unit,
				      chunk->length, readings);

	if (count > map->point_count)
		abort();
	for (size_t i = 0; i < count; i++) {
		char buffer[2 + 6 * STRING_MAX_LENGTH + 1];
		struct text text = {.data = buffer, .size = sizeof(buffer)};

		/* In the map's order, each once, and none longer than any value. */
		if (readings[i].point >= map->point_count ||
		    (i && readings[i].point <= readings[i - 1].point))
			abort();
		json_value(&readings[i].value, &text);
		if (text.full)
			abort();
	}
}

/* Takes off what can be taken off a heap copy of exactly the bytes; what is left. */
static inline size_t fuzz_take(const struct device_map *map, const struct driver *driver,
			       uint8_t *pending, size_t n)
{
	uint8_t frame[FRAME_MAX];

	if (driver->acknowledge && driver->acknowledge(map, pending, n, frame) > FRAME_MAX)
		abort();
	while (n) {
		uint8_t *copy = malloc(n);
		struct chunk chunk;

		memcpy(copy, pending, n);
		chunk = driver->next(map, 1, copy, n);
		if (chunk.status == REPLY_MORE) {
			if (chunk.used || n >= UNIT_MAX)
				abort(); /* it would be waited for without end */
			free(copy);
			return n;
		}
		if (!chunk.used || chunk.used > n || chunk.length > n ||
		    chunk.status >= REPLY_STATUS_COUNT)
			abort();
		if (chunk.status == REPLY_OK)
			fuzz_unit(map, driver, &chunk);
		n -= chunk.used;
		memmove(pending, pending + chunk.used, n);
		free(copy);
	}
	return 0;
}

/* Whether bytes confirm a command is asked for points that have a reply. */
static inline void fuzz_confirms(const struct device_map *map, const struct driver *driver,
				 const uint8_t *bytes, size_t n)
{
	const struct value value = {.kind = VALUE_UNSIGNED, .u = n ? bytes[0] : 0};

	for (size_t i = 0; i < map->point_count && driver->confirms; i++) {
		const struct point *point = &map->points[i];
		uint8_t frame[FRAME_MAX], *copy;

		if (!point->writable)
			continue;
		if (driver->command(map, point, &value, 1, frame) > FRAME_MAX)
			abort();
		copy = malloc(n + 1);
		memcpy(copy, bytes, n);
		driver->confirms(map, point, &value, 1, copy, n);
		free(copy);
	}
}

/* The first byte says how the others are cut. */
static inline void fuzz_stream(const struct device_map *map, const uint8_t *bytes, size_t n)
{
	const struct driver *driver = driver_find(map->driver);
	static uint8_t pending[2 * UNIT_MAX];
	size_t held = 0, step = n ? bytes[0] + 1u : 1;

	fuzz_confirms(map, driver, bytes, n);
	for (size_t i = 1; i < n; i += step) {
		size_t part = n - i < step ? n - i : step;

		memcpy(pending + held, bytes + i, part);
		held = fuzz_take(map, driver, pending, held + part);
	}
}
