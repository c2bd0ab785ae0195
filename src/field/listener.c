/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.c - one port whose devices speak in units: lines, frames, telegrams.
 *
 *      ┌─ CLOSED ◀── hang-up, error ──┐
 *      ▼                              │
 *     LISTENING   unasked: what comes is taken to pieces as it comes
 *     IDLE, …     asked: ask.c
 *
 * What was said in one go is published as one message: it is kept until each point that is due
 * has come, or the line has been quiet for a moment, or a point comes a second time.
 */
#include "field/listener_state.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/bulletin.h"
#include "field/collect.h"

#include <errno.h>
#include <string.h>

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

void listener_wake_at(struct listener *listener, uint64_t time_us)
{
	uint64_t say_us = say_wake_us(listener);

	sd_event_source_set_time(listener->timer, time_us < say_us ? time_us : say_us);
	sd_event_source_set_enabled(listener->timer, SD_EVENT_ONESHOT);
}

/* --- the port --- */

void listener_close(struct listener *listener, const char *why)
{
	char reason[REASON_MAX];

	listener->port_source = sd_event_source_disable_unref(listener->port_source);
	turn_free(listener->turn);
	listener->turn = NULL;
	port_close(listener->port);
	listener->port = NULL;
	listener->state = LISTENER_CLOSED;
	listener->lost++;
	snprintf(reason, sizeof(reason), "the port was lost: %.50s", why);
	say_give_up(listener, reason);
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
		listener_close(listener, strerror(-r));
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

bool listener_send(struct listener *listener, size_t n)
{
	const struct bus_config *config = listener->config;
	int r = turn_send(listener->turn, listener->frame, n, &listener->end_us);

	if (r < 0) {
		listener_close(listener, strerror(-r));
		return false;
	}
	listener->echo_length = config->echo ? n : 0;
	listener->deadline_us = listener->end_us + config->timeout_us;
	/* An echo is counted as it comes. */
	if (!config->echo)
		load_add(&listener->load, config, n, clock_monotonic_us());
	return true;
}

/* --- what is published --- */

static void announce(struct listener *listener)
{
	device_announce(listener->device, &listener->conf->publish, listener->sink,
			listener->sink_data);
}

void listener_publish(struct listener *listener, uint64_t now_us)
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
			listener_publish(listener, now_us);
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

void listener_is_silent(struct listener *listener)
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
		say_read(listener, listener->speech.readings, count);
	}
}

static void take_received(struct listener *listener)
{
	uint64_t now_us = listener->received_us;

	if (!speech_strip(&listener->speech, listener->frame, listener->echo_length))
		return;
	listener->echo_length = 0;
	if (listener->asked)
		ask_heard(listener);
	if (listener->state == LISTENER_CLOSED)
		return;
	take_pending(listener, false);
	if (listener->asked)
		ask_answered(listener);
	else if (collect_is_complete(listener->device, now_us))
		listener_publish(listener, now_us);
}

static void receive(struct listener *listener)
{
	ssize_t n = speech_receive(&listener->speech, listener->port);
	bool telling = listener->state == LISTENER_TELLING;

	if (n < 0) {
		listener_close(listener, n == -EIO ? "the port is gone" : strerror((int)-n));
		return;
	}
	if (n == 0)
		return;
	listener->received_us = clock_monotonic_us();
	say_heard(listener, listener->speech.bytes + listener->speech.length - n, (size_t)n);
	load_add(&listener->load, listener->config, (size_t)n, listener->received_us);
	if (listener->state == LISTENER_QUIET)
		listener->deadline_us = listener->received_us + listener->config->timeout_us;
	/* Where nobody was asked, nobody is listened to. */
	if (listener->state == LISTENER_QUIET || listener->state == LISTENER_IDLE ||
	    listener->state == LISTENER_SETTING_UP || telling)
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
		listener_close(listener, "the port is gone");
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
		listener_is_silent(listener);
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
		listener_publish(listener, now_us);
	check_silence(listener);
	if (device->state == DEVICE_OFFLINE)
		wake_us = UINT64_MAX;
	if (listener->speech.length && wake_us > listener->received_us + CUT_US)
		wake_us = listener->received_us + CUT_US;
	if (device->reading_count && wake_us > listener->received_us + PAUSE_US)
		wake_us = listener->received_us + PAUSE_US;
	listener_wake_at(listener, wake_us);
}

/* Whether something is on its way whose end is worth waiting for. */
static bool is_spoken(const struct listener *listener)
{
	return listener->state == LISTENER_WAITING || listener->state == LISTENER_QUIET ||
	       say_is_under_way(listener) ||
	       (listener->state == LISTENER_LISTENING && listener->speech.length &&
		clock_monotonic_us() < listener->leave_us);
}

static void leave(struct listener *listener)
{
	bus_left *left = listener->left;

	listener_publish(listener, clock_monotonic_us());
	say_give_up(listener, "its bus is ending");
	listener->left = NULL;
	if (left)
		left(listener->left_data);
}

/* Does what can be done now, and sets the timer to when there is more to do. */
static void step(struct listener *listener)
{
	enum listener_state before;

	do {
		say_step(listener);
		before = listener->state;
		if (listener->leaving && !is_spoken(listener)) {
			leave(listener);
			return;
		}
		if (before == LISTENER_CLOSED) {
			check_silence(listener);
			return;
		}
		if (before == LISTENER_LISTENING)
			step_listening(listener);
		else
			ask_step(listener);
	} while (listener->state != before);
	/* The same request again: its time has just begun. */
	if (listener->state == LISTENER_WAITING)
		listener_wake_at(listener, listener->deadline_us);
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

/* --- commands --- */

static void tell_nobody(_unused_ void *data, _unused_ const struct outcome *outcome)
{
}

void listener_tell_outcomes(struct listener *listener, outcome_sink *sink, void *data)
{
	listener->say.errands.sink = sink;
	listener->say.errands.data = data;
}

bool listener_has_commands(const struct listener *listener)
{
	return listener->say.errands.first != NULL;
}

int listener_command(struct listener *listener, const struct command *command)
{
	int r = say_take(listener, command);

	if (r == 0 && listener->port)
		step(listener);
	return r;
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
	listener->say.errands.sink = tell_nobody;
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
	say_give_up(listener, "the gateway is stopping");
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
