/* SPDX-License-Identifier: Apache-2.0 */
/* test_written.c - what a point takes, put into its bytes, reads back the same: all types. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/number.h"
#include "bridge/setting.h"
#include "drivers/raw.h"
#include "stream.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* As the device would have them before: what is not written must stay. */
enum { BEFORE = 0xA5, BYTES = STRING_MAX_LENGTH };

static void print(const struct value *value, char text[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1])
{
	struct text out = {.data = text, .size = STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1};

	*text = '\0';
	number_print(value, &out);
}

/* Floats with a scale and an offset may come back as the next one. */
static bool is_near(const struct point *point, const struct value *a, const struct value *b)
{
	double step = a->kind == VALUE_FLOAT ? 2e-7 : 1e-15;

	return a->kind == b->kind && (a->kind == VALUE_FLOAT || a->kind == VALUE_DOUBLE) &&
	       fabs(a->d - b->d) <= step * (fabs(a->d) + fabs(point->offset));
}

static void check_back(const struct point *point, const char *text)
{
	char written[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1], read[sizeof(written)];
	uint8_t bytes[BYTES], again[BYTES];
	char error[OUTCOME_ERROR_MAX];
	struct value value, back;

	if (setting_check(point, text, &value, error) < 0)
		return;
	memset(bytes, BEFORE, sizeof(bytes));
	assert_int_equal(raw_put(point, &value, bytes), 0);
	raw_decode(point, bytes, &back);
	print(&value, written);
	print(&back, read);
	if (!is_near(point, &value, &back))
		assert_string_equal(read, written);
	for (size_t i = point_size(point); i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], BEFORE);
	/* What was read writes the same bytes: nothing creeps. */
	memset(again, BEFORE, sizeof(again));
	assert_int_equal(raw_put(point, &back, again), 0);
	if (!is_near(point, &value, &back))
		assert_memory_equal(again, bytes, sizeof(bytes));
}

static struct device_map *one_point(const char *type, const char *order, const char *more)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "map: m\ndriver: modbus\npoints: {x: {addr: 0, type: '%s', order: %s%s, write: {}}}\n",
		 type, order, more);
	return stream_map(text);
}

static void check_values(const struct point *point)
{
	static const char *const texts[] = {
		"0", "1", "-1", "7", "12", "100", "-100", "127", "128", "-128", "255", "256",
		"1234", "9999", "10000", "32767", "-32768", "65535", "99999999", "2147483647",
		"-2147483648", "4294967295", "9007199254740993", "9223372036854775807",
		"-9223372036854775808", "18446744073709551615", "0.1", "0.05", "-0.15", "21.5",
		"230.2", "1e-3", "1e10", "3.4e38", "1e300", "on", "off", "eco", "ab", "AbcDef 7",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		check_back(point, texts[i]);
	/* The same numbers each time (Numerical Recipes' generator). */
	for (uint32_t i = 0, random = 1; i < 2000; i++) {
		char text[32];

		random = random * 1664525 + 1013904223;
		snprintf(text, sizeof(text), "%.*f", (int)(random >> 4 & 3),
			 ((double)random - 2147483648.0) / pow(10, random >> 8 & 7));
		check_back(point, text);
	}
}

/* Every type, in every order that maps have for its size, plain and scaled and in part. */
static void test_all_types(_unused_ void **state)
{
	static const struct {
		const char *type, *orders[4];
	} types[] = {
		{"bool", {"AB", "BA"}},	 {"u8", {"AB", "BA"}},	{"i8", {"AB", "BA"}},
		{"u16", {"AB", "BA"}},	 {"i16", {"AB", "BA"}}, {"bcd16", {"AB", "BA"}},
		{"u32", {"ABCD", "CDAB", "BADC", "DCBA"}},
		{"i32", {"ABCD", "CDAB", "BADC", "DCBA"}},
		{"f32", {"ABCD", "CDAB", "BADC", "DCBA"}},
		{"bcd32", {"ABCD", "CDAB", "BADC", "DCBA"}},
		{"u64", {"ABCDEFGH", "GHEFCDAB", "HGFEDCBA", "BADCFEHG"}},
		{"i64", {"ABCDEFGH", "GHEFCDAB", "HGFEDCBA", "BADCFEHG"}},
		{"f64", {"ABCDEFGH", "GHEFCDAB", "HGFEDCBA", "BADCFEHG"}},
		{"string[7]", {"AB", "BA"}},
	};
	static const char *const more[] = {
		"", ", scale: 0.1", ", scale: 0.01, offset: -40", ", scale: -2.5, offset: 7",
		", offset: 1000",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		bool number = strcmp(types[i].type, "bool") && strncmp(types[i].type, "string", 6);

		for (size_t j = 0; j < 4 && types[i].orders[j]; j++) {
			for (size_t k = 0; k < (number ? ARRAY_SIZE(more) : 1); k++) {
				_cleanup_(device_map_freep) struct device_map *map =
					one_point(types[i].type, types[i].orders[j], more[k]);

				check_values(&map->points[0]);
			}
		}
	}
}

/* Bits of a register, whose other bits stay as they were. */
static void test_bits(_unused_ void **state)
{
	static const char *const bits[] = {"0", "15", "4..6", "0..15", "7..8", "3..3"};
	static const char *const types[] = {"bool", "u16", "i16"};

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(types); j++) {
			char more[32];
			_cleanup_(device_map_freep) struct device_map *map = NULL;
			const struct point *point;
			uint8_t bytes[2] = {BEFORE, BEFORE};
			struct value value;
			char error[OUTCOME_ERROR_MAX];
			uint16_t field;

			snprintf(more, sizeof(more), ", bits: %s", bits[i]);
			map = one_point(types[j], "AB", more);
			point = &map->points[0];
			check_values(point);
			assert_int_equal(setting_check(point, "0", &value, error), 0);
			assert_int_equal(raw_put(point, &value, bytes), 0);
			field = (uint16_t)(((1u << point->bit_count) - 1) << point->bit_low);
			assert_int_equal(bytes[0] << 8 | bytes[1], 0xA5A5 & ~field);
		}
	}
}

