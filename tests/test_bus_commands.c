/* SPDX-License-Identifier: Apache-2.0 */
/* test_bus_commands.c - commands on a bus that polls, and all that can go wrong with them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/number.h"
#include "fake_time.h"
#include "field/bus.h"
#include "tools/simulator.h"

#include <errno.h>
#include <string.h>

enum {
	DEVICES = 3,
	POLLED = 4,
	STEP = 20,
	OUTCOMES = 32,
	PATIENCE_US = 300 * 1000000, /* of a time that passes at once */
};

static const uint64_t timeout_us = 100 * USEC_PER_MSEC;

/* What is read keeps the wire busy; what is written is hardly ever read by itself. */
static const char points_text[] =
	"  p0: {addr: 0, table: input, every: 100ms}\n"
	"  p1: {addr: 20, table: input, every: 100ms}\n"
	"  p2: {addr: 40, table: input, every: 100ms}\n"
	"  p3: {addr: 60, table: input, every: 100ms}\n"
	"  target: {addr: 100, type: i16, scale: 0.1, write: {min: 0, max: 50}}\n"
	"  h1: {addr: 110, write: {}}\n"
	"  h2: {addr: 111, write: {}}\n"
	"  h3: {addr: 112, write: {%s}}\n"
	"  part: {addr: 120, bits: 4..6, write: {}}\n"
	"  mask: {addr: 121, bits: 0..3, write: {function: 22}}\n"
	"  checked: {addr: 130, write: {verify: true}}\n"
	"  counts: {addr: 140, write: {on_crash: report}}\n"
	"  guarded: {addr: 150%s}\n"
	"  r1: {addr: 0, table: coil, write: {}}\n"
	"  r2: {addr: 1, table: coil, write: {}}\n"
	"  r3: {addr: 2, table: coil, write: {}}\n"
	"  door: {addr: 8, table: coil, write: {pulse: 500ms}}\n"
	"  bell: {addr: 9, table: coil, write: {pulse: 300ms, flash: {addr: 512, unit: 100ms}}}\n";

struct fixture {
	char directory[48], port[64];
	sd_event *loop;
	struct device_map *map;   /* as the gateway has it */
	struct device_map *of_sim; /* and the devices, which know better */
	struct simulator *simulator;
	struct device_config devices[DEVICES];
	struct bus_config config;
	struct conf conf;
	struct bus *bus;
	uint64_t numbers;
	struct outcome outcomes[OUTCOMES];
	uint64_t outcome_us[OUTCOMES];
	unsigned outcome_count;
	char written[1024]; /* `1:r1=true 1:r2=true ` */
	unsigned written_count;
	uint64_t written_us, written_at[OUTCOMES], requests_then;
	const char *stubborn; /* a point that goes back to 7 whatever is written */
	char published[4096];
	unsigned readings, wrong, offline;
	bool has_left;
};

static struct device_map *parse_map(const char *h3, const char *guarded)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *points = NULL, *text = NULL;
	struct device_map *map = NULL;
	int r;

	assert_true(asprintf(&points, points_text, h3, guarded) > 0);
	assert_true(asprintf(&text,
			     "map: thing\ndriver: modbus\ndefaults: {every: 10s}\n"
			     "batch: {registers: 4, gap: 0}\npoints:\n%s", points) > 0);
	r = device_map_parse("thing.yaml", text, strlen(text), driver_names(), &map, faults);
	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	return map;
}

static unsigned number_of(unsigned address, unsigned point)
{
	return address * 1000 + point * STEP;
}

static void note_written(void *data, const struct sim_written *written)
{
	struct fixture *f = data;
	char buffer[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1] = "";
	struct text text = {.data = buffer, .size = sizeof(buffer)};
	size_t used = strlen(f->written);

	number_print(&written->value, &text);
	snprintf(f->written + used, sizeof(f->written) - used, "%u:%s=%s ", written->address,
		 written->point->name, buffer);
	f->written_us = clock_monotonic_us();
	if (f->written_count < OUTCOMES)
		f->written_at[f->written_count] = f->written_us;
	f->written_count++;
	f->requests_then = simulator_stats(f->simulator).requests;
	if (f->stubborn && !strcmp(written->point->name, f->stubborn))
		assert_int_equal(simulator_set(f->simulator, written->address, f->stubborn, 7), 0);
}

