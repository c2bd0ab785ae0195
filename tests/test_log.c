/* SPDX-License-Identifier: Apache-2.0 */
/* test_log.c - lines as the journal, a terminal and a file get them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static FILE *file;
static int saved_stderr;
static char output[8192];

/* Standard error is a file, which $JOURNAL_STREAM names, or names one that is next to it. */
static int redirect(unsigned inodes_off)
{
	char stream[64];
	struct stat st;

	file = tmpfile();
	saved_stderr = dup(STDERR_FILENO);
	if (!file || dup2(fileno(file), STDERR_FILENO) < 0 || fstat(STDERR_FILENO, &st) < 0)
		return -1;
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + inodes_off);
	return setenv("JOURNAL_STREAM", stream, true);
}

static int to_the_journal(void **state)
{
	(void)state;
	return redirect(0);
}

static int past_the_journal(void **state)
{
	(void)state;
	return redirect(1);
}

static int put_back(void **state)
{
	(void)state;
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_INFO);
	return fclose(file);
}

static const char *written(void)
{
	size_t n;

	rewind(file);
	n = fread(output, 1, sizeof(output) - 1, file);
	output[n] = '\0';
	return output;
}

static void lines_have_priorities(void **state)
{
	(void)state;
	log_error("spool %s: gone", "/s");
	log_warning("a");
	log_notice("b");
	log_info("c");
	log_debug("not yet");
	log_set_level(LOG_DEBUG);
	log_debug("d");
	assert_string_equal(written(), "<3>spool /s: gone\n<4>a\n<5>b\n<6>c\n<7>d\n");
}

static void another_streams_lines_are_plain(void **state)
{
	(void)state;
	log_error("spool %s: gone", "/s");
	unsetenv("JOURNAL_STREAM");
	log_info("c");
	setenv("JOURNAL_STREAM", "nonsense", true);
	log_info("d");
	assert_string_equal(written(), "spool /s: gone\nc\nd\n");
}

/* What a device said can't begin a line of another priority, nor move the cursor. */
static void a_line_stays_one_line(void **state)
{
	char words[3000];

	(void)state;
	log_error("said \"%s\"", "one\n<0>two\r\033[2J");
	assert_string_equal(written(), "<3>said \"one <0>two  [2J\"\n");
	memset(words, 'x', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	log_error("%s", words);
	log_error("next");
	written();
	assert_in_range(strspn(strstr(output, "<3>x") + 3, "x"), 1000, 1024 - 4);
	assert_non_null(strstr(output, "x\n<3>next\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_have_priorities, to_the_journal, put_back),
		cmocka_unit_test_setup_teardown(another_streams_lines_are_plain,
						past_the_journal, put_back),
		cmocka_unit_test_setup_teardown(a_line_stays_one_line, to_the_journal, put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
