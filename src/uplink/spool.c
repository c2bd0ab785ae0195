/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.c - the journal on disk that holds each message until the broker acknowledged it.
 *
 * Segment files of one size are filled in turn; which of them comes when is told by the id in
 * its header, so that a file is used again without being renamed or made longer:
 *
 *     0001.seg id 7        0002.seg id 8          0000.seg id 9         0003.seg (free)
 *     [done done msg msg]  [checkpoint msg msg]   [checkpoint msg ···]
 *            ^ oldest waiting                                  ^ end
 *
 * Each segment begins with a checkpoint of the ledger; opening reads the newest one and what
 * follows it. A segment whose messages are all finished is free. When nothing waits any more
 * and a segment is some way in, the next one is begun early, so that two files take turns and
 * the same few pages are written again and again.
 *
 * What happens is noted in the ledger at once and in records with the next commit, which is
 * one write and, where it is owed, one sync.
 */
#include "uplink/spool.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

enum {
	/* When nothing waits, a segment is left behind from here on. */
	RESTART_AT = 64 * 1024,
	/* Sequence numbers that may be used without a sync, with a sync interval. */
	RESERVE = 4096,
	/* Segments that are left for steps when messages fill all others. */
	STEP_SLOTS = 2,
	/* Steps noted in one record at most. */
	STEPS_MAX = 1024,
	/* How often a loss that goes on is recorded. */
	RECORD_LOSS_US = 10 * 1000 * 1000,
};

/* Steps of one kind that stand in the ledger and not yet in a record. */
struct steps {
	uint8_t *bytes;
	size_t count;
};

struct spool {
	char *path;
	int directory, lock;
	bool read_only;
	uint64_t sync_us;
	enum spool_when_full when_full;
	struct ledger ledger;
	struct journal journal;
	struct steps released, acked, sent;
	uint64_t expected_seq;   /* of the message read next, where none is missing */

	struct loss unrecorded;     /* part of the loss that no record tells of yet, … */
	uint64_t unrecorded_due_us; /* … and when one is to */
	uint64_t begun_us;       /* when the segment that is written was begun */
	bool restart;            /* steps went unrecorded: begin a segment, for its checkpoint */
	bool barrier;            /* the next commit has to sync */
	uint64_t owed_since_us;  /* since when an unfinished message waits for a sync; 0: none */
	bool failing;            /* the disk does not take what is written */
};

/* --- segments in turn --- */

/* Times of the first and the last message of a segment that are not finished. */
static void read_loss_times(struct spool *spool, const struct slot *slot, struct loss *loss)
{
	_cleanup_(segment_reader_done) struct segment_reader reader = { 0 };
	_cleanup_close_ int fd = slot_open(&spool->journal.slots, slot);
	struct record record;
	uint32_t offset;

	if (fd < 0 || segment_reader_begin(&reader, fd, slot->id, SEGMENT_HEADER_SIZE,
					   slot->size) < 0)
		return;
	while (segment_read(&reader, &record, &offset) > 0) {
		struct message message;
		enum loss_why told;

		if (message_decode(&record, spool->ledger.boot, &message, &told) < 0 ||
		    ledger_is_finished(&spool->ledger, record.seq))
			continue;
		loss->to_ms = clock_message_ms(&message);
		if (!loss->from_ms)
			loss->from_ms = loss->to_ms;
	}
}

/* Gives up the oldest segment, which is not the one that is written. */
static int drop_oldest_segment(struct spool *spool)
{
	struct loss loss = {
		.from = spool->ledger.oldest_seq,
		.to = spool->journal.slots.slots[1].first_seq - 1,
		.why = LOSS_FULL,
	};
	uint64_t before = spool->ledger.sums.dropped;
	int r;

	read_loss_times(spool, &spool->journal.slots.slots[0], &loss);
	r = ledger_dropped(&spool->ledger, &loss);
	if (r < 0)
		return r;
	log_warning("spool %s: full: dropped the oldest %llu messages, %llu to %llu",
		    spool->path,
		    (unsigned long long)(spool->ledger.sums.dropped - before),
		    (unsigned long long)loss.from, (unsigned long long)loss.to);
	slots_free_finished(&spool->journal.slots, spool->ledger.oldest_seq);
	return 0;
}

