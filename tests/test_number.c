// SPDX-License-Identifier: Apache-2.0
/* test_number.c - numbers and strings as text: shortest, exact, in every locale. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/message.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <string.h>

enum { TRIES = 100000 };

static const char *printed(struct value value)
{
	static char buffer[512];
	struct text text = {.data = buffer, .size = sizeof(buffer)};

	number_print(&value, &text);
	assert_false(text.full);
	assert_int_equal(text.length, strlen(buffer));
	return buffer;
}

static const char *single(float f)
{
	return printed((struct value){.kind = VALUE_FLOAT, .d = (double)f});
}

static const char *twice(double d)
{
	return printed((struct value){.kind = VALUE_DOUBLE, .d = d});
}

static const char *decimal(double d, int8_t decimals)
{
	return printed(
		(struct value){.kind = VALUE_DECIMAL, .d = d, .decimals = decimals});
}

static const char *quoted(const char *bytes)
{
	static char buffer[512];
	struct text text = {.data = buffer, .size = sizeof(buffer)};

	json_string(bytes, &text);
	assert_false(text.full);
	return buffer;
}

static float float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static double double_of(uint64_t bits)
{
	double d;

	memcpy(&d, &bits, sizeof(d));
	return d;
}

/* xorshift64 (Marsaglia 2003): the same numbers each run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void test_floats(_unused_ void **state)
{
	assert_string_equal(single(230.2f), "230.2"); /* 0x43663333 */
	assert_string_equal(single(float_of(0x43663334)), "230.20001");
	assert_string_equal(single(0.1f), "0.1");
	assert_string_equal(single(-12.5f), "-12.5");
	assert_string_equal(single(16777216.0f), "16777216");
	assert_string_equal(single(100), "100");
	assert_string_equal(single(FLT_MAX), "3.4028235e+38");
	assert_string_equal(single(float_of(1)), "1e-45");
	assert_string_equal(single(-0.0f), "0");
	assert_string_equal(single(NAN), "null");
	assert_string_equal(single(-INFINITY), "null");
}

static void test_doubles(_unused_ void **state)
{
	assert_string_equal(twice(230.2), "230.2");
	assert_string_equal(twice(0.1 + 0.2), "0.30000000000000004");
	assert_string_equal(twice(1e20), "100000000000000000000");
	assert_string_equal(twice(999999999999999900000.0), "999999999999999900000");
	assert_string_equal(twice(1e21), "1e+21");
	assert_string_equal(twice(-1.5e300), "-1.5e+300");
	assert_string_equal(twice(1e-6), "0.000001");
	assert_string_equal(twice(1.25e-6), "0.00000125");
	assert_string_equal(twice(9.5e-7), "9.5e-7");
	assert_string_equal(twice(5e-324), "5e-324");
	assert_string_equal(twice(DBL_MAX), "1.7976931348623157e+308");
	assert_string_equal(twice(-0.0), "0");
	assert_string_equal(twice(NAN), "null");
}

static void test_decimals(_unused_ void **state)
{
	assert_string_equal(decimal(2302 * 0.1, 1), "230.2");
	assert_string_equal(decimal(2300 * 0.1, 1), "230");
	assert_string_equal(decimal(-7 * 0.01, 2), "-0.07");
	assert_string_equal(decimal(-0.04, 1), "0");
	assert_string_equal(decimal(65535 * 0.001, 3), "65.535");
	assert_string_equal(decimal(1e22, 3), "1e+22");
	assert_string_equal(decimal(5, 0), "5");
	assert_string_equal(decimal(INFINITY, 1), "null");
}

/* Every 16-bit reading in tenths is the integer with a point in it. */
static void test_every_register(_unused_ void **state)
{
	char expected[32];

	for (int i = 0; i <= UINT16_MAX; i++) {
		snprintf(expected, sizeof(expected), "%d.%d", i / 10, i % 10);
		if (i % 10 == 0)
			snprintf(expected, sizeof(expected), "%d", i / 10);
		assert_string_equal(decimal(i * 0.1, 1), expected);
	}
}

