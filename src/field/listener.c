/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.c - one port whose devices speak in units: lines, frames, telegrams.
 *
 *      ┌─ CLOSED ◀──────── hang-up, error ──────────────┐
 *      ▼                                                │
 *     LISTENING   unasked: what comes is taken to pieces as it comes
 *
 *     IDLE ── due ─▶ WAITING ── answer ─▶ IDLE          asked: one request at a time
 *       │             │   ▲  ▲
 *       │             │   │  └─ the same again: no answer in `timeout`
 *       └─ `setup:` ─▶ SETTING_UP: it is told first, and again when its answer has no values
 *                     └─▶ QUIET ── as long again ─▶ IDLE
 *
 * What was said in one go is published as one message: it is kept until each point that is due
 * has come, or the line has been quiet for a moment, or a point comes a second time.
 */
#include "field/listener.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/bulletin.h"
#include "field/collect.h"
#include "field/device.h"
#include "field/load.h"
#include "field/opener.h"
#include "field/plan.h"
#include "field/port.h"
#include "field/speech.h"
#include "field/turn.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
	/* So long a pause, and what was said is said. */
	PAUSE_US = 100 * 1000,
	/* A unit that has begun may pause so long: IEC 62056-21, 6.5.2 lets meters do so. */
	CUT_US = 1500 * 1000,
	/* An answer may take so long in all: a meter's readout at 300 baud. */
	ANSWER_US = 120 * 1000 * 1000,
};

enum listener_state {
	LISTENER_CLOSED,
	LISTENER_LISTENING,
	LISTENER_IDLE,
	LISTENER_SETTING_UP,
	LISTENER_WAITING,
	LISTENER_QUIET,
};

struct listener {
	sd_event *loop;
	const struct bus_config *config;
	const struct conf *conf;
	mapping_sink *sink;
	void *sink_data;
	struct device *devices;
	struct opener *opener;
	struct port *port;
	struct turn *turn;
	sd_event_source *port_source, *timer;
	struct bulletin *bulletin;
	enum listener_state state;
	struct load load;
	uint64_t lost; /* times that the port was */

	struct device *device; /* the one that speaks, or is asked */
	bool asked;            /* devices have to be */
	unsigned attempts;
	bool acknowledged;
	uint8_t frame[FRAME_MAX]; /* the request that is out */
	size_t frame_length, echo_length;
	struct speech speech;
	uint64_t sent_us, received_us, heard_us; /* last request, byte, unit with a value */
	uint64_t end_us;       /* of the bytes that were sent last */
	bool begun;            /* the answer to the request */
	uint64_t deadline_us;

	bool leaving;      /* nothing more is asked */
	uint64_t leave_us; /* what is said unasked is not listened to any longer */
	bus_left *left;    /* NULL: nobody is to be told */
	void *left_data;
};

static void step(struct listener *listener);

bool listener_is_for(const struct bus_config *config)
{
	return config->device_count && driver_find(config->devices[0].map->driver)->next;
}

/* What a line of the log is about: the device. */
static struct log_subject subject(const struct listener *listener)
{
	return (struct log_subject){ listener->config->name, listener->device->config->name };
}

static void wake_at(struct listener *listener, uint64_t time_us)
{
	sd_event_source_set_time(listener->timer, time_us);
	sd_event_source_set_enabled(listener->timer, SD_EVENT_ONESHOT);
}

/* --- the port --- */

static void close_port(struct listener *listener, const char *why)
{
	listener->port_source = sd_event_source_disable_unref(listener->port_source);
	turn_free(listener->turn);
	listener->turn = NULL;
	port_close(listener->port);
	listener->port = NULL;
	listener->state = LISTENER_CLOSED;
	listener->lost++;
	opener_lost(listener->opener, why);
}

static int on_port(sd_event_source *source, int fd, uint32_t events, void *data);

