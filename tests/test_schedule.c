/* SPDX-License-Identifier: Apache-2.0 */
/* test_schedule.c - who is asked when, on a wire of which only the time is simulated. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "field/plan.h"
#include "field/schedule.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum {
	DEVICES_MAX = 40,
	POINTS_MAX = 800,
	RETRIES = 2,
};

static const uint64_t begin_us = 1000 * USEC_PER_SEC;
static const uint64_t timeout_us = 300 * USEC_PER_MSEC;
static const struct serial_format format_8n1 = {8, 'N', 1};

/* How each point fared. */
struct fate {
	uint64_t reads, last_us, longest_us; /* from read to read */
	uint64_t latest_us;                  /* behind its deadline, at most */
};

/* A bus whose devices answer at once, but those that are dead or lack a register. */
struct world {
	struct device_map *maps[DEVICES_MAX];
	struct device_config configs[DEVICES_MAX];
	struct device devices[DEVICES_MAX];
	size_t count;
	struct conf conf;
	struct schedule schedule;
	uint64_t now_us, requests, refusals;
	struct fate fates[DEVICES_MAX][POINTS_MAX];
	bool dead[DEVICES_MAX];
	unsigned mute_from;   /* requests from this register on device 0 does not answer */
	uint64_t vain_us;     /* the time that dead devices took */
	int missing;          /* a register that device 0 refuses; -1: none */
	unsigned overloaded;  /* times that it was told */
	unsigned relieved;
};

static struct device_map *parse(const char *text)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct device_map *map = NULL;
	int r = device_map_parse("thing.yaml", text, strlen(text), driver_names(), &map,
				 faults);

	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	return map;
}

/* `count` points of one register each, `step` registers apart. */
static void add_device(struct world *world, unsigned count, unsigned step, const char *every,
		       const char *more)
{
	struct device_config *config = &world->configs[world->count];
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "map: thing\ndriver: modbus\n"
		"defaults: {table: input, type: u16, every: %s}\n"
		"batch: {registers: 125, gap: 8}\npoints:\n%s", every, more);
	for (unsigned i = 0; i < count; i++)
		fprintf(out, "  p%u: {addr: %u}\n", i, 1000 + i * step);
	fclose(out);
	world->maps[world->count] = parse(text);
	free(text);
	*config = (struct device_config){
		.name = "thing",
		.map = world->maps[world->count],
		.address = (uint8_t)(world->count + 1),
		.points = world->maps[world->count]->points,
		.point_count = world->maps[world->count]->point_count,
	};
	assert_true(config->point_count <= POINTS_MAX);
	assert_int_equal(device_init(&world->devices[world->count], config, "bus",
				     &world->conf, begin_us), 0);
	world->count++;
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->conf.gateway = "test";
	world->conf.publish.topic = "{gateway}/{device}-{address}";
	world->now_us = begin_us;
	world->missing = -1;
	world->mute_from = UINT_MAX;
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	for (size_t i = 0; i < world->count; i++) {
		device_done(&world->devices[i]);
		device_map_free(world->maps[i]);
	}
	schedule_done(&world->schedule);
	free(world);
	return 0;
}

static void start(struct world *world)
{
	assert_int_equal(schedule_init(&world->schedule, world->devices, world->count,
				       world->now_us), 0);
}

static void note_reads(struct world *world, const struct device *device)
{
	const struct request *request = &device->request;

	for (uint16_t i = 0; i < request->point_count; i++) {
		uint16_t point = device->points[request->point_first + i];
		struct fate *fate = &world->fates[device - world->devices][point];
		uint64_t deadline_us = device->due_us[point] +
				       device->config->points[point].every_us +
				       world->schedule.lag_us;

		if (fate->reads++ && world->now_us - fate->last_us > fate->longest_us)
			fate->longest_us = world->now_us - fate->last_us;
		if (world->now_us > deadline_us + fate->latest_us)
			fate->latest_us = world->now_us - deadline_us;
		fate->last_us = world->now_us;
	}
}