static void test_integers(_unused_ void **state)
{
	assert_string_equal(
		printed((struct value){.kind = VALUE_UNSIGNED, .u = UINT64_MAX}),
		"18446744073709551615");
	assert_string_equal(printed((struct value){.kind = VALUE_SIGNED, .i = INT64_MIN}),
			    "-9223372036854775808");
	assert_string_equal(printed((struct value){.kind = VALUE_BOOL, .u = 1}), "true");
	assert_string_equal(printed((struct value){.kind = VALUE_BOOL, .u = 0}), "false");
	assert_string_equal(printed((struct value){.kind = VALUE_NULL}), "null");
	assert_string_equal(
		printed((struct value){.kind = VALUE_TEXT, .text = "on \"1\""}),
		"on \"1\"");
}

/* Whether fewer digits than `text` has would read back as the same float. */
static bool float_has_shorter(float f, const char *text)
{
	char shorter[64];
	int digits = 0;

	for (const char *c = text; *c && *c != 'e'; c++)
		digits += *c >= '0' && *c <= '9';
	/* Leading and trailing zeros of 0.00012 and 120000 are not counted. */
	if (digits > FLT_DECIMAL_DIG || text[0] == '0' || !strchr(text, '.') ||
	    digits < 2)
		return false;
	snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, (double)f);
	return strtof(shorter, NULL) == f;
}

static void test_floats_read_back(_unused_ void **state)
{
	uint64_t random = 42;

	for (int i = 0; i < TRIES; i++) {
		float f = float_of((uint32_t)next_random(&random));
		const char *text;

		if (!isfinite(f) || f == 0)
			continue;
		text = single(f);
		if (strtof(text, NULL) != f ||
		    float_has_shorter(fabsf(f), text + (f < 0)))
			fail_msg("%a became %s", (double)f, text);
	}
}

static void test_doubles_read_back(_unused_ void **state)
{
	uint64_t random = 43;

	for (int i = 0; i < TRIES; i++) {
		double d = double_of(next_random(&random));
		const char *text;

		if (!isfinite(d) || d == 0)
			continue;
		text = twice(d);
		if (strtod(text, NULL) != d || strlen(text) >= NUMBER_MAX_TEXT)
			fail_msg("%a became %s", d, text);
	}
}

/* What people write with up to 15 digits comes back letter by letter. */
static void test_written_decimals_stay(_unused_ void **state)
{
	uint64_t random = 44;
	char written[64];

	for (int i = 0; i < TRIES; i++) {
		unsigned whole = (unsigned)(next_random(&random) % 1000000);
		unsigned part = (unsigned)(next_random(&random) % 1000000) | 1;

		snprintf(written, sizeof(written), "%u.%06u", whole, part);
		while (written[strlen(written) - 1] == '0')
			written[strlen(written) - 1] = '\0';
		if (strcmp(twice(strtod(written, NULL)), written) != 0)
			fail_msg("%s became %s", written, twice(strtod(written, NULL)));
	}
}

static void test_locale_changes_nothing(_unused_ void **state)
{
	static const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE",
					     "ps_AF"};
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(commas) && !found; i++)
		found = setlocale(LC_NUMERIC, commas[i]);
	if (!found)
		skip(); /* no such locale is installed here */
	assert_string_equal(twice(230.25), "230.25");
	assert_string_equal(decimal(2302 * 0.1, 1), "230.2");
	assert_string_equal(single(1.5e30f), "1.5e+30");
	setlocale(LC_NUMERIC, "C");
}

