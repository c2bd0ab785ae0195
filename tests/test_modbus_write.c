/* SPDX-License-Identifier: Apache-2.0 */
/* test_modbus_write.c - functions 5, 6, 15, 16 and 22, RTU and ASCII: frames, replies, serving. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "field/driver.h"

#include <string.h>

/*
 * The examples of the Application Protocol V1.1b3, 6.5, 6.6, 6.11, 6.12 and 6.16, to address
 * 0x11: coil 173 on; register 2 is 3; ten coils from the 20th; registers 2 and 3 are 10 and
 * 258; the fifth register AND F2 OR 25. And a relay board's flash, which no standard knows.
 */
static const struct known {
	struct request request;
	const char *data;
	const char *rtu, *rtu_reply; /* in hexadecimal */
	const char *ascii, *ascii_reply;
} known[] = {
	{{.address = 0x11, .table = TABLE_COIL, .first = 0xAC, .count = 1, .function = 5}, "FF00",
	 "110500ACFF004E8B", "110500ACFF004E8B", ":110500ACFF003F\r\n", ":110500ACFF003F\r\n"},
	{{.address = 0x11, .table = TABLE_HOLDING, .first = 1, .count = 1, .function = 6}, "0003",
	 "1106000100039A9B", "1106000100039A9B", ":110600010003E5\r\n", ":110600010003E5\r\n"},
	{{.address = 0x11, .table = TABLE_COIL, .first = 0x13, .count = 10, .function = 15}, "CD01",
	 "110F0013000A02CD01BF0B", "110F0013000A2699", ":110F0013000A02CD01F3\r\n",
	 ":110F0013000AC3\r\n"},
	{{.address = 0x11, .table = TABLE_HOLDING, .first = 1, .count = 2, .function = 16},
	 "000A0102", "11100001000204000A0102C6F0", "1110000100021298",
	 ":11100001000204000A0102CB\r\n", ":111000010002DC\r\n"},
	{{.address = 0x11, .table = TABLE_HOLDING, .first = 4, .count = 1, .function = 22},
	 "00F20025", "1116000400F2002566E2", "1116000400F2002566E2",
	 ":1116000400F20025BE\r\n", ":1116000400F20025BE\r\n"},
	{{.address = 1, .table = TABLE_COIL, .first = 0x200, .count = 1, .function = 5}, "0007",
	 "0105020000078DB0", "0105020000078DB0", ":010502000007F1\r\n", ":010502000007F1\r\n"},
};

static size_t from_hex(const char *hex, uint8_t *bytes)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
	return n;
}

/* One of the two, and its bytes of what is known. */
struct mode {
	const struct driver *driver;
	uint8_t frame[FRAME_MAX], reply[FRAME_MAX];
	size_t n, reply_n;
};

static void take(const struct known *k, bool ascii, struct mode *mode)
{
	mode->driver = driver_find(ascii ? "modbus-ascii" : "modbus");
	if (ascii) {
		mode->n = strlen(k->ascii);
		memcpy(mode->frame, k->ascii, mode->n);
		mode->reply_n = strlen(k->ascii_reply);
		memcpy(mode->reply, k->ascii_reply, mode->reply_n);
	} else {
		mode->n = from_hex(k->rtu, mode->frame);
		mode->reply_n = from_hex(k->rtu_reply, mode->reply);
	}
}

/* Calls `test` with each of what is known, in both modes. */
static void each(void (*test)(const struct known *, const struct request *, struct mode *))
{
	for (size_t i = 0; i < 2 * ARRAY_SIZE(known); i++) {
		const struct known *k = &known[i / 2];
		struct request request = k->request;
		uint8_t data[DATA_MAX];
		struct mode mode;

		from_hex(k->data, data);
		request.data = data;
		take(k, i % 2, &mode);
		test(k, &request, &mode);
	}
}

/* From a heap copy of exactly n bytes, so that reads past them are seen. */
static struct reply reply_of(const struct mode *mode, const struct request *request, size_t n)
{
	_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, mode->reply, n);
	return mode->driver->reply(request, copy, n);
}

static void check_frames(_unused_ const struct known *k, const struct request *request,
			 struct mode *mode)
{
	uint8_t frame[FRAME_MAX];

	assert_int_equal(mode->driver->request(request, frame), mode->n);
	assert_memory_equal(frame, mode->frame, mode->n);
	assert_int_equal(mode->driver->reply_length(request), mode->reply_n);
}

static void check_replies(_unused_ const struct known *k, const struct request *request,
			  struct mode *mode)
{
	struct reply reply;

	for (size_t n = 0; n < mode->reply_n; n++) {
		reply = reply_of(mode, request, n);
		assert_int_equal(reply.status, REPLY_MORE);
		assert_true(reply.length > n);
	}
	reply = reply_of(mode, request, mode->reply_n);
	assert_int_equal(reply.status, REPLY_OK);
	assert_int_equal(reply.length, mode->reply_n);
	for (size_t bit = 0; bit < 8 * mode->reply_n; bit++) {
		uint8_t *byte = &mode->reply[bit / 8], before = *byte;

		*byte ^= (uint8_t)(1 << bit % 8);
		/* A digit's case does not matter. */
		if (*byte < 'a' || *byte > 'f')
			assert_int_not_equal(reply_of(mode, request, mode->reply_n).status,
					     REPLY_OK);
		*byte = before;
	}
}

