/* SPDX-License-Identifier: Apache-2.0 */
/* test_setting.c - payloads of commands: what they want, and whether a point takes it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/number.h"
#include "bridge/setting.h"
#include "stream.h"

#include <errno.h>
#include <inttypes.h>

/* --- payloads --- */

/* `value|id|expires` of the payload, or `!error`. */
static void check_parse(const char *payload, const char *wanted)
{
	char said[2 * OUTCOME_ERROR_MAX], error[OUTCOME_ERROR_MAX];
	struct setting setting;

	if (setting_parse(payload, strlen(payload), &setting, error) < 0)
		snprintf(said, sizeof(said), "!%s", error);
	else if (setting.has_expires)
		snprintf(said, sizeof(said), "%s|%s|%" PRIu64, setting.value, setting.id,
			 setting.expires_ms);
	else
		snprintf(said, sizeof(said), "%s|%s", setting.value, setting.id);
	assert_string_equal(said, wanted);
}

static void test_bare(_unused_ void **state)
{
	check_parse("on", "on|");
	check_parse(" 21.5\r\n", "21.5|");
	check_parse("\"a text\"", "a text|");
	check_parse("18446744073709551615", "18446744073709551615|");
	check_parse("", "!the payload is empty");
	check_parse(" \n", "!the payload is empty");
	check_parse("\"on", "!not JSON");
	check_parse("0123456789012345678901234567890123456789012345678901234567890123",
		    "0123456789012345678901234567890123456789012345678901234567890123|");
	check_parse("01234567890123456789012345678901234567890123456789012345678901234",
		    "!a value has at most 64 bytes, not 65");
}

static void test_objects(_unused_ void **state)
{
	check_parse("{\"value\":21.5}", "21.5|");
	check_parse("{\"id\":\"a-1\",\"value\":true}", "true|a-1");
	check_parse("{\"value\":-0.1,\"id\":\"x\"}", "-0.1|x");
	check_parse("{\"value\":\"off\",\"expires\":1795460000000}", "off||1795460000000");
	check_parse("{\"value\":9007199254740992}", "9007199254740992|");
	check_parse("{\"value\":9007199254740994}",
		    "!a number above 2^53 is written in quotes, digit for digit");
	check_parse("{\"value\":\"9007199254740993\"}", "9007199254740993|");
	check_parse("{\"value\":1} x", "!not JSON");
	check_parse("{\"value\":1", "!not JSON");
	check_parse("{\"id\":\"a\"}", "!value is missing");
	check_parse("{\"value\":null}", "!value is a number, a text, true or false");
	check_parse("{\"value\":[1]}", "!value is a number, a text, true or false");
	check_parse("{\"value\":1,\"value\":2}", "!value stands twice");
	check_parse("{\"value\":1,\"id\":\"\"}", "!id is a text of 1 to 64 bytes");
	check_parse("{\"value\":1,\"id\":7}", "!id is a text of 1 to 64 bytes");
	/* What was meant to expire must not be carried out for ever. */
	check_parse("{\"value\":1,\"expire\":\"2026-11-23T18:52:01Z\"}",
		    "!there is no 'expire': id, value and expires can be");
}