static void start_simulator(struct fixture *f)
{
	char name[4];

	assert_int_equal(simulator_new(f->loop, f->port, 115200,
				       (struct serial_format){8, 'N', 1}, &f->simulator), 0);
	simulator_tell_written(f->simulator, note_written, f);
	for (unsigned i = 1; i <= DEVICES; i++) {
		assert_int_equal(simulator_add(f->simulator, f->of_sim, (uint8_t)i), 0);
		for (unsigned point = 0; point < POLLED; point++) {
			snprintf(name, sizeof(name), "p%u", point);
			assert_int_equal(simulator_set(f->simulator, (uint8_t)i, name,
						       number_of(i, point)), 0);
		}
	}
}

static int set_up(void **state)
{
	static char names[DEVICES][8] = {"d1", "d2", "d3"};
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	strcpy(f->directory, "/tmp/test_bus_commands.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->port, sizeof(f->port), "%s/wire", f->directory);
	assert_return_code(sd_event_new(&f->loop), 0);
	f->map = parse_map("", ", write: {}");
	f->of_sim = parse_map("max: 100", "");
	start_simulator(f);
	for (unsigned i = 0; i < DEVICES; i++)
		f->devices[i] = (struct device_config){
			.name = names[i],
			.map = f->map,
			.address = (uint8_t)(i + 1),
			.points = f->map->points,
			.point_count = f->map->point_count,
			.commands = true,
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
	device_map_free(f->of_sim);
	sd_event_unref(f->loop);
	rmdir(f->directory);
	free(f);
	return 0;
}

static void take_message(void *data, const struct message *message)
{
	struct fixture *f = data;
	unsigned device, point, number;
	char body[512], *rest = body, *member;

	if (sscanf(message->topic, "g/d%u", &device) != 1)
		return;
	snprintf(body, sizeof(body), "%.*s", (int)message->body_length, message->body);
	if (memmem(message->topic, message->topic_length, "/availability", 13)) {
		f->offline += device == 1 && !strcmp(body, "offline");
		return;
	}
	while ((member = strsep(&rest, ","))) {
		size_t used = strlen(f->published);

		if (sscanf(member, "\"p%u\":%u", &point, &number) == 2) {
			f->readings++;
			f->wrong += number != number_of(device, point);
		} else {
			snprintf(f->published + used, sizeof(f->published) - used, "%u:%s ",
				 device, member);
		}
	}
}

static void take_outcome(void *data, const struct outcome *outcome)
{
	struct fixture *f = data;

	assert_in_range(f->outcome_count, 0, OUTCOMES - 1);
	f->outcome_us[f->outcome_count] = clock_monotonic_us();
	f->outcomes[f->outcome_count++] = *outcome;
}

static void start(struct fixture *f)
{
	assert_int_equal(bus_new(f->loop, &f->config, &f->conf, take_message, f, &f->bus), 0);
	bus_tell_outcomes(f->bus, take_outcome, f);
}

static void add_fault(struct fixture *f, const char *text)
{
	struct fault_plan plan;

	assert_true(fault_plan_parse(text, &plan));
	assert_int_equal(simulator_add_fault(f->simulator, &plan), 0);
}

static void run_for(struct fixture *f, uint64_t time_us)
{
	uint64_t end_us = clock_monotonic_us() + time_us;

	while (clock_monotonic_us() < end_us)
		fake_time_run(f->loop, end_us);
}

static void run_until_outcomes(struct fixture *f, unsigned count)
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

	while (f->outcome_count < count) {
		assert_true(clock_monotonic_us() < end_us);
		fake_time_run(f->loop, end_us);
	}
}

/* Until all is polled, and once what is hardly ever read is too. */
static void start_and_settle(struct fixture *f)
{
	start(f);
	run_for(f, USEC_PER_SEC);
	assert_true(f->readings > 80);
	f->readings = 0;
	f->published[0] = '\0';
}

/* Until nothing is on the wire: what is given then goes out at once. */
static void run_until_idle(struct fixture *f)
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

	while (bus_idle_until_us(f->bus) <= clock_monotonic_us()) {
		assert_true(clock_monotonic_us() < end_us);
		fake_time_run(f->loop, end_us);
	}
}

