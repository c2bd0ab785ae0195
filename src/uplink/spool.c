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
 * follows it (recovery.c). A segment whose messages are all finished is free (room.c). What
 * happens is noted in the ledger at once, in records with the next commit (steps.c,
 * commit.c); what waits is read back in order (drain.c). What the broker will never take goes to
 * a file of its own (refused.c, aside.c).
 */
#include "base/log.h"
#include "base/units.h"
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* How often a loss that goes on is recorded: a full disk is not to be filled with that. */
enum { RECORD_LOSS_US = 10 * 1000 * 1000 };

/* --- records --- */

void spool_record(struct spool *spool, enum record_type type, uint64_t seq,
		  const void *bytes, size_t length)
{
	const struct piece body = { bytes, length };

	if (spool->read_only)
		return;
	if (spool_make_room(spool, record_size(length), false) < 0 ||
	    journal_add(&spool->journal, type, seq, &body, 1) < 0)
		spool->restart = true;
}

uint64_t spool_give_up(struct spool *spool, const struct loss *loss)
{
	uint64_t before = spool->ledger.given_up[loss->why], count;
	uint8_t bytes[LOSS_ENCODED_SIZE];

	if (ledger_dropped(&spool->ledger, loss) < 0)
		log_error("spool %s: no memory to note what is given up", spool->path);
	count = spool->ledger.given_up[loss->why] - before;
	if (!count)
		return 0;
	/* Before it what was acknowledged before, or that would be read back as given up. */
	(void)!spool_record_steps(spool);
	loss_encode(loss, bytes);
	spool_record(spool, RECORD_DROPPED, 0, bytes, sizeof(bytes));
	return count;
}

/* --- taking in --- */

static int append(struct spool *spool, struct message *message, const struct loss *told)
{
	uint8_t head[MESSAGE_HEAD_SIZE], loss[LOSS_ENCODED_SIZE];
	const struct piece pieces[] = {
		{ head, sizeof(head) },
		{ message->topic, message->topic_length },
		{ message->body, message->body_length },
		{ loss, told ? sizeof(loss) : 0 },
	};
	size_t size = record_size(sizeof(head) + message->topic_length +
				  message->body_length + pieces[3].length);
	struct ledger *ledger = &spool->ledger;
	int r = 0;

	if (message->topic_length == 0 || message->topic_length > TOPIC_MAX ||
	    message->body_length > BODY_MAX)
		return -EMSGSIZE;
	if (spool->sync_us && ledger->next_seq >= ledger->reserved_seq)
		r = spool_reserve(spool, RESERVE);
	if (r == 0)
		r = spool_make_room(spool, size, true);
	if (r < 0)
		return r;
	message->seq = ledger->next_seq;
	if (!message->retried)
		message->boot = boots_current(&ledger->boots)->number;
	message_head_encode(message, told, head);
	if (told)
		loss_encode(told, loss);
	r = journal_add(&spool->journal, RECORD_MESSAGE, message->seq, pieces,
			ARRAY_SIZE(pieces));
	if (r < 0)
		return r;
	ledger->next_seq++;
	ledger->taken++;
	boots_note_time(&ledger->boots, message->boot, message->boottime_us);
	if (!spool->owed_since_us)
		spool->owed_since_us = clock_monotonic_us();
	return 0;
}

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

/* What has no number yet, and gets none. */
static void note_lost(struct spool *spool, struct message *message)
{
	const struct boot *boot = boots_current(&spool->ledger.boots);
	struct loss loss = { .count = 1, .why = LOSS_FULL };

	message->boot = boot->number;
	boots_set_time(&spool->ledger.boots, message);
	loss.from_ms = loss.to_ms = message->time_ms;
	if (!spool->ledger.losses[LOSS_FULL].count)
		log_warning("spool %s: full: dropping new messages", spool->path);
	spool_note_loss(spool, &loss);
}

int spool_append(struct spool *spool, struct message *message)
{
	int r;

	if (message->wall_synced && !boots_current(&spool->ledger.boots)->synced)
		(void)spool_note_clock(spool);
	r = append(spool, message, NULL);
	if (r == 0)
		return 0;
	if (r != -ENOSPC && r != -EMSGSIZE)
		spool_note_disk(spool, r);
	note_lost(spool, message);
	return -ENOSPC;
}

int spool_append_again(struct spool *spool, struct message *message)
{
	message->retried = true;
	return append(spool, message, NULL);
}

const struct loss *spool_loss(const struct spool *spool)
{
	for (size_t i = 0; i < LOSS_WHY_COUNT; i++)
		if (spool->ledger.losses[i].count)
			return &spool->ledger.losses[i];
	return NULL;
}

uint64_t spool_untold(const struct spool *spool)
{
	uint64_t count = 0;

	for (size_t i = 0; i < LOSS_WHY_COUNT; i++)
		count += spool->ledger.losses[i].count;
	return count;
}

