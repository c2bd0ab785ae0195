/* SPDX-License-Identifier: Apache-2.0 */
/* test_gateway.c - the whole gateway, with a real Mosquitto and a simulated bus. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "on_stage.h"
#include "uplink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>


static void set_up(const char *publish, const char *spool)
{
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_configure(&stage, publish, spool), 0);
}

static void readings_are_delivered(const char *publish, const char *spool)
{
	struct stage_count count;

	set_up(publish, spool);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 50);
	count = finish();
	assert_true(count.delivered >= 50);
	assert_int_equal(count.announced, STAGE_DEVICES); /* each is online, once */
	assert_int_equal(count.lost, 0);
	assert_int_equal(count.twice, 0);
}

static void qos_0_is_delivered(void **state)
{
	(void)state;
	readings_are_delivered("qos = 0;", "");
}

static void qos_1_is_delivered(void **state)
{
	(void)state;
	readings_are_delivered("qos = 1;", "sync = \"always\";");
}

static void qos_2_is_delivered(void **state)
{
	(void)state;
	readings_are_delivered("qos = 2; time = \"epoch_ms\";", "");
}

/* The link is cut again and again; a new client resumes each time. */
static void link_outages_lose_nothing(void **state)
{
	struct stage_count count;

	(void)state;
	set_up("qos = 2;", "");
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 20);
	for (unsigned i = 0; i < 5; i++) {
		proxy_cut(stage.proxy, true);
		wait_for(stage_spool_holds, 10);
		proxy_cut(stage.proxy, false);
		wait_for(stage_has_readings, stage.readings + 20);
	}
	count = finish();
	assert_int_equal(count.lost, 0);
	assert_int_equal(count.twice, 0);
}

/* Without a broker the gateway starts, reads and keeps. */
static void starts_without_a_broker(void **state)
{
	(void)state;
	set_up("qos = 1;", "");
	proxy_cut(stage.proxy, true);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_spool_holds, 30);
	proxy_cut(stage.proxy, false);
	assert_int_equal(finish().lost, 0);
}

/* The broker forgets everything: what is not acknowledged is sent again, QoS 1. */
static void broker_restart_loses_nothing(void **state)
{
	(void)state;
	set_up("qos = 1;", "");
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 20);
	proxy_cut(stage.proxy, true);
	wait_for(stage_spool_holds, 20);
	stage_end(&stage.subscriber, SIGKILL);
	stage_end(&stage.broker, SIGKILL);
	assert_int_equal(stage_start_broker(&stage), 0);
	sd_event_source_disable_unref(stage.subscriber_source);
	close(stage.subscriber_fd);
	assert_true(stage_start_subscriber(&stage) >= 0);
	wait_for(stage_spool_holds, 40);
	proxy_cut(stage.proxy, false);
	assert_int_equal(finish().lost, 0);
}

/* SIGTERM while the link is down: everything unacknowledged is on disk, and stays. */
static void stops_with_all_on_disk(void **state)
{
	struct spool_sums sums, after;
	uint64_t next, next_after;
	int status;

	(void)state;
	set_up("qos = 1;", "");
	proxy_cut(stage.proxy, true);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_spool_holds, 30);
	status = stage_end(&stage.gateway, SIGTERM);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(stage_look_at_spool(&stage, &sums, &next), 0);
	assert_true(sums.waiting >= 30);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_spool_holds, sums.waiting + 10);
	assert_int_equal(stage_look_at_spool(&stage, &after, &next_after), 0);
	assert_true(next_after >= next + 10);
	proxy_cut(stage.proxy, false);
	assert_int_equal(finish().lost, 0);
}

static void dead_device_is_offline_once(void **state)
{
	const struct fault_plan dead = {
		.kind = FAULT_SILENT, .address = STAGE_FIRST_ADDRESS, .every = 1,
	};
	struct stage_count count;

	(void)state;
	set_up("qos = 1;", "");
	assert_int_equal(simulator_add_fault(stage.simulator, &dead), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 100);
	count = finish();
	/* Seven online, one offline; all eight may go offline while the last are delivered. */
	assert_in_range(count.announced, STAGE_DEVICES, 2 * STAGE_DEVICES - 1);
	assert_int_equal(count.lost, 0);
}

/* A configuration with faults: all are told, with their places, and the exit status says so. */
static void faults_are_told_at_once(void **state)
{
	char text[4096] = "";
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *log = NULL;
	int status;

	(void)state;
	set_up("qos = 3;", "sink = \"1s\";");
	assert_int_equal(stage_write(&stage, "bus.yaml",
				     "bus: cellar\n"
				     "port: /dev/null\n"
				     "bawd: 9600\n"
				     "devices:\n"
				     "  - {name: a, map: no-such-map, address: 1}\n"), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	status = stage_end(&stage.gateway, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EX_CONFIG);
	assert_true(asprintf(&path, "%s/gateway.log", stage.directory) > 0);
	log = fopen(path, "re");
	assert_non_null(log);
	assert_true(fread(text, 1, sizeof(text) - 1, log) > 0);
	assert_non_null(strstr(text, "postbus.conf:6:12: "));
	assert_non_null(strstr(text, "postbus.conf:7:"));
	assert_non_null(strstr(text, "bus.yaml:3:1: "));
	assert_non_null(strstr(text, "baud"));
	assert_non_null(strstr(text, "bus.yaml:5:20: "));
}

static void memory_stays_small(void **state)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char line[128];
	unsigned peak_kb = 0;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	if (getenv("POSTBUS_SANITIZED"))
		skip();
	set_up("qos = 1;", "");
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 50);
	assert_true(asprintf(&path, "/proc/%d/status", stage.gateway) > 0);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %u", &peak_kb) == 1)
			break;
	print_message("peak resident: %u kB\n", peak_kb);
	assert_in_range(peak_kb, 1, 12 * 1024);
}

#define gateway_test(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		gateway_test(qos_0_is_delivered),
		gateway_test(qos_1_is_delivered),
		gateway_test(qos_2_is_delivered),
		gateway_test(link_outages_lose_nothing),
		gateway_test(starts_without_a_broker),
		gateway_test(broker_restart_loses_nothing),
		gateway_test(stops_with_all_on_disk),
		gateway_test(dead_device_is_offline_once),
		gateway_test(faults_are_told_at_once),
		gateway_test(memory_stays_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
