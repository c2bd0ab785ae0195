// SPDX-License-Identifier: Apache-2.0
/*
 * modbus.c - Modbus RTU and ASCII, reading functions 1 to 4.
 *
 * MODBUS Application Protocol Specification V1.1b3, sections 6.1 to 6.4 and 7, and MODBUS
 * over Serial Line Specification and Implementation Guide V1.02, sections 2.5.1
 * and 6.2.2. Numbers are big-endian, only the CRC has its low byte first:
 *
 *            0        1         2          3        4          5       6       7
 * request    address  function  first, high, low    count, high, low   CRC, low, high
 * reply      address  function  bytes N    N bytes of data …           CRC, low, high
 * exception  address  function  code       CRC, low, high
 *                     | 0x80
 *
 * Data are registers of two bytes, high byte first (functions 3 and 4), or bits of which
 * the first is the lowest of the first byte (functions 1 and 2).
 *
 * In ASCII mode (Serial Line V1.02, 2.5.2) each byte is two hexadecimal digits, there is an
 * LRC in place of the CRC, and what is around it tells where a frame begins and ends:
 *
 *            :  address  function  …  LRC  CR LF
 *
 * The LRC makes the sum of all bytes 0.
 */

#include "base/checksum.h"
#include "drivers/raw.h"
#include "field/driver.h"

#include <ctype.h>
#include <string.h>

enum {
	REQUEST_LENGTH = 8,
	EXCEPTION_LENGTH = 5,
	DATA_AT = 3,
	CRC_LENGTH = 2,
	EXCEPTION_BIT = 0x80,
	ADU_MAX = 256, /* Serial Line V1.02, 2.5.1.1 */
	LRC_LENGTH = 1,
	ASCII_MAX = 513, /* characters: Serial Line V1.02, 2.5.2.1 */
};

static const uint8_t functions[] = {
	[TABLE_COIL] = 1,
	[TABLE_DISCRETE] = 2,
	[TABLE_HOLDING] = 3,
	[TABLE_INPUT] = 4,
};

/* Appends the CRC to n bytes; the frame's length. */
static size_t seal(uint8_t *frame, size_t n)
{
	uint16_t crc = checksum_of(CHECKSUM_CRC16_MODBUS, frame, n);

	frame[n] = (uint8_t)crc;
	frame[n + 1] = (uint8_t)(crc >> 8);
	return n + CRC_LENGTH;
}

/* Whether the last two of n bytes are the CRC of those before. */
static bool is_sealed(const uint8_t *frame, size_t n)
{
	uint16_t crc = checksum_of(CHECKSUM_CRC16_MODBUS, frame, n - CRC_LENGTH);

	return frame[n - 2] == (uint8_t)crc && frame[n - 1] == crc >> 8;
}

static bool is_bits(enum table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}

static size_t data_length(const struct request *request)
{
	return is_bits(request->table) ? (request->count + 7u) / 8u : request->count * 2u;
}

static size_t modbus_request(const struct request *request, uint8_t frame[FRAME_MAX])
{
	frame[0] = request->address;
	frame[1] = functions[request->table];
	frame[2] = (uint8_t)(request->first >> 8);
	frame[3] = (uint8_t)request->first;
	frame[4] = (uint8_t)(request->count >> 8);
	frame[5] = (uint8_t)request->count;
	return seal(frame, 6);
}

static size_t modbus_reply_length(const struct request *request)
{
	return DATA_AT + data_length(request) + CRC_LENGTH;
}

static struct reply exception_reply(const uint8_t *bytes, size_t n)
{
	struct reply reply = {.status = REPLY_MORE, .length = EXCEPTION_LENGTH};

	if (n < EXCEPTION_LENGTH)
		return reply;
	if (!is_sealed(bytes, EXCEPTION_LENGTH)) {
		reply.status = REPLY_CHECKSUM;
		return reply;
	}
	reply.status = REPLY_EXCEPTION;
	reply.exception = bytes[2];
	return reply;
}

/*
 * What can be told wrong from the first bytes is said at once, so that the answer to
 * another request is never waited out. Bytes after the frame are not looked at.
 */
static struct reply modbus_reply(const struct request *request, const uint8_t *bytes,
				 size_t n)
{
	uint8_t function = functions[request->table];
	struct reply reply = {.status = REPLY_MORE, .length = EXCEPTION_LENGTH};

	if (n >= 1 && bytes[0] != request->address) {
		reply.status = REPLY_ADDRESS;
		return reply;
	}
	if (n < 2)
		return reply;
	if (bytes[1] == (function | EXCEPTION_BIT))
		return exception_reply(bytes, n);
	if (bytes[1] != function) {
		reply.status = REPLY_FUNCTION;
		return reply;
	}

	reply.length = modbus_reply_length(request);
	if (n >= 3 && bytes[2] != data_length(request)) {
		reply.status = REPLY_LENGTH;
		return reply;
	}
	if (n < reply.length)
		return reply;
	if (!is_sealed(bytes, reply.length)) {
		reply.status = REPLY_CHECKSUM;
		return reply;
	}
	reply.status = REPLY_OK;
	reply.data = bytes + DATA_AT;
	reply.data_length = data_length(request);
	return reply;
}

