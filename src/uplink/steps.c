/* SPDX-License-Identifier: Apache-2.0 */
/* steps.c - the handshake's steps, noted in the spool. */
#include "base/log.h"
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

#include <string.h>

static int add_steps(struct spool *spool, struct steps *steps, enum record_type type,
		     size_t size)
{
	struct piece body = { steps->bytes, steps->count * size };
	int r;

	if (!steps->count)
		return 0;
	r = spool_make_room(spool, record_size(body.length), false);
	/* A checkpoint that was just made holds them. */
	if (r < 0 || !steps->count)
		return r;
	r = journal_add(&spool->journal, type, 0, &body, 1);
	if (r == 0)
		steps->count = 0;
	return r;
}

/* A record each: they are few. */
static int add_refusals(struct spool *spool)
{
	struct steps *steps = &spool->set_aside;
	int r;

	if (!steps->count)
		return 0;
	spool_sync_refused(spool);
	r = spool_make_room(spool, steps->count * record_size(8), false);
	for (size_t i = 0; r == 0 && i < steps->count; i++) {
		const uint8_t *step = steps->bytes + i * REFUSAL_SIZE;
		const struct piece reason = { step + 8, 8 };

		r = journal_add(&spool->journal, RECORD_REFUSED, get_u64(step), &reason, 1);
	}
	if (r == 0)
		steps->count = 0;
	return r;
}

int spool_record_steps(struct spool *spool)
{
	int r = add_steps(spool, &spool->sent, RECORD_SENT, FLIGHT_ENCODED_SIZE);

	if (r == 0)
		r = add_steps(spool, &spool->released, RECORD_RELEASED, 8);
	if (r == 0)
		r = add_steps(spool, &spool->acked, RECORD_DONE, 8);
	if (r == 0)
		r = add_refusals(spool);
	if (r == 0 && spool->restart)
		r = spool_make_room(spool, 0, false);
	if (r == 0)
		spool->recorded_oldest = spool->ledger.oldest_seq;
	if (r < 0) {
		spool->restart = true;
		spool->released.count = spool->acked.count = spool->sent.count = 0;
		spool->set_aside.count = 0;
	}
	return r;
}

static uint8_t *next_step(struct spool *spool, struct steps *steps, size_t size)
{
	if (steps->count == STEPS_MAX)
		(void)!spool_record_steps(spool);
	return steps->bytes + steps->count++ * size;
}

static void note_seq(struct spool *spool, struct steps *steps, uint64_t seq)
{
	put_u64(next_step(spool, steps, 8), seq);
}

int spool_sent(struct spool *spool, const struct flight *flight)
{
	int r = ledger_add_flight(&spool->ledger, flight);

	if (r < 0)
		return r;
	flight_encode(flight, next_step(spool, &spool->sent, FLIGHT_ENCODED_SIZE));
	if (flight->qos == 2)
		spool->barrier = true;
	return 0;
}

bool spool_released(struct spool *spool, uint16_t mid)
{
	struct flight *flight = ledger_flight_by_mid(&spool->ledger, mid);

	if (!flight || flight->qos != 2)
		return false;
	/* PUBREL is what one that is given up waits for in any case. */
	if (flight->state == FLIGHT_SENT) {
		flight->state = FLIGHT_RELEASED;
		note_seq(spool, &spool->released, flight->seq);
	}
	spool->barrier = true;
	return true;
}

/* What a sync is owed for may have become less: see commit.c. */
static void note_finished(struct spool *spool, uint64_t seq)
{
	const struct ledger *ledger = &spool->ledger;

	if (seq < spool->synced_seq && !spool->erase_since_us)
		spool->erase_since_us = clock_monotonic_us();
	/* With sync "always" its number is to be on the disk before it goes out, in any case. */
	if (!spool->owed_since_us || !spool->sync_us)
		return;
	if (ledger->oldest_seq == ledger->next_seq) {
		spool->owed_since_us = spool->later_us = 0;
	} else if (spool->later_us && ledger->oldest_seq >= spool->later_seq) {
		spool->owed_since_us = spool->later_us;
		spool->later_us = 0;
	}
}

void spool_finished(struct spool *spool, uint64_t seq)
{
	if (ledger_acked(&spool->ledger, seq) < 0)
		log_error("spool %s: no memory to note an acknowledgement", spool->path);
	note_seq(spool, &spool->acked, seq);
	note_finished(spool, seq);
}

