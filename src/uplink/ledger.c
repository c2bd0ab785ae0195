/* SPDX-License-Identifier: Apache-2.0 */
/* ledger.c - the small live state of the spool: numbers, sums, flights; in memory and as a
 * checkpoint. */
#include "uplink/ledger.h"

#include <errno.h>
#include <string.h>

void ledger_done(struct ledger *ledger)
{
	free(ledger->ranges);
	free(ledger->flights);
	*ledger = (struct ledger){ 0 };
}

/* Has room for one more element. */
static int grow(void **array, size_t *room, size_t count, size_t size)
{
	size_t more = *room ? *room * 2 : 16;
	void *larger;

	if (count < *room)
		return 0;
	larger = reallocarray(*array, more, size);
	if (!larger)
		return -ENOMEM;
	*array = larger;
	*room = more;
	return 0;
}

bool ledger_is_finished(const struct ledger *ledger, uint64_t seq)
{
	if (seq < ledger->oldest_seq)
		return true;
	for (size_t i = 0; i < ledger->range_count && ledger->ranges[i].from <= seq; i++)
		if (seq <= ledger->ranges[i].to)
			return true;
	return false;
}

static void remove_ranges(struct ledger *ledger, size_t at, size_t count)
{
	ledger->range_count -= count;
	memmove(ledger->ranges + at, ledger->ranges + at + count,
		(ledger->range_count - at) * sizeof(*ledger->ranges));
}

/* A flight whose message is finished is over. */
static void remove_finished_flights(struct ledger *ledger, uint64_t from, uint64_t to)
{
	size_t kept = 0;

	for (size_t i = 0; i < ledger->flight_count; i++)
		if (ledger->flights[i].seq < from || ledger->flights[i].seq > to)
			ledger->flights[kept++] = ledger->flights[i];
	ledger->flight_count = kept;
}

/* The usual case: acknowledgements come in order, and the first flight is over. */
static bool finish_oldest(struct ledger *ledger, uint64_t from, uint64_t to)
{
	if (from != to || from != ledger->oldest_seq || ledger->range_count)
		return false;
	ledger->oldest_seq++;
	return true;
}

ssize_t ledger_finish(struct ledger *ledger, uint64_t from, uint64_t to)
{
	uint64_t fresh;
	size_t i, n;
	int r;

	if (from < ledger->oldest_seq)
		from = ledger->oldest_seq;
	if (from > to)
		return 0;
	remove_finished_flights(ledger, from, to);
	if (finish_oldest(ledger, from, to))
		return 1;

	/* The ranges i to i + n - 1 touch the new one, and become one with it. */
	fresh = to - from + 1;
	for (i = 0; i < ledger->range_count && ledger->ranges[i].to + 1 < from; i++)
		;
	for (n = 0; i + n < ledger->range_count && ledger->ranges[i + n].from <= to + 1; n++) {
		const struct range *old = &ledger->ranges[i + n];
		uint64_t low = old->from > from ? old->from : from;
		uint64_t high = old->to < to ? old->to : to;

		if (low <= high)
			fresh -= high - low + 1;
	}
	if (n == 0) {
		r = grow((void **)&ledger->ranges, &ledger->range_room, ledger->range_count,
			 sizeof(*ledger->ranges));
		if (r < 0)
			return r;
		memmove(ledger->ranges + i + 1, ledger->ranges + i,
			(ledger->range_count - i) * sizeof(*ledger->ranges));
		ledger->range_count++;
		ledger->ranges[i] = (struct range){ from, to };
	} else {
		uint64_t last = ledger->ranges[i + n - 1].to;

		if (from < ledger->ranges[i].from)
			ledger->ranges[i].from = from;
		ledger->ranges[i].to = last > to ? last : to;
		remove_ranges(ledger, i + 1, n - 1);
	}
	if (ledger->ranges[0].from <= ledger->oldest_seq) {
		ledger->oldest_seq = ledger->ranges[0].to + 1;
		remove_ranges(ledger, 0, 1);
	}
	return fresh;
}

uint64_t ledger_waiting(const struct ledger *ledger)
{
	uint64_t waiting = ledger->next_seq - ledger->oldest_seq;

	for (size_t i = 0; i < ledger->range_count; i++)
		waiting -= ledger->ranges[i].to - ledger->ranges[i].from + 1;
	return waiting;
}