static uint64_t give(struct fixture *f, const char *device, const char *point,
		     struct value value)
{
	struct command command = {.number = ++f->numbers, .value = value};

	snprintf(command.device, sizeof(command.device), "%s", device);
	snprintf(command.point, sizeof(command.point), "%s", point);
	assert_int_equal(bus_command(f->bus, &command), 0);
	return command.number;
}

static struct value number(uint64_t u)
{
	return (struct value){.kind = VALUE_UNSIGNED, .u = u};
}

static struct value on_or_off(bool on)
{
	return (struct value){.kind = VALUE_BOOL, .u = on};
}

static void check_outcome(const struct fixture *f, unsigned i, uint64_t number,
			  enum outcome_kind kind, const char *error)
{
	assert_in_range(f->outcome_count, i + 1, OUTCOMES);
	assert_string_equal(f->outcomes[i].error, error);
	assert_int_equal(f->outcomes[i].number, number);
	assert_int_equal(f->outcomes[i].kind, kind);
}

/* --- as it should be --- */

static void test_ahead_of_polling(void **state)
{
	struct fixture *f = *state;
	uint64_t requests, n;

	start_and_settle(f);
	for (unsigned i = 0; i < 20; i++) {
		f->written[0] = '\0';
		run_for(f, 3000 + i * 777);
		requests = simulator_stats(f->simulator).requests;
		n = give(f, "d2", "target",
			 (struct value){.kind = VALUE_DECIMAL, .decimals = 1, .d = 21.5});
		run_until_outcomes(f, i + 1);
		check_outcome(f, i, n, OUTCOME_DONE, "");
		assert_true(f->outcomes[i].value.d == 21.5);
		assert_string_equal(f->written, "2:target=21.5 ");
		/* The one that was on the wire, and this one. */
		assert_in_range(f->requests_then, requests + 1, requests + 2);
	}
	assert_int_equal(f->wrong, 0);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
}

static void test_new_state_is_published_soon(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "r2", on_or_off(true));
	run_until_outcomes(f, 1);
	run_for(f, 150 * USEC_PER_MSEC);
	assert_string_equal(f->published, "1:\"r2\":true ");
}

/* With many commands all is read as often as before. */
static void test_polling_is_unharmed(void **state)
{
	struct fixture *f = *state;
	unsigned before;

	f->config.baud = 115200;
	start_and_settle(f);
	run_for(f, 5 * USEC_PER_SEC);
	before = f->readings;
	f->readings = 0;
	for (unsigned i = 0; i < 25; i++) {
		give(f, "d1", i % 2 ? "h1" : "r1", number(i % 2));
		run_for(f, 200 * USEC_PER_MSEC);
		f->outcome_count = 0;
	}
	assert_in_range(f->readings, before * 98 / 100, before * 102 / 100);
	assert_true(bus_stats(f->bus).stretch < 1.05);
}

/* However many commands there are, what is due is read between them. */
static void test_reading_has_its_turn(void **state)
{
	struct fixture *f = *state;
	unsigned reads;

	start_and_settle(f);
	for (unsigned i = 0; i < 20; i++)
		give(f, "d1", i % 2 ? "target" : "counts", number(i));
	run_until_outcomes(f, 20);
	reads = bus_device_stats(f->bus, 1).counters.requests +
		bus_device_stats(f->bus, 2).counters.requests;
	assert_true(f->readings >= 8);
	assert_true(reads > 0);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(f->outcomes[i].kind, OUTCOME_DONE);
}

static void test_side_by_side_is_one_request(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "target", number(1)); /* is on the wire, or goes first, alone */
	give(f, "d1", "h2", number(2));
	give(f, "d1", "h1", number(1));
	give(f, "d1", "h3", number(3));
	give(f, "d1", "r1", on_or_off(true));
	give(f, "d1", "r2", on_or_off(false));
	give(f, "d1", "r3", on_or_off(true));
	run_until_outcomes(f, 7);
	assert_string_equal(f->written, "1:target=1 1:h1=1 1:h2=2 1:h3=3 "
					"1:r1=true 1:r2=false 1:r3=true ");
	/* What came with one request came at one time. */
	assert_in_range(f->written_at[3] - f->written_at[1], 0, 1000);
	assert_in_range(f->written_at[6] - f->written_at[4], 0, 1000);
	assert_true(f->written_at[0] < f->written_at[1] && f->written_at[3] < f->written_at[4]);
}

