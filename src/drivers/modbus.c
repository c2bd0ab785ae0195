// SPDX-License-Identifier: Apache-2.0
/*
 * modbus.c - Modbus RTU, reading functions 1 to 4.
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
 */

#include "drivers/raw.h"
#include "field/driver.h"

#include <string.h>

enum {
	REQUEST_LENGTH = 8,
	EXCEPTION_LENGTH = 5,
	DATA_AT = 3,
	CRC_LENGTH = 2,
	EXCEPTION_BIT = 0x80,
	ADU_MAX = 256, /* Serial Line V1.02, 2.5.1.1 */
};

static const uint8_t functions[] = {
	[TABLE_COIL] = 1,
	[TABLE_DISCRETE] = 2,
	[TABLE_HOLDING] = 3,
	[TABLE_INPUT] = 4,
};

/*
 * CRC-16 of the Serial Line guide, 6.2.2: polynomial 0xA001 (reflected), start 0xFFFF; a
 * half byte at a time.
 */
static uint16_t crc16(const uint8_t *bytes, size_t n)
{
	static const uint16_t half_bytes[16] = {
		0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
		0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
	};
	uint16_t crc = 0xFFFF;

	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		crc = (uint16_t)(crc >> 4 ^ half_bytes[crc & 15]);
		crc = (uint16_t)(crc >> 4 ^ half_bytes[crc & 15]);
	}
	return crc;
}

/* Appends the CRC to n bytes; the frame's length. */
static size_t seal(uint8_t *frame, size_t n)
{
	uint16_t crc = crc16(frame, n);

	frame[n] = (uint8_t)crc;
	frame[n + 1] = (uint8_t)(crc >> 8);
	return n + CRC_LENGTH;
}

/* Whether the last two of n bytes are the CRC of those before. */
static bool is_sealed(const uint8_t *frame, size_t n)
{
	uint16_t crc = crc16(frame, n - CRC_LENGTH);

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
