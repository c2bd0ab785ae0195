/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.c - what is written to the devices of a bus, and when: commands as requests.
 *
 *     WAITS ──▶ WRITES ──▶ done                    a register or coil, or several side by side
 *       │         ▲  └───▶ VERIFIES ──▶ done       verify: true
 *       └─▶ READS ┘                                bits of a register
 *     WAITS ──▶ WRITES ──▶ IS_SET ──▶ CLEARS ──▶ done          a pulse
 *
 * The commands of a device are carried out one after the other, and those of a point in their
 * order. What has no answer is asked again as often as a request that reads; only what may be
 * written twice is. An answer to a write does not say what it is the answer to either (16 does
 * not name the values), so after one that is owed the device is written nothing else for a while.
 */
#include "field/writer_state.h"

#include "drivers/modbus.h"
#include "field/write_plan.h"

#include <errno.h>
#include <string.h>

enum { TOGETHER_MAX = COMMANDS_MAX }; /* in one request */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- what may go, and when --- */

static bool is_begun(const struct errand *errand)
{
	return errand->stage != ERRAND_WAITS && errand->stage != ERRAND_IS_SET;
}

/* Whether another one has to be done with first. */
static bool is_blocked(const struct writer *writer, const struct errand *errand)
{
	bool before = true;

	for (const struct errand *other = writer->errands.first; other;
	     other = other->next) {
		if (other == errand)
			before = false;
		else if (other->device != errand->device)
			continue;
		else if (is_begun(other) || (before && other->point == errand->point))
			return true;
	}
	return false;
}

/* What was read for it is written at once, and what is set is cleared in time. */
static enum writer_urgency urgency_of(const struct errand *errand, uint64_t now_us)
{
	if (errand->attempts)
		return now_us < errand->patient_us ? WRITER_PATIENT : WRITER_READY;
	return errand->stage == ERRAND_WRITES || errand->stage == ERRAND_CLEARS
		       ? WRITER_URGENT
		       : WRITER_READY;
}

/* When it can go on; UINT64_MAX: when another one is done. */
static uint64_t ready_us(const struct writer *writer, const struct errand *errand,
			 uint64_t now_us)
{
	uint64_t time_us = errand->not_before_us;

	if (errand->stage == ERRAND_IS_SET)
		return time_us;
	if (errand->stage == ERRAND_WAITS) {
		if (is_blocked(writer, errand))
			return UINT64_MAX;
		time_us = later(time_us, errand_allowed_us(errand->device, now_us));
	}
	/* The same request again, and the write behind its read, fear no late answer. */
	if (!errand->attempts && errand->stage != ERRAND_WRITES)
		time_us = later(time_us, errand->device->quiet_us);
	return time_us;
}

void errand_enter(struct errand *errand, enum errand_stage stage)
{
	errand->stage = stage;
	errand->attempts = errand->owed = errand->again = 0;
	errand->vain_us = 0;
	errand->not_before_us = 0;
}

static void begin_clearing(struct errand *errand)
{
	unsigned again = errand->again;

	errand_enter(errand, ERRAND_CLEARS);
	errand->again = again;
	/* A bool that could be set can be cleared. */
	(void)!write_plan_clear(errand->point, errand->device->config->address,
				&errand->request, errand->data);
}

enum writer_urgency writer_look(struct writer *writer, uint64_t now_us, uint64_t *wake_us)
{
	enum writer_urgency most = WRITER_IDLE;

	*wake_us = UINT64_MAX;
	errands_expire(&writer->errands, now_us);
	for (struct errand *errand = writer->errands.first; errand;
	     errand = errand->next) {
		uint64_t time_us;

		if (errand->stage == ERRAND_IS_SET && now_us >= errand->not_before_us &&
		    !is_blocked(writer, errand))
			begin_clearing(errand);
		time_us = ready_us(writer, errand, now_us);
		if (time_us > now_us) {
			uint64_t expires_us = errand_expires_us(errand);

			time_us = time_us < expires_us ? time_us : expires_us;
			*wake_us = time_us < *wake_us ? time_us : *wake_us;
		} else if (errand->stage != ERRAND_IS_SET &&
			   urgency_of(errand, now_us) > most) {
			most = urgency_of(errand, now_us);
			writer->next = errand;
		}
	}
	return most;
}

/* --- the request --- */

/*
 * Takes along what waits for the same device and stands right beside it. What does not is
 * not overtaken by what came after it.
 */
