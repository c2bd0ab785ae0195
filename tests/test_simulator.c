// SPDX-License-Identifier: Apache-2.0
/* test_simulator.c - a master on the pseudo-terminal: answers, pace, faults, silence, lines. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "fake_time.h"
#include "field/plan.h"
#include "tools/simulator.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

enum {
	PATIENCE_US = 10 * 1000000, /* for what must come */
	QUIET_US = 150 * 1000, /* for what must not come: far beyond an answer's time */
};

static const struct serial_format format_8n1 = {8, 'N', 1};

static const char map_text[] =
	"map: thing\n"
	"version: 1\n"
	"title: A thing to test with\n"
	"source: none\n"
	"driver: modbus\n"
	"serial: {baud: [9600], format: [8N1], address: 1}\n"
	"defaults: {table: input, type: f32}\n"
	"points:\n"
	"  voltage: {addr: 0x0000, unit: V, class: voltage}\n"
	"  energy: {addr: 0x0006, type: u32, unit: kWh, total: true, scale: 0.1}\n"
	"  temperature: {addr: 0x0008, type: i16, scale: 0.1, unit: °C}\n"
	"  low: {addr: 0x0009, type: u16, bits: 0..3}\n"
	"  high: {addr: 0x0009, type: u16, bits: 12..15}\n"
	"  mode: {addr: 0x0010, table: holding, type: u16, values: {3: auto, 5: hand}}\n"
	"  model: {addr: 0x0011, table: holding, type: \"string[4]\"}\n"
	"  pump: {addr: 0x0002, table: coil, type: bool}\n"
	"  valve: {addr: 0x0005, table: coil, type: bool}\n";

struct fixture {
	sd_event *loop;
	struct device_map *map;
	struct simulator *simulator;
	int fd; /* the master's end of the wire: the terminal as a gateway opens it */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	int r;

	assert_non_null(f);
	*state = f;
	assert_return_code(sd_event_new(&f->loop), 0);
	r = device_map_parse("thing.yaml", map_text, strlen(map_text), driver_names(),
			     &f->map, faults);
	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	assert_int_equal(simulator_new(f->loop, NULL, 9600, format_8n1, &f->simulator),
			 0);
	assert_int_equal(simulator_add(f->simulator, f->map, 1), 0);
	f->fd = open(simulator_path(f->simulator),
		     O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(f->fd >= 0);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	simulator_free(f->simulator);
	device_map_free(f->map);
	sd_event_unref(f->loop);
	free(f);
	return 0;
}

/* Runs the simulator until n bytes have come or the time is over; how many have come. */
static size_t receive(struct fixture *f, uint8_t *bytes, size_t n, uint64_t limit_us)
{
	uint64_t end = clock_monotonic_us() + limit_us;
	size_t got = 0;

	while (got < n && clock_monotonic_us() < end) {
		ssize_t r = read(f->fd, bytes + got, n - got);

		if (r > 0)
			got += (size_t)r;
		else
			fake_time_run(f->loop, end);
	}
	return got;
}

static void send_bytes(struct fixture *f, const void *bytes, size_t n)
{
	assert_int_equal(write(f->fd, bytes, n), (ssize_t)n);
}

/* Waits out the silence that a master owes, so that its next request is no violation. */
static void keep_silence(struct fixture *f)
{
	uint64_t end = clock_monotonic_us() + plan_silence_us(9600, format_8n1);

	while (clock_monotonic_us() < end)
		fake_time_run(f->loop, end);
}

static struct request request_of(uint8_t address, enum table table, unsigned first,
				 unsigned count)
{
	return (struct request){.address = address,
				.table = table,
				.first = (uint16_t)first,
				.count = (uint16_t)count};
}

static void send_request(struct fixture *f, const struct request *request)
{
	uint8_t frame[FRAME_MAX];

	send_bytes(f, frame, driver_find("modbus")->request(request, frame));
}

/* Asks and takes the answer; the data of a good one in `data`. */
static struct reply ask(struct fixture *f, const struct request *request, uint8_t *data)
{
	const struct driver *driver = driver_find("modbus");
	uint8_t bytes[FRAME_MAX];
	struct reply reply = {.status = REPLY_MORE, .length = 1};
	size_t n = 0;