/* A reply that is right in itself and confirms another place or value. */
static void check_other(_unused_ const struct known *k, const struct request *request,
			struct mode *mode)
{
	struct request other = *request;
	uint8_t data[DATA_MAX];

	memcpy(data, request->data, 4);
	other.first++;
	mode->reply_n = mode->driver->serve_reply(&other, data, mode->reply);
	assert_int_equal(reply_of(mode, request, mode->reply_n).status, REPLY_DIFFERS);
	other = *request;
	if (request->function == 15 || request->function == 16)
		return; /* what was written is not in their reply */
	data[1] ^= 1;
	mode->reply_n = mode->driver->serve_reply(&other, data, mode->reply);
	assert_int_equal(reply_of(mode, request, mode->reply_n).status, REPLY_DIFFERS);
}

static void check_exceptions(_unused_ const struct known *k, const struct request *request,
			     struct mode *mode)
{
	struct reply reply;

	mode->reply_n = mode->driver->serve_exception(request->address, request->function, 2,
						      mode->reply);
	reply = reply_of(mode, request, mode->reply_n);
	assert_int_equal(reply.status, REPLY_EXCEPTION);
	assert_int_equal(reply.exception, 2);
	/* Another function's, such as a late one to what was asked before. */
	mode->reply_n = mode->driver->serve_exception(request->address, 3, 2, mode->reply);
	assert_int_equal(reply_of(mode, request, mode->reply_n).status, REPLY_FUNCTION);
}

static void check_serving(const struct known *k, const struct request *request,
			  struct mode *mode)
{
	uint8_t data[DATA_MAX], wanted[DATA_MAX], frame[FRAME_MAX];
	struct request served;
	size_t used = 0, n;

	for (n = 0; n < mode->n; n++) {
		_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, mode->frame, n);
		assert_int_equal(mode->driver->serve(copy, n, &served, &used), SERVE_MORE);
	}
	assert_int_equal(mode->driver->serve(mode->frame, mode->n, &served, &used), SERVE_REQUEST);
	assert_int_equal(used, mode->n);
	assert_int_equal(served.address, request->address);
	assert_int_equal(served.function, request->function);
	assert_int_equal(served.table, request->table);
	assert_int_equal(served.first, request->first);
	assert_int_equal(served.count, request->count);
	n = from_hex(k->data, wanted);
	assert_int_equal(mode->driver->data(&served, served.data, data), n);
	assert_memory_equal(data, wanted, n);
	n = mode->driver->serve_reply(&served, data, frame);
	assert_int_equal(n, mode->reply_n);
	assert_memory_equal(frame, mode->reply, n);
}

static void test_frames(_unused_ void **state)
{
	each(check_frames);
}

static void test_replies(_unused_ void **state)
{
	each(check_replies);
}

static void test_other_confirmations(_unused_ void **state)
{
	each(check_other);
}

static void test_exceptions(_unused_ void **state)
{
	each(check_exceptions);
}

static void test_serving(_unused_ void **state)
{
	each(check_serving);
}

/* As many as fit: 123 registers and 1968 coils (6.11, 6.12). */
static void test_longest(_unused_ void **state)
{
	static const struct request longest[] = {
		{.address = 9, .table = TABLE_HOLDING, .count = 123, .function = 16},
		{.address = 9, .table = TABLE_COIL, .count = 1968, .function = 15},
	};
	static const char *const names[] = {"modbus", "modbus-ascii"};

	for (size_t i = 0; i < 4; i++) {
		const struct driver *driver = driver_find(names[i % 2]);
		struct request request = longest[i / 2], served;
		uint8_t data[DATA_MAX], back[DATA_MAX], frame[FRAME_MAX];
		size_t n, used = 0;

		for (size_t j = 0; j < sizeof(data); j++)
			data[j] = (uint8_t)(j * 7);
		request.data = data;
		n = driver->request(&request, frame);
		assert_int_equal(n, i % 2 ? 1 + 2 * 254 + 2 : 255);
		assert_int_equal(driver->serve(frame, n, &served, &used), SERVE_REQUEST);
		assert_int_equal(driver->data(&served, served.data, back), 246);
		assert_memory_equal(back, data, 246);
	}
}

/* A count that its bytes do not have is refused by the device, not by chance. */
static void test_wrong_count(_unused_ void **state)
{
	uint8_t data[] = {0, 1, 0, 2}, frame[FRAME_MAX];
	struct request request = {.address = 1, .table = TABLE_HOLDING, .count = 2,
				  .function = 16, .data = data};
	const struct driver *ascii = driver_find("modbus-ascii");
	struct request served;
	size_t n = ascii->request(&request, frame), used = 0;

	/* :01 10 0000 0002 04 …: a count of 3, and the LRC one less. */
	frame[12] = '3';
	frame[n - 3]--;
	assert_int_equal(ascii->serve(frame, n, &served, &used), SERVE_REQUEST);
	assert_int_equal(served.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_other_confirmations),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_serving),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_wrong_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
