// SPDX-License-Identifier: Apache-2.0
/* test_modbus.c - Modbus RTU frames, byte by byte, whole, cut, flipped and foreign. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "field/driver.h"

#include <string.h>

static const struct driver *modbus(void)
{
	return driver_find("modbus");
}

/* Parses from a heap copy of exactly n bytes, so that reads past them are seen. */
static struct reply reply_of(const struct request *request, const uint8_t *bytes,
			     size_t n)
{
	_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);
	struct reply reply;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	reply = modbus()->reply(request, n ? copy : NULL, n);
	if (reply.data)
		reply.data = bytes + (reply.data - copy);
	return reply;
}

/* Function 4, input registers 0x0000 and 0x0001 of address 1: an SDM120's voltage. */
static const struct request voltage = {
	.address = 1, .table = TABLE_INPUT, .first = 0, .count = 2};
static const uint8_t voltage_reply[] = {
	0x01, 0x04, 0x04,       /* address, function, 4 bytes */
	0x43, 0x66, 0x33, 0x34, /* 230.20001 as IEEE 754 */
	0x1B, 0x38,             /* CRC, low byte first */
};
static const uint8_t busy[] = {0x01, 0x84, 0x06, 0xC3, 0x02};

/* Application Protocol V1.1b3, 6.1: 37 coils from the 20th on, in 5 bytes. */
static const struct request coils = {
	.address = 0x11, .table = TABLE_COIL, .first = 0x13, .count = 0x25};
static const uint8_t coils_reply[] = {
	0x11, 0x01, 0x05, 0xCD, 0x6B, 0xB2, 0x0E, 0x1B, 0x45, 0xE6,
};

