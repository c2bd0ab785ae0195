/* SPDX-License-Identifier: Apache-2.0 */
/* journal.h - records in segment files: written at the end. */
#pragma once

#include "uplink/ledger.h"
#include "uplink/slots.h"
#include "uplink/tail.h"

/* Where a record stands. */
struct place {
	uint64_t segment; /* id */
	uint32_t offset;
};

/*
 *     segment file:  [header checkpoint ··· records ························)
 *                              base ^  synced ^  known ^  written ^             end
 *     memory:                       [··· page ··· | ··· records ··· records ··· )
 *
 * What is pending, from `written` to `end`, stands in the tail (tail.h), where there is one,
 * else in memory of the process. There, some of what was written stays for those who read it
 * at once, and what is synced is written in whole pages past the page cache, which spares the
 * kernel a copy and an eighth of the time: memory begins with a page then.
 */
struct journal {
	struct slots slots;
	struct tail tail;
	int file;              /* of the segment that is written */
	bool is_direct;        /* what is written to it goes past the page cache */
	bool never_direct;     /* that is not to be had */
	uint8_t *memory;       /* the segment from `base` to `end`, … */
	size_t room;           /* … of so many bytes at most */
	uint32_t base, written, end;
	uint32_t known;        /* records from here on are in memory, as this process knows them */
	uint32_t synced;       /* before it all is on the disk */
	bool suspect;          /* a sync failed: what is behind `synced` may not be on its way */
};

void journal_init(struct journal *journal);
/* `remove_tail`: there is nothing in it that is not in the file. */
void journal_done(struct journal *journal, bool remove_tail);

/*
 * Adds a record to what is pending; journal_fits() must have said so. 0, -ENOMEM, or -errno
 * of the file where the tail is full and can't be written to it. A body is given in pieces.
 */
int journal_add(struct journal *journal, enum record_type type, uint64_t seq,
		const struct piece *pieces, size_t count) _must_check_;
bool journal_fits(const struct journal *journal, size_t size);
/*
 * Bytes that are pending, whether a segment in use is the one that is written, and how far one
 * is filled in its file.
 */
size_t journal_pending(const struct journal *journal);
bool journal_is_current(const struct journal *journal, const struct slot *slot);
uint32_t journal_end_in_file(const struct journal *journal, const struct slot *slot);

/*
 * journal_commit(): what was added outlives the process. journal_flush(): it is in the file.
 * journal_sync(): it is on the disk. 0 or -errno.
 */
int journal_commit(struct journal *journal) _must_check_;
int journal_flush(struct journal *journal) _must_check_;
int journal_sync(struct journal *journal) _must_check_;

/*
 * Begins a segment in the free slot behind those in use, which must be there, with the ledger
 * as its checkpoint. The one before is written and synced first: it is what there is to go
 * back to when the head of the new one does not reach the disk whole.
 */
int journal_begin_segment(struct journal *journal, const struct ledger *ledger) _must_check_;

/*
 * Replaces what is pending by a checkpoint of the ledger, which must say that no message
 * waits. Needs a tail. 0 or -errno, -ENOSPC where the segment has no room for it behind
 * `written`, and all is as before. Cursors that were in what is gone
 * are to be moved to `written`.
 */
int journal_start_over(struct journal *journal, const struct ledger *ledger) _must_check_;

/* Goes on with the segment in use that was written last, behind its last right record. */
int journal_continue_segment(struct journal *journal, uint32_t end) _must_check_;

/*
 * Puts the bytes of a tail that belong to the segment in use that was written last where they
 * were: pending. `written` goes back to where they begin, if it was further.
 */
int journal_restore_pending(struct journal *journal, const uint8_t *bytes, size_t length,
			    uint32_t base) _must_check_;
