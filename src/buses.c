/* SPDX-License-Identifier: Apache-2.0 */
/* buses.c - the buses of a configuration while they run. */
#include "buses.h"
#include "field/device.h"

#include <errno.h>
#include <string.h>

int buses_init(struct buses *buses, size_t count)
{
	*buses = (struct buses){
		.count = count,
		.buses = calloc(count, sizeof(*buses->buses)),
		.listeners = calloc(count, sizeof(*buses->listeners)),
		.confs = calloc(count, sizeof(*buses->confs)),
	};
	if (buses->buses && buses->listeners && buses->confs)
		return 0;
	buses->count = 0;
	return -ENOMEM;
}

void buses_done(struct buses *buses)
{
	for (size_t i = 0; i < buses->count; i++) {
		bus_free(buses->buses[i]);
		listener_free(buses->listeners[i]);
		conf_free(buses->confs[i]);
	}
	free(buses->buses);
	free(buses->listeners);
	free(buses->confs);
	*buses = (struct buses){ 0 };
}

int buses_start(struct buses *buses, size_t i, sd_event *loop, const struct config *config,
		mapping_sink *sink, void *data)
{
	const struct bus_config *bus = config->buses[i];

	buses->confs[i] = conf_share(config->conf);
	if (listener_is_for(bus))
		return listener_new(loop, bus, config->conf, sink, data, &buses->listeners[i]);
	return bus_new(loop, bus, config->conf, sink, data, &buses->buses[i]);
}

void buses_tell_outcomes(struct buses *buses, size_t i, outcome_sink *sink, void *data)
{
	if (buses->buses[i])
		bus_tell_outcomes(buses->buses[i], sink, data);
	else
		listener_tell_outcomes(buses->listeners[i], sink, data);
}

static bool has_device(const struct buses *buses, size_t i, const char *name)
{
	const struct device *devices = buses->buses[i] ? bus_devices(buses->buses[i]) :
							 listener_devices(buses->listeners[i]);

	for (size_t j = 0; j < buses_stats(buses, i).devices; j++)
		if (!strcmp(devices[j].config->name, name))
			return true;
	return false;
}

int buses_command(struct buses *buses, const struct command *command)
{
	for (size_t i = 0; i < buses->count; i++) {
		struct bus_stats stats;

		if (!has_device(buses, i, command->device))
			continue;
		stats = buses_stats(buses, i);
		/* It opens its port as soon as the loop runs. */
		if (!stats.open && !*stats.trouble)
			return -EAGAIN;
		return buses->buses[i] ? bus_command(buses->buses[i], command) :
					 listener_command(buses->listeners[i], command);
	}
	return -ENOENT;
}

bool buses_have_commands(const struct buses *buses, size_t i)
{
	return buses->buses[i] ? bus_has_commands(buses->buses[i])
			       : listener_has_commands(buses->listeners[i]);
}

void buses_take(struct buses *buses, size_t i, struct buses *from, size_t from_i)
{
	buses->buses[i] = TAKE_PTR(from->buses[from_i]);
	buses->listeners[i] = TAKE_PTR(from->listeners[from_i]);
	buses->confs[i] = TAKE_PTR(from->confs[from_i]);
}

void buses_leave(struct buses *buses, size_t i, bus_left *left, void *data)
{
	if (buses->buses[i])
		bus_leave(buses->buses[i], left, data);
	else
		listener_leave(buses->listeners[i], left, data);
}

struct bus_stats buses_stats(const struct buses *buses, size_t i)
{
	return buses->buses[i] ? bus_stats(buses->buses[i])
			       : listener_stats(buses->listeners[i]);
}
