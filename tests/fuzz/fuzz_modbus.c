// SPDX-License-Identifier: Apache-2.0
/* fuzz_modbus.c - any bytes as a reply, as a request and as a value, with any point. */

#include "bridge/number.h"
#include "drivers/raw.h"
#include "field/driver.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Takes the next byte, 0 when there is none left. */
static uint8_t next(const uint8_t **bytes, size_t *n)
{
	if (*n == 0)
		return 0;
	--*n;
	return *(*bytes)++;
}

static uint16_t next_word(const uint8_t **bytes, size_t *n)
{
	uint8_t high = next(bytes, n);

	return (uint16_t)(high << 8 | next(bytes, n));
}

/* A point such as the reader of maps lets through: bits and order fit its size. */
static void next_point(const uint8_t **bytes, size_t *n, enum table table,
		       struct point *point)
{
	static const double scales[] = {1, 0.1, -1e12, 1e-12};
	static const double offsets[] = {0, -40, 1e12, 0.001};
	bool bits = table == TABLE_COIL || table == TABLE_DISCRETE;
	unsigned size, turn = next(bytes, n);

	*point = (struct point){
		.table = table,
		.addr = next_word(bytes, n),
		.type = bits ? TYPE_BOOL
			     : (enum value_type)(next(bytes, n) % (TYPE_STRING + 1)),
		.scale = scales[next(bytes, n) % ARRAY_SIZE(scales)],
		.offset = offsets[next(bytes, n) % ARRAY_SIZE(offsets)],
		.decimals = (int8_t)(next(bytes, n) % 18),
		.has_nan = turn & 1,
		.nan = next_word(bytes, n),
	};
	if (point->type == TYPE_STRING)
		point->length = (uint8_t)(1 + next(bytes, n) % STRING_MAX_LENGTH);
	size = point->type == TYPE_STRING ? 2 : (unsigned)point_size(point);
	for (unsigned i = 0; i < size; i++)
		point->order[i] = (uint8_t)((i + turn) % size);
	if (turn & 2 && !bits && point->type != TYPE_F32 && point->type != TYPE_F64 &&
	    point->type != TYPE_STRING) {
		unsigned most =
			point->type == TYPE_U8 || point->type == TYPE_I8 ? 8 : size * 8;

		point->bit_low = (uint8_t)(next(bytes, n) % most);
		point->bit_count =
			(uint8_t)(1 + next(bytes, n) % (most - point->bit_low));
	}
}

static void print(const struct value *value)
{
	char buffer[2 + 6 * STRING_MAX_LENGTH + 1];
	struct text text = {.data = buffer, .size = sizeof(buffer)};

	json_value(value, &text);
	if (text.full)
		abort(); /* no value is longer */
}

/* What is decoded can be encoded, and then decodes to the same text. */
static void there_and_back(const struct point *point, const struct value *value)
{
	uint8_t raw[STRING_MAX_LENGTH + 2] = {0};
	struct value again;

	if (raw_put(point, value, raw) == 0) {
		raw_decode(point, raw, &again);
		print(&again);
	}
	if (value->kind == VALUE_TEXT) {
		raw_encode_text(point, value->text, raw);
		raw_decode(point, raw, &again);
		if (strcmp(again.text, value->text) != 0)
			abort();
	} else if (value->kind == VALUE_UNSIGNED || value->kind == VALUE_SIGNED) {
		double number =
			value->kind == VALUE_SIGNED ? (double)value->i : (double)value->u;

		raw_encode(point, number, raw);
		raw_decode(point, raw, &again);
		/* Above 2^53 the double was not the number; it may have become `nan`. */
		if (number < 9e15 && number > -9e15 && again.kind == value->kind &&
		    again.u != value->u)
			abort();
	} else if (value->kind != VALUE_NULL && value->kind != VALUE_BOOL) {
		raw_encode(point, value->d, raw);
		raw_decode(point, raw, &again);
		print(&again);
	}
}

static void as_reply(const struct driver *driver, const struct request *request,
		     const struct point *point, const uint8_t *bytes, size_t n)
{
	struct reply reply = driver->reply(request, bytes, n);
	struct value value;

	switch (reply.status) {
	case REPLY_OK:
		if (reply.length > n || reply.length != driver->reply_length(request) ||
		    reply.data < bytes || reply.data + reply.data_length > bytes + n)
			abort();
		driver->value(request, reply.data, point, &value);
		print(&value);
		return;
	case REPLY_MORE:
		if (reply.length <= n)
			abort(); /* it would be waited for without end */
		return;
	case REPLY_EXCEPTION:
		if (!*driver->exception_name(reply.exception))
			abort();
		return;
	default:
		return;
	}
}

/* What is written is confirmed, and the confirmation is known for one. */
static void confirm(const struct driver *driver, struct request *request)
{
	uint8_t frame[FRAME_MAX], data[DATA_MAX];
	struct reply reply;
	size_t n = driver->data(request, request->data, data);

	if (!n || n > sizeof(data))
		abort();
	request->data = data;
	n = driver->serve_reply(request, data, frame);
	reply = driver->reply(request, frame, n);
	if (reply.status != REPLY_OK || reply.length != n)
		abort();
}

static void as_request(const struct driver *driver, const uint8_t *bytes, size_t n)
{
	struct request request;
	size_t used = 0;

	switch (driver->serve(bytes, n, &request, &used)) {
	case SERVE_REQUEST:
		if (request.function && request.count)
			confirm(driver, &request);
		/* fall through */
	case SERVE_UNKNOWN:
		if (used == 0 || used > n)
			abort();
		return;
	default:
		return;
	}
}

/* A whole reply around the bytes, so that values are reached without guessing a CRC. */
static void as_data(const struct driver *driver, const struct request *request,
		    const struct point *point, const uint8_t *bytes, size_t n)
{
	uint8_t frame[FRAME_MAX], data[DATA_MAX] = {0};
	struct value value;
	struct reply reply;
	size_t length;

	memcpy(data, bytes, n < sizeof(data) ? n : sizeof(data));
	length = driver->serve_reply(request, data, frame);
	reply = driver->reply(request, frame, length);
	if (reply.status != REPLY_OK || reply.length != length)
		abort();
	driver->value(request, reply.data, point, &value);
	print(&value);
	as_reply(driver, request, point, frame, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const struct driver *driver = driver_find("modbus");
	struct request request = {.address = next(&bytes, &n)};
	uint8_t raw[STRING_MAX_LENGTH + 2] = {0};
	struct point point;
	struct value value;

	request.table = (enum table)(next(&bytes, &n) % (TABLE_HOLDING + 1));
	request.first = next_word(&bytes, &n);
	request.count = (uint16_t)(1 + next(&bytes, &n) % BATCH_MAX_REGISTERS);
	next_point(&bytes, &n, request.table, &point);

	as_reply(driver, &request, &point, bytes, n);
	as_request(driver, bytes, n);
	as_request(driver_find("modbus-ascii"), bytes, n);
	as_data(driver, &request, &point, bytes, n);

	memcpy(raw, bytes, n < sizeof(raw) ? n : sizeof(raw));
	raw_decode(&point, raw, &value);
	print(&value);
	there_and_back(&point, &value);
	return 0;
}
