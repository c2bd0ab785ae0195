/* SPDX-License-Identifier: Apache-2.0 */
/* measure.h - what simulated devices measure: plausible numbers, the same each time. */
#pragma once

#include "config/device_map.h"

/*
 * Writes the raw bytes of a map's point, as a function of the address, the point's name
 * and the time since the start alone: known quantities swing around what is usual, totals
 * only grow, named values are stepped through, the rest climbs slowly and begins again.
 */
void measure(const struct device_map *map, size_t index, uint8_t address, double seconds,
	     uint8_t *bytes);

/* The raw bytes of a raw number, that is before scale and offset. */
void measure_pinned(const struct point *point, double number, uint8_t *bytes);
