/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus.c - one port and what hangs on it: who is asked what, and what becomes of it.
 *
 * A reply does not say which register it is for. So after a timeout either the identical
 * request is repeated, to which a late reply is the right reply, or the device is asked
 * nothing until none can come any more. Other devices may be asked meanwhile: a reply does
 * say whose it is.
 */
#include "field/bus.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/bulletin.h"
#include "field/opener.h"
#include "field/plan.h"
#include "field/schedule.h"
#include "field/wire.h"

#include <errno.h>
#include <string.h>

enum {
	/* A busy device is asked again after the first, and at last at the most. */
	BUSY_FIRST_US = 100 * 1000,
	BUSY_MOST_US = 5 * 1000 * 1000,
	/* So many times in a row it is worth a line. */
	BUSY_TOLD = 5,
};

/* MODBUS Application Protocol V1.1b3, section 7. */
enum {
	EXCEPTION_FUNCTION = 1,
	EXCEPTION_ADDRESS = 2,
	EXCEPTION_VALUE = 3,
	EXCEPTION_ACKNOWLEDGE = 5,
	EXCEPTION_BUSY = 6,
	EXCEPTION_PATH = 0x0A,
	EXCEPTION_TARGET = 0x0B,
};

struct bus {
	sd_event *loop;
	const struct bus_config *config;
	const struct conf *conf;
	mapping_sink *sink;
	void *sink_data;
	struct device *devices;
	struct schedule schedule;
	struct opener *opener;
	struct wire *wire; /* NULL: the port is not there */
	struct bulletin *bulletin;
	sd_event_source *timer;
	struct device *device; /* the one that is asked */
	uint64_t asked_us;     /* since then */
	uint64_t lost; /* times that the port was */

	bool leaving;      /* nothing more is asked */
	uint64_t quiet_us; /* an answer that nobody waits for may come until then */
	bus_left *left;    /* NULL: nobody is to be told */
	void *left_data;
};

static void ask_next(struct bus *bus);

/* What a line of the log is about; `device` may be NULL. */
static struct log_subject subject(const struct bus *bus, const struct device *device)
{
	return (struct log_subject){ bus->config->name, device ? device->config->name : NULL };
}

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
	bus->lost++;
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

/* --- what becomes of a request --- */

static uint64_t bus_time_us(const struct bus *bus, const struct wire_outcome *outcome)
{
	return schedule_time_us(&bus->schedule, outcome->now_us);
}

static void announce(struct bus *bus, const struct device *device)
{
	device_announce(device, &bus->conf->publish, bus->sink, bus->sink_data);
}

static void publish(struct bus *bus, struct device *device, uint64_t now_us)
{
	if (device->reading_count &&
	    device_publish(device, &bus->conf->publish, now_us, bus->sink,
			   bus->sink_data) == -EMSGSIZE)
		log_about(LOG_ERR, subject(bus, device), "a message of it would be too long");
}

/* The device said something, be it that it can't. */
static void request_answered(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	enum device_state before = device->state;

	if (!device_answered(device, outcome->now_us, bus_time_us(bus, outcome)))
		return;
	if (before == DEVICE_OFFLINE)
		log_about(LOG_NOTICE, subject(bus, device), "answers again");
	announce(bus, device);
}

/*
 * The request was repeated, and what came may be the answer to the first attempt. Then the
 * last one's comes as much later as it was sent later: until then nothing else is asked.
 */
static void await_owed(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	uint64_t wait_us = device->vain_us + bus->config->timeout_us;

	if (!device->owed)
		return;
	device_rest(device, outcome->now_us, bus_time_us(bus, outcome), wait_us);
	bus->quiet_us = outcome->now_us + wait_us;
}

/* With the request, the poll may be done. */
static void request_done(struct bus *bus, bool poll_done, const struct wire_outcome *outcome)
{
	await_owed(bus, outcome);
	if (!poll_done)
		return;
	bus->device->polling = false;
	publish(bus, bus->device, outcome->now_us);
}

static void request_good(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;

	device->counters.answers++;
	latency_add(&device->counters.latency, outcome->latency_us);
	request_answered(bus, outcome);
	device->busy = 0;
	device->excepted = false;
	device_take(device, &outcome->reply, outcome->now_us);
	request_done(bus, device_settle(device, bus_time_us(bus, outcome), 0), outcome);
}

/* The request is given up, and with it the poll. */
static void request_failed(struct bus *bus, const char *why, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;

	if (device_failed(device, outcome->now_us, bus_time_us(bus, outcome))) {
		log_about(LOG_WARNING, subject(bus, device),
			  "%s (%u requests given up), asking less often", why, device->failures);
		announce(bus, device);
	}
	publish(bus, device, outcome->now_us);
}

/* It has the request, or no time for it: it is to be asked again later. */
static void request_too_early(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	uint64_t wait_us = BUSY_FIRST_US;

	for (unsigned i = 0; i < device->busy && wait_us < BUSY_MOST_US; i++)
		wait_us *= 2;
	if (++device->busy == BUSY_TOLD)
		log_about(LOG_NOTICE, subject(bus, device), "%s, again and again",
			  device->driver->exception_name(outcome->reply.exception));
	device->asking = false;
	device_rest(device, outcome->now_us, bus_time_us(bus, outcome),
		    wait_us < BUSY_MOST_US ? wait_us : BUSY_MOST_US);
	request_done(bus, false, outcome);
}

/*
 * There is something among what was asked for that this model does not have, or the request
 * is larger than it can answer: it is asked for in parts, until it is known what that is.
 */
