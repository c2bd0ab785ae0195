/* SPDX-License-Identifier: Apache-2.0 */
/* command_book.c - what is known of each command, and how it stands in the journal; pure. */
#include "uplink/command_book.h"
#include "bridge/message.h"
#include "bridge/setting.h"
#include "uplink/bodies.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

/* --- texts --- */

int command_set_text(struct command_entry *entry, enum command_text which, const void *bytes,
		     size_t length)
{
	struct command_bytes *text = &entry->texts[which];
	char *copy = NULL;

	if (length) {
		copy = malloc(length + 1);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, bytes, length);
		copy[length] = '\0';
	}
	free(text->bytes);
	*text = (struct command_bytes){ copy, length };
	return 0;
}

const char *command_text(const struct command_entry *entry, enum command_text which)
{
	return entry->texts[which].bytes ? entry->texts[which].bytes : "";
}

void command_forget_texts(struct command_entry *entry)
{
	for (size_t i = 0; i < COMMAND_TEXTS; i++)
		if (i != COMMAND_OUTCOME)
			(void)!command_set_text(entry, i, NULL, 0);
}

/* --- the book --- */

static void clear(struct command_entry *entry)
{
	for (size_t i = 0; i < COMMAND_TEXTS; i++)
		free(entry->texts[i].bytes);
}

void command_book_done(struct command_book *book)
{
	for (size_t i = 0; i < book->count; i++)
		clear(&book->list[i]);
	free(book->list);
	*book = (struct command_book){ 0 };
}

struct command_entry *command_book_add(struct command_book *book)
{
	if (book->count == book->room) {
		size_t room = book->room ? book->room * 2 : 8;
		struct command_entry *more = reallocarray(book->list, room, sizeof(*more));

		if (!more)
			return NULL;
		book->list = more;
		book->room = room;
	}
	if (!book->next_number)
		book->next_number = 1;
	book->list[book->count] = (struct command_entry){ .number = book->next_number++ };
	return &book->list[book->count++];
}

void command_book_remove(struct command_book *book, struct command_entry *entry)
{
	clear(entry);
	book->count--;
	memmove(entry, entry + 1,
		(char *)(book->list + book->count) - (char *)entry);
}

struct command_entry *command_book_find(const struct command_book *book, uint64_t number)
{
	for (size_t i = 0; i < book->count; i++)
		if (book->list[i].number == number)
			return &book->list[i];
	return NULL;
}

struct command_entry *command_book_by_id(const struct command_book *book, const char *device,
					 const char *point, const char *id)
{
	const uint64_t identity = command_identity(device, point, id);

	for (size_t i = book->count; i > 0; i--)
		if (book->list[i - 1].identity == identity)
			return &book->list[i - 1];
	return NULL;
}

struct command_entry *command_book_repeated(const struct command_book *book,
					    const struct incoming *incoming,
					    uint32_t session, uint32_t link)
{
	const uint64_t fingerprint = command_fingerprint(incoming);

	if (!incoming->mid || incoming->repeated == REPEATED_NO)
		return NULL;
	for (size_t i = book->count; i > 0; i--) {
		struct command_entry *entry = &book->list[i - 1];

		if (entry->mid != incoming->mid || entry->session != session)
			continue;
		return entry->link != link && entry->fingerprint == fingerprint ? entry : NULL;
	}
	return NULL;
}

/* --- sums --- */

/* With the zero behind it, so that "a", "bc" is not "ab", "c". */
static uint64_t add_to_sum(uint64_t sum, const char *text)
{
	return XXH3_64bits_withSeed(text, strlen(text) + 1, sum);
}

uint64_t command_identity(const char *device, const char *point, const char *id)
{
	uint64_t sum = add_to_sum(add_to_sum(add_to_sum(0, device), point), id);

	return sum ? sum : 1;
}

uint64_t command_value_sum(const char *value)
{
	return add_to_sum(0, value);
}

uint64_t command_fingerprint(const struct incoming *incoming)
{
	uint64_t sum = add_to_sum(0, incoming->topic);

	if (incoming->response_topic)
		sum = add_to_sum(sum, incoming->response_topic);
	if (incoming->correlation_length)
		sum = XXH3_64bits_withSeed(incoming->correlation, incoming->correlation_length,
					   sum);
	return incoming->length ?
		       XXH3_64bits_withSeed(incoming->payload, incoming->length, sum) : sum;
}

/* --- in the journal --- */