/*
 * Whether one more segment may be filled with messages. Two are always left for the steps of
 * the handshake, which take turns in them, or a full spool could not be drained.
 */
static bool has_room_for_messages(const struct spool *spool)
{
	return slots_available(&spool->journal.slots) > STEP_SLOTS;
}

static int have_free_slot(struct spool *spool, bool for_messages)
{
	slots_free_finished(&spool->journal.slots, spool->ledger.oldest_seq);
	while (true) {
		int r = -ENOSPC;

		if (!for_messages || has_room_for_messages(spool))
			r = slots_have_free(&spool->journal.slots);
		if (r != -ENOSPC && r != -EDQUOT)
			return r;
		if (spool->when_full == DROP_NEWEST || spool->journal.slots.used < 2)
			return -ENOSPC;
		r = drop_oldest_segment(spool);
		if (r < 0)
			return r;
	}
}

static int rotate(struct spool *spool, bool for_messages)
{
	int r = have_free_slot(spool, for_messages);

	if (r == 0)
		r = journal_begin_segment(&spool->journal, &spool->ledger);
	if (r < 0)
		return r;
	/* The checkpoint holds the steps that had no record yet. */
	spool->released.count = spool->acked.count = spool->sent.count = 0;
	spool->unrecorded.count = 0;
	spool->restart = false;
	spool->begun_us = clock_monotonic_us();
	return 0;
}

/*
 * When nothing waits, the segments can take turns early, but not more often than a sync is
 * wanted: beginning one costs one.
 */
static bool may_restart(const struct spool *spool)
{
	return spool->ledger.oldest_seq == spool->ledger.next_seq &&
	       spool->journal.end >= RESTART_AT &&
	       clock_monotonic_us() >= spool->begun_us + spool->sync_us;
}

/* Has the segment that is written have room for a record. */
static int make_room(struct spool *spool, size_t size, bool for_message)
{
	if (spool->restart || may_restart(spool))
		return rotate(spool, false);
	if (!journal_fits(&spool->journal, size))
		return rotate(spool, for_message);
	if (for_message && spool->when_full == DROP_NEWEST) {
		slots_free_finished(&spool->journal.slots, spool->ledger.oldest_seq);
		if (slots_available(&spool->journal.slots) < STEP_SLOTS)
			return -ENOSPC;
	}
	return 0;
}

/* --- taking in --- */

/* Notes up to where numbers may be used before they are synced. */
static int add_reserve(struct spool *spool, uint64_t seq)
{
	uint8_t bytes[8];
	struct piece body = { bytes, sizeof(bytes) };
	int r = make_room(spool, record_size(sizeof(bytes)), false);

	if (r < 0)
		return r;
	put_u64(bytes, seq);
	r = journal_add(&spool->journal, RECORD_RESERVE, 0, &body, 1);
	if (r < 0)
		return r;
	spool->ledger.reserved_seq = seq;
	spool->barrier = true;
	return 0;
}

static int append(struct spool *spool, struct message *message, enum loss_why told)
{
	uint8_t head[MESSAGE_HEAD_SIZE];
	const struct piece pieces[] = {
		{ head, sizeof(head) },
		{ message->topic, message->topic_length },
		{ message->body, message->body_length },
	};
	size_t size = record_size(sizeof(head) + message->topic_length + message->body_length);
	struct ledger *ledger = &spool->ledger;
	int r = 0;

	if (message->topic_length == 0 || message->topic_length > TOPIC_MAX ||
	    message->body_length > BODY_MAX)
		return -EMSGSIZE;
	if (spool->sync_us && ledger->next_seq >= ledger->reserved_seq)
		r = add_reserve(spool, ledger->next_seq + RESERVE);
	if (r == 0)
		r = make_room(spool, size, true);
	if (r < 0)
		return r;
	message->seq = ledger->next_seq;
	message_head_encode(message, ledger->boot, told, head);
	r = journal_add(&spool->journal, RECORD_MESSAGE, message->seq, pieces, ARRAY_SIZE(pieces));
	if (r < 0)
		return r;
	ledger->next_seq++;
	ledger->sums.taken++;
	if (!spool->owed_since_us)
		spool->owed_since_us = clock_monotonic_us();
	return 0;
}

