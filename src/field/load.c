/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - the share of the time in which bytes are on a wire, of those that go over it. */
#include "field/load.h"
#include "base/units.h"
#include "field/plan.h"

#define WINDOW_US (10 * USEC_PER_SEC)

void load_init(struct load *load, uint64_t now_us)
{
	*load = (struct load){.begun_us = now_us};
}

/* A window that nothing came after for long is as much longer. */
double load_share(const struct load *load, uint64_t now_us)
{
	uint64_t window_us = now_us - load->begun_us;
	double share;

	if (window_us < WINDOW_US)
		return load->share;
	share = (double)load->busy_us / (double)window_us;
	return share < 1 ? share : 1;
}

void load_add(struct load *load, const struct bus_config *bus, size_t bytes, uint64_t now_us)
{
	load->busy_us += plan_characters_us(bytes, bus->baud, bus->format);
	if (now_us - load->begun_us < WINDOW_US)
		return;
	load->share = load_share(load, now_us);
	load->begun_us = now_us;
	load->busy_us = 0;
}
