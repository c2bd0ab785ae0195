/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.c - devices of a listener that are asked: one request at a time, and what becomes of it.
 *
 *     IDLE ── due ────────────────────▶ WAITING ── answer ─▶ IDLE
 *       │                               ▲  │  ▲
 *       └─ due ─ setup ─▶ SETTING_UP ───┘  │  └─ the same again: no answer in `timeout`
 *                                          └─▶ QUIET ── as long again ─▶ IDLE
 *
 * A device is set up before it is asked first, and again when its answer has none of its points.
 */
#include "bridge/clock.h"
#include "field/collect.h"
#include "field/listener_state.h"

#include <string.h>

/* An answer may take so long in all: a meter's readout at 300 baud. */
#define ANSWER_US (120 * 1000 * 1000)

/* --- sending --- */

static void send_request(struct listener *listener)
{
	const struct device_config *config = listener->device->config;
	size_t n = listener->device->driver->ask(config->map, config->address, listener->frame);

	port_drain(listener->port);
	speech_clear(&listener->speech);
	listener->acknowledged = false;
	listener->begun = false;
	listener->device->reading_count = 0;
	if (!listener_send(listener, n))
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

	if (!listener_send(listener, n))
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

/* What the device waits for before it goes on. */
static void acknowledge(struct listener *listener)
{
	const struct device *device = listener->device;
	size_t n;

	if (listener->acknowledged || !device->driver->acknowledge)
		return;
	n = device->driver->acknowledge(device->config->map, listener->speech.bytes,
					listener->speech.length, listener->frame);
	if (n)
		listener->acknowledged = listener_send(listener, n);
}

/* --- what becomes of it --- */

/* The poll is over, answered or not. */
static void finish_poll(struct listener *listener, uint64_t now_us)
{
	struct device *device = listener->device;

	listener_publish(listener, now_us);
	collect_all_again(device, now_us);
	listener->attempts = 0;
	listener->state = LISTENER_IDLE;
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
		listener_is_silent(listener);
	device->set_up = false;
	finish_poll(listener, now_us);
	listener->state = LISTENER_QUIET;
	listener->deadline_us = now_us + listener->config->timeout_us;
}

/* How long the device took to begin its answer. */
static void note_latency(struct listener *listener)
{
	uint64_t now_us = listener->received_us, end_us = listener->end_us;

	if (listener->begun || !listener->speech.length)
		return;
	listener->begun = true;
	latency_add(&listener->device->counters.latency, now_us > end_us ? now_us - end_us : 0);
}

void ask_heard(struct listener *listener)
{
	note_latency(listener);
	acknowledge(listener);
}

void ask_answered(struct listener *listener)
{
	const struct device *device = listener->device;
	uint64_t now_us = listener->received_us;

	if (needs_setup(device) && !device->reading_count) {
		attempt_failed(listener, now_us);
		return;
	}
	if (collect_is_complete(device, now_us)) {
		finish_poll(listener, now_us);
		return;
	}
	/* It has begun: it may take its time, and must not stop in between. */
	if (listener->speech.length)
		listener->deadline_us = now_us + CUT_US;
	else if (device->reading_count)
		listener->deadline_us = now_us + PAUSE_US;
	if (listener->deadline_us > listener->sent_us + ANSWER_US)
		listener->deadline_us = listener->sent_us + ANSWER_US;
}

/* --- what is next --- */

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
		listener_wake_at(listener, due_us);
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

void ask_step(struct listener *listener)
{
	if (listener->state == LISTENER_IDLE) {
		step_idle(listener);
	} else if (listener->state == LISTENER_TELLING) {
		listener_wake_at(listener, UINT64_MAX);
	} else if (clock_monotonic_us() < listener->deadline_us) {
		listener_wake_at(listener, listener->deadline_us);
	} else if (listener->state == LISTENER_SETTING_UP) {
		send_request(listener);
	} else if (listener->state == LISTENER_WAITING) {
		wait_over(listener);
	} else {
		port_drain(listener->port);
		listener->state = LISTENER_IDLE;
	}
}
