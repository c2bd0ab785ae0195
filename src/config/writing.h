/* SPDX-License-Identifier: Apache-2.0 */
/* writing.h - whether and how a point is written: its `write:`, and the numbers that it takes. */
#pragma once

#include "config/device_map.h"

struct schema;

/* How a point of a device that is not Modbus is written, in its map's own words. */
struct phrase {
	struct template command;     /* what is said */
	struct template frame_reply; /* frame: the bytes that confirm it; count 0: none do */
	struct pattern *
		text_reply; /* text: found in the line that confirms it; NULL: none does */
};

void phrase_free(struct phrase *phrase);

/*
 * Reads `write: {…}`, or `write: false`, which takes a map's permission back. What a device's
 * own line does not say stays as the map says it. In a map's line `locator` gets what is said
 * to a device that is not Modbus; NULL in a device's own line, where that can't be.
 */
void writing_read(struct schema *schema, const struct yaml_node *node,
		  enum driver_kind kind, struct locator *locator, struct point *point);

/* Notes what of it does not fit the point, whose line is whole by now. */
void writing_check(struct schema *schema, const struct yaml_node *node,
		   const struct framing *framing, const struct point *point);

/*
 * The least and the most that the point's type and scale can hold, or its `min:` and `max:`
 * where these are nearer. Not for strings and bool.
 */
void writing_range(const struct point *point, double *least, double *most);

/* Whether writing it twice does the same as writing it once: nothing else is ever repeated. */
bool writing_is_repeatable(const struct point *point);

/* Whether it is an action, a pulse or a command without a value: it only takes `on`. */
bool writing_is_action(const struct point *point);