	keep_silence(f);
	send_request(f, request);
	while (reply.status == REPLY_MORE) {
		size_t more = receive(f, bytes + n, reply.length - n, PATIENCE_US);

		assert_true(more > 0);
		n += more;
		reply = driver->reply(request, bytes, n);
	}
	if (reply.status == REPLY_OK)
		memcpy(data, reply.data, reply.data_length);
	reply.data = data;
	return reply;
}

static struct value read_point(struct fixture *f, const char *name)
{
	const struct point *point = &f->map->points[device_map_find(f->map, name)];
	struct request request =
		request_of(1, point->table, point->addr, point_span(point));
	uint8_t data[DATA_MAX];
	struct value value;

	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
	driver_find("modbus")->value(&request, data, point, &value);
	return value;
}

/* --- answers --- */

static void test_wire_bytes(void **state)
{
	static const uint8_t request[] = {0x01, 0x04, 0x00, 0x00, 0x00, 0x02, 0x71, 0xCB};
	static const uint8_t expected[] = {
		0x01, 0x04, 0x04,       /* address, function, 4 bytes */
		0x43, 0x66, 0x33, 0x33, /* 230.2 as IEEE 754 */
		0x5A, 0xFA,             /* CRC, low byte first */
	};
	struct fixture *f = *state;
	uint8_t bytes[sizeof(expected)];

	assert_int_equal(simulator_set(f->simulator, 1, "voltage", 230.2), 0);
	send_bytes(f, request, sizeof(request));
	assert_int_equal(receive(f, bytes, sizeof(bytes), PATIENCE_US), sizeof(bytes));
	assert_memory_equal(bytes, expected, sizeof(expected));
	assert_int_equal(simulator_stats(f->simulator).requests, 1);
	assert_int_equal(simulator_stats(f->simulator).answers, 1);
	assert_int_equal(simulator_stats(f->simulator).refused, 0);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
}

static void test_shipped_map(_unused_ void **state)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(device_map_freep) struct device_map *map = NULL;
	_cleanup_(simulator_freep) struct simulator *simulator = NULL;
	_cleanup_close_ int fd = -1;
	const char *source = getenv("POSTBUS_SOURCE");
	char file[4096];
	struct fixture f;
	struct value value;

	assert_non_null(source);
	snprintf(file, sizeof(file), "%s/devices/eastron-sdm120.yaml", source);
	assert_int_equal(device_map_load(file, driver_names(), &map, faults), 0);
	assert_return_code(sd_event_new(&loop), 0);
	assert_int_equal(simulator_new(loop, NULL, 9600, format_8n1, &simulator), 0);
	assert_int_equal(simulator_add(simulator, map, 1), 0);
	fd = open(simulator_path(simulator), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	f = (struct fixture){.loop = loop, .map = map, .simulator = simulator, .fd = fd};
	value = read_point(&f, "voltage");
	assert_int_equal(value.kind, VALUE_FLOAT);
	assert_true(value.d > 200 && value.d < 260);
}

static void test_plausible_values(void **state)
{
	struct fixture *f = *state;
	struct value value = read_point(f, "voltage");
	double first;

	assert_true(value.d > 220 && value.d < 240);
	value = read_point(f, "temperature");
	assert_true(value.d > 18 && value.d < 25);
	first = read_point(f, "energy").d;
	assert_true(first >= 0 && read_point(f, "energy").d >= first);
	value = read_point(f, "mode");
	assert_int_equal(value.kind, VALUE_TEXT);
	assert_true(!strcmp(value.text, "auto") || !strcmp(value.text, "hand"));
	assert_string_equal(read_point(f, "model").text, "thin"); /* cut to 4 */
}

/* What is pinned is the raw number; registers that no point has read as 0. */
static void test_pinned_values_and_holes(void **state)
{
	static const uint8_t expected[] = {
		0x00, 0x00, 0x00, 0x00,             /* 0x0004, 0x0005: a hole */
		0x00, 0x01, 0x86, 0xA0, 0x00, 0xD7, /* energy 100000, temperature 215 */
		0xA0, 0x05,                         /* high 10, low 5 */
	};
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 4, 6);
	uint8_t data[DATA_MAX];

	assert_int_equal(simulator_set(f->simulator, 1, "energy", 100000), 0);
	assert_int_equal(simulator_set(f->simulator, 1, "temperature", 215), 0);
	assert_int_equal(simulator_set(f->simulator, 1, "low", 5), 0);
	assert_int_equal(simulator_set(f->simulator, 1, "high", 10), 0);
	assert_int_equal(simulator_set(f->simulator, 1, "nothing", 1), -ENOENT);
	assert_int_equal(simulator_set(f->simulator, 2, "low", 1), -ENOENT);
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
	assert_memory_equal(data, expected, sizeof(expected));