static void note_disk(struct spool *spool, int error)
{
	if (error < 0 && !spool->failing)
		log_error("spool %s: %s; keeping readings in memory until the disk takes them",
			  spool->path, strerror(-error));
	else if (error == 0 && spool->failing)
		log_notice("spool %s: the disk takes what is written again", spool->path);
	spool->failing = error < 0;
}

/*
 * Messages that were lost without ever having had a number. Their count is recorded from time
 * to time, not for each: a full disk is not to be filled with that.
 */
void spool_note_loss(struct spool *spool, const struct loss *loss)
{
	struct loss *unrecorded = &spool->unrecorded;

	ledger_lost(&spool->ledger, loss);
	if (!unrecorded->count) {
		*unrecorded = *loss;
		spool->unrecorded_due_us = clock_monotonic_us() + RECORD_LOSS_US;
		return;
	}
	unrecorded->count += loss->count;
	unrecorded->to_ms = loss->to_ms;
}

static int record_loss(struct spool *spool)
{
	uint8_t bytes[LOSS_ENCODED_SIZE];
	const struct piece body = { bytes, sizeof(bytes) };
	int r = make_room(spool, record_size(sizeof(bytes)), false);

	/* A segment that has just begun holds it in its checkpoint. */
	if (r < 0 || !spool->unrecorded.count)
		return r;
	loss_encode(&spool->unrecorded, bytes);
	spool->unrecorded.count = 0;
	return journal_add(&spool->journal, RECORD_DROPPED, 0, &body, 1);
}

int spool_append(struct spool *spool, struct message *message)
{
	int64_t time_ms = clock_message_ms(message);
	const struct loss loss = {
		.count = 1, .from_ms = time_ms, .to_ms = time_ms, .why = LOSS_FULL,
	};
	int r = append(spool, message, LOSS_WHY_COUNT);

	if (r == 0)
		return 0;
	if (r != -ENOSPC && r != -EMSGSIZE)
		note_disk(spool, r);
	if (!spool->ledger.losses[LOSS_FULL].count)
		log_warning("spool %s: full: dropping new messages", spool->path);
	spool_note_loss(spool, &loss);
	return -ENOSPC;
}

const struct loss *spool_loss(const struct spool *spool)
{
	for (size_t i = 0; i < LOSS_WHY_COUNT; i++)
		if (spool->ledger.losses[i].count)
			return &spool->ledger.losses[i];
	return NULL;
}

int spool_append_loss(struct spool *spool, struct message *message)
{
	enum loss_why why = spool_loss(spool)->why;
	int r = append(spool, message, why);

	if (r == 0)
		spool->ledger.losses[why] = (struct loss){ .why = why };
	return r;
}

/* --- the handshake's steps --- */

static int add_steps(struct spool *spool, struct steps *steps, enum record_type type,
		     size_t size)
{
	struct piece body = { steps->bytes, steps->count * size };
	int r;

	if (!steps->count)
		return 0;
	r = make_room(spool, record_size(body.length), false);
	/* A segment that has just begun holds them in its checkpoint. */
	if (r < 0 || !steps->count)
		return r;
	r = journal_add(&spool->journal, type, 0, &body, 1);
	if (r == 0)
		steps->count = 0;
	return r;
}

