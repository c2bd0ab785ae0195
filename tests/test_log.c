/* SPDX-License-Identifier: Apache-2.0 */
/* test_log.c - lines as the journal, a terminal and a file get them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* What the journal's socket leads to: -1, there is none. */
static int journal[2] = { -1, -1 };

ssize_t __real_sendto(int fd, const void *bytes, size_t n, int flags,
		      const struct sockaddr *address, socklen_t length);
ssize_t __wrap_sendto(int fd, const void *bytes, size_t n, int flags,
		      const struct sockaddr *address, socklen_t length);

ssize_t __wrap_sendto(int fd, const void *bytes, size_t n, int flags,
		      const struct sockaddr *address, socklen_t length)
{
	const struct sockaddr_un *wanted = (const struct sockaddr_un *)address;

	assert_true(fd >= 0);
	assert_int_equal(length, sizeof(*wanted));
	assert_int_equal(wanted->sun_family, AF_UNIX);
	assert_string_equal(wanted->sun_path, "/run/systemd/journal/socket");
	if (journal[1] < 0) {
		errno = ENOENT;
		return -1;
	}
	return __real_sendto(journal[1], bytes, n, flags, NULL, 0);
}

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

static int to_a_journal(void **state)
{
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, journal) < 0 ?
		       -1 :
		       to_the_journal(state);
}

static int put_back_journal(void **state)
{
	close(journal[0]);
	close(journal[1]);
	journal[0] = journal[1] = -1;
	return put_back(state);
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
	assert_in_range(strspn(strstr(output, "<3>x") + 3, "x"), 1000, 1024 - 1);
	assert_non_null(strstr(output, "x\n<3>next\n"));
}

static const char *received(void)
{
	ssize_t n = recv(journal[0], output, sizeof(output) - 1, MSG_DONTWAIT);

	output[n > 0 ? n : 0] = '\0';
	return output;
}

static void the_journal_has_fields(void **state)
{
	static const struct log_subject meter = { "cellar", "meter-1" }, bus = { .bus = "attic" };

	(void)state;
	log_warning("spool %s: full", "/s");
	assert_string_equal(received(), "PRIORITY=4\nSYSLOG_IDENTIFIER=postbus\n"
					"MESSAGE=spool /s: full\n");
	log_about(LOG_ERR, bus, "%s: gone", "/dev/x");
	assert_string_equal(received(), "PRIORITY=3\nSYSLOG_IDENTIFIER=postbus\n"
					"POSTBUS_BUS=attic\n"
					"MESSAGE=bus attic: /dev/x: gone\n");
	log_about(LOG_NOTICE, meter, "answers again");
	assert_string_equal(received(), "PRIORITY=5\nSYSLOG_IDENTIFIER=postbus\n"
					"POSTBUS_BUS=cellar\nPOSTBUS_DEVICE=meter-1\n"
					"MESSAGE=bus cellar: meter-1: answers again\n");
	log_about(LOG_DEBUG, meter, "nobody wants to know");
	assert_string_equal(received(), "");
	assert_string_equal(written(), "");
}

/* What a device said can't become a field of its own. */
static void a_field_stays_one_field(void **state)
{
	(void)state;
	log_error("said \"%s\"", "one\nPRIORITY=0\n");
	assert_string_equal(received(), "PRIORITY=3\nSYSLOG_IDENTIFIER=postbus\n"
					"MESSAGE=said \"one PRIORITY=0 \"\n");
}

/* Lines that a journal does not take now go to its stream; nobody waits for it. */
static void a_full_journal_is_not_waited_for(void **state)
{
	unsigned sent = 0;
	char wanted[32];

	(void)state;
	do {
		log_info("line %u", sent++);
	} while (!*written());
	assert_true(sent > 1);
	snprintf(wanted, sizeof(wanted), "<6>line %u\n", sent - 1);
	assert_string_equal(output, wanted);
	for (unsigned i = 0; i < sent - 1; i++) {
		snprintf(wanted, sizeof(wanted), "MESSAGE=line %u\n", i);
		assert_non_null(strstr(received(), wanted));
	}
	assert_string_equal(received(), "");
}

static void a_subject_is_said_first(void **state)
{
	static const struct log_subject meter = { "cellar", "meter-1" }, bus = { .bus = "attic" };

	(void)state;
	log_about(LOG_ERR, meter, "no answer in %d ms", 300);
	log_about(LOG_ERR, bus, "overloaded");
	assert_string_equal(written(), "bus cellar: meter-1: no answer in 300 ms\n"
				       "bus attic: overloaded\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_have_priorities, to_the_journal, put_back),
		cmocka_unit_test_setup_teardown(another_streams_lines_are_plain,
						past_the_journal, put_back),
		cmocka_unit_test_setup_teardown(a_line_stays_one_line, to_the_journal, put_back),
		cmocka_unit_test_setup_teardown(a_subject_is_said_first, past_the_journal,
						put_back),
		cmocka_unit_test_setup_teardown(the_journal_has_fields, to_a_journal,
						put_back_journal),
		cmocka_unit_test_setup_teardown(a_field_stays_one_field, to_a_journal,
						put_back_journal),
		cmocka_unit_test_setup_teardown(a_full_journal_is_not_waited_for, to_a_journal,
						put_back_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
