/* SPDX-License-Identifier: Apache-2.0 */
/* test_bus.c - a bus with a simulated wire, and all that can go wrong on one. */
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
	DEVICES = 3,
	POINTS = 4,
	STEP = 20, /* registers from point to point: each is a request of its own */
	ENOUGH = 8,     /* readings of a point */
	PATIENCE_US = 300 * 1000000, /* of a time that passes at once */
};

static const uint64_t timeout_us = 100 * USEC_PER_MSEC;

static const char map_text[] =
	"map: thing\n"
	"driver: modbus\n"
	"defaults: {table: input, type: u16, every: 50ms}\n"
	"batch: {registers: 4, gap: 0}\n"
	"points:\n"
	"  p0: {addr: 0}\n"
	"  p1: {addr: 20}\n"
	"  p2: {addr: 40}\n"
	"  p3: {addr: 60}\n";

/* What came of one device. */
struct seen {
	unsigned readings[POINTS], online, offline;
};

struct fixture {
	char directory[32], port[64];
	sd_event *loop;
	struct device_map *map;
	struct simulator *simulator;
	struct device_config devices[DEVICES];
	struct bus_config config;
	struct conf conf;
	struct bus *bus;
	struct seen seen[DEVICES];
	unsigned wrong; /* values that are not what their register holds */
	bool has_left;
	char status[2048]; /* as last published */
};

/* The number that a register of a device holds, and no other register. */
static unsigned number_of(unsigned address, unsigned point)
{
	return address * 1000 + point * STEP;
}

static void start_simulator(struct fixture *f)
{
	char name[4];

	assert_int_equal(simulator_new(f->loop, f->port, 115200,
				       (struct serial_format){8, 'N', 1}, &f->simulator), 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_int_equal(simulator_add(f->simulator, f->map, (uint8_t)(i + 1)), 0);
		for (unsigned point = 0; point < POINTS; point++) {
			snprintf(name, sizeof(name), "p%u", point);
			assert_int_equal(simulator_set(f->simulator, (uint8_t)(i + 1), name,
						       number_of(i + 1, point)), 0);
		}
	}
}

static int set_up(void **state)
{
	static char names[DEVICES][8] = {"d1", "d2", "d3"};
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	strcpy(f->directory, "/tmp/test_bus.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->port, sizeof(f->port), "%s/wire", f->directory);
	assert_return_code(sd_event_new(&f->loop), 0);
	assert_int_equal(device_map_parse("thing.yaml", map_text, strlen(map_text),
					  driver_names(), &f->map, faults), 0);
	start_simulator(f);
	for (unsigned i = 0; i < DEVICES; i++)
		f->devices[i] = (struct device_config){
			.name = names[i],
			.map = f->map,
			.address = (uint8_t)(i + 1),
			.points = f->map->points,
			.point_count = f->map->point_count,
		};
	f->config = (struct bus_config){
		.name = "bus",
		.port = f->port,
		.baud = 115200,
		.format = {8, 'N', 1},
		.timeout_us = timeout_us,
		.retries = 2,
		.devices = f->devices,
		.device_count = DEVICES,
	};
	f->conf = (struct conf){.gateway = "g", .publish.topic = "{gateway}/{device}"};
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	bus_free(f->bus);
	simulator_free(f->simulator);
	device_map_free(f->map);
	sd_event_unref(f->loop);
	rmdir(f->directory);
	free(f);
	return 0;
}

/* "g/d1": a reading, `"p0":1000,"p3":1060`; "g/d1/availability": online or offline. */
static void take_message(void *data, const struct message *message)
{
	struct fixture *f = data;
	char topic[64], body[128], *rest = body, *member;
	unsigned device, point, number;

	snprintf(topic, sizeof(topic), "%.*s", message->topic_length, message->topic);
	snprintf(body, sizeof(body), "%.*s", (int)message->body_length, message->body);
	if (!strcmp(topic, "g/status/bus/bus"))
		snprintf(f->status, sizeof(f->status), "%.*s", (int)message->body_length,
			 message->body);
	if (sscanf(topic, "g/d%u", &device) != 1)
		return;
	assert_in_range(device, 1, DEVICES);
	if (strstr(topic, "/availability")) {
		f->seen[device - 1].online += !strcmp(body, "online");
		f->seen[device - 1].offline += !strcmp(body, "offline");
		return;
	}
	while ((member = strsep(&rest, ","))) {
		assert_int_equal(sscanf(member, "\"p%u\":%u", &point, &number), 2);
		assert_in_range(point, 0, POINTS - 1);
		f->seen[device - 1].readings[point]++;
		f->wrong += number != number_of(device, point);
	}
}

static void start(struct fixture *f)
{
	assert_int_equal(bus_new(f->loop, &f->config, &f->conf, take_message, f, &f->bus), 0);
}

static void add_fault(struct fixture *f, const char *text)
{
	struct fault_plan plan;

	assert_true(fault_plan_parse(text, &plan));
	assert_int_equal(simulator_add_fault(f->simulator, &plan), 0);
}

static void run_until(struct fixture *f, bool (*holds)(const struct fixture *f))
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

	while (!holds(f)) {
		assert_true(clock_monotonic_us() < end_us);
		fake_time_run(f->loop, end_us);
	}
}