static void test_names(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		one_point("i16", "AB", ", values: {-1: off, 0: eco, 300: boost}");
	static const struct {
		const char *name;
		uint8_t bytes[2];
	} names[] = {{"off", {0xFF, 0xFF}}, {"eco", {0, 0}}, {"boost", {0x01, 0x2C}}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char error[OUTCOME_ERROR_MAX];
		uint8_t bytes[2];
		struct value value;

		assert_int_equal(setting_check(&map->points[0], names[i].name, &value, error), 0);
		assert_int_equal(raw_put(&map->points[0], &value, bytes), 0);
		assert_memory_equal(bytes, names[i].bytes, 2);
	}
}

/* Nothing is clamped, and nothing of another kind is written. */
static void test_what_does_not_fit(_unused_ void **state)
{
	static const struct {
		const char *type, *order;
		struct value value;
	} cases[] = {
		{"u16", "AB", {.kind = VALUE_UNSIGNED, .u = 65536}},
		{"u16", "AB", {.kind = VALUE_SIGNED, .i = -1}},
		{"i16", "AB", {.kind = VALUE_SIGNED, .i = -32769}},
		{"i16", "AB", {.kind = VALUE_UNSIGNED, .u = 32768}},
		{"bool", "AB", {.kind = VALUE_UNSIGNED, .u = 2}},
		{"bcd16", "AB", {.kind = VALUE_UNSIGNED, .u = 10000}},
		{"i64", "ABCDEFGH", {.kind = VALUE_UNSIGNED, .u = UINT64_MAX}},
		{"u64", "ABCDEFGH", {.kind = VALUE_DOUBLE, .d = 1e300}},
		{"f32", "ABCD", {.kind = VALUE_DOUBLE, .d = 1e39}},
		{"f64", "ABCDEFGH", {.kind = VALUE_DOUBLE, .d = INFINITY}},
		{"u16", "AB", {.kind = VALUE_TEXT, .text = "eco"}},
		{"u16", "AB", {.kind = VALUE_NULL}},
		{"string[2]", "AB", {.kind = VALUE_TEXT, .text = "abc"}},
		{"string[2]", "AB", {.kind = VALUE_UNSIGNED, .u = 1}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(device_map_freep) struct device_map *map =
			one_point(cases[i].type, cases[i].order, "");
		uint8_t bytes[BYTES];

		memset(bytes, BEFORE, sizeof(bytes));
		assert_int_equal(raw_put(&map->points[0], &cases[i].value, bytes), -ERANGE);
		for (size_t j = 0; j < sizeof(bytes); j++)
			assert_int_equal(bytes[j], BEFORE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_types),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
