/* SPDX-License-Identifier: Apache-2.0 */
/* receiver.c - bytes as they come from a bus, and the answer among them. */
#include "field/receiver.h"

#include <string.h>

void receiver_begin(struct receiver *receiver, const uint8_t *sent, size_t length)
{
	receiver->length = 0;
	receiver->sent = sent;
	receiver->sent_length = length;
}

/* Takes our own bytes off; false while they have not all come. */
static bool strip_echo(struct receiver *receiver)
{
	size_t n = receiver->sent_length;

	if (!receiver->sent)
		return true;
	if (receiver->length < n)
		return false;
	if (!memcmp(receiver->bytes, receiver->sent, n)) {
		receiver->length -= n;
		memmove(receiver->bytes, receiver->bytes + n, receiver->length);
	}
	receiver->sent = NULL;
	return true;
}

struct reply receiver_look(struct receiver *receiver, const struct driver *driver,
			   const struct request *request)
{
	struct reply found = {.status = REPLY_MORE, .length = driver->reply_length(request)};

	if (!strip_echo(receiver))
		return found;
	for (size_t i = 0; i < receiver->length; i++) {
		struct reply reply =
			driver->reply(request, receiver->bytes + i, receiver->length - i);

		if (reply.status == REPLY_OK || reply.status == REPLY_EXCEPTION)
			return reply;
		if (i == 0)
			found = reply;
		if (reply.status == REPLY_MORE && found.status != REPLY_MORE) {
			found = reply;
			found.length += i;
		}
	}
	return found;
}