int spool_append_loss(struct spool *spool, struct message *message)
{
	const struct loss *loss = spool_loss(spool);
	enum loss_why why = loss->why;
	int r = spool_record_loss(spool, UINT64_MAX);

	/* Recorded behind the message that tells of it, it would be told again. */
	if (r == 0)
		r = append(spool, message, loss);
	if (r == 0)
		spool->ledger.losses[why] = (struct loss){ .why = why };
	return r;
}

int spool_note(struct spool *spool, enum record_type type, uint64_t key, const void *bytes,
	       size_t length, bool sync)
{
	struct notes *notes = &spool->ledger.notes;
	int r;

	if (length && notes->size + note_size(length) > NOTES_MAX_SIZE)
		return -ENOSPC;
	r = notes_set(notes, type, key, bytes, length);
	if (r < 0)
		return r;
	spool_record(spool, type, key, length ? bytes : "", length);
	if (sync)
		spool->barrier = true;
	return 0;
}

const struct notes *spool_notes(const struct spool *spool)
{
	return &spool->ledger.notes;
}

bool spool_note_clock(struct spool *spool)
{
	struct boot *boot = boots_current(&spool->ledger.boots);
	uint8_t bytes[16] = { 0 };
	int64_t offset_ms;

	boots_look(&spool->ledger.boots);
	if (!boot || boot->synced || !clock_is_synced())
		return boot && boot->synced;
	offset_ms = spool->ledger.boots.believed_ms;
	boots_note_offset(&spool->ledger.boots, boot->number, offset_ms);
	put_u32(bytes, boot->number);
	put_u64(bytes + 8, offset_ms);
	spool_record(spool, RECORD_CLOCK, 0, bytes, sizeof(bytes));
	/* After a power cut too this boot's messages are to have their right time. */
	spool->barrier = true;
	return true;
}

uint64_t spool_drop(struct spool *spool, uint64_t from, uint64_t to)
{
	struct loss loss = { .from = from, .to = to, .why = LOSS_USER };
	uint64_t count;

	if (loss.from < spool->ledger.oldest_seq)
		loss.from = spool->ledger.oldest_seq;
	if (loss.to >= spool->ledger.next_seq)
		loss.to = spool->ledger.next_seq - 1;
	if (!spool_waiting(spool, loss.from, loss.to))
		return 0;
	if (spool_read_loss(spool, &loss))
		spool->restart = true;
	count = spool_give_up(spool, &loss);
	if (count)
		log_notice("spool %s: %llu messages of %llu to %llu dropped by hand",
			   spool->path, (unsigned long long)count,
			   (unsigned long long)loss.from, (unsigned long long)loss.to);
	spool->barrier = true;
	return count;
}

/* --- looking at it --- */

struct spool_sums spool_sums(const struct spool *spool)
{
	return ledger_sums(&spool->ledger);
}

uint64_t spool_waiting(const struct spool *spool, uint64_t from, uint64_t to)
{
	return ledger_waiting(&spool->ledger, from, to);
}

void spool_range(const struct spool *spool, uint64_t *oldest, uint64_t *next)
{
	*oldest = spool->ledger.oldest_seq;
	*next = spool->ledger.next_seq;
}

