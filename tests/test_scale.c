/* SPDX-License-Identifier: Apache-2.0 */
/* test_scale.c - sixteen full buses at once: every point is read in each of its periods. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "fake_time.h"
#include "field/bus.h"
#include "tools/simulator.h"

#include <string.h>

enum {
	BUSES = 16,
	DEVICES = 32, /* on each */
	POINTS = 10,  /* of each */
	BAUD = 9600,
	PERIODS = 6,
};

/*
 * A poll takes 51 ms at 9600 baud: 8 and 25 characters, and two silences, one of them the
 * device's. 32 of them are 1.63 s, 82 % of the period.
 */
static const uint64_t every_us = 2 * USEC_PER_SEC;

struct device_seen {
	uint64_t last_us;
	unsigned messages, late;
};

struct world;

struct line {
	struct world *world;
	struct simulator *simulator;
	struct bus *bus;
	struct bus_config config;
	struct device_config devices[DEVICES];
	char names[DEVICES][8];
	struct device_seen seen[DEVICES];
};

struct world {
	sd_event *loop;
	struct device_map *map;
	struct conf conf;
	struct line lines[BUSES];
	uint64_t messages;
};

static struct device_map *make_map(void)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct device_map *map = NULL;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("map: thing\ndriver: modbus\ndefaults: {table: input, type: u16, every: 2s}\n"
	      "points:\n", out);
	for (int i = 0; i < POINTS; i++)
		fprintf(out, "  p%d: {addr: %d}\n", i, i);
	fclose(out);
	assert_int_equal(device_map_parse("thing.yaml", text, size, driver_names(), &map, faults),
			 0);
	free(text);
	return map;
}

/* "g/d7" and its ten points: a message a period, and none of them late. */
static void take_message(void *data, const struct message *message)
{
	struct line *line = data;
	uint64_t now_us = clock_monotonic_us();
	char topic[64];
	struct device_seen *seen;
	unsigned device;
	int end = 0;

	snprintf(topic, sizeof(topic), "%.*s", message->topic_length, message->topic);
	if (sscanf(topic, "g/d%u%n", &device, &end) != 1 || topic[end])
		return;
	seen = &line->seen[device];
	/* Between two readings there are at most two periods: from begin to end of them. */
	seen->late += seen->messages && now_us - seen->last_us > 2 * every_us;
	seen->last_us = now_us;
	seen->messages++;
	line->world->messages++;
}

static void start_line(struct world *world, struct line *line)
{
	const struct serial_format format = {8, 'N', 1};

	line->world = world;
	assert_int_equal(simulator_new(world->loop, NULL, BAUD, format, &line->simulator), 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		snprintf(line->names[i], sizeof(line->names[i]), "d%u", i);
		line->devices[i] = (struct device_config){
			.name = line->names[i], .map = world->map, .address = (uint8_t)(i + 1),
			.points = world->map->points, .point_count = POINTS};
		assert_int_equal(simulator_add(line->simulator, world->map, (uint8_t)(i + 1)), 0);
	}
	line->config = (struct bus_config){
		.name = "bus", .port = (char *)simulator_path(line->simulator), .baud = BAUD,
		.format = format, .timeout_us = 300 * USEC_PER_MSEC, .devices = line->devices,
		.device_count = DEVICES,
	};
	assert_int_equal(bus_new(world->loop, &line->config, &world->conf, take_message, line,
				 &line->bus), 0);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	*state = world;
	world->map = make_map();
	world->conf = (struct conf){.gateway = "g", .publish.topic = "{gateway}/{device}"};
	assert_return_code(sd_event_new(&world->loop), 0);
	for (size_t i = 0; i < BUSES; i++)
		start_line(world, &world->lines[i]);
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < BUSES; i++) {
		bus_free(world->lines[i].bus);
		simulator_free(world->lines[i].simulator);
	}
	device_map_free(world->map);
	sd_event_unref(world->loop);
	free(world);
	return 0;
}

static void test_no_deadline_is_missed(void **state)
{
	struct world *world = *state;
	uint64_t end_us = clock_monotonic_us() + PERIODS * every_us;

	while (clock_monotonic_us() < end_us)
		fake_time_run(world->loop, end_us);
	for (size_t i = 0; i < BUSES; i++) {
		struct line *line = &world->lines[i];
		struct bus_stats stats = bus_stats(line->bus);

		assert_int_equal(simulator_stats(line->simulator).violations, 0);
		assert_int_equal(stats.counters.timeouts, 0);
		assert_true(stats.stretch < 1.001);
		for (size_t j = 0; j < DEVICES; j++) {
			assert_int_equal(line->seen[j].late, 0);
			assert_in_range(line->seen[j].messages, PERIODS - 1, PERIODS + 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_deadline_is_missed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
