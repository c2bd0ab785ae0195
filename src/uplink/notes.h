/* SPDX-License-Identifier: Apache-2.0 */
/* notes.h - small things that stand in the journal beside the messages; pure. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A note is some bytes under a type of record and a key. The last one counts, and the
 * checkpoint carries it on, until it is forgotten. What the bytes say is the business of
 * whoever keeps them: subscriptions.c, command_book.c.
 */
struct note {
	uint64_t key;
	uint8_t type;
	uint16_t length;
	uint8_t *bytes;
};

struct notes {
	struct note *list; /* in the order in which they were first made */
	size_t count, room;
	size_t size; /* that all of them take in a checkpoint */
};

enum {
	NOTE_MAX_BYTES = 4096,
	/* In a checkpoint, of all that are kept together. */
	NOTES_MAX_SIZE = 40 * 1024,
};

void notes_done(struct notes *notes);
/* Sets a note; with length 0 it is forgotten. 0, -EMSGSIZE or -ENOMEM, and all is as before. */
int notes_set(struct notes *notes, uint8_t type, uint64_t key, const void *bytes,
	      size_t length) _must_check_;
/* Forgets the oldest until one of `length` bytes is added to no more than NOTES_MAX_SIZE. */
void notes_make_room(struct notes *notes, size_t length);
/* NULL where there is none. Valid until the next change. */
const struct note *notes_find(const struct notes *notes, uint8_t type, uint64_t key);
/* What so many more bytes in a note of its own would take in a checkpoint. */
size_t note_size(size_t length);

/* As they stand in a checkpoint: notes->size bytes. */
void notes_encode(const struct notes *notes, uint8_t *bytes);
/* Replaces them all. 0, -EBADMSG or -ENOMEM. */
int notes_decode(struct notes *notes, const uint8_t *bytes, size_t n) _must_check_;
