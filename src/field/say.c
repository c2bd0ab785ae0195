/* SPDX-License-Identifier: Apache-2.0 */
/*
 * say.c - commands of devices that speak in units: what is said to them, and what confirms it.
 *
 *     WAITS ── nothing else is being said ─▶ WRITES ── `reply:` ──▶ VERIFIES ─▶ done
 *                                              │  ▲                (verify: true)
 *                                              └──┘ no reply in `timeout`: said again, where it may
 *
 * Without a `reply:` it is done when it was said.
 */
#include "field/say.h"

#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/number.h"
#include "config/writing.h"
#include "field/listener_state.h"

#include <string.h>

/* Who speaks unasked shows what it took within this time. */
#define SHOW_US (5 * USEC_PER_SEC)

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The one that was begun; it is the first. */
static struct errand *current(const struct listener *listener)
{
	struct errand *errand = listener->say.errands.first;

	return errand && errand->stage != ERRAND_WAITS ? errand : NULL;
}

static bool has_reply(const struct errand *errand)
{
	const struct phrase *phrase = errand->point->locator->phrase;

	return phrase->text_reply || phrase->frame_reply.count;
}

bool say_is_under_way(const struct listener *listener)
{
	const struct errand *errand = current(listener);

	return errand && errand->stage == ERRAND_WRITES;
}

/* --- saying it --- */

/* What may come of it is passed over before anything else is asked. */
static void be_quiet(struct listener *listener, uint64_t now_us)
{
	if (!listener->asked || listener->state == LISTENER_CLOSED)
		return;
	listener->state = LISTENER_QUIET;
	listener->deadline_us = now_us + listener->config->timeout_us;
}

/* It is written, as far as can be known; a value of the point comes soon. */
static void is_written(struct listener *listener, struct errand *errand, uint64_t now_us)
{
	struct say *say = &listener->say;

	device_hurry(errand->device, errand->index, now_us);
	if (!errand->point->write_verify) {
		errand_done(&say->errands, errand);
		return;
	}
	errand->stage = ERRAND_VERIFIES;
	say->read = false;
	say->deadline_us = now_us + SHOW_US;
}

static void say_it(struct listener *listener, struct errand *errand)
{
	const struct device_config *config = errand->device->config;
	struct say *say = &listener->say;
	uint64_t now_us = clock_monotonic_us();
	size_t n = errand->device->driver->command(config->map, errand->point,
						   &errand->command.value,
						   config->address, listener->frame);

	if (listener->asked) {
		port_drain(listener->port);
		speech_clear(&listener->speech);
	}
	errand->stage = ERRAND_WRITES;
	errand->attempts++;
	say->heard_length = 0;
	say->echo_length = listener->config->echo ? n : 0;
	if (!listener_send(listener, n))
		return;
	errand->device->counters.requests++;
	say->deadline_us = listener->end_us + listener->config->timeout_us;
	if (listener->asked) {
		listener->device = errand->device;
		listener->state = LISTENER_TELLING;
		listener->deadline_us = say->deadline_us;
	}
	if (!has_reply(errand)) {
		is_written(listener, errand, now_us);
		be_quiet(listener, listener->end_us);
	}
}

/* --- what becomes of it --- */

static bool is_confirmed(struct listener *listener, const struct errand *errand)
{
	const struct device_config *config = errand->device->config;
	const struct say *say = &listener->say;

	return errand->device->driver->confirms(config->map, errand->point,
						&errand->command.value, config->address,
						say->heard, say->heard_length);
}

void say_heard(struct listener *listener, const uint8_t *bytes, size_t n)
{
	struct errand *errand = current(listener);
	struct say *say = &listener->say;
	size_t own = n < say->echo_length ? n : say->echo_length;

	say->echo_length -= own;
	if (!errand || errand->stage != ERRAND_WRITES)
		return;
	for (size_t i = own; i < n; i++) {
		/* Who speaks a lot beside it: the older half has had its chance. */
		if (say->heard_length == HEARD_MAX) {
			say->heard_length = HEARD_MAX / 2;
			memmove(say->heard, say->heard + HEARD_MAX / 2, HEARD_MAX / 2);
		}
		say->heard[say->heard_length++] = bytes[i];
	}
	if (!is_confirmed(listener, errand))
		return;
	errand->device->counters.answers++;
	is_written(listener, errand, clock_monotonic_us());
	if (listener->asked)
		listener->state = LISTENER_IDLE;
}

