/* SPDX-License-Identifier: Apache-2.0 */
/* recovery.c - opening a spool: the ledger as the journal has it, or a new one. */
#include "base/log.h"
#include "uplink/bodies.h"
#include "uplink/checkpoint.h"
#include "uplink/replay.h"
#include "uplink/spool_state.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* What an earlier process left in memory; length 0: nothing, or it is not known of. */
struct left {
	uint8_t *bytes; /* to be freed where it is a copy */
	size_t length;
	uint64_t segment;
	uint32_t base;
};

/* --- the journal --- */

/*
 * Reads a segment's records into the ledger, up to `limit`; *end is behind the last right
 * one.
 */
static int replay_segment(struct spool *spool, const struct slot *slot, uint32_t limit,
			  uint32_t *end)
{
	_cleanup_(segment_reader_done) struct segment_reader reader = { 0 };
	_cleanup_close_ int fd = slot_open(&spool->journal.slots, slot);
	struct record record;
	uint32_t offset;
	int r;

	if (fd < 0)
		return fd;
	r = segment_reader_begin(&reader, fd, slot->id, SEGMENT_HEADER_SIZE, limit);
	if (r < 0)
		return r;
	while ((r = segment_read(&reader, &record, &offset)) > 0)
		if (replay_record(&spool->ledger, &record) == -ENOMEM)
			return -ENOMEM;
	if (reader.damaged && spool->patient)
		return -EAGAIN;
	if (reader.damaged)
		log_error("spool %s: %04u.seg: %u bytes are damaged and were skipped",
			  spool->path, slot->number, reader.damaged);
	*end = reader.end;
	return r;
}

/* Whether the segment has a checkpoint, mostly at its begin; -errno: it can't be read. */
static int has_checkpoint(struct spool *spool, const struct slot *slot)
{
	_cleanup_(segment_reader_done) struct segment_reader reader = { 0 };
	_cleanup_close_ int fd = slot_open(&spool->journal.slots, slot);
	struct record record;
	uint32_t offset;
	int r;

	if (fd < 0)
		return fd;
	r = segment_reader_begin(&reader, fd, slot->id, SEGMENT_HEADER_SIZE, slot->size);
	if (r < 0)
		return r;
	while ((r = segment_read(&reader, &record, &offset)) > 0)
		if (record.type == RECORD_CHECKPOINT)
			return 1;
	return r;
}

/* Where replay begins: the newest checkpoint that is whole, else the oldest segment. */
static ssize_t find_checkpoint(struct spool *spool)
{
	const struct slots *slots = &spool->journal.slots;

	for (size_t i = slots->used; i > 0; i--) {
		int r = has_checkpoint(spool, &slots->slots[i - 1]);

		if (r < 0)
			return r;
		if (r > 0)
			return i - 1;
		if (spool->patient)
			return -EAGAIN;
		log_error("spool %s: %04u.seg: its checkpoint is damaged", spool->path,
			  slots->slots[i - 1].number);
	}
	return 0;
}

/* Takes what was left in memory into the ledger, and as what is pending. */
static int replay_left(struct spool *spool, const struct left *left)
{
	size_t done = 0;

	while (done < left->length) {
		struct record record;
		ssize_t n = record_decode(left->segment, left->base + done,
					  left->bytes + done, left->length - done, &record);

		if (n <= 0)
			break;
		if (replay_record(&spool->ledger, &record) == -ENOMEM)
			return -ENOMEM;
		done += n;
	}
	return journal_restore_pending(&spool->journal, left->bytes, done, left->base);
}

/*
 * A segment whose head could not be written whole was never used: what was left in memory
 * belongs to the one before.
 */
static int give_back_unused(struct spool *spool, const struct left *left)
{
	struct slots *slots = &spool->journal.slots;

	while (left->length && slots->used > 1 &&
	       slots_current(slots)->id != left->segment) {
		int r = has_checkpoint(spool, slots_current(slots));

		if (r != 0)
			return r < 0 ? r : 0;
		slots_give_back(slots);
	}
	return 0;
}

