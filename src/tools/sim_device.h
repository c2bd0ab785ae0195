/* SPDX-License-Identifier: Apache-2.0 */
/* sim_device.h - what a simulated device holds: its registers, or what it says, of its map. */
#pragma once

#include "field/driver.h"

struct pin {
	bool set;
	double number;
};

/* A register or a coil that was written, in place of what the map has there. */
struct sim_cell {
	enum table table;
	uint16_t addr, value;
	double until_s; /* a coil that clears itself; INFINITY: it stays */
};

struct sim_device {
	const struct device_map *map;
	uint8_t address;
	struct pin *pins; /* one a point */
	struct sim_cell *cells;
	size_t cell_count;
	unsigned *on_counts; /* of each point that is a bool: times it was switched on */

	/* of a device that speaks in units: its map's examples, in turn */
	size_t example; /* the next one */
	bool pinned;    /* it stays that one */
	bool set_up;    /* it was told its map's `setup:`; before that it says nothing */
	size_t begun;   /* bytes of it that were said, until what was acknowledged goes on */
};

/* Bytes of the map's, given out as they are. */
struct saying {
	const uint8_t *bytes;
	size_t length;
	/* the example whose command it answers, and the device that it is for; or NULL */
	const struct example *written;
	const struct sim_device *device;
};

/* Whether a device of this map can be simulated: one that speaks in units needs examples. */
bool sim_device_is_possible(const struct device_map *map);

/* The map must outlive it. 0 or -ENOMEM. */
int sim_device_init(struct sim_device *device, const struct device_map *map,
		    uint8_t address) _must_check_;
void sim_device_done(struct sim_device *device);

/* Pins a point's raw number, whatever was written to it before; -ENOENT. */
int sim_device_pin(struct sim_device *device, const char *point, double number);

/* Holds what is written to a register or coil; false: memory is short. */
bool sim_device_hold(struct sim_device *device, enum table table, uint16_t addr, uint16_t value,
		     double until_s);

/* The exception that a request that reads deserves, or 0. */
uint8_t sim_device_exception(const struct sim_device *device, const struct request *request);

/* The reply's data so long after the start: registers big-endian, or packed bits. */
void sim_device_fill(const struct sim_device *device, const struct request *request,
		     double seconds, uint8_t *data);

/* Makes it say this example alone; -ENOENT. */
int sim_device_pin_example(struct sim_device *device, size_t example);

/* What it says next, unasked. */
struct saying sim_device_say(struct sim_device *device);

/*
 * What it says to the bytes that it hears, if they begin with its request (or its setup, or,
 * in the midst of an answer, with what it waits for), which are *used; MORE where they may
 * become that. Said may be nothing.
 */
enum serve_status sim_device_hear(struct sim_device *device, const uint8_t *bytes, size_t n,
				  size_t *used, struct saying *saying);
