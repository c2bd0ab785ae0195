/* SPDX-License-Identifier: Apache-2.0 */
/* bus.c - one port and what hangs on it: who is asked next, and what is told of it. */
#include "field/bus_state.h"

#include "base/units.h"
#include "bridge/clock.h"
#include "field/plan.h"

#include <errno.h>
#include <string.h>

static void ask_next(struct bus *bus);

static void wake_at(struct bus *bus, uint64_t time_us)
{
	sd_event_source_set_time(bus->timer, time_us);
	sd_event_source_set_enabled(bus->timer, SD_EVENT_ONESHOT);
}

static void leave(struct bus *bus);

/* --- the port --- */

static void lose_port(struct bus *bus, const char *why)
{
	wire_free(bus->wire);
	bus->wire = NULL;
	if (bus->device)
		bus->device->asking = false;
	bus->device = NULL;
	bus->writing = false;
	bus->lost++;
	writer_port_lost(bus->writer, why, clock_monotonic_us());
	sd_event_source_set_enabled(bus->timer, SD_EVENT_OFF);
	opener_lost(bus->opener, why);
	if (bus->leaving)
		leave(bus);
}

static void on_outcome(void *data, const struct wire_outcome *outcome);

static void on_open(void *data, struct port *port)
{
	struct bus *bus = data;
	int r = wire_new(bus->loop, bus->config, port, on_outcome, bus, &bus->wire);

	if (r < 0) {
		opener_lost(bus->opener, strerror(-r));
		return;
	}
	schedule_resume(&bus->schedule, clock_monotonic_us());
	ask_next(bus);
}

static void on_outcome(void *data, const struct wire_outcome *outcome)
{
	struct bus *bus = data;

	if (outcome->result == WIRE_GONE) {
		lose_port(bus, outcome->why);
		return;
	}
	bus_settle(bus, outcome);
	bus->device = NULL;
	ask_next(bus);
}

/* --- what is next --- */

static void look_at_load(struct bus *bus, uint64_t now_us)
{
	if (!schedule_look(&bus->schedule, now_us))
		return;
	if (bus->schedule.overloaded)
		log_about(LOG_WARNING, bus_subject(bus, NULL), "more is due than the wire carries: "
			  "all is read %.1f times less often", bus->schedule.stretch);
	else
		log_about(LOG_NOTICE, bus_subject(bus, NULL),
			  "the wire carries what is due again");
}

static void ask(struct bus *bus, struct device *device, const struct request *request,
		uint64_t now_us)
{
	device->counters.requests++;
	bus->device = device;
	bus->asked_us = now_us;
	wire_ask(bus->wire, device->driver, request);
}

static void write_next(struct bus *bus, uint64_t now_us)
{
	const struct request *request;
	struct device *device = writer_ask(bus->writer, now_us, &request);

	bus->writing = bus->reads_next = true;
	ask(bus, device, request, now_us);
}

static void read_next(struct bus *bus, struct device *device, uint64_t now_us)
{
	uint64_t time_us = schedule_time_us(&bus->schedule, now_us);

	if (!device->asking && device_choose(device, time_us, bus->schedule.room)) {
		bus_publish(bus, device, now_us);
		device_begin(device, now_us, time_us);
	}
	device->attempts++;
	bus->reads_next = false;
	ask(bus, device, &device->request, now_us);
}

static bool is_late(const struct bus *bus, const struct device *device, uint64_t now_us)
{
	uint64_t time_us = schedule_time_us(&bus->schedule, now_us);

	return device_deadline_us(device, time_us) <= time_us;
}

/*
 * Asks who is due, or sets the timer to when someone will be. Commands go first, but between
 * two of them something is read that is due.
 */
static void ask_next(struct bus *bus)
{
	uint64_t now_us = clock_monotonic_us(), read_us = UINT64_MAX, write_us;
	enum writer_urgency urgency;
	struct device *device = NULL;

	if (bus->leaving && writer_leave(bus->writer, now_us)) {
		leave(bus);
		return;
	}
	look_at_load(bus, now_us);
	urgency = writer_look(bus->writer, now_us, &write_us);
	if (!bus->leaving && (urgency <= WRITER_PATIENT ||
			      (urgency == WRITER_READY && bus->reads_next)))
		device = schedule_next(&bus->schedule, now_us, &read_us);
	if (device && (urgency != WRITER_PATIENT || is_late(bus, device, now_us)))
		read_next(bus, device, now_us);
	else if (urgency != WRITER_IDLE)
		write_next(bus, now_us);
	else
		wake_at(bus, read_us < write_us ? read_us : write_us);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct bus *bus = data;

	if (!bus->device)
		ask_next(bus);
	return 0;
}

/* --- its end --- */

