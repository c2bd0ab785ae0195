/* SPDX-License-Identifier: Apache-2.0 */
/* test_retained.c - which topics a broker is to forget when a configuration changes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/retained.h"

#include <string.h>

static struct point points[] = { { .name = "voltage" }, { .name = "current" } };
static const struct device_map map = { .name = "meter" };

/* One bus, "cellar", of these devices. */
struct fixture {
	struct conf conf;
	struct device_config devices[100];
	struct bus_config bus, *buses[1];
	struct config config;
};

static void make(struct fixture *f, bool retain, enum layout layout, const char *const *names)
{
	*f = (struct fixture){
		.conf = { .gateway = "barn", .publish = { .topic = "{gateway}/{device}",
							  .retain = retain, .layout = layout } },
		.bus = { .name = "cellar", .devices = f->devices },
	};
	for (; *names; names++)
		f->devices[f->bus.device_count++] = (struct device_config){
			.name = (char *)*names, .map = &map,
			.points = points, .point_count = ARRAY_SIZE(points),
		};
	f->buses[0] = &f->bus;
	f->config = (struct config){ .conf = &f->conf, .buses = f->buses, .bus_count = 1 };
}

static void check_gone(const struct fixture *old, const struct fixture *new, const char *wanted)
{
	_cleanup_(retained_freep) struct retained *gone = NULL;
	char text[1024] = "";

	assert_int_equal(retained_gone(&old->config, &new->config, &gone), 0);
	for (size_t i = 0; i < gone->count; i++) {
		size_t length = strlen(text);

		snprintf(text + length, sizeof(text) - length, "%s%s ", gone->topics[i].topic,
			 gone->topics[i].availability ? "!" : "");
	}
	assert_string_equal(text, wanted);
}

static void a_device_that_is_gone_is_forgotten(void **state)
{
	struct fixture old, new;

	(void)state;
	make(&old, false, LAYOUT_DEVICE, (const char *const[]){ "a", "b", "c", NULL });
	make(&new, false, LAYOUT_DEVICE, (const char *const[]){ "c", "a", NULL });
	check_gone(&old, &new, "barn/b/availability! ");
	check_gone(&new, &old, "");
	old.conf.publish.retain = true;
	check_gone(&old, &new, "barn/a barn/b barn/b/availability! barn/c ");
	new.conf.publish.retain = true;
	check_gone(&old, &new, "barn/b barn/b/availability! ");
}

static void a_bus_that_is_gone_is_forgotten(void **state)
{
	struct fixture old, new;

	(void)state;
	make(&old, false, LAYOUT_DEVICE, (const char *const[]){ "a", NULL });
	make(&new, false, LAYOUT_DEVICE, (const char *const[]){ "a", NULL });
	new.bus.name = "attic";
	check_gone(&old, &new, "barn/status/bus/cellar ");
	new.config.bus_count = 0;
	check_gone(&old, &new, "barn/a/availability! barn/status/bus/cellar ");
}

/* What was kept under another name or in another layout nobody replaces any more. */
static void topics_that_are_others_are_forgotten(void **state)
{
	struct fixture old, new;

	(void)state;
	make(&old, true, LAYOUT_POINT, (const char *const[]){ "a", NULL });
	make(&new, true, LAYOUT_DEVICE, (const char *const[]){ "a", NULL });
	check_gone(&old, &new, "barn/a/current barn/a/voltage ");
	check_gone(&new, &old, "barn/a ");
	make(&new, true, LAYOUT_POINT, (const char *const[]){ "a", NULL });
	new.devices[0].point_count = 1;
	check_gone(&old, &new, "barn/a/current ");
	new.devices[0].topic = "elsewhere/{device}";
	check_gone(&old, &new, "barn/a/current barn/a/voltage ");
}

/* A topic that another device has now is not forgotten. */
static void a_topic_that_goes_on_is_kept(void **state)
{
	struct fixture old, new;

	(void)state;
	make(&old, true, LAYOUT_DEVICE, (const char *const[]){ "a", NULL });
	make(&new, true, LAYOUT_DEVICE, (const char *const[]){ "b", NULL });
	new.devices[0].topic = "barn/a";
	check_gone(&old, &new, "barn/a/availability! ");
}

static void there_may_be_many(void **state)
{
	static char names[ARRAY_SIZE(((struct fixture *)NULL)->devices)][8];
	const char *pointers[ARRAY_SIZE(names) + 1] = { NULL };
	_cleanup_(retained_freep) struct retained *gone = NULL;
	struct fixture old, new;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(names[i], sizeof(names[i]), "d%02zu", i);
		pointers[i] = names[i];
	}
	make(&old, true, LAYOUT_POINT, pointers);
	make(&new, true, LAYOUT_POINT, (const char *const[]){ "d42", NULL });
	assert_int_equal(retained_gone(&old.config, &new.config, &gone), 0);
	assert_int_equal(gone->count, 3 * (ARRAY_SIZE(names) - 1));
	for (size_t i = 0; i < gone->count; i++)
		assert_null(strstr(gone->topics[i].topic, "d42"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_that_is_gone_is_forgotten),
		cmocka_unit_test(a_bus_that_is_gone_is_forgotten),
		cmocka_unit_test(topics_that_are_others_are_forgotten),
		cmocka_unit_test(a_topic_that_goes_on_is_kept),
		cmocka_unit_test(there_may_be_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
