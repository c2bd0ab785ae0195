/* SPDX-License-Identifier: Apache-2.0 */
/* cursor.h - reads a journal in order, what is only pending among it. */
#pragma once

#include "uplink/journal.h"

/* As many as are wanted. */
struct cursor {
	struct segment_reader reader;
	int file; /* of the segment that is read */
	uint64_t segment;
};

void cursor_init(struct cursor *cursor);
void cursor_done(struct cursor *cursor);

/* Has cursor_next() begin with the first record of a slot; with the next that is added. */
int cursor_seek(struct journal *journal, struct cursor *cursor,
		const struct slot *slot) _must_check_;
int cursor_seek_end(struct journal *journal, struct cursor *cursor) _must_check_;
/* What was pending started over: a cursor that was in there goes to its begin. */
void cursor_start_over(const struct journal *journal, struct cursor *cursor);

/*
 * The next record in order, also one that is only pending, and its place; valid until the
 * next call with the cursor and the next record that is added. 1; 0 when there is none;
 * -errno.
 */
int cursor_next(struct journal *journal, struct cursor *cursor, struct record *record,
		struct place *place) _must_check_;
/* The record at a place, which need not be the next. 1; 0 for none; -errno. */
int cursor_read(struct journal *journal, struct cursor *cursor, const struct place *place,
		struct record *record) _must_check_;
