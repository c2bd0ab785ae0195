/* SPDX-License-Identifier: Apache-2.0 */
/* writer_settle.c - what becomes of what is written, read for it, and read back. */
#include "field/writer_state.h"

#include "base/log.h"
#include "base/units.h"
#include "bridge/number.h"
#include "config/writing.h"
#include "drivers/modbus.h"
#include "field/write_plan.h"

#include <string.h>

enum {
	/* A busy device, or one that does not show yet what it took, is asked again: */
	AGAIN_FIRST_US = 100 * 1000,
	AGAIN_MOST = 4, /* so often, each time after twice as long */
};

/* A pulse that could not be cleared is tried again after the first, and at last at the most. */
#define CLEAR_FIRST_US USEC_PER_SEC
#define CLEAR_MOST_US (60 * USEC_PER_SEC)

/* A pulse is set and stays so, which nobody may overlook; it is tried again, and again. */
static void stay_set(struct writer *writer, struct errand *errand, const char *why,
		     uint64_t now_us)
{
	uint64_t wait_us = CLEAR_FIRST_US << (errand->again < 6 ? errand->again : 6);
	char error[OUTCOME_ERROR_MAX];

	snprintf(error, sizeof(error), "it is set, and was not cleared: %.79s", why);
	if (!errand->told)
		log_about(LOG_WARNING,
			  (struct log_subject){writer->config->name,
					       errand->device->config->name},
			  "%s: %s", errand->point->name, error);
	errand_tell(&writer->errands, errand, OUTCOME_UNCERTAIN, error);
	errand->stage = ERRAND_IS_SET;
	errand->attempts = 0;
	errand->again++;
	errand->not_before_us =
		now_us + (wait_us < CLEAR_MOST_US ? wait_us : CLEAR_MOST_US);
}

void writer_give_up(struct writer *writer, struct errand *errand,
		    enum outcome_kind of_write, const char *why, uint64_t now_us)
{
	if (errand->stage == ERRAND_IS_SET || errand->stage == ERRAND_CLEARS)
		stay_set(writer, errand, why, now_us);
	else
		errand_give_up(&writer->errands, errand, of_write, why);
}

/* What is owed must meet no other request. */
static void await_owed(const struct errand *errand, uint64_t now_us, uint64_t time_us,
		       uint64_t wait_us)
{
	struct device *device = errand->device;

	if (!errand->owed)
		return;
	device_rest(device, now_us, time_us, wait_us);
	device_expect_late(device, now_us + wait_us);
}

/*
 * What is asked again lets those go first who are late, for as long as it has cost the bus; and
 * until it is asked again nothing else is asked of its device.
 */
static void attempt_failed(struct writer *writer, struct errand *errand,
			   const struct wire_outcome *outcome, uint64_t time_us)
{
	uint64_t cost_us = outcome->now_us - errand->asked_us;
	char why[WIRE_TROUBLE_MAX];
	bool repeatable =
		errand->stage != ERRAND_WRITES || writing_is_repeatable(errand->point);

	errand->owed += wire_owes(outcome);
	errand->vain_us += cost_us;
	if (repeatable && errand->attempts <= writer->config->retries) {
		errand->patient_us = outcome->now_us + cost_us;
		device_rest(errand->device, outcome->now_us, time_us,
			    2 * (cost_us + writer->config->timeout_us));
		return;
	}
	await_owed(errand, outcome->now_us, time_us, errand->vain_us);
	writer_give_up(writer, errand, OUTCOME_UNCERTAIN,
		       wire_trouble(outcome, writer->config, why), outcome->now_us);
}

/* Asks the same again after a while; false: that was often enough. */
static bool try_again(struct errand *errand, uint64_t now_us)
{
	if (errand->again == AGAIN_MOST)
		return false;
	errand->not_before_us = now_us + ((uint64_t)AGAIN_FIRST_US << errand->again++);
	errand->attempts = 0;
	return true;
}

static void is_written(struct writer *writer, struct errand *errand, uint64_t now_us,
		       uint64_t time_us)
{
	const struct point *point = errand->point;

	device_hurry(errand->device, errand->index, time_us);
	if (point->write_pulse_us && !point->write_flash.unit_us) {
		errand_enter(errand, ERRAND_IS_SET);
		errand->not_before_us = now_us + point->write_pulse_us;
	} else if (point->write_verify) {
		errand_enter(errand, ERRAND_VERIFIES);
		write_plan_read(point, errand->device->config->address, &errand->request);
	} else {
		errand_done(&writer->errands, errand);
	}
}

