/* SPDX-License-Identifier: Apache-2.0 */
/* aside.c - what becomes of the messages that a spool has set aside. */
#include "base/log.h"
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

#include <errno.h>
#include <string.h>

void spool_sync_refused(struct spool *spool)
{
	int r;

	if (!spool->refused.dirty)
		return;
	r = refused_sync(&spool->refused);
	/* The spool goes on without; it is tried again with the next that is set aside. */
	if (r < 0 && !spool->refused_failing)
		log_error("spool %s: what is set aside is not on the disk: %s", spool->path,
			  strerror(-r));
	spool->refused_failing = r < 0;
}

void spool_leave_out(struct spool *spool, const struct loss *loss)
{
	uint8_t bytes[LOSS_ENCODED_SIZE];

	if (!loss->count)
		return;
	/* Before it what was set aside before, or more would be left out than there was. */
	(void)!spool_record_steps(spool);
	ledger_left_out(&spool->ledger, loss);
	loss_encode(loss, bytes);
	spool_record(spool, RECORD_LEFT_OUT, 0, bytes, sizeof(bytes));
}

static bool waits(const struct spool *spool, uint64_t seq)
{
	return ledger_waiting(&spool->ledger, seq, seq);
}

/* --- being sent again --- */

/*
 * Noted before the first message is taken in anew, and once more, with the offset, behind the
 * last; forgotten when all are marked in the file. Where the process or the power ends in
 * between, as many of the chosen ones are taken out of the file as there are messages from
 * `first` on: nothing else was taken in since.
 */
struct retried {
	uint64_t from, to;    /* the choice */
	uint64_t first;       /* number that the first one gets */
	uint32_t last_offset; /* of those in the file; UINT32_MAX: not known yet */
};

enum { RETRIED_SIZE = 28 };

/* NULL: it is over. Where it can't be noted, some may be sent again and be set aside still. */
static void note_retried(struct spool *spool, const struct retried *retried)
{
	uint8_t bytes[RETRIED_SIZE];

	if (!retried) {
		if (notes_find(spool_notes(spool), RECORD_RETRIED, 0))
			(void)!spool_note(spool, RECORD_RETRIED, 0, NULL, 0, false);
		return;
	}
	put_u64(bytes, retried->from);
	put_u64(bytes + 8, retried->to);
	put_u64(bytes + 16, retried->first);
	put_u32(bytes + 24, retried->last_offset);
	(void)!spool_note(spool, RECORD_RETRIED, 0, bytes, sizeof(bytes), false);
}

static bool was_retrying(const struct spool *spool, struct retried *retried)
{
	const struct note *note = notes_find(spool_notes(spool), RECORD_RETRIED, 0);

	if (!note || note->length != RETRIED_SIZE)
		return false;
	*retried = (struct retried){
		.from = get_u64(note->bytes), .to = get_u64(note->bytes + 8),
		.first = get_u64(note->bytes + 16), .last_offset = get_u32(note->bytes + 24),
	};
	return true;
}

/* --- opening --- */

/* What settles the file: of those that were being sent again, how many there are to find. */
struct settling {
	struct spool *spool;
	struct retried retried;
	uint64_t left;
};

static enum refused_next settle(void *data, const struct refused_entry *entry)
{
	struct settling *settling = data;
	struct spool *spool = settling->spool;
	uint64_t seq = entry->message.seq;

	if (!waits(spool, seq)) {
		if (!settling->left || entry->offset > settling->retried.last_offset ||
		    seq < settling->retried.from || seq > settling->retried.to)
			return REFUSED_NEXT;
		settling->left--;
	}
	if (!spool->read_only)
		return REFUSED_TAKE;
	spool->refused.count--;
	return REFUSED_NEXT;
}

int spool_settle_refused(struct spool *spool)
{
	struct settling settling = { .spool = spool };
	int r = refused_open(&spool->refused, spool->read_only);

	if (r == 0 && spool->patient && spool->refused.damaged)
		return -EAGAIN;
	if (r < 0)
		return r;
	/* Who only looks may look in the middle of it. */
	if (!spool->read_only && was_retrying(spool, &settling.retried))
		settling.left = spool_waiting(spool, settling.retried.first, UINT64_MAX);
	r = refused_walk(&spool->refused, settle, &settling);
	if (r == 0 && !spool->read_only)
		note_retried(spool, NULL);
	return r;
}

/* --- what the user wants --- */

struct choice {
	struct spool *spool;
	uint64_t from, to;
	uint32_t last_offset; /* of those that were sent again */
	int64_t count;        /* or -errno */
	struct loss loss;
};