static void request_refused(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	uint16_t count = device->request.point_count;
	uint16_t point = device->points[device->request.point_first];

	if (count == 1 && !device->split.refused[point])
		log_about(LOG_WARNING, subject(bus, device),
			  "%s: %s; hardly ever asking for it again",
			  device->config->points[point].name,
			  device->driver->exception_name(outcome->reply.exception));
	request_done(bus, device_refuse(device, bus_time_us(bus, outcome)), outcome);
}

/* The device understood and said no. */
static void request_excepted(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	uint8_t exception = outcome->reply.exception;
	const char *name = device->driver->exception_name(exception);

	device->counters.refused[REPLY_EXCEPTION]++;
	if (exception == EXCEPTION_PATH || exception == EXCEPTION_TARGET) {
		/* A gateway before it speaks; to repeat that at once would cost its timeout. */
		request_failed(bus, name, outcome);
		return;
	}
	request_answered(bus, outcome);
	switch (exception) {
	case EXCEPTION_ACKNOWLEDGE:
	case EXCEPTION_BUSY:
		request_too_early(bus, outcome);
		return;
	case EXCEPTION_FUNCTION:
	case EXCEPTION_ADDRESS:
	case EXCEPTION_VALUE:
		request_refused(bus, outcome);
		return;
	}
	if (!device->excepted)
		log_about(LOG_WARNING, subject(bus, device), "%s", name);
	device->excepted = true;
	request_done(bus, device_settle(device, bus_time_us(bus, outcome), 0), outcome);
}

/*
 * Whether the device's answer may come yet. One that was cut or damaged was it; what was not
 * from this device, or not to this request, was another one's that came late.
 */
static bool is_owed(const struct wire_outcome *outcome)
{
	return outcome->result == WIRE_TIMEOUT || (outcome->reply.status != REPLY_CHECKSUM &&
						   outcome->reply.status != REPLY_MORE);
}

/* An attempt without an answer: the same is asked again, unless that was often enough. */
static void attempt_failed(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	enum reply_status status = outcome->reply.status;
	char why[64], text[32];

	if (outcome->result == WIRE_TIMEOUT)
		device->counters.timeouts++;
	else
		device->counters.refused[status]++;
	if (is_owed(outcome)) {
		device->owed++;
		bus->quiet_us = outcome->now_us + bus->config->timeout_us;
	}
	if (device_missed(device, bus->config->retries, bus_time_us(bus, outcome),
			  outcome->now_us - bus->asked_us))
		return;
	if (outcome->result == WIRE_TIMEOUT)
		snprintf(why, sizeof(why), "no answer in %s",
			 format_duration(bus->config->timeout_us, text, sizeof(text)));
	else
		snprintf(why, sizeof(why), "no right answer: %s", reply_status_name(status));
	request_failed(bus, why, outcome);
}

static void on_outcome(void *data, const struct wire_outcome *outcome)
{
	struct bus *bus = data;

	if (outcome->result == WIRE_GONE) {
		lose_port(bus, outcome->why);
		return;
	}
	if (outcome->result != WIRE_ANSWERED)
		attempt_failed(bus, outcome);
	else if (outcome->reply.status == REPLY_EXCEPTION)
		request_excepted(bus, outcome);
	else
		request_good(bus, outcome);
	bus->device = NULL;
	ask_next(bus);
}

/* --- what is next --- */

static void look_at_load(struct bus *bus, uint64_t now_us)
{
	if (!schedule_look(&bus->schedule, now_us))
		return;
	if (bus->schedule.overloaded)
		log_about(LOG_WARNING, subject(bus, NULL), "more is due than the wire carries: "
			  "all is read %.1f times less often", bus->schedule.stretch);
	else
		log_about(LOG_NOTICE, subject(bus, NULL),
			  "the wire carries what is due again");
}

/* Asks who is due, or sets the timer to when someone will be. */
static void ask_next(struct bus *bus)
{
	struct schedule *schedule = &bus->schedule;
	uint64_t now_us = clock_monotonic_us(), wake_us, time_us;
	struct device *device;

	if (bus->leaving) {
		leave(bus);
		return;
	}
	look_at_load(bus, now_us);
	device = schedule_next(schedule, now_us, &wake_us);
	if (!device) {
		wake_at(bus, wake_us);
		return;
	}
	time_us = schedule_time_us(schedule, now_us);
	if (!device->asking && device_choose(device, time_us, schedule->room)) {
		publish(bus, device, now_us);
		device_begin(device, now_us, time_us);
	}
	device->attempts++;
	device->counters.requests++;
	bus->device = device;
	bus->asked_us = now_us;
	wire_ask(bus->wire, device->driver, &device->request);
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
	uint64_t now_us = clock_monotonic_us();
	bus_left *left = bus->left;

	if (bus->wire && now_us < bus->quiet_us) {
		wake_at(bus, bus->quiet_us);
		return;
	}
	for (size_t i = 0; i < bus->config->device_count; i++)
		publish(bus, &bus->devices[i], now_us);
	bus->left = NULL;
	if (left)
		left(bus->left_data);
}

void bus_leave(struct bus *bus, bus_left *left, void *data)
{
	bus->leaving = true;
	bus->left = left;
	bus->left_data = data;
	if (!bus->device)
		leave(bus);
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
	for (size_t i = 0; bus->devices && i < bus->config->device_count; i++)
		device_done(&bus->devices[i]);
	schedule_done(&bus->schedule);
	free(bus->devices);
	sd_event_unref(bus->loop);
	free(bus);
}
