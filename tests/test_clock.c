/* SPDX-License-Identifier: Apache-2.0 */
/* test_clock.c - times of messages on a machine whose clock is wrong, jumps, and is set. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "fake_clock.h"
#include "uplink/spool.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define HOUR_MS INT64_C(3600000)
#define YEAR_MS (365 * 24 * HOUR_MS)
/* 2026-11-24T10:00:00Z */
#define NOW_MS INT64_C(1795514400000)

static char directory[64];
static struct spool_conf conf;
static struct spool *spool;

static int set_up(_unused_ void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/postbus-clock-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	setenv("RUNTIME_DIRECTORY", directory, true);
	conf = (struct spool_conf){
		.directory = directory, .max_bytes = 1 << 20, .sync_us = USEC_PER_SEC,
	};
	*fake_clock() = (struct fake_clock){ .wall_ms = NOW_MS, .boot = 1 };
	spool = NULL;
	return 0;
}

static int remove_entry(const char *path, _unused_ const struct stat *st, _unused_ int type,
			_unused_ struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(_unused_ void **state)
{
	spool_free(spool);
	return nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_spool(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
}

/* All that waits is on the disk. */
static void sync_spool(void)
{
	assert_int_equal(spool_commit(spool, clock_monotonic_us() + USEC_PER_SEC), 0);
}

static void pass(int64_t ms)
{
	fake_clock()->boottime_us += ms * USEC_PER_MSEC;
	fake_clock()->wall_ms += ms;
}

/* The machine starts again; its clock wakes with that time. */
static void reboot(int64_t wall_ms)
{
	spool_free(spool);
	fake_clock()->boot++;
	fake_clock()->boottime_us = 0;
	fake_clock()->wall_ms = wall_ms;
	fake_clock()->synced = false;
	open_spool();
}

/* A time server was reached. */
static void set_clock(int64_t wall_ms)
{
	fake_clock()->wall_ms = wall_ms;
	fake_clock()->synced = true;
	assert_true(spool_note_clock(spool));
}

static void append(void)
{
	struct message message = {
		.qos = 1, .form = FORM_EPOCH_MS, .topic = "t", .topic_length = 1,
		.body = "\"v\":1", .body_length = 5,
	};

	clock_stamp(&message);
	assert_int_equal(spool_append(spool, &message), 0);
}

/* The payload that goes out next; it stays in flight under `mid`. */
static const char *payload(uint16_t mid)
{
	static char buffer[256];
	struct text text = { .data = buffer, .size = sizeof(buffer) };
	struct message message;
	struct flight flight;
	struct place place;

	assert_int_equal(spool_next(spool, &message, &place), 1);
	flight = (struct flight){
		.seq = message.seq, .segment = place.segment, .offset = place.offset,
		.mid = mid, .qos = 1, .time_ms = message.time_ms, .clock = message.clock,
	};
	message_payload(&message, &text);
	assert_int_equal(spool_sent(spool, &flight), 0);
	return buffer;
}

/* What a payload says: the time, and behind the number, the mark. */
static void assert_time(const char *payload, int64_t time_ms, const char *mark)
{
	long long time, seq;
	char rest[64];

	assert_int_equal(sscanf(payload, "{\"time\":%lld,\"seq\":%lld%63s", &time, &seq, rest),
			 3);
	assert_int_equal(time, time_ms);
	if (*mark)
		assert_string_equal(strtok(rest, "}"), mark);
	else
		assert_string_equal(rest, ",\"v\":1}");
}

#define UNSYNCED ",\"clock\":\"unsynced\",\"v\":1"
#define ESTIMATED ",\"clock\":\"estimated\",\"v\":1"

static void right_clock_is_taken(_unused_ void **state)
{
	fake_clock()->synced = true;
	open_spool();
	append();
	/* What the clock does afterwards is nothing to a message that was read. */
	pass(HOUR_MS);
	fake_clock()->wall_ms -= 2 * HOUR_MS;
	assert_time(payload(1), NOW_MS, "");
}

static void clock_from_1970_is_mended_before_sending(_unused_ void **state)
{
	fake_clock()->wall_ms = 5000;
	open_spool();
	append();
	pass(60000);
	append();
	pass(40000);
	set_clock(NOW_MS);
	append();
	assert_time(payload(1), NOW_MS - 100000, "");
	assert_time(payload(2), NOW_MS - 40000, "");
	assert_time(payload(3), NOW_MS, "");
}

static void what_was_sent_keeps_its_time(_unused_ void **state)
{
	const struct flight *flights;
	struct message message;
	char sent[256], again[256];
	struct text text = { .data = again, .size = sizeof(again) };
	size_t count;

	fake_clock()->wall_ms = NOW_MS - YEAR_MS;
	open_spool();
	append();
	pass(1000);
	snprintf(sent, sizeof(sent), "%s", payload(7));
	assert_time(sent, NOW_MS - YEAR_MS, UNSYNCED);
	set_clock(NOW_MS);
	sync_spool();
	for (unsigned i = 0; i < 2; i++) {
		flights = spool_flights(spool, &count);
		assert_int_equal(count, 1);
		assert_int_equal(spool_read(spool, &flights[0], &message), 0);
		text.length = 0;
		message_payload(&message, &text);
		snprintf(sent, sizeof(sent), "%s", again);
		assert_time(sent, NOW_MS - YEAR_MS, UNSYNCED);
		reboot(NOW_MS + HOUR_MS);
	}
}

/* The offset is known of a boot although nothing was sent, or even read, after it was. */
static void earlier_boot_is_mended_by_its_offset(_unused_ void **state)
{
	fake_clock()->wall_ms = NOW_MS - YEAR_MS;
	open_spool();
	append();
	sync_spool();
	pass(10000);
	set_clock(NOW_MS);
	sync_spool();
	reboot(NOW_MS - YEAR_MS);
	assert_time(payload(1), NOW_MS - 10000, "");
}

/* Boot 2 never had the time: its readings lie between boot 1 and boot 3, in order. */
static void boot_without_time_is_placed_between_its_neighbours(_unused_ void **state)
{
	fake_clock()->synced = true;
	open_spool();
	append();
	sync_spool();
	reboot(5000);
	pass(1000);
	append();
	pass(9000);
	append();
	sync_spool();
	reboot(6000);
	pass(2000);
	append();
	set_clock(NOW_MS + 30000);
	assert_time(payload(1), NOW_MS, "");
	assert_time(payload(2), NOW_MS + 1000, ESTIMATED);
	assert_time(payload(3), NOW_MS + 10000, ESTIMATED);
	assert_time(payload(4), NOW_MS + 30000, "");
}

/* Woken a year ahead, which can't be: what is known behind it bounds it. */
static void clock_ahead_is_bounded_by_what_follows(_unused_ void **state)
{
	fake_clock()->synced = true;
	open_spool();
	sync_spool();
	reboot(NOW_MS + YEAR_MS);
	append();
	pass(20000);
	append();
	sync_spool();
	reboot(NOW_MS + YEAR_MS);
	pass(1000);
	set_clock(NOW_MS + HOUR_MS);
	assert_time(payload(1), NOW_MS + HOUR_MS - 1000 - 20000, ESTIMATED);
	assert_time(payload(2), NOW_MS + HOUR_MS - 1000, ESTIMATED);
}

/* Not set right yet, and behind what was known: no time of before the last right one. */
static void unsynced_time_is_not_before_what_is_known(_unused_ void **state)
{
	fake_clock()->synced = true;
	open_spool();
	append();
	sync_spool();
	reboot(0);
	pass(3000);
	append();
	assert_time(payload(1), NOW_MS, "");
	assert_time(payload(2), NOW_MS + 3000, UNSYNCED);
}

static void no_jump_makes_a_message_old(_unused_ void **state)
{
	struct message message;
	struct place place;

	conf.max_age_us = HOUR_MS * USEC_PER_MSEC;
	open_spool();
	append();
	set_clock(NOW_MS + 10 * YEAR_MS);
	spool_expire(spool);
	sync_spool();
	reboot(NOW_MS - YEAR_MS);
	spool_expire(spool);
	pass(HOUR_MS - 1000);
	append();
	/* An hour of running in two boots; the second message is young. */
	pass(1001);
	assert_int_equal(spool_next(spool, &message, &place), 1);
	assert_int_equal(spool_sums(spool).given_up[LOSS_AGE], 1);
	assert_int_equal(spool_sums(spool).waiting, 1);
}

/* Whole segments that are too old give their room back while there is no link. */
static void old_segments_are_given_back(_unused_ void **state)
{
	struct spool_sums sums;

	conf.max_age_us = HOUR_MS * USEC_PER_MSEC;
	conf.max_bytes = 4 << 20;
	open_spool();
	while (spool_state(spool).segments < 3)
		append();
	sync_spool();
	pass(HOUR_MS + 1000);
	spool_expire(spool);
	assert_int_equal(spool_state(spool).segments, 1);
	sums = spool_sums(spool);
	assert_true(sums.given_up[LOSS_AGE] > 0);
	assert_int_equal(sums.taken, sums.waiting + sums.given_up[LOSS_AGE]);
	sync_spool();
	spool_free(spool);
	open_spool();
	assert_int_equal(spool_sums(spool).given_up[LOSS_AGE], sums.given_up[LOSS_AGE]);
	assert_int_equal(spool_sums(spool).waiting, sums.waiting);
}

/* A machine that is started again and again, never right, for longer than is remembered. */
static void many_boots_stay_in_order(_unused_ void **state)
{
	enum { BOOTS = 600 };
	int64_t before = 0;

	fake_clock()->synced = true;
	open_spool();
	append();
	sync_spool();
	for (unsigned i = 0; i < BOOTS; i++) {
		reboot(1000);
		pass(100);
		append();
		sync_spool();
	}
	set_clock(NOW_MS + YEAR_MS);
	for (unsigned i = 0; i < BOOTS; i++) {
		struct message message;
		struct place place;

		assert_int_equal(spool_next(spool, &message, &place), 1);
		spool_finished(spool, message.seq);
		assert_true(message.time_ms >= before);
		before = message.time_ms;
	}
	assert_true(before <= NOW_MS + YEAR_MS);
}

/* A machine that is shut down in order has lost nothing, though nothing waited. */
static void a_boot_after_an_orderly_end_skips_no_number(_unused_ void **state)
{
	struct message message;
	struct place place;

	open_spool();
	append();
	assert_int_equal(spool_next(spool, &message, &place), 1);
	spool_finished(spool, message.seq);
	sync_spool();
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
	reboot(NOW_MS);
	assert_int_equal(spool_sums(spool).taken, 1);
	assert_null(spool_loss(spool));
}

#define clock_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		clock_test(right_clock_is_taken),
		clock_test(clock_from_1970_is_mended_before_sending),
		clock_test(what_was_sent_keeps_its_time),
		clock_test(earlier_boot_is_mended_by_its_offset),
		clock_test(boot_without_time_is_placed_between_its_neighbours),
		clock_test(clock_ahead_is_bounded_by_what_follows),
		clock_test(unsynced_time_is_not_before_what_is_known),
		clock_test(no_jump_makes_a_message_old),
		clock_test(old_segments_are_given_back),
		clock_test(many_boots_stay_in_order),
		clock_test(a_boot_after_an_orderly_end_skips_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
