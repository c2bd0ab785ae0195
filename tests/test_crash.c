/* SPDX-License-Identifier: Apache-2.0 */
/* test_crash.c - the gateway is killed with SIGKILL again and again, and nothing is lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

static struct stage stage;
static char *maps;

static int open_stage(void **state)
{
	const char *source = getenv("POSTBUS_SOURCE");

	(void)state;
	if (asprintf(&maps, "%s/devices", source ? source : ".") < 0)
		return -1;
	return stage_open(&stage, getenv("POSTBUS"), maps);
}

static int close_stage(void **state)
{
	(void)state;
	stage_clean_up(&stage);
	free(maps);
	return 0;
}

static bool all_is_delivered(struct stage *on, uint64_t unused)
{
	struct stage_count count;

	(void)unused;
	return stage_count(on, &count) == 0 && count.lost == 0;
}

static struct stage_count crash_often(const char *publish, unsigned crashes)
{
	struct stage_count count;

	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_configure(&stage, publish, ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	for (unsigned i = 0; i < crashes; i++) {
		assert_int_equal(stage_wait(&stage, stage_has_readings, stage.readings + 5), 0);
		/* At another point of a message's way each time. */
		assert_int_equal(stage_wait_ms(&stage, i * 3 % 40), 0);
		/* Now and then the link is gone as well. */
		proxy_cut(stage.proxy, i % 4 == 3);
		stage_end(&stage.gateway, SIGKILL);
		assert_int_equal(stage_start_gateway(&stage), 0);
		proxy_cut(stage.proxy, false);
	}
	simulator_mute(stage.simulator, true);
	assert_int_equal(stage_wait(&stage, stage_spool_is_empty, 0), 0);
	stage_end(&stage.gateway, SIGTERM);
	assert_int_equal(stage_wait(&stage, all_is_delivered, 0), 0);
	assert_int_equal(stage_count(&stage, &count), 0);
	print_message("%u crashes: %llu messages, lost %llu, twice %llu\n", crashes,
		      (unsigned long long)count.delivered, (unsigned long long)count.lost,
		      (unsigned long long)count.twice);
	assert_int_equal(count.lost, 0);
	assert_int_equal(count.unknown, 0);
	return count;
}

static void qos_1_loses_nothing(void **state)
{
	(void)state;
	crash_often("qos = 1;", 20);
}

static void qos_2_is_exactly_once(void **state)
{
	(void)state;
	assert_int_equal(crash_often("qos = 2;", 40).twice, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(qos_1_loses_nothing, open_stage, close_stage),
		cmocka_unit_test_setup_teardown(qos_2_is_exactly_once, open_stage, close_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