static void ask(struct world *world, struct device *device)
{
	static const uint8_t data[DATA_MAX];
	const struct reply reply = {.status = REPLY_OK, .data = data, .data_length = DATA_MAX};
	const struct request *request = &device->request;
	size_t index = device - world->devices;
	uint64_t time_us = schedule_time_us(&world->schedule, world->now_us);
	bool refused, dead;

	if (!device->asking && device_choose(device, time_us, world->schedule.room))
		device_begin(device, world->now_us, time_us);
	world->requests++;
	device->attempts++;
	dead = world->dead[index] || (index == 0 && request->first >= world->mute_from);
	world->now_us += dead ? timeout_us
					    : plan_wire_time_us(device->driver, request,
								9600, format_8n1);
	time_us = schedule_time_us(&world->schedule, world->now_us);
	refused = index == 0 && world->missing >= request->first &&
		  world->missing < request->first + request->count;
	if (dead) {
		world->vain_us += timeout_us;
		if (!device_missed(device, RETRIES, time_us, timeout_us))
			device_failed(device, world->now_us, time_us);
		return;
	}
	device_answered(device, world->now_us, time_us);
	if (refused) {
		world->refusals++;
		device_refuse(device, time_us);
		return;
	}
	note_reads(world, device);
	device_take(device, &reply, world->now_us);
	if (device_settle(device, time_us, 0)) {
		device->polling = false;
		device->reading_count = 0;
	}
}

/* For so long; the share of the time in which something was on the wire. */
static double run(struct world *world, uint64_t usec)
{
	uint64_t start_us = world->now_us, end_us = start_us + usec, idle_us = 0, wake_us;

	while (world->now_us < end_us) {
		struct device *device =
			schedule_next(&world->schedule, world->now_us, &wake_us);

		if (schedule_look(&world->schedule, world->now_us)) {
			world->overloaded += world->schedule.overloaded;
			world->relieved += !world->schedule.overloaded;
		}
		if (device) {
			ask(world, device);
			continue;
		}
		assert_true(wake_us > world->now_us);
		wake_us = wake_us < end_us ? wake_us : end_us;
		idle_us += wake_us - world->now_us;
		world->now_us = wake_us;
	}
	return 1 - (double)idle_us / (double)(world->now_us - start_us);
}

static double period_of(const struct world *world, size_t device, size_t point,
			uint64_t run_us)
{
	const struct fate *fate = &world->fates[device][point];

	assert_true(fate->reads > 2);
	return (double)run_us / (double)fate->reads /
	       (double)world->configs[device].points[point].every_us;
}

/* --- all in time --- */

static void test_points_due_together_share_requests(void **state)
{
	struct world *world = *state;

	/* 100 registers without holes that matter: one request, once a second. */
	add_device(world, 100, 1, "1s", "");
	start(world);
	run(world, 60 * USEC_PER_SEC);
	assert_in_range(world->requests, 59, 61);
	assert_int_equal(world->fates[0][99].reads, world->requests);
}

/*
 * Ten registers are 41.7 ms: 6 a second and 18 each 2 s are 62.5 % of the wire. Nobody is
 * later than a request that could not be stopped.
 */
static void test_no_deadline_is_missed(void **state)
{
	struct world *world = *state;
	double load;

	for (unsigned i = 0; i < 6; i++)
		add_device(world, 10, 1, "1s", "");
	for (unsigned i = 0; i < 18; i++)
		add_device(world, 10, 1, "2s", "");
	start(world);
	load = run(world, 300 * USEC_PER_SEC);
	assert_in_range((unsigned)(load * 1000), 620, 630);
	for (size_t i = 0; i < world->count; i++) {
		assert_int_equal(world->fates[i][0].latest_us, 0);
		assert_true(world->fates[i][0].longest_us <
			    2 * world->configs[i].points[0].every_us);
	}
	assert_int_equal(world->schedule.lag_us, 0);
	assert_int_equal(world->overloaded, 0);
}

