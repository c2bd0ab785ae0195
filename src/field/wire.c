/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.c - one request and its answer at a time, as closely behind each other as is legal.
 *
 *     IDLE ── asked ─▶ SILENT ── the line was silent for long enough ─▶ WAITING ─▶ IDLE
 *
 *     ────answer│◀─ silence ─▶│request────│  device  │answer──────────│◀─ silence ─▶│
 *          active_us                  sent_us     listen_us ▲    ▲ whole: taken at once
 */
#include "field/wire.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/plan.h"
#include "field/receiver.h"
#include "field/turn.h"

#include <errno.h>
#include <string.h>

enum {
	/* An answer that has begun may pause so long before it counts as cut short. */
	PAUSE_US = 50 * 1000,
	/* Timers are set at most so much earlier, for what they are usually late. */
	EARLY_MOST_US = 150,
};

enum wire_state {
	WIRE_IDLE,
	WIRE_SILENT,  /* a request waits until the line was silent for long enough */
	WIRE_WAITING, /* a request is out */
};

struct wire {
	const struct bus_config *config;
	struct port *port;
	struct turn *turn;
	sd_event_source *input, *timer;
	wire_done *done;
	void *data;
	enum wire_state state;

	const struct driver *driver;
	struct request request;
	size_t reply_length; /* of a right one */
	uint8_t frame[FRAME_MAX];
	size_t frame_length;

	uint64_t silence_us, active_us; /* when the line was last active */
	uint64_t patience_us; /* a line that is never silent is not waited for any longer */
	uint64_t late_us;     /* that timers are, usually */
	uint64_t sent_us;     /* end of the request on the wire */
	uint64_t listen_us;   /* no whole answer can be there before */
	uint64_t deadline_us; /* of the answer */
	uint64_t last_us;     /* the deadline is never moved beyond */
	struct receiver receiver;
};

static uint64_t characters_us(const struct wire *wire, size_t n)
{
	return plan_characters_us(n, wire->config->baud, wire->config->format);
}

static void wake_at(struct wire *wire, uint64_t time_us)
{
	sd_event_source_set_time(wire->timer, time_us);
	sd_event_source_set_enabled(wire->timer, SD_EVENT_ONESHOT);
}

/* The last thing that is done with a wire in any turn: who is told may free it. */
static void finish(struct wire *wire, enum wire_result result, const struct reply *reply,
		   uint64_t now_us)
{
	uint64_t begun_us = now_us - characters_us(wire, reply ? reply->length : 0);
	struct wire_outcome outcome = {
		.result = result,
		.now_us = now_us,
		.sent_us = wire->sent_us,
		.latency_us = begun_us > wire->sent_us ? begun_us - wire->sent_us : 0,
	};

	if (reply)
		outcome.reply = *reply;
	wire->state = WIRE_IDLE;
	sd_event_source_set_enabled(wire->timer, SD_EVENT_OFF);
	wire->done(wire->data, &outcome);
}

static void lose_port(struct wire *wire, const char *why)
{
	struct wire_outcome outcome = {
		.result = WIRE_GONE, .now_us = clock_monotonic_us(), .why = why};

	wire->state = WIRE_IDLE;
	sd_event_source_set_enabled(wire->input, SD_EVENT_OFF);
	sd_event_source_set_enabled(wire->timer, SD_EVENT_OFF);
	wire->done(wire->data, &outcome);
}

/* --- sending --- */

/*
 * A line that brings its characters one by one would wake us for each. Nobody has to look
 * before a whole answer can be there; hang-up and errors are told all the same.
 */
static void listen(struct wire *wire, bool on)
{
	sd_event_source_set_io_events(wire->input, on ? EPOLLIN : 0);
}

