/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_settle.c - what becomes of the requests of a bus.
 *
 * A reply does not say which register it is for. So after a timeout either the identical
 * request is repeated, to which a late reply is the right reply, or the device is asked
 * nothing until none can come any more. Other devices may be asked meanwhile: a reply does
 * say whose it is.
 */
#include "field/bus_state.h"

#include "bridge/clock.h"
#include "drivers/modbus.h"

#include <errno.h>

enum {
	/* A busy device is asked again after the first, and at last at the most. */
	BUSY_FIRST_US = 100 * 1000,
	BUSY_MOST_US = 5 * 1000 * 1000,
	/* So many times in a row it is worth a line. */
	BUSY_TOLD = 5,
};

/* What a line of the log is about; `device` may be NULL. */
struct log_subject bus_subject(const struct bus *bus, const struct device *device)
{
	return (struct log_subject){ bus->config->name, device ? device->config->name : NULL };
}

static uint64_t bus_time_us(const struct bus *bus, const struct wire_outcome *outcome)
{
	return schedule_time_us(&bus->schedule, outcome->now_us);
}

static void announce(struct bus *bus, const struct device *device)
{
	device_announce(device, &bus->conf->publish, bus->sink, bus->sink_data);
}

void bus_publish(struct bus *bus, struct device *device, uint64_t now_us)
{
	if (device->reading_count &&
	    device_publish(device, &bus->conf->publish, now_us, bus->sink,
			   bus->sink_data) == -EMSGSIZE)
		log_about(LOG_ERR, bus_subject(bus, device), "a message of it would be too long");
}

/* The device said something, be it that it can't. */
static void request_answered(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	enum device_state before = device->state;

	if (!device_answered(device, outcome->now_us, bus_time_us(bus, outcome)))
		return;
	if (before == DEVICE_OFFLINE)
		log_about(LOG_NOTICE, bus_subject(bus, device), "answers again");
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
	device_expect_late(device, outcome->now_us + wait_us);
}

/* With the request, the poll may be done. */
static void request_done(struct bus *bus, bool poll_done, const struct wire_outcome *outcome)
{
	await_owed(bus, outcome);
	if (!poll_done)
		return;
	bus->device->polling = false;
	bus_publish(bus, bus->device, outcome->now_us);
}

static void request_good(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;

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

	if (device->owed)
		device_expect_late(device, outcome->now_us + device->vain_us);
	if (device_failed(device, outcome->now_us, bus_time_us(bus, outcome))) {
		log_about(LOG_WARNING, bus_subject(bus, device),
			  "%s (%u requests given up), asking less often", why, device->failures);
		announce(bus, device);
	}
	bus_publish(bus, device, outcome->now_us);
}

/* It has the request, or no time for it: it is to be asked again later. */
static void request_too_early(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	uint64_t wait_us = BUSY_FIRST_US;

	for (unsigned i = 0; i < device->busy && wait_us < BUSY_MOST_US; i++)
		wait_us *= 2;
	if (++device->busy == BUSY_TOLD)
		log_about(LOG_NOTICE, bus_subject(bus, device), "%s, again and again",
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
		log_about(LOG_WARNING, bus_subject(bus, device),
			  "%s: %s; hardly ever asking for it again",
			  device->config->points[point].name,
			  device->driver->exception_name(outcome->reply.exception));
	request_done(bus, device_refuse(device, bus_time_us(bus, outcome)), outcome);
}

/* Whether it is the device that answered, and not a gateway before it. */
static bool is_its_own(const struct reply *reply)
{
	return reply->status != REPLY_EXCEPTION || (reply->exception != EXCEPTION_PATH &&
						    reply->exception != EXCEPTION_TARGET);
}

/* The device understood and said no. */
static void request_excepted(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	uint8_t exception = outcome->reply.exception;
	const char *name = device->driver->exception_name(exception);

	if (!is_its_own(&outcome->reply)) {
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
		log_about(LOG_WARNING, bus_subject(bus, device), "%s", name);
	device->excepted = true;
	request_done(bus, device_settle(device, bus_time_us(bus, outcome), 0), outcome);
}

/* An attempt without an answer: the same is asked again, unless that was often enough. */
static void attempt_failed(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;
	char why[WIRE_TROUBLE_MAX];

	device->owed += wire_owes(outcome);
	if (device_missed(device, bus->config->retries, bus_time_us(bus, outcome),
			  outcome->now_us - bus->asked_us))
		return;
	request_failed(bus, wire_trouble(outcome, bus->config, why), outcome);
}

static void count_missed(struct bus *bus, const struct wire_outcome *outcome)
{
	struct device *device = bus->device;

	if (outcome->result == WIRE_TIMEOUT)
		device->counters.timeouts++;
	else
		device->counters.refused[outcome->reply.status]++;
	if (wire_owes(outcome))
		device_expect_late(device, outcome->now_us + bus->config->timeout_us);
}

static void count_answer(struct bus *bus, const struct wire_outcome *outcome)
{
	struct counters *counters = &bus->device->counters;

	if (outcome->reply.status == REPLY_EXCEPTION) {
		counters->refused[REPLY_EXCEPTION]++;
		return;
	}
	counters->answers++;
	latency_add(&counters->latency, outcome->latency_us);
}

/* Of a request that was a command's. */
static void command_settled(struct bus *bus, const struct wire_outcome *outcome)
{
	bus->writing = false;
	if (outcome->result == WIRE_ANSWERED && is_its_own(&outcome->reply))
		request_answered(bus, outcome);
	writer_settle(bus->writer, outcome, bus_time_us(bus, outcome));
}

void bus_settle(struct bus *bus, const struct wire_outcome *outcome)
{
	if (outcome->result == WIRE_ANSWERED)
		count_answer(bus, outcome);
	else
		count_missed(bus, outcome);
	if (bus->writing)
		command_settled(bus, outcome);
	else if (outcome->result != WIRE_ANSWERED)
		attempt_failed(bus, outcome);
	else if (outcome->reply.status == REPLY_EXCEPTION)
		request_excepted(bus, outcome);
	else
		request_good(bus, outcome);
}