	/* Half of a point: the second register of energy, then temperature. */
	request = request_of(1, TABLE_INPUT, 7, 2);
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
	assert_memory_equal(data, expected + 6, 4);
}

static void test_coils(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_COIL, 2, 4);
	uint8_t data[DATA_MAX];

	assert_int_equal(simulator_set(f->simulator, 1, "pump", 0), 0);
	assert_int_equal(simulator_set(f->simulator, 1, "valve", 1), 0);
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
	assert_int_equal(data[0], 0x08); /* coils 5 to 2: 1000 */
}

static void check_exception(struct fixture *f, struct request request, uint8_t exception)
{
	uint8_t data[DATA_MAX];
	struct reply reply = ask(f, &request, data);

	assert_int_equal(reply.status, REPLY_EXCEPTION);
	assert_int_equal(reply.exception, exception);
}

static void test_exceptions(void **state)
{
	/* Write register 1 of address 1 with 3, which the simulator does not know. */
	static const uint8_t write_register[] = {0x01, 0x06, 0x00, 0x01,
						 0x00, 0x03, 0x98, 0x0B};
	static const uint8_t illegal_function[] = {0x01, 0x86, 0x01, 0x83, 0xA0};
	struct fixture *f = *state;
	uint8_t bytes[sizeof(illegal_function)];

	check_exception(f, request_of(1, TABLE_INPUT, 9, 2), 2);
	check_exception(f, request_of(1, TABLE_HOLDING, 0x0F, 1), 2);
	check_exception(f, request_of(1, TABLE_DISCRETE, 0, 1), 2);
	check_exception(f, request_of(1, TABLE_INPUT, 0, 126), 3);
	check_exception(f, request_of(1, TABLE_INPUT, 0, 0), 3);

	keep_silence(f);
	send_bytes(f, write_register, sizeof(write_register));
	assert_int_equal(receive(f, bytes, sizeof(bytes), PATIENCE_US), sizeof(bytes));
	assert_memory_equal(bytes, illegal_function, sizeof(bytes));
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
}

static void test_foreign_address(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(9, TABLE_INPUT, 0, 2);
	uint8_t byte;

	send_request(f, &request);
	assert_int_equal(receive(f, &byte, 1, QUIET_US), 0);
	assert_int_equal(simulator_stats(f->simulator).requests, 0);
	assert_int_equal(simulator_stats(f->simulator).refused, 1);
}

static void test_addresses(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(2, TABLE_INPUT, 0, 2);
	uint8_t data[DATA_MAX];

	assert_int_equal(simulator_add(f->simulator, f->map, 1), -EEXIST);
	assert_int_equal(simulator_add(f->simulator, f->map, 2), 0);
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
}

/* --- requests as they come --- */

static void test_pieces(void **state)
{
	static const uint8_t request[] = {0x01, 0x04, 0x00, 0x00, 0x00, 0x02, 0x71, 0xCB};
	struct fixture *f = *state;
	uint8_t bytes[9];

	for (size_t i = 0; i < sizeof(request); i++) {
		send_bytes(f, request + i, 1);
		assert_true(sd_event_run(f->loop, 0) >= 0);
	}
	assert_int_equal(receive(f, bytes, sizeof(bytes), PATIENCE_US), sizeof(bytes));
	assert_int_equal(simulator_stats(f->simulator).requests, 1);
}

static void test_wrong_checksum(void **state)
{
	static const uint8_t request[] = {0x01, 0x04, 0x00, 0x00, 0x00, 0x02, 0x71, 0xCA};
	struct fixture *f = *state;
	uint8_t byte;

	send_bytes(f, request, sizeof(request));
	assert_int_equal(receive(f, &byte, 1, QUIET_US), 0);
	assert_int_equal(simulator_stats(f->simulator).requests, 0);
	assert_int_equal(simulator_stats(f->simulator).refused, 1);
	assert_true(read_point(f, "voltage").d > 0); /* and the next one is heard */
}

/* The rest of a request that never comes does not spoil the next one. */
static void test_cut_request(void **state)
{
	static const uint8_t half[] = {0x01, 0x04, 0x00, 0x00};
	struct fixture *f = *state;
	uint64_t end = clock_monotonic_us() + PATIENCE_US;

	send_bytes(f, half, sizeof(half));
	while (simulator_stats(f->simulator).refused == 0 && clock_monotonic_us() < end)
		fake_time_run(f->loop, end);
	assert_int_equal(simulator_stats(f->simulator).refused, 1);
	assert_true(read_point(f, "voltage").d > 0);
}

