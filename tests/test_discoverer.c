/* SPDX-License-Identifier: Apache-2.0 */
/* test_discoverer.c - each entity is told once, and taken back, whatever happens in between. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "spool_work.h"
#include "uplink/discoverer.h"
#include "uplink/told.h"

#include <string.h>
#include <unistd.h>

enum { POINTS = 40, DEVICES = 3, TOPICS = 1 + DEVICES * POINTS };

/* What Home Assistant has: the topics whose last message had a payload. */
struct entity {
	char topic[128];
	size_t length;
};

static char *directory;
static struct spool_conf conf;
static struct spool *spool;
static struct discoverer *discoverer;
static struct entity entities[TOPICS];
static size_t entity_count, messages;

static char names[POINTS][16];
static struct point points[DEVICES][POINTS];
static const struct device_map map = { .name = (char *)"map", .title = (char *)"A map" };
static struct device_config devices[DEVICES] = {
	{ .name = (char *)"a", .map = &map, .points = points[0], .point_count = POINTS },
	{ .name = (char *)"b", .map = &map, .points = points[1], .point_count = POINTS },
	{ .name = (char *)"c", .map = &map, .points = points[2], .point_count = POINTS },
};
static struct bus_config bus;
static struct conf gateway;

static void open_spool(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
	assert_int_equal(discoverer_new(spool, directory, &discoverer), 0);
}

static int set_up(void **state)
{
	(void)state;
	directory = work_directory("/tmp");
	setenv("RUNTIME_DIRECTORY", directory, true);
	conf = (struct spool_conf){
		.directory = directory, .max_bytes = 1 << 20, .max_age_us = UINT64_MAX,
		.sync_us = 1000000,
	};
	gateway = (struct conf){
		.gateway = (char *)"barn",
		.publish = { .topic = (char *)"{gateway}/{device}",
			     .discovery = DISCOVERY_HOMEASSISTANT,
			     .discovery_prefix = (char *)"homeassistant",
			     .birth_topic = (char *)"homeassistant/status" },
	};
	bus = (struct bus_config){ .name = (char *)"bus", .devices = devices,
				   .device_count = DEVICES };
	for (size_t i = 0; i < POINTS; i++) {
		snprintf(names[i], sizeof(names[i]), "point_%zu", i);
		for (size_t j = 0; j < DEVICES; j++)
			points[j][i] = (struct point){ .name = names[i], .type = TYPE_F32 };
	}
	entity_count = messages = 0;
	open_spool();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	discoverer_free(discoverer);
	spool_free(spool);
	work_remove(directory);
	free(directory);
	return 0;
}

static void commit(void)
{
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
}

/* As a SIGKILL leaves it. */
static void crash(void)
{
	discoverer_free(discoverer);
	spool_free(spool);
	open_spool();
}

static void offer(void)
{
	struct bus_config *buses[] = { &bus };
	const struct config config = { .conf = &gateway, .buses = buses, .bus_count = 1 };
	struct catalog *catalog;

	assert_int_equal(catalog_new(&config, &catalog), 0);
	discoverer_offer(discoverer, catalog);
}

/* The turn after a round's last looks whether what was told has gone. */
static void turn_all(void)
{
	for (unsigned i = 0; i < 2; i++)
		while (discoverer_turn(discoverer, clock_monotonic_us()))
			commit();
	commit();
}

static void note(const struct message *message)
{
	size_t i = 0;

	assert_true(message->retain);
	assert_int_equal(message->qos, 1);
	while (i < entity_count &&
	       (strlen(entities[i].topic) != message->topic_length ||
		memcmp(entities[i].topic, message->topic, message->topic_length) != 0))
		i++;
	assert_true(i < TOPICS);
	snprintf(entities[i].topic, sizeof(entities[i].topic), "%.*s", message->topic_length,
		 message->topic);
	entities[i].length = message->body_length;
	entity_count += i == entity_count;
	messages++;
}

/* Everything goes to the broker, which has it; how many messages those were. */
static size_t deliver(void)
{
	struct message message;
	struct place place;

	messages = 0;
	while (spool_next(spool, &message, &place) > 0) {
		struct flight flight = {
			.seq = message.seq, .segment = place.segment, .offset = place.offset,
			.mid = 1 + message.seq % 1000, .qos = 1, .state = FLIGHT_SENT,
			.time_ms = message.time_ms,
		};

		note(&message);
		assert_int_equal(spool_sent(spool, &flight), 0);
		assert_true(spool_acked(spool, flight.mid));
	}
	commit();
	return messages;
}

static size_t alive(void)
{
	size_t count = 0;

	for (size_t i = 0; i < entity_count; i++)
		count += entities[i].length > 0;
	return count;
}

/* The number of the message that was taken in last. */
static uint64_t last(void)
{
	uint64_t oldest, next;

	spool_range(spool, &oldest, &next);
	return next - 1;
}

static void load(struct told *told)
{
	assert_int_equal(told_load(directory, told), 0);
}

static void tell_all(void)
{
	offer();
	turn_all();
	assert_int_equal(deliver(), TOPICS);
	turn_all();
}