static unsigned least_readings(const struct fixture *f, unsigned first_device)
{
	unsigned least = UINT32_MAX;

	for (unsigned i = first_device; i < DEVICES; i++)
		for (unsigned j = 0; j < POINTS; j++)
			if (f->seen[i].readings[j] < least)
				least = f->seen[i].readings[j];
	return least;
}

static bool all_are_read(const struct fixture *f)
{
	return least_readings(f, 0) >= ENOUGH;
}

static bool others_are_read(const struct fixture *f)
{
	return least_readings(f, 1) >= ENOUGH;
}

static bool first_is_offline(const struct fixture *f)
{
	return f->seen[0].offline > 0;
}

static bool first_is_online(const struct fixture *f)
{
	return f->seen[0].online > 0;
}

/* All of all devices is read, each came online once, and no value is another register's. */
static void assert_all_is_right(struct fixture *f)
{
	run_until(f, all_are_read);
	assert_int_equal(f->wrong, 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_int_equal(f->seen[i].online, 1);
		assert_int_equal(f->seen[i].offline, 0);
	}
}

static uint64_t refusals(const struct fixture *f, enum reply_status status)
{
	return bus_stats(f->bus).counters.refused[status];
}

/* --- a bus as it should be --- */

static void test_all_is_read(void **state)
{
	struct fixture *f = *state;
	struct bus_stats stats;

	start(f);
	assert_all_is_right(f);
	stats = bus_stats(f->bus);
	assert_true(stats.open);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
	assert_in_range(stats.counters.requests - stats.counters.answers, 0, 1);
	assert_int_equal(stats.counters.timeouts, 0);
	assert_int_equal(stats.offline, 0);
	assert_int_equal(bus_device_stats(f->bus, 2).counters.timeouts, 0);
	assert_string_equal(bus_device_stats(f->bus, 2).state, "online");
	/* The device begins to answer 1.75 ms after the request. */
	assert_in_range(latency_quantile(&stats.counters.latency, 0.5), 1000, 50000);
}

static bool status_is_published(const struct fixture *f)
{
	return f->status[0] != '\0';
}

static void test_status_is_published(void **state)
{
	struct fixture *f = *state;

	start(f);
	run_until(f, status_is_published);
	assert_non_null(strstr(f->status, "\"bus\":\"bus\""));
	assert_non_null(strstr(f->status, "\"open\":true"));
	assert_non_null(strstr(f->status, "\"devices\":3,\"offline\":0"));
	assert_non_null(strstr(f->status, "\"timeouts\":0"));
	assert_non_null(strstr(f->status, "\"trouble\":\"\""));
}

/* Also of a bus whose port is not there, and why it is not. */
static void test_trouble_is_published(void **state)
{
	struct fixture *f = *state;

	f->config.port = "/nowhere/port";
	start(f);
	run_until(f, status_is_published);
	assert_non_null(strstr(f->status, "\"open\":false"));
	assert_non_null(strstr(f->status, "\"trouble\":\"No such file or directory\""));
}

