/* SPDX-License-Identifier: Apache-2.0 */
/* slots.h - the segment files of a spool: which are in use, in what order, which are free. */
#pragma once

#include "uplink/segment.h"

#include <stddef.h>

struct slot {
	unsigned number; /* in the file's name, NNNN.seg */
	uint32_t size;
	uint32_t cut; /* bytes that the file should have behind them and has not */
	uint64_t id, first_seq, begun_us; /* from its header; id 0: free */
	uint32_t end; /* behind its last record, where that is known, else 0 */
};

struct slots {
	const char *path; /* of the directory, for the log; not owned */
	int directory;    /* not owned */
	bool read_only;
	uint64_t max_bytes;
	struct slot *slots; /* those in use first, in the order of their ids */
	size_t count, room, used;
	size_t damaged;               /* files that were put aside, or would be */
	uint64_t newest;              /* the highest id so far */
	uint8_t spool[SPOOL_ID_SIZE]; /* identity; zeros: not known yet */
};

void slots_done(struct slots *slots);

/*
 * Finds the segment files in the directory, of the spool with the identity that is set; where
 * none of that is there, of the one of the newest file, which is set then. What is damaged or
 * of another spool is put aside under another name and logged; what was left half made is
 * removed. -EPROTONOSUPPORT: one is of a newer version, and nothing was touched.
 */
int slots_scan(struct slots *slots) _must_check_;

/* Opens a slot's file: a descriptor or -errno. */
int slot_open(const struct slots *slots, const struct slot *slot) _must_check_;

/* The slot that is written; there must be one. */
static inline struct slot *slots_current(const struct slots *slots)
{
	return &slots->slots[slots->used - 1];
}
/* NULL for an id that is not in use. */
struct slot *slots_find(const struct slots *slots, uint64_t id);

/* Whether the i-th slot in use has nothing that is still wanted; the last one always has. */
bool slot_is_finished(const struct slots *slots, size_t i, uint64_t oldest_seq);
/*
 * Slots whose messages are all below `oldest_seq` become free, and those that have none. They
 * are written again only after the one that is written now was synced.
 */
void slots_free_finished(struct slots *slots, uint64_t oldest_seq);

/* Free slots and those that may still be made within max_bytes. */
size_t slots_available(const struct slots *slots);

/*
 * Has the slot behind those in use be a free one, making it where there is none. -ENOSPC
 * when it may not or can't be made.
 */
int slots_have_free(struct slots *slots) _must_check_;

/* Takes the free slot behind those in use, as it is now, as the one that is written. */
void slots_take(struct slots *slots, const struct slot *slot);
/* The slot that was taken last is free again: nothing is in it. */
void slots_give_back(struct slots *slots);
