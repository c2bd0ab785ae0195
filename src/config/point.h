/* SPDX-License-Identifier: Apache-2.0 */
/* point.h - one point's line of YAML, with the map's defaults under it. */
#pragma once

#include "config/device_map.h"
#include "config/schema.h"

/*
 * What every point begins with: u16 in the holding table (or a number, in text), every 10 s,
 * and on top of it what the map's `defaults:` says. A default order or nan holds for the
 * points that are as long as it is (order) or have the same type (nan); the others go without.
 */
struct point_defaults {
	struct point point;
	const struct yaml_node *order, *nan;
	unsigned base; /* what the map's addresses are counted from, 0 or 1 */
	enum driver_kind kind;
};

void point_defaults_init(struct point_defaults *defaults, enum driver_kind kind);
void point_defaults_free(struct point_defaults *defaults);

/* Reads the map's `defaults:`. */
void point_defaults_read(struct schema *schema, const struct yaml_node *node,
			 struct point_defaults *defaults);

/*
 * Reads one point: its name and its line. `locator` and `point` begin as zeros and are to be
 * freed with locator_free() and points_free() whatever became of them.
 */
void point_read(struct schema *schema, const struct yaml_node *name,
		const struct yaml_node *node, const struct point_defaults *defaults,
		const struct framing *framing, struct locator *locator, struct point *point);
