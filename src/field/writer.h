/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h - what is written to the devices of a bus, and when: commands as requests. */
#pragma once

#include "field/errand.h"
#include "field/wire.h"

struct writer;

/* For the devices of the bus, which must outlive it, as the configuration must. 0 or -ENOMEM. */
int writer_new(const struct bus_config *config, struct device *devices,
	       struct writer **writer) _must_check_;
/* What was not done is told as that. */
void writer_free(struct writer *writer);
DEFINE_CLEANUP(struct writer *, writer_free)

/* Who is told what became of a command; before the first is taken. */
void writer_tell(struct writer *writer, outcome_sink *sink, void *data);

/*
 * Takes a command for one of the devices; `closed` is why the port is not open, NULL where it
 * is. 0: its outcome will be told, perhaps from in here; -ENOENT: there is no such device.
 */
int writer_take(struct writer *writer, const struct command *command, const char *closed)
	_must_check_;

/* Whether any is in hand. */
bool writer_has_commands(const struct writer *writer);

/* How urgent the next request is. */
enum writer_urgency {
	WRITER_IDLE,    /* there is none that could go now */
	WRITER_PATIENT, /* an attempt was in vain: what is late to be read goes first */
	WRITER_READY,   /* it may go, or one that reads what is due */
	WRITER_URGENT,  /* nothing else may come between */
};

/*
 * What there is to be asked now, or with WRITER_IDLE when to look again; UINT64_MAX: when a
 * command comes.
 */
enum writer_urgency writer_look(struct writer *writer, uint64_t now_us,
				uint64_t *wake_us);

/*
 * The request that writer_look() has found, which is to be sent now, and the device that it is
 * for. It stays until writer_settle() is told its outcome, or the port is lost.
 */
struct device *writer_ask(struct writer *writer, uint64_t now_us,
			  const struct request **request);

/* What became of it. `time_us` is the bus's time. */
void writer_settle(struct writer *writer, const struct wire_outcome *outcome,
		   uint64_t time_us);

/* The port is lost: what waits fails, and what was sent is uncertain. */
void writer_port_lost(struct writer *writer, const char *why, uint64_t now_us);

/*
 * The bus is to end: what waits fails, and pulses are cleared. False while there is something
 * to be done for that.
 */
bool writer_leave(struct writer *writer, uint64_t now_us);