/* Puts the steps so far into records. What fails is made good by a checkpoint later. */
static int record_steps(struct spool *spool)
{
	int r = add_steps(spool, &spool->sent, RECORD_SENT, FLIGHT_ENCODED_SIZE);

	if (r == 0)
		r = add_steps(spool, &spool->released, RECORD_RELEASED, 8);
	if (r == 0)
		r = add_steps(spool, &spool->acked, RECORD_DONE, 8);
	if (r == 0 && spool->restart)
		r = rotate(spool, false);
	if (r < 0) {
		spool->restart = true;
		spool->released.count = spool->acked.count = spool->sent.count = 0;
	}
	return r;
}

static uint8_t *next_step(struct spool *spool, struct steps *steps, size_t size)
{
	if (steps->count == STEPS_MAX)
		(void)!record_steps(spool);
	return steps->bytes + steps->count++ * size;
}

static void note_seq(struct spool *spool, struct steps *steps, uint64_t seq)
{
	put_u64(next_step(spool, steps, 8), seq);
}

int spool_sent(struct spool *spool, const struct flight *flight)
{
	int r = ledger_add_flight(&spool->ledger, flight);

	if (r < 0)
		return r;
	flight_encode(flight, next_step(spool, &spool->sent, FLIGHT_ENCODED_SIZE));
	if (flight->qos == 2)
		spool->barrier = true;
	return 0;
}

bool spool_released(struct spool *spool, uint16_t mid)
{
	struct flight *flight = ledger_flight_by_mid(&spool->ledger, mid);

	if (!flight || flight->qos != 2)
		return false;
	if (flight->state != FLIGHT_RELEASED) {
		flight->state = FLIGHT_RELEASED;
		note_seq(spool, &spool->released, flight->seq);
	}
	spool->barrier = true;
	return true;
}

void spool_finished(struct spool *spool, uint64_t seq)
{
	if (ledger_acked(&spool->ledger, seq) < 0)
		log_error("spool %s: no memory to note an acknowledgement", spool->path);
	note_seq(spool, &spool->acked, seq);
	/* What is acknowledged before its sync is due needs none. */
	if (spool->ledger.oldest_seq == spool->ledger.next_seq)
		spool->owed_since_us = 0;
}

bool spool_acked(struct spool *spool, uint16_t mid)
{
	const struct flight *flight = ledger_flight_by_mid(&spool->ledger, mid);

	if (!flight)
		return false;
	spool_finished(spool, flight->seq);
	return true;
}

void spool_set_aside(struct spool *spool, uint64_t seq, unsigned reason)
{
	uint8_t bytes[8] = { 0 };
	const struct piece body = { bytes, sizeof(bytes) };

	put_u32(bytes, reason);
	if (ledger_refused(&spool->ledger, seq) < 0)
		log_error("spool %s: no memory to note a refusal", spool->path);
	if (make_room(spool, record_size(sizeof(bytes)), false) < 0 ||
	    journal_add(&spool->journal, RECORD_REFUSED, seq, &body, 1) < 0)
		spool->restart = true;
}

bool spool_refused(struct spool *spool, uint16_t mid, unsigned reason)
{
	const struct flight *flight = ledger_flight_by_mid(&spool->ledger, mid);

	if (!flight)
		return false;
	spool_set_aside(spool, flight->seq, reason);
	return true;
}

size_t spool_forget_released(struct spool *spool)
{
	size_t count = 0;

	for (size_t i = 0; i < spool->ledger.flight_count; i++) {
		if (spool->ledger.flights[i].state != FLIGHT_RELEASED)
			continue;
		spool->ledger.flights[i].state = FLIGHT_AGAIN;
		count++;
	}
	return count;
}

const struct flight *spool_flights(const struct spool *spool, size_t *count)
{
	*count = spool->ledger.flight_count;
	return spool->ledger.flights;
}

uint16_t spool_last_mid(const struct spool *spool)
{
	return spool->ledger.last_mid;
}

/* --- commit --- */

