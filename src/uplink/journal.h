/* SPDX-License-Identifier: Apache-2.0 */
/* journal.h - records in segment files: written at the end, read back in order. */
#pragma once

#include "uplink/ledger.h"
#include "uplink/slots.h"

/* Where a record stands. */
struct place {
	uint64_t segment; /* id */
	uint32_t offset;
};

struct journal {
	struct slots slots;
	int file;              /* of the segment that is written */
	uint8_t *pending;      /* what is not written yet: … */
	size_t pending_room;
	uint32_t written, end; /* … from `written` to `end` of the segment */
	bool unsynced;         /* something was written since the last sync */

	struct segment_reader reader;
	int reader_file;
	uint64_t reader_segment;
	struct place next; /* where reading in order goes on, … */
	bool moved;        /* … when a record was read out of order */
};

void journal_init(struct journal *journal);
void journal_done(struct journal *journal);

/*
 * Adds a record to what is pending; journal_fits() must have said so. 0 or -ENOMEM. A body is
 * given in pieces.
 */
int journal_add(struct journal *journal, enum record_type type, uint64_t seq,
		const struct piece *pieces, size_t count) _must_check_;
bool journal_fits(const struct journal *journal, size_t size);

/* Writes what is pending, with one write; syncs what was written. 0 or -errno. */
int journal_write(struct journal *journal) _must_check_;
int journal_sync(struct journal *journal) _must_check_;

/*
 * Begins a segment in the free slot behind those in use, which must be there, with the ledger
 * as its checkpoint. The one before is written and synced first: it is what there is to go
 * back to when the head of the new one does not reach the disk whole.
 */
int journal_begin_segment(struct journal *journal, const struct ledger *ledger) _must_check_;

/* Goes on with the segment in use that was written last, behind its last right record. */
int journal_continue_segment(struct journal *journal, uint32_t end) _must_check_;

/* Has journal_next() begin with the slot's first record. */
int journal_seek(struct journal *journal, const struct slot *slot) _must_check_;

/*
 * The next record in order, also one that is only pending, and its place; valid until the
 * next call on the journal. 1; 0 when there is none; -errno.
 */
int journal_next(struct journal *journal, struct record *record,
		 struct place *place) _must_check_;

/* The record at a place. journal_next() goes on where it was. 1; 0 for none; -errno. */
int journal_read(struct journal *journal, const struct place *place,
		 struct record *record) _must_check_;
