/* SPDX-License-Identifier: Apache-2.0 */
/* map_examples.h - a map's examples: bytes on the wire, and the values that they mean. */
#pragma once

#include "config/schema.h"

/* Reads the map's `examples:`, when its driver and its points are read. */
void map_examples_read(struct schema *schema, const struct yaml_node *node,
		       struct device_map *map);
void map_examples_free(struct device_map *map);
