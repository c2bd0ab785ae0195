// SPDX-License-Identifier: Apache-2.0
/* test_modbus_ascii.c - Modbus ASCII frames, whole, cut, flipped and foreign, and back. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "field/driver.h"

#include <string.h>

static const struct driver *ascii(void)
{
	return driver_find("modbus-ascii");
}

/* Parses from a heap copy of exactly n bytes, so that reads past them are seen. */
static struct reply reply_of(const struct request *request, const char *bytes, size_t n)
{
	_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);
	struct reply reply;

	memcpy(copy, bytes, n);
	reply = ascii()->reply(request, n ? copy : NULL, n);
	if (reply.data)
		reply.data = (const uint8_t *)bytes + (reply.data - copy);
	return reply;
}

/* Holding registers 0x6B to 0x6D of address 0x11: Application Protocol V1.1b3, 6.3. */
static const struct request registers = {
	.address = 0x11, .table = TABLE_HOLDING, .first = 0x6B, .count = 3};
static const char registers_reply[] = ":110306022B0000006455\r\n";
/* 6.1: 19 coils from the 20th on, in 3 bytes. */
static const struct request coils = {
	.address = 0x11, .table = TABLE_COIL, .first = 0x13, .count = 0x13};
static const char coils_reply[] = ":110103CD6B05AE\r\n";
static const char busy[] = ":11830666\r\n";

static void test_requests(_unused_ void **state)
{
	uint8_t frame[FRAME_MAX];

	assert_int_equal(ascii()->request(&registers, frame), 17);
	assert_memory_equal(frame, ":1103006B00037E\r\n", 17);
	assert_int_equal(ascii()->reply_length(&registers), strlen(registers_reply));
	assert_int_equal(ascii()->reply_length(&coils), strlen(coils_reply));
}

static void check_every_split(const struct request *request, const char *bytes,
			      enum reply_status status)
{
	size_t n = strlen(bytes);
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
	check_every_split(&registers, registers_reply, REPLY_OK);
	check_every_split(&coils, coils_reply, REPLY_OK);
	check_every_split(&registers, busy, REPLY_EXCEPTION);
	assert_int_equal(reply_of(&registers, busy, strlen(busy)).exception, 6);
}

/* No flipped bit passes, but the one that makes a digit's letter small. */
static void test_every_flip(_unused_ void **state)
{
	size_t n = strlen(registers_reply);

	for (size_t bit = 0; bit < n * 8; bit++) {
		char flipped[sizeof(registers_reply)];
		enum reply_status status;

		memcpy(flipped, registers_reply, sizeof(flipped));
		flipped[bit / 8] ^= (char)(1 << bit % 8);
		status = reply_of(&registers, flipped, n).status;
		if (flipped[bit / 8] == 'b')
			assert_int_equal(status, REPLY_OK);
		else
			assert_true(status != REPLY_OK && status != REPLY_MORE);
	}
	assert_int_equal(reply_of(&registers, ":12", 3).status, REPLY_ADDRESS);
	assert_int_equal(reply_of(&registers, ":1104", 5).status, REPLY_FUNCTION);
	assert_int_equal(reply_of(&registers, ":110304", 7).status, REPLY_LENGTH);
	assert_int_equal(reply_of(&registers, "1", 1).status, REPLY_GARBAGE);
}

static void test_values(_unused_ void **state)
{
	struct reply reply = reply_of(&registers, registers_reply, strlen(registers_reply));
	struct point point = {.table = TABLE_HOLDING, .addr = 0x6B, .type = TYPE_U16,
			      .scale = 1, .order = {0, 1}};
	struct value value;

	ascii()->value(&registers, reply.data, &point, &value);
	assert_int_equal(value.kind, VALUE_UNSIGNED);
	assert_int_equal(value.u, 0x022B);
	point.addr = 0x6D;
	ascii()->value(&registers, reply.data, &point, &value);
	assert_int_equal(value.u, 0x64);
	point.addr = 0x6E;
	ascii()->value(&registers, reply.data, &point, &value);
	assert_int_equal(value.kind, VALUE_NULL);
	/* The longest there is. */
	point.addr = 0x0013;
	reply = reply_of(&coils, coils_reply, strlen(coils_reply));
	point.table = TABLE_COIL;
	point.type = TYPE_BOOL;
	ascii()->value(&coils, reply.data, &point, &value);
	assert_int_equal(value.kind, VALUE_BOOL);
	assert_int_equal(value.u, 1);
}

static void test_longest(_unused_ void **state)
{
	const struct request longest = {
		.address = 1, .table = TABLE_INPUT, .first = 0, .count = BATCH_MAX_REGISTERS};
	uint8_t data[DATA_MAX], frame[FRAME_MAX];
	size_t n;

	memset(data, 0xA5, sizeof(data));
	n = ascii()->serve_reply(&longest, data, frame);
	assert_int_equal(n, 511);
	assert_int_equal(reply_of(&longest, (const char *)frame, n).status, REPLY_OK);
}

static void test_serve(_unused_ void **state)
{
	static const char frame[] = ":1103006B00037E\r\n:11";
	struct request request;
	size_t used = 0;

	for (size_t cut = 0; cut < 17; cut++)
		assert_int_equal(ascii()->serve((const uint8_t *)frame, cut, &request, &used),
				 SERVE_MORE);
	assert_int_equal(ascii()->serve((const uint8_t *)frame, sizeof(frame) - 1, &request,
					&used),
			 SERVE_REQUEST);
	assert_int_equal(used, 17);
	assert_int_equal(request.address, 0x11);
	assert_int_equal(request.table, TABLE_HOLDING);
	assert_int_equal(request.first, 0x6B);
	assert_int_equal(request.count, 3);
	for (size_t bit = 0; bit < 17 * 8; bit++) {
		char flipped[sizeof(frame)];

		memcpy(flipped, frame, sizeof(frame));
		flipped[bit / 8] ^= (char)(1 << bit % 8);
		if (flipped[bit / 8] == 'b' || flipped[bit / 8] == 'e')
			continue;
		assert_int_not_equal(ascii()->serve((uint8_t *)flipped, 17, &request, &used),
				     SERVE_REQUEST);
	}
	/* 6.8: diagnostics, return query data. */
	assert_int_equal(ascii()->serve((const uint8_t *)":01080000A5371B\r\n", 17, &request,
					&used),
			 SERVE_UNKNOWN);
	assert_int_equal(used, 17);
}

static void test_serve_replies(_unused_ void **state)
{
	static const uint8_t data[] = {0x02, 0x2B, 0x00, 0x00, 0x00, 0x64};
	uint8_t frame[FRAME_MAX];

	assert_int_equal(ascii()->serve_reply(&registers, data, frame),
			 strlen(registers_reply));
	assert_memory_equal(frame, registers_reply, strlen(registers_reply));
	assert_int_equal(ascii()->serve_exception(0x11, 3, 6, frame), strlen(busy));
	assert_memory_equal(frame, busy, strlen(busy));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests), cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_every_flip), cmocka_unit_test(test_values),
		cmocka_unit_test(test_longest), cmocka_unit_test(test_serve),
		cmocka_unit_test(test_serve_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