static void send_request(struct wire *wire)
{
	const struct bus_config *config = wire->config;
	int r = turn_send(wire->turn, wire->frame, wire->frame_length, &wire->sent_us);

	if (r < 0) {
		lose_port(wire, strerror(-r));
		return;
	}
	wire->active_us = wire->sent_us;
	wire->deadline_us = wire->sent_us + config->timeout_us;
	wire->last_us =
		wire->deadline_us + characters_us(wire, 2 * wire->reply_length) + PAUSE_US;
	wire->listen_us = wire->sent_us + characters_us(wire, wire->reply_length);
	if (wire->listen_us > wire->deadline_us)
		wire->listen_us = wire->deadline_us;
	receiver_begin(&wire->receiver, config->echo ? wire->frame : NULL,
		       wire->frame_length);
	listen(wire, false);
	wire->state = WIRE_WAITING;
	wake_at(wire, wire->listen_us);
}

/*
 * Sends when the silence is over, or sets the timer: earlier by what timers are usually late.
 * What is left of that is waited out here: it is a few microseconds, and asking late by as
 * much each time would cost the wire a percent.
 */
static void send_when_silent(struct wire *wire, uint64_t now_us)
{
	uint64_t legal_us = wire->active_us + wire->silence_us;

	if (legal_us > wire->patience_us)
		legal_us = wire->patience_us;
	if (now_us + EARLY_MOST_US < legal_us) {
		wake_at(wire, legal_us - wire->late_us);
		return;
	}
	while (now_us < legal_us)
		now_us = clock_monotonic_us();
	send_request(wire);
}

void wire_ask(struct wire *wire, const struct driver *driver, const struct request *request)
{
	uint64_t now_us = clock_monotonic_us();

	wire->driver = driver;
	wire->request = *request;
	wire->reply_length = driver->reply_length(request);
	wire->frame_length = driver->request(request, wire->frame);
	wire->patience_us = now_us + wire->silence_us + wire->config->timeout_us;
	wire->state = WIRE_SILENT;
	send_when_silent(wire, now_us);
}

/* --- receiving --- */

/* How long what has come so far may take to become an answer. */
static void extend_deadline(struct wire *wire, const struct reply *reply, uint64_t now_us)
{
	size_t received = wire->receiver.length;
	uint64_t until_us = now_us + PAUSE_US;

	/* It has begun: it may take its time on the wire, and must not stop in between. */
	if (reply->status == REPLY_MORE && reply->length > received)
		until_us += characters_us(wire, reply->length - received);
	/* All is there, and wrong: nothing is to be waited for but that the line is quiet. */
	else if (reply->status != REPLY_ADDRESS && received >= wire->reply_length)
		until_us = now_us + wire->silence_us;
	/* What another device says does not take its time from this one. */
	if (reply->status == REPLY_ADDRESS && until_us < wire->deadline_us)
		until_us = wire->deadline_us;
	wire->deadline_us = until_us < wire->last_us ? until_us : wire->last_us;
	wake_at(wire, wire->deadline_us);
}

/* False where the wire may be freed by now. */
static bool look_at_received(struct wire *wire, uint64_t now_us)
{
	struct reply reply = receiver_look(&wire->receiver, wire->driver, &wire->request);

	if (reply.status == REPLY_OK || reply.status == REPLY_EXCEPTION) {
		finish(wire, WIRE_ANSWERED, &reply, now_us);
		return false;
	}
	if (wire->receiver.length)
		extend_deadline(wire, &reply, now_us);
	return true;
}

/* False where the wire may be freed by now. */
static bool receive(struct wire *wire)
{
	struct receiver *receiver = &wire->receiver;
	ssize_t n;

	/* Nobody was asked, or babble that never becomes an answer. */
	if (wire->state != WIRE_WAITING || receiver->length == RECEIVE_MAX)
		receiver->length = 0;
	n = port_read(wire->port, receiver->bytes + receiver->length,
		      RECEIVE_MAX - receiver->length);
	if (n < 0) {
		lose_port(wire, n == -EIO ? "the port is gone" : strerror(-n));
		return false;
	}
	if (n == 0)
		return true;
	wire->active_us = clock_monotonic_us();
	if (wire->state != WIRE_WAITING)
		return true;
	receiver->length += n;
	return look_at_received(wire, wire->active_us);
}