static void test_expiry(_unused_ void **state)
{
	static const char bad[] = "!expires is a time such as \"2026-11-23T18:52:01Z\", or "
				  "milliseconds since 1970";
	static const struct {
		const char *time, *ms;
	} times[] = {
		{"\"2026-11-23T18:52:01Z\"", "1795459921000"},
		{"\"2026-11-23T18:52:01.123Z\"", "1795459921123"},
		{"\"2026-11-23T18:52:01.1239Z\"", "1795459921123"},
		{"\"2026-11-23T19:52:01+01:00\"", "1795459921000"},
		{"\"2026-11-23 13:22:01-0530\"", "1795459921000"},
		{"\"1970-01-01T00:00:00Z\"", "0"},
		{"\"2024-02-29T00:00:00Z\"", "1709164800000"},
		{"0", "0"},
		{"\"2026-11-23T18:52:01\"", NULL}, /* whose time? */
		{"\"2026-11-23\"", NULL},
		{"\"2026-02-29T00:00:00Z\"", NULL},
		{"\"2026-11-23T24:00:00Z\"", NULL},
		{"\"1969-12-31T23:59:59Z\"", NULL},
		{"\"2026-11-23T18:52:01Zoo\"", NULL},
		{"\"tomorrow\"", NULL},
		{"-1", NULL},
		{"1e300", NULL},
		{"true", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		_cleanup_free_ char *payload = NULL, *wanted = NULL;

		assert_true(asprintf(&payload, "{\"value\":1,\"expires\":%s}", times[i].time) > 0);
		assert_true(asprintf(&wanted, "1||%s", times[i].ms ? times[i].ms : "") > 0);
		check_parse(payload, times[i].ms ? wanted : bad);
	}
}

static void test_bytes(_unused_ void **state)
{
	char error[OUTCOME_ERROR_MAX], many[SETTING_PAYLOAD_MAX + 1];
	struct setting setting;

	assert_int_equal(setting_parse("on\0off", 6, &setting, error), -EINVAL);
	assert_string_equal(error, "there is a zero byte in the payload");
	memset(many, '1', sizeof(many));
	assert_int_equal(setting_parse(many, sizeof(many), &setting, error), -EINVAL);
	assert_string_equal(error, "the payload is longer than 1024 bytes");
}

/* --- points --- */

static struct device_map *points(void)
{
	return stream_map(
		"map: m\ndriver: modbus\npoints:\n"
		"  target: {addr: 0, type: i16, scale: 0.1, write: {min: 5, max: 30, step: 0.5}}\n"
		"  plain: {addr: 1, write: {}}\n"
		"  small: {addr: 2, type: i8, write: {}}\n"
		"  offset: {addr: 3, type: u8, offset: -40, write: {}}\n"
		"  big: {addr: 4, type: u64, write: {}}\n"
		"  debt: {addr: 8, type: i64, write: {}}\n"
		"  real: {addr: 12, type: f32, write: {}}\n"
		"  scaled: {addr: 14, type: u16, scale: 0.01, write: {}}\n"
		"  bcd: {addr: 15, type: bcd16, write: {}}\n"
		"  part: {addr: 16, bits: 4..6, write: {}}\n"
		"  none: {addr: 17, type: i16, nan: 0x8000, write: {}}\n"
		"  relay: {addr: 0, table: coil, write: {}}\n"
		"  named: {addr: 1, table: coil, values: {0: shut, 1: open}, write: {}}\n"
		"  mode: {addr: 18, values: {0: off, 1: eco, 7: boost}, write: {}}\n"
		"  text: {addr: 19, type: \"string[4]\", write: {}}\n"
		"  door: {addr: 2, table: coil, write: {pulse: 500ms}}\n"
		"  locked: {addr: 30}\n"
		"  double: {addr: 32, type: f64, scale: 2, write: {}}\n");
}

/* What is written to the point, as it will show it; or `!error`. */
static void check(const struct device_map *map, const char *name, const char *text,
		  const char *wanted)
{
	char buffer[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1], said[2 * OUTCOME_ERROR_MAX];
	struct text printed = {.data = buffer, .size = sizeof(buffer)};
	char error[OUTCOME_ERROR_MAX];
	ssize_t point = device_map_find(map, name);
	struct value value;

	assert_true(point >= 0);
	if (setting_check(&map->points[point], text, &value, error) < 0) {
		snprintf(said, sizeof(said), "!%s", error);
	} else {
		number_print(&value, &printed);
		snprintf(said, sizeof(said), "%s", buffer);
	}
	assert_string_equal(said, wanted);
}

static void test_numbers(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = points();

	check(map, "target", "21.5", "21.5");
	check(map, "target", "5", "5");
	check(map, "target", "30.0", "30");
	check(map, "target", "40", "!40 is more than 30, the most that target takes");
	check(map, "target", "4.9", "!4.9 is less than 5, the least that target takes");
	check(map, "target", "21.3", "!21.3 is not a whole number of steps of 0.5");
	check(map, "target", "warm", "!'warm' is no number");
	check(map, "target", "0x10", "!'0x10' is no number");
	check(map, "target", "nan", "!'nan' is no number");
	check(map, "target", "1e999", "!'1e999' is no number");
	check(map, "plain", "65535", "65535");
	check(map, "plain", "5.0", "5");
	check(map, "plain", "1e3", "1000");
	check(map, "plain", "-0", "0");
	check(map, "plain", "21.5", "!21.5 is no whole number, and plain takes no others");
	check(map, "plain", "65536", "!65536 is more than 65535, the most that plain takes");
	check(map, "plain", "-1", "!-1 is less than 0, the least that plain takes");
	check(map, "small", "-128", "-128");
	check(map, "small", "128", "!128 is more than 127, the most that small takes");
	check(map, "offset", "-40", "-40");
	check(map, "offset", "214.6", "215");
	check(map, "offset", "216", "!216 is more than 215, the most that offset takes");
	check(map, "scaled", "655.35", "655.35");
	check(map, "scaled", "21.537", "21.54");
	check(map, "scaled", "655.36", "!655.36 is more than 655.35, the most that scaled takes");
	check(map, "bcd", "9999", "9999");
	check(map, "bcd", "10000", "!10000 is more than 9999, the most that bcd takes");
	check(map, "part", "7", "7");
	check(map, "part", "8", "!8 is more than 7, the most that part takes");
}

static void test_large_numbers(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = points();

	check(map, "big", "18446744073709551615", "18446744073709551615");
	check(map, "big", "9007199254740993", "9007199254740993");
	check(map, "big", "18446744073709551616", "!18446744073709551616 is more than big can hold");
	check(map, "debt", "-9223372036854775808", "-9223372036854775808");
	check(map, "debt", "9223372036854775807", "9223372036854775807");
	check(map, "debt", "9223372036854775808", "!9223372036854775808 is more than debt can hold");
	check(map, "real", "230.2", "230.2");
	check(map, "real", "1e39",
	      "!1e39 is more than 3.40282346639e+38, the most that real takes");
	check(map, "double", "0.1", "0.1");
	check(map, "none", "-32767", "-32767");
	check(map, "none", "-32768", "!-32768 is how none says that it has no value");
}

static void test_words(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = points();

	check(map, "relay", "on", "true");
	check(map, "relay", "OFF", "false");
	check(map, "relay", "1", "true");
	check(map, "relay", "true", "true");
	check(map, "relay", "maybe", "!'maybe' is neither on nor off");
	check(map, "named", "open", "open");
	check(map, "named", "off", "shut");
	check(map, "named", "1", "open");
	check(map, "mode", "boost", "boost");
	check(map, "mode", "7", "boost");
	check(map, "mode", "on", "eco");
	check(map, "mode", "2", "!'2' is none of off, eco, boost");
	check(map, "mode", "Boost", "!'Boost' is none of off, eco, boost");
	check(map, "text", "ab12", "ab12");
	check(map, "text", "", "");
	check(map, "text", "abcde", "!text takes at most 4 bytes, not 5");
	check(map, "text", "a\rb", "!there is a control character in the value");
	check(map, "text", "a ", "!a blank at the value's end would not be seen");
	check(map, "door", "press", "true");
	check(map, "door", "on", "true");
	check(map, "door", "off", "!door is an action and takes on, not 'off'");
	check(map, "locked", "1", "!locked cannot be written");
}

static void test_streams(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(
		"map: m\ndriver: text\npoints:\n"
		"  target: {key: T, write: {max: 30, command: \"T={value}\\r\"}}\n"
		"  tare: {write: {command: \"T\\r\"}}\n"
		"  name: {key: N, type: string, write: {command: \"N={value}\\r\"}}\n");

	check(map, "target", "21.5", "21.5");
	check(map, "target", "-7", "-7");
	check(map, "target", "31", "!31 is more than 30, the most that target takes");
	check(map, "tare", "press", "true");
	check(map, "tare", "5", "!tare is an action and takes on, not '5'");
	check(map, "name", "x y", "x y");
	/* It would be a command of its own. */
	check(map, "name", "x\rT", "!there is a control character in the value");
}

/* An error is never longer than there is room for it, and says that it was cut. */
static void test_many_names(_unused_ void **state)
{
	char text[4096];
	size_t used = (size_t)snprintf(text, sizeof(text),
				       "map: m\ndriver: modbus\npoints:\n"
				       "  mode: {addr: 0, write: {}, values: {0: name-0");

	for (int i = 1; i < 100; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ", %d: name-%d", i, i);
	snprintf(text + used, sizeof(text) - used, "}}\n");
	{
		_cleanup_(device_map_freep) struct device_map *map = stream_map(text);

		check(map, "mode", "x",
		      "!'x' is none of name-0, name-1, name-2, name-3, name-4, name-5, name-6, "
		      "name-7, name-8, name-9, name-10, name-11, …");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare),	      cmocka_unit_test(test_objects),
		cmocka_unit_test(test_expiry),	      cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_numbers),	      cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_words),	      cmocka_unit_test(test_streams),
		cmocka_unit_test(test_many_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