static void test_strings(_unused_ void **state)
{
	assert_string_equal(quoted("kWh"), "\"kWh\"");
	assert_string_equal(quoted(""), "\"\"");
	assert_string_equal(quoted("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
	assert_string_equal(quoted("\n\t\x01\x1f\x7f"),
			    "\"\\u000a\\u0009\\u0001\\u001f\x7f\"");
	/* UTF-8 of two, three and four bytes stays. */
	assert_string_equal(quoted("°C € 𝄞"), "\"°C € 𝄞\"");
	assert_string_equal(quoted("\xF4\x8F\xBF\xBF"), "\"\xF4\x8F\xBF\xBF\"");
	/* ISO 8859-1, overlong, a surrogate, above U+10FFFF, cut short at the end. */
	assert_string_equal(quoted("\xB0 C"), "\"\uFFFD C\"");
	assert_string_equal(quoted("\xC0\xAF"), "\"\uFFFD\uFFFD\"");
	assert_string_equal(quoted("\xE0\x80\xAF"), "\"\uFFFD\uFFFD\uFFFD\"");
	assert_string_equal(quoted("\xED\xA0\x80"), "\"\uFFFD\uFFFD\uFFFD\"");
	assert_string_equal(quoted("\xF4\x90\x80\x80"), "\"\uFFFD\uFFFD\uFFFD\uFFFD\"");
	assert_string_equal(quoted("x\xE2\x82"), "\"x\uFFFD\uFFFD\"");
}

static void test_text_never_overflows(_unused_ void **state)
{
	char buffer[8] = "########";
	struct text text = {.data = buffer, .size = 5};

	text_add(&text, "abc", 3);
	text_addf(&text, "%d", 7);
	assert_string_equal(buffer, "abc7");
	assert_false(text.full);
	text_addf(&text, "%d", 8);
	assert_true(text.full);
	assert_string_equal(buffer, "abc7");
	text_add(&text, "", 0); /* once full, it stays so */
	assert_true(text.full);
	assert_memory_equal(buffer + 5, "###", 3);

	text = (struct text){.data = buffer, .size = 0};
	text_add(&text, "x", 1);
	assert_true(text.full);
	assert_string_equal(buffer, "abc7");
}

static const char *payload(enum message_form form, const char *body, int64_t time_ms)
{
	static char buffer[256];
	struct text text = {.data = buffer, .size = sizeof(buffer)};
	struct message message = {
		.seq = 18231,
		.form = form,
		.time_ms = time_ms,
		.body = body,
		.body_length = (uint32_t)strlen(body),
	};

	message_payload(&message, &text);
	assert_false(text.full);
	return buffer;
}

static void test_payloads(_unused_ void **state)
{
	const char *body = "\"voltage\":230.2,\"current\":1.31";
	const int64_t time_ms = 1795459921123; /* date -u -d @1795459921 */

	assert_string_equal(payload(FORM_ISO_TIME, body, time_ms),
			    "{\"time\":\"2026-11-23T18:52:01.123Z\",\"seq\":18231,"
			    "\"voltage\":230.2,\"current\":1.31}");
	assert_string_equal(payload(FORM_EPOCH_MS, body, time_ms),
			    "{\"time\":1795459921123,\"seq\":18231,"
			    "\"voltage\":230.2,\"current\":1.31}");
	assert_string_equal(payload(FORM_BARE, "230.2", time_ms), "230.2");
	/* Behind what goes with it. */
	assert_string_equal(payload(FORM_REPLY, "\x03" "c-7{\"ok\":true}", time_ms),
			    "{\"ok\":true}");
	assert_string_equal(payload(FORM_ISO_TIME, "", 0),
			    "{\"time\":\"1970-01-01T00:00:00.000Z\",\"seq\":18231}");
	assert_string_equal(payload(FORM_ISO_TIME, "", -1),
			    "{\"time\":\"1969-12-31T23:59:59.999Z\",\"seq\":18231}");
}

static void utf8_is_told_from_other_bytes(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		bool valid;
	} texts[] = {
		{ "", 0, true }, { "21.5", 4, true }, { "\xC2\xB0""C", 3, true },
		{ "\xF0\x9F\x8C\xA1", 4, true }, { "a\0b", 3, false }, { "\xFF", 1, false },
		{ "\xC2", 1, false }, { "\xE0\x80\x80", 3, false }, { "ab\x80", 3, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(utf8_is_valid(texts[i].bytes, texts[i].length),
				 texts[i].valid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_every_register),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_floats_read_back),
		cmocka_unit_test(test_doubles_read_back),
		cmocka_unit_test(test_written_decimals_stay),
		cmocka_unit_test(test_locale_changes_nothing),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_text_never_overflows),
		cmocka_unit_test(test_payloads),
		cmocka_unit_test(utf8_is_told_from_other_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