static bool sync_is_owed(const struct spool *spool, uint64_t now_us)
{
	if (spool->barrier)
		return true;
	return spool->owed_since_us && now_us >= spool->owed_since_us + spool->sync_us;
}

int spool_commit(struct spool *spool, uint64_t now_us)
{
	int r;

	if (spool->read_only)
		return 0;
	r = record_steps(spool);
	if (r == 0 && spool->unrecorded.count && now_us >= spool->unrecorded_due_us)
		r = record_loss(spool);
	if (r == 0)
		r = journal_write(&spool->journal);
	if (r == 0 && sync_is_owed(spool, now_us)) {
		r = journal_sync(&spool->journal);
		if (r == 0) {
			spool->barrier = false;
			spool->owed_since_us = 0;
		}
	}
	note_disk(spool, r);
	return r;
}

uint64_t spool_sync_due_us(const struct spool *spool)
{
	uint64_t due_us = UINT64_MAX;

	if (spool->failing)
		return clock_monotonic_us() + USEC_PER_SEC;
	if (spool->owed_since_us)
		due_us = spool->owed_since_us + spool->sync_us;
	if (spool->unrecorded.count && spool->unrecorded_due_us < due_us)
		due_us = spool->unrecorded_due_us;
	return due_us;
}

struct spool_sums spool_sums(const struct spool *spool)
{
	return ledger_sums(&spool->ledger);
}

void spool_range(const struct spool *spool, uint64_t *oldest, uint64_t *next)
{
	*oldest = spool->ledger.oldest_seq;
	*next = spool->ledger.next_seq;
}

/* --- reading back --- */

/* Messages that are not in the journal as they should be. */
static void note_damaged(struct spool *spool, uint64_t from, uint64_t to)
{
	struct loss loss = { .from = from, .to = to, .why = LOSS_DAMAGED };
	uint64_t before = spool->ledger.sums.damaged, lost;
	uint8_t bytes[LOSS_ENCODED_SIZE];
	const struct piece body = { bytes, sizeof(bytes) };

	if (ledger_dropped(&spool->ledger, &loss) < 0)
		log_error("spool %s: no memory to note damaged messages", spool->path);
	lost = spool->ledger.sums.damaged - before;
	if (!lost)
		return;
	log_error("spool %s: %llu messages among %llu to %llu are damaged and lost",
		  spool->path, (unsigned long long)lost, (unsigned long long)from,
		  (unsigned long long)to);
	if (spool->read_only)
		return;
	loss_encode(&loss, bytes);
	if (make_room(spool, record_size(sizeof(bytes)), false) < 0 ||
	    journal_add(&spool->journal, RECORD_DROPPED, 0, &body, 1) < 0)
		spool->restart = true;
}

void spool_damaged(struct spool *spool, uint64_t seq)
{
	note_damaged(spool, seq, seq);
}

/* The message with that number, or the end, was come to: none before it is to come. */
static void note_read(struct spool *spool, uint64_t seq)
{
	if (spool->expected_seq < seq)
		note_damaged(spool, spool->expected_seq, seq - 1);
	spool->expected_seq = seq;
}

int spool_next(struct spool *spool, struct message *message, struct place *place)
{
	while (true) {
		struct record record;
		enum loss_why told;
		int r = journal_next(&spool->journal, &record, place);

		if (r < 0)
			return r;
		if (r == 0) {
			note_read(spool, spool->ledger.next_seq);
			return 0;
		}
		if (message_decode(&record, spool->ledger.boot, message, &told) < 0 ||
		    record.seq < spool->expected_seq)
			continue;
		/* What a gap is noted with must not move what was just read. */
		if (record.seq > spool->expected_seq) {
			struct place here = *place;

			note_read(spool, record.seq);
			r = journal_read(&spool->journal, &here, &record);
			if (r <= 0 ||
			    message_decode(&record, spool->ledger.boot, message, &told) < 0)
				return r < 0 ? r : -EIO;
		}
		spool->expected_seq = record.seq + 1;
		if (!ledger_is_finished(&spool->ledger, record.seq) &&
		    !ledger_flight_by_seq(&spool->ledger, record.seq))
			return 1;
	}
}

