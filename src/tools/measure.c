// SPDX-License-Identifier: Apache-2.0
/* measure.c - what simulated devices measure: plausible numbers, the same each time. */

#include "tools/measure.h"

#include "drivers/raw.h"

#include <math.h>
#include <string.h>

/* What a quantity is like: it swings slowly around its base. */
struct quantity {
	const char *unit, *class; /* the unit is looked for first, then the class */
	double base, swing;
};

static const struct quantity quantities[] = {
	{"V", "voltage", 230, 4},
	{"A", "current", 5, 3},
	{"W", "power", 1100, 700},
	{"kW", NULL, 1.1, 0.7},
	{"VA", "apparent_power", 1150, 700},
	{"var", "reactive_power", 150, 80},
	{NULL, "power_factor", 0.95, 0.04},
	{"Hz", "frequency", 50, 0.04},
	{"°C", "temperature", 21, 1.5},
	{"°F", NULL, 70, 3},
	{"%", "humidity", 45, 6},
	{"hPa", "pressure", 1013, 8},
	{"ppm", "carbon_dioxide", 650, 200},
	{"lx", "illuminance", 400, 250},
};

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static const struct quantity *quantity_of(const struct point *point)
{
	for (size_t i = 0; i < ARRAY_SIZE(quantities); i++)
		if (same(quantities[i].unit, point->unit))
			return &quantities[i];
	for (size_t i = 0; i < ARRAY_SIZE(quantities); i++)
		if (same(quantities[i].class, point->class))
			return &quantities[i];
	return NULL;
}

/* FNV-1a (draft-eastlake-fnv): points of one name differ from device to device. */
static uint32_t seed_of(const struct point *point, uint8_t address)
{
	uint32_t hash = (2166136261u ^ address) * 16777619u;

	for (const char *c = point->name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619u;
	return hash;
}

/* What a map says nothing about: from 0 up to what it can hold, and again. */
static double ramp(const struct point *point, double seconds)
{
	unsigned bits =
		point->bit_count ? point->bit_count : (unsigned)point_size(point) * 8;
	bool floating = point->type == TYPE_F32 || point->type == TYPE_F64;
	double most = floating || bits > 10 ? 1000 : ldexp(1, (int)bits - 1);

	if (point->type == TYPE_BOOL)
		return (double)((int64_t)(seconds / 10) & 1);
	return floor(fmod(seconds, 600) / 600 * (most + 1));
}

/* Through the names of its values, each for 5 s. */
static double step(const struct point *point, double seconds)
{
	return (double)point->values[(uint64_t)(seconds / 5) % point->value_count].value;
}

static double swing(const struct quantity *quantity, uint32_t seed, double seconds)
{
	double period = 20 + seed % 40, phase = seed % 7;

	return quantity->base + quantity->swing * sin(seconds / period + phase);
}

void measure(const struct device_map *map, size_t index, uint8_t address, double seconds,
	     uint8_t *bytes)
{
	const struct point *point = &map->points[index];
	const struct quantity *quantity = quantity_of(point);
	uint32_t seed = seed_of(point, address);
	struct point raw = *point;

	raw.scale = 1;
	raw.offset = 0;
	if (point->type == TYPE_STRING)
		raw_encode_text(point, map->name, bytes);
	else if (point->value_count > 0)
		raw_encode(&raw, step(point, seconds), bytes);
	else if (point->total)
		raw_encode(&raw, seed % 1000 + floor(seconds) / 8, bytes);
	else if (quantity)
		raw_encode(point, swing(quantity, seed, seconds), bytes);
	else
		raw_encode(&raw, ramp(point, seconds), bytes);
}

void measure_pinned(const struct point *point, double number, uint8_t *bytes)
{
	struct point raw = *point;

	raw.scale = 1;
	raw.offset = 0;
	raw_encode(&raw, number, bytes);
}
