/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.h - the small live state of the spool: numbers, sums, flights; in memory and as a
 * checkpoint. */
#pragma once

#include "bridge/message.h"
#include "uplink/segment.h"

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
	FLIGHT_AGAIN,    /* the broker forgot the session: to be published anew */
};

struct flight {
	uint64_t seq;
	uint64_t segment; /* where the message stands: id of the segment … */
	uint32_t offset;  /* … and place of its record */
	uint16_t mid;     /* MQTT packet identifier */
	uint8_t qos;
	enum flight_state state;
	int64_t time_ms; /* what its payload says, for good */
};

/* taken = acked + refused + dropped + damaged + waiting, at all times. */
struct spool_sums {
	uint64_t taken, acked, refused, dropped, damaged, waiting;
};

enum loss_why {
	LOSS_FULL,      /* the spool was full */
	LOSS_POWER_CUT, /* numbers that may have been used since the last sync */
	LOSS_DAMAGED,   /* the disk does not give it back */
	LOSS_QUEUE,     /* the disk was too slow for the field side: never numbered */
	LOSS_WHY_COUNT,
};

/* Messages that had to be given up and that no `loss` message has told of yet. */
struct loss {
	uint64_t count;
	uint64_t from, to;         /* sequence numbers; 0: they never had any */
	int64_t from_ms, to_ms;    /* times of the first and last; 0: unknown */
	enum loss_why why;
};

/* Numbers that are finished, ends included. */
struct range {
	uint64_t from, to;
};

struct ledger {
	uint64_t next_seq;     /* given out next */
	uint64_t reserved_seq; /* below it, numbers may have been used without a sync */
	uint64_t oldest_seq;   /* the first that is not finished */
	struct spool_sums sums; /* .waiting is kept by ledger_sums() */
	uint16_t last_mid;
	uint32_t boot;
	uint8_t boot_id[16];
	struct loss losses[LOSS_WHY_COUNT];
	struct range *ranges; /* finished, above oldest_seq, in order, apart from each other */
	size_t range_count, range_room;
	struct flight *flights; /* in the order in which they were sent */
	size_t flight_count, flight_room;
};

void ledger_done(struct ledger *ledger);

bool ledger_is_finished(const struct ledger *ledger, uint64_t seq);
/* Marks numbers as finished; how many were not before, or -ENOMEM. */
ssize_t ledger_finish(struct ledger *ledger, uint64_t from, uint64_t to) _must_check_;
struct spool_sums ledger_sums(const struct ledger *ledger);
/* Waiting messages, counted from the ranges: what ledger_sums() has to agree with. */
uint64_t ledger_waiting(const struct ledger *ledger);

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
/* The unfinished among from … to are given up and counted in `loss` (its count is ignored). */
int ledger_dropped(struct ledger *ledger, const struct loss *loss) _must_check_;
/* `loss->count` messages were taken and given up that never had a number. */
void ledger_lost(struct ledger *ledger, const struct loss *loss);

/* Room that the checkpoint takes, and the checkpoint itself. */
size_t ledger_encoded_size(const struct ledger *ledger);
void ledger_encode(const struct ledger *ledger, uint8_t *bytes);
/* Replaces the ledger. 0, -EBADMSG (the ledger is as before) or -ENOMEM. */
int ledger_decode(struct ledger *ledger, const uint8_t *bytes, size_t n) _must_check_;

/* Bodies of the SENT and DROPPED records. */
enum {
	FLIGHT_ENCODED_SIZE = 32,
	LOSS_ENCODED_SIZE = 48,
	MESSAGE_HEAD_SIZE = 28,
};
void flight_encode(const struct flight *flight, uint8_t bytes[FLIGHT_ENCODED_SIZE]);
void loss_encode(const struct loss *loss, uint8_t bytes[LOSS_ENCODED_SIZE]);

/*
 * A message's head, which stands before topic and body in its record. `told` is the loss that
 * the message tells of, or LOSS_WHY_COUNT.
 */
void message_head_encode(const struct message *message, uint32_t boot, enum loss_why told,
			 uint8_t bytes[MESSAGE_HEAD_SIZE]);
/* The message in a record, pointing into it; -EBADMSG where it is none. */
int message_decode(const struct record *record, uint32_t this_boot, struct message *message,
		   enum loss_why *told) _must_check_;

/* Brings the ledger up to a record that was read back. 0, -EBADMSG or -ENOMEM. */
int ledger_replay(struct ledger *ledger, const struct record *record) _must_check_;
