/* SPDX-License-Identifier: Apache-2.0 */
/* bus_reading.h - what the two readers of a bus file share. */
#pragma once

#include "config/bus_config.h"
#include "config/schema.h"

/* A bus file while it is read. */
struct reading_bus {
	struct bus_config *bus;
	struct map_library *library;
	struct item *item; /* of its devices, which is read now */
};

/* bus_config.c - how many commands a second. */
void bus_read_rate(struct schema *schema, const struct yaml_node *node, double *rate);

/* bus_devices.c - the value of `devices:`; `data` is the struct reading_bus. */
void bus_read_devices(struct schema *schema, const struct yaml_node *node, void *data);
