/* SPDX-License-Identifier: Apache-2.0 */
/* example.h - a map's worked examples, played through its driver. */
#pragma once

#include "field/driver.h"

/* Notes a fault where the value is not what the example says of its point. */
void example_compare(const struct device_map *map, const struct example_value *example,
		     const struct value *value, struct faults *faults);

/*
 * Plays an example of a driver that has .next: `receive` must be whole units that hold the
 * points with their values, and `send`, where there is one, the map's request.
 */
void example_play_stream(const struct device_map *map, const struct example *example,
			 const struct driver *driver, struct faults *faults);

/*
 * Plays an example of a write: `send` must be what the gateway sends to write the values (of
 * bits of a register: with them in it), and `receive` must confirm it.
 */
void example_play_write(const struct device_map *map, const struct example *example,
			const struct driver *driver, struct faults *faults);