int spool_read(struct spool *spool, const struct flight *flight, struct message *message)
{
	const struct place place = { flight->segment, flight->offset };
	struct record record;
	enum loss_why told;
	int r = journal_read(&spool->journal, &place, &record);

	if (r < 0)
		return r;
	if (r == 0 || record.seq != flight->seq ||
	    message_decode(&record, spool->ledger.boot, message, &told) < 0)
		return -ENOENT;
	return 0;
}

/* --- opening --- */

/* Reads a segment's records into the ledger; *end is behind the last right one. */
static int replay_segment(struct spool *spool, const struct slot *slot, uint32_t *end)
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
		if (ledger_replay(&spool->ledger, &record) == -ENOMEM)
			return -ENOMEM;
	if (reader.damaged)
		log_error("spool %s: %04u.seg: %u bytes are damaged and were skipped",
			  spool->path, slot->number, reader.damaged);
	*end = reader.end;
	return r;
}

/* Whether the segment begins with a checkpoint; -errno where it can't be read. */
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
	if (r == 0)
		r = segment_read(&reader, &record, &offset);
	if (r < 0)
		return r;
	return r > 0 && offset == SEGMENT_HEADER_SIZE && record.type == RECORD_CHECKPOINT;
}

/* Brings the ledger up to date, from the newest checkpoint that is whole. */
static int replay(struct spool *spool)
{
	const struct slots *slots = &spool->journal.slots;
	uint32_t end = SEGMENT_HEADER_SIZE;
	size_t from = slots->used;

	while (from > 0) {
		int r = has_checkpoint(spool, &slots->slots[--from]);

		if (r < 0)
			return r;
		if (r > 0)
			break;
		log_error("spool %s: %04u.seg: its checkpoint is damaged", spool->path,
			  slots->slots[from].number);
	}
	spool->ledger.next_seq = spool->ledger.oldest_seq = slots->slots[from].first_seq;
	for (size_t i = from; i < slots->used; i++) {
		int r = replay_segment(spool, &slots->slots[i], &end);

		if (r < 0)
			return r;
	}
	return journal_continue_segment(&spool->journal, end);
}

/*
 * A spool of its own: a random identity, and numbers that begin with the clock's, so that a
 * directory that was lost does not give numbers out again.
 */
static int begin_new(struct spool *spool)
{
	if (getrandom(spool->journal.slots.spool, SPOOL_ID_SIZE, 0) < 0)
		return -errno;
	spool->ledger.next_seq = spool->ledger.oldest_seq = clock_wall_ms();
	clock_boot_id(spool->ledger.boot_id);
	return rotate(spool, false);
}

/* The machine was started anew, and numbers may have been used that were not synced. */
static int begin_boot(struct spool *spool)
{
	struct ledger *ledger = &spool->ledger;
	uint8_t body[4 + BOOT_ID_SIZE], loss_bytes[LOSS_ENCODED_SIZE], *boot_id = body + 4;
	const struct piece boot = { body, sizeof(body) };
	const struct piece dropped = { loss_bytes, sizeof(loss_bytes) };
	struct loss loss = {
		.from = ledger->next_seq, .to = ledger->reserved_seq - 1,
		.why = LOSS_POWER_CUT,
	};
	int r;

	clock_boot_id(boot_id);
	if (!memcmp(boot_id, ledger->boot_id, BOOT_ID_SIZE))
		return 0;
	ledger->boot++;
	memcpy(ledger->boot_id, boot_id, BOOT_ID_SIZE);
	put_u32(body, ledger->boot);
	r = make_room(spool, record_size(sizeof(body)) + record_size(sizeof(loss_bytes)),
		      false);
	if (r == 0)
		r = journal_add(&spool->journal, RECORD_BOOT, 0, &boot, 1);
	if (r < 0 || ledger->reserved_seq <= ledger->next_seq)
		return r;
	log_warning("spool %s: power cut: numbers %llu to %llu may have been lost",
		    spool->path, (unsigned long long)loss.from, (unsigned long long)loss.to);
	loss_encode(&loss, loss_bytes);
	r = journal_add(&spool->journal, RECORD_DROPPED, 0, &dropped, 1);
	if (r < 0)
		return r;
	ledger->sums.taken += loss.to + 1 - ledger->next_seq;
	ledger->next_seq = loss.to + 1;
	return ledger_dropped(ledger, &loss);
}

