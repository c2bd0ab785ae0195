/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - records in segment files: written at the end. */
#include "uplink/journal.h"
#include "uplink/checkpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

void journal_init(struct journal *journal)
{
	*journal = (struct journal){ .file = -1 };
}

void journal_done(struct journal *journal, bool remove_tail)
{
	if (!journal->tail.map)
		free(journal->memory);
	tail_close(&journal->tail, journal->slots.directory, remove_tail);
	slots_done(&journal->slots);
	closep(&journal->file);
	journal_init(journal);
}

/* --- writing --- */

enum {
	/* What was written stays in memory up to that size, for those who read it at once. */
	KEEP_MOST = 256 * 1024,
	/* What a disk writes at once. */
	PAGE = 4096,
};

static uint32_t page_begin(uint32_t offset)
{
	return offset & ~(uint32_t)(PAGE - 1);
}

size_t journal_pending(const struct journal *journal)
{
	return journal->end - journal->written;
}

static uint8_t *memory_end(const struct journal *journal)
{
	return journal->memory + (journal->end - journal->base);
}

static int write_bytes(int fd, const uint8_t *bytes, size_t n, uint32_t offset)
{
	while (n > 0) {
		ssize_t written = pwrite(fd, bytes, n, offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		offset += written;
		n -= written;
	}
	return 0;
}

/* From now on what is written to the file goes past the page cache, or through it. */
static int set_direct(struct journal *journal, bool direct)
{
	if (journal->is_direct == direct)
		return 0;
	if (fcntl(journal->file, F_SETFL, direct ? O_DIRECT : 0) < 0)
		return -errno;
	journal->is_direct = direct;
	return 0;
}

int journal_flush(struct journal *journal)
{
	int r;

	if (journal->written == journal->end)
		return 0;
	r = set_direct(journal, false);
	if (r < 0)
		return r;
	/* Where the process ends in between, file and tail do not contradict each other. */
	if (journal->tail.map)
		tail_commit(&journal->tail, journal_pending(journal));
	r = write_bytes(journal->file, journal->memory + (journal->written - journal->base),
			journal_pending(journal), journal->written);
	if (r < 0)
		return r;
	journal->written = journal->end;
	if (journal->tail.map) {
		tail_begin(&journal->tail, slots_current(&journal->slots)->id,
			   journal->written);
		journal->base = journal->known = journal->written;
	}
	return 0;
}

int journal_commit(struct journal *journal)
{
	if (!journal->tail.map)
		return journal_flush(journal);
	tail_commit(&journal->tail, journal_pending(journal));
	return 0;
}

/*
 * A sync that failed has taken the pages for written, and the next one would not write them:
 * they are written once more, as the page cache still has them.
 */
static int write_again(struct journal *journal)
{
	size_t n = journal->written - journal->synced;
	_cleanup_free_ uint8_t *bytes = malloc(n + 1);
	ssize_t have;
	int r;

	if (!bytes)
		return -ENOMEM;
	r = set_direct(journal, false);
	if (r < 0)
		return r;
	have = pread(journal->file, bytes, n, journal->synced);
	if (have != (ssize_t)n)
		return have < 0 ? -errno : -EIO;
	r = write_bytes(journal->file, bytes, n, journal->synced);
	if (r == 0)
		journal->suspect = false;
	return r;
}

/*
 * What is synced next would write the last page of this once more, and one page in all the
 * more. Where that page is nearly full anyway, it is filled up.
 */
static void fill_page(struct journal *journal)
{
	static const uint8_t zeros[PAGE];
	uint32_t size = journal->end - journal->synced, gap = -journal->end % PAGE;
	const struct piece body = { zeros, gap - RECORD_HEADER_SIZE };

	/* What is over its whole pages would fit into the gap: as many are written either way. */
	if (gap < RECORD_HEADER_SIZE || gap > size / 4 || (size - 1) % PAGE < gap)
		return;
	if (journal_fits(journal, gap))
		(void)!journal_add(journal, RECORD_PAD, 0, &body, 1);
}

/*
 * Writes and syncs what is pending in whole pages. Where that fails it is pending still.
 * -EOPNOTSUPP: to be done by way of the page cache, which has something unsynced, or for good.
 */
static int sync_direct(struct journal *journal)
{
	uint32_t begin = page_begin(journal->written), stop = page_begin(journal->end + PAGE - 1);
	int r;

	if (journal->tail.map || journal->never_direct || journal->suspect ||
	    journal->written != journal->synced ||
	    stop > slots_current(&journal->slots)->size)
		return -EOPNOTSUPP;
	r = set_direct(journal, true);
	if (r == 0) {
		memset(memory_end(journal), 0, stop - journal->end);
		r = write_bytes(journal->file, journal->memory + (begin - journal->base),
				stop - begin, begin);
	}
	if (r == -EINVAL) {
		journal->never_direct = true;
		return -EOPNOTSUPP;
	}
	if (r < 0 || fdatasync(journal->file) < 0)
		return r < 0 ? r : -errno;
	journal->written = journal->synced = journal->end;
	return 0;
}

int journal_sync(struct journal *journal)
{
	int r;

	fill_page(journal);
	if (journal->synced == journal->end)
		return 0;
	r = sync_direct(journal);
	if (r != -EOPNOTSUPP)
		return r;
	r = journal_flush(journal);
	if (r < 0 || journal->synced == journal->end)
		return r;
	if (journal->suspect)
		r = write_again(journal);
	if (r == 0 && fdatasync(journal->file) < 0) {
		r = -errno;
		journal->suspect = true;
	}
	if (r == 0)
		journal->synced = journal->end;
	return r;
}

/* Pages that are written leave memory, and the rest moves to its begin. */
static void forget_written(struct journal *journal)
{
	uint32_t begin = page_begin(journal->written);

	if (begin <= journal->base)
		return;
	memmove(journal->memory, journal->memory + (begin - journal->base),
		journal->end - begin);
	journal->base = begin;
	journal->known = journal->written;
}

/* Whole pages, at the begin of one. */
static int grow_memory(struct journal *journal, size_t size)
{
	size_t have = journal->end - journal->base;
	size_t more = page_begin((have + size) * 2 + PAGE - 1);
	uint8_t *larger;

	if (more < KEEP_MOST)
		more = KEEP_MOST;
	larger = aligned_alloc(PAGE, more);
	if (!larger)
		return -ENOMEM;
	if (have)
		memcpy(larger, journal->memory, have);
	free(journal->memory);
	journal->memory = larger;
	journal->room = more;
	return 0;
}

/* Has room for `size` more bytes. */
static int make_memory_room(struct journal *journal, size_t size)
{
	if (journal->end - journal->base + size <= journal->room)
		return 0;
	if (journal->tail.map)
		return journal_flush(journal);
	forget_written(journal);
	if (journal->end - journal->base + size <= journal->room)
		return 0;
	return grow_memory(journal, size);
}

/* Goes on with that file, of which nothing is known to be on the disk. */
static void begin_file(struct journal *journal, int file)
{
	closep(&journal->file);
	journal->file = file;
	journal->is_direct = journal->suspect = false;
	journal->synced = 0;
}

/*
 * Goes on at `offset` of the file, with nothing pending. Without a tail, the page that this is
 * in the midst of is to be in memory.
 */
static int begin_at(struct journal *journal, uint32_t offset)
{
	uint32_t size;
	ssize_t n;
	int r;

	journal->base = journal->known = journal->written = journal->end = offset;
	if (journal->tail.map)
		return 0;
	journal->base = journal->end = page_begin(offset);
	size = offset - journal->base;
	r = make_memory_room(journal, size);
	if (r < 0)
		return r;
	n = size ? pread(journal->file, journal->memory, size, journal->base) : 0;
	if (n != (ssize_t)size)
		return n < 0 ? -errno : -EIO;
	journal->end = offset;
	return 0;
}

bool journal_fits(const struct journal *journal, size_t size)
{
	return journal->end + size <= slots_current(&journal->slots)->size;
}

int journal_add(struct journal *journal, enum record_type type, uint64_t seq,
		const struct piece *pieces, size_t count)
{
	size_t length = 0;
	int r;

	for (size_t i = 0; i < count; i++)
		length += pieces[i].length;
	r = make_memory_room(journal, record_size(length));
	if (r < 0)
		return r;
	journal->end += record_encode(slots_current(&journal->slots)->id, journal->end, type,
				      seq, pieces, count, memory_end(journal));
	return 0;
}

/* Bytes that a segment begins with: its header and a checkpoint. */
static size_t head_size(const struct ledger *ledger)
{
	return SEGMENT_HEADER_SIZE + record_size(checkpoint_size(ledger));
}

static int encode_head(const uint8_t spool[SPOOL_ID_SIZE], const struct slot *slot,
		       const struct ledger *ledger, uint8_t *bytes)
{
	struct segment_header header = {
		.size = slot->size, .id = slot->id, .first_seq = slot->first_seq,
		.begun_us = slot->begun_us,
	};
	struct piece body = { .length = checkpoint_size(ledger) };
	_cleanup_free_ uint8_t *checkpoint = malloc(body.length);

	if (!checkpoint)
		return -ENOMEM;
	memcpy(header.spool, spool, sizeof(header.spool));
	segment_header_encode(&header, bytes);
	checkpoint_encode(ledger, checkpoint);
	body.bytes = checkpoint;
	record_encode(slot->id, SEGMENT_HEADER_SIZE, RECORD_CHECKPOINT, 0, &body, 1,
		      bytes + SEGMENT_HEADER_SIZE);
	return 0;
}

/* Nobody finds a tail whose segment has no header: before it has one, all stays. */
static int write_head(int file, const uint8_t *bytes, size_t size)
{
	static const uint8_t zeros[SEGMENT_HEADER_SIZE];
	int r = write_bytes(file, bytes, size, 0);

	/* Nor is there to be a header whose segment is not used. */
	if (r < 0)
		(void)!write_bytes(file, zeros, sizeof(zeros), 0);
	return r;
}

int journal_begin_segment(struct journal *journal, const struct ledger *ledger)
{
	struct slots *slots = &journal->slots;
	struct slot slot = slots->slots[slots->used];
	size_t size = head_size(ledger);
	_cleanup_free_ uint8_t *head = malloc(size);
	_cleanup_close_ int file = -1;
	uint32_t step = 0;
	int r = head ? 0 : -ENOMEM;

	if (r == 0 && slots->used)
		r = journal_sync(journal);
	if (r == 0 && getrandom(&step, sizeof(step), 0) < 0)
		r = -errno;
	if (r < 0)
		return r;
	file = slot_open(slots, &slot);
	if (file < 0)
		return file;
	slot.id = slots->newest + 1 + step;
	slot.first_seq = ledger->next_seq;
	slot.begun_us = boots_running_us(&ledger->boots);
	r = encode_head(slots->spool, &slot, ledger, head);
	if (r == 0)
		r = journal->tail.map ? write_head(file, head, size) :
					make_memory_room(journal, size);
	if (r < 0)
		return r;
	if (slots->used)
		slots_current(slots)->end = journal->end;
	slots_take(slots, &slot);
	begin_file(journal, TAKE_FD(file));
	journal->base = journal->known = journal->written = 0;
	journal->end = size;
	if (journal->tail.map) {
		journal->base = journal->known = journal->written = size;
		tail_begin(&journal->tail, slot.id, size);
	} else {
		memcpy(journal->memory, head, size);
	}
	return 0;
}

int journal_start_over(struct journal *journal, const struct ledger *ledger)
{
	uint64_t id = slots_current(&journal->slots)->id;
	struct piece body = { .length = checkpoint_size(ledger) };
	_cleanup_free_ uint8_t *checkpoint = malloc(body.length);
	uint8_t *room = tail_other(&journal->tail);
	size_t length;

	if (!checkpoint)
		return -ENOMEM;
	if (!journal_fits(journal, record_size(body.length)))
		return -ENOSPC;
	checkpoint_encode(ledger, checkpoint);
	body.bytes = checkpoint;
	length = record_encode(id, journal->written, RECORD_CHECKPOINT, 0, &body, 1, room);
	tail_change_over(&journal->tail, length);
	journal->memory = room;
	journal->end = journal->written + length;
	return 0;
}

int journal_continue_segment(struct journal *journal, uint32_t end)
{
	int file = slot_open(&journal->slots, slots_current(&journal->slots));

	if (file < 0)
		return file;
	/* What was written before may not be synced: the next sync is to cover it. */
	begin_file(journal, file);
	return begin_at(journal, end);
}

int journal_restore_pending(struct journal *journal, const uint8_t *bytes, size_t length,
			    uint32_t base)
{
	int r = begin_at(journal, base);

	if (r < 0 || !length)
		return r;
	if (journal->tail.map) {
		assert(bytes == journal->memory);
	} else {
		r = make_memory_room(journal, length);
		if (r < 0)
			return r;
		memcpy(memory_end(journal), bytes, length);
	}
	journal->end = base + length;
	return 0;
}

bool journal_is_current(const struct journal *journal, const struct slot *slot)
{
	return slot == slots_current(&journal->slots);
}

uint32_t journal_end_in_file(const struct journal *journal, const struct slot *slot)
{
	if (journal_is_current(journal, slot))
		return journal->written;
	return slot->end ? slot->end : slot->size;
}