/* --- */

static void each_is_told_once(void **state)
{
	_cleanup_(told_done) struct told told = { 0 }, settled = { 0 };

	(void)state;
	offer();
	turn_all();
	load(&told);
	assert_int_equal(told.count, TOPICS);
	assert_int_equal(told.pending.seq, last());
	assert_int_equal(deliver(), TOPICS);
	assert_int_equal(alive(), TOPICS);
	turn_all();
	load(&settled);
	assert_int_equal(settled.count, TOPICS);
	assert_int_equal(settled.pending.seq, 0);
	for (unsigned i = 0; i < 3; i++) {
		crash();
		offer();
		turn_all();
		assert_int_equal(deliver(), 0);
	}
}

/* Where the process ends before the broker has them, the spool has. */
static void what_waits_is_not_told_again(void **state)
{
	(void)state;
	offer();
	turn_all();
	crash();
	offer();
	turn_all();
	assert_int_equal(deliver(), TOPICS);
	turn_all();
	assert_int_equal(deliver(), 0);
}

static void only_news_are_told(void **state)
{
	(void)state;
	tell_all();
	points[1][7].unit = (char *)"V";
	offer();
	turn_all();
	assert_int_equal(deliver(), 1);
	crash();
	devices[2].point_count = POINTS - 1;
	offer();
	turn_all();
	assert_int_equal(deliver(), 1);
	assert_int_equal(alive(), TOPICS - 1);
	devices[2].point_count = POINTS;
	offer();
	turn_all();
	assert_int_equal(deliver(), 1);
	assert_int_equal(alive(), TOPICS);
}