/*
 *    0 state 1 · 1 flags 1 · 2 mid 2 · 4 session 4 · 8 boot 4 · 12 (zero) 4
 *   16 received_us 8 · 24 until_us 8 · 32 until_ms 8
 *   40 identity 8 · 48 value_sum 8 · 56 fingerprint 8 · 64 answer_seq 8
 *   72 the texts, each with its length before it (2)
 */
enum {
	HEAD_SIZE = 72,
	FLAG_LOCAL = 1,
	FLAG_TOLD = 2,
};

size_t command_encode(const struct command_entry *entry, uint8_t bytes[COMMAND_NOTE_MAX])
{
	size_t n = HEAD_SIZE;

	bytes[0] = entry->state;
	bytes[1] = (entry->is_local ? FLAG_LOCAL : 0) | (entry->is_told ? FLAG_TOLD : 0);
	put_u16(bytes + 2, entry->mid);
	put_u32(bytes + 4, entry->session);
	put_u32(bytes + 8, entry->boot);
	put_u32(bytes + 12, 0);
	put_u64(bytes + 16, entry->received_us);
	put_u64(bytes + 24, entry->until_us);
	put_u64(bytes + 32, entry->until_ms);
	put_u64(bytes + 40, entry->identity);
	put_u64(bytes + 48, entry->value_sum);
	put_u64(bytes + 56, entry->fingerprint);
	put_u64(bytes + 64, entry->answer_seq);
	for (size_t i = 0; i < COMMAND_TEXTS; i++) {
		const struct command_bytes *text = &entry->texts[i];

		put_u16(bytes + n, text->length);
		if (text->length)
			memcpy(bytes + n + 2, text->bytes, text->length);
		n += 2 + text->length;
	}
	return n;
}

/* No text is longer than whoever makes it lets it be. */
static const uint16_t longest[COMMAND_TEXTS] = {
	[COMMAND_DEVICE] = NAME_MAX_LENGTH,
	[COMMAND_POINT] = NAME_MAX_LENGTH,
	[COMMAND_ID] = SETTING_ID_MAX,
	[COMMAND_VALUE] = STRING_MAX_LENGTH,
	[COMMAND_RESPONSE] = TOPIC_MAX,
	[COMMAND_CORRELATION] = CORRELATION_MAX,
	[COMMAND_OUTCOME] = 6 * STRING_MAX_LENGTH + 2,
};

static int decode_texts(struct command_entry *entry, const uint8_t *bytes, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < COMMAND_TEXTS; i++) {
		uint16_t length = n < 2 ? UINT16_MAX : get_u16(bytes);

		if (length > longest[i] || (size_t)length + 2 > n)
			return -EBADMSG;
		r = command_set_text(entry, i, bytes + 2, length);
		/* All but what goes with an answer as it is are texts. */
		if (r == 0 && i != COMMAND_CORRELATION &&
		    strlen(command_text(entry, i)) != length)
			return -EBADMSG;
		bytes += 2 + length;
		n -= 2 + length;
	}
	return r == 0 && n ? -EBADMSG : r;
}

static bool is_possible(const struct command_entry *entry)
{
	return entry->state >= COMMAND_RECEIVED && entry->state <= COMMAND_UNCERTAIN &&
	       entry->received_us < RUNNING_US_MOST && entry->until_ms >= 0 &&
	       entry->until_ms <= WALL_MS_MOST;
}

int command_decode(struct command_book *book, uint64_t number, const uint8_t *bytes, size_t n)
{
	struct command_entry *entry;
	int r = -EBADMSG;

	if (n < HEAD_SIZE || number >= UINT64_MAX / 2)
		return -EBADMSG;
	entry = command_book_add(book);
	if (!entry)
		return -ENOMEM;
	*entry = (struct command_entry){
		.number = number,
		.state = bytes[0],
		.is_local = bytes[1] & FLAG_LOCAL,
		.is_told = bytes[1] & FLAG_TOLD,
		.mid = get_u16(bytes + 2),
		.session = get_u32(bytes + 4),
		.boot = get_u32(bytes + 8),
		.received_us = get_u64(bytes + 16),
		.until_us = get_u64(bytes + 24),
		.until_ms = get_u64(bytes + 32),
		.identity = get_u64(bytes + 40),
		.value_sum = get_u64(bytes + 48),
		.fingerprint = get_u64(bytes + 56),
		.answer_seq = get_u64(bytes + 64),
	};
	if (is_possible(entry))
		r = decode_texts(entry, bytes + HEAD_SIZE, n - HEAD_SIZE);
	if (r < 0)
		command_book_remove(book, entry);
	else if (book->next_number <= number)
		book->next_number = number + 1;
	return r;
}
