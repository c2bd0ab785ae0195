/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus.c - one port and what hangs on it: what is due, one request on the wire at a time.
 *
 *      ┌─ CLOSED ◀──────── hang-up, error ──────────────────────────────┐
 *      ▼                                                                │
 *     IDLE ── due ─▶ SILENT ── legal ─▶ WAITING ── whole reply ─▶ next request, or IDLE
 *                      ▲                   │
 *                      ├── the same again ─┤ timeout, or refused and the line quiet again
 *                      └── QUIET ◀─────────┘ given up
 *
 * A reply does not say which register it is for. So after a timeout either the identical
 * request is repeated, to which a late reply is the right reply, or the bus is kept quiet
 * for as long again and drained before anything else is asked (QUIET).
 */
#include "field/bus.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/device.h"
#include "field/plan.h"
#include "field/port.h"

#include <errno.h>
#include <string.h>

enum {
	REOPEN_US = 1000 * 1000,
	/* A reply that has begun may pause so long before it counts as cut short. */
	PAUSE_US = 50 * 1000,
	/* Timers are set at most so much earlier, for what they are usually late. */
	EARLY_MOST_US = 150,
	RECEIVE_MAX = 2 * FRAME_MAX,
};

enum bus_state {
	BUS_CLOSED,
	BUS_IDLE,
	BUS_SILENT,  /* a request waits until the line was silent for long enough */
	BUS_WAITING, /* a request is out */
	BUS_QUIET,   /* a late reply may still come */
};

struct bus {
	sd_event *loop;
	const struct bus_config *config;
	const struct conf *conf;
	mapping_sink *sink;
	void *sink_data;
	struct device *devices;
	struct port *port;
	sd_event_source *port_source, *timer;
	enum bus_state state;
	char trouble[PORT_TROUBLE_MAX]; /* with the port, as last said */

	struct device *device;   /* the one that is polled */
	unsigned attempts;       /* of the request that is out */
	bool late_reply;         /* one may come: a request timed out and was repeated */
	uint64_t silence_us, active_us; /* when the line was last active */
	uint64_t listen_us;      /* no whole answer can be there before */
	uint64_t late_us;        /* that timers are, usually */
	uint8_t frame[FRAME_MAX];
	size_t frame_length, echo_length;
	uint8_t received[RECEIVE_MAX];
	size_t received_length;
	uint64_t deadline_us;
	struct bus_stats stats;
};

static void step(struct bus *bus);

static void wake_at(struct bus *bus, uint64_t time_us)
{
	sd_event_source_set_time(bus->timer, time_us);
	sd_event_source_set_enabled(bus->timer, SD_EVENT_ONESHOT);
}

/* --- the port --- */

static void close_port(struct bus *bus, const char *why)
{
	bus->port_source = sd_event_source_disable_unref(bus->port_source);
	port_close(bus->port);
	bus->port = NULL;
	bus->device = NULL;
	bus->late_reply = false;
	bus->state = BUS_CLOSED;
	if (strcmp(bus->trouble, why)) {
		snprintf(bus->trouble, sizeof(bus->trouble), "%s", why);
		log_error("bus %s: %s: %s; trying again each second", bus->config->name,
			  bus->config->port, why);
	}
	wake_at(bus, clock_monotonic_us() + REOPEN_US);
}

static int on_port(sd_event_source *source, int fd, uint32_t events, void *data);

static void open_port(struct bus *bus)
{
	char trouble[PORT_TROUBLE_MAX] = "out of memory";
	int r = port_open(bus->config, &bus->port, trouble);

	if (r == 0)
		r = sd_event_add_io(bus->loop, &bus->port_source, port_fd(bus->port), EPOLLIN,
				    on_port, bus);
	if (r < 0) {
		close_port(bus, trouble);
		return;
	}
	log_info("bus %s: %s is open, %u baud, %zu devices", bus->config->name,
		 bus->config->port, bus->config->baud, bus->config->device_count);
	bus->trouble[0] = '\0';
	bus->state = BUS_IDLE;
	bus->active_us = clock_monotonic_us();
}

/* --- what becomes of a poll --- */

static void announce(struct bus *bus, const struct device *device)
{
	device_announce(device, &bus->conf->publish, bus->sink, bus->sink_data);
}

static void poll_done(struct bus *bus)
{
	struct device *device = bus->device;
	uint64_t now_us = clock_monotonic_us();

	if (device->reading_count &&
	    device_publish(device, &bus->conf->publish, now_us, bus->sink,
			   bus->sink_data) == -EMSGSIZE)
		log_error("bus %s: %s: a message of it would be too long", bus->config->name,
			  device->config->name);
	device_reschedule(device, now_us);
	bus->device = NULL;
}