/* Brings the ledger up to date. *is_bare: the newest segment has no checkpoint. */
static int replay(struct spool *spool, const struct left *left, bool *is_bare)
{
	const struct slots *slots = &spool->journal.slots;
	const struct slot *newest;
	uint32_t end = SEGMENT_HEADER_SIZE;
	int r = give_back_unused(spool, left);
	ssize_t from = r < 0 ? r : find_checkpoint(spool);
	bool goes_on;

	if (from < 0)
		return from;
	newest = slots_current(slots);
	goes_on = left->length && left->segment == newest->id && left->base <= newest->size;
	*is_bare = (size_t)from != slots->used - 1;
	spool->ledger.next_seq = spool->ledger.oldest_seq = slots->slots[from].first_seq;
	for (size_t i = from; i < slots->used; i++) {
		const struct slot *slot = &slots->slots[i];

		replay_first_seq(&spool->ledger, slot->first_seq);
		r = replay_segment(spool, slot,
				   goes_on && slot == newest ? left->base : slot->size, &end);
		if (r < 0)
			return r;
	}
	r = journal_continue_segment(&spool->journal, end);
	return r == 0 && goes_on ? replay_left(spool, left) : r;
}

/* --- what was left in memory --- */

static int copy_left(struct spool *spool, struct left *left)
{
	const struct slots *slots = &spool->journal.slots;
	int r = tail_copy(spool->directory, slots->spool, &left->bytes, &left->length,
			  &left->segment, &left->base);

	if (r == -ENOENT)
		return 0;
	return r;
}

/* The tail of this spool; without one, all is written to the file at once. */
static int open_tail(struct spool *spool, struct left *left)
{
	struct journal *journal = &spool->journal;
	int r;

	if (!spool->sync_us && !tail_is_linked(spool->directory))
		return 0;
	r = tail_open(&journal->tail, spool->directory, journal->slots.spool);
	if (r == -ENOENT) {
		if (spool->sync_us)
			log_notice("spool %s: no memory file system at hand: the disk will see "
				   "every message", spool->path);
		return 0;
	}
	if (r < 0) {
		log_error("spool %s: what was left in memory can't be had: %s", spool->path,
			  strerror(-r));
		return r;
	}
	left->length = tail_content(&journal->tail, &left->segment, &left->base);
	left->bytes = tail_bytes(&journal->tail);
	journal->memory = left->bytes;
	journal->room = TAIL_ROOM;
	return 0;
}

/* --- beginnings --- */

/*
 * A spool of its own: a random identity, and numbers that begin with the clock's microseconds,
 * so that a directory that was lost does not give numbers out again.
 */
static int begin_new(struct spool *spool)
{
	struct left none = { 0 };
	uint8_t boot_id[BOOT_ID_SIZE];
	int r;

	if (getrandom(spool->journal.slots.spool, SPOOL_ID_SIZE, 0) < 0)
		return -errno;
	spool->ledger.next_seq = spool->ledger.oldest_seq = clock_wall_us();
	clock_boot_id(boot_id);
	r = boots_begin(&spool->ledger.boots, 1, boot_id, spool->ledger.next_seq);
	if (r == 0)
		r = open_tail(spool, &none);
	return r < 0 ? r : spool_rotate(spool, false);
}

/* Numbers that may have been used and were not synced. */
static int skip_numbers(struct spool *spool)
{
	struct ledger *ledger = &spool->ledger;
	const struct loss loss = {
		.from = ledger->next_seq, .to = ledger->reserved_seq - 1,
		.why = LOSS_POWER_CUT,
	};

	if (ledger->reserved_seq <= ledger->next_seq)
		return 0;
	log_warning("spool %s: power cut: numbers %llu to %llu may have been lost",
		    spool->path, (unsigned long long)loss.from, (unsigned long long)loss.to);
	ledger->taken += loss.to + 1 - ledger->next_seq;
	ledger->next_seq = loss.to + 1;
	spool_give_up(spool, &loss);
	return 0;
}

/* The machine was started anew, or what was left in memory was lost in another way. */
static int begin_boot(struct spool *spool)
{
	struct boots *boots = &spool->ledger.boots;
	const struct boot *last = boots_current(boots);
	/* Where all that was known of them is damaged: one that was not there before. */
	uint32_t number = last ? last->number + 1 : clock_wall_ms() / 1000;
	uint8_t body[4 + BOOT_ID_SIZE], *boot_id = body + 4;
	bool is_new;
	int r;

	clock_boot_id(boot_id);
	is_new = !last || memcmp(boot_id, boots->id, BOOT_ID_SIZE);
	if (is_new || spool->journal.tail.lost) {
		r = skip_numbers(spool);
		if (r < 0)
			return r;
	}
	if (!is_new)
		return 0;
	r = boots_begin(boots, number, boot_id, spool->ledger.next_seq);
	if (r < 0)
		return r;
	put_u32(body, number);
	spool_record(spool, RECORD_BOOT, 0, body, sizeof(body));
	return 0;
}

