/* SPDX-License-Identifier: Apache-2.0 */
/* test_clock_gateway.c - the gateway on a machine that wakes in 1970, twice without being told
 * the time: what its messages say when they are delivered. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "fake_clock.h"
#include "tools/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* 2026-11-24T10:00:00Z, when the first boot is told the time. */
#define TOLD_MS INT64_C(1795514400000)
#define HOUR_MS INT64_C(3600000)

static struct stage stage;
static struct fake_clock *machine;
static char *maps, *program;
static pid_t listener;

static int set_up(_unused_ void **state)
{
	const char *source = getenv("POSTBUS_SOURCE"), *postbus = getenv("POSTBUS");
	char path[96];
	int fd;

	if (!postbus || asprintf(&maps, "%s/devices", source ? source : ".") < 0 ||
	    asprintf(&program, "%.*s/tests/fake_gateway",
		     (int)(strrchr(postbus, '/') - postbus), postbus) < 0 ||
	    stage_open(&stage, program, maps) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/clock", stage.directory);
	setenv("FAKE_CLOCK", path, true);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*machine)) < 0)
		return -1;
	machine = mmap(NULL, sizeof(*machine), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return machine == MAP_FAILED ? -1 : 0;
}

static int tear_down(_unused_ void **state)
{
	stage_end(&listener, SIGKILL);
	stage_clean_up(&stage);
	free(maps);
	free(program);
	return 0;
}

static int64_t real_ms(void)
{
	return clock_monotonic_us() / USEC_PER_MSEC;
}

/* The machine starts with this time, which it does not know to be right or wrong. */
static void start_machine(int64_t wall_ms)
{
	machine->boot++;
	machine->runs = true;
	machine->synced = false;
	machine->boottime_us = -clock_monotonic_us();
	machine->wall_ms = wall_ms - real_ms();
	assert_int_equal(stage_start_gateway(&stage), 0);
}

static void tell_the_time(int64_t wall_ms)
{
	machine->wall_ms = wall_ms - real_ms();
	machine->synced = true;
}

/* So many more than now wait on the disk; the last second may be lost with the power. */
static void gather(uint64_t more)
{
	struct spool_sums sums = { 0 };
	uint64_t next;

	int r;

	(void)!stage_look_at_spool(&stage, &sums, &next);
	r = stage_wait(&stage, stage_spool_holds, sums.waiting + more);
	if (r < 0)
		stage_show_log(&stage, "gateway.log");
	assert_int_equal(r, 0);
}

static void cut_the_power(void)
{
	stage_end(&stage.gateway, SIGKILL);
}

/* Payloads of readings, with their topics, as they come. */
static void listen_to_payloads(void)
{
	char port[8];
	char *argv[] = { "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", "2",
			 "-t", "demo/climate-11", "-F", "%p", NULL };
	char path[96];
	int out;

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	snprintf(path, sizeof(path), "%s/payloads", stage.directory);
	out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(out >= 0);
	listener = stage_spawn(argv, out);
	close(out);
}

static int64_t time_of(const char *payload)
{
	struct tm tm = { 0 };
	unsigned ms;
	int fields = sscanf(payload, "{\"time\":\"%d-%d-%dT%d:%d:%d.%3uZ\"", &tm.tm_year,
			    &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms);

	assert_int_equal(fields, 7);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return timegm(&tm) * INT64_C(1000) + ms;
}

struct seen {
	unsigned right, estimated, unsynced;
	int64_t first_ms, first_estimated_ms, last_estimated_ms, last_ms;
};

static struct seen read_payloads(void)
{
	struct seen seen = { 0 };
	char path[96], line[512];
	FILE *in;

	snprintf(path, sizeof(path), "%s/payloads", stage.directory);
	in = fopen(path, "re");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		int64_t time_ms = time_of(line);

		assert_true(time_ms >= seen.last_ms);
		if (!seen.first_ms)
			seen.first_ms = time_ms;
		seen.last_ms = time_ms;
		if (strstr(line, "\"clock\":\"estimated\"")) {
			if (!seen.estimated++)
				seen.first_estimated_ms = time_ms;
			seen.last_estimated_ms = time_ms;
		} else if (strstr(line, "\"clock\":\"unsynced\"")) {
			seen.unsynced++;
		} else {
			seen.right++;
		}
	}
	fclose(in);
	return seen;
}

static bool newest_has_come(_unused_ struct stage *on, uint64_t unused)
{
	(void)unused;
	return read_payloads().last_ms >= TOLD_MS + 2 * HOUR_MS;
}

static void wait_for(stage_condition *holds)
{
	int r = stage_wait(&stage, holds, 0);

	if (r < 0) {
		stage_show_log(&stage, "gateway.log");
		stage_show_log(&stage, "payloads");
	}
	assert_int_equal(r, 0);
}

static void times_are_right_when_delivered(_unused_ void **state)
{
	struct seen seen;

	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	listen_to_payloads();
	assert_int_equal(stage_configure(&stage, "", ""), 0);
	proxy_cut(stage.proxy, true);

	start_machine(5000);
	gather(40);
	tell_the_time(TOLD_MS);
	gather(40);
	cut_the_power();

	start_machine(5000);
	gather(60);
	cut_the_power();

	start_machine(5000);
	gather(20);
	tell_the_time(TOLD_MS + 2 * HOUR_MS);
	gather(20);
	proxy_cut(stage.proxy, false);
	wait_for(newest_has_come);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty);

	seen = read_payloads();
	print_message("%u right, %u estimated, %u unsynced\n", seen.right, seen.estimated,
		      seen.unsynced);
	assert_int_equal(seen.unsynced, 0);
	assert_true(seen.right >= 4 && seen.estimated >= 2);
	/* A minute is long for what was gathered before it was told the time. */
	assert_in_range(seen.first_ms, TOLD_MS - 60000, TOLD_MS);
	assert_true(seen.first_estimated_ms > TOLD_MS);
	assert_true(seen.last_estimated_ms < TOLD_MS + 2 * HOUR_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(times_are_right_when_delivered, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
