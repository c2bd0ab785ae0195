/* SPDX-License-Identifier: Apache-2.0 */
/* command_journal.c - what is noted of commands, and the answers that their ends make. */
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/commands_state.h"

#include <string.h>

enum {
	/* Commands that are remembered, and for how long; and what they take in a checkpoint. */
	REMEMBERED_MAX = 256,
	REMEMBERED_SIZE = 24 * 1024,
};
#define REMEMBERED_US (3600 * USEC_PER_SEC)

/* Forgets the oldest that was told; false: there is none. */
static bool forget_oldest(struct commands *commands)
{
	struct command_book *book = &commands->book;

	for (size_t i = 0; i < book->count; i++) {
		struct command_entry *entry = &book->list[i];

		if (!entry->is_told)
			continue;
		(void)!spool_note(commands->setup.spool, RECORD_COMMAND, entry->number, NULL, 0,
				  false);
		command_book_remove(book, entry);
		return true;
	}
	return false;
}

/* Has room for so many bytes of one more; false: those that have no end yet take it all. */
bool commands_make_room(struct commands *commands, size_t length)
{
	const struct notes *notes = spool_notes(commands->setup.spool);

	while (notes->size + note_size(length) > REMEMBERED_SIZE ||
	       commands->book.count >= REMEMBERED_MAX)
		if (!forget_oldest(commands))
			return false;
	return true;
}

/* What is told, and too long ago to come again. */
void commands_forget_old(struct commands *commands)
{
	struct command_book *book = &commands->book;
	uint64_t now_us = clock_boottime_us();

	while (book->count && book->list[0].is_told &&
	       now_us > book->list[0].received_us + REMEMBERED_US)
		forget_oldest(commands);
}

static int note(struct commands *commands, struct command_entry *entry, bool sync)
{
	uint8_t bytes[COMMAND_NOTE_MAX];
	size_t n = command_encode(entry, bytes);

	entry->is_changed = false;
	return spool_note(commands->setup.spool, RECORD_COMMAND, entry->number, bytes, n, sync);
}

void commands_set_state(struct commands *commands, struct command_entry *entry,
			enum command_state state)
{
	entry->state = state;
	entry->is_changed = commands->any_changed = true;
}

/* --- its end --- */

/* Says in the log what was not done. */
static void tell_end(const struct command_entry *entry)
{
	const char *device = command_text(entry, COMMAND_DEVICE);
	const char *point = command_text(entry, COMMAND_POINT);
	const char *value = command_text(entry, COMMAND_VALUE);
	const char *outcome = command_text(entry, COMMAND_OUTCOME);

	if (entry->state == COMMAND_DONE)
		log_debug("command: %s/%s set to %s", device, point, outcome);
	else
		log_notice("command: %s/%s to %s: %s%s", device, point, value,
			   entry->state == COMMAND_UNCERTAIN ? "uncertain: " : "", outcome);
}

void commands_end(struct commands *commands, struct command_entry *entry,
		  enum command_state state, const char *outcome)
{
	struct command_counts *counts = &commands->counts;

	if (entry->is_pushed)
		commands->pushed--;
	entry->is_pushed = false;
	if (command_set_text(entry, COMMAND_OUTCOME, outcome, strlen(outcome)) < 0)
		log_error("command: no memory to note what became of it");
	commands_set_state(commands, entry, state);
	counts->done += state == COMMAND_DONE;
	counts->failed += state == COMMAND_FAILED;
	counts->uncertain += state == COMMAND_UNCERTAIN;
	tell_end(entry);
}

int commands_answer(struct commands *commands, const struct command_entry *entry,
		    const struct result_address *address, const char *id)
{
	const char *outcome = command_text(entry, COMMAND_OUTCOME);
	char error[OUTCOME_ERROR_MAX + sizeof("uncertain: ")];

	if (entry->state == COMMAND_DONE)
		return result_append(commands->setup.spool, address, id, outcome, NULL);
	snprintf(error, sizeof(error), "%s%.*s",
		 entry->state == COMMAND_UNCERTAIN ? "uncertain: " : "",
		 OUTCOME_ERROR_MAX, outcome);
	return result_append(commands->setup.spool, address, id, NULL, error);
}

/* Its end is noted and told: the answer follows at once, under the number that is noted. */
static void tell(struct commands *commands, struct command_entry *entry)
{
	const struct result_address address = {
		.gateway = commands->setup.gateway,
		.device = command_text(entry, COMMAND_DEVICE),
		.point = command_text(entry, COMMAND_POINT),
		.response_topic = command_text(entry, COMMAND_RESPONSE),
		.correlation = command_text(entry, COMMAND_CORRELATION),
		.correlation_length = entry->texts[COMMAND_CORRELATION].length,
	};
	uint64_t oldest;

	spool_range(commands->setup.spool, &oldest, &entry->answer_seq);
	if (note(commands, entry, true) < 0)
		log_error("command: no room to note what became of it");
	/* Where the spool is full, it is counted there. */
	if (!entry->is_local)
		(void)!commands_answer(commands, entry, &address, command_text(entry, COMMAND_ID));
	entry->is_told = true;
	command_forget_texts(entry);
	(void)!note(commands, entry, false);
}

void commands_note_changes(struct commands *commands)
{
	for (size_t i = 0; i < commands->book.count && commands->any_changed; i++) {
		struct command_entry *entry = &commands->book.list[i];

		if (!entry->is_changed)
			continue;
		if (!command_has_end(entry) && note(commands, entry, true) < 0)
			commands_end(commands, entry, COMMAND_FAILED, "there is no room to note it");
		if (command_has_end(entry))
			tell(commands, entry);
	}
	commands->any_changed = false;
}