/* --- what real buses do --- */

static void test_answers_are_found(void **state)
{
	static const char *const faults[] = {"echo", "garbage", "pause=5ms"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		memset(f->seen, 0, sizeof(f->seen));
		add_fault(f, faults[i]);
		start(f);
		assert_all_is_right(f);
		/* Not one had to be asked for again. */
		assert_int_equal(bus_stats(f->bus).counters.timeouts, 0);
		for (enum reply_status j = REPLY_MORE; j < REPLY_STATUS_COUNT; j++)
			assert_int_equal(refusals(f, j), 0);
		bus_free(f->bus);
		f->bus = NULL;
		simulator_clear_faults(f->simulator);
	}
}

/* The adapter is known to echo: what it gives back is taken off and not searched. */
static void test_echo_is_taken_off(void **state)
{
	struct fixture *f = *state;

	f->config.echo = true;
	add_fault(f, "echo");
	start(f);
	assert_all_is_right(f);
	assert_int_equal(bus_stats(f->bus).counters.timeouts, 0);
}

/* Each third request to a device goes wrong. */
static void add_fault_to_each(struct fixture *f, const char *kind)
{
	char text[48];

	for (unsigned i = 1; i <= DEVICES; i++) {
		snprintf(text, sizeof(text), "%s@%u:3", kind, i);
		add_fault(f, text);
	}
}

static void check_retried(struct fixture *f, const char *fault, enum reply_status status)
{
	memset(f->seen, 0, sizeof(f->seen));
	add_fault_to_each(f, fault);
	start(f);
	assert_all_is_right(f);
	assert_true(refusals(f, status) > 0);
	bus_free(f->bus);
	f->bus = NULL;
	simulator_clear_faults(f->simulator);
}

static void test_bad_answers_are_asked_for_again(void **state)
{
	check_retried(*state, "checksum", REPLY_CHECKSUM);
	check_retried(*state, "short", REPLY_MORE);
	check_retried(*state, "twice", REPLY_CHECKSUM);
	check_retried(*state, "foreign", REPLY_ADDRESS);
	check_retried(*state, "noise", REPLY_ADDRESS);
}

/*
 * Each third answer comes when it is not waited for any more. All that is accepted is the
 * right register's all the same, and the devices that are not late are not held up.
 */
static void test_late_answers_are_not_mistaken(void **state)
{
	struct fixture *f = *state;

	add_fault_to_each(f, "late=120ms");
	start(f);
	run_until(f, all_are_read);
	assert_int_equal(f->wrong, 0);
	assert_true(bus_stats(f->bus).counters.timeouts > 5);
	for (unsigned i = 0; i < DEVICES; i++)
		assert_int_equal(f->seen[i].offline, 0);
}

/* By whatever time up to another timeout they are late. */
static void test_answers_of_any_lateness_are_not_mistaken(void **state)
{
	struct fixture *f = *state;
	char kind[16];

	for (uint8_t late_ms = 90; late_ms < 196; late_ms += 3) {
		memset(f->seen, 0, sizeof(f->seen));
		snprintf(kind, sizeof(kind), "late=%ums", late_ms);
		add_fault_to_each(f, kind);
		start(f);
		run_until(f, all_are_read);
		assert_int_equal(f->wrong, 0);
		bus_free(f->bus);
		f->bus = NULL;
		simulator_free(f->simulator);
		start_simulator(f);
	}
}

/* Later than the repeated request's timeout, too: two answers come when one is waited for. */
static void test_very_late_answers_are_not_mistaken(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "late=250ms@1:3");
	start(f);
	run_until(f, all_are_read);
	assert_int_equal(f->wrong, 0);
}

static void note_left(void *data)
{
	((struct fixture *)data)->has_left = true;
}

static bool has_left(const struct fixture *f)
{
	return f->has_left;
}