static void test_reopened(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		assert_true(read_point(f, "voltage").d > 0);
		close(f->fd);
		assert_true(sd_event_run(f->loop, 0) >= 0);
		f->fd = open(simulator_path(f->simulator),
			     O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		assert_true(f->fd >= 0);
	}
}

/* --- pace --- */

/* At no moment is more of the answer here than a wire could have brought by then. */
static void test_pace(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 0, 10);
	uint64_t begin = clock_monotonic_us(), bytes_begin;
	uint8_t bytes[25];
	size_t got = 0;

	send_request(f, &request);
	bytes_begin = begin + plan_characters_us(8, 9600, format_8n1) +
		      plan_silence_us(9600, format_8n1);
	while (got < sizeof(bytes)) {
		got += receive(f, bytes + got, 1, PATIENCE_US);
		assert_true(got > 0);
		assert_true(clock_monotonic_us() >=
			    bytes_begin + plan_characters_us(got, 9600, format_8n1));
	}
}

static void test_violations(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 0, 2);
	uint8_t bytes[9], both[2 * FRAME_MAX];
	size_t n;

	send_request(f, &request);
	assert_int_equal(receive(f, bytes, 9, PATIENCE_US), 9);
	keep_silence(f);
	send_request(f, &request);
	assert_int_equal(receive(f, bytes, 9, PATIENCE_US), 9);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);

	/* Two requests in one write: the second has no silence before it. */
	keep_silence(f);
	n = driver_find("modbus")->request(&request, both);
	n += driver_find("modbus")->request(&request, both + n);
	send_bytes(f, both, n);
	assert_int_equal(receive(f, bytes, 9, PATIENCE_US), 9);
	assert_int_equal(receive(f, bytes, 9, PATIENCE_US), 9);
	assert_int_equal(simulator_stats(f->simulator).violations, 1);
	assert_int_equal(simulator_stats(f->simulator).answers, 4);
}

/* --- faults --- */

static void add_fault(struct fixture *f, struct fault_plan plan)
{
	assert_int_equal(simulator_add_fault(f->simulator, &plan), 0);
}

static void test_silent(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 0, 2);
	uint8_t byte, data[DATA_MAX];

	add_fault(f, (struct fault_plan){.kind = FAULT_SILENT, .address = 1, .every = 2});
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
	keep_silence(f);
	send_request(f, &request);
	assert_int_equal(receive(f, &byte, 1, QUIET_US), 0);
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
	assert_int_equal(simulator_stats(f->simulator).requests, 3);
	assert_int_equal(simulator_stats(f->simulator).answers, 2);
}

static void test_checksum(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 0, 2);
	uint8_t data[DATA_MAX];

	add_fault(f, (struct fault_plan){.kind = FAULT_CHECKSUM, .every = 1});
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask(f, &request, data).status, REPLY_CHECKSUM);
	assert_int_equal(simulator_stats(f->simulator).answers, 0);
}

static void test_short(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 0, 2);
	uint8_t bytes[9];

	add_fault(f, (struct fault_plan){.kind = FAULT_SHORT, .every = 1});
	send_request(f, &request);
	assert_int_equal(receive(f, bytes, 4, PATIENCE_US), 4);
	assert_int_equal(receive(f, bytes, 1, QUIET_US), 0);
	assert_int_equal(simulator_stats(f->simulator).answers, 0);
}

static void test_late(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 0, 2);
	uint8_t data[DATA_MAX];
	uint64_t begin = clock_monotonic_us();

	add_fault(f,
		  (struct fault_plan){.kind = FAULT_LATE, .every = 1, .time_us = 120000});
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
	assert_true(clock_monotonic_us() - begin >= 120000);
	assert_int_equal(simulator_stats(f->simulator).answers, 1);
}

/*
 * A master that gives a late answer up and goes on gets it while it waits for the next
 * one, and then that one. Its second request began in silence: it is no violation.
 */
