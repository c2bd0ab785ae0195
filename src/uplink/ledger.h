/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - the small live state of the spool: numbers, sums, flights. */
#pragma once

#include "uplink/boots.h"
#include "uplink/notes.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A flight is a message that was handed to the link under a packet identifier and is not
 * acknowledged for good. What is known of it is journalled before the packet that it stands
 * for leaves, so that a crash never leaves more doubt than these states name.
 */
enum flight_state {
	FLIGHT_SENT,     /* PUBLISH may have left; nothing came back */
	FLIGHT_RELEASED, /* QoS 2: PUBREC came; PUBREL may have left */
	FLIGHT_AGAIN,    /* the broker holds nothing of it: to be published anew */
	FLIGHT_GIVEN_UP, /* QoS 2: its message is given up, and the broker may hold its mid */
};

struct flight {
	uint64_t seq;
	uint64_t segment; /* where the message stands: id of the segment … */
	uint32_t offset;  /* … and place of its record */
	uint16_t mid;     /* MQTT packet identifier */
	uint8_t qos;
	enum flight_state state;
	int64_t time_ms; /* what its payload says, for good, … */
	enum clock_mark clock; /* … as this */
};

enum loss_why {
	LOSS_FULL,      /* the spool was full */
	LOSS_POWER_CUT, /* numbers that may have been used since the last sync */
	LOSS_DAMAGED,   /* the disk does not give it back */
	LOSS_QUEUE,     /* the disk was too slow for the field side: never numbered */
	LOSS_AGE,       /* waited longer than it was to */
	LOSS_USER,      /* given up by hand */
	LOSS_REFUSED,   /* set aside, and there is no room to keep it */
	LOSS_WHY_COUNT,
};

/* The reason in words, as a `loss` message has it. */
const char *loss_why_words(enum loss_why why);

/* taken = acked + refused + dropped + damaged + waiting, at all times. */
struct spool_sums {
	uint64_t taken, acked, refused, dropped, damaged, waiting;
	uint64_t given_up[LOSS_WHY_COUNT]; /* what dropped and damaged are made of */
};

/* Messages that had to be given up and that no `loss` message has told of yet. */
struct loss {
	uint64_t count;
	uint64_t from, to;         /* sequence numbers; 0: they never had any */
	int64_t from_ms, to_ms;    /* times of the first and last; 0: unknown */
	enum loss_why why;
};

/* Adds `count` messages, which lie where `loss` says, to what is to be told of. */
void loss_add(struct loss *sum, const struct loss *loss, uint64_t count);

/* Numbers that are finished, ends included. */
struct range {
	uint64_t from, to;
};

struct ledger {
	uint64_t next_seq;     /* given out next */
	uint64_t reserved_seq; /* below it, numbers may have been used without a sync */
	uint64_t oldest_seq;   /* the first that is not finished */
	uint64_t taken, acked, refused;
	uint64_t given_up[LOSS_WHY_COUNT];
	uint16_t last_mid;
	struct boots boots;
	struct notes notes;
	struct loss losses[LOSS_WHY_COUNT];
	struct range *ranges; /* finished, above oldest_seq, in order, apart from each other */
	size_t range_count, range_room;
	struct flight *flights; /* in the order in which they were sent, from flight_first on */
	size_t flight_first, flight_count, flight_room;
	uint64_t newest_flight; /* no message above it is in flight */
};

void ledger_init(struct ledger *ledger);
void ledger_done(struct ledger *ledger);

/*
 * Whether a number can be one of this spool's. More than 2^32 behind the last that is known of,
 * it is none, whatever its checksum says: memory has flipped bits too.
 */
bool ledger_is_plausible(const struct ledger *ledger, uint64_t seq);
bool ledger_is_finished(const struct ledger *ledger, uint64_t seq);
/* Marks numbers as finished, whatever flies; how many were not before, or -ENOMEM. */
ssize_t ledger_finish(struct ledger *ledger, uint64_t from, uint64_t to) _must_check_;
struct spool_sums ledger_sums(const struct ledger *ledger);
/* Waiting messages among these numbers; of all of them ledger_sums() has to say the same. */
uint64_t ledger_waiting(const struct ledger *ledger, uint64_t from, uint64_t to);

/* The flights, in the order in which they were sent. */
struct flight *ledger_flights(const struct ledger *ledger);
/* NULL where there is none. */
struct flight *ledger_flight_by_mid(const struct ledger *ledger, uint16_t mid);
struct flight *ledger_flight_by_seq(const struct ledger *ledger, uint64_t seq);
/* Adds a flight at the end; one of the same seq is taken away first. 0 or -ENOMEM. */
int ledger_add_flight(struct ledger *ledger, const struct flight *flight) _must_check_;

/*
 * The steps, as they are noted in records and replayed from them. Each returns 0 or -ENOMEM
 * and is without effect for a message that is finished already.
 */
int ledger_acked(struct ledger *ledger, uint64_t seq) _must_check_;
int ledger_refused(struct ledger *ledger, uint64_t seq) _must_check_;
/*
 * The unfinished among from … to are given up and counted in `loss` (its count is ignored).
 * Flights of QoS 2 stay until the handshake is over: a new message under an identifier that the
 * broker still holds would be taken for a repeat, and thrown away.
 */
int ledger_dropped(struct ledger *ledger, const struct loss *loss) _must_check_;
/* `loss->count` messages were taken and given up that never had a number. */
void ledger_lost(struct ledger *ledger, const struct loss *loss);
/* `loss->count` messages that were refused, and were kept, are not kept any more. */
void ledger_left_out(struct ledger *ledger, const struct loss *loss);
/* A loss that a message was to tell of, and that message is given up: it is to be told again. */
void ledger_untold(struct ledger *ledger, const struct loss *loss);
