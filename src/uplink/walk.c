/* SPDX-License-Identifier: Apache-2.0 */
/* walk.c - looks at each message that a spool still has. */
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

enum {
	/* How many bytes are read between two calls that tell of progress. */
	PROGRESS_STEP = 256 * 1024,
};

struct walker {
	struct spool *spool;
	struct spool_walk *walk;
	uint64_t done, total; /* bytes */
	bool stopped;
};

static void take_record(struct walker *walker, const struct record *record)
{
	const struct ledger *ledger = &walker->spool->ledger;
	struct spool_entry entry = { 0 };

	walker->walk->records++;
	if (message_decode(record, &entry.message, &entry.told) < 0 ||
	    entry.message.seq < walker->walk->from)
		return;
	entry.waits = !ledger_is_finished(ledger, entry.message.seq);
	entry.flight = entry.waits ? ledger_flight_by_seq(ledger, entry.message.seq) : NULL;
	boots_set_time(&ledger->boots, &entry.message);
	if (entry.flight) {
		entry.message.time_ms = entry.flight->time_ms;
		entry.message.clock = entry.flight->clock;
	}
	if (!walker->walk->visit(walker->walk->data, &entry))
		walker->stopped = true;
}

static void tell_progress(const struct walker *walker, uint64_t more)
{
	if (walker->walk->progress)
		walker->walk->progress(walker->walk->data, walker->done + more,
				       walker->total);
}

static void note_damage(struct walker *walker, const struct slot *slot, uint32_t from,
			uint32_t to)
{
	walker->walk->damaged += to - from;
	if (walker->walk->damage)
		walker->walk->damage(walker->walk->data, slot->number, from, to);
}

/* Whether the file is still that segment, and not used again by the process that has it. */
static bool is_same(int fd, const struct slot *slot)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header header;

	return pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) &&
	       segment_header_decode(bytes, &header) == 0 && header.id == slot->id;
}

/* Reads the records of a segment up to `end`. */
static int read_records(struct walker *walker, const struct slot *slot, int fd, uint32_t end)
{
	_cleanup_(segment_reader_done) struct segment_reader reader = { 0 };
	uint32_t offset, behind = SEGMENT_HEADER_SIZE, told = 0;
	struct record record;
	int r = segment_reader_begin(&reader, fd, slot->id, behind, end);

	if (r < 0)
		return r;
	while (!walker->stopped && (r = segment_read(&reader, &record, &offset)) > 0) {
		if (offset != behind && !is_same(fd, slot))
			return 0;
		if (offset != behind)
			note_damage(walker, slot, behind, offset);
		behind = reader.end;
		take_record(walker, &record);
		if (offset - told >= PROGRESS_STEP) {
			tell_progress(walker, offset);
			told = offset;
		}
	}
	return r < 0 ? r : 0;
}

static int walk_segment(struct walker *walker, const struct slot *slot)
{
	_cleanup_close_ int fd = slot_open(&walker->spool->journal.slots, slot);
	uint32_t end = journal_end_in_file(&walker->spool->journal, slot);
	int r;

	if (fd < 0)
		return fd;
	walker->walk->segments++;
	r = read_records(walker, slot, fd, end);
	if (slot->cut)
		note_damage(walker, slot, slot->size, slot->size + slot->cut);
	walker->done += end;
	tell_progress(walker, 0);
	return r;
}

static void walk_pending(struct walker *walker)
{
	const struct journal *journal = &walker->spool->journal;
	uint64_t id = slots_current(&journal->slots)->id;
	size_t length = journal_pending(journal), done = 0;
	const uint8_t *bytes;

	if (!length)
		return;
	bytes = journal->memory + (journal->written - journal->base);
	while (!walker->stopped && done < length) {
		struct record record;
		ssize_t n = record_decode(id, journal->written + done, bytes + done,
					  length - done, &record);

		if (n <= 0)
			return;
		take_record(walker, &record);
		done += n;
	}
}

int spool_walk(struct spool *spool, struct spool_walk *walk)
{
	const struct slots *slots = &spool->journal.slots;
	struct walker walker = { .spool = spool, .walk = walk };
	size_t first = slots->used - 1;

	walk->segments = walk->records = walk->damaged = 0;
	while (first > 0 && slots->slots[first].first_seq > walk->from)
		first--;
	for (size_t i = first; i < slots->used; i++)
		walker.total += journal_end_in_file(&spool->journal, &slots->slots[i]);
	for (size_t i = first; i < slots->used && !walker.stopped; i++) {
		int r = walk_segment(&walker, &slots->slots[i]);

		if (r < 0)
			return r;
	}
	walk_pending(&walker);
	return 0;
}

/* --- what is to be given up --- */

struct loss_reader {
	struct spool *spool;
	struct loss *loss;
	bool untold;
};

static bool note_in_loss(void *data, const struct spool_entry *entry)
{
	struct loss_reader *reader = data;
	struct loss *loss = reader->loss, untold;

	if (entry->message.seq > loss->to)
		return false;
	if (!entry->waits)
		return true;
	if (entry->told && loss_decode(entry->told, &untold) == 0) {
		ledger_untold(&reader->spool->ledger, &untold);
		reader->untold = true;
	}
	loss->to_ms = entry->message.time_ms;
	if (!loss->from_ms)
		loss->from_ms = loss->to_ms;
	return true;
}

bool spool_read_loss(struct spool *spool, struct loss *loss)
{
	struct loss_reader reader = { .spool = spool, .loss = loss };
	struct spool_walk walk = {
		.from = loss->from, .visit = note_in_loss, .data = &reader,
	};

	/* What can't be read has no times. */
	(void)!spool_walk(spool, &walk);
	return reader.untold;
}
