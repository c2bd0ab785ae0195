/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_command.c - any bytes as what the journal says of commands, and as the notes of a checkpoint. */
#include "uplink/command_book.h"
#include "uplink/notes.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* What is taken is written as it was read, but for bytes that mean nothing. */
static void check_entry(struct command_book *book)
{
	const struct command_entry *entry = command_book_find(book, 7);
	uint8_t first[COMMAND_NOTE_MAX], second[COMMAND_NOTE_MAX];
	size_t n = command_encode(entry, first);

	if (command_decode(book, 8, first, n) < 0 ||
	    command_encode(command_book_find(book, 8), second) != n || memcmp(first, second, n))
		abort();
}

static void check_notes(const struct notes *notes)
{
	uint8_t *bytes = malloc(notes->size + 1);
	struct notes again = { 0 };

	notes_encode(notes, bytes);
	if (notes_decode(&again, bytes, notes->size) < 0 || again.count != notes->count ||
	    again.size != notes->size)
		abort();
	notes_done(&again);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	_cleanup_(command_book_done) struct command_book book = { 0 };
	_cleanup_(notes_done) struct notes notes = { 0 };

	if (command_decode(&book, 7, bytes, n) == 0)
		check_entry(&book);
	if (notes_decode(&notes, bytes, n) == 0)
		check_notes(&notes);
	return 0;
}
