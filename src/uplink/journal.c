/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - records in segment files: written at the end, read back in order. */
#include "uplink/journal.h"

#include <errno.h>
#include <string.h>

void journal_init(struct journal *journal)
{
	*journal = (struct journal){ .file = -1, .reader_file = -1 };
}

void journal_done(struct journal *journal)
{
	slots_done(&journal->slots);
	segment_reader_done(&journal->reader);
	closep(&journal->reader_file);
	closep(&journal->file);
	free(journal->pending);
	journal_init(journal);
}

/* --- writing --- */

int journal_write(struct journal *journal)
{
	while (journal->written < journal->end) {
		ssize_t n = pwrite(journal->file, journal->pending,
				   journal->end - journal->written, journal->written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		journal->written += n;
		memmove(journal->pending, journal->pending + n,
			journal->end - journal->written);
		journal->unsynced = true;
	}
	return 0;
}

int journal_sync(struct journal *journal)
{
	if (journal->unsynced && fdatasync(journal->file) < 0)
		return -errno;
	journal->unsynced = false;
	return 0;
}

/* Where `size` more bytes go; NULL: memory is short. */
static uint8_t *pending_room(struct journal *journal, size_t size)
{
	size_t have = journal->end - journal->written;

	if (have + size > journal->pending_room) {
		size_t more = (have + size) * 2;
		uint8_t *larger = realloc(journal->pending, more);

		if (!larger)
			return NULL;
		journal->pending = larger;
		journal->pending_room = more;
	}
	return journal->pending + have;
}

bool journal_fits(const struct journal *journal, size_t size)
{
	return journal->end + size <= slots_current(&journal->slots)->size;
}

int journal_add(struct journal *journal, enum record_type type, uint64_t seq,
		const struct piece *pieces, size_t count)
{
	size_t length = 0;
	uint8_t *bytes;

	for (size_t i = 0; i < count; i++)
		length += pieces[i].length;
	bytes = pending_room(journal, record_size(length));
	if (!bytes)
		return -ENOMEM;
	journal->end += record_encode(slots_current(&journal->slots)->id, journal->end, type,
				      seq, pieces, count, bytes);
	return 0;
}

/* The header and the checkpoint that a segment begins with. */
static int add_head(struct journal *journal, const struct ledger *ledger)
{
	const struct slot *slot = slots_current(&journal->slots);
	struct segment_header header = {
		.size = slot->size, .id = slot->id, .first_seq = slot->first_seq,
	};
	struct piece body = { .length = ledger_encoded_size(ledger) };
	_cleanup_free_ uint8_t *checkpoint = malloc(body.length);
	uint8_t *bytes = pending_room(journal, SEGMENT_HEADER_SIZE);

	if (!bytes || !checkpoint)
		return -ENOMEM;
	memcpy(header.spool, journal->slots.spool, sizeof(header.spool));
	segment_header_encode(&header, bytes);
	journal->end = SEGMENT_HEADER_SIZE;
	ledger_encode(ledger, checkpoint);
	body.bytes = checkpoint;
	return journal_add(journal, RECORD_CHECKPOINT, 0, &body, 1);
}

int journal_begin_segment(struct journal *journal, const struct ledger *ledger)
{
	struct slots *slots = &journal->slots;
	uint64_t id = slots->newest + 1;
	int file, r;

	r = journal_write(journal);
	if (r == 0)
		r = journal_sync(journal);
	if (r < 0)
		return r;
	file = slot_open(slots, &slots->slots[slots->used]);
	if (file < 0)
		return file;
	if (slots->used)
		slots_current(slots)->end = journal->end;
	slots_take(slots, id, ledger->next_seq);
	closep(&journal->file);
	journal->file = file;
	journal->written = journal->end = 0;
	return add_head(journal, ledger);
}

int journal_continue_segment(struct journal *journal, uint32_t end)
{
	int file = slot_open(&journal->slots, slots_current(&journal->slots));

	if (file < 0)
		return file;
	journal->file = file;
	journal->written = journal->end = end;
	/* What was written before may not be synced: the next sync is to cover it. */
	journal->unsynced = true;
	return 0;
}

/* --- reading --- */

static bool is_current(const struct journal *journal, const struct slot *slot)
{
	return slot == slots_current(&journal->slots);
}

/* A segment is read as far as it was filled; one that was found so, as far as it goes. */
static uint32_t read_limit(const struct journal *journal, const struct slot *slot)
{
	if (is_current(journal, slot))
		return journal->written;
	return slot->end ? slot->end : slot->size;
}

static int read_from(struct journal *journal, const struct slot *slot, uint32_t offset)
{
	if (journal->reader_segment != slot->id || journal->reader_file < 0) {
		int fd = slot_open(&journal->slots, slot);

		if (fd < 0)
			return fd;
		closep(&journal->reader_file);
		journal->reader_file = fd;
		journal->reader_segment = slot->id;
	}
	return segment_reader_begin(&journal->reader, journal->reader_file, slot->id, offset,
				    read_limit(journal, slot));
}

int journal_seek(struct journal *journal, const struct slot *slot)
{
	journal->moved = false;
	return read_from(journal, slot, SEGMENT_HEADER_SIZE);
}

/* The first segment in use after the one that is read. */
static const struct slot *following_segment(const struct journal *journal)
{
	const struct slots *slots = &journal->slots;

	for (size_t i = 0; i < slots->used; i++)
		if (slots->slots[i].id > journal->reader_segment)
			return &slots->slots[i];
	return NULL;
}

/* A record of the current segment that is not written yet. */
static int read_pending(struct journal *journal, struct record *record, uint32_t *offset)
{
	struct segment_reader *reader = &journal->reader;
	ssize_t n;

	if (reader->offset < journal->written || reader->offset >= journal->end)
		return 0;
	n = record_decode(reader->id, reader->offset,
			  journal->pending + reader->offset - journal->written,
			  journal->end - reader->offset, record);
	if (n <= 0)
		return 0;
	*offset = reader->offset;
	reader->offset = reader->end = reader->offset + n;
	return 1;
}

/* Goes back from a record that was read out of order. */
static int move_back(struct journal *journal)
{
	const struct slot *slot = slots_find(&journal->slots, journal->next.segment);

	if (!journal->moved)
		return 0;
	journal->moved = false;
	if (slot)
		return read_from(journal, slot, journal->next.offset);
	journal->reader_segment = journal->next.segment;
	closep(&journal->reader_file);
	journal->reader_file = -1;
	return 0;
}

int journal_next(struct journal *journal, struct record *record, struct place *place)
{
	int r = move_back(journal);

	while (r == 0) {
		const struct slot *slot =
			slots_find(&journal->slots, journal->reader_segment);

		if (slot) {
			journal->reader.limit = read_limit(journal, slot);
			r = segment_read(&journal->reader, record, &place->offset);
		}
		if (r == 0 && slot && is_current(journal, slot)) {
			r = read_pending(journal, record, &place->offset);
			if (r == 0)
				return 0;
		}
		place->segment = journal->reader_segment;
		if (r != 0)
			break;
		slot = following_segment(journal);
		if (!slot)
			return 0;
		r = read_from(journal, slot, SEGMENT_HEADER_SIZE);
	}
	return r;
}

int journal_read(struct journal *journal, const struct place *place, struct record *record)
{
	const struct slot *slot = slots_find(&journal->slots, place->segment);
	uint32_t offset;
	int r;

	if (!slot)
		return 0;
	if (!journal->moved) {
		journal->next.segment = journal->reader_segment;
		journal->next.offset = journal->reader.offset;
		journal->moved = true;
	}
	r = read_from(journal, slot, place->offset);
	if (r == 0)
		r = segment_read(&journal->reader, record, &offset);
	if (r == 0 && is_current(journal, slot))
		r = read_pending(journal, record, &offset);
	return r > 0 && offset != place->offset ? 0 : r;
}
