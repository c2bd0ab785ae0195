/* SPDX-License-Identifier: Apache-2.0 */
/* spool.h - the journal on disk that holds each message until the broker acknowledged it. */
#pragma once

#include "config/conf.h"
#include "uplink/journal.h"

struct spool;

/*
 * Opens the spool in `conf->directory`, which is made where it does not exist. -EBUSY:
 * another process has it. -EPROTONOSUPPORT: written by another version, left untouched. Other
 * -errno from the file system. What was damaged is skipped, counted and logged, not an error.
 * With `read_only` nothing is locked or written, and -ENOENT tells that there is no spool;
 * a process that has it may go on with it meanwhile.
 */
int spool_open(const struct spool_conf *conf, bool read_only,
	       struct spool **spool) _must_check_;

/* Commits, syncs and closes; 0 or -errno, and it is closed in either case. */
int spool_close(struct spool *spool);

/* Closes without a commit, as a crash would. */
void spool_free(struct spool *spool);
DEFINE_CLEANUP(struct spool *, spool_free)

/*
 * Goes on with other settings; the directory and `sync` stay as they were. A spool that is to be
 * smaller becomes so as it is drained; another order holds from the next link on.
 */
void spool_configure(struct spool *spool, const struct spool_conf *conf);

/* --- taking in --- */

/*
 * Takes a message in: numbers it (message->seq) and copies it. It outlives the process with
 * the next spool_commit(). -ENOSPC: the spool is full and keeps what it has (it is counted
 * and becomes part of the loss), or there is no disk to write to.
 */
int spool_append(struct spool *spool, struct message *message) _must_check_;

/* Appends the message that tells of the loss; when it is taken, the loss counts as told. */
int spool_append_loss(struct spool *spool, struct message *message) _must_check_;
/* What is to be told; NULL when nothing is. */
const struct loss *spool_loss(const struct spool *spool);
/* How many messages in all were given up and no message has told of. */
uint64_t spool_untold(const struct spool *spool);
/* Adds to the loss what was lost before it had a number: count, times and why are used. */
void spool_note_loss(struct spool *spool, const struct loss *loss);

/*
 * Looks whether the wall clock has become right, and notes what that says about the times of
 * this boot. True once it is: messages that go out from then on say the right time.
 */
bool spool_note_clock(struct spool *spool);

/* Gives up what has waited longer than it was to, as far as whole segments of it. */
void spool_expire(struct spool *spool);
/*
 * Gives up the waiting messages among these numbers, by hand; how many those were. One that is
 * in flight may be delivered all the same, and with QoS 2 its flight goes on as FLIGHT_GIVEN_UP.
 */
uint64_t spool_drop(struct spool *spool, uint64_t from, uint64_t to);

/* --- what goes out next --- */

/*
 * A link is up. What waits now is the backlog: with `drain_rate` it is sent at that pace, and
 * with order "live-first" what is taken in from now on is sent before it.
 */
void spool_link_up(struct spool *spool);

/*
 * The message that goes out next, of those that wait and are not in flight, and where it
 * stands. 1; 0 when there is none, or none yet; -errno. Valid until the next call on the
 * spool; asked for again, the next one comes, so it must be given to spool_sent() or
 * spool_finished(). Messages that are too old are given up on the way.
 */
int spool_next(struct spool *spool, struct message *message, struct place *place) _must_check_;
/*
 * Whether messages may be noted as sent before their turn has come: the next commit syncs in
 * any case, and nothing that is taken in later is to go before them.
 */
bool spool_allows_ahead(const struct spool *spool);
/* When spool_next() has one again (CLOCK_MONOTONIC) where it holds the pace; UINT64_MAX. */
uint64_t spool_pace_due_us(const struct spool *spool);

/* The message of a flight, as spool_next() gave it. 0, or -ENOENT where it is damaged. */
int spool_read(struct spool *spool, const struct flight *flight,
	       struct message *message) _must_check_;

/*
 * The flights, in the order in which they were sent. The array is the spool's; it changes
 * with each of the calls below.
 */
const struct flight *spool_flights(const struct spool *spool, size_t *count);
/* The identifier that was last given to a QoS 1 or 2 publish; 0: none ever. */
uint16_t spool_last_mid(const struct spool *spool);

/*
 * The handshake's steps. A flight that is unknown by mid is ignored: false. spool_sent()
 * makes a flight, or moves the one with that seq to the end under its new identifier. Its
 * failure means that the step could not be noted: the packet must not leave.
 * spool_commit() makes QoS 2 steps durable, and only then may the packets leave.
 */
int spool_sent(struct spool *spool, const struct flight *flight) _must_check_;
bool spool_released(struct spool *spool, uint16_t mid);
bool spool_acked(struct spool *spool, uint16_t mid);
/*
 * The broker will never take it, for this reason of MQTT's: it is set aside. A flight that is
 * given up is over then, and false.
 */
bool spool_refused(struct spool *spool, uint16_t mid, unsigned reason);
/* The broker does not take it now: it is to be published anew. */
bool spool_again(struct spool *spool, uint16_t mid);
/* A clean session begins: flights are published anew, and those that are given up are over. */
void spool_forget_flights(struct spool *spool);
/*
 * The broker says that it has forgotten the session: what is released is to be published
 * again. It keeps its identifier, in case that the broker has not forgotten that one. How many
 * those were; -errno: it could not be noted.
 */