struct spool_sums ledger_sums(const struct ledger *ledger)
{
	struct spool_sums sums = ledger->sums;

	sums.waiting = sums.taken - sums.acked - sums.refused - sums.dropped - sums.damaged;
	return sums;
}

struct flight *ledger_flight_by_mid(const struct ledger *ledger, uint16_t mid)
{
	for (size_t i = 0; i < ledger->flight_count; i++)
		if (ledger->flights[i].mid == mid)
			return &ledger->flights[i];
	return NULL;
}

struct flight *ledger_flight_by_seq(const struct ledger *ledger, uint64_t seq)
{
	for (size_t i = 0; i < ledger->flight_count; i++)
		if (ledger->flights[i].seq == seq)
			return &ledger->flights[i];
	return NULL;
}

int ledger_add_flight(struct ledger *ledger, const struct flight *flight)
{
	int r = grow((void **)&ledger->flights, &ledger->flight_room, ledger->flight_count,
		     sizeof(*ledger->flights));

	if (r < 0)
		return r;
	remove_finished_flights(ledger, flight->seq, flight->seq);
	ledger->flights[ledger->flight_count++] = *flight;
	ledger->last_mid = flight->mid;
	return 0;
}

int ledger_acked(struct ledger *ledger, uint64_t seq)
{
	ssize_t n = ledger_finish(ledger, seq, seq);

	if (n > 0)
		ledger->sums.acked += n;
	return n < 0 ? n : 0;
}

int ledger_refused(struct ledger *ledger, uint64_t seq)
{
	ssize_t n = ledger_finish(ledger, seq, seq);

	if (n > 0)
		ledger->sums.refused += n;
	return n < 0 ? n : 0;
}

int ledger_dropped(struct ledger *ledger, const struct loss *loss)
{
	struct loss *sum = &ledger->losses[loss->why];
	ssize_t n = ledger_finish(ledger, loss->from, loss->to);

	if (n <= 0)
		return n;
	*(loss->why == LOSS_DAMAGED ? &ledger->sums.damaged : &ledger->sums.dropped) += n;
	if (sum->count == 0) {
		*sum = *loss;
		sum->count = 0;
	}
	sum->count += n;
	if (loss->to > sum->to) {
		sum->to = loss->to;
		sum->to_ms = loss->to_ms;
	}
	return 0;
}

void ledger_lost(struct ledger *ledger, const struct loss *loss)
{
	struct loss *sum = &ledger->losses[loss->why];

	ledger->sums.taken += loss->count;
	ledger->sums.dropped += loss->count;
	if (!sum->count)
		sum->from_ms = loss->from_ms;
	sum->to_ms = loss->to_ms;
	sum->count += loss->count;
}

/*
 * The checkpoint's body:
 *
 *    0 next_seq 8 · 8 reserved_seq 8 · 16 oldest_seq 8
 *   24 taken 8 · 32 acked 8 · 40 refused 8 · 48 dropped 8 · 56 damaged 8
 *   64 last_mid 2 · 66 (zero) 2 · 68 boot 4 · 72 boot_id 16
 *   88 number of ranges 4 · 92 number of flights 4
 *   96 losses, LOSS_ENCODED_SIZE each, one for each reason
 *      ranges: from 8, to 8 each; flights: FLIGHT_ENCODED_SIZE each
 */
enum {
	CHECKPOINT_LOSSES = 96,
	CHECKPOINT_HEAD = CHECKPOINT_LOSSES + LOSS_WHY_COUNT * LOSS_ENCODED_SIZE,
	RANGE_ENCODED_SIZE = 16,
};

/* seq 8 · segment 8 · offset 4 · mid 2 · qos 1 · state 1 · time_ms 8 */
void flight_encode(const struct flight *flight, uint8_t bytes[FLIGHT_ENCODED_SIZE])
{
	put_u64(bytes, flight->seq);
	put_u64(bytes + 8, flight->segment);
	put_u32(bytes + 16, flight->offset);
	put_u16(bytes + 20, flight->mid);
	bytes[22] = flight->qos;
	bytes[23] = flight->state;
	put_u64(bytes + 24, flight->time_ms);
}

