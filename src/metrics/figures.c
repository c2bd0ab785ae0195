/* SPDX-License-Identifier: Apache-2.0 */
/* figures.c - all that is counted in a gateway, at one moment. */
#include "metrics/figures.h"
#include "bridge/clock.h"
#include "field/device.h"

#include <errno.h>
#include <string.h>

/* Room for what there is, names included. */
static int make_room(struct figures *figures, const struct config *config)
{
	size_t bytes = 1;

	figures->bus_count = config->bus_count;
	for (size_t i = 0; i < config->bus_count; i++) {
		const struct bus_config *bus = config->buses[i];

		figures->device_count += bus->device_count;
		bytes += strlen(bus->name) + 1;
		for (size_t j = 0; j < bus->device_count; j++)
			bytes += strlen(bus->devices[j].name) + 1;
	}
	figures->names = malloc(bytes);
	figures->buses = calloc(figures->bus_count + 1, sizeof(*figures->buses));
	figures->devices = calloc(figures->device_count + 1, sizeof(*figures->devices));
	return figures->names && figures->buses && figures->devices ? 0 : -ENOMEM;
}

static const char *keep_name(const char *name, char **names)
{
	const char *kept = *names;

	*names = stpcpy(*names, name) + 1;
	return kept;
}

static void take_device(const struct device *device, uint64_t now_us, const char *bus,
			char **names, struct figures_device *figures)
{
	struct device_stats stats = device_stats(device, now_us);

	figures->bus = bus;
	figures->name = keep_name(stats.name, names);
	figures->online = device->state == DEVICE_ONLINE;
	figures->silent_us = stats.silent_us;
	figures->counters = stats.counters;
}

static void take_buses(const struct report_subject *subject, uint64_t now_us,
		       struct figures *figures)
{
	struct figures_device *next = figures->devices;
	char *names = figures->names;

	for (size_t i = 0; i < figures->bus_count; i++) {
		const struct bus *bus = subject->buses[i];
		const struct listener *listener = subject->listeners[i];
		const struct device *devices = bus ? bus_devices(bus)
						   : listener_devices(listener);
		struct bus_stats *stats = &figures->buses[i].stats;

		*stats = bus ? bus_stats(bus) : listener_stats(listener);
		stats->name = keep_name(stats->name, &names);
		stats->port = stats->trouble = NULL;
		for (size_t j = 0; j < stats->devices; j++)
			take_device(&devices[j], now_us, stats->name, &names, next++);
	}
}

int figures_take(const struct report_subject *subject, uint64_t begun_us,
		 struct figures **result)
{
	_cleanup_(figures_freep) struct figures *figures = calloc(1, sizeof(*figures));
	const struct conf *conf = subject->config->conf;
	uint64_t now_us = clock_monotonic_us();
	int r;

	if (!figures)
		return -ENOMEM;
	r = make_room(figures, subject->config);
	if (r < 0)
		return r;
	snprintf(figures->gateway, sizeof(figures->gateway), "%s", conf->gateway);
	figures->now_ms = clock_wall_ms();
	figures->uptime_us = now_us - begun_us;
	figures->clock_synced = clock_is_synced();
	figures->spool_max_bytes = conf->spool.max_bytes;
	uplink_describe(subject->uplink, &figures->uplink);
	figures->link_us = now_us - figures->uplink.session.since_us;
	take_buses(subject, now_us, figures);
	*result = TAKE_PTR(figures);
	return 0;
}

void figures_free(struct figures *figures)
{
	if (!figures)
		return;
	free(figures->buses);
	free(figures->devices);
	free(figures->names);
	free(figures);
}