/* Reading begins with the oldest message that is not finished. */
static int find_oldest(struct spool *spool)
{
	struct slots *slots = &spool->journal.slots;
	size_t i;

	for (i = slots->used - 1; i > 0; i--)
		if (slots->slots[i].first_seq <= spool->ledger.oldest_seq)
			break;
	spool->backlog.expected_seq = spool->ledger.oldest_seq;
	spool->backlog_end = spool->ledger.next_seq;
	return cursor_seek(&spool->journal, &spool->backlog.cursor, &slots->slots[i]);
}

/*
 * Where a process has the spool meanwhile, segments and memory may be seen at different
 * moments: -EAGAIN, for one who is patient.
 */
static int look_only(struct spool *spool)
{
	struct slots *slots = &spool->journal.slots;
	_cleanup_free_ uint8_t *bytes = NULL;
	struct left left = { 0 };
	bool is_bare;
	int r;

	if (!slots->used)
		return -ENOENT;
	r = copy_left(spool, &left);
	bytes = left.bytes;
	if (r == 0)
		r = replay(spool, &left, &is_bare);
	if (r == 0 && spool->patient && left.length && left.segment != slots_current(slots)->id)
		r = -EAGAIN;
	return r;
}

/*
 * A power cut took the newest segment's checkpoint, and the one that was read is in a segment
 * that may be overwritten soon: its place is taken by one that is on the disk before.
 */
static int add_checkpoint(struct spool *spool)
{
	struct piece body = { .length = checkpoint_size(&spool->ledger) };
	_cleanup_free_ uint8_t *bytes = malloc(body.length);
	int r;

	if (!bytes)
		return -ENOMEM;
	if (!journal_fits(&spool->journal, record_size(body.length)))
		return spool_rotate(spool, false);
	checkpoint_encode(&spool->ledger, bytes);
	body.bytes = bytes;
	r = journal_add(&spool->journal, RECORD_CHECKPOINT, 0, &body, 1);
	return r < 0 ? r : journal_sync(&spool->journal);
}

static int take_over(struct spool *spool)
{
	struct journal *journal = &spool->journal;
	struct left left = { 0 };
	bool is_bare = false;
	int r;

	if (!journal->slots.used)
		return begin_new(spool);
	r = open_tail(spool, &left);
	if (r == 0)
		r = replay(spool, &left, &is_bare);
	if (r == 0 && journal->tail.map && journal->written == journal->end)
		tail_begin(&journal->tail, slots_current(&journal->slots)->id,
			   journal->written);
	spool->synced_seq = spool->found_seq = spool->ledger.next_seq;
	spool->recorded_oldest = spool->ledger.oldest_seq;
	if (r == 0 && is_bare)
		r = add_checkpoint(spool);
	if (r == 0)
		r = begin_boot(spool);
	if (r == 0)
		spool->found_us = boots_current(&spool->ledger.boots)->last_us;
	return r;
}

/*
 * The lock says which spool this is, for the day when a file of another one is put in. Where
 * it does not, the files do: it need not be synced.
 */
static bool read_identity(const struct spool *spool, uint8_t bytes[SPOOL_ID_SIZE])
{
	return pread(spool->lock, bytes, SPOOL_ID_SIZE, 0) == SPOOL_ID_SIZE;
}

static void note_identity(const struct spool *spool)
{
	const uint8_t *id = spool->journal.slots.spool;
	uint8_t bytes[SPOOL_ID_SIZE];

	if (!read_identity(spool, bytes) || memcmp(bytes, id, SPOOL_ID_SIZE))
		(void)!pwrite(spool->lock, id, SPOOL_ID_SIZE, 0);
}

int spool_recover(struct spool *spool)
{
	struct slots *slots = &spool->journal.slots;
	uint8_t identity[SPOOL_ID_SIZE];
	int r;

	slots->directory = spool->refused.directory = spool->directory;
	if (read_identity(spool, identity))
		memcpy(slots->spool, identity, sizeof(identity));
	r = slots_scan(slots);
	if (r == 0)
		r = spool->read_only ? look_only(spool) : take_over(spool);
	if (r == 0 && !spool->read_only)
		note_identity(spool);
	if (r == 0)
		r = spool_settle_refused(spool);
	return r < 0 ? r : find_oldest(spool);
}
