/* SPDX-License-Identifier: Apache-2.0 */
/* errand.c - the commands that a bus has in hand, in their order, and what becomes of each. */
#include "field/errand.h"

#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/number.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* A command that could not be begun by then is none any more. */
#define PATIENCE_US (10 * USEC_PER_SEC)

static void tell(const struct errands *errands, const struct command *command,
		 enum outcome_kind kind, const char *error)
{
	struct outcome outcome = {.number = command->number, .kind = kind};

	if (kind == OUTCOME_DONE)
		outcome.value = command->value;
	if (error)
		snprintf(outcome.error, sizeof(outcome.error), "%s", error);
	errands->sink(errands->data, &outcome);
}

static void refuse(const struct errands *errands, const struct command *command,
		   const char *error)
{
	tell(errands, command, OUTCOME_FAILED, error);
}

static ssize_t find_point(const struct device_config *config, const char *name)
{
	for (size_t i = 0; i < config->point_count; i++)
		if (!strcmp(config->points[i].name, name))
			return (ssize_t)i;
	return -1;
}

static struct errand *take(struct errands *errands, struct device *device,
			   const struct command *command)
{
	ssize_t index = find_point(device->config, command->point);
	struct errand **end = &errands->first, *errand;

	if (index < 0) {
		refuse(errands, command, "there is no such point");
		return NULL;
	}
	if (!device->config->points[index].writable) {
		refuse(errands, command, "the point cannot be written");
		return NULL;
	}
	errand = calloc(1, sizeof(*errand));
	if (!errand) {
		refuse(errands, command, "memory is short");
		return NULL;
	}
	errand->command = *command;
	errand->device = device;
	errand->index = (size_t)index;
	errand->point = &device->config->points[index];
	errand->taken_us = clock_monotonic_us();
	while (*end)
		end = &(*end)->next;
	*end = errand;
	return errand;
}

int errand_take(struct errands *errands, struct device *devices, size_t count,
		const struct command *command, const char *closed, struct errand **errand)
{
	char error[OUTCOME_ERROR_MAX];
	size_t i = 0;

	*errand = NULL;
	while (i < count && strcmp(devices[i].config->name, command->device))
		i++;
	if (i == count)
		return -ENOENT;
	if (!closed) {
		*errand = take(errands, &devices[i], command);
		return 0;
	}
	snprintf(error, sizeof(error), "the port is not open%s%.90s", *closed ? ": " : "",
		 closed);
	refuse(errands, command, error);
	return 0;
}

void errand_tell(const struct errands *errands, struct errand *errand,
		 enum outcome_kind kind, const char *error)
{
	if (!errand->told)
		tell(errands, &errand->command, kind, error);
	errand->told = true;
}

static void take_off(struct errands *errands, struct errand *errand)
{
	struct errand **link = &errands->first;

	while (*link != errand)
		link = &(*link)->next;
	*link = errand->next;
	errand->next = NULL;
}

/* Off the list it goes, and then each of those that the same request wrote. */
static void end(struct errands *errands, struct errand *errand, enum outcome_kind kind,
		const char *error)
{
	take_off(errands, errand);
	errand->next = errand->mates;
	while (errand) {
		struct errand *next = errand->next;

		errand_tell(errands, errand, kind, error);
		free(errand);
		errand = next;
	}
}

void errand_fail(struct errands *errands, struct errand *errand, enum outcome_kind kind,
		 const char *error)
{
	end(errands, errand, kind, error);
}

void errand_done(struct errands *errands, struct errand *errand)
{
	end(errands, errand, OUTCOME_DONE, NULL);
}

void errand_give_up(struct errands *errands, struct errand *errand,
		    enum outcome_kind of_write, const char *why)
{
	char error[OUTCOME_ERROR_MAX];

	if (errand->stage == ERRAND_WRITES) {
		errand_fail(errands, errand, of_write, why);
	} else if (errand->stage == ERRAND_VERIFIES) {
		snprintf(error, sizeof(error), "it is written, and was not read back: %s",
			 why);
		errand_fail(errands, errand, OUTCOME_UNCERTAIN, error);
	} else {
		errand_fail(errands, errand, OUTCOME_FAILED, why);
	}
}

void errand_part(struct errand *errand)
{
	struct errand **end = &errand->mates;

	while (*end)
		end = &(*end)->next;
	*end = errand->next;
	errand->next = errand->mates;
	errand->mates = NULL;
}

void errand_join(struct errands *errands, struct errand *errand, struct errand *other)
{
	struct errand **end = &errand->mates;

	take_off(errands, other);
	while (*end)
		end = &(*end)->next;
	*end = other;
}

bool errand_is_verified(const struct value *written, const struct value *read)
{
	double a = value_number(written), b = value_number(read);

	if (written->kind == VALUE_TEXT || read->kind == VALUE_TEXT)
		return written->kind == read->kind && !strcmp(written->text, read->text);
	/* Whole numbers to the last digit, which a double does not have. */
	if (written->kind == read->kind && a == b &&
	    (written->kind == VALUE_UNSIGNED || written->kind == VALUE_SIGNED))
		return written->u == read->u;
	/* A scale may have made the last digit of a float another one. */
	return fabs(a - b) <= 1e-6 * fmax(fabs(a), fabs(b));
}

uint64_t errand_expires_us(const struct errand *errand)
{
	return errand->stage == ERRAND_WAITS ? errand->taken_us + PATIENCE_US
					     : UINT64_MAX;
}

void errands_expire(struct errands *errands, uint64_t now_us)
{
	struct errand *next;

	for (struct errand *errand = errands->first; errand; errand = next) {
		next = errand->next;
		if (now_us >= errand_expires_us(errand))
			errand_fail(errands, errand, OUTCOME_FAILED,
				    "it has waited for 10s and was not begun");
	}
}

/* What of a second's commands has come back since the last one. */
static double allowance(const struct device *device, uint64_t now_us)
{
	double rate = device->config->command_rate;

	return fmin(device->allowance +
			    (double)(now_us - device->allowance_us) / 1e6 * rate,
		    fmax(rate, 1));
}

uint64_t errand_allowed_us(const struct device *device, uint64_t now_us)
{
	double rate = device->config->command_rate, missing;

	if (!rate || !device->allowance_us)
		return now_us;
	missing = 1 - allowance(device, now_us);
	return missing <= 0 ? now_us : now_us + (uint64_t)ceil(missing / rate * 1e6);
}

void errand_count(struct device *device, uint64_t now_us)
{
	double rate = device->config->command_rate;

	device->allowance =
		device->allowance_us ? allowance(device, now_us) : fmax(rate, 1);
	device->allowance -= 1;
	device->allowance_us = now_us;
}
