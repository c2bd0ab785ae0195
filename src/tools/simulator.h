/* SPDX-License-Identifier: Apache-2.0 */
/* simulator.h - devices played on a pseudo-terminal, paced as a wire is, from device maps. */
#pragma once

#include "config/bus_config.h"
#include "field/driver.h"
#include "tools/fault_plan.h"
#include "tools/sim_write.h"

#include <systemd/sd-event.h>

struct simulator;

struct simulator_stats {
	uint64_t requests;  /* whole and for one of our devices */
	uint64_t answers;   /* whole and right, the last byte given to the wire */
	uint64_t refused;   /* bytes that were no request, foreign addresses */
	uint64_t violations; /* requests that began before the silence was over */
};

/*
 * A pseudo-terminal on which nothing is played yet. `link` (may be NULL) becomes a symbolic
 * link to it, taken away by simulator_free(). Pacing is by `baud` and `format`, which need
 * not be what the terminal is set to. Returns 0 or -errno.
 */
int simulator_new(sd_event *loop, const char *link, uint32_t baud,
		  struct serial_format format, struct simulator **simulator)
	__attribute__((warn_unused_result));
void simulator_free(struct simulator *simulator);
DEFINE_CLEANUP(struct simulator *, simulator_free)

/*
 * Adds a device; -EEXIST when the address is taken (0: the device has none),
 * -EPROTONOSUPPORT when it is of another driver than those before it, or speaks in units and
 * its map has no examples. Polled devices hold registers; those that speak in units say their
 * map's examples in turn, each second or when they are asked. The map must outlive the
 * simulator.
 */
int simulator_add(struct simulator *simulator, const struct device_map *map, uint8_t address)
	__attribute__((warn_unused_result));
int simulator_add_fault(struct simulator *simulator, const struct fault_plan *fault)
	__attribute__((warn_unused_result));

/* Tells `sink` each point that is written, before the device answers. */
void simulator_tell_written(struct simulator *simulator, sim_written_sink *sink, void *data);

void simulator_clear_faults(struct simulator *simulator);

/*
 * Requests that come while the terminal is set to another speed than the simulator's are not
 * understood, as on a wire.
 */
void simulator_heed_speed(struct simulator *simulator);

/* All devices fall silent (or speak again). */
void simulator_mute(struct simulator *simulator, bool mute);
/* Pins a point's raw number, so that a test knows what comes out; -ENOENT. */
int simulator_set(struct simulator *simulator, uint8_t address, const char *point,
		  double number);

/* Makes a device that speaks in units say this example of its map alone; -ENOENT. */
int simulator_set_example(struct simulator *simulator, uint8_t address, size_t example);

/* Name of the slave side, /dev/pts/N. */
const char *simulator_path(const struct simulator *simulator);
struct simulator_stats simulator_stats(const struct simulator *simulator);