static void gather(struct writer *writer, struct errand *errand, uint64_t now_us)
{
	const struct device_config *config = errand->device->config;
	unsigned first = errand->point->addr, end = first + point_span(errand->point);
	struct errand *other = errand->next, *next;
	size_t count = 1;

	if (errand->alone || !write_plan_is_shared(errand->point))
		return;
	for (; other && count < TOGETHER_MAX; other = next) {
		next = other->next;
		if (other->device != errand->device)
			continue;
		if (other->stage != ERRAND_WAITS || other->alone ||
		    other->point->table != errand->point->table ||
		    !write_plan_is_shared(other->point) || is_blocked(writer, other) ||
		    errand_allowed_us(errand->device, now_us) > now_us ||
		    !write_plan_join(&config->map->batch, other->point, &first, &end))
			return;
		errand_join(&writer->errands, errand, other);
		count++;
		errand_count(errand->device, now_us);
	}
}

/* The values were looked at when they were taken: they fit. */
void errand_plan_writing(struct errand *errand)
{
	struct written written[TOGETHER_MAX] = {{errand->point, errand->command.value}};
	uint8_t address = errand->device->config->address;
	size_t count = 1;

	for (const struct errand *mate = errand->mates; mate; mate = mate->next)
		written[count++] = (struct written){mate->point, mate->command.value};
	if (count == 1)
		(void)!write_plan_one(written, address, &errand->request, errand->data);
	else
		(void)!write_plan_many(written, count, address, &errand->request,
				       errand->data);
}

static void begin(struct writer *writer, struct errand *errand, uint64_t now_us)
{
	errand_count(errand->device, now_us);
	if (write_plan_reads_first(errand->point)) {
		errand_enter(errand, ERRAND_READS);
		write_plan_read(errand->point, errand->device->config->address,
				&errand->request);
		return;
	}
	gather(writer, errand, now_us);
	errand_enter(errand, ERRAND_WRITES);
	errand_plan_writing(errand);
}

struct device *writer_ask(struct writer *writer, uint64_t now_us,
			  const struct request **request)
{
	struct errand *errand = writer->next;
	struct device *device = errand->device;

	if (errand->stage == ERRAND_WAITS)
		begin(writer, errand, now_us);
	errand->attempts++;
	errand->asked_us = now_us;
	writer->asked = errand;
	*request = &errand->request;
	return device;
}

/* --- commands come, and the port goes --- */

/* From here on its value is known to fit. */
int writer_take(struct writer *writer, const struct command *command, const char *closed)
{
	struct errand *errand;
	struct written written;
	int r = errand_take(&writer->errands, writer->devices,
			    writer->config->device_count, command, closed, &errand);

	if (!errand)
		return r;
	written = (struct written){errand->point, command->value};
	if (write_plan_one(&written, errand->device->config->address, &errand->request,
			   errand->data) < 0)
		errand_fail(&writer->errands, errand, OUTCOME_FAILED,
			    "the point can't hold the value");
	return 0;
}

/* All that is in hand is given up; what is set is cleared when the port is back. */
static void abandon(struct writer *writer, const char *why, uint64_t now_us)
{
	struct errand *next;

	writer->asked = NULL;
	for (struct errand *errand = writer->errands.first; errand; errand = next) {
		next = errand->next;
		/* What was only read for it has not been written. */
		writer_give_up(writer, errand,
			       errand->attempts ? OUTCOME_UNCERTAIN : OUTCOME_FAILED, why,
			       now_us);
	}
}

void writer_port_lost(struct writer *writer, const char *why, uint64_t now_us)
{
	char reason[REASON_MAX];

	snprintf(reason, sizeof(reason), "the port was lost: %.50s", why);
	abandon(writer, reason, now_us);
}

bool writer_has_commands(const struct writer *writer)
{
	return writer->errands.first != NULL;
}

bool writer_leave(struct writer *writer, uint64_t now_us)
{
	bool done = !writer->asked;
	struct errand *next;

	for (struct errand *errand = writer->errands.first; errand; errand = next) {
		next = errand->next;
		if (errand->stage == ERRAND_WAITS) {
			errand_fail(&writer->errands, errand, OUTCOME_FAILED,
				    "its bus is ending");
			continue;
		}
		if (errand->stage == ERRAND_IS_SET && !errand->told)
			errand->not_before_us = now_us;
		done = done && errand->told;
	}
	return done;
}

/* --- life --- */

static void tell_nobody(_unused_ void *data, _unused_ const struct outcome *outcome)
{
}

int writer_new(const struct bus_config *config, struct device *devices,
	       struct writer **result)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return -ENOMEM;
	writer->config = config;
	writer->devices = devices;
	writer->errands.sink = tell_nobody;
	*result = writer;
	return 0;
}

void writer_tell(struct writer *writer, outcome_sink *sink, void *data)
{
	writer->errands.sink = sink;
	writer->errands.data = data;
}

void writer_free(struct writer *writer)
{
	if (!writer)
		return;
	abandon(writer, "the gateway is stopping", 0);
	/* What is left are pulses, and told. */
	while (writer->errands.first)
		errand_done(&writer->errands, writer->errands.first);
	free(writer);
}