static void all_are_written(struct writer *writer, struct errand *errand, uint64_t now_us,
			    uint64_t time_us)
{
	size_t count = 1;

	for (const struct errand *mate = errand->mates; mate; mate = mate->next)
		count++;
	errand_part(errand);
	while (count--) {
		struct errand *next = errand->next;

		is_written(writer, errand, now_us, time_us);
		errand = next;
	}
}

static void is_read_back(struct writer *writer, struct errand *errand,
			 const struct reply *reply, uint64_t now_us)
{
	char error[OUTCOME_ERROR_MAX] = "it reads back as ";
	struct text text = {
		.data = error, .size = sizeof(error), .length = strlen(error)};
	struct value value;

	errand->device->driver->value(&errand->request, reply->data, errand->point,
				      &value);
	if (errand_is_verified(&errand->command.value, &value)) {
		errand->command.value = value;
		errand_done(&writer->errands, errand);
	} else if (!try_again(errand, now_us)) {
		number_print(&value, &text);
		errand_fail(&writer->errands, errand, OUTCOME_FAILED, error);
	}
}

static void is_cleared(struct writer *writer, struct errand *errand, uint64_t time_us)
{
	device_hurry(errand->device, errand->index, time_us);
	if (errand->told)
		log_about(LOG_NOTICE,
			  (struct log_subject){writer->config->name,
					       errand->device->config->name},
			  "%s: it is cleared", errand->point->name);
	errand_done(&writer->errands, errand);
}

static void answered(struct writer *writer, struct errand *errand,
		     const struct wire_outcome *outcome, uint64_t time_us)
{
	switch (errand->stage) {
	case ERRAND_READS:
		errand->device->driver->data(&errand->request, outcome->reply.data,
					     errand->data);
		errand_enter(errand, ERRAND_WRITES);
		errand_plan_writing(errand);
		return;
	case ERRAND_WRITES:
		all_are_written(writer, errand, outcome->now_us, time_us);
		return;
	case ERRAND_VERIFIES:
		is_read_back(writer, errand, &outcome->reply, outcome->now_us);
		return;
	case ERRAND_CLEARS:
		is_cleared(writer, errand, time_us);
		return;
	case ERRAND_WAITS:
	case ERRAND_IS_SET:
		return; /* nothing was asked */
	}
}

/* The device does not take several at once, or not one of them: each goes alone. */
static void go_alone(struct errand *errand)
{
	size_t count = 1;

	for (const struct errand *mate = errand->mates; mate; mate = mate->next)
		count++;
	errand_part(errand);
	for (; count--; errand = errand->next) {
		errand_enter(errand, ERRAND_WAITS);
		errand->alone = true;
	}
}

static void excepted(struct writer *writer, struct errand *errand,
		     const struct wire_outcome *outcome, uint64_t time_us)
{
	uint8_t exception = outcome->reply.exception;
	const char *name = errand->device->driver->exception_name(exception);
	bool writes = errand->stage == ERRAND_WRITES;

	if (exception == EXCEPTION_BUSY && try_again(errand, outcome->now_us))
		return;
	if (writes && errand->mates && exception <= EXCEPTION_VALUE) {
		go_alone(errand);
		return;
	}
	/* It has it, and will be at it for a while: what it holds then says more. */
	if (writes && exception == EXCEPTION_ACKNOWLEDGE && errand->point->write_verify) {
		all_are_written(writer, errand, outcome->now_us, time_us);
		return;
	}
	switch (exception) {
	case EXCEPTION_FAILURE:
	case EXCEPTION_ACKNOWLEDGE:
	case EXCEPTION_TARGET:
		writer_give_up(writer, errand, OUTCOME_UNCERTAIN, name, outcome->now_us);
		return;
	default:
		writer_give_up(writer, errand, OUTCOME_FAILED, name, outcome->now_us);
		return;
	}
}

void writer_settle(struct writer *writer, const struct wire_outcome *outcome,
		   uint64_t time_us)
{
	struct errand *errand = writer->asked;

	writer->asked = NULL;
	if (outcome->result != WIRE_ANSWERED) {
		attempt_failed(writer, errand, outcome, time_us);
		return;
	}
	/* It may have been the answer to an attempt before: the last one's may come yet. */
	await_owed(errand, outcome->now_us, time_us,
		   errand->vain_us + writer->config->timeout_us);
	if (outcome->reply.status == REPLY_EXCEPTION)
		excepted(writer, errand, outcome, time_us);
	else
		answered(writer, errand, outcome, time_us);
}
