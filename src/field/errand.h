/* SPDX-License-Identifier: Apache-2.0 */
/* errand.h - the commands that a bus has in hand, in their order, and what becomes of each. */
#pragma once

#include "bridge/command.h"
#include "field/device.h"

/* Why something is given up, with room in an outcome's error for what it is. */
enum { REASON_MAX = 80 };

/* Told what became of a command, once for each that was taken. */
typedef void outcome_sink(void *data, const struct outcome *outcome);

enum errand_stage {
	ERRAND_WAITS, /* for its turn: nothing is done yet */
	ERRAND_READS, /* the registers that it is one part of */
	ERRAND_WRITES,
	ERRAND_VERIFIES, /* it is written, and read back */
	ERRAND_IS_SET,   /* a pulse, until it is cleared */
	ERRAND_CLEARS,
};

struct errand {
	struct errand *next;
	struct errand *mates; /* that the same request writes */
	struct command command;
	struct device *device;
	size_t index; /* of the point */
	const struct point *point;
	enum errand_stage stage;
	uint64_t taken_us;
	uint64_t
		not_before_us; /* CLOCK_MONOTONIC: nothing is to be done for it until then */
	bool alone;            /* not to be written together with others */
	bool told;             /* its outcome is; it is still to be cleared */

	/* the request of its stage, and the attempts that were made */
	struct request request;
	uint8_t data[DATA_MAX];
	unsigned attempts, owed, again;
	uint64_t asked_us, vain_us;
	uint64_t patient_us; /* CLOCK_MONOTONIC: those who are late go first until then */
};

struct errands {
	struct errand *first;
	outcome_sink *sink;
	void *data;
};

/*
 * Takes a command for one of these devices, whose port is not open for this reason (NULL: it
 * is). 0: *errand is in hand, or NULL where it could not be taken, which is told at once;
 * -ENOENT: there is no such device.
 */
int errand_take(struct errands *errands, struct device *devices, size_t count,
		const struct command *command, const char *closed, struct errand **errand)
	_must_check_;

/* Tells that it failed or is uncertain without ending it; once. */
void errand_tell(const struct errands *errands, struct errand *errand,
		 enum outcome_kind kind, const char *error);

/*
 * Takes it off the list with those that it is written with, tells what was not told yet, and
 * frees them: that they failed or are uncertain, or that they are done, as they were written.
 */
void errand_fail(struct errands *errands, struct errand *errand, enum outcome_kind kind,
		 const char *error);
void errand_done(struct errands *errands, struct errand *errand);

/*
 * It can't be gone on with: what is not written has failed, and is `of_write` where the write
 * itself is out; what was to be read back is uncertain. Not of pulses that are set.
 */
void errand_give_up(struct errands *errands, struct errand *errand,
		    enum outcome_kind of_write, const char *why);

/* Moves those that `errand` is written with back into the list, right behind it. */
void errand_part(struct errand *errand);

/* Takes `other` off the list, to be written with `errand`. */
void errand_join(struct errands *errands, struct errand *errand, struct errand *other);

/* Whether one that reads back what was written has found it. */
bool errand_is_verified(const struct value *written, const struct value *read);

/* When one that waits is given up, since nobody counts on it any more. */
uint64_t errand_expires_us(const struct errand *errand);

/* Fails those. */
void errands_expire(struct errands *errands, uint64_t now_us);

/*
 * When a device may take the next command, so that it has no more than its `command_rate`;
 * errand_count() says that it takes one now.
 */
uint64_t errand_allowed_us(const struct device *device, uint64_t now_us);
void errand_count(struct device *device, uint64_t now_us);
