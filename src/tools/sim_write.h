/* SPDX-License-Identifier: Apache-2.0 */
/* sim_write.h - what a simulated device does when it is written to. */
#pragma once

#include "tools/sim_device.h"

/* One point that was written. */
struct sim_written {
	const struct device_map *map;
	uint8_t address;
	const struct point *point;
	struct value value;
	unsigned on_count; /* of a bool: times that it was switched on so far */
};

typedef void sim_written_sink(void *data, const struct sim_written *written);

/*
 * Writes what a request writes, `bytes` being its data as they are on the wire of Modbus RTU,
 * and tells each point that has them. Returns 0, or the exception that it deserves: 1 where no
 * point of that table can be written, 2 where one of the request's can't, 3 for values that
 * the point's map excludes.
 */
uint8_t sim_device_write(struct sim_device *device, const struct request *request,
			 const uint8_t *bytes, double seconds, sim_written_sink *sink,
			 void *data);

/* Tells each point that was written by the command that this answers, if it answers one. */
void sim_saying_tell(const struct saying *saying, sim_written_sink *sink, void *data);
