/* SPDX-License-Identifier: Apache-2.0 */
/* test_publish.c - what of a device's readings becomes a message, and what is counted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "field/view.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static const uint64_t begin_us = 1000 * USEC_PER_SEC;

static const char map_text[] =
	"map: thing\n"
	"driver: modbus\n"
	"defaults: {table: input, type: u16, every: 1s}\n"
	"points:\n"
	"  always: {addr: 0}\n"
	"  band: {addr: 1, deadband: 5, max_silence: 60s}\n"
	"  share: {addr: 2, deadband: 10%}\n"
	"  change: {addr: 3, max_silence: 60s}\n"
	"  mode: {addr: 4, values: {0: off, 1: on}, max_silence: 60s}\n";

enum {
	ALWAYS,
	BAND,
	SHARE,
	CHANGE,
	MODE,
	POINTS,
};

struct fixture {
	struct device_map *map;
	struct device_config config;
	struct conf conf;
	struct device device;
	char body[512]; /* of the last message; empty: none */
	unsigned messages;
};

static int set_up(void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	assert_int_equal(device_map_parse("thing.yaml", map_text, strlen(map_text),
					  driver_names(), &f->map, faults), 0);
	f->config = (struct device_config){
		.name = "d",
		.map = f->map,
		.address = 1,
		.points = f->map->points,
		.point_count = f->map->point_count,
	};
	assert_int_equal(f->config.point_count, POINTS);
	f->conf = (struct conf){.gateway = "g", .publish.topic = "{gateway}/{device}"};
	return device_init(&f->device, &f->config, "bus", &f->conf, begin_us);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	device_done(&f->device);
	device_map_free(f->map);
	free(f);
	return 0;
}

static void take_message(void *data, const struct message *message)
{
	struct fixture *f = data;

	f->messages++;
	snprintf(f->body, sizeof(f->body), "%.*s", (int)message->body_length, message->body);
}

/* Reads one point and publishes; what was published. */
static const char *publish(struct fixture *f, unsigned point, uint64_t number, unsigned second)
{
	uint64_t now_us = begin_us + second * USEC_PER_SEC;
	uint8_t data[2] = {(uint8_t)(number >> 8), (uint8_t)number};
	const struct reply reply = {.status = REPLY_OK, .data = data, .data_length = 2};

	f->device.points[0] = (uint16_t)point;
	f->device.request = (struct request){
		.address = 1, .table = TABLE_INPUT, .first = (uint16_t)point, .count = 1,
		.point_count = 1};
	device_take(&f->device, &reply, now_us);
	f->body[0] = '\0';
	assert_true(device_publish(&f->device, &f->conf.publish, now_us, take_message, f) >= 0);
	return f->body;
}

static void test_every_reading(void **state)
{
	assert_string_equal(publish(*state, ALWAYS, 7, 1), "\"always\":7");
	assert_string_equal(publish(*state, ALWAYS, 7, 2), "\"always\":7");
}

/* Changes are counted from what was last published, not from what was last read. */
static void test_deadband(void **state)
{
	assert_string_equal(publish(*state, BAND, 100, 1), "\"band\":100");
	assert_string_equal(publish(*state, BAND, 104, 2), "");
	assert_string_equal(publish(*state, BAND, 96, 3), "");
	assert_string_equal(publish(*state, BAND, 105, 4), "\"band\":105");
	assert_string_equal(publish(*state, BAND, 101, 5), "");
	assert_string_equal(publish(*state, BAND, 100, 6), "\"band\":100");
}

static void test_deadband_of_a_share(void **state)
{
	assert_string_equal(publish(*state, SHARE, 200, 1), "\"share\":200");
	assert_string_equal(publish(*state, SHARE, 219, 2), "");
	assert_string_equal(publish(*state, SHARE, 220, 3), "\"share\":220");
	assert_string_equal(publish(*state, SHARE, 0, 4), "\"share\":0");
	assert_string_equal(publish(*state, SHARE, 0, 5), "");
	assert_string_equal(publish(*state, SHARE, 1, 6), "\"share\":1");
}

static void test_max_silence(void **state)
{
	assert_string_equal(publish(*state, BAND, 100, 1), "\"band\":100");
	assert_string_equal(publish(*state, BAND, 101, 60), "");
	assert_string_equal(publish(*state, BAND, 101, 61), "\"band\":101");
	assert_string_equal(publish(*state, BAND, 101, 62), "");
}

/* A max_silence without a deadband: what has not changed is not said, but now and then. */
static void test_on_change(void **state)
{
	assert_string_equal(publish(*state, CHANGE, 3, 1), "\"change\":3");
	assert_string_equal(publish(*state, CHANGE, 3, 2), "");
	assert_string_equal(publish(*state, CHANGE, 4, 3), "\"change\":4");
	assert_string_equal(publish(*state, CHANGE, 4, 63), "\"change\":4");
	assert_string_equal(publish(*state, MODE, 0, 64), "\"mode\":\"off\"");
	assert_string_equal(publish(*state, MODE, 0, 65), "");
	assert_string_equal(publish(*state, MODE, 1, 66), "\"mode\":\"on\"");
	assert_string_equal(publish(*state, MODE, 7, 67), "\"mode\":7");
}

