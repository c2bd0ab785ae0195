/* SPDX-License-Identifier: Apache-2.0 */
/* bodies.h - what stands in the records of a journal: messages, flights, losses. */
#pragma once

#include "uplink/ledger.h"
#include "uplink/segment.h"

enum {
	FLIGHT_ENCODED_SIZE = 32,
	LOSS_ENCODED_SIZE = 48,
	MESSAGE_HEAD_SIZE = 20,
};

/*
 * Times further off than this are nobody's: the year 9999, and 2,000 years of running. They
 * are refused where they are read, so that nothing overflows where they are reckoned with.
 */
#define WALL_MS_MOST INT64_C(253402300799999)
#define RUNNING_US_MOST (UINT64_C(1) << 56)

void flight_encode(const struct flight *flight, uint8_t bytes[FLIGHT_ENCODED_SIZE]);
int flight_decode(const uint8_t *bytes, struct flight *flight) _must_check_;

void loss_encode(const struct loss *loss, uint8_t bytes[LOSS_ENCODED_SIZE]);
int loss_decode(const uint8_t *bytes, struct loss *loss) _must_check_;

/*
 * A message's head, which stands before topic and body in its record. A message that tells of
 * a loss (`tells`) has that loss behind its body.
 */
void message_head_encode(const struct message *message, bool tells,
			 uint8_t bytes[MESSAGE_HEAD_SIZE]);
/*
 * The message in a record, pointing into it; -EBADMSG where it is none. *told is NULL, or the
 * loss that it tells of, as loss_decode() takes it.
 */
int message_decode(const struct record *record, struct message *message,
		   const uint8_t **told) _must_check_;