/* The same point twice stays two, and in its order. */
static void test_order_of_a_point(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "h1", number(1));
	give(f, "d1", "h1", number(2));
	give(f, "d1", "h2", number(3));
	give(f, "d1", "h1", number(4));
	run_until_outcomes(f, 4);
	assert_string_equal(f->written, "1:h1=1 1:h1=2 1:h2=3 1:h1=4 ");
}

static void test_bits_of_a_register(void **state)
{
	struct fixture *f = *state;

	/* "part" is bits 4 to 6 of it: the others are to stay. */
	assert_int_equal(simulator_set(f->simulator, 1, "part", 3), 0);
	start_and_settle(f);
	give(f, "d1", "part", number(5));
	give(f, "d1", "mask", number(9));
	run_until_outcomes(f, 2);
	assert_string_equal(f->written, "1:part=5 1:mask=9 ");
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	check_outcome(f, 1, 2, OUTCOME_DONE, "");
}

static void test_verified(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "checked", number(42));
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	assert_int_equal(f->outcomes[0].value.u, 42);
	f->stubborn = "checked";
	give(f, "d1", "checked", number(43));
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_FAILED, "it reads back as 7");
}

/* --- what goes wrong --- */

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct command command = {.number = 9, .device = "d9", .point = "h1"};

	start_and_settle(f);
	give(f, "d1", "guarded", number(1));
	give(f, "d1", "h3", number(101));
	give(f, "d1", "nothing", number(1));
	give(f, "d1", "p0", number(1));
	give(f, "d1", "h1", number(65536));
	run_until_outcomes(f, 5);
	check_outcome(f, 0, 3, OUTCOME_FAILED, "there is no such point");
	check_outcome(f, 1, 4, OUTCOME_FAILED, "the point cannot be written");
	check_outcome(f, 2, 5, OUTCOME_FAILED, "the point can't hold the value");
	check_outcome(f, 3, 1, OUTCOME_FAILED, "illegal data address");
	check_outcome(f, 4, 2, OUTCOME_FAILED, "illegal data value");
	assert_string_equal(f->written, "");
	assert_int_equal(bus_command(f->bus, &command), -ENOENT);
	assert_int_equal(f->offline, 0);
}

/* One of three is refused: the others are carried out all the same. */
static void test_refused_among_others(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "target", number(1));
	give(f, "d1", "h1", number(5));
	give(f, "d1", "h2", number(6));
	give(f, "d1", "h3", number(200));
	run_until_outcomes(f, 4);
	check_outcome(f, 1, 2, OUTCOME_DONE, "");
	check_outcome(f, 2, 3, OUTCOME_DONE, "");
	check_outcome(f, 3, 4, OUTCOME_FAILED, "illegal data value");
	assert_string_equal(f->written, "1:target=1 1:h1=5 1:h2=6 ");
}

static void test_busy_device(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	add_fault(f, "exception=6@1");
	give(f, "d1", "h1", number(1));
	run_for(f, 250 * USEC_PER_MSEC);
	simulator_clear_faults(f->simulator);
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	add_fault(f, "exception=6@1");
	give(f, "d1", "h1", number(2));
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_FAILED, "server device busy");
}

static void test_uncertain_exceptions(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	add_fault(f, "exception=11@1");
	give(f, "d1", "h1", number(1));
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN, "gateway target device failed to respond");
	simulator_clear_faults(f->simulator);
	add_fault(f, "exception=10@1");
	give(f, "d1", "h1", number(2));
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_FAILED, "gateway path unavailable");
}

static uint64_t requests_to(const struct fixture *f, size_t i)
{
	return bus_device_stats(f->bus, i).counters.requests;
}