/* What is still on its way must not meet the requests of those who have the port next. */
static void leave(struct bus *bus)
{
	uint64_t now_us = clock_monotonic_us(), quiet_us = 0;
	bus_left *left = bus->left;

	for (size_t i = 0; i < bus->config->device_count; i++)
		if (bus->devices[i].quiet_us > quiet_us)
			quiet_us = bus->devices[i].quiet_us;
	if (bus->wire && now_us < quiet_us) {
		wake_at(bus, quiet_us);
		return;
	}
	for (size_t i = 0; i < bus->config->device_count; i++)
		bus_publish(bus, &bus->devices[i], now_us);
	bus->left = NULL;
	if (left)
		left(bus->left_data);
}

void bus_leave(struct bus *bus, bus_left *left, void *data)
{
	bus->leaving = true;
	bus->left = left;
	bus->left_data = data;
	if (!bus->wire)
		leave(bus);
	else if (!bus->device)
		ask_next(bus);
}

/* --- commands --- */

void bus_tell_outcomes(struct bus *bus, outcome_sink *sink, void *data)
{
	writer_tell(bus->writer, sink, data);
}

bool bus_has_commands(const struct bus *bus)
{
	return writer_has_commands(bus->writer);
}

int bus_command(struct bus *bus, const struct command *command)
{
	const char *closed = bus->wire ? NULL : opener_trouble(bus->opener);
	int r = writer_take(bus->writer, command, closed);

	if (r == 0 && bus->wire && !bus->device)
		ask_next(bus);
	return r;
}

/* --- what is told of it --- */

uint64_t bus_idle_until_us(const struct bus *bus)
{
	uint64_t due_us = UINT64_MAX;

	if (bus->device || !bus->wire)
		return 0;
	for (size_t i = 0; i < bus->config->device_count; i++) {
		const struct device *device = &bus->devices[i];

		if (device->asking)
			return 0;
		if (device->next_due_us < due_us)
			due_us = device->next_due_us;
	}
	return due_us + bus->schedule.lag_us;
}

const struct device *bus_devices(const struct bus *bus)
{
	return bus->devices;
}

struct device_stats bus_device_stats(const struct bus *bus, size_t index)
{
	return device_stats(&bus->devices[index], clock_monotonic_us());
}

struct bus_stats bus_stats(const struct bus *bus)
{
	struct bus_stats stats = {
		.name = bus->config->name,
		.port = bus->config->port,
		.open = bus->wire != NULL,
		.trouble = opener_trouble(bus->opener),
		.devices = bus->config->device_count,
		.load = bus->schedule.load,
		.stretch = bus->schedule.stretch,
		.lost = bus->lost,
	};

	if (bus->wire)
		stats.line = wire_line_errors(bus->wire);
	for (size_t i = 0; i < stats.devices; i++) {
		stats.offline += bus->devices[i].state == DEVICE_OFFLINE;
		counters_add(&stats.counters, &bus->devices[i].counters);
	}
	return stats;
}

static struct bus_stats stats_of(const void *bus)
{
	return bus_stats(bus);
}

/* --- life --- */

static int add_devices(struct bus *bus, uint64_t now_us)
{
	const struct bus_config *config = bus->config;
	int r = 0;

	bus->devices = calloc(config->device_count, sizeof(*bus->devices));
	if (!bus->devices)
		return -ENOMEM;
	for (size_t i = 0; i < config->device_count && r == 0; i++)
		r = device_init(&bus->devices[i], &config->devices[i], config->name,
				bus->conf, now_us);
	if (r < 0)
		return r;
	return schedule_init(&bus->schedule, bus->devices, config->device_count, now_us);
}

int bus_new(sd_event *loop, const struct bus_config *config, const struct conf *conf,
	    mapping_sink *sink, void *data, struct bus **result)
{
	_cleanup_(bus_freep) struct bus *bus = calloc(1, sizeof(*bus));
	const struct bulletin_subject subject = {config->name, conf, stats_of, bus, sink, data};
	uint64_t now_us = clock_monotonic_us();
	int r;

	if (!bus)
		return -ENOMEM;
	bus->loop = sd_event_ref(loop);
	bus->config = config;
	bus->conf = conf;
	bus->sink = sink;
	bus->sink_data = data;
	r = add_devices(bus, now_us);
	if (r == 0)
		r = writer_new(config, bus->devices, &bus->writer);
	if (r == 0)
		r = sd_event_add_time(loop, &bus->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_timer,
				      bus);
	if (r >= 0)
		r = bulletin_new(loop, &subject, &bus->bulletin);
	if (r >= 0)
		r = opener_new(loop, config, on_open, bus, &bus->opener);
	if (r < 0)
		return r;
	*result = TAKE_PTR(bus);
	return 0;
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	sd_event_source_disable_unref(bus->timer);
	bulletin_free(bus->bulletin);
	opener_free(bus->opener);
	wire_free(bus->wire);
	writer_free(bus->writer);
	for (size_t i = 0; bus->devices && i < bus->config->device_count; i++)
		device_done(&bus->devices[i]);
	schedule_done(&bus->schedule);
	free(bus->devices);
	sd_event_unref(bus->loop);
	free(bus);
}
