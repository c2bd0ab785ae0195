// SPDX-License-Identifier: Apache-2.0
/* fuzz_map.c - any text as a device map; one that is let through must hold what it promises. */

#include "field/driver.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A map that was let through can be asked, and its driver fed, whatever it says. */
static void use(const struct device_map *map)
{
	const struct driver *driver = driver_find(map->driver);
	struct reading *readings = calloc(map->point_count, sizeof(*readings));
	struct point *copy = points_copy(map->points, map->point_count);
	uint8_t frame[FRAME_MAX], stream[600];
	size_t used = 0, length;

	if (!driver || !map->point_count)
		abort();
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)(i * 7);
	if (driver->next) {
		if (driver->ask(map, 247, frame) > FRAME_MAX)
			abort();
		length = map->framing.start.length;
		memcpy(stream, map->framing.start.bytes, length);
		while (used < sizeof(stream)) {
			struct chunk chunk = driver->next(map, 247, stream + used,
							  sizeof(stream) - used);

			if (chunk.status == REPLY_MORE)
				break;
			if (chunk.status == REPLY_OK &&
			    driver->values(map, copy, map->point_count, chunk.unit,
					   chunk.length, readings) > map->point_count)
				abort();
			used += chunk.used;
		}
	}
	points_free(copy, map->point_count);
	free(readings);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct faults *faults = faults_new();
	struct device_map *map = NULL;
	int r = device_map_parse("m.yaml", (const char *)bytes, n, driver_names(), &map, faults);

	if ((r == 0) != (map != NULL) || (r < 0 && !faults_count(faults)) ||
	    (r == 0 && faults_count(faults)))
		abort();
	if (map)
		use(map);
	device_map_free(map);
	faults_free(faults);
	return 0;
}