static void on_open(void *data, struct port *port)
{
	struct listener *listener = data;
	int r = sd_event_add_io(listener->loop, &listener->port_source, port_fd(port), EPOLLIN,
				on_port, listener);

	listener->port = port;
	if (r >= 0)
		r = turn_new(listener->loop, listener->config, port, &listener->turn);
	if (r < 0) {
		close_port(listener, strerror(-r));
		return;
	}
	speech_clear(&listener->speech);
	listener->device = &listener->devices[0];
	listener->device->reading_count = 0;
	for (size_t i = 0; i < listener->config->device_count; i++)
		listener->devices[i].set_up = false;
	listener->state = listener->asked ? LISTENER_IDLE : LISTENER_LISTENING;
	step(listener);
}

/* --- what is published --- */

static void announce(struct listener *listener)
{
	device_announce(listener->device, &listener->conf->publish, listener->sink,
			listener->sink_data);
}

static void publish(struct listener *listener, uint64_t now_us)
{
	struct device *device = listener->device;

	if (device->reading_count &&
	    device_publish(device, &listener->conf->publish, now_us, listener->sink,
			   listener->sink_data) == -EMSGSIZE)
		log_about(LOG_ERR, subject(listener), "a message of it would be too long");
	device->reading_count = 0;
}

/* Keeps those values of a unit that are due. */
static void collect(struct listener *listener, size_t count, uint64_t now_us)
{
	struct device *device = listener->device;

	for (size_t i = 0; i < count; i++) {
		const struct reading *reading = &listener->speech.readings[i];

		if (device->due_us[reading->point] > now_us)
			continue;
		if (collect_has(device, reading->point))
			publish(listener, now_us);
		device_note(device, reading, now_us);
		if (!listener->asked)
			collect_again(device, reading->point, now_us);
	}
}

/* --- what becomes of an answer --- */

static void device_is_heard(struct listener *listener, uint64_t now_us)
{
	struct device *device = listener->device;
	enum device_state before = device->state;

	device->counters.answers++;
	listener->heard_us = now_us;
	speech_understood(&listener->speech);
	if (!device_answered(device, now_us, now_us))
		return;
	if (before == DEVICE_OFFLINE)
		log_about(LOG_NOTICE, subject(listener), "speaks again");
	announce(listener);
}

static void device_is_silent(struct listener *listener)
{
	const struct device *device = listener->device;
	bool asked = listener->asked && listener->port;
	uint64_t silence_us = asked ? listener->config->timeout_us
				    : device->config->map->framing.silence_us;
	char duration[32], refused[160];

	speech_describe(&listener->speech, refused, sizeof(refused));
	log_about(LOG_WARNING, subject(listener), "%s %s (%s)",
		  asked ? "no answer in" : "no value for",
		  format_duration(silence_us, duration, sizeof(duration)), refused);
	announce(listener);
}

/* The poll is over, answered or not. */
static void finish_poll(struct listener *listener, uint64_t now_us)
{
	struct device *device = listener->device;

	publish(listener, now_us);
	collect_all_again(device, now_us);
	listener->attempts = 0;
	listener->state = LISTENER_IDLE;
}

/* --- sending --- */

static bool send_bytes(struct listener *listener, size_t n)
{
	const struct bus_config *config = listener->config;
	int r = turn_send(listener->turn, listener->frame, n, &listener->end_us);

	if (r < 0) {
		close_port(listener, strerror(-r));
		return false;
	}
	listener->frame_length = n;
	listener->echo_length = config->echo ? n : 0;
	listener->deadline_us = listener->end_us + config->timeout_us;
	load_add(&listener->load, config, n, clock_monotonic_us());
	return true;
}

static void send_request(struct listener *listener)
{
	const struct device_config *config = listener->device->config;
	size_t n = listener->device->driver->ask(config->map, config->address, listener->frame);

	port_drain(listener->port);
	speech_clear(&listener->speech);
	listener->acknowledged = false;
	listener->begun = false;
	listener->device->reading_count = 0;
	if (!send_bytes(listener, n))
		return;
	listener->device->counters.requests++;
	listener->attempts++;
	listener->sent_us = clock_monotonic_us();
	listener->state = LISTENER_WAITING;
}

