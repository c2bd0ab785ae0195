/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - the ledger as it stands in a record. */
#include "uplink/checkpoint.h"
#include "uplink/bodies.h"

#include <errno.h>
#include <string.h>

/*
 *    0 next_seq 8 · 8 reserved_seq 8 · 16 oldest_seq 8
 *   24 taken 8 · 32 acked 8 · 40 refused 8
 *   48 last_mid 2 · 50 (zero) 2 · 52 number of reasons 4 · 56 boot_id 16
 *   72 number of ranges 4 · 76 number of flights 4 · 80 number of boots 4 · 84 bytes of notes 4
 *   88 for each reason: given up so far 8, and the loss that is not told yet
 *      ranges: from 8, to 8 · flights
 *      boots: number 4, synced 4, offset_ms 8, first_seq 8, base_us 8, last_us 8
 *      notes, as notes.c has them
 */
enum {
	HEAD_SIZE = 88,
	REASON_SIZE = 8 + LOSS_ENCODED_SIZE,
	RANGE_SIZE = 16,
	BOOT_SIZE = 40,
};

size_t checkpoint_size(const struct ledger *ledger)
{
	return HEAD_SIZE + LOSS_WHY_COUNT * REASON_SIZE + ledger->range_count * RANGE_SIZE +
	       ledger->flight_count * FLIGHT_ENCODED_SIZE + ledger->boots.count * BOOT_SIZE +
	       ledger->notes.size;
}

static void encode_boot(const struct boot *boot, uint8_t *bytes)
{
	put_u32(bytes, boot->number);
	put_u32(bytes + 4, boot->synced);
	put_u64(bytes + 8, boot->offset_ms);
	put_u64(bytes + 16, boot->first_seq);
	put_u64(bytes + 24, boot->base_us);
	put_u64(bytes + 32, boot->last_us);
}

