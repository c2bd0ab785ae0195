/* SPDX-License-Identifier: Apache-2.0 */
/* walk.c - looks at each message that a spool still has. */
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

struct walker {
	struct spool *spool;
	struct spool_walk *walk;
	uint64_t done, total; /* bytes */
	bool stopped;
};

static void take_record(struct walker *walker, const struct record *record)
{
	struct spool *spool = walker->spool;
	struct message message;
	const uint8_t *told;

	walker->walk->records++;
	if (message_decode(record, &message, &told) < 0)
		return;
	boots_set_time(&spool->ledger.boots, &message);
	if (!walker->walk->visit(walker->walk->data, &message,
				 !ledger_is_finished(&spool->ledger, message.seq)))
		walker->stopped = true;
}

static void tell_progress(const struct walker *walker, uint64_t more)
{
	if (walker->walk->progress)
		walker->walk->progress(walker->walk->data, walker->done + more,
				       walker->total);
}

static int walk_segment(struct walker *walker, const struct slot *slot)
{
	struct spool *spool = walker->spool;
	_cleanup_(segment_reader_done) struct segment_reader reader = { 0 };
	_cleanup_close_ int fd = slot_open(&spool->journal.slots, slot);
	uint32_t end = journal_end_in_file(&spool->journal, slot), offset, told = 0;
	struct record record;
	int r;

	if (fd < 0)
		return fd;
	r = segment_reader_begin(&reader, fd, slot->id, SEGMENT_HEADER_SIZE, end);
	if (r < 0)
		return r;
	while (!walker->stopped && (r = segment_read(&reader, &record, &offset)) > 0) {
		take_record(walker, &record);
		if (offset - told >= 256 * 1024) {
			tell_progress(walker, offset);
			told = offset;
		}
	}
	walker->walk->damaged += reader.damaged;
	walker->done += end;
	tell_progress(walker, 0);
	return r < 0 ? r : 0;
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

	walk->records = walk->damaged = 0;
	while (first > 0 && slots->slots[first].first_seq > spool->ledger.oldest_seq)
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