static int flight_decode(const uint8_t *bytes, struct flight *flight)
{
	*flight = (struct flight){
		.seq = get_u64(bytes),
		.segment = get_u64(bytes + 8),
		.offset = get_u32(bytes + 16),
		.mid = get_u16(bytes + 20),
		.qos = bytes[22],
		.state = bytes[23],
		.time_ms = get_u64(bytes + 24),
	};
	if (flight->mid == 0 || flight->qos < 1 || flight->qos > 2 ||
	    flight->state > FLIGHT_AGAIN)
		return -EBADMSG;
	return 0;
}

/* count 8 · from 8 · to 8 · from_ms 8 · to_ms 8 · why 4 · (zero) 4 */
void loss_encode(const struct loss *loss, uint8_t bytes[LOSS_ENCODED_SIZE])
{
	put_u64(bytes, loss->count);
	put_u64(bytes + 8, loss->from);
	put_u64(bytes + 16, loss->to);
	put_u64(bytes + 24, loss->from_ms);
	put_u64(bytes + 32, loss->to_ms);
	put_u32(bytes + 40, loss->why);
	put_u32(bytes + 44, 0);
}

static int loss_decode(const uint8_t *bytes, struct loss *loss)
{
	*loss = (struct loss){
		.count = get_u64(bytes),
		.from = get_u64(bytes + 8),
		.to = get_u64(bytes + 16),
		.from_ms = get_u64(bytes + 24),
		.to_ms = get_u64(bytes + 32),
		.why = get_u32(bytes + 40),
	};
	return loss->why < LOSS_WHY_COUNT ? 0 : -EBADMSG;
}

size_t ledger_encoded_size(const struct ledger *ledger)
{
	return CHECKPOINT_HEAD + ledger->range_count * RANGE_ENCODED_SIZE +
	       ledger->flight_count * FLIGHT_ENCODED_SIZE;
}

