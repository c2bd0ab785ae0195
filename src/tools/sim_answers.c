// SPDX-License-Identifier: Apache-2.0
/* sim_answers.c - what simulated devices say: in its order, paced as a wire, spoilt by faults. */

#include "tools/sim_answers.h"

#include "config/bus_config.h"
#include "field/plan.h"

#include <string.h>
#include <unistd.h>

enum {
	NOISE_MAX = 40,  /* most characters of noise in place of an answer */
	BATCH_US = 1000, /* bytes are given out at most so often */
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t characters_us(const struct answers *answers, size_t n)
{
	return plan_characters_us(n, answers->baud, answers->format);
}

static uint64_t answer_end_us(const struct answers *answers, const struct answer *answer)
{
	return answer->start_us + characters_us(answers, answer->length);
}

/* --- what is to be said --- */

struct answer *answers_add(struct answers *answers, uint64_t start_us)
{
	struct answer *answer = &answers->queue[answers->count];

	if (answers->count > 0)
		start_us = later(start_us, answer_end_us(answers, answer - 1));
	*answer = (struct answer){.start_us = start_us};
	answers->count++;
	return answer;
}

void answers_echo(struct answers *answers, const uint8_t *bytes, size_t n, uint64_t start_us)
{
	struct answer *echo = answers_add(answers, start_us);

	echo->length = n;
	memcpy(echo->frame, bytes, n);
}

/* --- faults --- */

/* The second half of the answer comes so much later. */
static void add_pause(struct answers *answers, uint64_t pause_us)
{
	struct answer *first = &answers->queue[answers->count - 1];
	size_t half = first->length / 2;
	struct answer *second =
		answers_add(answers, first->start_us + characters_us(answers, half) + pause_us);

	second->length = first->length - half;
	second->right = first->right;
	memcpy(second->frame, first->frame + half, second->length);
	second->start_us = first->start_us + characters_us(answers, half) + pause_us;
	first->length = half;
	first->right = false;
}

/* Nonsense before the answer and behind it, which the master is to find all the same. */
static void add_garbage(struct answer *answer)
{
	memmove(answer->frame + 1, answer->frame, answer->length);
	answer->frame[0] = 0;
	answer->frame[answer->length + 1] = 0xFF;
	answer->length += 2;
}

/* On the line the zeros win where another device sends something else at the same time. */
static void overlay(struct answer *answer)
{
	for (size_t i = 3; i < answer->length; i++)
		answer->frame[i] &= (uint8_t)(answer->frame[i] >> 1 | 0x80);
}

void answers_spoil(struct answers *answers, const struct fault_plan *fault, uint64_t number)
{
	struct answer *answer = &answers->queue[answers->count - 1];
	/* Any byte after the first three, so that only the checksum is wrong. */
	size_t at = 3 + number % (answer->length - 3);

	switch (fault->kind) {
	case FAULT_CHECKSUM:
		answer->frame[at] ^= (uint8_t)(1 << number % 8);
		break;
	case FAULT_SHORT:
		answer->length /= 2;
		break;
	case FAULT_LATE:
		answer->start_us += fault->time_us;
		break;
	case FAULT_PAUSE:
		add_pause(answers, fault->time_us);
		break;
	case FAULT_GARBAGE:
		add_garbage(answer);
		break;
	case FAULT_NOISE:
		answer->noise = true;
		answer->length = 1 + number % NOISE_MAX;
		break;
	case FAULT_BABBLE:
		answer->noise = true;
		answer->length = fault->time_us / characters_us(answers, 1) + 1;
		break;
	case FAULT_TWICE:
		overlay(answer);
		break;
	default:
		break;
	}
	answer->right = answer->right &&
			(fault->kind == FAULT_LATE || fault->kind == FAULT_GARBAGE ||
			 fault->kind == FAULT_ECHO || fault->kind == FAULT_REFUSE);
}

/* --- what is said --- */

uint64_t answers_end_us(const struct answers *answers, uint64_t now)
{
	uint64_t end = 0;

	for (size_t i = 0; i < answers->count && answers->queue[i].start_us <= now; i++)
		end = later(end, answer_end_us(answers, &answers->queue[i]));
	return end;
}

uint64_t answers_due_us(const struct answers *answers, uint64_t now)
{
	const struct answer *answer = &answers->queue[0];
	uint64_t byte, last;

	if (!answers->count)
		return UINT64_MAX;
	byte = answer->start_us + characters_us(answers, answer->sent + 1);
	last = answer_end_us(answers, answer);
	byte = later(byte, now + BATCH_US);
	return byte < last ? byte : last;
}

/* The same each time, and without any order (Numerical Recipes' generator). */
static uint8_t noise_at(uint64_t i)
{
	uint32_t random = (uint32_t)i * 1664525 + 1013904223;

	return (uint8_t)((random ^ random >> 11) * 2654435769u >> 24);
}

/* A terminal that nobody reads fills up: then bytes are lost, as on a wire. */
static void give_bytes(int fd, struct answer *answer, size_t n)
{
	const uint8_t *bytes = answer->said ? answer->said : answer->frame;
	uint8_t noise[256];

	if (!answer->noise) {
		if (write(fd, bytes + answer->sent, n) != (ssize_t)n)
			answer->right = false;
		return;
	}
	for (size_t i = 0, piece; i < n; i += piece) {
		piece = n - i < sizeof(noise) ? n - i : sizeof(noise);
		for (size_t j = 0; j < piece; j++)
			noise[j] = noise_at(answer->sent + i + j);
		(void)!write(fd, noise, piece);
	}
}

struct given answers_give(struct answers *answers, int fd, uint64_t now)
{
	struct answer *answer = &answers->queue[0];
	uint64_t second_bits = serial_format_bits(answers->format) * UINT64_C(1000000);
	struct given given = {0};
	uint64_t arrived;

	if (answers->count == 0 || now < answer->start_us)
		return given;
	arrived = (now - answer->start_us) * answers->baud / second_bits;
	if (arrived > answer->length)
		arrived = answer->length;
	if (arrived > answer->sent)
		give_bytes(fd, answer, arrived - answer->sent);
	answer->sent = arrived;
	if (answer->sent < answer->length)
		return given;

	given.right = answer->right;
	given.end_us = answer_end_us(answers, answer);
	answers->count--;
	memmove(answers->queue, answers->queue + 1, answers->count * sizeof(*answers->queue));
	return given;
}
