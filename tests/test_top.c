/* SPDX-License-Identifier: Apache-2.0 */
/* test_top.c - `postbus top`, the program itself, in a terminal multiplexer beside a gateway. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "on_stage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { SKIPPED = 77 }; /* as Automake has it */

static pid_t multiplexer;

/* --- the terminal --- */

/* Whether a command of the shell went well; what it said is in the stage's file shell.log. */
static bool shell(const char *format, ...) _printf_(1, 2);

static bool shell(const char *format, ...)
{
	_cleanup_free_ char *command = NULL, *log = NULL;
	_cleanup_close_ int out = -1;
	va_list arguments;
	int status = -1;
	pid_t pid;

	va_start(arguments, format);
	if (vasprintf(&command, format, arguments) < 0 ||
	    asprintf(&log, "%s/shell.log", stage.directory) < 0)
		abort();
	va_end(arguments);
	out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	pid = stage_spawn((char *[]){ "/bin/sh", "-c", command, NULL }, out);
	/* Devices answer and the link goes on meanwhile. */
	while (waitpid(pid, &status, WNOHANG) == 0)
		assert_true(sd_event_run(stage.loop, 5000) >= 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Of our own server; none is started beside it. */
#define tmux(format, ...) shell("tmux -N -u -S '%s/tmux' " format, stage.directory, ##__VA_ARGS__)

static bool multiplexer_listens(_unused_ struct stage *on, _unused_ uint64_t argument)
{
	return tmux("show-options -g");
}

/* Not in the background, so that it ends when we do. */
static void start_multiplexer(void)
{
	char socket[128], conf[128];
	char *argv[] = { "tmux", "-u", "-D", "-S", socket, "-f", conf, NULL };
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	snprintf(socket, sizeof(socket), "%s/tmux", stage.directory);
	snprintf(conf, sizeof(conf), "%s/tmux.conf", stage.directory);
	assert_int_equal(stage_write(&stage, "tmux.conf",
				     "set -g default-shell /bin/sh\nset -g status off\n"), 0);
	multiplexer = stage_spawn(argv, null);
	wait_for(multiplexer_listens, 0);
}

/* A shell's command on a terminal that is 80 columns wide. */
static void open_terminal(const char *command)
{
	if (tmux("new-session -d -s top -x 80 -y 24 \"%s\"", command))
		return;
	stage_show_log(&stage, "shell.log");
	fail_msg("no terminal for %s", command);
}

/* In an environment with these settings. */
static void start_top(const char *environment)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "env RUNTIME_DIRECTORY='%s' %s '%s' top; echo ended with \\$?; sleep 600",
		 stage.directory, environment, stage.program);
	open_terminal(command);
}

static void press(const char *keys)
{
	assert_true(tmux("send-keys -t top %s", keys));
}

/* --- what is seen on it --- */

static bool looks_like(_unused_ struct stage *on, uint64_t name)
{
	const char *source = getenv("POSTBUS_SOURCE");

	return tmux("capture-pane -p -t top >'%s/screen.log' && cd '%s/tests/data' && "
		    "LC_ALL=C.UTF-8 sed -Ef top-mask.sed '%s/screen.log' | "
		    "diff -u '%s' -",
		    stage.directory, source ? source : ".", stage.directory,
		    (const char *)(uintptr_t)name);
}

static bool says(_unused_ struct stage *on, uint64_t words)
{
	return tmux("capture-pane -p -t top | grep -F -e '%s'",
		    (const char *)(uintptr_t)words);
}

/* Where it does not come to pass, it is told what was there. */
static void wait_on_screen(stage_condition *holds, const char *what)
{
	if (stage_wait(&stage, holds, (uintptr_t)what) == 0)
		return;
	stage_show_log(&stage, "shell.log");
	tmux("capture-pane -p -t top");
	stage_show_log(&stage, "shell.log");
	fail_msg("not seen: %s", what);
}

static void wait_for_look(const char *file)
{
	wait_on_screen(looks_like, file);
}

static void wait_for_words(const char *words)
{
	wait_on_screen(says, words);
}

/* --- the tests --- */

static int begin(void **state)
{
	int r = open_stage(state);

	if (r == 0)
		start_multiplexer();
	return r;
}

static int end(void **state)
{
	stage_end(&multiplexer, SIGKILL);
	return close_stage(state);
}

