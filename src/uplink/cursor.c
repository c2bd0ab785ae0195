/* SPDX-License-Identifier: Apache-2.0 */
/* cursor.c - reads a journal in order, what is only pending among it. */
#include "uplink/cursor.h"

void cursor_init(struct cursor *cursor)
{
	*cursor = (struct cursor){ .file = -1 };
}

void cursor_done(struct cursor *cursor)
{
	segment_reader_done(&cursor->reader);
	closep(&cursor->file);
	cursor_init(cursor);
}

static int read_from(struct journal *journal, struct cursor *cursor, const struct slot *slot,
		     uint32_t offset)
{
	if (cursor->segment != slot->id || cursor->file < 0) {
		int fd = slot_open(&journal->slots, slot);

		if (fd < 0)
			return fd;
		closep(&cursor->file);
		cursor->file = fd;
		cursor->segment = slot->id;
	}
	return segment_reader_begin(&cursor->reader, cursor->file, slot->id, offset,
				    journal_end_in_file(journal, slot));
}

int cursor_seek(struct journal *journal, struct cursor *cursor, const struct slot *slot)
{
	return read_from(journal, cursor, slot, SEGMENT_HEADER_SIZE);
}

int cursor_seek_end(struct journal *journal, struct cursor *cursor)
{
	return read_from(journal, cursor, slots_current(&journal->slots), journal->end);
}

void cursor_start_over(const struct journal *journal, struct cursor *cursor)
{
	struct segment_reader *reader = &cursor->reader;

	if (cursor->segment == slots_current(&journal->slots)->id &&
	    reader->offset > journal->written)
		reader->offset = reader->end = journal->written;
}

/* The first segment in use after the one that is read. */
static const struct slot *following_segment(const struct journal *journal,
					    const struct cursor *cursor)
{
	const struct slots *slots = &journal->slots;

	for (size_t i = 0; i < slots->used; i++)
		if (slots->slots[i].id > cursor->segment)
			return &slots->slots[i];
	return NULL;
}

/* The next record of the current segment, still in memory. */
static bool next_in_memory(const struct journal *journal, struct cursor *cursor,
			   struct record *record, uint32_t *offset)
{
	struct segment_reader *reader = &cursor->reader;

	if (reader->offset < journal->known || reader->offset >= journal->end)
		return false;
	*offset = reader->offset;
	reader->offset += record_look(journal->memory + (reader->offset - journal->base),
				      record);
	reader->end = reader->offset;
	return true;
}

int cursor_next(struct journal *journal, struct cursor *cursor, struct record *record,
		struct place *place)
{
	while (true) {
		const struct slot *slot = slots_find(&journal->slots, cursor->segment);
		int r = 0;

		place->segment = cursor->segment;
		if (slot && journal_is_current(journal, slot) &&
		    next_in_memory(journal, cursor, record, &place->offset))
			return 1;
		if (slot) {
			cursor->reader.limit = journal_end_in_file(journal, slot);
			r = segment_read(&cursor->reader, record, &place->offset);
		}
		if (r != 0)
			return r;
		if (slot && journal_is_current(journal, slot)) {
			/* Damage may stand between what is in the file and in memory. */
			if (cursor->reader.offset < journal->known)
				cursor->reader.offset = journal->known;
			return next_in_memory(journal, cursor, record, &place->offset);
		}
		slot = following_segment(journal, cursor);
		if (!slot)
			return 0;
		r = read_from(journal, cursor, slot, SEGMENT_HEADER_SIZE);
		if (r < 0)
			return r;
	}
}

int cursor_read(struct journal *journal, struct cursor *cursor, const struct place *place,
		struct record *record)
{
	const struct slot *slot = slots_find(&journal->slots, place->segment);
	uint32_t offset;
	int r;

	if (!slot)
		return 0;
	if (journal_is_current(journal, slot) && place->offset >= journal->base)
		return place->offset < journal->end &&
		       record_decode(slot->id, place->offset,
				     journal->memory + (place->offset - journal->base),
				     journal->end - place->offset, record) > 0;
	r = read_from(journal, cursor, slot, place->offset);
	if (r == 0)
		r = segment_read(&cursor->reader, record, &offset);
	return r > 0 && offset != place->offset ? 0 : r;
}