/* Tried at once, though the device is hardly ever asked any more; and answered with an error. */
static void test_dead_device(void **state)
{
	struct fixture *f = *state;
	uint64_t begun_us, requests;

	add_fault(f, "silent@1");
	start(f);
	run_for(f, 20 * USEC_PER_SEC);
	assert_int_equal(f->offline, 1);
	f->readings = 0;
	requests = requests_to(f, 0);
	begun_us = clock_monotonic_us();
	give(f, "d1", "h1", number(1));
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN, "no answer in 100ms");
	assert_int_equal(requests_to(f, 0), requests + 3);
	assert_in_range(f->outcome_us[0] - begun_us, 300 * USEC_PER_MSEC, 600 * USEC_PER_MSEC);
	/* The others were read between the attempts. */
	assert_true(f->readings > 0);
	/* Another device's command does not wait for it. */
	give(f, "d1", "h1", number(2));
	begun_us = clock_monotonic_us();
	give(f, "d2", "h1", number(3));
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 3, OUTCOME_DONE, "");
	simulator_clear_faults(f->simulator);
	run_until_outcomes(f, 3);
	assert_int_equal(f->wrong, 0);
}

/* In the midst of a device's timeout. */
static void test_during_a_timeout(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	add_fault(f, "silent@1");
	run_for(f, 140 * USEC_PER_MSEC);
	give(f, "d2", "h1", number(1));
	give(f, "d1", "h1", number(2));
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	simulator_clear_faults(f->simulator);
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_DONE, "");
	assert_string_equal(f->written, "2:h1=1 1:h1=2 ");
}

/* What counts each time it is written goes out once. */
static void test_what_must_not_be_repeated(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	add_fault(f, "short@1");
	give(f, "d1", "counts", number(1));
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN, "no right answer: short");
	/* It was carried out, which nobody could know. */
	assert_string_equal(f->written, "1:counts=1 ");
	give(f, "d1", "bell", on_or_off(true));
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_UNCERTAIN, "no right answer: short");
	assert_string_equal(f->written, "1:counts=1 1:bell=true ");
	f->written[0] = '\0';
	give(f, "d1", "h1", number(1));
	run_until_outcomes(f, 3);
	assert_string_equal(f->written, "1:h1=1 1:h1=1 1:h1=1 ");
}

/* The answer comes when the request was repeated: it is the right answer to that, too. */
static void test_late_answer(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	for (uint8_t late_ms = 90; late_ms < 196; late_ms += 5) {
		char kind[24];
		unsigned count = f->outcome_count = 0;

		snprintf(kind, sizeof(kind), "late=%ums@1:2", late_ms);
		add_fault(f, kind);
		give(f, "d1", "part", number(late_ms % 8));
		give(f, "d1", "checked", number(late_ms));
		give(f, "d1", "h1", number(late_ms));
		run_until_outcomes(f, count + 3);
		for (unsigned i = 0; i < 3; i++)
			check_outcome(f, i, f->numbers - 2 + i, OUTCOME_DONE, "");
		assert_int_equal(f->outcomes[1].value.u, late_ms);
		simulator_clear_faults(f->simulator);
		run_for(f, USEC_PER_SEC);
	}
	assert_int_equal(f->wrong, 0);
}

/* The confirmation of several registers does not say of which values. */
static void test_late_confirmation_is_not_anothers(void **state)
{
	struct fixture *f = *state;

	f->config.retries = 0;
	start_and_settle(f);
	add_fault(f, "late=150ms@1");
	for (unsigned i = 0; i < 2; i++) {
		give(f, "d1", "h1", number(i));
		give(f, "d1", "h2", number(i));
	}
	run_until_outcomes(f, 1);
	simulator_clear_faults(f->simulator);
	add_fault(f, "silent@1");
	run_until_outcomes(f, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(f->outcomes[i].kind, OUTCOME_UNCERTAIN);
}

/* --- the port --- */

static void test_port_is_closed(void **state)
{
	struct fixture *f = *state;

	simulator_free(f->simulator);
	f->simulator = NULL;
	start(f);
	run_for(f, 3 * USEC_PER_SEC);
	give(f, "d1", "h1", number(1));
	check_outcome(f, 0, 1, OUTCOME_FAILED, "the port is not open: No such file or directory");
	start_simulator(f);
	run_for(f, 3 * USEC_PER_SEC);
	assert_string_equal(f->written, "");
	give(f, "d1", "h1", number(2));
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_DONE, "");
}

