/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shdlc.c - bytes that would be taken for a frame's ends or for flow control, and their disguise.
 *
 *     7E │ 00 03 43 11 7F … │ 7E        the frame
 *     7E │ 00 03 43 7D 31 7F … │ 7E     on the wire
 *
 * Between the flags 7E, 7D, 11 and 13 go as 7D and the byte with bit 5 turned round (Sensirion
 * SPS30 datasheet, section 5.2, byte stuffing).
 */
#include "drivers/shdlc.h"

#include <stdbool.h>

enum {
	ESCAPE = 0x7D,
	TURN = 0x20,
	XON = 0x11,
	XOFF = 0x13,
};

static bool is_disguised(uint8_t byte)
{
	return byte == SHDLC_FLAG || byte == ESCAPE || byte == XON || byte == XOFF;
}

size_t shdlc_stuff(const uint8_t *plain, size_t n, uint8_t *frame)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		bool turn = i > 0 && i < n - 1 && is_disguised(plain[i]);

		if (turn)
			frame[length++] = ESCAPE;
		frame[length++] = turn ? plain[i] ^ TURN : plain[i];
	}
	return length;
}

size_t shdlc_unstuff(const uint8_t *frame, size_t n, uint8_t *plain, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t turn = 0;

		if (frame[i] == ESCAPE) {
			turn = TURN;
			i++;
		}
		/* A flag is never disguised: the byte before it is the last, and was cut. */
		if (i == n || length == size || (turn && frame[i] == SHDLC_FLAG))
			return 0;
		plain[length++] = frame[i] ^ turn;
	}
	return length;
}
