// SPDX-License-Identifier: Apache-2.0
/* test_raw.c - every type in every byte order, bits, names, scale, and the way back. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/number.h"
#include "drivers/raw.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* order[i] is where the i-th most significant byte stands: "CDAB" is 2 3 0 1. */
static struct point make_point(enum value_type type, const char *order)
{
	struct point point = {.table = TABLE_HOLDING, .type = type, .scale = 1};

	for (uint8_t i = 0; i < 8; i++)
		point.order[i] = i;
	for (uint8_t i = 0; order[i]; i++)
		point.order[order[i] - 'A'] = i;
	return point;
}

static struct value decoded(const struct point *point, const char *bytes)
{
	struct value value;

	raw_decode(point, (const uint8_t *)bytes, &value);
	return value;
}

static void check_text(const struct point *point, const char *bytes, const char *expected)
{
	char buffer[128];
	struct text text = {.data = buffer, .size = sizeof(buffer)};
	struct value value = decoded(point, bytes);

	number_print(&value, &text);
	assert_string_equal(buffer, expected);
}

static void check(enum value_type type, const char *order, const char *bytes,
		  const char *expected)
{
	struct point point = make_point(type, order);

	check_text(&point, bytes, expected);
}

static void test_integers(_unused_ void **state)
{
	check(TYPE_U16, "AB", "\xFF\xFE", "65534");
	check(TYPE_I16, "AB", "\xFF\xFE", "-2");
	check(TYPE_U16, "BA", "\x34\x12", "4660");
	check(TYPE_U8, "AB", "\x12\x80", "128");
	check(TYPE_I8, "AB", "\x12\x80", "-128");
	check(TYPE_U8, "BA", "\x12\x80", "18");
	check(TYPE_U32, "ABCD", "\x00\x01\x00\x02", "65538");
	check(TYPE_I32, "ABCD", "\xFF\xFF\xFF\xFF", "-1");
	check(TYPE_U64, "ABCDEFGH", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
	      "18446744073709551615");
	check(TYPE_I64, "ABCDEFGH", "\x80\x00\x00\x00\x00\x00\x00\x00",
	      "-9223372036854775808");
}

/* 0x01020304 is 16909060; 0x0102030405060708 is 72623859790382856. */
static void test_orders(_unused_ void **state)
{
	check(TYPE_U32, "ABCD", "\x01\x02\x03\x04", "16909060");
	check(TYPE_U32, "CDAB", "\x03\x04\x01\x02", "16909060");
	check(TYPE_U32, "BADC", "\x02\x01\x04\x03", "16909060");
	check(TYPE_U32, "DCBA", "\x04\x03\x02\x01", "16909060");
	check(TYPE_U32, "BCDA", "\x02\x03\x04\x01", "16909060");
	check(TYPE_F32, "CDAB", "\x33\x33\x43\x66", "230.2");
	check(TYPE_U64, "ABCDEFGH", "\x01\x02\x03\x04\x05\x06\x07\x08",
	      "72623859790382856");
	check(TYPE_U64, "GHEFCDAB", "\x07\x08\x05\x06\x03\x04\x01\x02",
	      "72623859790382856");
	check(TYPE_U64, "BADCFEHG", "\x02\x01\x04\x03\x06\x05\x08\x07",
	      "72623859790382856");
	check(TYPE_U64, "HGFEDCBA", "\x08\x07\x06\x05\x04\x03\x02\x01",
	      "72623859790382856");
}