/* 700 registers, five and a half requests of 0.28 s, must not delay a point of another 500 ms. */
static void test_long_poll_is_no_obstacle(void **state)
{
	struct world *world = *state;

	add_device(world, 700, 1, "30s", "  fast: {addr: 5000, every: 1s}\n");
	add_device(world, 1, 1, "700ms", "");
	start(world);
	run(world, 300 * USEC_PER_SEC);
	assert_true(world->fates[0][0].longest_us < 2 * USEC_PER_SEC);
	assert_in_range(world->fates[0][0].reads, 299, 302);
	assert_true(world->fates[1][0].longest_us < 2 * 700 * USEC_PER_MSEC);
	assert_in_range(world->fates[1][0].reads, 427, 430);
	assert_in_range(world->fates[0][500].reads, 10, 11);
}

/* --- more than the wire carries --- */

/* Everything is stretched by the factor that is too much, and the wire is never idle. */
static void test_overload_is_shared(void **state)
{
	struct world *world = *state;
	const uint64_t run_us = 600 * USEC_PER_SEC;
	double load, factor;

	for (unsigned i = 0; i < 20; i++) /* 20 * 41.7 ms / 500 ms = 1.67 */
		add_device(world, 10, 1, "500ms", "");
	for (unsigned i = 0; i < 20; i++) /* 20 * 41.7 ms / 2.5 s = 0.33 */
		add_device(world, 10, 1, "2500ms", "");
	start(world);
	load = run(world, run_us);
	assert_true(load > 0.999);
	for (size_t i = 0; i < world->count; i++) {
		factor = period_of(world, i, 0, run_us);
		assert_true(fabs(factor - 2.0) < 0.06);
	}
	assert_int_equal(world->overloaded, 1); /* and that is told once */
	assert_true(fabs(world->schedule.stretch - 2.0) < 0.1);
}

/* One device that wants all of the wire does not starve the others. */
static void test_greedy_device(void **state)
{
	struct world *world = *state;
	const uint64_t run_us = 600 * USEC_PER_SEC;

	add_device(world, 10, 1, "10ms", "");
	add_device(world, 10, 1, "1s", "");
	add_device(world, 2, 1, "10s", "");
	start(world);
	run(world, run_us);
	for (size_t i = 1; i < 3; i++) {
		double factor = period_of(world, i, 0, run_us);

		assert_true(fabs(factor / period_of(world, 0, 0, run_us) - 1) < 0.2);
	}
}

/* What was missed while the port was closed is not caught up with. */
static void test_resume(void **state)
{
	struct world *world = *state;

	add_device(world, 10, 1, "1s", "");
	start(world);
	run(world, 10 * USEC_PER_SEC);
	world->requests = 0;
	world->now_us += 3600 * USEC_PER_SEC;
	schedule_resume(&world->schedule, world->now_us);
	run(world, 10 * USEC_PER_SEC);
	assert_in_range(world->requests, 9, 11);
	assert_int_equal(world->overloaded, 0);
}

/* --- trouble --- */

static void test_dead_device_costs_little(void **state)
{
	struct world *world = *state;
	const uint64_t run_us = 120 * USEC_PER_SEC;

	for (unsigned i = 0; i < 8; i++)
		add_device(world, 10, 1, "250ms", "");
	world->dead[3] = true;
	start(world);
	run(world, run_us);
	assert_true(world->vain_us < run_us / 20);
	assert_int_equal(world->devices[3].state, DEVICE_OFFLINE);

	/* It answers again, and is read at its full rate from then on. */
	world->dead[3] = false;
	run(world, 61 * USEC_PER_SEC);
	assert_int_equal(world->devices[3].state, DEVICE_ONLINE);
	memset(world->fates, 0, sizeof(world->fates));
	run(world, 10 * USEC_PER_SEC);
	assert_true(world->fates[3][0].reads + 2 >= world->fates[2][0].reads);
}