/* Who has the port next is not given the answer to what another one asked, as in a reload. */
static void test_a_bus_that_leaves_leaves_no_answer_behind(void **state)
{
	struct fixture *f = *state;

	add_fault_to_each(f, "late=120ms");
	for (unsigned round = 0; round < 60; round++) {
		uint64_t end_us = clock_monotonic_us() + (300 + round * 7) * USEC_PER_MSEC;

		start(f);
		while (clock_monotonic_us() < end_us)
			fake_time_run(f->loop, end_us);
		f->has_left = false;
		bus_leave(f->bus, note_left, f);
		run_until(f, has_left);
		bus_free(f->bus);
		f->bus = NULL;
	}
	assert_true(f->seen[0].readings[0] >= ENOUGH);
	assert_int_equal(f->wrong, 0);
}

/* What the poll has read so far is published, and nothing is asked any more. */
static void test_a_bus_that_leaves_publishes_what_it_has(void **state)
{
	struct fixture *f = *state;
	uint64_t requests;

	start(f);
	while (!bus_stats(f->bus).counters.answers)
		fake_time_run(f->loop, clock_monotonic_us() + PATIENCE_US);
	assert_int_equal(f->seen[0].readings[0], 0);
	bus_leave(f->bus, note_left, f);
	run_until(f, has_left);
	/* One was answered, and the next one was out. */
	requests = bus_stats(f->bus).counters.requests;
	assert_int_equal(requests, 2);
	assert_int_equal(f->seen[0].readings[0] + f->seen[0].readings[1] +
			 f->seen[1].readings[0], 2);
	for (uint64_t end_us = clock_monotonic_us() + USEC_PER_SEC;
	     clock_monotonic_us() < end_us;)
		fake_time_run(f->loop, end_us);
	assert_int_equal(bus_stats(f->bus).counters.requests, requests);
	assert_int_equal(f->wrong, 0);
}

/* A port that is not there is not waited for. */
static void test_a_bus_without_a_port_leaves_at_once(void **state)
{
	struct fixture *f = *state;

	f->config.port = "/dev/postbus-none";
	start(f);
	bus_leave(f->bus, note_left, f);
	assert_true(f->has_left);
}

static void test_busy_device_is_asked_later(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "exception=6@1:3");
	add_fault(f, "exception=5@2:3");
	start(f);
	assert_all_is_right(f);
	assert_true(refusals(f, REPLY_EXCEPTION) > 0);
}

/* Always busy: alive, but not asked ten times a second. */
static void test_ever_busy_device_is_let_alone(void **state)
{
	struct fixture *f = *state;
	struct device_stats stats;

	add_fault(f, "exception=6@1");
	start(f);
	run_until(f, others_are_read);
	stats = bus_device_stats(f->bus, 0);
	assert_int_equal(f->seen[0].online, 1);
	assert_int_equal(f->seen[0].offline, 0);
	assert_in_range(stats.counters.requests, 2, 10);
}

static void test_gateway_exceptions(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "exception=10@1");
	add_fault(f, "exception=11@2");
	start(f);
	run_until(f, first_is_offline);
	simulator_clear_faults(f->simulator);
	run_until(f, all_are_read);
	assert_int_equal(f->wrong, 0);
	assert_int_equal(f->seen[0].offline, 1);
	assert_int_equal(f->seen[0].online, 1);
	assert_int_equal(f->seen[1].online, 1);
	assert_int_equal(f->seen[2].offline, 0);
}

static bool first_has_the_rest(const struct fixture *f)
{
	return f->seen[0].readings[0] >= ENOUGH && f->seen[0].readings[1] >= ENOUGH &&
	       f->seen[0].readings[3] >= ENOUGH;
}

static void test_refused_register_is_let_alone(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "refuse=40@1");
	start(f);
	run_until(f, first_has_the_rest);
	assert_int_equal(f->seen[0].readings[2], 0);
	assert_int_equal(bus_device_stats(f->bus, 0).counters.refused[REPLY_EXCEPTION], 1);
	assert_int_equal(f->seen[0].offline, 0);
}

static void test_dead_device(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "silent@1");
	start(f);
	run_until(f, first_is_offline);
	run_until(f, others_are_read);
	simulator_clear_faults(f->simulator);
	run_until(f, all_are_read);
	assert_int_equal(f->seen[0].offline, 1);
	assert_int_equal(f->seen[0].online, 1);
	assert_int_equal(f->seen[1].offline + f->seen[2].offline, 0);
	assert_int_equal(f->wrong, 0);
}