static void test_floats(_unused_ void **state)
{
	struct point point = make_point(TYPE_F32, "ABCD");
	struct value value = decoded(&point, "\x43\x66\x33\x33");

	assert_int_equal(value.kind, VALUE_FLOAT);
	assert_true(value.d == (double)230.2f);
	point.scale = 0.1;
	check_text(&point, "\x45\x0F\xE0\x00", "230.2"); /* 2302 */
	point.scale = 1000;
	check_text(&point, "\x7F\x7F\xFF\xFF", "null"); /* FLT_MAX: the product is none */
	check(TYPE_F64, "ABCDEFGH", "\x40\x6C\xC6\x66\x66\x66\x66\x66", "230.2");
	check(TYPE_F32, "ABCD", "\x7F\xC0\x00\x00", "null"); /* NaN */
	check(TYPE_F32, "ABCD", "\xFF\x80\x00\x00", "null"); /* -infinity */
	check(TYPE_F64, "ABCDEFGH", "\x7F\xF0\x00\x00\x00\x00\x00\x00", "null");
	check(TYPE_F32, "ABCD", "\x80\x00\x00\x00", "0"); /* -0 */
}

static void test_bcd(_unused_ void **state)
{
	check(TYPE_BCD16, "AB", "\x12\x34", "1234");
	check(TYPE_BCD16, "AB", "\x12\x3A", "null");
	check(TYPE_BCD32, "ABCD", "\x98\x76\x54\x32", "98765432");
	check(TYPE_BCD32, "CDAB", "\x54\x32\x98\x76", "98765432");
	check(TYPE_BCD32, "ABCD", "\xF0\x00\x00\x00", "null");
}

static void test_scale(_unused_ void **state)
{
	struct point point = make_point(TYPE_I16, "AB");
	struct value value;

	point.scale = 0.1;
	point.decimals = 1;
	value = decoded(&point, "\x08\xFE");
	assert_int_equal(value.kind, VALUE_DECIMAL);
	assert_int_equal(value.decimals, 1);
	check_text(&point, "\x08\xFE", "230.2");
	check_text(&point, "\xFF\xFF", "-0.1");
	point.offset = -40;
	check_text(&point, "\x00\xD7", "-18.5"); /* 215 tenths less 40 */

	/* An unsigned 64-bit number keeps its sign under a scale. */
	point = make_point(TYPE_U64, "ABCDEFGH");
	point.scale = 2;
	check_text(&point, "\x80\x00\x00\x00\x00\x00\x00\x00", "18446744073709552000");
	/* Without a scale a number that no double holds stays exact. */
	point.scale = 1;
	check_text(&point, "\x00\x20\x00\x00\x00\x00\x00\x01", "9007199254740993");
}

static void test_bits(_unused_ void **state)
{
	struct point point = make_point(TYPE_U16, "AB");

	point.bit_low = 4;
	point.bit_count = 3;
	check_text(&point, "\xFF\xDF", "5"); /* …1101 1111: bits 6 to 4 are 101 */
	point.type = TYPE_I16;
	check_text(&point, "\xFF\xDF", "-3");
	point.type = TYPE_BOOL;
	point.bit_low = 15;
	point.bit_count = 1;
	check_text(&point, "\x80\x00", "true");
	check_text(&point, "\x7F\xFF", "false");
}

static void test_bool(_unused_ void **state)
{
	struct point coil = make_point(TYPE_BOOL, "");

	check(TYPE_BOOL, "AB", "\x00\x00", "false");
	check(TYPE_BOOL, "AB", "\x10\x00", "true");
	coil.table = TABLE_COIL;
	check_text(&coil, "\x01", "true");
	check_text(&coil, "\x00", "false");
}

static void test_values(_unused_ void **state)
{
	struct value_name names[] = {{-1, "fault"}, {0, "off"}, {1, "on"}};
	struct point point = make_point(TYPE_I16, "AB");

	point.values = names;
	point.value_count = ARRAY_SIZE(names);
	assert_int_equal(decoded(&point, "\x00\x01").kind, VALUE_TEXT);
	check_text(&point, "\x00\x01", "on");
	check_text(&point, "\xFF\xFF", "fault");
	check_text(&point, "\x00\x07", "7"); /* unnamed */
	point.scale = 0.1;
	point.decimals = 1;
	check_text(&point, "\x00\x07", "0.7");
	check_text(&point, "\x00\x00", "off"); /* names are for the raw number */
	point.type = TYPE_BOOL;
	check_text(&point, "\x00\x04", "on");

	/* A number above INT64_MAX is not -1. */
	point = make_point(TYPE_U64, "ABCDEFGH");
	point.values = names;
	point.value_count = ARRAY_SIZE(names);
	check_text(&point, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "18446744073709551615");
}

