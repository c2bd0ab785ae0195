/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_bus_pace.c - the wire is never idle for longer than its silence asks for.
 *
 * In a time of the test's own, so that only what the bus itself does costs polls; what timers
 * and a busy machine cost besides is measured by bench/bench_bus.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "fake_time.h"
#include "field/bus.h"
#include "field/plan.h"
#include "tools/simulator.h"

#include <string.h>

enum {
	WARM_UP_US = 1000 * 1000,
	COUNTED_US = 10 * 1000 * 1000,
	WIRES_MAX = 8,
};

/* That the wire carries of what it could, in thousandths. */
static const unsigned share_least = 995;

static const struct serial_format format = { 8, 'N', 1 };

/* All of it in one request, and always due. */
static struct device_map *make_map(unsigned registers)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL;
	struct device_map *map = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("map: thing\ndriver: modbus\ndefaults: {table: input, type: u16, every: 1ms}\n"
	      "batch: {registers: 125, gap: 0}\npoints:\n", out);
	for (unsigned i = 0; i < registers; i++)
		fprintf(out, "  r%u: {addr: %u}\n", i, i);
	fclose(out);
	assert_int_equal(device_map_parse("thing.yaml", text, size, driver_names(), &map, faults),
			 0);
	return map;
}

static void ignore(_unused_ void *data, _unused_ const struct message *message)
{
}

static void run_for(sd_event *loop, uint64_t time_us)
{
	uint64_t end_us = clock_monotonic_us() + time_us;

	while (clock_monotonic_us() < end_us)
		fake_time_run(loop, end_us);
}

/* Polls that the wire has room for in the time that is counted. */
static uint64_t limit(unsigned registers, uint32_t baud)
{
	const struct request request = {
		.address = 1, .table = TABLE_INPUT, .count = (uint16_t)registers,
	};

	return COUNTED_US / plan_wire_time_us(driver_find("modbus"), &request, baud, format);
}

/* So many buses at once on one loop, each with a device of so many registers. */
static void poll_wires(size_t wires, unsigned registers, uint32_t baud)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	_cleanup_(device_map_freep) struct device_map *map = make_map(registers);
	struct simulator *simulators[WIRES_MAX];
	struct device_config device = {
		.name = "device", .map = map, .address = 1, .points = map->points,
		.point_count = map->point_count,
	};
	struct bus_config configs[WIRES_MAX];
	struct conf conf = { .gateway = "g", .publish.topic = "{gateway}/{device}" };
	struct bus *buses[WIRES_MAX];
	uint64_t before[WIRES_MAX];

	assert_return_code(sd_event_new(&loop), 0);
	for (size_t i = 0; i < wires; i++) {
		assert_int_equal(simulator_new(loop, NULL, baud, format, &simulators[i]), 0);
		assert_int_equal(simulator_add(simulators[i], map, 1), 0);
		configs[i] = (struct bus_config){
			.name = "bus", .port = (char *)simulator_path(simulators[i]),
			.baud = baud, .format = format, .timeout_us = 300 * USEC_PER_MSEC,
			.devices = &device, .device_count = 1,
		};
		assert_int_equal(bus_new(loop, &configs[i], &conf, ignore, NULL, &buses[i]), 0);
	}
	run_for(loop, WARM_UP_US);
	for (size_t i = 0; i < wires; i++)
		before[i] = simulator_stats(simulators[i]).answers;
	run_for(loop, COUNTED_US);
	for (size_t i = 0; i < wires; i++) {
		struct simulator_stats stats = simulator_stats(simulators[i]);

		assert_in_range(stats.answers - before[i],
				limit(registers, baud) * share_least / 1000 - 1,
				limit(registers, baud) + 1);
		assert_int_equal(stats.violations, 0);
		bus_free(buses[i]);
		simulator_free(simulators[i]);
	}
}

static void polls_follow_each_other_at_once(_unused_ void **state)
{
	static const uint32_t bauds[] = { 2400, 9600, 19200, 115200 };
	static const unsigned registers[] = { 2, 10, 50, 125 };

	for (size_t i = 0; i < ARRAY_SIZE(bauds); i++)
		for (size_t j = 0; j < ARRAY_SIZE(registers); j++)
			poll_wires(1, registers[j], bauds[i]);
}

static void buses_do_not_wait_for_each_other(_unused_ void **state)
{
	poll_wires(WIRES_MAX, 10, 9600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(polls_follow_each_other_at_once),
		cmocka_unit_test(buses_do_not_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