static void start_gateway(void)
{
	const struct fault_plan dead = {
		.kind = FAULT_SILENT, .address = STAGE_FIRST_ADDRESS + 2, .every = 1,
	};

	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(simulator_add_fault(stage.simulator, &dead), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_int_equal(stage_configure(&stage, "", ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

static void it_shows_what_runs(void **state)
{
	(void)state;
	start_gateway();
	start_top("LC_ALL=C.UTF-8 TERM=screen");
	wait_for_look("top-live-80x24.expected");
	assert_true(tmux("resize-window -t top -x 132 -y 40"));
	wait_for_look("top-live-132x40.expected");
	press("Down Enter");
	wait_for_look("top-live-device.expected");
	assert_true(tmux("resize-window -t top -x 80 -y 24"));
	wait_for_words("climate-12, xy-md02 at 12 on bus simulated");
	press("Right");
	wait_for_words("climate-13, xy-md02 at 13 on bus simulated");
	press("Escape s s");
	wait_for_words(">climate-13  offline");
	press("/ 1 Space o N");
	wait_for_words(" devices   7 with \"1 oN\" of 8, 1 offline");
	press("Enter");
	wait_for_words("s sort");
	press("?");
	wait_for_words("any key goes back");
	press("x q");
	/* The terminal is as it was. */
	wait_for_words("ended with 0");
	assert_false(says(&stage, (uintptr_t)"climate"));
}

static void it_tells_of_a_lost_link(void **state)
{
	(void)state;
	start_gateway();
	start_top("LC_ALL=C.UTF-8 TERM=screen");
	wait_for_words("connected to 127.0.0.1");
	proxy_cut(stage.proxy, true);
	wait_for_words("no link to 127.0.0.1");
	wait_for_words(", at most ");
	proxy_cut(stage.proxy, false);
	wait_for_words("MQTT 5, resumed");
}

static void it_waits_for_a_gateway(void **state)
{
	(void)state;
	start_top("LC_ALL=C.UTF-8 TERM=screen");
	wait_for_words(" no gateway is running here; trying again");
	start_gateway();
	wait_for_words(">climate-11  online");
	stage_end(&stage.gateway, SIGKILL);
	wait_for_words(" no gateway is running here; trying again (this is how it was ");
	assert_true(says(&stage, (uintptr_t)">climate-11"));
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for_words("connected to 127.0.0.1");
	assert_false(says(&stage, (uintptr_t)"trying again"));
	/* One that hangs is told from one that is gone. */
	kill(stage.gateway, SIGSTOP);
	wait_for_words(" the gateway does not answer; trying again");
	kill(stage.gateway, SIGCONT);
	wait_for_words("connected to 127.0.0.1");
}

/* It does when the program has ended, which under a sanitizer takes a while. */
static bool shell_reads(struct stage *on, _unused_ uint64_t argument)
{
	return tmux("send-keys -t top 'echo over $((1 + 1))' Enter") &&
	       says(on, (uintptr_t)"over 2");
}

/* By its keys; what it is told while it is stopped, a shell takes. */
static void it_is_stopped_and_goes_on(void **state)
{
	(void)state;
	open_terminal("PS1='$ ' exec /bin/bash --norc --noprofile");
	assert_true(tmux("send-keys -t top \"RUNTIME_DIRECTORY='%s' LC_ALL=C '%s' top\" Enter",
			 stage.directory, stage.program));
	wait_for_words("no gateway is running here");
	press("C-z");
	wait_for_words("Stopped");
	assert_false(says(&stage, (uintptr_t)"s sort"));
	assert_true(tmux("resize-window -t top -x 50 -y 12"));
	press("fg Enter");
	wait_for_words(" q quit   ? help   Enter device   / filter   s so~");
	press("C-c");
	wait_on_screen(shell_reads, "the shell's answer");
	assert_false(says(&stage, (uintptr_t)"s so~"));
}

/* Colours as SGR has them: 31 is red, of a device that is offline. */
static bool is_red(_unused_ struct stage *on, uint64_t wanted)
{
	return tmux("capture-pane -e -p -t top >'%s/screen.log' && "
		    "grep offline '%s/screen.log' && %s grep -q '31m' '%s/screen.log'",
		    stage.directory, stage.directory, wanted ? "" : "!", stage.directory);
}

static void it_takes_each_terminal_as_it_is(void **state)
{
	static const char *const types[] = { "linux", "xterm", "xterm-256color", "screen", "tmux" };

	(void)state;
	start_gateway();
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		char environment[64];

		snprintf(environment, sizeof(environment), "LC_ALL=C.UTF-8 TERM=%s", types[i]);
		start_top(environment);
		wait_for_words("climate-13  offline");
		wait_for_words(strcmp(types[i], "linux") ? "░" : "....");
		assert_true(is_red(&stage, true));
		press("q");
		wait_for_words("ended with 0");
		assert_true(tmux("kill-session -t top"));
	}
	start_top("LC_ALL=C.UTF-8 TERM=xterm NO_COLOR=1");
	wait_for_words("climate-13  offline");
	assert_true(is_red(&stage, false));
	assert_true(tmux("kill-session -t top"));
	start_top("LC_ALL=C TERM=xterm");
	wait_for_words("climate-13  offline");
	wait_for_words("....");
	assert_true(tmux("capture-pane -p -t top | LC_ALL=C grep -v '^[ -~]*$'; test $? = 1"));
}

static void a_terminal_that_cannot_is_told_so(void **state)
{
	(void)state;
	start_top("LC_ALL=C TERM=dumb");
	wait_for_words("postbus top: a terminal of this type, $TERM, has no cursor");
	wait_for_words("ended with 1");
	assert_true(tmux("kill-session -t top"));
	start_top("LC_ALL=C TERM=nonesuch");
	wait_for_words("postbus top: the type of this terminal, $TERM, is not known");
	wait_for_words("ended with 1");
	assert_true(shell("'%s' top </dev/null; test $? = 1", stage.program));
	assert_true(shell("'%s' top </dev/null 2>&1 | grep 'on a terminal only'", stage.program));
}

static void it_is_used_as_it_says(void **state)
{
	(void)state;
	assert_true(shell("'%s' top --help | grep -e --interval", stage.program));
	assert_true(shell("'%s' top --intreval; test $? = 2", stage.program));
	assert_true(shell("'%s' top --interval 5; test $? = 2", stage.program));
	assert_true(shell("'%s' top --interval 99ms; test $? = 2", stage.program));
	assert_true(shell("'%s' top --interval 2h; test $? = 2", stage.program));
	assert_true(shell("'%s' top barn; test $? = 2", stage.program));
	assert_true(shell("'%s' top -c /dev/null/none.conf; test $? = 78", stage.program));
}

#define top_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		top_test(it_shows_what_runs),
		top_test(it_tells_of_a_lost_link),
		top_test(it_waits_for_a_gateway),
		top_test(it_is_stopped_and_goes_on),
		top_test(it_takes_each_terminal_as_it_is),
		top_test(a_terminal_that_cannot_is_told_so),
		top_test(it_is_used_as_it_says),
	};

	if (system("tmux -V >/dev/null 2>&1") != 0) {
		puts("skipped: it takes tmux");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