/* Some models do not answer at all for registers that they do not have. */
static void test_mute_registers_cost_little(void **state)
{
	struct world *world = *state;
	const uint64_t run_us = 300 * USEC_PER_SEC;

	add_device(world, 10, 1, "1s", "  odd: {addr: 5000}\n");
	add_device(world, 10, 1, "1s", "");
	world->mute_from = 5000;
	start(world);
	run(world, run_us);
	assert_true(world->vain_us < run_us / 18);
	assert_int_equal(world->devices[0].state, DEVICE_ONLINE);
	assert_int_equal(world->fates[0][0].reads, 0);
	/* Each time it is tried, the device is let rest, in case that an answer is late. */
	assert_in_range(world->fates[0][1].reads, 270, 301);
	assert_in_range(world->fates[1][0].reads, 295, 301);
}

/* Who is late goes between the attempts: none waits for more than one timeout. */
static void test_others_go_first(void **state)
{
	struct world *world = *state;

	for (unsigned i = 0; i < 3; i++)
		add_device(world, 2, 1, "100ms", "");
	start(world);
	run(world, 5 * USEC_PER_SEC);
	world->dead[1] = true;
	memset(world->fates, 0, sizeof(world->fates));
	run(world, 5 * USEC_PER_SEC);
	assert_true(world->fates[0][0].longest_us < timeout_us + 200 * USEC_PER_MSEC);
	assert_true(world->fates[2][0].longest_us < timeout_us + 200 * USEC_PER_MSEC);
}

static void test_missing_register_is_found(void **state)
{
	struct world *world = *state;

	for (world->missing = 1000; world->missing < 1016; world->missing++) {
		size_t missing = world->missing - 1000;

		world->count = 0;
		world->now_us = begin_us;
		world->refusals = 0;
		memset(world->fates, 0, sizeof(world->fates));
		add_device(world, 16, 1, "1s", "");
		start(world);
		run(world, 60 * USEC_PER_SEC);
		assert_true(world->devices[0].split.refused[missing]);
		assert_in_range(world->refusals, 2, 6); /* halved each time */
		assert_int_equal(world->fates[0][missing].reads, 0);
		/* From then on two requests go around it, and none through it. */
		world->requests = world->refusals = 0;
		run(world, 60 * USEC_PER_SEC);
		assert_int_equal(world->refusals, 0);
		assert_in_range(world->requests, 60, 122);
		for (size_t i = 0; i < 16; i++)
			assert_true(i == missing || world->fates[0][i].reads > 110);
		device_done(&world->devices[0]);
		device_map_free(world->maps[0]);
		schedule_done(&world->schedule);
	}
	world->count = 0;
	world->schedule.room = NULL;
}

/* A hole that may not be read through: points on both sides are read, none is refused. */
static void test_forbidden_hole_is_found(void **state)
{
	struct world *world = *state;

	world->missing = 1005; /* between p2 at 1004 and p3 at 1006 */
	add_device(world, 8, 2, "1s", "");
	start(world);
	run(world, 30 * USEC_PER_SEC);
	world->requests = world->refusals = 0;
	run(world, 60 * USEC_PER_SEC);
	assert_int_equal(world->refusals, 0);
	assert_in_range(world->requests, 118, 240);
	for (size_t i = 0; i < 8; i++) {
		assert_false(world->devices[0].split.refused[i]);
		assert_in_range(world->fates[0][i].reads, 85, 92);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_points_due_together_share_requests),
		TEST(test_no_deadline_is_missed),
		TEST(test_long_poll_is_no_obstacle),
		TEST(test_overload_is_shared),
		TEST(test_greedy_device),
		TEST(test_resume),
		TEST(test_dead_device_costs_little),
		TEST(test_mute_registers_cost_little),
		TEST(test_others_go_first),
		TEST(test_missing_register_is_found),
		TEST(test_forbidden_hole_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