static void go_on(struct bus *bus)
{
	bus->attempts = 0;
	if (++bus->device->request_index == bus->device->request_count)
		poll_done(bus);
	/* A second reply, to the request that was repeated, may still come. */
	bus->state = bus->late_reply ? BUS_QUIET : bus->device ? BUS_SILENT : BUS_IDLE;
	bus->deadline_us = clock_monotonic_us() + bus->config->timeout_us;
	bus->late_reply = false;
}

static void request_answered(struct bus *bus)
{
	struct device *device = bus->device;
	enum device_state before = device->state;

	if (!device_answered(device))
		return;
	if (before == DEVICE_OFFLINE)
		log_notice("bus %s: %s: answers again", bus->config->name,
			   device->config->name);
	announce(bus, device);
}

static void request_good(struct bus *bus, const struct reply *reply)
{
	struct device *device = bus->device;

	bus->stats.answers++;
	request_answered(bus);
	device_take(device, &device->requests[device->request_index], reply);
	go_on(bus);
}

/*
 * The device understood and said no. Exception 2 to a request of several points: one of
 * them is not there in this model, so from now on each is asked for by itself.
 */
static void request_excepted(struct bus *bus, uint8_t exception)
{
	struct device *device = bus->device;
	const struct request *request = &device->requests[device->request_index];
	bool split = exception == 2 && request->point_count > 1;

	request_answered(bus);
	for (uint16_t i = 0; i < request->point_count; i++) {
		uint16_t point = device->points[request->point_first + i];

		if (!split && !device->alone[point])
			log_warning("bus %s: %s: %s: %s", bus->config->name,
				    device->config->name,
				    device->config->points[point].name,
				    device->driver->exception_name(exception));
		device->alone[point] = true;
	}
	if (split)
		log_info("bus %s: %s: refuses a request for %u points; asking for each",
			 bus->config->name, device->config->name, request->point_count);
	go_on(bus);
}

/* The request is given up, and with it the poll: the rest would cost as much. */
static void request_failed(struct bus *bus)
{
	struct device *device = bus->device;
	char text[32];

	if (device_failed(device, clock_monotonic_us())) {
		log_warning("bus %s: %s: no answer in %s (%u times), asking less often",
			    bus->config->name, device->config->name,
			    format_duration(bus->config->timeout_us, text, sizeof(text)),
			    device->failures * (bus->config->retries + 1));
		announce(bus, device);
	}
	poll_done(bus);
	bus->attempts = 0;
	bus->late_reply = false;
	bus->state = BUS_QUIET;
	bus->deadline_us = clock_monotonic_us() + bus->config->timeout_us;
}

/* An attempt without a good reply. */
static void attempt_failed(struct bus *bus)
{
	bool probing = bus->device->state == DEVICE_OFFLINE;

	if (probing || bus->attempts > bus->config->retries) {
		request_failed(bus);
		return;
	}
	bus->state = BUS_SILENT;
}

/* --- sending --- */

/*
 * A line that brings its characters one by one would wake us for each. Nobody has to look
 * before a whole answer can be there; hang-up and errors are told all the same.
 */
static void listen(struct bus *bus, bool on)
{
	sd_event_source_set_io_events(bus->port_source, on ? EPOLLIN : 0);
}

static void send_request(struct bus *bus)
{
	struct device *device = bus->device;
	const struct request *request = &device->requests[device->request_index];
	ssize_t n;

	port_drain(bus->port);
	bus->received_length = 0;
	bus->frame_length = device->driver->request(request, bus->frame);
	bus->echo_length = bus->config->echo ? bus->frame_length : 0;
	n = port_write(bus->port, bus->frame, bus->frame_length);
	if (n < 0) {
		close_port(bus, strerror(-n));
		return;
	}
	bus->stats.requests++;
	bus->attempts++;
	/* The bytes are on the wire for their time, however soon write() returns. */
	bus->active_us = clock_monotonic_us() +
			 plan_characters_us(bus->frame_length, bus->config->baud,
					    bus->config->format);
	bus->deadline_us = bus->active_us + bus->config->timeout_us;
	bus->listen_us = bus->active_us +
			 plan_characters_us(device->driver->reply_length(request),
					    bus->config->baud, bus->config->format);
	if (bus->listen_us > bus->deadline_us)
		bus->listen_us = bus->deadline_us;
	listen(bus, false);
	bus->state = BUS_WAITING;
}

