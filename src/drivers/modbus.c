// SPDX-License-Identifier: Apache-2.0
/*
 * modbus.c - Modbus RTU: functions 1 to 4 read, 5, 6, 15, 16 and 22 write.
 *
 * MODBUS Application Protocol Specification V1.1b3, sections 6.1 to 6.6, 6.11, 6.12, 6.16 and
 * 7, and MODBUS over Serial Line Specification and Implementation Guide V1.02, sections 2.5.1
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
 *            0        1         2          3        4         5        6         7
 * 5, 6       address  function  first               value              CRC
 * 22         address  function  first               what is kept       what is set   CRC
 * 15, 16     address  function  first               count              bytes N   N bytes …  CRC
 * reply      address  function  first               count              CRC
 *
 * A coil's value is FF 00 or 00 00. The reply to 5, 6 and 22 is the request itself.
 */

#include "drivers/modbus.h"

#include "base/checksum.h"
#include "drivers/raw.h"

#include <string.h>

enum {
	REQUEST_LENGTH = 8,
	MASK_LENGTH = 10,
	EXCEPTION_LENGTH = 5,
	PLACE_AT = 2, /* of what is written: first, and value or count */
	COUNT_AT = 6, /* of the data's bytes, where many are written */
};

static const uint8_t functions[] = {
	[TABLE_COIL] = 1,
	[TABLE_DISCRETE] = 2,
	[TABLE_HOLDING] = 3,
	[TABLE_INPUT] = 4,
};

uint8_t modbus_function(const struct request *request)
{
	return request->function ? request->function : functions[request->table];
}

size_t modbus_seal(uint8_t *frame, size_t n)
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

static bool writes_many(uint8_t function)
{
	return function == MODBUS_WRITE_COILS || function == MODBUS_WRITE_REGISTERS;
}

size_t modbus_data_length(const struct request *request)
{
	if (request->function == MODBUS_MASK_REGISTER)
		return 4;
	if (request->function && !writes_many(request->function))
		return 2;
	return table_is_bits(request->table) ? (request->count + 7u) / 8u : request->count * 2u;
}

static void put_word(uint8_t *bytes, uint16_t word)
{
	bytes[0] = (uint8_t)(word >> 8);
	bytes[1] = (uint8_t)word;
}

