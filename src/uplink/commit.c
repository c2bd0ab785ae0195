/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit.c - what the spool noted outlives the process, and when it is synced to the disk.
 *
 *     noted ──▶ committed, in the tail ── acknowledged before its sync is due ──▶ over
 *               outlives SIGKILL    └── sync owed ──▶ on the disk, outlives a power cut
 *
 * A sync is owed at once for the steps of QoS 2 and for numbers that are about to be used; an
 * interval after it was taken in for a message that is not finished by then; and, much later,
 * for what is finished while the disk still holds it as waiting.
 */
#include "base/log.h"
#include "base/units.h"
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

#include <string.h>

enum {
	/* Where nothing waits, numbers are reserved early, since that costs less then. */
	RESERVE_EARLY = RESERVE / 4,
	/*
	 * How long steps of QoS 2 wait for the next of them: as long as the sync takes that is
	 * spared where they come, within these; and twice that for all.
	 */
	GAP_LEAST_US = 200,
	GAP_MOST_US = 10 * 1000,
	/* What is finished may come again after a power cut if it was so within this time. */
	ERASE_US = 30 * 1000 * 1000,
};

void spool_note_disk(struct spool *spool, int error)
{
	if (error < 0 && !spool->failing)
		log_error("spool %s: %s; keeping readings in memory until the disk takes them",
			  spool->path, strerror(-error));
	else if (error == 0 && spool->failing)
		log_notice("spool %s: the disk takes what is written again", spool->path);
	spool->failing = error < 0;
}

int spool_reserve(struct spool *spool, uint64_t count)
{
	struct ledger *ledger = &spool->ledger;
	uint64_t before = ledger->reserved_seq;
	uint8_t bytes[8];
	struct piece body = { bytes, sizeof(bytes) };
	int r;

	ledger->reserved_seq = ledger->next_seq + count;
	put_u64(bytes, ledger->reserved_seq);
	if (spool->journal.tail.map && spool_is_empty(spool)) {
		/* One checkpoint goes to the disk, and nothing of what is finished. */
		r = spool_start_over(spool);
	} else {
		r = spool_make_room(spool, record_size(sizeof(bytes)), false);
		if (r == 0)
			r = journal_add(&spool->journal, RECORD_RESERVE, 0, &body, 1);
	}
	if (r < 0)
		ledger->reserved_seq = before;
	else
		spool->barrier = true;
	return r;
}

static bool sync_is_owed(const struct spool *spool, uint64_t now_us)
{
	if (spool->barrier)
		return true;
	if (spool->owed_since_us && now_us >= spool->owed_since_us + spool->sync_us)
		return true;
	return spool->erase_since_us && now_us >= spool->erase_since_us + ERASE_US;
}

static void nothing_owed(struct spool *spool)
{
	spool->barrier = false;
	spool->owed_since_us = spool->later_us = spool->erase_since_us = 0;
	spool->synced_seq = spool->ledger.next_seq;
}

int spool_record_loss(struct spool *spool, uint64_t now_us)
{
	uint8_t bytes[LOSS_ENCODED_SIZE];
	const struct piece body = { bytes, sizeof(bytes) };
	int r;

	if (!spool->unrecorded.count || now_us < spool->unrecorded_due_us)
		return 0;
	r = spool_make_room(spool, record_size(sizeof(bytes)), false);
	/* A checkpoint that was just made holds it. */
	if (r < 0 || !spool->unrecorded.count)
		return r;
	loss_encode(&spool->unrecorded, bytes);
	spool->unrecorded.count = 0;
	return journal_add(&spool->journal, RECORD_DROPPED, 0, &body, 1);
}

static int reserve_early(struct spool *spool)
{
	const struct ledger *ledger = &spool->ledger;

	if (spool->closing || !spool->journal.tail.map || !spool->sync_us ||
	    !spool_is_empty(spool) ||
	    ledger->reserved_seq > ledger->next_seq + RESERVE_EARLY)
		return 0;
	return spool_reserve(spool, RESERVE);
}

static uint64_t gap_us(const struct spool *spool)
{
	if (spool->sync_takes_us < GAP_LEAST_US)
		return GAP_LEAST_US;
	return spool->sync_takes_us < GAP_MOST_US ? spool->sync_takes_us : GAP_MOST_US;
}

bool spool_gathers(struct spool *spool, size_t unanswered, uint64_t now_us)
{
	/* Flights of which nothing was noted since the last commit: their answers may come. */
	size_t noted = spool->released.count + spool->sent.count;

	if (!spool->barrier || noted >= unanswered)
		return false;
	if (!spool->gather_until_us)
		spool->gather_most_us = now_us + 2 * gap_us(spool);
	if (!spool->gather_until_us || noted > spool->gathered)
		spool->gather_until_us = now_us + gap_us(spool);
	if (spool->gather_until_us > spool->gather_most_us)
		spool->gather_until_us = spool->gather_most_us;
	spool->gathered = noted;
	return now_us < spool->gather_until_us;
}

static int sync_journal(struct spool *spool)
{
	uint64_t begun_us = clock_monotonic_us();
	int r = journal_sync(&spool->journal);

	if (r < 0)
		return r;
	/* One that was slow for once counts for little. */
	spool->sync_takes_us = (7 * spool->sync_takes_us + clock_monotonic_us() - begun_us) / 8;
	nothing_owed(spool);
	return 0;
}

int spool_commit(struct spool *spool, uint64_t now_us)
{
	int r;

	spool->gather_until_us = 0;
	boots_look(&spool->ledger.boots);
	if (spool->read_only)
		return 0;
	r = spool_record_steps(spool);
	if (r == 0)
		r = spool_record_loss(spool, now_us);
	if (r == 0)
		r = reserve_early(spool);
	if (r == 0 && sync_is_owed(spool, now_us)) {
		r = sync_journal(spool);
	} else if (r == 0) {
		r = journal_commit(&spool->journal);
	}
	/* Since when the oldest unfinished message waits, is known step by step. */
	if (spool->owed_since_us && !spool->later_us) {
		spool->later_us = now_us;
		spool->later_seq = spool->ledger.next_seq;
	}
	spool_note_disk(spool, r);
	return r;
}

uint64_t spool_sync_due_us(const struct spool *spool)
{
	uint64_t due_us = UINT64_MAX;

	if (spool->gather_until_us)
		return spool->gather_until_us;
	if (spool->failing)
		return clock_monotonic_us() + USEC_PER_SEC;
	if (spool->owed_since_us)
		due_us = spool->owed_since_us + spool->sync_us;
	if (spool->erase_since_us && spool->erase_since_us + ERASE_US < due_us)
		due_us = spool->erase_since_us + ERASE_US;
	if (spool->unrecorded.count && spool->unrecorded_due_us < due_us)
		due_us = spool->unrecorded_due_us;
	return due_us;
}
