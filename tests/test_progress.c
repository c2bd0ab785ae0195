/* SPDX-License-Identifier: Apache-2.0 */
/* test_progress.c - a bar on a terminal, and nothing anywhere else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/progress.h"

#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[4096];

/* What is shown on a terminal, or in a pipe, that long after the time to show it. */
static void show(bool on_terminal, int seconds)
{
	int fds[2], from;
	size_t length = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = on_terminal ? forkpty(&from, NULL, NULL, NULL) : fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct progress progress;

		if (!on_terminal)
			dup2(fds[1], STDERR_FILENO);
		progress_begin(&progress, "trying", PROGRESS_BYTES);
		progress.due_us -= (int64_t)(1 + seconds) * 1000000;
		for (unsigned i = 1; i < 1000; i++)
			progress_update(&progress, (3 << 20) + i, 9 << 20);
		progress_end(&progress);
		fputs("over", stderr);
		_exit(0);
	}
	close(fds[1]);
	if (!on_terminal)
		from = fds[0];
	while ((n = read(from, output + length, sizeof(output) - 1 - length)) > 0)
		length += n;
	output[length] = '\0';
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(from);
	if (on_terminal)
		close(fds[0]);
}

static void terminal_shows_a_bar(void **state)
{
	const char *bar = "\rtrying  [##########                    ]  33%  3.0 of 9.0 MiB\033[K";

	(void)state;
	show(true, 0);
	assert_memory_equal(output, bar, strlen(bar));
	/* And not once for each of a thousand calls; at the end it goes away. */
	assert_true(strlen(output) < 200 * strlen(bar));
	assert_string_equal(output + strlen(output) - strlen("\r\033[Kover"), "\r\033[Kover");
}

static void what_is_quick_shows_none(void **state)
{
	(void)state;
	show(true, -3600);
	assert_string_equal(output, "over");
}

static void pipe_shows_none(void **state)
{
	(void)state;
	show(false, 0);
	assert_string_equal(output, "over");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(terminal_shows_a_bar),
		cmocka_unit_test(what_is_quick_shows_none),
		cmocka_unit_test(pipe_shows_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
