/* SPDX-License-Identifier: Apache-2.0 */
/* sim_device.h - what a simulated device holds: its registers and bits, from its map. */
#pragma once

#include "field/driver.h"

struct pin {
	bool set;
	double number;
};

struct sim_device {
	const struct device_map *map;
	uint8_t address;
	struct pin *pins; /* one a point */
};

/* The map must outlive it. 0 or -ENOMEM. */
int sim_device_init(struct sim_device *device, const struct device_map *map,
		    uint8_t address) _must_check_;
void sim_device_done(struct sim_device *device);

/* Pins a point's raw number; -ENOENT. */
int sim_device_pin(const struct sim_device *device, const char *point, double number);

/* The exception that the request deserves, or 0. */
uint8_t sim_device_exception(const struct sim_device *device, const struct request *request);

/* The reply's data so long after the start: registers big-endian, or packed bits. */
void sim_device_fill(const struct sim_device *device, const struct request *request,
		     double seconds, uint8_t *data);