/* Asked without taking the lock, which would keep a process out that is just starting. */
static bool is_locked(const struct spool *spool)
{
	_cleanup_close_ int lock = openat(spool->directory, "lock", O_RDONLY | O_CLOEXEC);
	struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	return lock >= 0 && fcntl(lock, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

struct spool_state spool_state(const struct spool *spool)
{
	const struct slots *slots = &spool->journal.slots;
	const struct boot *boot = boots_current(&spool->ledger.boots);
	struct spool_state state = {
		.segment_bytes = slots->count ? slots->slots[0].size : 0,
		.damaged_files = slots->damaged,
		.kept = spool->refused.count,
		.kept_damaged = spool->refused.damaged,
		.found_seq = spool->found_seq,
		.found_us = spool->found_us,
		.boot = boot ? boot->number : 0,
		.clock_is_right = boot && boot->synced,
		.failing = spool->failing,
		.is_taken = spool->read_only && is_locked(spool),
		.in_memory = tail_is_linked(spool->directory),
	};

	memcpy(state.id, slots->spool, sizeof(state.id));
	for (size_t i = 0; i < spool->ledger.flight_count; i++)
		state.in_flight += ledger_flights(&spool->ledger)[i].state != FLIGHT_GIVEN_UP;
	for (size_t i = 0; i < slots->count; i++) {
		state.disk_bytes += slots->slots[i].size;
		/* To an onlooker all are in use that ever were. */
		if (i >= slots->used || slot_is_finished(slots, i, spool->ledger.oldest_seq))
			continue;
		state.segments++;
		state.used_bytes += slots->slots[i].size;
	}
	return state;
}

/* --- opening and closing --- */

static int open_directory(struct spool *spool)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (!spool->read_only && mkdir(spool->path, 0750) < 0 && errno != EEXIST)
		return -errno;
	spool->directory = open(spool->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->directory < 0)
		return -errno;
	spool->lock = openat(spool->directory, "lock",
			     (spool->read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0640);
	if (spool->read_only)
		return 0;
	if (spool->lock < 0)
		return -errno;
	if (fcntl(spool->lock, F_OFD_SETLK, &whole) < 0)
		return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	return 0;
}

static uint32_t refused_limit(uint64_t max_bytes)
{
	uint64_t limit = max_bytes / REFUSED_SHARE;

	if (limit < REFUSED_LIMIT_LEAST)
		return REFUSED_LIMIT_LEAST;
	return limit < REFUSED_LIMIT ? limit : REFUSED_LIMIT;
}

void spool_configure(struct spool *spool, const struct spool_conf *conf)
{
	spool->max_age_us = conf->max_age_us;
	spool->when_full = conf->when_full;
	spool->order = conf->order;
	spool->drain_rate = conf->drain_rate;
	spool->journal.slots.max_bytes = conf->max_bytes;
	spool->refused.limit = refused_limit(conf->max_bytes);
}

static struct spool *new_spool(const struct spool_conf *conf, bool read_only)
{
	_cleanup_(spool_freep) struct spool *spool = calloc(1, sizeof(*spool));

	if (!spool)
		return NULL;
	spool->directory = spool->lock = -1;
	spool->read_only = read_only;
	spool->sync_us = conf->sync_us;
	ledger_init(&spool->ledger);
	refused_init(&spool->refused);
	journal_init(&spool->journal);
	cursor_init(&spool->backlog.cursor);
	cursor_init(&spool->live.cursor);
	cursor_init(&spool->lookup);
	spool->path = strdup(conf->directory);
	spool->journal.slots.read_only = read_only;
	spool->journal.slots.path = spool->path;
	spool->refused.path = spool->path;
	spool->refused.spool = spool->journal.slots.spool;
	spool_configure(spool, conf);
	spool->released.bytes = malloc(STEPS_MAX * 8);
	spool->acked.bytes = malloc(STEPS_MAX * 8);
	spool->sent.bytes = malloc(STEPS_MAX * FLIGHT_ENCODED_SIZE);
	spool->set_aside.bytes = malloc(STEPS_MAX * REFUSAL_SIZE);
	if (!spool->path || !spool->released.bytes || !spool->acked.bytes ||
	    !spool->sent.bytes || !spool->set_aside.bytes)
		return NULL;
	return TAKE_PTR(spool);
}

int spool_open(const struct spool_conf *conf, bool read_only, struct spool **result)
{
	/* Whoever only looks may look while a segment is begun: then once more. */
	for (unsigned tries = read_only ? 20 : 1; tries > 0; tries--) {
		_cleanup_(spool_freep) struct spool *spool = new_spool(conf, read_only);
		int r;

		if (!spool)
			return -ENOMEM;
		r = open_directory(spool);
		spool->patient = r == 0 && tries > 1 && is_locked(spool);
		if (r == 0)
			r = spool_recover(spool);
		if (r == -EAGAIN && read_only)
			continue;
		boots_look(&spool->ledger.boots);
		if (r == 0 && !read_only) {
			spool->barrier = true;
			r = spool_commit(spool, clock_monotonic_us());
		}
		if (r < 0)
			return r;
		*result = TAKE_PTR(spool);
		return 0;
	}
	return -EAGAIN;
}

static void free_spool(struct spool *spool, bool remove_tail)
{
	ledger_done(&spool->ledger);
	cursor_done(&spool->backlog.cursor);
	cursor_done(&spool->live.cursor);
	cursor_done(&spool->lookup);
	spool->journal.slots.directory = spool->directory;
	journal_done(&spool->journal, remove_tail);
	closep(&spool->lock);
	closep(&spool->directory);
	free(spool->released.bytes);
	free(spool->acked.bytes);
	free(spool->sent.bytes);
	free(spool->set_aside.bytes);
	refused_done(&spool->refused);
	free(spool->path);
	free(spool);
}

void spool_free(struct spool *spool)
{
	if (spool)
		free_spool(spool, false);
}

int spool_close(struct spool *spool)
{
	int r = 0;

	if (!spool->read_only) {
		/* Nothing was used that is not here: no number has to be skipped. */
		spool->closing = true;
		spool->unrecorded_due_us = 0;
		r = spool_reserve(spool, 0);
		if (r == 0)
			r = spool_commit(spool, clock_monotonic_us());
	}
	free_spool(spool, r == 0);
	return r;
}