static int open_directory(struct spool *spool)
{
	if (!spool->read_only && mkdir(spool->path, 0750) < 0 && errno != EEXIST)
		return -errno;
	spool->directory = open(spool->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->directory < 0)
		return -errno;
	if (spool->read_only)
		return 0;
	spool->lock = openat(spool->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (spool->lock < 0)
		return -errno;
	if (flock(spool->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

static int open_journal(struct spool *spool)
{
	struct slots *slots = &spool->journal.slots;
	size_t i;
	int r;

	slots->directory = spool->directory;
	r = slots_scan(slots);
	if (r < 0)
		return r;
	if (!slots->used && spool->read_only)
		return -ENOENT;
	r = slots->used ? replay(spool) : begin_new(spool);
	if (r == 0 && !spool->read_only)
		r = begin_boot(spool);
	if (r < 0)
		return r;

	/* Reading begins with the oldest message that is not finished. */
	for (i = slots->used - 1; i > 0; i--)
		if (slots->slots[i].first_seq <= spool->ledger.oldest_seq)
			break;
	spool->expected_seq = spool->ledger.oldest_seq;
	return journal_seek(&spool->journal, &slots->slots[i]);
}

int spool_open(const struct spool_conf *conf, bool read_only, struct spool **result)
{
	_cleanup_(spool_freep) struct spool *spool = calloc(1, sizeof(*spool));
	int r;

	if (!spool)
		return -ENOMEM;
	spool->directory = spool->lock = -1;
	journal_init(&spool->journal);
	spool->read_only = spool->journal.slots.read_only = read_only;
	spool->path = strdup(conf->directory);
	spool->journal.slots.path = spool->path;
	spool->journal.slots.max_bytes = conf->max_bytes;
	spool->sync_us = conf->sync_us;
	spool->when_full = conf->when_full;
	spool->released.bytes = malloc(STEPS_MAX * 8);
	spool->acked.bytes = malloc(STEPS_MAX * 8);
	spool->sent.bytes = malloc(STEPS_MAX * FLIGHT_ENCODED_SIZE);
	for (size_t i = 0; i < LOSS_WHY_COUNT; i++)
		spool->ledger.losses[i].why = i;
	if (!spool->path || !spool->released.bytes || !spool->acked.bytes ||
	    !spool->sent.bytes)
		return -ENOMEM;

	r = open_directory(spool);
	if (r == 0)
		r = open_journal(spool);
	if (r == 0 && !read_only) {
		spool->barrier = true;
		r = spool_commit(spool, clock_monotonic_us());
	}
	if (r < 0)
		return r;
	*result = TAKE_PTR(spool);
	return 0;
}

void spool_free(struct spool *spool)
{
	if (!spool)
		return;
	ledger_done(&spool->ledger);
	journal_done(&spool->journal);
	closep(&spool->lock);
	closep(&spool->directory);
	free(spool->released.bytes);
	free(spool->acked.bytes);
	free(spool->sent.bytes);
	free(spool->path);
	free(spool);
}

int spool_close(struct spool *spool)
{
	int r = 0;

	if (!spool->read_only) {
		/* Nothing was used that is not here: no number has to be skipped. */
		spool->unrecorded_due_us = 0;
		r = add_reserve(spool, spool->ledger.next_seq);
		if (r == 0)
			r = spool_commit(spool, clock_monotonic_us());
	}
	spool_free(spool);
	return r;
}