static void test_port_is_lost(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	run_until_idle(f);
	add_fault(f, "silent@1");
	give(f, "d1", "h1", number(1));
	give(f, "d1", "part", number(1));
	run_for(f, 60 * USEC_PER_MSEC);
	simulator_free(f->simulator);
	f->simulator = NULL;
	run_until_outcomes(f, 2);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN, "the port was lost: the port is gone");
	check_outcome(f, 1, 2, OUTCOME_FAILED, "the port was lost: the port is gone");
	start_simulator(f);
	run_for(f, 3 * USEC_PER_SEC);
	assert_string_equal(f->written, "");
}

/* --- pulses --- */

static void test_pulse(void **state)
{
	struct fixture *f = *state;
	uint64_t length_us;

	start_and_settle(f);
	give(f, "d1", "door", on_or_off(true));
	give(f, "d1", "door", on_or_off(true));
	give(f, "d1", "h1", number(1)); /* does not wait for them */
	run_until_outcomes(f, 3);
	check_outcome(f, 0, 3, OUTCOME_DONE, "");
	check_outcome(f, 1, 1, OUTCOME_DONE, "");
	check_outcome(f, 2, 2, OUTCOME_DONE, "");
	assert_string_equal(f->written, "1:door=true 1:h1=1 1:door=false 1:door=true 1:door=false ");
	length_us = f->written_at[2] - f->written_at[0];
	assert_in_range(length_us, 500 * USEC_PER_MSEC, 510 * USEC_PER_MSEC);
	length_us = f->written_at[4] - f->written_at[3];
	assert_in_range(length_us, 500 * USEC_PER_MSEC, 510 * USEC_PER_MSEC);
	run_for(f, 150 * USEC_PER_MSEC);
	assert_non_null(strstr(f->published, "1:\"door\":true "));
	assert_non_null(strstr(f->published, "1:\"door\":false "));
}

/* It is cleared in time whoever else is dead. */
static void test_pulse_beside_a_dead_device(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "door", on_or_off(true));
	run_for(f, 100 * USEC_PER_MSEC);
	add_fault(f, "silent@2");
	for (unsigned i = 0; i < 4; i++)
		give(f, "d2", "target", number(1));
	run_for(f, 600 * USEC_PER_MSEC);
	assert_string_equal(f->written, "1:door=true 1:door=false ");
	assert_in_range(f->written_at[1] - f->written_at[0], 500 * USEC_PER_MSEC,
			500 * USEC_PER_MSEC + timeout_us + 10 * USEC_PER_MSEC);
}

static void test_pulse_of_the_device(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "bell", on_or_off(true));
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	run_for(f, 200 * USEC_PER_MSEC);
	assert_string_equal(f->written, "1:bell=true ");
	assert_non_null(strstr(f->published, "1:\"bell\":true "));
	run_for(f, 12 * USEC_PER_SEC);
	assert_string_equal(f->written, "1:bell=true ");
	assert_non_null(strstr(f->published, "1:\"bell\":false "));
}

/* A relay that stays on is told of, and cleared as soon as that can be. */
static void test_pulse_that_is_not_cleared(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "door", on_or_off(true));
	run_for(f, 100 * USEC_PER_MSEC);
	add_fault(f, "silent@1");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN,
		      "it is set, and was not cleared: no answer in 100ms");
	run_for(f, 5 * USEC_PER_SEC);
	assert_string_equal(f->written, "1:door=true ");
	simulator_clear_faults(f->simulator);
	run_for(f, 60 * USEC_PER_SEC);
	assert_string_equal(f->written, "1:door=true 1:door=false ");
	assert_int_equal(f->outcome_count, 1);
}

static void test_pulse_when_the_port_is_lost(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "door", on_or_off(true));
	run_for(f, 100 * USEC_PER_MSEC);
	simulator_free(f->simulator);
	f->simulator = NULL;
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN,
		      "it is set, and was not cleared: the port was lost: the port is gone");
	start_simulator(f);
	run_for(f, 5 * USEC_PER_SEC);
	assert_string_equal(f->written, "1:door=true 1:door=false ");
}

/* --- how many, how long, and the end --- */