/* What comes while it takes its setup in is passed over. */
static void send_setup(struct listener *listener)
{
	struct device *device = listener->device;
	const struct device_config *config = device->config;
	size_t n = device->driver->set_up(config->map, config->address, listener->frame);

	if (!send_bytes(listener, n))
		return;
	device->set_up = true;
	listener->deadline_us = listener->end_us + config->map->framing.setup_wait_us;
	listener->state = LISTENER_SETTING_UP;
}

static bool needs_setup(const struct device *device)
{
	return device->config->map->framing.setup.count && !device->set_up;
}

static void ask(struct listener *listener)
{
	if (needs_setup(listener->device))
		send_setup(listener);
	else
		send_request(listener);
}

/* The request was in vain. It is sent again, unless that was often enough. */
static void attempt_failed(struct listener *listener, uint64_t now_us)
{
	struct device *device = listener->device;

	if (device->state != DEVICE_OFFLINE && !listener->leaving &&
	    listener->attempts <= listener->config->retries) {
		ask(listener);
		return;
	}
	if (device_failed(device, now_us, now_us))
		device_is_silent(listener);
	device->set_up = false;
	finish_poll(listener, now_us);
	listener->state = LISTENER_QUIET;
	listener->deadline_us = now_us + listener->config->timeout_us;
}

/* What the device waits for before it goes on. */
static void acknowledge(struct listener *listener)
{
	const struct device *device = listener->device;
	size_t n;

	if (!listener->asked || listener->acknowledged || !device->driver->acknowledge)
		return;
	n = device->driver->acknowledge(device->config->map, listener->speech.bytes,
					listener->speech.length, listener->frame);
	if (n)
		listener->acknowledged = send_bytes(listener, n);
}

/* --- receiving --- */

/* Takes all whole units off what is pending. */
static void take_pending(struct listener *listener, bool cut)
{
	size_t count;

	while (speech_next(&listener->speech, listener->device, cut, &count)) {
		uint64_t now_us = clock_monotonic_us();

		if (!count) {
			listener->device->set_up = false;
			continue;
		}
		device_is_heard(listener, now_us);
		collect(listener, count, now_us);
	}
}

/* How long the device took to begin its answer. */
static void note_latency(struct listener *listener)
{
	uint64_t now_us = listener->received_us, end_us = listener->end_us;

	if (!listener->asked || listener->begun || !listener->speech.length)
		return;
	listener->begun = true;
	latency_add(&listener->device->counters.latency, now_us > end_us ? now_us - end_us : 0);
}

static void take_received(struct listener *listener)
{
	const struct device *device = listener->device;
	uint64_t now_us = listener->received_us;

	if (!speech_strip(&listener->speech, listener->frame, listener->echo_length))
		return;
	listener->echo_length = 0;
	note_latency(listener);
	acknowledge(listener);
	if (listener->state == LISTENER_CLOSED)
		return;
	take_pending(listener, false);
	if (listener->asked && needs_setup(device) && !device->reading_count) {
		attempt_failed(listener, now_us);
	} else if (collect_is_complete(device, now_us)) {
		if (listener->asked)
			finish_poll(listener, now_us);
		else
			publish(listener, now_us);
	} else if (listener->asked) {
		/* It has begun: it may take its time, and must not stop in between. */
		if (listener->speech.length)
			listener->deadline_us = now_us + CUT_US;
		else if (device->reading_count)
			listener->deadline_us = now_us + PAUSE_US;
		if (listener->deadline_us > listener->sent_us + ANSWER_US)
			listener->deadline_us = listener->sent_us + ANSWER_US;
	}
}

static void receive(struct listener *listener)
{
	ssize_t n = speech_receive(&listener->speech, listener->port);

	if (n < 0) {
		close_port(listener, n == -EIO ? "the port is gone" : strerror((int)-n));
		return;
	}
	if (n == 0)
		return;
	listener->received_us = clock_monotonic_us();
	load_add(&listener->load, listener->config, (size_t)n, listener->received_us);
	if (listener->state == LISTENER_QUIET)
		listener->deadline_us = listener->received_us + listener->config->timeout_us;
	/* Where nobody was asked, nobody is listened to. */
	if (listener->state == LISTENER_QUIET || listener->state == LISTENER_IDLE ||
	    listener->state == LISTENER_SETTING_UP)
		speech_clear(&listener->speech);
	else
		take_received(listener);
}

