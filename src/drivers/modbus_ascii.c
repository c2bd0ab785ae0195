/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modbus_ascii.c - Modbus ASCII: the same as RTU, written as hexadecimal digits.
 *
 * MODBUS over Serial Line Specification and Implementation Guide V1.02, 2.5.2: each byte is
 * two digits, there is an LRC in place of the CRC, and what is around it tells where a frame
 * begins and ends:
 *
 *            :  address  function  …  LRC  CR LF
 *
 * The LRC makes the sum of all bytes 0.
 */
#include "drivers/modbus.h"

#include "base/checksum.h"

#include <ctype.h>
#include <string.h>

enum {
	LRC_LENGTH = 1,
	ASCII_MAX = 513, /* characters: Serial Line V1.02, 2.5.2.1 */
};

/* Characters of a frame that has so many bytes without its LRC. */
static size_t ascii_length(size_t n)
{
	return 1 + (n + LRC_LENGTH) * 2 + 2;
}

static int digit_of(uint8_t character)
{
	if (!isxdigit(character))
		return -1;
	return isdigit(character) ? character - '0' : toupper(character) - 'A' + 10;
}

/* Decodes so many bytes from twice as many digits; false: they are not all digits. */
static bool from_digits(const uint8_t *digits, size_t n, uint8_t *bytes)
{
	for (size_t i = 0; i < n; i++) {
		int high = digit_of(digits[2 * i]), low = digit_of(digits[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* The frame around n bytes; its length. */
static size_t ascii_seal(const uint8_t *bytes, size_t n, uint8_t frame[FRAME_MAX])
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t lrc = (uint8_t)checksum_of(CHECKSUM_SUM8_NEGATED, bytes, n);
	size_t at = 0;

	frame[at++] = ':';
	for (size_t i = 0; i <= n; i++) {
		uint8_t byte = i < n ? bytes[i] : lrc;

		frame[at++] = (uint8_t)digits[byte >> 4];
		frame[at++] = (uint8_t)digits[byte & 15];
	}
	frame[at++] = '\r';
	frame[at++] = '\n';
	return at;
}

/* Whether a whole frame of n bytes (without the LRC) stands there; these, and the LRC. */
static enum reply_status ascii_open(const uint8_t *frame, size_t n, uint8_t *bytes)
{
	size_t length = ascii_length(n);

	if (!from_digits(frame + 1, n + LRC_LENGTH, bytes))
		return REPLY_GARBAGE;
	if (frame[length - 2] != '\r' || frame[length - 1] != '\n')
		return REPLY_LENGTH;
	return checksum_of(CHECKSUM_SUM8, bytes, n + LRC_LENGTH) ? REPLY_CHECKSUM : REPLY_OK;
}

static size_t ascii_request(const struct request *request, uint8_t frame[FRAME_MAX])
{
	uint8_t binary[FRAME_MAX];
	size_t n = modbus_request(request, binary) - CRC_LENGTH;

	return ascii_seal(binary, n, frame);
}

static size_t ascii_reply_length(const struct request *request)
{
	if (request->function)
		return ascii_length(modbus_written_length(request));
	return ascii_length(DATA_AT + modbus_data_length(request));
}

/* What of it is whole digits is compared at once. */
static struct reply confirmation(const struct request *request, const uint8_t *bytes, size_t n)
{
	size_t whole = modbus_written_length(request), seen = (n - 1) / 2;
	struct reply reply = {.status = REPLY_MORE, .length = ascii_length(whole)};
	uint8_t all[ADU_MAX];

	if (n < reply.length) {
		seen = seen < whole ? seen : whole;
		if (!from_digits(bytes + 1, seen, all))
			reply.status = REPLY_GARBAGE;
		else if (modbus_confirms(request, all, seen) == REPLY_DIFFERS)
			reply.status = REPLY_DIFFERS;
		return reply;
	}
	reply.status = ascii_open(bytes, whole, all);
	if (reply.status == REPLY_OK)
		reply.status = modbus_confirms(request, all, whole);
	return reply;
}

/* As modbus_reply(): what can be told wrong from the first bytes is said at once. */
static struct reply ascii_reply(const struct request *request, const uint8_t *bytes, size_t n)
{
	uint8_t function = modbus_function(request), head[DATA_AT] = {0}, all[ADU_MAX];
	size_t seen = n > 0 ? (n - 1) / 2 : 0, whole = DATA_AT;
	struct reply reply = {.status = REPLY_MORE, .length = ascii_length(DATA_AT)};

	if (n == 0)
		return reply;
	seen = seen < DATA_AT ? seen : DATA_AT;
	if (bytes[0] != ':' || !from_digits(bytes + 1, seen, head))
		reply.status = REPLY_GARBAGE;
	else if (seen >= 1 && head[0] != request->address)
		reply.status = REPLY_ADDRESS;
	else if (seen >= 2 && (head[1] & ~EXCEPTION_BIT) != function)
		reply.status = REPLY_FUNCTION;
	else if (seen >= 3 && head[1] == function && !request->function &&
		 head[2] != modbus_data_length(request))
		reply.status = REPLY_LENGTH;
	if (reply.status != REPLY_MORE || seen < 2)
		return reply;

	if (head[1] == function && request->function)
		return confirmation(request, bytes, n);
	if (head[1] == function)
		whole += modbus_data_length(request);
	reply.length = ascii_length(whole);
	if (n < reply.length)
		return reply;
	reply.status = ascii_open(bytes, whole, all);
	if (reply.status == REPLY_OK && head[1] != function) {
		reply.status = REPLY_EXCEPTION;
		reply.exception = head[2];
	}
	reply.data = bytes + 1 + 2 * DATA_AT;
	reply.data_length = 2 * modbus_data_length(request);
	return reply;
}

/* `data` are the digits as they were received. */
static void ascii_value(const struct request *request, const uint8_t *data,
			const struct point *point, struct value *value)
{
	uint8_t binary[ADU_MAX];

	*value = (struct value){.kind = VALUE_NULL};
	if (from_digits(data, modbus_data_length(request), binary))
		modbus_value(request, binary, point, value);
}

static size_t ascii_data(const struct request *request, const uint8_t *data,
			 uint8_t bytes[DATA_MAX])
{
	size_t length = modbus_data_length(request);

	/* They were looked at before. */
	return from_digits(data, length, bytes) ? length : 0;
}

static enum serve_status ascii_serve(const uint8_t *bytes, size_t n, struct request *request,
				     size_t *used)
{
	const uint8_t *end = n ? memchr(bytes, '\n', n) : NULL;
	size_t length = end ? (size_t)(end - bytes) + 1 : n, count, taken;
	uint8_t binary[ADU_MAX + CRC_LENGTH];
	enum serve_status status;

	if (length > ASCII_MAX)
		return SERVE_REFUSED;
	if (!end)
		return SERVE_MORE;
	if (bytes[0] != ':' || length < ascii_length(2) || length % 2 == 0)
		return SERVE_REFUSED;
	count = (length - 3) / 2 - LRC_LENGTH;
	if (ascii_open(bytes, count, binary) != REPLY_OK)
		return SERVE_REFUSED;
	/* The rest is as in RTU mode. */
	status = modbus_serve(binary, modbus_seal(binary, count), request, &taken);
	if (status == SERVE_MORE)
		return SERVE_REFUSED;
	*used = length;
	/* The data are the digits as they were received. */
	if (request->data)
		request->data = bytes + 1 + 2 * (request->data - binary);
	return status;
}

static size_t ascii_serve_reply(const struct request *request, const uint8_t *data,
				uint8_t frame[FRAME_MAX])
{
	uint8_t binary[FRAME_MAX];
	size_t n = modbus_serve_reply(request, data, binary) - CRC_LENGTH;

	return ascii_seal(binary, n, frame);
}

static size_t ascii_serve_exception(uint8_t address, uint8_t function, uint8_t exception,
				    uint8_t frame[FRAME_MAX])
{
	const uint8_t binary[] = {address, function | EXCEPTION_BIT, exception};

	return ascii_seal(binary, sizeof(binary), frame);
}

const struct driver driver_modbus_ascii = {
	.name = "modbus-ascii",
	.request = ascii_request,
	.reply = ascii_reply,
	.value = ascii_value,
	.data = ascii_data,
	.reply_length = ascii_reply_length,
	.exception_name = modbus_exception_name,
	.serve = ascii_serve,
	.serve_reply = ascii_serve_reply,
	.serve_exception = ascii_serve_exception,
};