static uint16_t word_at(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

size_t modbus_request(const struct request *request, uint8_t frame[FRAME_MAX])
{
	size_t length = modbus_data_length(request), n = PLACE_AT + 2;

	frame[0] = request->address;
	frame[1] = modbus_function(request);
	put_word(frame + PLACE_AT, request->first);
	if (!request->function || writes_many(request->function)) {
		put_word(frame + n, request->count);
		n += 2;
	}
	if (writes_many(request->function))
		frame[n++] = (uint8_t)length;
	if (request->function) {
		memcpy(frame + n, request->data, length);
		n += length;
	}
	return modbus_seal(frame, n);
}

size_t modbus_written_length(const struct request *request)
{
	return request->function == MODBUS_MASK_REGISTER ? MASK_LENGTH - CRC_LENGTH
							  : REQUEST_LENGTH - CRC_LENGTH;
}

static size_t modbus_reply_length(const struct request *request)
{
	if (request->function)
		return modbus_written_length(request) + CRC_LENGTH;
	return DATA_AT + modbus_data_length(request) + CRC_LENGTH;
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

enum reply_status modbus_confirms(const struct request *request, const uint8_t *bytes, size_t n)
{
	size_t length = modbus_written_length(request);
	uint8_t written[FRAME_MAX];

	/* What confirms it is the request's own beginning, whatever its function. */
	modbus_request(request, written);
	if (memcmp(bytes, written, n < length ? n : length))
		return REPLY_DIFFERS;
	return n < length ? REPLY_MORE : REPLY_OK;
}

/*
 * What can be told wrong from the first bytes is said at once, so that the answer to
 * another request is never waited out. Bytes after the frame are not looked at.
 */
static struct reply modbus_reply(const struct request *request, const uint8_t *bytes,
				 size_t n)
{
	uint8_t function = modbus_function(request);
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
	if (!request->function && n >= 3 && bytes[2] != modbus_data_length(request))
		reply.status = REPLY_LENGTH;
	else if (n >= reply.length && !is_sealed(bytes, reply.length))
		reply.status = REPLY_CHECKSUM;
	else if (request->function && modbus_confirms(request, bytes, n) == REPLY_DIFFERS)
		reply.status = REPLY_DIFFERS;
	if (reply.status != REPLY_MORE || n < reply.length)
		return reply;
	reply.status = REPLY_OK;
	if (request->function)
		return reply;
	reply.data = bytes + DATA_AT;
	reply.data_length = modbus_data_length(request);
	return reply;
}

void modbus_value(const struct request *request, const uint8_t *data,
			 const struct point *point, struct value *value)
{
	unsigned at = (unsigned)point->addr - request->first;
	uint8_t bit;

	*value = (struct value){.kind = VALUE_NULL};
	if (point->addr < request->first || at + point_span(point) > request->count)
		return;
	if (table_is_bits(request->table)) {
		bit = data[at / 8] >> at % 8 & 1;
		raw_decode(point, &bit, value);
	} else {
		raw_decode(point, data + at * 2, value);
	}
}

static size_t modbus_data(const struct request *request, const uint8_t *data,
			  uint8_t bytes[DATA_MAX])
{
	memcpy(bytes, data, modbus_data_length(request));
	return modbus_data_length(request);
}

const char *modbus_exception_name(uint8_t exception)
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

/* The table that a function is for, in *table; false: it is none that is known here. */
static bool table_of(uint8_t function, enum table *table)
{
	switch (function) {
	case MODBUS_WRITE_COIL:
	case MODBUS_WRITE_COILS:
		*table = TABLE_COIL;
		return true;
	case MODBUS_WRITE_REGISTER:
	case MODBUS_WRITE_REGISTERS:
	case MODBUS_MASK_REGISTER:
		*table = TABLE_HOLDING;
		return true;
	}
	for (enum table t = TABLE_COIL; t <= TABLE_HOLDING; t++) {
		*table = t;
		if (functions[t] == function)
			return true;
	}
	return false;
}

/* What is written by the whole request; a count that its bytes do not have is 0. */
static void serve_written(const uint8_t *bytes, struct request *request)
{
	request->function = bytes[1];
	request->first = word_at(bytes + PLACE_AT);
	request->data = bytes + PLACE_AT + 2;
	request->count = 1;
	if (!writes_many(request->function))
		return;
	request->count = word_at(bytes + PLACE_AT + 2);
	request->data = bytes + COUNT_AT + 1;
	if (modbus_data_length(request) != bytes[COUNT_AT])
		request->count = 0;
}

enum serve_status modbus_serve(const uint8_t *bytes, size_t n, struct request *request,
			       size_t *used)
{
	size_t length = REQUEST_LENGTH;
	enum table table;

	if (n < 2)
		return SERVE_MORE;
	if (!table_of(bytes[1], &table)) {
		*request = (struct request){.address = bytes[0], .function = bytes[1]};
		return serve_unknown(bytes, n, used);
	}
	*request = (struct request){.address = bytes[0], .table = table};
	if (bytes[1] == MODBUS_MASK_REGISTER)
		length = MASK_LENGTH;
	if (writes_many(bytes[1]))
		length = n > COUNT_AT ? COUNT_AT + 1u + bytes[COUNT_AT] + CRC_LENGTH : n + 1;
	if (length > ADU_MAX)
		return SERVE_REFUSED;
	if (n < length)
		return SERVE_MORE;
	if (!is_sealed(bytes, length))
		return SERVE_REFUSED;
	*used = length;
	if (bytes[1] != functions[table]) {
		serve_written(bytes, request);
		return SERVE_REQUEST;
	}
	request->first = word_at(bytes + PLACE_AT);
	request->count = word_at(bytes + PLACE_AT + 2);
	return SERVE_REQUEST;
}

size_t modbus_serve_reply(const struct request *request, const uint8_t *data,
			  uint8_t frame[FRAME_MAX])
{
	struct request written = *request;
	size_t length = modbus_data_length(request);

	if (request->function) {
		written.data = data;
		modbus_request(&written, frame);
		return modbus_seal(frame, modbus_written_length(request));
	}
	frame[0] = request->address;
	frame[1] = functions[request->table];
	frame[2] = (uint8_t)length;
	memcpy(frame + DATA_AT, data, length);
	return modbus_seal(frame, DATA_AT + length);
}

static size_t modbus_serve_exception(uint8_t address, uint8_t function, uint8_t exception,
				     uint8_t frame[FRAME_MAX])
{
	frame[0] = address;
	frame[1] = function | EXCEPTION_BIT;
	frame[2] = exception;
	return modbus_seal(frame, DATA_AT);
}

const struct driver driver_modbus = {
	.name = "modbus",
	.request = modbus_request,
	.reply = modbus_reply,
	.value = modbus_value,
	.data = modbus_data,
	.reply_length = modbus_reply_length,
	.exception_name = modbus_exception_name,
	.serve = modbus_serve,
	.serve_reply = modbus_serve_reply,
	.serve_exception = modbus_serve_exception,
};
