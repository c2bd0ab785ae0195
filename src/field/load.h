/* SPDX-License-Identifier: Apache-2.0 */
/* load.h - the share of the time in which bytes are on a wire, of those that go over it. */
#pragma once

#include "config/bus_config.h"

/* The window that is being filled, and what the last one's share was. */
struct load {
	uint64_t begun_us, busy_us;
	double share;
};

void load_init(struct load *load, uint64_t now_us);
/* So many bytes went over the bus's wire by now. */
void load_add(struct load *load, const struct bus_config *bus, size_t bytes, uint64_t now_us);
/* Of the last seconds, 0 to 1. */
double load_share(const struct load *load, uint64_t now_us);
