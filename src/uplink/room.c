/* SPDX-License-Identifier: Apache-2.0 */
/* room.c - the spool's segments in turn: having room for what is to be noted. */
#include "base/log.h"
#include "uplink/spool_state.h"

#include <errno.h>

enum {
	/* When nothing waits, a segment is left behind from here on, … */
	ROTATE_AT = 256 * 1024 - 4096,
	/* … and what only stands in the tail is replaced by a checkpoint. */
	START_OVER_AT = 16 * 1024,
	/* Segments that are left for steps when messages fill all others. */
	STEP_SLOTS = 2,
};

/*
 * Segments whose messages are all below `seq` become free. Where no message comes behind it, that
 * is all but the last, whatever number their heads begin with.
 */
static void free_below(struct spool *spool, uint64_t seq)
{
	slots_free_finished(&spool->journal.slots,
			    seq < spool->ledger.next_seq ? seq : UINT64_MAX);
}

/* Gives up the oldest segment, which is not the one that is written. */
static int drop_oldest_segment(struct spool *spool, enum loss_why why)
{
	struct slots *slots = &spool->journal.slots;
	struct loss loss = {
		.from = spool->ledger.oldest_seq, .to = slots->slots[1].first_seq - 1,
		.why = why,
	};
	uint64_t before = spool->ledger.given_up[why];
	int r;

	/* What its head says can't be all that is there. */
	if (loss.to >= spool->ledger.next_seq)
		loss.to = spool->ledger.next_seq - 1;
	spool_read_loss(spool, &loss);
	r = ledger_dropped(&spool->ledger, &loss);
	if (r < 0)
		return r;
	log_warning("spool %s: %s: dropped the oldest %llu messages, %llu to %llu",
		    spool->path, why == LOSS_AGE ? "too old" : "full",
		    (unsigned long long)(spool->ledger.given_up[why] - before),
		    (unsigned long long)loss.from, (unsigned long long)loss.to);
	free_below(spool, spool->ledger.oldest_seq);
	return 0;
}

/*
 * Whether one more segment may be filled with messages. Two are always left for the steps of
 * the handshake, which take turns in them, or a full spool could not be drained.
 */
static bool has_room_for_messages(const struct spool *spool)
{
	return slots_available(&spool->journal.slots) > STEP_SLOTS;
}

/* What is finished by nothing but the next checkpoint must not be overwritten before it. */
static void free_finished(struct spool *spool)
{
	free_below(spool, spool->recorded_oldest);
}

static int have_free_slot(struct spool *spool, bool for_messages)
{
	free_finished(spool);
	while (true) {
		int r = -ENOSPC;

		if (!for_messages || has_room_for_messages(spool))
			r = slots_have_free(&spool->journal.slots);
		if (r != -ENOSPC && r != -EDQUOT)
			return r;
		if (spool->when_full == DROP_NEWEST || spool->journal.slots.used < 2)
			return -ENOSPC;
		r = drop_oldest_segment(spool, LOSS_FULL);
		if (r < 0)
			return r;
	}
}

/* A checkpoint holds what had no record yet. */
static void nothing_unrecorded(struct spool *spool)
{
	spool->released.count = spool->acked.count = spool->sent.count = 0;
	spool->set_aside.count = 0;
	spool->unrecorded.count = 0;
	spool->restart = false;
	spool->recorded_oldest = spool->ledger.oldest_seq;
}

int spool_rotate(struct spool *spool, bool for_message)
{
	uint64_t oldest_seq = spool->ledger.oldest_seq;
	int r = have_free_slot(spool, for_message);

	spool_sync_refused(spool);
	boots_prune(&spool->ledger.boots, spool->ledger.oldest_seq);
	if (r == 0)
		r = journal_begin_segment(&spool->journal, &spool->ledger);
	/* What was dropped for it stands nowhere but in the checkpoint that failed. */
	if (r < 0 && oldest_seq != spool->ledger.oldest_seq)
		spool->restart = true;
	if (r < 0)
		return r;
	nothing_unrecorded(spool);
	spool->begun_us = clock_monotonic_us();
	spool->synced_seq = spool->ledger.next_seq;
	return 0;
}

int spool_start_over(struct spool *spool)
{
	int r;

	spool_sync_refused(spool);
	boots_prune(&spool->ledger.boots, spool->ledger.oldest_seq);
	r = journal_start_over(&spool->journal, &spool->ledger);
	if (r == -ENOSPC)
		return spool_rotate(spool, false);
	if (r < 0)
		return r;
	nothing_unrecorded(spool);
	cursor_start_over(&spool->journal, &spool->backlog.cursor);
	cursor_start_over(&spool->journal, &spool->live.cursor);
	return 0;
}

/*
 * When nothing waits, the segments take turns early, so that a few pages are written again
 * and again; but not more often than a sync is wanted: beginning one costs one.
 */
static bool may_rotate(const struct spool *spool)
{
	return spool_is_empty(spool) && spool->journal.written >= ROTATE_AT &&
	       clock_monotonic_us() >= spool->begun_us + spool->sync_us;
}

static bool may_start_over(const struct spool *spool)
{
	return spool_is_empty(spool) && spool->journal.tail.map;
}

int spool_make_room(struct spool *spool, size_t size, bool for_message)
{
	const struct journal *journal = &spool->journal;

	if (may_rotate(spool))
		return spool_rotate(spool, false);
	if (may_start_over(spool) &&
	    (spool->restart || journal->end - journal->written >=
			       START_OVER_AT + 2 * spool->ledger.notes.size))
		return spool_start_over(spool);
	if (spool->restart)
		return spool_rotate(spool, false);
	if (!journal_fits(journal, size))
		return spool_rotate(spool, for_message);
	if (for_message && spool->when_full == DROP_NEWEST) {
		free_finished(spool);
		if (slots_available(&journal->slots) < STEP_SLOTS)
			return -ENOSPC;
	}
	return 0;
}

void spool_expire(struct spool *spool)
{
	const struct slots *slots = &spool->journal.slots;
	uint64_t now_us = boots_running_us(&spool->ledger.boots);

	free_finished(spool);
	/* All in a segment is older than the one behind it. */
	while (slots->used >= 2 && now_us > slots->slots[1].begun_us + spool->max_age_us) {
		if (drop_oldest_segment(spool, LOSS_AGE) < 0)
			return;
		spool->restart = true;
	}
}