static void test_rate(void **state)
{
	struct fixture *f = *state;
	uint64_t begun_us;

	f->devices[0].command_rate = 2;
	start_and_settle(f);
	begun_us = clock_monotonic_us();
	for (unsigned i = 0; i < 4; i++)
		give(f, "d1", "target", number(i));
	give(f, "d2", "target", number(9)); /* is not held up by them */
	run_until_outcomes(f, 5);
	assert_in_range(f->outcome_us[2] - begun_us, 0, 100 * USEC_PER_MSEC);
	check_outcome(f, 2, 5, OUTCOME_DONE, "");
	assert_in_range(f->outcome_us[3] - begun_us, 500 * USEC_PER_MSEC, 600 * USEC_PER_MSEC);
	assert_in_range(f->outcome_us[4] - begun_us, 1000 * USEC_PER_MSEC, 1100 * USEC_PER_MSEC);
}

static void test_nothing_waits_for_long(void **state)
{
	struct fixture *f = *state;
	uint64_t begun_us;

	f->devices[0].command_rate = 0.05;
	start_and_settle(f);
	begun_us = clock_monotonic_us();
	give(f, "d1", "target", number(1));
	give(f, "d1", "target", number(2));
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_FAILED, "it has waited for 10s and was not begun");
	assert_in_range(f->outcome_us[1] - begun_us, 10 * USEC_PER_SEC, 11 * USEC_PER_SEC);
	assert_string_equal(f->written, "1:target=1 ");
}

static void note_left(void *data)
{
	((struct fixture *)data)->has_left = true;
}

/* A reload: what is out is ended, what waits fails, and no relay is left on. */
static void test_bus_leaves(void **state)
{
	struct fixture *f = *state;
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

	start_and_settle(f);
	give(f, "d1", "door", on_or_off(true));
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, "d1", "part", number(5));
	give(f, "d1", "target", number(2));
	run_for(f, 5 * USEC_PER_MSEC);
	bus_leave(f->bus, note_left, f);
	while (!f->has_left) {
		assert_true(clock_monotonic_us() < end_us);
		fake_time_run(f->loop, end_us);
	}
	assert_int_equal(f->outcome_count, 3);
	assert_non_null(strstr(f->written, "1:door=true "));
	assert_non_null(strstr(f->written, "1:door=false "));
	for (unsigned i = 0; i < 3; i++) {
		if (f->outcomes[i].number == 3)
			check_outcome(f, i, 3, OUTCOME_FAILED, "its bus is ending");
		else
			assert_int_equal(f->outcomes[i].kind, OUTCOME_DONE);
	}
}

static void test_bus_is_freed(void **state)
{
	struct fixture *f = *state;

	start_and_settle(f);
	give(f, "d1", "door", on_or_off(true));
	run_for(f, 50 * USEC_PER_MSEC);
	run_until_idle(f);
	add_fault(f, "silent@2");
	give(f, "d2", "h1", number(1));
	give(f, "d2", "target", number(2));
	run_for(f, 50 * USEC_PER_MSEC);
	bus_free(f->bus);
	f->bus = NULL;
	assert_int_equal(f->outcome_count, 3);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN,
		      "it is set, and was not cleared: the gateway is stopping");
	check_outcome(f, 1, 2, OUTCOME_UNCERTAIN, "the gateway is stopping");
	check_outcome(f, 2, 3, OUTCOME_FAILED, "the gateway is stopping");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ahead_of_polling),
		TEST(test_new_state_is_published_soon),
		TEST(test_polling_is_unharmed),
		TEST(test_reading_has_its_turn),
		TEST(test_side_by_side_is_one_request),
		TEST(test_order_of_a_point),
		TEST(test_bits_of_a_register),
		TEST(test_verified),
		TEST(test_refused),
		TEST(test_refused_among_others),
		TEST(test_busy_device),
		TEST(test_uncertain_exceptions),
		TEST(test_dead_device),
		TEST(test_during_a_timeout),
		TEST(test_what_must_not_be_repeated),
		TEST(test_late_answer),
		TEST(test_late_confirmation_is_not_anothers),
		TEST(test_port_is_closed),
		TEST(test_port_is_lost),
		TEST(test_pulse),
		TEST(test_pulse_beside_a_dead_device),
		TEST(test_pulse_of_the_device),
		TEST(test_pulse_that_is_not_cleared),
		TEST(test_pulse_when_the_port_is_lost),
		TEST(test_rate),
		TEST(test_nothing_waits_for_long),
		TEST(test_bus_leaves),
		TEST(test_bus_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
