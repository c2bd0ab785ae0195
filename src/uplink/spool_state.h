/* SPDX-License-Identifier: Apache-2.0 */
/* spool_state.h - what the files that make up the spool share; nobody else's business. */
#pragma once

#include "uplink/cursor.h"
#include "uplink/refused.h"
#include "uplink/spool.h"

enum {
	/* Steps noted in one record at most. */
	STEPS_MAX = 1024,
	/* Of a step that a message was set aside: its number and the reason. */
	REFUSAL_SIZE = 16,
	/* Sequence numbers that may be used without a sync, with a sync interval. */
	RESERVE = 2048,
};

/* Steps of one kind that stand in the ledger and not yet in a record. */
struct steps {
	uint8_t *bytes;
	size_t count;
};

/* Messages in the order of the journal. */
struct stream {
	struct cursor cursor;
	uint64_t expected_seq; /* of the message read next, where none is missing */
};

struct spool {
	char *path;
	int directory, lock;
	bool read_only;
	bool patient; /* an onlooker: what may only be half written is to be looked at again */
	uint64_t sync_us, max_age_us;
	enum spool_when_full when_full;
	enum spool_order order;
	unsigned drain_rate;
	struct ledger ledger;
	struct journal journal;
	struct refused refused;
	struct steps released, acked, sent, set_aside;

	struct loss unrecorded;     /* part of the loss that no record tells of yet, … */
	uint64_t unrecorded_due_us; /* … and when one is to */
	uint64_t begun_us;          /* when the segment that is written was begun */
	uint64_t recorded_oldest;   /* messages below it are finished by records */
	bool closing;               /* no number will be given out any more */
	bool restart;               /* steps went unrecorded: a checkpoint has to hold them */
	bool failing;               /* the disk does not take what is written */
	bool refused_failing;       /* it does not take what is set aside */

	/* What the next commit has to sync, and when the one after: see commit.c. */
	bool barrier;
	uint64_t gather_until_us;   /* it is held back for what may still come; 0: it is not */
	uint64_t gather_most_us;    /* and no longer than until then, … */
	size_t gathered;            /* … with so many steps so far */
	uint64_t sync_takes_us;     /* on the average of the last ones */
	uint64_t owed_since_us;     /* an unfinished message waits for a sync; 0: none */
	uint64_t later_seq;         /* once all below it are finished, … */
	uint64_t later_us;          /* … it is since this time; 0: not known */
	uint64_t erase_since_us;    /* what the disk still holds as waiting is finished */
	uint64_t found_seq, found_us; /* as in struct spool_state */
	uint64_t synced_seq;        /* messages below it are on the disk */

	/* What goes out next: see drain.c. */
	struct stream backlog, live;
	bool is_live;          /* `live` is apart from `backlog`, and goes first */
	uint64_t live_seq;     /* it began with this message */
	uint64_t backlog_end;  /* messages below it waited when the link came up */
	uint64_t pace_us;      /* when the next of the backlog is due */
	struct cursor lookup;
};

/* No message waits. */
static inline bool spool_is_empty(const struct spool *spool)
{
	return spool->ledger.oldest_seq == spool->ledger.next_seq;
}

/* room.c - has room for a record of that size, in this segment or the next. */
int spool_make_room(struct spool *spool, size_t size, bool for_message) _must_check_;
/* Begins a segment, whose checkpoint holds all steps that had no record yet. */
int spool_rotate(struct spool *spool, bool for_message) _must_check_;
/* With a tail, and nothing waiting: replaces what is in it by a checkpoint. */
int spool_start_over(struct spool *spool) _must_check_;

/* steps.c - puts the steps so far into records. What fails a checkpoint makes good later. */
int spool_record_steps(struct spool *spool) _must_check_;

/*
 * aside.c - what stands in the file `refused` and waits in the journal is only in the journal:
 * the process ended in between.
 */
int spool_settle_refused(struct spool *spool) _must_check_;
/* Has what was set aside be on the disk, before the journal says that it does not wait. */
void spool_sync_refused(struct spool *spool);
/* Messages that were set aside are given up: counted and recorded. */
void spool_leave_out(struct spool *spool, const struct loss *loss);

/* spool.c - adds a record of its own kind. A failure is made good by a checkpoint later. */
void spool_record(struct spool *spool, enum record_type type, uint64_t seq,
		  const void *bytes, size_t length);
/* Takes a message in once more: it keeps the time and the boot that it was read in. */
int spool_append_again(struct spool *spool, struct message *message) _must_check_;
/* Messages that wait are given up: noted, recorded, counted; how many those were. */
uint64_t spool_give_up(struct spool *spool, const struct loss *loss);

/*
 * walk.c - the times of the first and the last of the waiting messages of loss->from to
 * loss->to, which are about to be given up. Where one of them was to tell of a loss, that loss
 * is to be told again: true, and a checkpoint has to hold that.
 */
bool spool_read_loss(struct spool *spool, struct loss *loss);

/* commit.c - notes that so many numbers more may be used before they are synced. */
int spool_reserve(struct spool *spool, uint64_t count) _must_check_;
/* A loss that goes on is recorded from time to time: where that is due. 0 or -errno. */
int spool_record_loss(struct spool *spool, uint64_t now_us) _must_check_;
/* Says once that the disk does not take what is written, or does again. */
void spool_note_disk(struct spool *spool, int error);

/*
 * recovery.c - the ledger as the journal has it, or a new spool. -EAGAIN, for one who is
 * patient: the process that has the spool was writing where it was read.
 */
int spool_recover(struct spool *spool) _must_check_;
