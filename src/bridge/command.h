/* SPDX-License-Identifier: Apache-2.0 */
/* command.h - what is to be written to a point, what became of it, and the rings for both. */
#pragma once

#include "bridge/reading.h"

enum { OUTCOME_ERROR_MAX = 120 };

/* As the uplink hands it to the field side: checked (setting.h), and noted as started. */
struct command {
	uint64_t number; /* tells its outcome from others'; never 0 */
	char device[NAME_MAX_LENGTH + 1], point[NAME_MAX_LENGTH + 1];
	struct value
		value; /* as the point shows it: scaled, a name where it has `values:` */
};

enum outcome_kind {
	OUTCOME_DONE,   /* the device has confirmed it */
	OUTCOME_FAILED, /* it has not been carried out; .error says why */
	OUTCOME_UNCERTAIN, /* it went onto the wire and nothing right came back; .error says what */
};

struct outcome {
	uint64_t number; /* of its command */
	enum outcome_kind kind;
	struct value
		value; /* DONE: as read back where the map says `verify: true`, else as written */
	char error[OUTCOME_ERROR_MAX];
};

/*
 * Two bounded rings, one each way: commands from the uplink to the field side, outcomes back.
 * Each end belongs to one thread, and neither ever waits for the other. Every command that
 * was pushed takes the room of its outcome with it, so an outcome is never lost.
 */
struct command_ring;

enum { COMMANDS_MAX = 64 }; /* that may be without an outcome at one time */

/* 0 or -errno. */
int command_ring_new(struct command_ring **ring) _must_check_;
void command_ring_free(struct command_ring *ring);
DEFINE_CLEANUP(struct command_ring *, command_ring_free)

/* Uplink side. -ENOBUFS while COMMANDS_MAX are without an outcome that was popped. */
int command_push(struct command_ring *ring, const struct command *command) _must_check_;
/* Field side. The next command; false: there is none. */
bool command_pop(struct command_ring *ring, struct command *command);

/* Field side, exactly once for each command that was popped: there is always room. */
void outcome_push(struct command_ring *ring, const struct outcome *outcome);
/* Uplink side. The next outcome; false: there is none. */
bool outcome_pop(struct command_ring *ring, struct outcome *outcome);

/* Becomes readable when something was pushed; to be cleared before popping. */
int command_fd(const struct command_ring *ring);
void command_clear(struct command_ring *ring);
int outcome_fd(const struct command_ring *ring);
void outcome_clear(struct command_ring *ring);