static void test_requests(_unused_ void **state)
{
	static const struct {
		struct request request;
		uint8_t frame[8];
	} known[] = {
		{{.address = 1, .table = TABLE_INPUT, .first = 0, .count = 2},
		 {0x01, 0x04, 0x00, 0x00, 0x00, 0x02, 0x71, 0xCB}},
		{{.address = 0x11, .table = TABLE_COIL, .first = 0x13, .count = 0x25},
		 {0x11, 0x01, 0x00, 0x13, 0x00, 0x25, 0x0E, 0x84}},
		{{.address = 0x11, .table = TABLE_DISCRETE, .first = 0xC4, .count = 0x16},
		 {0x11, 0x02, 0x00, 0xC4, 0x00, 0x16, 0xBA, 0xA9}},
		{{.address = 0x11, .table = TABLE_HOLDING, .first = 0x6B, .count = 3},
		 {0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		uint8_t frame[FRAME_MAX];

		assert_int_equal(modbus()->request(&known[i].request, frame), 8);
		assert_memory_equal(frame, known[i].frame, 8);
	}
}

static void test_reply_lengths(_unused_ void **state)
{
	struct request request = voltage;

	assert_int_equal(modbus()->reply_length(&request), 9);
	request.count = 125;
	assert_int_equal(modbus()->reply_length(&request), 255);
	request.table = TABLE_COIL;
	request.count = 8;
	assert_int_equal(modbus()->reply_length(&request), 6);
	request.count = 9;
	assert_int_equal(modbus()->reply_length(&request), 7);
	request.count = 2000;
	assert_int_equal(modbus()->reply_length(&request), 255);
}

/* Every beginning of a good reply is MORE, and never more than the reply is awaited. */
static void check_every_split(const struct request *request, const uint8_t *bytes,
			      size_t n, enum reply_status status)
{
	struct reply reply;

	for (size_t cut = 0; cut < n; cut++) {
		reply = reply_of(request, bytes, cut);
		assert_int_equal(reply.status, REPLY_MORE);
		assert_true(reply.length > cut && reply.length <= n);
	}
	reply = reply_of(request, bytes, n);
	assert_int_equal(reply.status, status);
	assert_int_equal(reply.length, n);
}

static void test_every_split(_unused_ void **state)
{
	struct reply reply = reply_of(&voltage, voltage_reply, sizeof(voltage_reply));

	assert_int_equal(reply.status, REPLY_OK);
	assert_ptr_equal(reply.data, voltage_reply + 3);
	assert_int_equal(reply.data_length, 4);
	check_every_split(&voltage, voltage_reply, sizeof(voltage_reply), REPLY_OK);
	check_every_split(&coils, coils_reply, sizeof(coils_reply), REPLY_OK);
	check_every_split(&voltage, busy, sizeof(busy), REPLY_EXCEPTION);
}

/* One bit wrong anywhere is never a good reply, and is called what it is. */
static void check_every_flip(const struct request *request, const uint8_t *bytes,
			     size_t n)
{
	uint8_t flipped[FRAME_MAX];

	for (size_t bit = 0; bit < n * 8; bit++) {
		enum reply_status expected = REPLY_CHECKSUM;
		struct reply reply;

		memcpy(flipped, bytes, n);
		flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
		reply = reply_of(request, flipped, n);
		if (bit / 8 == 0)
			expected = REPLY_ADDRESS;
		else if (bit / 8 == 1 && bit % 8 != 7)
			expected = REPLY_FUNCTION;
		else if (bit / 8 == 2)
			expected = REPLY_LENGTH;
		assert_int_equal(reply.status, expected);
		assert_null(reply.data);
	}
}

static void test_every_flip(_unused_ void **state)
{
	check_every_flip(&voltage, voltage_reply, sizeof(voltage_reply));
	check_every_flip(&coils, coils_reply, sizeof(coils_reply));
}

static void test_every_flip_of_an_exception(_unused_ void **state)
{
	for (size_t bit = 0; bit < sizeof(busy) * 8; bit++) {
		uint8_t flipped[sizeof(busy)];

		memcpy(flipped, busy, sizeof(busy));
		flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(reply_of(&voltage, flipped, sizeof(busy)).status,
				     REPLY_EXCEPTION);
		assert_int_not_equal(reply_of(&voltage, flipped, sizeof(busy)).status,
				     REPLY_OK);
	}
}

/* What is wrong is said with the byte that shows it, not when the rest has come. */
static void test_wrong_at_once(_unused_ void **state)
{
	static const uint8_t other_address[] = {0x02};
	static const uint8_t other_function[] = {0x01, 0x03};
	static const uint8_t other_exception[] = {0x01, 0x83};
	static const uint8_t other_length[] = {0x01, 0x04, 0x02};

	assert_int_equal(reply_of(&voltage, other_address, 1).status, REPLY_ADDRESS);
	assert_int_equal(reply_of(&voltage, other_function, 2).status, REPLY_FUNCTION);
	assert_int_equal(reply_of(&voltage, other_exception, 2).status, REPLY_FUNCTION);
	assert_int_equal(reply_of(&voltage, other_length, 3).status, REPLY_LENGTH);
}

static void test_exceptions(_unused_ void **state)
{
	struct reply reply = reply_of(&voltage, busy, sizeof(busy));

	assert_int_equal(reply.status, REPLY_EXCEPTION);
	assert_int_equal(reply.exception, 6);
	assert_string_equal(modbus()->exception_name(6), "server device busy");
	assert_string_equal(modbus()->exception_name(2), "illegal data address");
	assert_string_equal(modbus()->exception_name(0x0B),
			    "gateway target device failed to respond");
	for (unsigned code = 0; code < 256; code++)
		assert_non_null(modbus()->exception_name((uint8_t)code));
	assert_string_equal(modbus()->exception_name(0), "unknown exception");
	assert_string_equal(modbus()->exception_name(7), "unknown exception");
	assert_string_equal(modbus()->exception_name(255), "unknown exception");
}

static const uint8_t order_ab[8] = {0, 1, 2, 3, 4, 5, 6, 7};

static struct point make_point(enum table table, uint16_t addr, enum value_type type)
{
	struct point point = {.table = table, .addr = addr, .type = type, .scale = 1};

	memcpy(point.order, order_ab, sizeof(point.order));
	return point;
}

static void test_register_values(_unused_ void **state)
{
	static const uint8_t data[] = {0x00, 0x01, 0x43, 0x66, 0x33, 0x33, 0xFF, 0xFE};
	struct request request = {
		.address = 1, .table = TABLE_INPUT, .first = 0x10, .count = 4};
	struct point point = make_point(TABLE_INPUT, 0x11, TYPE_F32);
	struct value value;

	modbus()->value(&request, data, &point, &value);
	assert_int_equal(value.kind, VALUE_FLOAT);
	assert_true((float)value.d == 230.2f);
	point = make_point(TABLE_INPUT, 0x13, TYPE_I16);
	modbus()->value(&request, data, &point, &value);
	assert_int_equal(value.kind, VALUE_SIGNED);
	assert_int_equal(value.i, -2);
}

/* A point that the request does not read has no value, not a neighbour's. */
static void test_values_outside(_unused_ void **state)
{
	static const uint8_t data[] = {0x00, 0x01, 0x00, 0x02};
	struct request request = {
		.address = 1, .table = TABLE_INPUT, .first = 0x10, .count = 2};
	struct point before = make_point(TABLE_INPUT, 0x0F, TYPE_U16);
	struct point across = make_point(TABLE_INPUT, 0x11, TYPE_U32);
	struct point after = make_point(TABLE_INPUT, 0x12, TYPE_U16);
	struct value value;

	modbus()->value(&request, data, &before, &value);
	assert_int_equal(value.kind, VALUE_NULL);
	modbus()->value(&request, data, &across, &value);
	assert_int_equal(value.kind, VALUE_NULL);
	modbus()->value(&request, data, &after, &value);
	assert_int_equal(value.kind, VALUE_NULL);
}

/* 6.1: coils 27 to 20 are CD = 1100 1101, coil 27 being the highest bit. */
static void test_bit_values(_unused_ void **state)
{
	static const bool expected[] = {1, 0, 1, 1, 0, 0, 1, 1, /* CD */
					1, 1, 0, 1, 0, 1, 1, 0 /* 6B */};
	struct value value;

	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		struct point point =
			make_point(TABLE_COIL, (uint16_t)(0x13 + i), TYPE_BOOL);

		modbus()->value(&coils, coils_reply + 3, &point, &value);
		assert_int_equal(value.kind, VALUE_BOOL);
		assert_int_equal(value.u, expected[i]);
	}
}

/* --- the device's side --- */

static enum serve_status serve(const uint8_t *bytes, size_t n, struct request *request,
			       size_t *used)
{
	_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	return modbus()->serve(copy, n, request, used);
}

static void test_serve(_unused_ void **state)
{
	static const uint8_t frame[] = {0x11, 0x03, 0x00, 0x6B, 0x00,
					0x03, 0x76, 0x87, 0x99 /* begins the next */};
	struct request request;
	uint8_t flipped[8];
	size_t used = 0;

	for (size_t cut = 0; cut < 8; cut++)
		assert_int_equal(serve(frame, cut, &request, &used), SERVE_MORE);
	assert_int_equal(serve(frame, sizeof(frame), &request, &used), SERVE_REQUEST);
	assert_int_equal(used, 8);
	assert_int_equal(request.address, 0x11);
	assert_int_equal(request.table, TABLE_HOLDING);
	assert_int_equal(request.first, 0x6B);
	assert_int_equal(request.count, 3);
	for (size_t bit = 0; bit < 64; bit++) {
		memcpy(flipped, frame, 8);
		flipped[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(serve(flipped, 8, &request, &used), SERVE_REQUEST);
	}
}

static void test_serve_unknown(_unused_ void **state)
{
	/* 6.8: diagnostics, return query data. */
	static const uint8_t query[] = {0x01, 0x08, 0x00, 0x00, 0xA5, 0x37, 0xDA, 0x8D};
	static const uint8_t noise[300] = {0x55, 0x55};
	struct request request;
	size_t used = 0;

	assert_int_equal(serve(query, 7, &request, &used), SERVE_MORE);
	assert_int_equal(serve(query, 8, &request, &used), SERVE_UNKNOWN);
	assert_int_equal(used, 8);
	assert_int_equal(request.address, 1);
	assert_int_equal(serve(noise, sizeof(noise), &request, &used), SERVE_REFUSED);
}

static void test_serve_replies(_unused_ void **state)
{
	uint8_t frame[FRAME_MAX];

	assert_int_equal(modbus()->serve_reply(&voltage, voltage_reply + 3, frame),
			 sizeof(voltage_reply));
	assert_memory_equal(frame, voltage_reply, sizeof(voltage_reply));
	assert_int_equal(modbus()->serve_reply(&coils, coils_reply + 3, frame),
			 sizeof(coils_reply));
	assert_memory_equal(frame, coils_reply, sizeof(coils_reply));
	assert_int_equal(modbus()->serve_exception(1, 4, 6, frame), sizeof(busy));
	assert_memory_equal(frame, busy, sizeof(busy));
}

static void test_table(_unused_ void **state)
{
	assert_non_null(modbus());
	assert_null(driver_find("nonsense"));
	for (size_t i = 0; drivers[i]; i++)
		assert_string_equal(driver_names()[i], drivers[i]->name);
	for (int status = 0; status < REPLY_STATUS_COUNT; status++)
		assert_non_null(reply_status_name((enum reply_status)status));
	assert_string_equal(reply_status_name(REPLY_CHECKSUM), "checksum");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_reply_lengths),
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_every_flip),
		cmocka_unit_test(test_every_flip_of_an_exception),
		cmocka_unit_test(test_wrong_at_once),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_register_values),
		cmocka_unit_test(test_values_outside),
		cmocka_unit_test(test_bit_values),
		cmocka_unit_test(test_serve),
		cmocka_unit_test(test_serve_unknown),
		cmocka_unit_test(test_serve_replies),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