static int on_port(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events,
		   void *data)
{
	struct listener *listener = data;

	if (events & EPOLLIN)
		receive(listener);
	if (events & (EPOLLHUP | EPOLLERR) && listener->state != LISTENER_CLOSED)
		close_port(listener, "the port is gone");
	step(listener);
	return 0;
}

/* --- what is next --- */

static uint64_t silent_at_us(const struct listener *listener)
{
	return listener->heard_us + listener->device->config->map->framing.silence_us;
}

/* Silent for too long, also because there is no port: that holds for all of them. */
static void check_silence(struct listener *listener)
{
	if (clock_monotonic_us() < silent_at_us(listener))
		return;
	for (size_t i = 0; i < listener->config->device_count; i++) {
		listener->device = &listener->devices[i];
		if (listener->device->state == DEVICE_OFFLINE)
			continue;
		listener->device->state = DEVICE_OFFLINE;
		device_is_silent(listener);
	}
}

/* Unasked: the earliest of what the passing of time makes happen. */
static void step_listening(struct listener *listener)
{
	struct device *device = listener->device;
	uint64_t now_us = clock_monotonic_us(), wake_us = silent_at_us(listener);

	if (listener->speech.length && now_us >= listener->received_us + CUT_US) {
		speech_refuse(&listener->speech, device, REPLY_LENGTH);
		take_pending(listener, true);
	}
	if (device->reading_count && now_us >= listener->received_us + PAUSE_US)
		publish(listener, now_us);
	check_silence(listener);
	if (device->state == DEVICE_OFFLINE)
		wake_us = UINT64_MAX;
	if (listener->speech.length && wake_us > listener->received_us + CUT_US)
		wake_us = listener->received_us + CUT_US;
	if (device->reading_count && wake_us > listener->received_us + PAUSE_US)
		wake_us = listener->received_us + PAUSE_US;
	if (wake_us != UINT64_MAX)
		wake_at(listener, wake_us);
}

/* Asks the device that is due first, if it is. */
static void step_idle(struct listener *listener)
{
	uint64_t due_us = UINT64_MAX;

	for (size_t i = 0; i < listener->config->device_count; i++) {
		uint64_t device_due = collect_first_due_us(&listener->devices[i]);

		if (device_due >= due_us)
			continue;
		listener->device = &listener->devices[i];
		due_us = device_due;
	}
	if (due_us > clock_monotonic_us())
		wake_at(listener, due_us);
	else
		ask(listener);
}

static void wait_over(struct listener *listener)
{
	uint64_t now_us = clock_monotonic_us();
	struct device *device = listener->device;

	if (device->reading_count) {
		finish_poll(listener, now_us);
		return;
	}
	if (listener->speech.length)
		speech_refuse(&listener->speech, device, REPLY_LENGTH);
	else
		device->counters.timeouts++;
	attempt_failed(listener, now_us);
}

/* Whether something is on its way whose end is worth waiting for. */
static bool is_spoken(const struct listener *listener)
{
	return listener->state == LISTENER_WAITING || listener->state == LISTENER_QUIET ||
	       (listener->state == LISTENER_LISTENING && listener->speech.length &&
		clock_monotonic_us() < listener->leave_us);
}

static void leave(struct listener *listener)
{
	bus_left *left = listener->left;

	publish(listener, clock_monotonic_us());
	listener->left = NULL;
	if (left)
		left(listener->left_data);
}