static void test_late_answer_meets_next_request(void **state)
{
	struct fixture *f = *state;
	struct request voltage = request_of(1, TABLE_INPUT, 0, 2);
	struct request energy = request_of(1, TABLE_INPUT, 6, 2);
	uint8_t bytes[9];

	assert_int_equal(simulator_set(f->simulator, 1, "voltage", 230.2), 0);
	assert_int_equal(simulator_set(f->simulator, 1, "energy", 7), 0);
	add_fault(f, (struct fault_plan){
			     .kind = FAULT_LATE, .every = 1, .time_us = 1000000});
	send_request(f, &voltage);
	assert_int_equal(receive(f, bytes, 1, QUIET_US), 0);
	send_request(f, &energy);
	assert_int_equal(receive(f, bytes, 9, PATIENCE_US), 9);
	assert_memory_equal(bytes + 3, "\x43\x66\x33\x33", 4);
	assert_int_equal(receive(f, bytes, 9, PATIENCE_US), 9);
	assert_memory_equal(bytes + 3, "\x00\x00\x00\x07", 4);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
}

static void test_exception_fault(void **state)
{
	struct fixture *f = *state;

	add_fault(f, (struct fault_plan){
			     .kind = FAULT_EXCEPTION, .every = 1, .number = 6});
	check_exception(f, request_of(1, TABLE_INPUT, 0, 2), 6);
	assert_int_equal(simulator_stats(f->simulator).answers, 0);
}

static void test_mute(void **state)
{
	struct fixture *f = *state;
	struct request request = request_of(1, TABLE_INPUT, 0, 2);
	uint8_t byte, data[DATA_MAX];

	simulator_mute(f->simulator, true);
	send_request(f, &request);
	assert_int_equal(receive(f, &byte, 1, QUIET_US), 0);
	assert_int_equal(simulator_stats(f->simulator).requests, 1);
	simulator_mute(f->simulator, false);
	assert_int_equal(ask(f, &request, data).status, REPLY_OK);
}

/* --- devices that speak in lines --- */

/* A simulator of its own, with a device of this map; the fixture's goes away for it. */
static void play_map(struct fixture *f, const char *text)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	int r;

	close(f->fd);
	simulator_free(f->simulator);
	f->simulator = NULL;
	device_map_free(f->map);
	f->map = NULL;
	r = device_map_parse("talker.yaml", text, strlen(text), driver_names(), &f->map,
			     faults);
	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	assert_int_equal(simulator_new(f->loop, NULL, 9600, format_8n1, &f->simulator), 0);
	f->fd = open(simulator_path(f->simulator), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(f->fd >= 0);
}

static void hear(struct fixture *f, const char *wanted)
{
	uint8_t bytes[64] = "";

	assert_int_equal(receive(f, bytes, strlen(wanted), PATIENCE_US), strlen(wanted));
	assert_string_equal((char *)bytes, wanted);
}

static void test_examples_are_said_in_turn(void **state)
{
	struct fixture *f = *state;
	uint64_t begin = clock_monotonic_us();

	play_map(f, "map: talker\ndriver: text\npoints: {a: {field: 1}}\nexamples:\n"
		    "  - {receive: \"1\\n\", points: {a: 1}}\n"
		    "  - {receive: \"22\\n\", points: {a: 22}}\n");
	assert_int_equal(simulator_add(f->simulator, f->map, 0), 0);
	assert_int_equal(simulator_add(f->simulator, f->map, 0), -EEXIST);
	hear(f, "1\n22\n1\n");
	assert_true(clock_monotonic_us() - begin >= 2 * 1000000);
	assert_int_equal(simulator_set_example(f->simulator, 0, 2), -ENOENT);
	assert_int_equal(simulator_set_example(f->simulator, 0, 0), 0);
	hear(f, "1\n1\n");
	simulator_mute(f->simulator, true);
	assert_int_equal(receive(f, (uint8_t[1]){0}, 1, 1200 * 1000), 0);
}

/* The meter names itself, and goes on when that is acknowledged. */
static void test_who_is_asked_answers(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	play_map(f, "map: talker\ndriver: obis\nrequest: \"/?!\\r\\n\"\n"
		    "acknowledge: \"\\x06000\\r\\n\"\npoints: {a: {obis: 1.8.0}}\nexamples:\n"
		    "  - {receive: \"/X\\r\\n1.8.0(5)\\r\\n!\\r\\n\", points: {a: 5}}\n"
		    "  - {receive: \"/Y\\r\\n1.8.0(6)\\r\\n!\\r\\n\", points: {a: 6}}\n");
	assert_int_equal(simulator_add(f->simulator, f->map, 0), 0);
	assert_int_equal(receive(f, &byte, 1, 1200 * 1000), 0);
	send_bytes(f, "/?!\r\n", 5);
	hear(f, "/X\r\n");
	/* Asked again instead of acknowledged, it begins again. */
	send_bytes(f, "/?!\r\n", 5);
	hear(f, "/X\r\n");
	send_bytes(f, "\x06" "000\r\n", 6);
	hear(f, "1.8.0(5)\r\n!\r\n");
	send_bytes(f, "hello/?!\r\n", 10);
	assert_int_equal(receive(f, &byte, 1, QUIET_US), 0);
	assert_int_equal(simulator_stats(f->simulator).refused, 1);
	send_bytes(f, "/?!\r\n", 5);
	hear(f, "/Y\r\n");
	assert_int_equal(simulator_stats(f->simulator).requests, 4);
}

