/* SPDX-License-Identifier: Apache-2.0 */
/* meaning.h - what a point's number means, and when it is read and published. */
#pragma once

#include "config/device_map.h"
#include "config/schema.h"

/* The keys that say it, in defaults, lines and devices alike; they are read into a point. */
const struct schema_key *meaning_keys(void);

/* Reads its `values:`, which hang on the type, and notes what does not fit. */
void meaning_check(struct schema *schema, const struct yaml_node *line, struct point *point);

void point_values_free(struct point *point);