static void test_nan(_unused_ void **state)
{
	struct point point = make_point(TYPE_I16, "AB");

	point.has_nan = true;
	point.nan = 0x7FFF;
	check_text(&point, "\x7F\xFF", "null");
	check_text(&point, "\x7F\xFE", "32766");
	point.nan = 0xFFFF;
	check_text(&point, "\xFF\xFF", "null");
	point.type = TYPE_U8;
	point.nan = 0xFF;
	check_text(&point, "\x12\xFF", "null");
	point = make_point(TYPE_F32, "CDAB");
	point.has_nan = true;
	point.nan = 0xC61C3C00; /* -9999 */
	check_text(&point, "\x3C\x00\xC6\x1C", "null");
}

static void test_strings(_unused_ void **state)
{
	struct point point = make_point(TYPE_STRING, "AB");

	point.length = 5;
	check_text(&point, "SDM12\xFF", "SDM12"); /* the sixth only fills */
	check_text(&point, "SD\0xyz", "SD");
	check_text(&point, "S D  \0", "S D");
	check_text(&point, "\0\0\0\0\0\0", "");
	point = make_point(TYPE_STRING, "BA");
	point.length = 5;
	check_text(&point, "DS1M#2", "SDM12");
}

/* --- the way back --- */

static void check_back(enum value_type type, const char *order, double number,
		       const char *bytes, size_t n)
{
	struct point point = make_point(type, order);
	uint8_t encoded[8];

	assert_int_equal(point_size(&point), n);
	memset(encoded, 0xA5, sizeof(encoded));
	raw_encode(&point, number, encoded);
	assert_memory_equal(encoded, bytes, n);
	if (n < sizeof(encoded))
		assert_int_equal(encoded[n], 0xA5);
}

static void test_encode(_unused_ void **state)
{
	check_back(TYPE_U16, "AB", 4660, "\x12\x34", 2);
	check_back(TYPE_U16, "BA", 4660, "\x34\x12", 2);
	check_back(TYPE_I16, "AB", -2, "\xFF\xFE", 2);
	check_back(TYPE_U8, "AB", 200, "\x00\xC8", 2);
	check_back(TYPE_I8, "AB", -1, "\x00\xFF", 2);
	check_back(TYPE_U32, "CDAB", 16909060, "\x03\x04\x01\x02", 4);
	check_back(TYPE_F32, "ABCD", 230.2, "\x43\x66\x33\x33", 4);
	check_back(TYPE_F64, "ABCDEFGH", 230.2, "\x40\x6C\xC6\x66\x66\x66\x66\x66", 8);
	check_back(TYPE_BCD16, "AB", 1234, "\x12\x34", 2);
	check_back(TYPE_BCD32, "ABCD", 98765432, "\x98\x76\x54\x32", 4);
	check_back(TYPE_BOOL, "AB", 1, "\x00\x01", 2);
}