static bool is_chosen(const struct choice *choice, const struct refused_entry *entry)
{
	return entry->message.seq >= choice->from && entry->message.seq <= choice->to;
}

static enum refused_next take(void *data, const struct refused_entry *entry)
{
	const struct choice *choice = data;

	if (entry->offset > choice->last_offset)
		return REFUSED_STOP;
	return is_chosen(choice, entry) ? REFUSED_TAKE : REFUSED_NEXT;
}

/* Takes the chosen ones out, once the journal has what became of them. */
static int64_t take_out(struct choice *choice)
{
	struct spool *spool = choice->spool;
	int r;

	spool->barrier = true;
	r = spool_commit(spool, clock_monotonic_us());
	if (r == 0)
		r = refused_walk(&spool->refused, take, choice);
	return r < 0 ? r : choice->count;
}

static enum refused_next send_again(void *data, const struct refused_entry *entry)
{
	struct choice *choice = data;
	struct message message = entry->message;
	int r;

	if (!is_chosen(choice, entry))
		return REFUSED_NEXT;
	boots_set_time(&choice->spool->ledger.boots, &message);
	message.wall_ms = message.time_ms;
	message.wall_synced = message.clock == CLOCK_RIGHT;
	r = spool_append_again(choice->spool, &message);
	if (r < 0) {
		choice->count = choice->count ? choice->count : r;
		return REFUSED_STOP;
	}
	choice->count++;
	choice->last_offset = entry->offset;
	return REFUSED_NEXT;
}

int64_t spool_retry(struct spool *spool, uint64_t from, uint64_t to)
{
	struct choice choice = { .spool = spool, .from = from, .to = to };
	struct retried retried = {
		.from = from, .to = to, .first = spool->ledger.next_seq,
		.last_offset = UINT32_MAX,
	};
	int64_t r;

	/* What is set aside from now on is not of these, wherever in the file it comes to stand. */
	if (retried.to >= retried.first)
		retried.to = retried.first - 1;
	/* The file stays as it is meanwhile. */
	r = refused_sync(&spool->refused);
	if (r < 0)
		return r;
	/* Before it that they were set aside, or they would wait as they did, too. */
	(void)!spool_record_steps(spool);
	note_retried(spool, &retried);
	r = refused_walk(&spool->refused, send_again, &choice);
	if (r == 0)
		r = choice.count;
	if (r > 0) {
		log_notice("spool %s: %lld messages that were set aside are sent again",
			   spool->path, (long long)choice.count);
		retried.last_offset = choice.last_offset;
		note_retried(spool, &retried);
		r = take_out(&choice);
	}
	note_retried(spool, NULL);
	return r;
}

static enum refused_next note_in_loss(void *data, const struct refused_entry *entry)
{
	struct choice *choice = data;
	struct message message = entry->message;

	if (!is_chosen(choice, entry))
		return REFUSED_NEXT;
	boots_set_time(&choice->spool->ledger.boots, &message);
	loss_add(&choice->loss, &(struct loss){ .from = message.seq, .to = message.seq,
						.from_ms = message.time_ms,
						.to_ms = message.time_ms, .why = LOSS_USER }, 1);
	choice->count++;
	return REFUSED_NEXT;
}

int64_t spool_drop_refused(struct spool *spool, uint64_t from, uint64_t to)
{
	struct choice choice = {
		.spool = spool, .from = from, .to = to, .last_offset = UINT32_MAX,
	};
	int r = refused_sync(&spool->refused);

	if (r == 0)
		r = refused_walk(&spool->refused, note_in_loss, &choice);
	if (r < 0 || !choice.count)
		return r;
	log_notice("spool %s: %lld messages that were set aside are dropped by hand", spool->path,
		   (long long)choice.count);
	spool_leave_out(spool, &choice.loss);
	return take_out(&choice);
}

/* --- looking --- */

struct looker {
	struct spool *spool;
	struct spool_walk *walk;
};

static enum refused_next look_at(void *data, const struct refused_entry *entry)
{
	const struct looker *looker = data;
	struct spool_entry found = {
		.message = entry->message, .refused = true, .reason = entry->reason,
	};

	if (waits(looker->spool, found.message.seq) || found.message.seq < looker->walk->from)
		return REFUSED_NEXT;
	boots_set_time(&looker->spool->ledger.boots, &found.message);
	return looker->walk->visit(looker->walk->data, &found) ? REFUSED_NEXT : REFUSED_STOP;
}

int spool_walk_refused(struct spool *spool, struct spool_walk *walk)
{
	struct looker looker = { .spool = spool, .walk = walk };

	return refused_walk(&spool->refused, look_at, &looker);
}
