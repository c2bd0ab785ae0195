// SPDX-License-Identifier: Apache-2.0
/* test_fault.c - faults collected whole and shown in order of place. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fault.h"

#include <string.h>

static char *printed(const struct faults *faults)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	faults_print(faults, out);
	fclose(out);
	return text;
}

static void test_order(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL;

	/* Files in the order of their first fault, places within each, repetitions once. */
	faults_add(faults, "z.yaml", 10, 3, "ten, three");
	faults_add(faults, "a.yaml", 2, 1, "two");
	faults_add(faults, "z.yaml", 9, 40, "nine");
	faults_add(faults, "z.yaml", 10, 1, "ten, %s", "one");
	faults_add(faults, "z.yaml", 10, 3, "ten, three");
	faults_add(faults, "a.yaml", 0, 0, "the whole file");
	assert_int_equal(faults_count(faults), 5);
	text = printed(faults);
	assert_string_equal(text, "z.yaml:9:40: nine\n"
				  "z.yaml:10:1: ten, one\n"
				  "z.yaml:10:3: ten, three\n"
				  "a.yaml:1:1: the whole file\n"
				  "a.yaml:2:1: two\n");
}

static void test_empty(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = printed(faults);

	assert_int_equal(faults_count(faults), 0);
	assert_string_equal(text, "");
	faults_free(NULL);
}

/* A file must not write to the terminal of who checks it. */
static void test_control_characters(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL;

	faults_add(faults, "a", 1, 1, "'%s'", "\x1b[2J\nx\x7f°");
	text = printed(faults);
	assert_string_equal(text, "a:1:1: '?[2J?x?°'\n");
}

static void test_too_many(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL;

	for (unsigned i = 1; i <= 5000; i++)
		faults_add(faults, "a", i, 1, "wrong");
	assert_int_equal(faults_count(faults), 5000);
	text = printed(faults);
	assert_non_null(strstr(text, "\na:1000:1: wrong\nand 4000 more faults\n"));
}

static void test_suggest(_unused_ void **state)
{
	static const char *const words[] = {"voltage", "current", "power", "every",
					    "addr",    "unit",    "tls",   NULL};
	char long_word[200];

	assert_string_equal(fault_suggest("votlage", words), "voltage");
	assert_string_equal(fault_suggest("voltge", words), "voltage");
	assert_string_equal(fault_suggest("Voltages", words), "voltage");
	assert_string_equal(fault_suggest("adr", words), "addr");
	assert_string_equal(fault_suggest("evry", words), "every");
	assert_string_equal(fault_suggest("voltage", words), "voltage");
	assert_null(fault_suggest("temperature", words));
	assert_null(fault_suggest("xx", words));
	assert_null(fault_suggest("vltg", words));
	assert_null(fault_suggest("ab", words));
	assert_null(fault_suggest("", words));
	memset(long_word, 'x', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = '\0';
	assert_null(fault_suggest(long_word, words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_suggest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