/* --- receiving --- */

/* Takes our own bytes off where the adapter echoes them. */
static bool strip_echo(struct bus *bus)
{
	if (!bus->echo_length)
		return true;
	if (bus->received_length < bus->echo_length)
		return false;
	if (!memcmp(bus->received, bus->frame, bus->echo_length)) {
		bus->received_length -= bus->echo_length;
		memmove(bus->received, bus->received + bus->echo_length,
			bus->received_length);
	}
	bus->echo_length = 0;
	return true;
}

/*
 * Looks for the reply. Bytes in front of it, as a driver that is turned round makes them, are
 * passed over: address, function, length and checksum have to be right behind them.
 */
static struct reply find_reply(const struct bus *bus)
{
	const struct device *device = bus->device;
	const struct request *request = &device->requests[device->request_index];
	struct reply found = { .status = REPLY_MORE };

	for (size_t i = 0; i < bus->received_length; i++) {
		struct reply reply = device->driver->reply(request, bus->received + i,
							   bus->received_length - i);

		if (reply.status == REPLY_OK || reply.status == REPLY_EXCEPTION)
			return reply;
		if (i == 0)
			found = reply;
	}
	return found;
}

/* What came is no reply; it is counted once the line is quiet. */
static void count_refused(struct bus *bus)
{
	struct reply reply = find_reply(bus);

	if (reply.status == REPLY_MORE)
		reply.status = REPLY_LENGTH;
	bus->stats.refused[reply.status]++;
	log_debug("bus %s: %s: refused a reply of %zu bytes: %s", bus->config->name,
		  bus->device->config->name, bus->received_length,
		  reply_status_name(reply.status));
}

static void look_at_received(struct bus *bus)
{
	uint64_t now_us = clock_monotonic_us(), pause_us = PAUSE_US;
	struct reply reply;

	if (!strip_echo(bus) || !bus->received_length)
		return;
	reply = find_reply(bus);
	if (reply.status == REPLY_OK) {
		request_good(bus, &reply);
		return;
	}
	if (reply.status == REPLY_EXCEPTION) {
		bus->stats.refused[REPLY_EXCEPTION]++;
		request_excepted(bus, reply.exception);
		return;
	}
	/* It has begun: it may take its time on the wire, and must not stop in between. */
	if (reply.status == REPLY_MORE && reply.length > bus->received_length)
		pause_us += plan_characters_us(reply.length - bus->received_length,
					       bus->config->baud, bus->config->format);
	bus->deadline_us = now_us + pause_us;
}

static void receive(struct bus *bus)
{
	uint8_t *room = bus->received + bus->received_length;
	ssize_t n = port_read(bus->port, room, sizeof(bus->received) - bus->received_length);

	if (n < 0) {
		close_port(bus, n == -EIO ? "the port is gone" : strerror(-n));
		return;
	}
	if (n == 0)
		return;
	bus->active_us = clock_monotonic_us();
	if (bus->state != BUS_WAITING) {
		/* Nobody was asked. A late reply: the line has to be quiet again first. */
		bus->received_length = 0;
		if (bus->state == BUS_QUIET)
			bus->deadline_us = bus->active_us + bus->config->timeout_us;
		return;
	}
	bus->received_length += n;
	look_at_received(bus);
	/* Babble that never becomes a reply. */
	if (bus->state == BUS_WAITING && bus->received_length == sizeof(bus->received))
		bus->received_length = 0;
}

static int on_port(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events,
		   void *data)
{
	struct bus *bus = data;

	if (events & (EPOLLHUP | EPOLLERR))
		close_port(bus, "the port is gone");
	else
		receive(bus);
	step(bus);
	return 0;
}

/* --- what is next --- */

/* The device whose poll is due first. */
static struct device *first_due(struct bus *bus, uint64_t *due_us)
{
	struct device *first = NULL;

	for (size_t i = 0; i < bus->config->device_count; i++) {
		uint64_t device_due = device_due_us(&bus->devices[i]);

		if (!first || device_due < *due_us) {
			first = &bus->devices[i];
			*due_us = device_due;
		}
	}
	return first;
}

static void begin_poll(struct bus *bus, uint64_t now_us)
{
	uint64_t due_us = UINT64_MAX;
	struct device *device = first_due(bus, &due_us);

	if (due_us > now_us) {
		wake_at(bus, due_us);
		return;
	}
	bus->device = device;
	bus->attempts = 0;
	bus->state = BUS_SILENT;
	device_plan(device, now_us);
}