void checkpoint_encode(const struct ledger *ledger, uint8_t *bytes)
{
	const uint64_t numbers[] = {
		ledger->next_seq, ledger->reserved_seq, ledger->oldest_seq,
		ledger->taken,    ledger->acked,        ledger->refused,
	};

	memset(bytes, 0, HEAD_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		put_u64(bytes + i * 8, numbers[i]);
	put_u16(bytes + 48, ledger->last_mid);
	put_u32(bytes + 52, LOSS_WHY_COUNT);
	memcpy(bytes + 56, ledger->boots.id, BOOT_ID_SIZE);
	put_u32(bytes + 72, ledger->range_count);
	put_u32(bytes + 76, ledger->flight_count);
	put_u32(bytes + 80, ledger->boots.count);
	put_u32(bytes + 84, ledger->notes.size);
	bytes += HEAD_SIZE;
	for (size_t i = 0; i < LOSS_WHY_COUNT; i++, bytes += REASON_SIZE) {
		put_u64(bytes, ledger->given_up[i]);
		loss_encode(&ledger->losses[i], bytes + 8);
	}
	for (size_t i = 0; i < ledger->range_count; i++, bytes += RANGE_SIZE) {
		put_u64(bytes, ledger->ranges[i].from);
		put_u64(bytes + 8, ledger->ranges[i].to);
	}
	for (size_t i = 0; i < ledger->flight_count; i++, bytes += FLIGHT_ENCODED_SIZE)
		flight_encode(&ledger_flights(ledger)[i], bytes);
	for (size_t i = 0; i < ledger->boots.count; i++, bytes += BOOT_SIZE)
		encode_boot(&ledger->boots.list[i], bytes);
	notes_encode(&ledger->notes, bytes);
}

/* What is read is taken from the front. */
struct input {
	const uint8_t *bytes;
	uint32_t reasons, ranges, flights, boots, notes;
};

static int decode_reasons(struct ledger *ledger, struct input *in)
{
	for (uint32_t i = 0; i < in->reasons; i++, in->bytes += REASON_SIZE) {
		ledger->given_up[i] = get_u64(in->bytes);
		if (loss_decode(in->bytes + 8, &ledger->losses[i]) < 0)
			return -EBADMSG;
		ledger->losses[i].why = i;
	}
	return 0;
}

static int decode_ranges(struct ledger *ledger, struct input *in)
{
	ledger->ranges = calloc(in->ranges + 1, sizeof(*ledger->ranges));
	if (!ledger->ranges)
		return -ENOMEM;
	ledger->range_room = in->ranges + 1;
	for (uint32_t i = 0; i < in->ranges; i++, in->bytes += RANGE_SIZE) {
		struct range range = { get_u64(in->bytes), get_u64(in->bytes + 8) };
		uint64_t above = i ? ledger->ranges[i - 1].to + 1 : ledger->oldest_seq;

		if (range.from <= above || range.to < range.from ||
		    range.to >= ledger->next_seq)
			return -EBADMSG;
		ledger->ranges[ledger->range_count++] = range;
	}
	return 0;
}

static int decode_flights(struct ledger *ledger, struct input *in)
{
	for (uint32_t i = 0; i < in->flights; i++, in->bytes += FLIGHT_ENCODED_SIZE) {
		struct flight flight;
		int r = flight_decode(in->bytes, &flight);

		if (r == 0 && (flight.seq >= ledger->next_seq ||
			       ledger_is_finished(ledger, flight.seq) !=
				       (flight.state == FLIGHT_GIVEN_UP)))
			r = -EBADMSG;
		if (r == 0)
			r = ledger_add_flight(ledger, &flight);
		if (r < 0)
			return r;
	}
	return 0;
}

static int decode_boots(struct ledger *ledger, const uint8_t *id, struct input *in)
{
	for (uint32_t i = 0; i < in->boots; i++, in->bytes += BOOT_SIZE) {
		const uint8_t *bytes = in->bytes;
		struct boot boot = {
			.number = get_u32(bytes), .synced = get_u32(bytes + 4),
			.offset_ms = get_u64(bytes + 8), .first_seq = get_u64(bytes + 16),
			.base_us = get_u64(bytes + 24), .last_us = get_u64(bytes + 32),
		};
		const struct boot *before = boots_current(&ledger->boots);
		int r;

		if ((before && boot.number <= before->number) ||
		    boot.offset_ms > WALL_MS_MOST || boot.offset_ms < -WALL_MS_MOST ||
		    boot.base_us > RUNNING_US_MOST || boot.last_us > RUNNING_US_MOST)
			return -EBADMSG;
		r = boots_begin(&ledger->boots, boot.number, id, boot.first_seq);
		if (r < 0)
			return r;
		*boots_current(&ledger->boots) = boot;
	}
	return 0;
}

static int decode_counts(const uint8_t *bytes, size_t n, struct input *in)
{
	*in = (struct input){
		.bytes = bytes + HEAD_SIZE, .reasons = get_u32(bytes + 52),
		.ranges = get_u32(bytes + 72), .flights = get_u32(bytes + 76),
		.boots = get_u32(bytes + 80), .notes = get_u32(bytes + 84),
	};
	if (in->reasons > LOSS_WHY_COUNT || in->ranges > n || in->flights > n ||
	    in->boots > n || in->notes > n ||
	    n != HEAD_SIZE + (size_t)in->reasons * REASON_SIZE +
			    (size_t)in->ranges * RANGE_SIZE +
			    (size_t)in->flights * FLIGHT_ENCODED_SIZE +
			    (size_t)in->boots * BOOT_SIZE + in->notes)
		return -EBADMSG;
	return 0;
}

int checkpoint_decode(struct ledger *ledger, const uint8_t *bytes, size_t n)
{
	_cleanup_(ledger_done) struct ledger new;
	struct input in;
	int r;

	ledger_init(&new);
	if (n < HEAD_SIZE || decode_counts(bytes, n, &in) < 0)
		return -EBADMSG;
	new.next_seq = get_u64(bytes);
	new.reserved_seq = get_u64(bytes + 8);
	new.oldest_seq = get_u64(bytes + 16);
	new.taken = get_u64(bytes + 24);
	new.acked = get_u64(bytes + 32);
	new.refused = get_u64(bytes + 40);
	new.last_mid = get_u16(bytes + 48);
	if (new.oldest_seq > new.next_seq || new.next_seq > UINT64_MAX / 2 ||
	    !ledger_is_plausible(&new, new.reserved_seq))
		return -EBADMSG;
	r = decode_reasons(&new, &in);
	if (r == 0)
		r = decode_ranges(&new, &in);
	if (r == 0)
		r = decode_flights(&new, &in);
	if (r == 0)
		r = decode_boots(&new, bytes + 56, &in);
	if (r == 0)
		r = notes_decode(&new.notes, in.bytes, in.notes);
	if (r == 0 && ledger_sums(&new).waiting != ledger_waiting(&new, 0, UINT64_MAX))
		r = -EBADMSG;
	if (r < 0)
		return r;
	/* ledger_add_flight() takes the last flight's for it, which it need not be. */
	new.last_mid = get_u16(bytes + 48);
	ledger_done(ledger);
	*ledger = new;
	ledger_init(&new);
	return 0;
}