/* Does what can be done now, and sets the timer to when there is more to do. */
static void step(struct listener *listener)
{
	enum listener_state before;

	do {
		before = listener->state;
		if (listener->leaving && !is_spoken(listener)) {
			leave(listener);
			return;
		}
		if (before == LISTENER_CLOSED) {
			check_silence(listener);
			return;
		}
		if (before == LISTENER_LISTENING) {
			step_listening(listener);
		} else if (before == LISTENER_IDLE) {
			step_idle(listener);
		} else if (clock_monotonic_us() < listener->deadline_us) {
			wake_at(listener, listener->deadline_us);
		} else if (before == LISTENER_SETTING_UP) {
			send_request(listener);
		} else if (before == LISTENER_WAITING) {
			wait_over(listener);
		} else {
			port_drain(listener->port);
			listener->state = LISTENER_IDLE;
		}
	} while (listener->state != before);
	/* The same request again: its time has just begun. */
	if (listener->state == LISTENER_WAITING)
		wake_at(listener, listener->deadline_us);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct listener *listener = data;

	/* What has arrived by now is in time, whichever source is looked at first. */
	if (listener->state != LISTENER_CLOSED)
		receive(listener);
	step(listener);
	return 0;
}

/* --- what is told of it --- */

const struct device *listener_devices(const struct listener *listener)
{
	return listener->devices;
}

struct bus_stats listener_stats(const struct listener *listener)
{
	const struct bus_config *config = listener->config;
	struct bus_stats stats = {
		.name = config->name,
		.port = config->port,
		.open = listener->port != NULL,
		.trouble = opener_trouble(listener->opener),
		.devices = config->device_count,
		.load = load_share(&listener->load, clock_monotonic_us()),
		.stretch = 1,
		.lost = listener->lost,
	};

	if (listener->port)
		stats.line = port_line_errors(listener->port);
	for (size_t i = 0; i < stats.devices; i++) {
		stats.offline += listener->devices[i].state == DEVICE_OFFLINE;
		counters_add(&stats.counters, &listener->devices[i].counters);
	}
	return stats;
}

static struct bus_stats stats_of(const void *listener)
{
	return listener_stats(listener);
}

/* --- life --- */

void listener_leave(struct listener *listener, bus_left *left, void *data)
{
	listener->leaving = true;
	listener->leave_us = clock_monotonic_us() + CUT_US;
	listener->left = left;
	listener->left_data = data;
	step(listener);
}

int listener_new(sd_event *loop, const struct bus_config *config, const struct conf *conf,
		 mapping_sink *sink, void *data, struct listener **result)
{
	_cleanup_(listener_freep) struct listener *listener = calloc(1, sizeof(*listener));
	const struct bulletin_subject subject = {
		config->name, conf, stats_of, listener, sink, data,
	};
	uint64_t now_us = clock_monotonic_us();
	int r;

	if (!listener)
		return -ENOMEM;
	listener->loop = sd_event_ref(loop);
	listener->config = config;
	listener->conf = conf;
	listener->sink = sink;
	listener->sink_data = data;
	listener->asked = config->devices[0].map->framing.request.count > 0;
	listener->heard_us = now_us;
	load_init(&listener->load, now_us);
	listener->devices = calloc(config->device_count, sizeof(*listener->devices));
	if (!listener->devices)
		return -ENOMEM;
	for (size_t i = 0; i < config->device_count; i++) {
		r = device_init(&listener->devices[i], &config->devices[i], config->name, conf,
				now_us);
		if (r < 0)
			return r;
	}
	listener->device = &listener->devices[0];
	r = sd_event_add_time(loop, &listener->timer, CLOCK_MONOTONIC, 0, 1, on_timer, listener);
	if (r >= 0)
		r = bulletin_new(loop, &subject, &listener->bulletin);
	if (r >= 0)
		r = speech_init(&listener->speech, config);
	if (r >= 0)
		r = opener_new(loop, config, on_open, listener, &listener->opener);
	if (r < 0)
		return r;
	*result = TAKE_PTR(listener);
	return 0;
}

void listener_free(struct listener *listener)
{
	if (!listener)
		return;
	sd_event_source_disable_unref(listener->port_source);
	sd_event_source_disable_unref(listener->timer);
	bulletin_free(listener->bulletin);
	opener_free(listener->opener);
	turn_free(listener->turn);
	port_close(listener->port);
	for (size_t i = 0; listener->devices && i < listener->config->device_count; i++)
		device_done(&listener->devices[i]);
	free(listener->devices);
	speech_done(&listener->speech);
	sd_event_unref(listener->loop);
	free(listener);
}
