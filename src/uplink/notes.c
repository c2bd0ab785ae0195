/* SPDX-License-Identifier: Apache-2.0 */
/* notes.c - small things that stand in the journal beside the messages; pure. */
#include "uplink/notes.h"
#include "uplink/segment.h"

#include <errno.h>
#include <string.h>

/* key 8 · type 1 · (zero) 1 · length 2 · (zero) 4, then the bytes, padded to a multiple of 8 */
enum { HEAD_SIZE = 16 };

size_t note_size(size_t length)
{
	return (HEAD_SIZE + length + 7) & ~(size_t)7;
}

void notes_done(struct notes *notes)
{
	for (size_t i = 0; i < notes->count; i++)
		free(notes->list[i].bytes);
	free(notes->list);
	*notes = (struct notes){ 0 };
}

const struct note *notes_find(const struct notes *notes, uint8_t type, uint64_t key)
{
	for (size_t i = 0; i < notes->count; i++)
		if (notes->list[i].key == key && notes->list[i].type == type)
			return &notes->list[i];
	return NULL;
}

static void forget(struct notes *notes, struct note *note)
{
	size_t behind = notes->list + notes->count - note - 1;

	notes->size -= note_size(note->length);
	free(note->bytes);
	memmove(note, note + 1, behind * sizeof(*note));
	notes->count--;
}

void notes_make_room(struct notes *notes, size_t length)
{
	while (notes->count && notes->size + note_size(length) > NOTES_MAX_SIZE)
		forget(notes, notes->list);
}

/* A new one at the end, of no length yet. */
static struct note *add(struct notes *notes, uint8_t type, uint64_t key)
{
	size_t more = notes->room ? notes->room * 2 : 8;

	if (notes->count == notes->room) {
		struct note *larger = reallocarray(notes->list, more, sizeof(*larger));

		if (!larger)
			return NULL;
		notes->list = larger;
		notes->room = more;
	}
	notes->list[notes->count] = (struct note){ .key = key, .type = type };
	notes->size += note_size(0);
	return &notes->list[notes->count++];
}

int notes_set(struct notes *notes, uint8_t type, uint64_t key, const void *bytes,
	      size_t length)
{
	struct note *note = (struct note *)notes_find(notes, type, key);
	uint8_t *copy;

	if (length > NOTE_MAX_BYTES)
		return -EMSGSIZE;
	if (!length) {
		if (note)
			forget(notes, note);
		return 0;
	}
	copy = malloc(length);
	if (copy && !note)
		note = add(notes, type, key);
	if (!copy || !note) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, bytes, length);
	free(note->bytes);
	notes->size += note_size(length) - note_size(note->length);
	note->bytes = copy;
	note->length = length;
	return 0;
}

void notes_encode(const struct notes *notes, uint8_t *bytes)
{
	memset(bytes, 0, notes->size);
	for (size_t i = 0; i < notes->count; i++) {
		const struct note *note = &notes->list[i];

		put_u64(bytes, note->key);
		bytes[8] = note->type;
		put_u16(bytes + 10, note->length);
		memcpy(bytes + HEAD_SIZE, note->bytes, note->length);
		bytes += note_size(note->length);
	}
}

int notes_decode(struct notes *notes, const uint8_t *bytes, size_t n)
{
	struct notes new = { 0 };
	int r = n > NOTES_MAX_SIZE ? -EBADMSG : 0;

	while (r == 0 && n >= HEAD_SIZE) {
		size_t length = get_u16(bytes + 10), size = note_size(length);

		if (!length || size > n || notes_find(&new, bytes[8], get_u64(bytes)))
			break;
		r = notes_set(&new, bytes[8], get_u64(bytes), bytes + HEAD_SIZE, length);
		bytes += size;
		n -= size;
	}
	if (r == -EMSGSIZE || (r == 0 && n))
		r = -EBADMSG;
	if (r < 0) {
		notes_done(&new);
		return r;
	}
	notes_done(notes);
	*notes = new;
	return 0;
}