static void modbus_value(const struct request *request, const uint8_t *data,
			 const struct point *point, struct value *value)
{
	unsigned at = (unsigned)point->addr - request->first;
	uint8_t bit;

	*value = (struct value){.kind = VALUE_NULL};
	if (point->addr < request->first || at + point_span(point) > request->count)
		return;
	if (is_bits(request->table)) {
		bit = data[at / 8] >> at % 8 & 1;
		raw_decode(point, &bit, value);
	} else {
		raw_decode(point, data + at * 2, value);
	}
}

static const char *modbus_exception_name(uint8_t exception)
{
	/* Application Protocol V1.1b3, section 7. */
	static const char *const names[] = {
		[0x01] = "illegal function",
		[0x02] = "illegal data address",
		[0x03] = "illegal data value",
		[0x04] = "server device failure",
		[0x05] = "acknowledge",
		[0x06] = "server device busy",
		[0x08] = "memory parity error",
		[0x0A] = "gateway path unavailable",
		[0x0B] = "gateway target device failed to respond",
	};

	if (exception >= ARRAY_SIZE(names) || !names[exception])
		return "unknown exception";
	return names[exception];
}

/*
 * The length of a frame with another function is not known here: it is taken to end where
 * its CRC is right.
 */
static enum serve_status serve_unknown(const uint8_t *bytes, size_t n, size_t *used)
{
	for (size_t length = 2 + CRC_LENGTH; length <= n && length <= ADU_MAX; length++) {
		if (is_sealed(bytes, length)) {
			*used = length;
			return SERVE_UNKNOWN;
		}
	}
	return n < ADU_MAX ? SERVE_MORE : SERVE_REFUSED;
}

static enum serve_status modbus_serve(const uint8_t *bytes, size_t n,
				      struct request *request, size_t *used)
{
	enum table table = TABLE_COIL;

	if (n < 2)
		return SERVE_MORE;
	while (table <= TABLE_HOLDING && functions[table] != bytes[1])
		table++;
	*request = (struct request){.address = bytes[0], .table = table};
	if (table > TABLE_HOLDING)
		return serve_unknown(bytes, n, used);

	if (n < REQUEST_LENGTH)
		return SERVE_MORE;
	if (!is_sealed(bytes, REQUEST_LENGTH))
		return SERVE_REFUSED;
	request->first = (uint16_t)(bytes[2] << 8 | bytes[3]);
	request->count = (uint16_t)(bytes[4] << 8 | bytes[5]);
	*used = REQUEST_LENGTH;
	return SERVE_REQUEST;
}

static size_t modbus_serve_reply(const struct request *request, const uint8_t *data,
				 uint8_t frame[FRAME_MAX])
{
	size_t length = data_length(request);

	frame[0] = request->address;
	frame[1] = functions[request->table];
	frame[2] = (uint8_t)length;
	memcpy(frame + DATA_AT, data, length);
	return seal(frame, DATA_AT + length);
}

static size_t modbus_serve_exception(uint8_t address, uint8_t function, uint8_t exception,
				     uint8_t frame[FRAME_MAX])
{
	frame[0] = address;
	frame[1] = function | EXCEPTION_BIT;
	frame[2] = exception;
	return seal(frame, DATA_AT);
}

const struct driver driver_modbus = {
	.name = "modbus",
	.request = modbus_request,
	.reply = modbus_reply,
	.value = modbus_value,
	.reply_length = modbus_reply_length,
	.exception_name = modbus_exception_name,
	.serve = modbus_serve,
	.serve_reply = modbus_serve_reply,
	.serve_exception = modbus_serve_exception,
};

/* --- ASCII --- */

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
	return ascii_length(DATA_AT + data_length(request));
}

/* As modbus_reply(): what can be told wrong from the first bytes is said at once. */
static struct reply ascii_reply(const struct request *request, const uint8_t *bytes, size_t n)
{
	uint8_t function = functions[request->table], head[DATA_AT] = {0}, all[ADU_MAX];
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
	else if (seen >= 3 && head[1] == function && head[2] != data_length(request))
		reply.status = REPLY_LENGTH;
	if (reply.status != REPLY_MORE || seen < 2)
		return reply;

	if (head[1] == function)
		whole += data_length(request);
	reply.length = ascii_length(whole);
	if (n < reply.length)
		return reply;
	reply.status = ascii_open(bytes, whole, all);
	if (reply.status == REPLY_OK && head[1] != function) {
		reply.status = REPLY_EXCEPTION;
		reply.exception = head[2];
	}
	reply.data = bytes + 1 + 2 * DATA_AT;
	reply.data_length = 2 * data_length(request);
	return reply;
}

/* `data` are the digits as they were received. */
static void ascii_value(const struct request *request, const uint8_t *data,
			const struct point *point, struct value *value)
{
	uint8_t binary[ADU_MAX];

	*value = (struct value){.kind = VALUE_NULL};
	if (from_digits(data, data_length(request), binary))
		modbus_value(request, binary, point, value);
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
	status = modbus_serve(binary, seal(binary, count), request, &taken);
	if (status == SERVE_MORE)
		return SERVE_REFUSED;
	*used = length;
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
	.reply_length = ascii_reply_length,
	.exception_name = modbus_exception_name,
	.serve = ascii_serve,
	.serve_reply = ascii_serve_reply,
	.serve_exception = ascii_serve_exception,
};