void ledger_encode(const struct ledger *ledger, uint8_t *bytes)
{
	const uint64_t numbers[] = {
		ledger->next_seq,     ledger->reserved_seq, ledger->oldest_seq,
		ledger->sums.taken,   ledger->sums.acked,   ledger->sums.refused,
		ledger->sums.dropped, ledger->sums.damaged,
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		put_u64(bytes + i * 8, numbers[i]);
	put_u16(bytes + 64, ledger->last_mid);
	put_u16(bytes + 66, 0);
	put_u32(bytes + 68, ledger->boot);
	memcpy(bytes + 72, ledger->boot_id, sizeof(ledger->boot_id));
	put_u32(bytes + 88, ledger->range_count);
	put_u32(bytes + 92, ledger->flight_count);
	for (size_t i = 0; i < LOSS_WHY_COUNT; i++)
		loss_encode(&ledger->losses[i],
			    bytes + CHECKPOINT_LOSSES + i * LOSS_ENCODED_SIZE);
	bytes += CHECKPOINT_HEAD;
	for (size_t i = 0; i < ledger->range_count; i++, bytes += RANGE_ENCODED_SIZE) {
		put_u64(bytes, ledger->ranges[i].from);
		put_u64(bytes + 8, ledger->ranges[i].to);
	}
	for (size_t i = 0; i < ledger->flight_count; i++, bytes += FLIGHT_ENCODED_SIZE)
		flight_encode(&ledger->flights[i], bytes);
}

static int decode_arrays(struct ledger *ledger, const uint8_t *bytes, size_t ranges,
			 size_t flights)
{
	ledger->ranges = calloc(ranges + 1, sizeof(*ledger->ranges));
	ledger->flights = calloc(flights + 1, sizeof(*ledger->flights));
	if (!ledger->ranges || !ledger->flights)
		return -ENOMEM;
	ledger->range_room = ranges + 1;
	ledger->flight_room = flights + 1;
	for (size_t i = 0; i < ranges; i++, bytes += RANGE_ENCODED_SIZE) {
		struct range range = { get_u64(bytes), get_u64(bytes + 8) };
		uint64_t above = i ? ledger->ranges[i - 1].to + 1 : ledger->oldest_seq;

		if (range.from <= above || range.to < range.from ||
		    range.to >= ledger->next_seq)
			return -EBADMSG;
		ledger->ranges[ledger->range_count++] = range;
	}
	for (size_t i = 0; i < flights; i++, bytes += FLIGHT_ENCODED_SIZE) {
		if (flight_decode(bytes, &ledger->flights[i]) < 0 ||
		    ledger->flights[i].seq >= ledger->next_seq)
			return -EBADMSG;
		ledger->flight_count++;
	}
	return 0;
}

int ledger_decode(struct ledger *ledger, const uint8_t *bytes, size_t n)
{
	_cleanup_(ledger_done) struct ledger new = { 0 };
	uint32_t ranges, flights;
	int r;

	if (n < CHECKPOINT_HEAD)
		return -EBADMSG;
	ranges = get_u32(bytes + 88);
	flights = get_u32(bytes + 92);
	if (ranges > n || flights > n ||
	    n != CHECKPOINT_HEAD + (size_t)ranges * RANGE_ENCODED_SIZE +
			    (size_t)flights * FLIGHT_ENCODED_SIZE)
		return -EBADMSG;

	new.next_seq = get_u64(bytes);
	new.reserved_seq = get_u64(bytes + 8);
	new.oldest_seq = get_u64(bytes + 16);
	new.sums.taken = get_u64(bytes + 24);
	new.sums.acked = get_u64(bytes + 32);
	new.sums.refused = get_u64(bytes + 40);
	new.sums.dropped = get_u64(bytes + 48);
	new.sums.damaged = get_u64(bytes + 56);
	new.last_mid = get_u16(bytes + 64);
	new.boot = get_u32(bytes + 68);
	memcpy(new.boot_id, bytes + 72, sizeof(new.boot_id));
	if (new.oldest_seq > new.next_seq || new.next_seq > UINT64_MAX / 2)
		return -EBADMSG;
	for (size_t i = 0; i < LOSS_WHY_COUNT; i++) {
		r = loss_decode(bytes + CHECKPOINT_LOSSES + i * LOSS_ENCODED_SIZE,
				&new.losses[i]);
		if (r < 0)
			return r;
		new.losses[i].why = i;
	}
	r = decode_arrays(&new, bytes + CHECKPOINT_HEAD, ranges, flights);
	if (r < 0)
		return r;
	ledger_done(ledger);
	*ledger = new;
	new = (struct ledger){ 0 };
	return 0;
}

/*
 * boottime_us 8 · wall_ms 8 · boot 4 · qos 1 · flags 1 · form 1 · told 1 · topic length 2 ·
 * (zero) 2, then topic and body. Flags: 1 retain, 2 the wall clock was synchronised. told: 0,
 * or 1 and the number of the loss that this message tells of.
 */
enum {
	FLAG_RETAIN = 1,
	FLAG_SYNCED = 2,
};

void message_head_encode(const struct message *message, uint32_t boot, enum loss_why told,
			 uint8_t bytes[MESSAGE_HEAD_SIZE])
{
	put_u64(bytes, message->boottime_us);
	put_u64(bytes + 8, message->wall_ms);
	put_u32(bytes + 16, boot);
	bytes[20] = message->qos;
	bytes[21] = (message->retain ? FLAG_RETAIN : 0) |
		    (message->wall_synced ? FLAG_SYNCED : 0);
	bytes[22] = message->form;
	bytes[23] = told < LOSS_WHY_COUNT ? told + 1 : 0;
	put_u16(bytes + 24, message->topic_length);
	put_u16(bytes + 26, 0);
}

int message_decode(const struct record *record, uint32_t this_boot, struct message *message,
		   enum loss_why *told)
{
	const uint8_t *bytes = record->body;

	if (record->type != RECORD_MESSAGE || record->length < MESSAGE_HEAD_SIZE)
		return -EBADMSG;
	*message = (struct message){
		.seq = record->seq,
		.boottime_us = get_u64(bytes),
		.wall_ms = get_u64(bytes + 8),
		.this_boot = get_u32(bytes + 16) == this_boot,
		.qos = bytes[20],
		.retain = bytes[21] & FLAG_RETAIN,
		.wall_synced = bytes[21] & FLAG_SYNCED,
		.form = bytes[22],
		.topic_length = get_u16(bytes + 24),
		.topic = (const char *)bytes + MESSAGE_HEAD_SIZE,
	};
	if (message->topic_length == 0 || message->topic_length > TOPIC_MAX ||
	    (uint32_t)MESSAGE_HEAD_SIZE + message->topic_length > record->length ||
	    message->qos > 2 || message->form > FORM_EPOCH_MS || bytes[23] > LOSS_WHY_COUNT)
		return -EBADMSG;
	message->body = message->topic + message->topic_length;
	message->body_length = record->length - MESSAGE_HEAD_SIZE - message->topic_length;
	if (message->body_length > BODY_MAX)
		return -EBADMSG;
	*told = bytes[23] ? bytes[23] - 1u : LOSS_WHY_COUNT;
	return 0;
}

/*
 * A number was in use: it is never given out again. Numbers in between had records that are
 * gone; whoever reads the messages finds the gap.
 */
static int replay_seq(struct ledger *ledger, uint64_t seq)
{
	if (seq >= UINT64_MAX / 2)
		return -EBADMSG;
	if (seq >= ledger->next_seq) {
		ledger->sums.taken += seq + 1 - ledger->next_seq;
		ledger->next_seq = seq + 1;
	}
	return 0;
}

static int replay_message(struct ledger *ledger, const struct record *record)
{
	struct message message;
	enum loss_why told;
	int r = message_decode(record, ledger->boot, &message, &told);

	if (r == 0)
		r = replay_seq(ledger, record->seq);
	if (r < 0)
		return r;
	if (told < LOSS_WHY_COUNT)
		ledger->losses[told] = (struct loss){ .why = told };
	return 0;
}

static int replay_sent(struct ledger *ledger, const struct record *record)
{
	for (uint32_t i = 0; i + FLIGHT_ENCODED_SIZE <= record->length;
	     i += FLIGHT_ENCODED_SIZE) {
		struct flight flight;
		int r = flight_decode(record->body + i, &flight);

		if (r == 0)
			r = replay_seq(ledger, flight.seq);
		if (r == 0 && !ledger_is_finished(ledger, flight.seq))
			r = ledger_add_flight(ledger, &flight);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Bodies of RELEASED and DONE are sequence numbers, 8 bytes each. */
static int replay_seqs(struct ledger *ledger, const struct record *record)
{
	for (uint32_t i = 0; i + 8 <= record->length; i += 8) {
		uint64_t seq = get_u64(record->body + i);
		struct flight *flight;
		int r = replay_seq(ledger, seq);

		if (r == 0 && record->type == RECORD_DONE)
			r = ledger_acked(ledger, seq);
		if (r < 0)
			return r;
		flight = ledger_flight_by_seq(ledger, seq);
		if (flight)
			flight->state = FLIGHT_RELEASED;
	}
	return 0;
}

static int replay_dropped(struct ledger *ledger, const struct record *record)
{
	struct loss loss;
	int r;

	if (record->length != LOSS_ENCODED_SIZE || loss_decode(record->body, &loss) < 0 ||
	    loss.from > loss.to)
		return -EBADMSG;
	if (loss.to == 0) {
		ledger_lost(ledger, &loss);
		return 0;
	}
	r = replay_seq(ledger, loss.to);
	return r < 0 ? r : ledger_dropped(ledger, &loss);
}

int ledger_replay(struct ledger *ledger, const struct record *record)
{
	int r;

	switch (record->type) {
	case RECORD_CHECKPOINT:
		return ledger_decode(ledger, record->body, record->length);
	case RECORD_MESSAGE:
		return replay_message(ledger, record);
	case RECORD_SENT:
		return replay_sent(ledger, record);
	case RECORD_RELEASED:
	case RECORD_DONE:
		return replay_seqs(ledger, record);
	case RECORD_REFUSED:
		r = replay_seq(ledger, record->seq);
		return r < 0 ? r : ledger_refused(ledger, record->seq);
	case RECORD_DROPPED:
		return replay_dropped(ledger, record);
	case RECORD_RESERVE:
		if (record->length != 8)
			return -EBADMSG;
		ledger->reserved_seq = get_u64(record->body);
		return 0;
	case RECORD_BOOT:
		if (record->length != 4 + sizeof(ledger->boot_id))
			return -EBADMSG;
		ledger->boot = get_u32(record->body);
		memcpy(ledger->boot_id, record->body + 4, sizeof(ledger->boot_id));
		return 0;
	}
	return -EBADMSG;
}
