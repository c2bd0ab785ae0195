/* SPDX-License-Identifier: Apache-2.0 */
/* test_memory.c - what a gateway with 512 devices and 5,120 points takes of memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "tools/simulator.h"
#include "tools/stage.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
	BUSES = 16,
	DEVICES = 32, /* on each */
	POINTS = 10,  /* of each */
	BAUD = 115200,
	ROUNDS = 4,
	MOST_KIB = 24 * 1024,
};

static struct stage stage;
static struct device_map *map;
static struct simulator *simulators[BUSES];

static int open_stage(void **state)
{
	const char *source = getenv("POSTBUS_SOURCE");
	static char maps[4096];

	(void)state;
	snprintf(maps, sizeof(maps), "%s/devices", source ? source : ".");
	return stage_open(&stage, getenv("POSTBUS"), maps);
}

static int close_stage(void **state)
{
	(void)state;
	for (size_t i = 0; i < BUSES; i++)
		simulator_free(simulators[i]);
	device_map_free(map);
	stage_clean_up(&stage);
	return 0;
}

static void write_map(void)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *points = NULL, *path = NULL;
	size_t size;
	FILE *out = open_memstream(&points, &size);

	for (int i = 0; i < POINTS; i++)
		fprintf(out, "  measured_value_%d: {addr: %d, unit: V, class: voltage}\n", i, i);
	fclose(out);
	assert_int_equal(stage_write(&stage, "thing.yaml",
				     "map: thing\ndriver: modbus\n"
				     "defaults: {table: input, type: u16, scale: 0.1, every: 1s}\n"
				     "points:\n%s", points), 0);
	assert_true(asprintf(&path, "%s/thing.yaml", stage.directory) > 0);
	assert_int_equal(device_map_load(path, driver_names(), &map, faults), 0);
}

static void write_configuration(void)
{
	_cleanup_free_ char *buses = NULL;

	assert_true(asprintf(&buses, "%s/buses", stage.directory) > 0);
	assert_int_equal(mkdir(buses, 0700), 0);
	assert_int_equal(stage_write(&stage, "postbus.conf",
				     "gateway = \"demo\";\nbuses = \"%s/buses\";\n"
				     "maps = [ \"%s\" ];\n"
				     "broker: { host = \"127.0.0.1\"; port = %d; };\n"
				     "spool: { directory = \"%s/spool\"; };\n",
				     stage.directory, stage.directory, stage.broker_port,
				     stage.directory), 0);
	for (unsigned i = 0; i < BUSES; i++) {
		char file[32];

		snprintf(file, sizeof(file), "buses/bus-%02u.yaml", i);
		assert_int_equal(simulator_new(stage.loop, NULL, BAUD,
					       (struct serial_format){8, 'N', 1},
					       &simulators[i]), 0);
		for (unsigned j = 1; j <= DEVICES; j++)
			assert_int_equal(simulator_add(simulators[i], map, (uint8_t)j), 0);
		assert_int_equal(stage_write(&stage, file,
					     "bus: bus-%02u\nport: %s\nbaud: %u\ntimeout: 10s\n"
					     "devices: [{name: \"thing-%02u-{address}\", "
					     "map: thing, address: 1-%u}]\n",
					     i, simulator_path(simulators[i]), BAUD, i, DEVICES),
				 0);
	}
}

static bool all_was_polled(_unused_ struct stage *on, uint64_t rounds)
{
	for (size_t i = 0; i < BUSES; i++)
		if (simulator_stats(simulators[i]).answers < rounds * DEVICES)
			return false;
	return true;
}

/* "VmHWM:\t   12345 kB": the most that was ever resident, in KiB. */
static unsigned long peak_kib(pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long kib = 0;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (!kib && fgets(line, sizeof(line), file))
		(void)!sscanf(line, "VmHWM: %lu kB", &kib);
	return kib;
}

static void test_512_devices(void **state)
{
	unsigned long kib;
	int r, status;

	(void)state;
	if (getenv("POSTBUS_SANITIZED"))
		skip();
	assert_int_equal(stage_start_broker(&stage), 0);
	write_map();
	write_configuration();
	assert_int_equal(stage_start_gateway(&stage), 0);
	r = stage_wait(&stage, all_was_polled, ROUNDS);
	if (r < 0)
		stage_show_log(&stage, "gateway.log");
	assert_int_equal(r, 0);
	kib = peak_kib(stage.gateway);
	print_message("%d devices, %d points: at most %lu KiB\n", BUSES * DEVICES,
		      BUSES * DEVICES * POINTS, kib);
	assert_in_range(kib, 1, MOST_KIB);
	status = stage_end(&stage.gateway, SIGTERM);
	assert_true(WIFEXITED(status));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_512_devices, open_stage, close_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