/* `full`: the others are there with their last value, and it is said which are old. */
static void test_stale_values_say_so(void **state)
{
	struct fixture *f = *state;

	f->config.full = true;
	publish(f, ALWAYS, 7, 1);
	publish(f, SHARE, 200, 1);
	assert_string_equal(publish(f, BAND, 100, 4), "\"always\":7,\"band\":100,\"share\":200");
	assert_string_equal(publish(f, ALWAYS, 8, 5),
			    "\"always\":8,\"band\":100,\"share\":200,"
			    "\"quality\":{\"share\":\"stale\"}");
	/* Read again, be it within its band, it is fresh. */
	publish(f, SHARE, 201, 6);
	assert_string_equal(publish(f, ALWAYS, 8, 7),
			    "\"always\":8,\"band\":100,\"share\":200");
}

static void test_latency_quantiles(void **state)
{
	struct latency latency = {{0}};

	(void)state;
	assert_int_equal(latency_quantile(&latency, 0.5), 0);
	for (uint64_t us = 1; us <= 100000; us++)
		latency_add(&latency, us);
	/* Within a quarter of a doubling, and never below. */
	for (double q = 0.01; q <= 1; q += 0.01) {
		double quantile = (double)latency_quantile(&latency, q);

		assert_true(quantile >= q * 100000 - 1);
		assert_true(quantile <= fmax(q * 100000 * 1.26, 128));
	}
	latency_add(&latency, UINT64_MAX);
	assert_true(latency_quantile(&latency, 1) >= 1000000);
}

static double number_at(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

	assert_true(cJSON_IsNumber(item));
	return item->valuedouble;
}

static void test_stats_are_json(void **state)
{
	struct bus_stats stats = {
		.name = "cellar",
		.port = "/dev/ttyUSB0",
		.trouble = "",
		.open = true,
		.devices = 3,
		.offline = 1,
		.load = 0.51234,
		.stretch = 1,
		.counters = {.requests = 1000, .answers = 990, .timeouts = 4},
		.line = {.framing = 2},
	};
	char body[2048] = "{";
	struct text text = {.data = body, .length = 1, .size = sizeof(body)};
	cJSON *json;
	const cJSON *refused, *line;

	(void)state;
	stats.counters.refused[REPLY_CHECKSUM] = 5;
	stats.counters.refused[REPLY_MORE] = 1;
	bus_stats_json(&stats, &text);
	text_add(&text, "}", 1);
	assert_false(text.full);
	json = cJSON_Parse(body);
	assert_non_null(json);
	assert_string_equal(cJSON_GetObjectItem(json, "bus")->valuestring, "cellar");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(json, "open")));
	assert_int_equal(number_at(json, "requests"), 1000);
	assert_int_equal(number_at(json, "timeouts"), 4);
	assert_true(fabs(number_at(json, "load") - 0.512) < 1e-9);
	refused = cJSON_GetObjectItem(json, "refused");
	assert_int_equal(number_at(refused, "checksum"), 5);
	assert_int_equal(number_at(refused, "short"), 1);
	line = cJSON_GetObjectItem(json, "line");
	assert_int_equal(number_at(line, "framing"), 2);
	cJSON_Delete(json);
}

/* What was read last counts, though a deadband kept it back. */
static void test_view(void **state)
{
	struct fixture *f = *state;
	char body[4096];
	struct text text = {.data = body, .size = sizeof(body)};

	publish(f, BAND, 100, 1);
	publish(f, SHARE, 7, 1);
	assert_string_equal(publish(f, BAND, 104, 2), "");
	publish(f, MODE, 1, 2);
	f->device.split.refused[CHANGE] = true;
	view_device(&f->device, begin_us + 5 * USEC_PER_SEC, &text);
	assert_false(text.full);
	assert_null(strncmp(body, "{\"device\":\"d\",\"map\":\"thing\",\"address\":1,"
				  "\"state\":\"unknown\",\"silent_ms\":5000,\"failures\":0,",
			    85) ? body : NULL);
	assert_string_equal(strstr(body, "\"points\":"),
			    "\"points\":{\"always\":{\"value\":null,\"quality\":\"unread\"},"
			    "\"band\":{\"value\":104,\"age_ms\":3000,\"quality\":\"good\"},"
			    "\"share\":{\"value\":7,\"age_ms\":4000,\"quality\":\"stale\"},"
			    "\"change\":{\"value\":null,\"quality\":\"refused\"},"
			    "\"mode\":{\"value\":\"on\",\"age_ms\":3000,"
			    "\"quality\":\"good\"}}}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_reading),
		TEST(test_deadband),
		TEST(test_deadband_of_a_share),
		TEST(test_max_silence),
		TEST(test_on_change),
		TEST(test_stale_values_say_so),
		TEST(test_view),
		cmocka_unit_test(test_latency_quantiles),
		cmocka_unit_test(test_stats_are_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
