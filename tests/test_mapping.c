// SPDX-License-Identifier: Apache-2.0
/* test_mapping.c - topic templates, and readings to messages. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/mapping.h"

#include <errno.h>
#include <string.h>

static const struct device_map map = {.name = "eastron-sdm120"};
static const struct device_config meter = {.name = "meter-1", .map = &map, .address = 17};
static const struct point points[] = {
	{.name = "voltage", .unit = "V"},
	{.name = "current", .unit = "A"},
	{.name = "serial", .unit = NULL},
};

/* --- topics --- */

static void check_topic(const char *format, const char *point, const char *expected)
{
	_cleanup_free_ char *topic =
		topic_expand(format, "barn", "cellar", &meter, point);

	assert_non_null(topic);
	assert_string_equal(topic, expected);
}

static void check_refused(const char *format)
{
	errno = 0;
	assert_null(topic_expand(format, "barn", "cellar", &meter, NULL));
	assert_int_equal(errno, EINVAL);
}

static void test_topics(_unused_ void **state)
{
	check_topic("{gateway}/{device}", NULL, "barn/meter-1");
	check_topic("{gateway}/{bus}/{map}/{address}/{device}", NULL,
		    "barn/cellar/eastron-sdm120/17/meter-1");
	check_topic("{gateway}/{device}/{point}", "voltage", "barn/meter-1/voltage");
	check_topic("x{device}y{device}z", NULL, "xmeter-1ymeter-1z");
	check_topic("plain", NULL, "plain");
}

static void test_refused_topics(_unused_ void **state)
{
	check_refused("");
	check_refused("/{device}");
	check_refused("{device}/");
	check_refused("/");
	check_refused("{gateway}//{device}");
	check_refused("{gateway}/+");
	check_refused("{gateway}/#");
	check_refused("a+b");
	check_refused("{gateway}/{devise}");
	check_refused("{gateway}/{}");
	check_refused("{gateway}/{device");
	check_refused("{gateway}/{");
	check_refused("{Gateway}");
	check_refused("{gateway}/{point}"); /* no point here */
}

static void test_longest_topic(_unused_ void **state)
{
	char format[TOPIC_MAX + 2];
	_cleanup_free_ char *topic = NULL;

	memset(format, 'x', sizeof(format));
	format[TOPIC_MAX + 1] = '\0';
	check_refused(format);
	format[TOPIC_MAX] = '\0';
	topic = topic_expand(format, "barn", "cellar", &meter, NULL);
	assert_non_null(topic);
	assert_int_equal(strlen(topic), TOPIC_MAX);
}

/* --- messages --- */

struct seen {
	size_t count;
	struct message last;
	char text[4096]; /* "topic body\n" of each */
};

static void see(void *data, const struct message *message)
{
	struct seen *seen = data;
	size_t used = strlen(seen->text);

	seen->count++;
	seen->last = *message;
	snprintf(seen->text + used, sizeof(seen->text) - used, "%.*s %.*s\n",
		 message->topic_length, message->topic, (int)message->body_length,
		 message->body);
}

static const struct message when = {
	.boottime_us = 1234567,
	.wall_ms = 1795460721123,
	.wall_synced = true,
};

static int publish(const struct publish_conf *conf, const struct reading *readings,
		   size_t count, struct seen *seen)
{
	*seen = (struct seen){0};
	return mapping_publish(conf, "barn/meter-1", points, readings, count, &when, see,
			       seen);
}

static const struct reading readings[] = {
	{.point = 1, .value = {.kind = VALUE_DECIMAL, .d = 1.31, .decimals = 2}},
	{.point = 0, .value = {.kind = VALUE_FLOAT, .d = (double)230.2f}},
	{.point = 2, .value = {.kind = VALUE_TEXT, .text = "A \"7\""}},
};

static void test_layout_device(_unused_ void **state)
{
	struct publish_conf conf = {.layout = LAYOUT_DEVICE, .qos = 1, .retain = true};
	struct seen seen;

	assert_int_equal(publish(&conf, readings, 3, &seen), 1);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.text, "barn/meter-1 \"current\":1.31,\"voltage\":230.2,"
				       "\"serial\":\"A \\\"7\\\"\"\n");
	assert_int_equal(seen.last.form, FORM_ISO_TIME);
	assert_int_equal(seen.last.qos, 1);
	assert_true(seen.last.retain);
	assert_int_equal(seen.last.seq, 0);
	assert_int_equal(seen.last.boottime_us, when.boottime_us);
	assert_int_equal(seen.last.wall_ms, when.wall_ms);
	assert_true(seen.last.wall_synced);
}

static void test_layout_point(_unused_ void **state)
{
	struct publish_conf conf = {.layout = LAYOUT_POINT, .time = TIME_EPOCH_MS};
	struct seen seen;

	assert_int_equal(publish(&conf, readings, 3, &seen), 3);
	assert_int_equal(seen.count, 3);
	assert_string_equal(seen.text,
			    "barn/meter-1/current \"value\":1.31,\"unit\":\"A\"\n"
			    "barn/meter-1/voltage \"value\":230.2,\"unit\":\"V\"\n"
			    "barn/meter-1/serial \"value\":\"A \\\"7\\\"\"\n");
	assert_int_equal(seen.last.form, FORM_EPOCH_MS);
	assert_int_equal(seen.last.qos, 0);
	assert_false(seen.last.retain);
}

static void test_bare(_unused_ void **state)
{
	struct publish_conf conf = {.layout = LAYOUT_POINT, .payload = PAYLOAD_BARE};
	struct seen seen;

	assert_int_equal(publish(&conf, readings, 3, &seen), 3);
	assert_string_equal(seen.text, "barn/meter-1/current 1.31\n"
				       "barn/meter-1/voltage 230.2\n"
				       "barn/meter-1/serial A \"7\"\n");
	assert_int_equal(seen.last.form, FORM_BARE);
}

static void test_null_and_nothing(_unused_ void **state)
{
	struct publish_conf conf = {.layout = LAYOUT_DEVICE};
	struct reading none = {.point = 0, .value = {.kind = VALUE_NULL}};
	struct seen seen;

	assert_int_equal(publish(&conf, &none, 1, &seen), 1);
	assert_string_equal(seen.text, "barn/meter-1 \"voltage\":null\n");
	assert_int_equal(publish(&conf, &none, 0, &seen), 0);
	assert_int_equal(seen.count, 0);
}

static void test_too_long(_unused_ void **state)
{
	enum { COUNT = 1000 };
	static struct reading many[COUNT];
	struct publish_conf conf = {.layout = LAYOUT_DEVICE};
	struct seen seen;

	/* "voltage":" and 64 characters " and a comma: 77 bytes each, so 638 at most. */
	for (size_t i = 0; i < COUNT; i++) {
		many[i].value.kind = VALUE_TEXT;
		memset(many[i].value.text, 'x', STRING_MAX_LENGTH);
	}
	assert_int_equal(publish(&conf, many, COUNT, &seen), -EMSGSIZE);
	assert_int_equal(publish(&conf, many, 639, &seen), -EMSGSIZE);
	assert_int_equal(seen.count, 0);
	assert_int_equal(publish(&conf, many, 638, &seen), 1);
	assert_int_equal(seen.last.body_length, 638 * 77 - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_topics),
		cmocka_unit_test(test_refused_topics),
		cmocka_unit_test(test_longest_topic),
		cmocka_unit_test(test_layout_device),
		cmocka_unit_test(test_layout_point),
		cmocka_unit_test(test_bare),
		cmocka_unit_test(test_null_and_nothing),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
