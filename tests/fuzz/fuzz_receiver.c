/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_receiver.c - any bytes from a bus, in any pieces, with and without an echo. */
#include "field/receiver.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* First the request and what is done, then pieces, each with its length before it. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const struct driver *driver = driver_find("modbus");
	struct request request = {.address = 1, .table = TABLE_INPUT};
	struct receiver receiver;
	uint8_t frame[FRAME_MAX];
	size_t length;

	if (n < 3)
		return 0;
	request.table = (enum table)(bytes[0] & 3);
	request.count = (uint16_t)(1 + bytes[1] % BATCH_MAX_REGISTERS);
	length = driver->request(&request, frame);
	receiver_begin(&receiver, bytes[2] & 1 ? frame : NULL, length);
	for (bytes += 3, n -= 3; n > 0;) {
		size_t piece = bytes[0] < n - 1 ? bytes[0] : n - 1;
		struct reply reply;

		bytes++;
		n--;
		if (piece > RECEIVE_MAX - receiver.length)
			receiver.length = 0;
		memcpy(receiver.bytes + receiver.length, bytes, piece);
		receiver.length += piece;
		bytes += piece;
		n -= piece;
		reply = receiver_look(&receiver, driver, &request);
		/* An answer lies within what was received. */
		if (reply.status == REPLY_OK &&
		    (reply.data < receiver.bytes ||
		     reply.data + reply.data_length > receiver.bytes + receiver.length))
			__builtin_trap();
	}
	return 0;
}
