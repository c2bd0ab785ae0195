/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - brings the ledger up to the records that are read back. */
#include "uplink/replay.h"
#include "uplink/bodies.h"
#include "uplink/checkpoint.h"

#include <errno.h>

/*
 * A number was in use: it is never given out again. Numbers in between had records that are
 * gone; whoever reads the messages finds the gap.
 */
static int replay_seq(struct ledger *ledger, uint64_t seq)
{
	if (!ledger_is_plausible(ledger, seq))
		return -EBADMSG;
	if (seq >= ledger->next_seq) {
		ledger->taken += seq + 1 - ledger->next_seq;
		ledger->next_seq = seq + 1;
	}
	return 0;
}

void replay_first_seq(struct ledger *ledger, uint64_t seq)
{
	if (seq > ledger->next_seq)
		(void)!replay_seq(ledger, seq - 1);
}

static int replay_message(struct ledger *ledger, const struct record *record)
{
	struct message message;
	const uint8_t *told;
	struct loss loss;
	int r = message_decode(record, &message, &told);

	if (r == 0)
		r = replay_seq(ledger, record->seq);
	if (r < 0)
		return r;
	boots_note_time(&ledger->boots, message.boot, message.boottime_us);
	if (told && loss_decode(told, &loss) == 0)
		ledger->losses[loss.why] = (struct loss){ .why = loss.why };
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
		if (r < 0)
			return r;
		ledger->last_mid = flight.mid;
		if (ledger_is_finished(ledger, flight.seq))
			continue;
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
		if (flight && flight->state != FLIGHT_GIVEN_UP)
			flight->state = FLIGHT_RELEASED;
	}
	return 0;
}

static int replay_dropped(struct ledger *ledger, const struct record *record)
{
	struct loss loss;
	int r;

	if (record->length != LOSS_ENCODED_SIZE || loss_decode(record->body, &loss) < 0)
		return -EBADMSG;
	if (loss.to == 0) {
		ledger_lost(ledger, &loss);
		return 0;
	}
	r = replay_seq(ledger, loss.to);
	return r < 0 ? r : ledger_dropped(ledger, &loss);
}

static int replay_left_out(struct ledger *ledger, const struct record *record)
{
	struct loss loss;

	if (record->length != LOSS_ENCODED_SIZE || loss_decode(record->body, &loss) < 0)
		return -EBADMSG;
	ledger_left_out(ledger, &loss);
	return 0;
}

static int replay_boot(struct ledger *ledger, const struct record *record)
{
	const struct boot *now = boots_current(&ledger->boots);
	uint32_t number;

	if (record->length != 4 + BOOT_ID_SIZE)
		return -EBADMSG;
	number = get_u32(record->body);
	if (now && number <= now->number)
		return -EBADMSG;
	return boots_begin(&ledger->boots, number, record->body + 4, ledger->next_seq);
}

static int replay_clock(struct ledger *ledger, const struct record *record)
{
	int64_t offset_ms;

	if (record->length != 16)
		return -EBADMSG;
	offset_ms = get_u64(record->body + 8);
	if (offset_ms > WALL_MS_MOST || offset_ms < -WALL_MS_MOST)
		return -EBADMSG;
	boots_note_offset(&ledger->boots, get_u32(record->body), offset_ms);
	return 0;
}

int replay_record(struct ledger *ledger, const struct record *record)
{
	int r;

	switch (record->type) {
	case RECORD_CHECKPOINT:
		return checkpoint_decode(ledger, record->body, record->length);
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
	case RECORD_LEFT_OUT:
		return replay_left_out(ledger, record);
	case RECORD_RESERVE:
		if (record->length != 8 ||
		    !ledger_is_plausible(ledger, get_u64(record->body)))
			return -EBADMSG;
		ledger->reserved_seq = get_u64(record->body);
		return 0;
	case RECORD_BOOT:
		return replay_boot(ledger, record);
	case RECORD_CLOCK:
		return replay_clock(ledger, record);
	case RECORD_COMMAND:
	case RECORD_SUBSCRIBED:
	case RECORD_RETRIED:
		/* Where records that one was forgotten by are damaged, there may be too many. */
		notes_make_room(&ledger->notes, record->length);
		return notes_set(&ledger->notes, record->type, record->seq, record->body,
				 record->length);
	case RECORD_PAD:
		return 0;
	}
	return -EBADMSG;
}