static int on_input(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events,
		    void *data)
{
	struct wire *wire = data;

	if (events & (EPOLLHUP | EPOLLERR))
		lose_port(wire, "the port is gone");
	else
		receive(wire);
	return 0;
}

/* The time for the answer is over: nothing came, or nothing that is one. */
static void give_up(struct wire *wire, uint64_t now_us)
{
	struct reply reply;

	if (!wire->receiver.length) {
		finish(wire, WIRE_TIMEOUT, NULL, now_us);
		return;
	}
	reply = receiver_look(&wire->receiver, wire->driver, &wire->request);
	finish(wire, WIRE_REFUSED, &reply, now_us);
}

/* What most timers are not later than: it rises at once with one that is, and sinks slowly. */
static void learn_lateness(struct wire *wire, uint64_t late_us)
{
	if (late_us > EARLY_MOST_US)
		late_us = EARLY_MOST_US;
	if (late_us > wire->late_us)
		wire->late_us += (late_us - wire->late_us + 3) / 4;
	else
		wire->late_us -= (wire->late_us - late_us) / 32;
}

static int on_timer(_unused_ sd_event_source *source, uint64_t time_us, void *data)
{
	struct wire *wire = data;
	uint64_t now_us = clock_monotonic_us();

	learn_lateness(wire, now_us - time_us);
	if (wire->state == WIRE_WAITING)
		listen(wire, true);
	/* What has arrived by now is in time, whichever source is looked at first. */
	if (!receive(wire))
		return 0;
	if (wire->state == WIRE_SILENT)
		send_when_silent(wire, now_us);
	else if (now_us >= wire->deadline_us)
		give_up(wire, now_us);
	else
		wake_at(wire, wire->deadline_us);
	return 0;
}

/* --- life --- */

int wire_new(sd_event *loop, const struct bus_config *config, struct port *port, wire_done *done,
	     void *data, struct wire **result)
{
	_cleanup_(wire_freep) struct wire *wire = calloc(1, sizeof(*wire));
	int r;

	if (!wire) {
		port_close(port);
		return -ENOMEM;
	}
	wire->config = config;
	wire->port = port;
	wire->done = done;
	wire->data = data;
	wire->silence_us = plan_silence_us(config->baud, config->format);
	wire->active_us = clock_monotonic_us();
	r = sd_event_add_io(loop, &wire->input, port_fd(wire->port), EPOLLIN, on_input, wire);
	if (r >= 0)
		r = sd_event_add_time(loop, &wire->timer, CLOCK_MONOTONIC, UINT64_MAX, 1,
				      on_timer, wire);
	if (r >= 0)
		r = turn_new(loop, config, port, &wire->turn);
	if (r < 0)
		return r;
	*result = TAKE_PTR(wire);
	return 0;
}

void wire_free(struct wire *wire)
{
	if (!wire)
		return;
	sd_event_source_disable_unref(wire->input);
	sd_event_source_disable_unref(wire->timer);
	turn_free(wire->turn);
	port_close(wire->port);
	free(wire);
}

bool wire_owes(const struct wire_outcome *outcome)
{
	return outcome->result == WIRE_TIMEOUT || (outcome->reply.status != REPLY_CHECKSUM &&
						   outcome->reply.status != REPLY_MORE);
}

const char *wire_trouble(const struct wire_outcome *outcome, const struct bus_config *config,
			 char text[WIRE_TROUBLE_MAX])
{
	char duration[32];

	if (outcome->result == WIRE_TIMEOUT)
		snprintf(text, WIRE_TROUBLE_MAX, "no answer in %s",
			 format_duration(config->timeout_us, duration, sizeof(duration)));
	else
		snprintf(text, WIRE_TROUBLE_MAX, "no right answer: %s",
			 reply_status_name(outcome->reply.status));
	return text;
}

struct line_errors wire_line_errors(const struct wire *wire)
{
	return port_line_errors(wire->port);
}
