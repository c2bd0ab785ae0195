/* SPDX-License-Identifier: Apache-2.0 */
/* tail.h - the end of the journal while no sync is owed: in memory that outlives the process. */
#pragma once

#include "uplink/segment.h"

#include <stddef.h>

/*
 * While the link is up, nearly every message is acknowledged long before its sync is due. What
 * is never synced need not be written to the card either, only to where SIGKILL can't reach it:
 * a file on tmpfs, which the kernel keeps in memory, mapped, so that noting something is a
 * store and no system call.
 *
 *        0  magic       8  "PBTAIL" and two zeros
 *        8  spool      16  identity of the spool
 *       24  boot       16  identity of the boot of the machine: of no other is it the truth
 *       40  segment     8  id of the segment that the bytes belong to, …
 *       48  base        8  … and where in it the first of them stands
 *       56  state       8  length in bytes, low half; generation, high half, whose lowest bit
 *                          tells which of the two rooms is in use
 *     4096  room 0           TAIL_ROOM bytes
 *    4096 + TAIL_ROOM  room 1
 *
 * The numbers are the machine's own: it never leaves it. A restart builds what replaces the
 * content in the other room and then changes over with one store. The symbolic link `tail` in
 * the spool's directory says where the file is; after a power cut it leads nowhere, and what
 * had not been synced is gone, as it would be from the page cache.
 */
enum { TAIL_ROOM = 1024 * 1024 };

struct tail {
	uint8_t *map; /* NULL: there is none */
	char *path;
	bool lost;    /* there was one, and it is gone */
};

/*
 * Finds the tail of the spool in `directory`, or makes it, empty, in $RUNTIME_DIRECTORY,
 * /run/postbus or /dev/shm, whichever comes first and is there (a tmpfs, unless it was given).
 * 0, or -errno: where one exists and can't be opened, what is in it must not be passed over;
 * -ENOENT: there is none and none can be made.
 */
int tail_open(struct tail *tail, int directory,
	      const uint8_t spool[SPOOL_ID_SIZE]) _must_check_;

/* Whether a process that had no time to clean up left a tail behind: lost or not. */
bool tail_is_linked(int directory);

/* Bytes that count in the room in use, and where they belong. */
size_t tail_content(const struct tail *tail, uint64_t *segment, uint32_t *base);

/* Unmaps it; with `remove` the file and the link are taken away: nothing is in it any more. */
void tail_close(struct tail *tail, int directory, bool remove);

/*
 * The bytes that a tail holds, as another process may look at them too: a copy, to be freed;
 * *segment and *base say where they belong. 0, -ENOENT or -errno.
 */
int tail_copy(int directory, const uint8_t spool[SPOOL_ID_SIZE], uint8_t **bytes,
	      size_t *length, uint64_t *segment, uint32_t *base) _must_check_;

/* The room in use, TAIL_ROOM bytes, to be written to. */
uint8_t *tail_bytes(const struct tail *tail);
/* The first `length` bytes count from now on, also when the process ends here. */
void tail_commit(struct tail *tail, size_t length);
/* Empties it; what comes next belongs to this place. The room in use stays the same. */
void tail_begin(struct tail *tail, uint64_t segment, uint32_t base);
/* The other room, and changing over to it, with `length` bytes. */
uint8_t *tail_other(const struct tail *tail);
void tail_change_over(struct tail *tail, size_t length);