static void wait_over(struct bus *bus)
{
	bool nothing = bus->received_length == 0;

	if (nothing)
		bus->stats.timeouts++;
	else
		count_refused(bus);
	/* Nothing came: it may come yet, while the request is repeated. */
	bus->late_reply |= nothing;
	attempt_failed(bus);
}

/*
 * Whether the silence before the next request is over; otherwise the timer is set. It is set
 * earlier by what timers are usually late, and what is left of that is waited out here: it is
 * a few microseconds, and asking late by as much each time would cost the wire a percent.
 */
static bool silence_is_over(struct bus *bus, uint64_t now_us)
{
	uint64_t legal_us = bus->active_us + bus->silence_us;

	if (now_us + EARLY_MOST_US < legal_us) {
		wake_at(bus, legal_us - bus->late_us);
		return false;
	}
	while (now_us < legal_us)
		now_us = clock_monotonic_us();
	return true;
}

/* Does what can be done now, and sets the timer to when there is more to do. */
static void step(struct bus *bus)
{
	while (true) {
		uint64_t now_us = clock_monotonic_us();

		switch (bus->state) {
		case BUS_CLOSED:
			return;
		case BUS_IDLE:
			begin_poll(bus, now_us);
			if (bus->state == BUS_IDLE)
				return;
			break;
		case BUS_SILENT:
			if (!silence_is_over(bus, now_us))
				return;
			send_request(bus);
			break;
		case BUS_WAITING:
			if (now_us < bus->deadline_us) {
				wake_at(bus, now_us < bus->listen_us ? bus->listen_us
								     : bus->deadline_us);
				return;
			}
			wait_over(bus);
			break;
		case BUS_QUIET:
			if (now_us < bus->deadline_us) {
				wake_at(bus, bus->deadline_us);
				return;
			}
			port_drain(bus->port);
			bus->state = bus->device ? BUS_SILENT : BUS_IDLE;
			break;
		}
	}
}

/* What most timers are not later than: it rises at once with one that is, and sinks slowly. */
static void learn_lateness(struct bus *bus, uint64_t time_us)
{
	uint64_t late_us = clock_monotonic_us() - time_us;

	if (late_us > EARLY_MOST_US)
		late_us = EARLY_MOST_US;
	if (late_us > bus->late_us)
		bus->late_us += (late_us - bus->late_us + 3) / 4;
	else
		bus->late_us -= (bus->late_us - late_us) / 32;
}

static int on_timer(_unused_ sd_event_source *source, uint64_t time_us, void *data)
{
	struct bus *bus = data;

	learn_lateness(bus, time_us);
	/* What has arrived by now is in time, whichever source is looked at first. */
	if (bus->state == BUS_WAITING) {
		listen(bus, true);
		receive(bus);
	}
	if (bus->state == BUS_CLOSED)
		open_port(bus);
	step(bus);
	return 0;
}

/* --- life --- */

int bus_new(sd_event *loop, const struct bus_config *config, const struct conf *conf,
	    mapping_sink *sink, void *data, struct bus **result)
{
	_cleanup_(bus_freep) struct bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->loop = sd_event_ref(loop);
	bus->config = config;
	bus->conf = conf;
	bus->sink = sink;
	bus->sink_data = data;
	bus->silence_us = plan_silence_us(config->baud, config->format);
	bus->devices = calloc(config->device_count, sizeof(*bus->devices));
	if (!bus->devices)
		return -ENOMEM;
	for (size_t i = 0; i < config->device_count; i++) {
		r = device_init(&bus->devices[i], &config->devices[i], config->name, conf,
				clock_monotonic_us());
		if (r < 0)
			return r;
	}
	r = sd_event_add_time(loop, &bus->timer, CLOCK_MONOTONIC, 0, 1, on_timer, bus);
	if (r < 0)
		return r;
	*result = TAKE_PTR(bus);
	return 0;
}

void bus_free(struct bus *bus)
{
	if (!bus)
		return;
	sd_event_source_disable_unref(bus->port_source);
	sd_event_source_disable_unref(bus->timer);
	port_close(bus->port);
	for (size_t i = 0; bus->devices && i < bus->config->device_count; i++)
		device_done(&bus->devices[i]);
	free(bus->devices);
	sd_event_unref(bus->loop);
	free(bus);
}

struct bus_stats bus_stats(const struct bus *bus)
{
	struct bus_stats stats = bus->stats;

	stats.open = bus->port != NULL;
	stats.devices = bus->config->device_count;
	for (size_t i = 0; i < stats.devices; i++)
		stats.offline += bus->devices[i].state == DEVICE_OFFLINE;
	return stats;
}
