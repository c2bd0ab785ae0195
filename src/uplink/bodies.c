/* SPDX-License-Identifier: Apache-2.0 */
/* bodies.c - what stands in the records of a journal: messages, flights, losses. */
#include "uplink/bodies.h"

#include <errno.h>

static bool is_wall_time(int64_t ms)
{
	return ms >= -WALL_MS_MOST && ms <= WALL_MS_MOST;
}

/* seq 8 · segment 8 · offset 4 · mid 2 · qos 1 · state, and 16 times the clock mark 1 ·
 * time_ms 8 */
void flight_encode(const struct flight *flight, uint8_t bytes[FLIGHT_ENCODED_SIZE])
{
	put_u64(bytes, flight->seq);
	put_u64(bytes + 8, flight->segment);
	put_u32(bytes + 16, flight->offset);
	put_u16(bytes + 20, flight->mid);
	bytes[22] = flight->qos;
	bytes[23] = flight->state | flight->clock << 4;
	put_u64(bytes + 24, flight->time_ms);
}

int flight_decode(const uint8_t *bytes, struct flight *flight)
{
	*flight = (struct flight){
		.seq = get_u64(bytes),
		.segment = get_u64(bytes + 8),
		.offset = get_u32(bytes + 16),
		.mid = get_u16(bytes + 20),
		.qos = bytes[22],
		.state = bytes[23] & 0x0F,
		.clock = bytes[23] >> 4,
		.time_ms = get_u64(bytes + 24),
	};
	if (flight->mid == 0 || flight->qos < 1 || flight->qos > 2 ||
	    flight->state > FLIGHT_GIVEN_UP || flight->clock > CLOCK_ESTIMATED ||
	    !is_wall_time(flight->time_ms))
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

int loss_decode(const uint8_t *bytes, struct loss *loss)
{
	*loss = (struct loss){
		.count = get_u64(bytes),
		.from = get_u64(bytes + 8),
		.to = get_u64(bytes + 16),
		.from_ms = get_u64(bytes + 24),
		.to_ms = get_u64(bytes + 32),
		.why = get_u32(bytes + 40),
	};
	if (loss->why >= LOSS_WHY_COUNT || loss->from > loss->to ||
	    !is_wall_time(loss->from_ms) || !is_wall_time(loss->to_ms))
		return -EBADMSG;
	return 0;
}

/*
 * boottime_us 7 · flags 1 · wall_ms and topic length 8 · boot 4, then topic and body. Flags:
 * QoS (two bits), retain, the wall clock was right, a loss stands behind the body, form (two
 * bits), it is sent again by hand. Of wall_ms and topic length the upper twelve bits are the
 * length.
 */
enum {
	FLAG_QOS = 0x03,
	FLAG_RETAIN = 0x04,
	FLAG_SYNCED = 0x08,
	FLAG_TELLS = 0x10,
	FLAG_FORM = 0x60,
	FLAG_RETRIED = 0x80,
	FORM_SHIFT = 5,
	LENGTH_SHIFT = 52,
};

void message_head_encode(const struct message *message, bool tells,
			 uint8_t bytes[MESSAGE_HEAD_SIZE])
{
	uint64_t wall = (uint64_t)message->wall_ms & ((UINT64_C(1) << LENGTH_SHIFT) - 1);

	put_u64(bytes, message->boottime_us);
	bytes[7] = (message->qos & FLAG_QOS) | (message->retain ? FLAG_RETAIN : 0) |
		   (message->wall_synced ? FLAG_SYNCED : 0) | (tells ? FLAG_TELLS : 0) |
		   message->form << FORM_SHIFT | (message->retried ? FLAG_RETRIED : 0);
	put_u64(bytes + 8, wall | (uint64_t)message->topic_length << LENGTH_SHIFT);
	put_u32(bytes + 16, message->boot);
}

int message_decode(const struct record *record, struct message *message,
		   const uint8_t **told)
{
	const uint8_t *bytes = record->body;
	uint32_t fixed = MESSAGE_HEAD_SIZE;
	uint64_t wall;

	if (record->type != RECORD_MESSAGE || record->length < MESSAGE_HEAD_SIZE)
		return -EBADMSG;
	*told = NULL;
	wall = get_u64(bytes + 8);
	if (bytes[7] & FLAG_TELLS) {
		fixed += LOSS_ENCODED_SIZE;
		*told = bytes + record->length - LOSS_ENCODED_SIZE;
	}
	*message = (struct message){
		.seq = record->seq,
		.boottime_us = get_u64(bytes) & (RUNNING_US_MOST - 1),
		.wall_ms = (int64_t)(wall << (64 - LENGTH_SHIFT)) >> (64 - LENGTH_SHIFT),
		.boot = get_u32(bytes + 16),
		.qos = bytes[7] & FLAG_QOS,
		.retain = bytes[7] & FLAG_RETAIN,
		.wall_synced = bytes[7] & FLAG_SYNCED,
		.retried = bytes[7] & FLAG_RETRIED,
		.form = (bytes[7] & FLAG_FORM) >> FORM_SHIFT,
		.topic_length = wall >> LENGTH_SHIFT,
		.topic = (const char *)bytes + MESSAGE_HEAD_SIZE,
	};
	if (message->topic_length == 0 || message->topic_length > TOPIC_MAX ||
	    fixed + message->topic_length > record->length || message->qos > 2 ||
	    message->form > FORM_REPLY || !is_wall_time(message->wall_ms))
		return -EBADMSG;
	message->body = message->topic + message->topic_length;
	message->body_length = record->length - fixed - message->topic_length;
	if (message->form == FORM_REPLY &&
	    (!message->body_length || (uint8_t)message->body[0] >= message->body_length))
		return -EBADMSG;
	return message->body_length > BODY_MAX ? -EBADMSG : 0;
}
