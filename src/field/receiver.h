/* SPDX-License-Identifier: Apache-2.0 */
/* receiver.h - bytes as they come from a bus, and the answer among them. */
#pragma once

#include "field/driver.h"

enum { RECEIVE_MAX = 2 * FRAME_MAX };

struct receiver {
	uint8_t bytes[RECEIVE_MAX];
	size_t length;
	const uint8_t *sent; /* what the adapter gives back first; NULL: it does not */
	size_t sent_length;
};

/*
 * Begins anew. Where the adapter echoes, `sent` is what was sent, and must stay while it is
 * waited for; NULL where it does not.
 */
void receiver_begin(struct receiver *receiver, const uint8_t *sent, size_t length);

/*
 * Looks for the answer to `request`. Bytes in front of it, as a driver that is turned round
 * makes them, are passed over: address, function, length and checksum have to be right behind
 * them. REPLY_MORE while one may still become whole, otherwise what is wrong at the first
 * byte.
 */
struct reply receiver_look(struct receiver *receiver, const struct driver *driver,
			   const struct request *request);
