/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.c - which of the spool's messages goes out next.
 *
 * With order "oldest-first" there is one stream, in the order of the journal. With
 * "live-first", what is taken in from the moment on that a link is up is a stream of its own
 * and goes first; the backlog is read beside it until it comes to where that one began:
 *
 *     ├── finished ──┤ backlog ▶ ············ ┤ live ▶ ····┤
 *                                             live_seq     next_seq
 *
 * When the link is lost and comes back, what was left of the live stream is backlog; what of
 * it is finished is passed over.
 */
#include "base/log.h"
#include "base/units.h"
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

#include <errno.h>

enum {
	/* Islands of finished messages in the backlog that the ledger is to remember. */
	RANGES_MAX = 1024,
	/* How far a pace may be caught up with after a pause. */
	PACE_BURST_US = 50 * 1000,
};

/* --- messages that are not to go out --- */

static void note_damaged(struct spool *spool, uint64_t from, uint64_t to)
{
	const struct loss loss = { .from = from, .to = to, .why = LOSS_DAMAGED };
	uint64_t count = spool_give_up(spool, &loss);

	if (count)
		log_error("spool %s: %llu messages among %llu to %llu are damaged and lost",
			  spool->path, (unsigned long long)count, (unsigned long long)from,
			  (unsigned long long)to);
}

void spool_damaged(struct spool *spool, uint64_t seq)
{
	note_damaged(spool, seq, seq);
}

/* The message with that number, or the end, was come to: none before it is to come. */
static void note_read(struct spool *spool, struct stream *stream, uint64_t seq)
{
	uint64_t from = stream->expected_seq;

	stream->expected_seq = seq;
	if (from < seq)
		note_damaged(spool, from, seq - 1);
}

static bool is_too_old(const struct spool *spool, const struct message *message)
{
	/* Who has it sent again wants it to be, however old it is. */
	return spool->max_age_us && !message->retried &&
	       boots_age_us(&spool->ledger.boots, message) > spool->max_age_us;
}

/* Neighbours that are too old are given up together, in one record. */
static void note_old(struct loss *old, const struct message *message)
{
	if (!old->count++) {
		old->from = message->seq;
		old->from_ms = message->time_ms;
	}
	old->to = message->seq;
	old->to_ms = message->time_ms;
}

static void give_up_old(struct spool *spool, struct loss *old)
{
	if (!old->count)
		return;
	if (!spool->ledger.losses[LOSS_AGE].count)
		log_warning("spool %s: messages from %llu on are too old and dropped",
			    spool->path, (unsigned long long)old->from);
	spool_give_up(spool, old);
}

/* --- streams --- */

/* Reads a message again: what was noted meanwhile may have moved it. */
static int read_again(struct spool *spool, const struct place *place,
		      struct message *message, const uint8_t **told)
{
	struct record record;
	int r = cursor_read(&spool->journal, &spool->lookup, place, &record);

	if (r < 0)
		return r;
	return r > 0 && message_decode(&record, message, told) == 0 ? 0 : -ENOENT;
}

/* The next message of a stream, finished or not. 1, 0 at its end, -errno. */
static int next_message(struct spool *spool, struct stream *stream, struct message *message,
			const uint8_t **told, struct place *place)
{
	struct record record;
	int r;

	while ((r = cursor_next(&spool->journal, &stream->cursor, &record, place)) > 0) {
		bool gap = record.seq > stream->expected_seq;

		/* Numbers that were never given out are of no message of ours. */
		if (message_decode(&record, message, told) < 0 ||
		    record.seq < stream->expected_seq ||
		    record.seq >= spool->ledger.next_seq)
			continue;
		note_read(spool, stream, record.seq);
		/* One that can't be read again is missing to the next, and damaged. */
		if (gap && read_again(spool, place, message, told) < 0)
			continue;
		stream->expected_seq++;
		return 1;
	}
	if (r == 0)
		note_read(spool, stream, spool->ledger.next_seq);
	return r;
}

static bool is_to_go_out(const struct spool *spool, uint64_t seq)
{
	return !ledger_is_finished(&spool->ledger, seq) &&
	       !ledger_flight_by_seq(&spool->ledger, seq);
}

/* The next message of a stream that is to go out, with its time. 1, 0, -errno. */
static int next_of(struct spool *spool, struct stream *stream, struct message *message,
		   struct place *place)
{
	struct loss old = { .why = LOSS_AGE };
	const uint8_t *told;
	uint64_t seq = 0;
	int r;

	while ((r = next_message(spool, stream, message, &told, place)) > 0) {
		if (!is_to_go_out(spool, message->seq))
			continue;
		boots_set_time(&spool->ledger.boots, message);
		if (told || !is_too_old(spool, message))
			break;
		note_old(&old, message);
	}
	if (!old.count)
		return r;
	if (r > 0)
		seq = message->seq;
	give_up_old(spool, &old);
	if (r <= 0)
		return r;
	r = read_again(spool, place, message, &told);
	if (r < 0) {
		note_damaged(spool, seq, seq);
		return r;
	}
	boots_set_time(&spool->ledger.boots, message);
	return 1;
}

/* The backlog was read up to where the live stream began: there is one stream again. */
static void join_streams(struct spool *spool)
{
	struct stream read = spool->backlog;

	spool->backlog = spool->live;
	spool->live = read;
	spool->is_live = false;
}

void spool_link_up(struct spool *spool)
{
	struct stream *live = &spool->live;
	uint64_t next_seq = spool->ledger.next_seq;

	spool->backlog_end = next_seq;
	spool->pace_us = 0;
	if (spool->order != LIVE_FIRST || spool_is_empty(spool) ||
	    cursor_seek_end(&spool->journal, &live->cursor) < 0)
		return;
	live->expected_seq = spool->live_seq = next_seq;
	spool->is_live = true;
}

/* Whether the pace lets one more of the backlog go, which is then to be sent. */
static bool pace_allows(struct spool *spool)
{
	uint64_t now_us;

	if (!spool->drain_rate || spool->backlog.expected_seq >= spool->backlog_end)
		return true;
	now_us = clock_monotonic_us();
	if (spool->pace_us + PACE_BURST_US < now_us)
		spool->pace_us = now_us - PACE_BURST_US;
	if (spool->pace_us > now_us)
		return false;
	spool->pace_us += USEC_PER_SEC / spool->drain_rate;
	return true;
}

uint64_t spool_pace_due_us(const struct spool *spool)
{
	if (!spool->drain_rate || spool->backlog.expected_seq >= spool->backlog_end)
		return UINT64_MAX;
	return spool->pace_us;
}

int spool_next(struct spool *spool, struct message *message, struct place *place)
{
	int r;

	if (spool->is_live && spool->ledger.range_count < RANGES_MAX) {
		r = next_of(spool, &spool->live, message, place);
		if (r != 0)
			return r;
	}
	if (!pace_allows(spool))
		return 0;
	r = next_of(spool, &spool->backlog, message, place);
	if (r <= 0 || !spool->is_live || message->seq < spool->live_seq)
		return r;
	join_streams(spool);
	return next_of(spool, &spool->backlog, message, place);
}

bool spool_allows_ahead(const struct spool *spool)
{
	return spool->barrier && !spool->is_live;
}

int spool_read(struct spool *spool, const struct flight *flight, struct message *message)
{
	const struct place place = { flight->segment, flight->offset };
	const uint8_t *told;
	int r = read_again(spool, &place, message, &told);

	if (r == 0 && message->seq != flight->seq)
		r = -ENOENT;
	message->time_ms = flight->time_ms;
	message->clock = flight->clock;
	return r;
}
