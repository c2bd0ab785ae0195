/* SPDX-License-Identifier: Apache-2.0 */
/* sim_answers.h - what simulated devices say: in its order, paced as a wire, spoilt by faults. */
#pragma once

#include "field/driver.h"
#include "tools/fault_plan.h"

enum {
	ANSWERS_MAX = 16, /* that a busy device still remembers */
	ANSWER_PARTS = 3, /* most that one request makes: echo, and an answer with a pause */
};

struct answer {
	uint8_t frame[FRAME_MAX + 2];
	const uint8_t *said; /* of a device that speaks in units, in place of frame */
	size_t length, sent;
	uint64_t start_us; /* when its first character begins */
	bool right, noise; /* noise is made as it is given out, of any length */
};

struct answers {
	uint32_t baud;
	struct serial_format format;
	struct answer queue[ANSWERS_MAX]; /* in the order of the wire */
	size_t count;
};

/*
 * A place behind the last of the answers, where it is there that it begins at the earliest.
 * There must be room.
 */
struct answer *answers_add(struct answers *answers, uint64_t start_us);
/* What was sent comes back while it is being sent. */
void answers_echo(struct answers *answers, const uint8_t *bytes, size_t n, uint64_t start_us);
/* Spoils the last answer, that to the request of this number. */
void answers_spoil(struct answers *answers, const struct fault_plan *fault, uint64_t number);

/* When those that have begun by now are over; 0: none has. */
uint64_t answers_end_us(const struct answers *answers, uint64_t now);
/* When the next bytes are to be given out; UINT64_MAX: there are none. */
uint64_t answers_due_us(const struct answers *answers, uint64_t now);

/* An answer that was given out to its end: whether it was right, and when; 0: none was. */
struct given {
	bool right;
	uint64_t end_us;
};

/* Gives out the bytes of the first answer that have arrived by now. */
struct given answers_give(struct answers *answers, int fd, uint64_t now);
