/* SPDX-License-Identifier: Apache-2.0 */
/* bus.h - one port and what hangs on it: one request on the wire at a time. */
#pragma once

#include "bridge/mapping.h"
#include "field/errand.h"
#include "field/stats.h"

#include <systemd/sd-event.h>

struct bus;
struct device;

/*
 * A bus that polls as soon as `loop` runs, and gives its messages to `sink`. A port that is
 * missing is waited for. The configuration must outlive it. 0 or -errno.
 */
int bus_new(sd_event *loop, const struct bus_config *config, const struct conf *conf,
	    mapping_sink *sink, void *data, struct bus **bus) _must_check_;
void bus_free(struct bus *bus);
DEFINE_CLEANUP(struct bus *, bus_free)

/*
 * Has it ask nothing more. `left` is told, once, when what it asked is answered, or can't be any
 * more, and all that was read was given to the sink: then it is to be freed, not from in there.
 */
typedef void bus_left(void *data);
void bus_leave(struct bus *bus, bus_left *left, void *data);

/* Who is told what becomes of commands; to be set before the first one. */
void bus_tell_outcomes(struct bus *bus, outcome_sink *sink, void *data);

/*
 * Takes a command for one of its devices, which goes ahead of all that is due to be read. 0:
 * its outcome will be told, perhaps from in here, and at the latest by bus_free(); -ENOENT: the
 * bus has no such device.
 */
int bus_command(struct bus *bus, const struct command *command) _must_check_;

/* Whether there are any whose outcome is not told, or a pulse that is not cleared. */
bool bus_has_commands(const struct bus *bus);

/*
 * When something is to be asked next, on CLOCK_MONOTONIC; 0: a request is under way, or the
 * port is not open.
 */
uint64_t bus_idle_until_us(const struct bus *bus);

/* Its devices, as many and in the order as configured. */
const struct device *bus_devices(const struct bus *bus);

/* What was counted so far: of the bus, and of its i-th device as configured. */
struct bus_stats bus_stats(const struct bus *bus);
struct device_stats bus_device_stats(const struct bus *bus, size_t index);