bool spool_acked(struct spool *spool, uint16_t mid)
{
	const struct flight *flight = ledger_flight_by_mid(&spool->ledger, mid);

	if (!flight)
		return false;
	spool_finished(spool, flight->seq);
	return true;
}

/* What was refused can't be kept: said once. */
static void give_up_refused(struct spool *spool, uint64_t seq, int64_t time_ms, int error)
{
	const struct loss lost = {
		.from = seq, .to = seq, .from_ms = time_ms, .to_ms = time_ms,
		.why = LOSS_REFUSED,
	};

	if (!spool->refused_failing)
		log_error("spool %s: what the broker refuses can't be kept: %s", spool->path,
			  strerror(-error));
	spool->refused_failing = true;
	spool_give_up(spool, &lost);
}

void spool_set_aside(struct spool *spool, const struct message *message, unsigned reason)
{
	const uint64_t seq = message->seq;
	const int64_t time_ms = message->time_ms;
	struct loss left_out = { 0 };
	int r = refused_add(&spool->refused, message, reason, &left_out);
	uint8_t *step;

	if (left_out.count)
		log_warning("spool %s: the oldest %llu messages that were set aside are dropped",
			    spool->path, (unsigned long long)left_out.count);
	spool_leave_out(spool, &left_out);
	if (r < 0) {
		give_up_refused(spool, seq, time_ms, r);
		return;
	}
	if (ledger_refused(&spool->ledger, seq) < 0)
		log_error("spool %s: no memory to note a refusal", spool->path);
	step = next_step(spool, &spool->set_aside, REFUSAL_SIZE);
	put_u64(step, seq);
	put_u64(step + 8, reason);
	note_finished(spool, seq);
}

/* The broker did not take it: one that is given up is over then. */
static bool end_given_up(struct spool *spool, const struct flight *flight)
{
	if (flight->state != FLIGHT_GIVEN_UP)
		return false;
	spool_finished(spool, flight->seq);
	return true;
}

bool spool_refused(struct spool *spool, uint16_t mid, unsigned reason)
{
	const struct flight *flight = ledger_flight_by_mid(&spool->ledger, mid);
	struct message message;
	int r;

	if (!flight || end_given_up(spool, flight))
		return false;
	r = spool_read(spool, flight, &message);
	if (r < 0)
		give_up_refused(spool, flight->seq, flight->time_ms, r);
	else
		spool_set_aside(spool, &message, reason);
	return true;
}

bool spool_again(struct spool *spool, uint16_t mid)
{
	struct flight *flight = ledger_flight_by_mid(&spool->ledger, mid);

	if (!flight || end_given_up(spool, flight))
		return false;
	flight->state = FLIGHT_AGAIN;
	return true;
}

void spool_forget_flights(struct spool *spool)
{
	for (size_t i = 0; i < spool->ledger.flight_count;) {
		struct flight *flight = &ledger_flights(&spool->ledger)[i];

		if (flight->state == FLIGHT_GIVEN_UP) {
			spool_finished(spool, flight->seq);
			continue;
		}
		flight->state = FLIGHT_AGAIN;
		i++;
	}
}

static size_t count_released(const struct spool *spool)
{
	size_t count = 0;

	for (size_t i = 0; i < spool->ledger.flight_count; i++)
		count += ledger_flights(&spool->ledger)[i].state == FLIGHT_RELEASED;
	return count;
}

/* Each goes to the end in its turn, changed or not, so that their order stays. */
static int note_again(struct spool *spool, void (*change)(struct flight *flight))
{
	size_t count = spool->ledger.flight_count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct flight flight = ledger_flights(&spool->ledger)[0];

		change(&flight);
		r = spool_sent(spool, &flight);
	}
	return r;
}

static void unrelease(struct flight *flight)
{
	if (flight->state == FLIGHT_RELEASED)
		flight->state = FLIGHT_SENT;
}

ssize_t spool_unrelease(struct spool *spool)
{
	size_t released = count_released(spool);
	int r = released ? note_again(spool, unrelease) : 0;

	return r < 0 ? r : (ssize_t)released;
}

static void lower(struct flight *flight)
{
	if (flight->state == FLIGHT_SENT)
		flight->qos = 1;
}

int spool_lower(struct spool *spool)
{
	return note_again(spool, lower);
}

const struct flight *spool_flights(const struct spool *spool, size_t *count)
{
	*count = spool->ledger.flight_count;
	return ledger_flights(&spool->ledger);
}

uint16_t spool_last_mid(const struct spool *spool)
{
	return spool->ledger.last_mid;
}