/* Two devices on one address, always: it is told that answers came, and what they were. */
static void test_two_on_one_address(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "twice@1");
	start(f);
	run_until(f, first_is_offline);
	run_until(f, others_are_read);
	assert_int_equal(f->wrong, 0);
	assert_int_equal(bus_device_stats(f->bus, 0).counters.timeouts, 0);
	assert_true(bus_device_stats(f->bus, 0).counters.refused[REPLY_CHECKSUM] >= 4);
}

static void test_babble(void **state)
{
	struct fixture *f = *state;

	add_fault(f, "babble=400ms@1:10");
	start(f);
	run_until(f, all_are_read);
	assert_int_equal(f->wrong, 0);
}

static bool is_closed(const struct fixture *f)
{
	return !bus_stats(f->bus).open;
}

/* The adapter is pulled out and comes back, on another terminal. */
static void test_port_comes_back(void **state)
{
	struct fixture *f = *state;
	struct seen before[DEVICES];

	start(f);
	run_until(f, all_are_read);
	simulator_free(f->simulator);
	f->simulator = NULL;
	run_until(f, is_closed);
	memcpy(before, f->seen, sizeof(before));
	start_simulator(f);
	memset(f->seen, 0, sizeof(f->seen));
	run_until(f, all_are_read);
	assert_int_equal(f->wrong, 0);
	assert_int_equal(bus_stats(f->bus).lost, 1);
	assert_int_equal(before[0].online, 1);
	assert_int_equal(f->seen[0].online + f->seen[0].offline, 0);
	/* What was missed is not made up for: no burst. */
	assert_true(bus_stats(f->bus).stretch < 1.05);
}

/* A port that is not there at the start is waited for. */
static void test_port_is_waited_for(void **state)
{
	struct fixture *f = *state;
	uint64_t end_us = clock_monotonic_us() + 10 * USEC_PER_SEC;

	simulator_free(f->simulator);
	f->simulator = NULL;
	start(f);
	while (clock_monotonic_us() < end_us)
		fake_time_run(f->loop, end_us);
	assert_true(is_closed(f));
	start_simulator(f);
	run_until(f, all_are_read);
	assert_int_equal(bus_stats(f->bus).lost, 0);
}

static bool first_point_is_read(const struct fixture *f)
{
	return f->seen[0].readings[0] > 0;
}

/* Configured to stand alone: nobody else may come between. */
static void test_second_bus_is_locked_out(void **state)
{
	struct fixture *f = *state;
	struct bus *other = NULL;

	start(f);
	run_until(f, first_is_online);
	assert_int_equal(bus_new(f->loop, &f->config, &f->conf, take_message, f, &other), 0);
	run_until(f, first_point_is_read);
	run_until(f, all_are_read);
	assert_false(bus_stats(other).open);
	bus_free(other);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_is_read),
		TEST(test_status_is_published),
		TEST(test_trouble_is_published),
		TEST(test_answers_are_found),
		TEST(test_echo_is_taken_off),
		TEST(test_bad_answers_are_asked_for_again),
		TEST(test_late_answers_are_not_mistaken),
		TEST(test_answers_of_any_lateness_are_not_mistaken),
		TEST(test_very_late_answers_are_not_mistaken),
		TEST(test_a_bus_that_leaves_leaves_no_answer_behind),
		TEST(test_a_bus_that_leaves_publishes_what_it_has),
		TEST(test_a_bus_without_a_port_leaves_at_once),
		TEST(test_busy_device_is_asked_later),
		TEST(test_ever_busy_device_is_let_alone),
		TEST(test_gateway_exceptions),
		TEST(test_refused_register_is_let_alone),
		TEST(test_dead_device),
		TEST(test_two_on_one_address),
		TEST(test_babble),
		TEST(test_port_comes_back),
		TEST(test_port_is_waited_for),
		TEST(test_second_bus_is_locked_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