static void test_encode_clamps(_unused_ void **state)
{
	check_back(TYPE_U16, "AB", -1, "\x00\x00", 2);
	check_back(TYPE_U16, "AB", 65535.4, "\xFF\xFF", 2);
	check_back(TYPE_U16, "AB", 1e30, "\xFF\xFF", 2);
	check_back(TYPE_I16, "AB", 40000, "\x7F\xFF", 2);
	check_back(TYPE_I16, "AB", -INFINITY, "\x80\x00", 2);
	check_back(TYPE_U64, "ABCDEFGH", 1e30, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
	check_back(TYPE_I64, "ABCDEFGH", -1e30, "\x80\x00\x00\x00\x00\x00\x00\x00", 8);
	check_back(TYPE_I64, "ABCDEFGH", 1e30, "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
	check_back(TYPE_BCD16, "AB", 10000, "\x99\x99", 2);
	check_back(TYPE_BCD32, "ABCD", -5, "\x00\x00\x00\x00", 4);
	check_back(TYPE_F32, "ABCD", 1e300, "\x7F\x7F\xFF\xFF", 4);
	check_back(TYPE_U16, "AB", NAN, "\x00\x00", 2);
}

static void test_encode_scaled(_unused_ void **state)
{
	struct value_name names[] = {{0, "off"}, {7, "on"}};
	struct point point = make_point(TYPE_I16, "AB");
	uint8_t bytes[2];

	point.scale = 0.1;
	point.offset = -40;
	raw_encode(&point, -18.5, bytes);
	assert_memory_equal(bytes, "\x00\xD7", 2);
	point.values = names;
	point.value_count = ARRAY_SIZE(names);
	raw_encode(&point, 7, bytes); /* the raw number */
	assert_memory_equal(bytes, "\x00\x07", 2);
	point.has_nan = true;
	point.nan = 0x7FFF;
	raw_encode(&point, NAN, bytes);
	assert_memory_equal(bytes, "\x7F\xFF", 2);
}

static void test_encode_bits(_unused_ void **state)
{
	struct point point = make_point(TYPE_U16, "AB");
	uint8_t bytes[2] = {0xFF, 0xFF};

	point.bit_low = 4;
	point.bit_count = 3;
	raw_encode(&point, 2, bytes);
	assert_memory_equal(bytes, "\xFF\xAF", 2); /* 1010 1111 */
	raw_encode(&point, 100, bytes);
	assert_memory_equal(bytes, "\xFF\xFF", 2); /* 7 is the most */
	bytes[0] = bytes[1] = 0;
	raw_encode(&point, 5, bytes);
	assert_memory_equal(bytes, "\x00\x50", 2);
}

static void test_encode_text(_unused_ void **state)
{
	struct point point = make_point(TYPE_STRING, "AB");
	uint8_t bytes[6];

	point.length = 5;
	raw_encode_text(&point, "SD", bytes);
	assert_memory_equal(bytes, "SD\0\0\0\0", 6);
	raw_encode_text(&point, "SDM120", bytes);
	assert_memory_equal(bytes, "SDM12\0", 6);
	point.order[0] = 1;
	point.order[1] = 0;
	raw_encode_text(&point, "SDM", bytes);
	assert_memory_equal(bytes, "DS\0M\0\0", 6);
}

/* All that 16 bits can hold comes back, at scales that are no binary fractions. */
static void test_there_and_back(_unused_ void **state)
{
	static const double scales[] = {1, 0.1, 0.01, 0.001, 10, 0.5};
	static const enum value_type types[] = {TYPE_U16, TYPE_I16};

	for (size_t s = 0; s < ARRAY_SIZE(scales) * ARRAY_SIZE(types); s++) {
		struct point point = make_point(types[s % 2], "BA");

		point.scale = scales[s / 2];
		for (unsigned raw = 0; raw <= UINT16_MAX; raw++) {
			uint8_t bytes[2] = {(uint8_t)raw, (uint8_t)(raw >> 8)}, back[2];
			struct value value;
			double number;

			raw_decode(&point, bytes, &value);
			number = value.kind == VALUE_UNSIGNED ? (double)value.u
				 : value.kind == VALUE_SIGNED ? (double)value.i
							      : value.d;
			raw_encode(&point, number, back);
			assert_memory_equal(back, bytes, 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_bcd),
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_nan),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_encode_clamps),
		cmocka_unit_test(test_encode_scaled),
		cmocka_unit_test(test_encode_bits),
		cmocka_unit_test(test_encode_text),
		cmocka_unit_test(test_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
