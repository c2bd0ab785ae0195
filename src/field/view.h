/* SPDX-License-Identifier: Apache-2.0 */
/* view.h - a bus, its devices and their last values, for those who look into a gateway. */
#pragma once

#include "field/device.h"

/* Appends a bus as a JSON object: what bus_stats_json() has, with devices' names as `devices`. */
void view_bus(const struct bus_stats *stats, const struct device *devices, struct text *text);

/*
 * Appends a device: its state, counters and, by name, the last value of each point, how old
 * that is, and its quality: `good`, `stale` (not read for some of its periods), `refused` (the
 * device says that it has no such point) or `unread`.
 */
void view_device(const struct device *device, uint64_t now_us, struct text *text);