static void what_is_gone_is_taken_back(void **state)
{
	_cleanup_free_ char *path = NULL;

	(void)state;
	tell_all();
	crash();
	bus.device_count = 2;
	offer();
	turn_all();
	assert_int_equal(deliver(), POINTS);
	assert_int_equal(alive(), 1 + 2 * POINTS);

	gateway.publish.discovery = DISCOVERY_NONE;
	offer();
	turn_all();
	assert_int_equal(deliver(), 1 + 2 * POINTS);
	assert_int_equal(alive(), 0);
	turn_all();
	assert_true(asprintf(&path, "%s/discovery", directory) > 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void another_prefix_takes_all_along(void **state)
{
	(void)state;
	tell_all();
	gateway.publish.discovery_prefix = (char *)"ha";
	entity_count = 0;
	offer();
	turn_all();
	/* Too many topics for the list: what was said is counted. */
	for (size_t i = 0; i < 2; i++) {
		struct message message;
		struct place place;

		for (size_t j = 0; j < TOPICS; j++) {
			assert_int_equal(spool_next(spool, &message, &place), 1);
			assert_int_equal(!memcmp(message.topic, "ha/", 3), i == 0);
			assert_int_equal(message.body_length > 0, i == 0);
			spool_finished(spool, message.seq);
		}
	}
}

/*
 * The process ends after each turn of a round, with what came until then in the spool or with
 * the last turn of it lost, and then there is less: nothing stays that is not there.
 */
static void nothing_stays_behind_after_a_crash(void **state)
{
	(void)state;
	for (unsigned turns = 1; turns < 16; turns++) {
		bool more = true;

		bus.device_count = 1;
		offer();
		turn_all();
		deliver();
		turn_all();
		bus.device_count = DEVICES;
		offer();
		for (unsigned i = 0; i < turns && more; i++) {
			if (i + 1 < turns || turns % 2)
				commit();
			more = discoverer_turn(discoverer, clock_monotonic_us());
		}
		crash();
		bus.device_count = 1;
		offer();
		turn_all();
		deliver();
		assert_int_equal(alive(), 1 + POINTS);
		bus.device_count = DEVICES;
		offer();
		turn_all();
		deliver();
		assert_int_equal(alive(), TOPICS);
	}
}

/* A new round begins while another one goes on. */
static void nothing_stays_behind_after_a_change_of_mind(void **state)
{
	(void)state;
	for (unsigned turns = 1; turns < 12; turns++) {
		bus.device_count = DEVICES;
		offer();
		for (unsigned i = 0; i < turns; i++)
			(void)discoverer_turn(discoverer, clock_monotonic_us());
		bus.device_count = 1;
		offer();
		turn_all();
		deliver();
		assert_int_equal(alive(), 1 + POINTS);
	}
}

static void what_is_given_up_is_told_again(void **state)
{
	(void)state;
	offer();
	turn_all();
	assert_int_equal(spool_drop(spool, last() - 8, last() - 5), 4);
	turn_all();
	assert_int_equal(deliver(), TOPICS - 4);
	turn_all();
	assert_int_equal(deliver(), TOPICS);
	turn_all();
	assert_int_equal(deliver(), 0);
}

static void also_after_a_crash(void **state)
{
	(void)state;
	offer();
	turn_all();
	assert_int_equal(spool_drop(spool, last() - 8, last() - 5), 4);
	commit();
	assert_int_equal(deliver(), TOPICS - 4);
	crash();
	offer();
	turn_all();
	assert_int_equal(deliver(), TOPICS);
	/* Once they went, what is given up is something else. */
	turn_all();
	bus.device_count = 2;
	offer();
	turn_all();
	deliver();
	turn_all();
	assert_int_equal(work_append(spool, 100, 1, &(uint64_t){ 0 }), 0);
	assert_int_equal(spool_drop(spool, 0, UINT64_MAX), 1);
	commit();
	crash();
	offer();
	turn_all();
	assert_int_equal(deliver(), 0);
}

static void all_is_repeated_when_asked_for(void **state)
{
	(void)state;
	discoverer_repeat(discoverer);
	turn_all();
	assert_int_equal(deliver(), 0);
	tell_all();
	discoverer_repeat(discoverer);
	turn_all();
	/* What is on its way will be heard. */
	discoverer_repeat(discoverer);
	turn_all();
	assert_int_equal(deliver(), TOPICS);
	/* So it is while a round looks for news. */
	discoverer_repeat(discoverer);
	turn_all();
	crash();
	offer();
	discoverer_repeat(discoverer);
	turn_all();
	assert_int_equal(deliver(), TOPICS);
	turn_all();
	/* Of what is on its way here that is a part only. */
	bus.device_count = 2;
	offer();
	turn_all();
	discoverer_repeat(discoverer);
	turn_all();
	assert_int_equal(deliver(), POINTS + TOPICS - POINTS);
	assert_int_equal(alive(), TOPICS - POINTS);
}

/* Where the spool is full, it goes on a while later where it was. */
static void a_full_spool_is_waited_for(void **state)
{
	uint64_t now_us = 1, seq;

	(void)state;
	discoverer_free(discoverer);
	assert_int_equal(spool_close(spool), 0);
	conf.when_full = DROP_NEWEST;
	open_spool();
	while (work_append(spool, 4000, 1, &seq) == 0)
		commit();
	offer();
	while (discoverer_turn(discoverer, now_us))
		commit();
	while (spool_waiting(spool, 0, UINT64_MAX))
		spool_drop(spool, 0, UINT64_MAX);
	commit();
	assert_false(discoverer_turn(discoverer, now_us + 1000));
	assert_int_equal(deliver(), 0);
	now_us += 60 * 1000 * 1000;
	while (discoverer_turn(discoverer, now_us))
		commit();
	/* A few had found room, and were dropped with the others. */
	assert_true(deliver() < TOPICS);
	turn_all();
	assert_int_equal(deliver(), TOPICS);
	assert_int_equal(alive(), TOPICS);
}

static void a_damaged_file_is_no_file(void **state)
{
	static const char *const texts[] = {
		"", "\n", "postbus discovery 2\n", "postbus discovery 1\nnot a line\n",
		"postbus discovery 1\npending 7 7 7 7\n0123456789abcdef \n0123456789abcdeg x\n",
	};
	_cleanup_free_ char *path = NULL;

	(void)state;
	assert_true(asprintf(&path, "%s/discovery", directory) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		FILE *file = fopen(path, "we");

		assert_non_null(file);
		fputs(texts[i], file);
		assert_int_equal(fclose(file), 0);
		offer();
		turn_all();
		assert_int_equal(deliver(), TOPICS);
		turn_all();
	}
}

static void lines_are_read_as_they_are_written(void **state)
{
	static const char text[] = "postbus discovery 1\n"
				   "pending 18231 12 45\n"
				   "5d4d8b3f6a1c9e07 b/config\n"
				   "0000000000000001 a config\n"
				   "ffffffffffffffff c";
	_cleanup_(told_done) struct told told = { 0 }, again = { 0 };

	(void)state;
	assert_int_equal(told_parse(text, strlen(text), &told), 0);
	assert_int_equal(told.pending.seq, 18231);
	assert_int_equal(told.pending.given_up, 12);
	assert_int_equal(told.count, 3);
	assert_true(told_find(&told, "b/config")->hash == UINT64_C(0x5d4d8b3f6a1c9e07));
	assert_true(told_find(&told, "c")->hash == UINT64_MAX);
	assert_null(told_find(&told, "d"));
	assert_int_equal(told_save(directory, &told), 0);
	load(&again);
	assert_int_equal(again.count, 3);
	assert_int_equal(again.pending.seq, 18231);
	assert_true(told_find(&again, "a config")->hash == 1);
}

#define discoverer_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		discoverer_test(each_is_told_once),
		discoverer_test(what_waits_is_not_told_again),
		discoverer_test(only_news_are_told),
		discoverer_test(what_is_gone_is_taken_back),
		discoverer_test(another_prefix_takes_all_along),
		discoverer_test(nothing_stays_behind_after_a_crash),
		discoverer_test(nothing_stays_behind_after_a_change_of_mind),
		discoverer_test(what_is_given_up_is_told_again),
		discoverer_test(also_after_a_crash),
		discoverer_test(all_is_repeated_when_asked_for),
		discoverer_test(a_full_spool_is_waited_for),
		discoverer_test(a_damaged_file_is_no_file),
		discoverer_test(lines_are_read_as_they_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
