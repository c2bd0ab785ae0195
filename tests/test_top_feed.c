/* SPDX-License-Identifier: Apache-2.0 */
/* test_top_feed.c - a gateway that is asked again and again, goes, comes back, and is slow. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "tools/top_feed.h"
#include "uplink/control.h"

#include <string.h>
#include <unistd.h>

enum {
	INTERVAL_US = 20 * 1000,
	PATIENCE_S = 60,
	OTHERS = 8, /* connections that a gateway has open at a time */
};

static char directory[] = "/tmp/postbus-feed-XXXXXX";
static struct status_place place = { .runtime = directory };
static sd_event *loop;
static struct control *gateway;
static struct top_feed *feed;

static unsigned statuses, troubles;
static const char *trouble;
static unsigned device_takes_us;
static uint64_t ended_us;      /* the last inquiry */
static uint64_t least_rest_us; /* between two of them */
static int devices;            /* of the last status */

/* --- the gateway's side, in the same loop --- */

static const char *on_gateway(_unused_ void *data, _unused_ const cJSON *request, cJSON *answer)
{
	uint64_t now_us = clock_monotonic_us();

	if (ended_us && now_us - ended_us < least_rest_us)
		least_rest_us = now_us - ended_us;
	cJSON_AddItemToArray(cJSON_AddArrayToObject(answer, "buses"), cJSON_CreateString("a"));
	return NULL;
}

static const char *on_bus(_unused_ void *data, _unused_ const cJSON *request, cJSON *answer)
{
	cJSON *bus = cJSON_AddObjectToObject(answer, "bus");
	cJSON *names;

	cJSON_AddStringToObject(bus, "bus", "a");
	names = cJSON_AddArrayToObject(bus, "devices");
	cJSON_AddItemToArray(names, cJSON_CreateString("one"));
	cJSON_AddItemToArray(names, cJSON_CreateString("two"));
	cJSON_AddItemToArray(names, cJSON_CreateString("gone"));
	return NULL;
}

static const char *on_device(_unused_ void *data, const cJSON *request, cJSON *answer)
{
	const char *name = cJSON_GetObjectItem(request, "device")->valuestring;

	usleep(device_takes_us);
	if (!strcmp(name, "gone"))
		return "there is no such device";
	cJSON_AddStringToObject(cJSON_AddObjectToObject(answer, "device"), "device", name);
	return NULL;
}

static void start_gateway(void)
{
	static const struct control_verb verbs[] = {
		{ "status", on_gateway }, { "bus", on_bus }, { "device", on_device }, { 0 },
	};

	assert_int_equal(control_new(loop, directory, "control", verbs, NULL, &gateway), 0);
}

/* --- the other side --- */

static void on_status(_unused_ void *data, cJSON *status)
{
	const cJSON *bus = cJSON_GetArrayItem(cJSON_GetObjectItem(status, "buses"), 0);

	statuses++;
	ended_us = clock_monotonic_us();
	devices = cJSON_GetArraySize(cJSON_GetObjectItem(bus, "devices"));
	cJSON_Delete(status);
}

static void on_trouble(_unused_ void *data, const char *why)
{
	troubles++;
	trouble = why;
}

/* Until so many more came. */
static void wait_for(const unsigned *count, unsigned more)
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_S * USEC_PER_SEC;

	for (more += *count; *count < more; assert_true(clock_monotonic_us() < end_us))
		assert_true(sd_event_run(loop, 100 * 1000) >= 0);
}

static int begin(_unused_ void **state)
{
	const struct top_feed_ear ear = { on_status, on_trouble, NULL };

	statuses = troubles = device_takes_us = 0;
	ended_us = 0;
	least_rest_us = UINT64_MAX;
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	if (!mkdtemp(directory) || sd_event_new(&loop) < 0)
		return -1;
	start_gateway();
	return top_feed_new(loop, &place, INTERVAL_US, &ear, &feed);
}

static int end(_unused_ void **state)
{
	top_feed_free(feed);
	control_free(TAKE_PTR(gateway));
	sd_event_unref(loop);
	return rmdir(directory);
}

/* --- the tests --- */

static void it_asks_again_and_again(_unused_ void **state)
{
	wait_for(&statuses, 5);
	assert_int_equal(troubles, 0);
	/* One that is gone by the time that it is asked for is left out. */
	assert_int_equal(devices, 2);
	assert_true(least_rest_us >= INTERVAL_US);
}

static void it_waits_for_one_that_is_gone(_unused_ void **state)
{
	wait_for(&statuses, 1);
	control_free(TAKE_PTR(gateway));
	wait_for(&troubles, 2);
	assert_string_equal(trouble, "no gateway is running here");
	start_gateway();
	wait_for(&statuses, 2);
}

/* A connection that has to make room for others is no trouble. */
static void it_comes_back_when_it_is_put_out(_unused_ void **state)
{
	int others[OTHERS];

	wait_for(&statuses, 1);
	for (size_t i = 0; i < OTHERS; i++)
		others[i] = control_connect(directory, "control");
	wait_for(&statuses, 3);
	assert_int_equal(troubles, 0);
	for (size_t i = 0; i < OTHERS; i++)
		close(others[i]);
}

/* It has a tenth of a gateway's time at most. */
static void it_does_not_keep_a_gateway_busy(_unused_ void **state)
{
	device_takes_us = 10 * 1000;
	wait_for(&statuses, 3);
	assert_true(least_rest_us >= 3 * UINT64_C(10) * device_takes_us);
}

#define feed_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		feed_test(it_asks_again_and_again),
		feed_test(it_waits_for_one_that_is_gone),
		feed_test(it_comes_back_when_it_is_put_out),
		feed_test(it_does_not_keep_a_gateway_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