/* Before it was told to begin it says nothing. */
static void test_who_is_set_up_answers(void **state)
{
	struct fixture *f = *state;
	uint8_t byte;

	play_map(f, "map: talker\ndriver: frame\nstart: '41'\nlength: 2\nsetup: 47 4F 21\n"
		    "request: 47 3F\npoints: {a: {at: 1, type: u8}}\nexamples:\n"
		    "  - {receive: 41 42, points: {a: 66}}\n"
		    "  - {receive: 41 43, points: {a: 67}}\n");
	assert_int_equal(simulator_add(f->simulator, f->map, 0), 0);
	send_bytes(f, "G?", 2);
	assert_int_equal(receive(f, &byte, 1, QUIET_US), 0);
	send_bytes(f, "GO!", 3);
	assert_int_equal(receive(f, &byte, 1, QUIET_US), 0);
	send_bytes(f, "G?", 2);
	hear(f, "AB");
	send_bytes(f, "GO!G?", 5);
	hear(f, "AC");
	assert_int_equal(simulator_stats(f->simulator).requests, 5);
	assert_int_equal(simulator_stats(f->simulator).answers, 2);
	assert_int_equal(simulator_stats(f->simulator).refused, 0);
}

static void test_no_examples_nothing_to_say(void **state)
{
	struct fixture *f = *state;

	play_map(f, "map: talker\ndriver: text\npoints: {a: {field: 1}}\n");
	assert_int_equal(simulator_add(f->simulator, f->map, 0), -EPROTONOSUPPORT);
}

/* --- the link --- */

static int new_with_link(sd_event *loop, const char *link, struct simulator **simulator)
{
	return simulator_new(loop, link, 9600, format_8n1, simulator);
}

static void test_link(_unused_ void **state)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	struct simulator *simulator = NULL;
	char directory[] = "/tmp/test_simulator.XXXXXX", link[64], target[64] = "";
	struct stat st;
	int fd;

	assert_return_code(sd_event_new(&loop), 0);
	assert_non_null(mkdtemp(directory));
	snprintf(link, sizeof(link), "%s/wire", directory);

	/* A stale link is replaced, and taken away again. */
	assert_int_equal(symlink("/dev/pts/nowhere", link), 0);
	assert_int_equal(new_with_link(loop, link, &simulator), 0);
	assert_true(readlink(link, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, simulator_path(simulator));
	simulator_free(simulator);
	assert_int_equal(lstat(link, &st), -1);

	/* A link that has become someone else's stays. */
	assert_int_equal(new_with_link(loop, link, &simulator), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("/dev/pts/nowhere", link), 0);
	simulator_free(simulator);
	assert_int_equal(lstat(link, &st), 0);
	assert_int_equal(unlink(link), 0);

	/* A file is never replaced. */
	fd = open(link, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(new_with_link(loop, link, &simulator), -EEXIST);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(rmdir(directory), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_wire_bytes),
		cmocka_unit_test(test_shipped_map),
		TEST(test_plausible_values),
		TEST(test_pinned_values_and_holes),
		TEST(test_coils),
		TEST(test_exceptions),
		TEST(test_foreign_address),
		TEST(test_addresses),
		TEST(test_pieces),
		TEST(test_wrong_checksum),
		TEST(test_cut_request),
		TEST(test_reopened),
		TEST(test_pace),
		TEST(test_violations),
		TEST(test_silent),
		TEST(test_checksum),
		TEST(test_short),
		TEST(test_late),
		TEST(test_late_answer_meets_next_request),
		TEST(test_exception_fault),
		TEST(test_mute),
		TEST(test_examples_are_said_in_turn),
		TEST(test_who_is_asked_answers),
		TEST(test_who_is_set_up_answers),
		TEST(test_no_examples_nothing_to_say),
		cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