ssize_t spool_unrelease(struct spool *spool) _must_check_;
/* What is sent with QoS 2 is to be sent again with QoS 1. 0 or -errno: it could not be noted. */
int spool_lower(struct spool *spool) _must_check_;
/*
 * A message that the broker will never take, as spool_next() or spool_read() gave it: it is
 * finished and kept aside. Where the disk has no room for it, it is given up.
 */
void spool_set_aside(struct spool *spool, const struct message *message, unsigned reason);
/* A message that needs no acknowledgement (QoS 0), or whose record is damaged. */
void spool_finished(struct spool *spool, uint64_t seq);
void spool_damaged(struct spool *spool, uint64_t seq);

/* --- notes --- */

/*
 * Sets a note (notes.h), or forgets one where `length` is 0. It outlives the process with the
 * next spool_commit(), and the power's end too where `sync` is set. -ENOSPC: so much is not
 * kept; -EMSGSIZE; -ENOMEM.
 */
int spool_note(struct spool *spool, enum record_type type, uint64_t key, const void *bytes,
	       size_t length, bool sync) _must_check_;
/* All there are; valid until the next call on the spool. */
const struct notes *spool_notes(const struct spool *spool);

/* --- what was set aside --- */

/*
 * Has those of these numbers that are set aside sent again: each is taken in anew, with
 * another number and the time that it had. Or gives them up, by hand. How many those were;
 * -errno: they are set aside still. spool_retry() ends where the spool is full.
 */
int64_t spool_retry(struct spool *spool, uint64_t from, uint64_t to) _must_check_;
int64_t spool_drop_refused(struct spool *spool, uint64_t from, uint64_t to) _must_check_;

/* --- commit --- */

/*
 * Whether it is better to wait a little with spool_commit(), and with the packets behind it:
 * of what the broker is to answer to, answers are on their way whose steps the same sync can
 * make durable. spool_sync_due_us() tells until when.
 */
bool spool_gathers(struct spool *spool, size_t unanswered, uint64_t now_us);

/*
 * What has been noted outlives the process from now on; it is written to the disk and synced
 * when the sync setting or a QoS 2 step asks for it. A failure is logged once and what was
 * noted is kept in memory and tried again with the next call; -errno tells of it.
 */
int spool_commit(struct spool *spool, uint64_t now_us) _must_check_;
/* When spool_commit() has to be called at the latest (CLOCK_MONOTONIC), or UINT64_MAX. */
uint64_t spool_sync_due_us(const struct spool *spool);

/* --- looking at it --- */

struct spool_sums spool_sums(const struct spool *spool);
/* The messages that wait among these numbers: what spool_drop() would give up. */
uint64_t spool_waiting(const struct spool *spool, uint64_t from, uint64_t to);
/* The numbers in use: the first that may still wait, and the one given out next. */
void spool_range(const struct spool *spool, uint64_t *oldest, uint64_t *next);

/* What there is to know of a spool besides its sums. */
struct spool_state {
	uint8_t id[SPOOL_ID_SIZE];
	uint64_t disk_bytes, used_bytes; /* of all segment files; of those in use */
	size_t segments;                 /* in use */
	uint32_t segment_bytes;          /* size of one; 0: there is none */
	size_t damaged_files;            /* segment files whose header is damaged */
	size_t in_flight;                /* of the messages that wait */
	uint64_t kept;         /* messages that are set aside */
	uint32_t kept_damaged; /* bytes of their file that are damaged */
	uint64_t found_seq; /* the number given out next, as the journal had it when opened, … */
	uint64_t found_us;  /* … and the latest CLOCK_BOOTTIME that it knew of this boot */
	uint32_t boot;       /* boots of the machine that it has seen */
	bool clock_is_right; /* or was, in this boot */
	bool failing;        /* the disk does not take what is written */
	bool is_taken;       /* another process has it */
	bool in_memory;      /* what no sync is owed for stands in memory (tail.h) */
};
struct spool_state spool_state(const struct spool *spool);

/* A message that is met on a walk; valid during the call. */
struct spool_entry {
	struct message message;      /* with its time set */
	bool waits;                  /* otherwise it is finished, and only stands there still */
	const struct flight *flight; /* NULL: it is not in flight */
	const uint8_t *told;         /* the loss that it tells of, encoded, or NULL */
	bool refused;                /* set aside, … */
	unsigned reason;             /* … as MQTT's reason code says */
};

/*
 * Walks through the messages from number `from` on (0: all that the segments still have), in
 * order. `visit` is called for each; it returns false to stop. Damage that is met is counted
 * and told, in bytes of the file NNNN.seg, and not noted anywhere. What a process that has the
 * spool finished meanwhile may be missing. 0 or -errno.
 */
struct spool_walk {
	uint64_t from;
	bool (*visit)(void *data, const struct spool_entry *entry);
	/* May be NULL. */
	void (*damage)(void *data, unsigned file, uint32_t begin, uint32_t end);
	/* Of `total` bytes so far; may be NULL. */
	void (*progress)(void *data, uint64_t done, uint64_t total);
	void *data;
	uint64_t segments, records, damaged; /* set by the walk */
};
int spool_walk(struct spool *spool, struct spool_walk *walk) _must_check_;
/* The same through those that are set aside; only `from`, `visit` and `data` are used. */
int spool_walk_refused(struct spool *spool, struct spool_walk *walk) _must_check_;
