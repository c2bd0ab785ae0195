// SPDX-License-Identifier: Apache-2.0
/* test_units.c - durations and sizes as users write them. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"

#include <errno.h>

#define DAY (86400 * USEC_PER_SEC)

static void check_duration(const char *text, int expected, uint64_t expected_usec)
{
	uint64_t usec = 0;
	int r = parse_duration(text, &usec);

	if (r != expected || (!r && usec != expected_usec))
		fail_msg("'%s': %d, %llu us", text, r, (unsigned long long)usec);
}

static void test_durations(_unused_ void **state)
{
	check_duration("250us", 0, 250);
	check_duration("250ms", 0, 250000);
	check_duration("2s", 0, 2 * USEC_PER_SEC);
	check_duration("1.5s", 0, 1500000);
	check_duration("0.25ms", 0, 250);
	check_duration("2m", 0, 120 * USEC_PER_SEC);
	check_duration("2min", 0, 120 * USEC_PER_SEC);
	check_duration("3h", 0, 3 * 3600 * USEC_PER_SEC);
	check_duration("7d", 0, 7 * DAY);
	check_duration("1w", 0, 7 * DAY);
	check_duration("0", 0, 0);
	check_duration("0s", 0, 0);
	check_duration("0.0", 0, 0);
}

static void test_durations_refused(_unused_ void **state)
{
	static const char *const none[] = {"", "s", "2", "2 s", "-2s", "+2s", "1e3s", "2S",
					   "2sec", "2s ", ".5s", "1.s", "0x2s", "1.5",
					   "0.5us", "1.0000001s", "always"};

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		check_duration(none[i], -EINVAL, 0);
	check_duration("18446744073709551615us", 0, UINT64_MAX);
	check_duration("18446744073709551616us", -ERANGE, 0);
	check_duration("18446744073709551615ms", -ERANGE, 0);
	check_duration("99999999999999999999999d", -ERANGE, 0);
	check_duration("30500568904943.9w", -ERANGE, 0);
}

static void check_size(const char *text, int expected, uint64_t expected_bytes)
{
	uint64_t bytes = 0;
	int r = parse_size(text, &bytes);

	if (r != expected || (!r && bytes != expected_bytes))
		fail_msg("'%s': %d, %llu bytes", text, r, (unsigned long long)bytes);
}

static void test_sizes(_unused_ void **state)
{
	static const char *const none[] = {"", "K", "-1", "1.5M", "64k", "64 K", "64KK",
					   "64iB", "64Ki", "64BB", "64X"};

	check_size("0", 0, 0);
	check_size("4096", 0, 4096);
	check_size("4096B", 0, 4096);
	check_size("64K", 0, 65536);
	check_size("64KB", 0, 65536);
	check_size("64KiB", 0, 65536);
	check_size("256M", 0, UINT64_C(256) << 20);
	check_size("2G", 0, UINT64_C(2) << 30);
	check_size("16777215T", 0, UINT64_C(16777215) << 40);
	check_size("16777216T", -ERANGE, 0);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		check_size(none[i], -EINVAL, 0);
}

static void test_format(_unused_ void **state)
{
	static const struct {
		uint64_t usec;
		const char *text;
	} pairs[] = {
		{0, "0s"},
		{1, "1us"},
		{300000, "300ms"},
		{1500000, "1500ms"},
		{USEC_PER_SEC, "1s"},
		{90 * USEC_PER_SEC, "90s"},
		{120 * USEC_PER_SEC, "2min"},
		{3600 * USEC_PER_SEC, "1h"},
		{7 * DAY, "7d"},
		{UINT64_MAX, "18446744073709551615us"},
	};
	char buffer[32];
	uint64_t back;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		assert_string_equal(format_duration(pairs[i].usec, buffer, sizeof(buffer)),
				    pairs[i].text);
		assert_int_equal(parse_duration(buffer, &back), 0);
		assert_true(back == pairs[i].usec);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_durations_refused),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
