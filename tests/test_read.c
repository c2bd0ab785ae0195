/* SPDX-License-Identifier: Apache-2.0 */
/* test_read.c - the verb `read` against simulated and played devices. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "tools/simulator.h"
#include "tools/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>

enum { PATIENCE_S = 60 };

static const char map_text[] =
	"map: thing\n"
	"driver: modbus\n"
	"serial: {baud: 9600, format: 8N1, address: 7}\n"
	"defaults: {table: input, type: u16}\n"
	"batch: {registers: 4, gap: 0}\n"
	"points:\n"
	"  voltage: {addr: 0, scale: 0.1, unit: V}\n"
	"  model: {addr: 10, type: \"string[4]\"}\n"
	"  extra: {addr: 20}\n";

struct fixture {
	char directory[32], map_file[64], output[16384];
	int status, fd;
	sd_event *loop;
	struct device_map *map;
	struct simulator *simulator;
};

static int set_up(void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_fclose_ FILE *file = NULL;

	*state = f;
	f->fd = -1;
	strcpy(f->directory, "/tmp/test_read.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->map_file, sizeof(f->map_file), "%s/thing.yaml", f->directory);
	file = fopen(f->map_file, "we");
	assert_true(fputs(map_text, file) >= 0);
	assert_int_equal(fflush(file), 0);
	assert_return_code(sd_event_new(&f->loop), 0);
	assert_int_equal(device_map_load(f->map_file, driver_names(), &f->map, faults), 0);
	assert_int_equal(simulator_new(f->loop, NULL, 115200, (struct serial_format){8, 'N', 1},
				       &f->simulator), 0);
	assert_int_equal(simulator_add(f->simulator, f->map, 7), 0);
	assert_int_equal(simulator_set(f->simulator, 7, "voltage", 2302), 0);
	assert_int_equal(simulator_set(f->simulator, 7, "extra", 4711), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	closep(&f->fd);
	simulator_free(f->simulator);
	device_map_free(f->map);
	sd_event_unref(f->loop);
	unlink(f->map_file);
	rmdir(f->directory);
	free(f);
	return 0;
}

/* Runs `postbus read` with these arguments (up to NULL); says `speech` again and again. */
static void run(struct fixture *f, const char *speech, const char *port, const char *map, ...)
{
	const char *argv[24] = {getenv("POSTBUS"), "read", port, map};
	uint64_t end_us = clock_monotonic_us() + PATIENCE_S * USEC_PER_SEC;
	size_t count = 4, length = 0;
	va_list arguments;
	int fds[2];
	pid_t pid;
	ssize_t n;

	va_start(arguments, map);
	while ((argv[count] = va_arg(arguments, const char *)))
		count++;
	va_end(arguments);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	pid = stage_spawn((char *const *)argv, fds[1]);
	close(fds[1]);
	while ((n = read(fds[0], f->output + length, sizeof(f->output) - 1 - length))) {
		if (n > 0)
			length += (size_t)n;
		assert_true(clock_monotonic_us() < end_us);
		assert_true(sd_event_run(f->loop, 20 * USEC_PER_MSEC) >= 0);
		if (speech)
			(void)!write(f->fd, speech, strlen(speech));
	}
	close(fds[0]);
	f->output[length] = '\0';
	f->status = stage_end(&pid, 0);
	assert_true(WIFEXITED(f->status));
	f->status = WEXITSTATUS(f->status);
}

#define RUN(f, ...) run(f, NULL, simulator_path((f)->simulator), (f)->map_file, \
			"--baud", "115200", "--timeout", "20s", ##__VA_ARGS__, NULL)

static void test_is_read(void **state)
{
	struct fixture *f = *state;

	RUN(f);
	assert_string_equal(f->output, "voltage  230.2 V\n"
				       "model    thin\n"
				       "extra    4711\n");
	assert_int_equal(f->status, 0);
	assert_int_equal(simulator_stats(f->simulator).requests, 3);
}

static void test_json(void **state)
{
	struct fixture *f = *state;

	RUN(f, "--json", "--address", "7");
	assert_string_equal(f->output,
			    "{\"map\":\"thing\",\"address\":7,\"points\":{"
			    "\"voltage\":{\"value\":230.2,\"unit\":\"V\"},"
			    "\"model\":{\"value\":\"thin\"},\"extra\":{\"value\":4711}}}\n");
	assert_int_equal(f->status, 0);
}

static void add_fault(struct fixture *f, const char *text)
{
	struct fault_plan plan;

	assert_true(fault_plan_parse(text, &plan));
	assert_int_equal(simulator_add_fault(f->simulator, &plan), 0);
}

static void test_refused_point_is_told(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "refuse=20");
	RUN(f);
	assert_string_equal(f->output, "voltage  230.2 V\n"
				       "model    thin\n"
				       "extra    not read\n");
	assert_int_equal(f->status, 0);
}

static void test_bad_answers_are_asked_for_again(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "checksum@7:2");
	RUN(f);
	assert_non_null(strstr(f->output, "extra    4711\n"));
	assert_int_equal(f->status, 0);
}

static void test_nothing_can_be_read(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "exception=1");
	RUN(f);
	assert_non_null(strstr(f->output, "nothing was read at 115200 8N1 (no answer 0, exception"));
	assert_int_equal(f->status, 1);
}

static void test_nobody_answers(void **state)
{
	struct fixture *f = *state;

	run(f, NULL, simulator_path(f->simulator), f->map_file, "--address", "8", "--timeout", "10ms",
	    NULL);
	assert_non_null(strstr(f->output, "nothing was read at 9600 8N1 (no answer "));
	assert_int_equal(f->status, 1);
}

static void test_no_port(void **state)
{
	struct fixture *f = *state;

	run(f, NULL, "/nowhere/port", f->map_file, NULL);
	assert_non_null(strstr(f->output, "postbus read: /nowhere/port: No such file or directory\n"));
	assert_int_equal(f->status, 1);
	run(f, NULL, "/dev/null", f->map_file, NULL);
	assert_non_null(strstr(f->output, "postbus read: /dev/null: no serial port\n"));
	assert_int_equal(f->status, 1);
	run(f, NULL, "nowhere", f->map_file, NULL);
	assert_int_equal(f->status, 2);
	run(f, NULL, "/nowhere/port", "no-such-map", NULL);
	assert_int_equal(f->status, 1);
}

/* What is no reading is passed over; and a device that says nothing is given up. */
static void test_speech_is_heard(void **state)
{
	_cleanup_free_ char *map = NULL;
	struct fixture *f = *state;
	struct termios raw;
	char path[64];

	assert_true(asprintf(&map, "%s/devices/atlas-ezo-ph.yaml", getenv("POSTBUS_SOURCE")) > 0);
	f->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(f->fd >= 0 && unlockpt(f->fd) == 0);
	assert_int_equal(ptsname_r(f->fd, path, sizeof(path)), 0);
	assert_int_equal(tcgetattr(f->fd, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(f->fd, TCSANOW, &raw), 0);
	run(f, "*OK\r7.001\r", path, map, NULL);
	assert_string_equal(f->output, "ph  7.001\n");
	assert_int_equal(f->status, 0);
	run(f, NULL, path, map, "--wait", "50ms", NULL);
	assert_int_equal(f->status, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_is_read),
		TEST(test_json),
		TEST(test_refused_point_is_told),
		TEST(test_bad_answers_are_asked_for_again),
		TEST(test_nothing_can_be_read),
		TEST(test_nobody_answers),
		TEST(test_no_port),
		TEST(test_speech_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