void say_read(struct listener *listener, const struct reading *readings, size_t count)
{
	struct errand *errand = current(listener);
	struct say *say = &listener->say;

	if (!errand || errand->stage != ERRAND_VERIFIES ||
	    errand->device != listener->device)
		return;
	for (size_t i = 0; i < count; i++) {
		if (readings[i].point != errand->index)
			continue;
		if (errand_is_verified(&errand->command.value, &readings[i].value)) {
			errand->command.value = readings[i].value;
			errand_done(&say->errands, errand);
			return;
		}
		say->read = true;
		say->value = readings[i].value;
	}
}

static void verify_failed(struct listener *listener, struct errand *errand)
{
	char error[OUTCOME_ERROR_MAX] = "it reads back as ";
	struct text text = {
		.data = error, .size = sizeof(error), .length = strlen(error)};
	struct say *say = &listener->say;

	if (!say->read) {
		errand_give_up(&say->errands, errand, OUTCOME_UNCERTAIN, "no value came");
		return;
	}
	number_print(&say->value, &text);
	errand_fail(&say->errands, errand, OUTCOME_FAILED, error);
}

/* Nothing that confirms it came in time. */
static void attempt_failed(struct listener *listener, struct errand *errand,
			   uint64_t now_us)
{
	const struct bus_config *config = listener->config;
	char why[64], duration[32];

	errand->device->counters.timeouts++;
	if (writing_is_repeatable(errand->point) && errand->attempts <= config->retries) {
		say_it(listener, errand);
		return;
	}
	snprintf(why, sizeof(why), "%s in %s",
		 listener->say.heard_length ? "no right answer" : "no answer",
		 format_duration(config->timeout_us, duration, sizeof(duration)));
	/* A late one must not confirm what is said next. */
	device_expect_late(errand->device, now_us + config->timeout_us);
	errand_fail(&listener->say.errands, errand, OUTCOME_UNCERTAIN, why);
	be_quiet(listener, now_us);
}

/* --- what is next --- */

/* When the first that waits may be said, as far as its device and its bus are concerned. */
static uint64_t ready_us(const struct errand *errand, uint64_t now_us)
{
	return later(errand->device->quiet_us, errand_allowed_us(errand->device, now_us));
}

static bool is_free(const struct listener *listener)
{
	return listener->state == LISTENER_LISTENING || listener->state == LISTENER_IDLE;
}

/* Where the device's own errand before it is to be read back first, it waits for that. */
void say_step(struct listener *listener)
{
	struct errands *errands = &listener->say.errands;
	uint64_t now_us = clock_monotonic_us();
	struct errand *errand;

	errands_expire(errands, now_us);
	errand = current(listener);
	if (errand && now_us >= listener->say.deadline_us) {
		if (errand->stage == ERRAND_VERIFIES)
			verify_failed(listener, errand);
		else
			attempt_failed(listener, errand, now_us);
	}
	errand = errands->first;
	if (!errand || errand->stage != ERRAND_WAITS || !is_free(listener) ||
	    listener->leaving || ready_us(errand, now_us) > now_us)
		return;
	errand_count(errand->device, now_us);
	say_it(listener, errand);
}

uint64_t say_wake_us(const struct listener *listener)
{
	const struct errand *errand = listener->say.errands.first;
	uint64_t wake_us = UINT64_MAX, now_us = clock_monotonic_us();

	if (!errand)
		return UINT64_MAX;
	if (errand->stage != ERRAND_WAITS)
		wake_us = listener->say.deadline_us;
	else if (is_free(listener))
		wake_us = ready_us(errand, now_us);
	for (; errand; errand = errand->next)
		if (errand_expires_us(errand) < wake_us)
			wake_us = errand_expires_us(errand);
	return wake_us;
}

/* --- commands come, and the port goes --- */

int say_take(struct listener *listener, const struct command *command)
{
	const char *closed = listener->port ? NULL : opener_trouble(listener->opener);
	struct errand *errand;
	int r = errand_take(&listener->say.errands, listener->devices,
			    listener->config->device_count, command, closed, &errand);
	uint8_t frame[FRAME_MAX];

	if (errand &&
	    !errand->device->driver->command(errand->device->config->map, errand->point,
					     &errand->command.value,
					     errand->device->config->address, frame))
		errand_fail(&listener->say.errands, errand, OUTCOME_FAILED,
			    "the point can't hold the value");
	return r;
}

void say_give_up(struct listener *listener, const char *why)
{
	struct errands *errands = &listener->say.errands;

	while (errands->first)
		errand_give_up(errands, errands->first, OUTCOME_UNCERTAIN, why);
}
