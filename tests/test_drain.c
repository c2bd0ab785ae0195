/* SPDX-License-Identifier: Apache-2.0 */
/* test_drain.c - what goes out next, and what of it reaches the disk. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/spool.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char directory[64];
static struct spool_conf conf;
static struct spool *spool;
static uint16_t mid;
static unsigned writes, syncs;

ssize_t __real_pwrite(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t offset)
{
	writes++;
	return __real_pwrite(fd, bytes, n, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset)
{
	writes++;
	return __real_pwrite64(fd, bytes, n, offset);
}

int __wrap_fdatasync(int fd)
{
	syncs++;
	return __real_fdatasync(fd);
}

static int set_up(_unused_ void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/postbus-drain-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	setenv("RUNTIME_DIRECTORY", directory, true);
	conf = (struct spool_conf){
		.directory = directory, .max_bytes = 1 << 20, .sync_us = USEC_PER_SEC,
	};
	spool = NULL;
	mid = 0;
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

static void crash(void)
{
	spool_free(spool);
	spool = NULL;
	open_spool();
}

static void commit(void)
{
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
}

/* As after the sync interval. */
static void sync_spool(void)
{
	assert_int_equal(spool_commit(spool, clock_monotonic_us() + conf.sync_us), 0);
}

static void append(char letter)
{
	struct message message = {
		.qos = 1, .topic = "t", .topic_length = 1, .body = &letter, .body_length = 1,
	};

	clock_stamp(&message);
	assert_int_equal(spool_append(spool, &message), 0);
}

static void append_all(const char *letters)
{
	for (; *letters; letters++)
		append(*letters);
	commit();
}

/* Sends what comes next, at most `most`, and tells it by its letters. */
static const char *send(unsigned most)
{
	static char letters[4096];
	size_t n = 0;

	while (n < most) {
		struct message message;
		struct place place;
		struct flight flight;

		if (spool_next(spool, &message, &place) != 1)
			break;
		flight = (struct flight){
			.seq = message.seq, .segment = place.segment, .offset = place.offset,
			.mid = ++mid, .qos = message.qos,
		};
		letters[n++] = message.body[0];
		assert_int_equal(spool_sent(spool, &flight), 0);
	}
	letters[n] = '\0';
	return letters;
}

static void acknowledge_all(void)
{
	size_t count;
	const struct flight *flights;

	while (flights = spool_flights(spool, &count), count)
		assert_true(spool_acked(spool, flights[0].mid));
	commit();
}

static void assert_sum_holds(void)
{
	struct spool_sums sums = spool_sums(spool);

	assert_int_equal(sums.taken, sums.acked + sums.refused + sums.dropped +
			 sums.damaged + sums.waiting);
}

/* --- order --- */

static void oldest_go_first(_unused_ void **state)
{
	open_spool();
	append_all("abcdef");
	spool_link_up(spool);
	assert_string_equal(send(3), "abc");
	append_all("XYZ");
	assert_string_equal(send(9), "defXYZ");
	acknowledge_all();
	assert_int_equal(spool_sums(spool).waiting, 0);
}

static void live_goes_first(_unused_ void **state)
{
	conf.order = LIVE_FIRST;
	open_spool();
	append_all("abcdef");
	spool_link_up(spool);
	assert_string_equal(send(2), "ab");
	append_all("XY");
	assert_string_equal(send(3), "XYc");
	acknowledge_all();
	append_all("Z");
	assert_string_equal(send(9), "Zdef");
	append_all("V");
	assert_string_equal(send(9), "V");
	acknowledge_all();
	assert_int_equal(spool_sums(spool).waiting, 0);
	assert_sum_holds();
}

/* What was live and did not go out is backlog when the link comes back, oldest first. */
static void live_that_stayed_is_backlog(_unused_ void **state)
{
	conf.order = LIVE_FIRST;
	open_spool();
	append_all("abcdef");
	spool_link_up(spool);
	append_all("WXYZ");
	assert_string_equal(send(3), "WXY");
	acknowledge_all();
	crash();
	append_all("mn");
	spool_link_up(spool);
	append_all("R");
	assert_string_equal(send(99), "RabcdefZmn");
	acknowledge_all();
	assert_int_equal(spool_sums(spool).waiting, 0);
	assert_sum_holds();
}

static void live_first_over_many_outages(_unused_ void **state)
{
	unsigned sent = 0, taken = 0;

	conf.order = LIVE_FIRST;
	conf.max_bytes = 16 << 20;
	open_spool();
	for (unsigned outage = 0; outage < 3000; outage++) {
		append_all("ooo");
		spool_link_up(spool);
		append_all("L");
		taken += 4;
		sent += strlen(send(2));
		acknowledge_all();
		if (outage % 500 == 0)
			crash();
	}
	sent += strlen(send(1000));
	acknowledge_all();
	while (spool_sums(spool).waiting) {
		sent += strlen(send(1000));
		acknowledge_all();
	}
	assert_int_equal(sent, taken);
	assert_int_equal(spool_sums(spool).acked, taken);
	assert_sum_holds();
}

static void pace_is_held(_unused_ void **state)
{
	size_t first;

	conf.drain_rate = 20; /* 50 ms each */
	open_spool();
	append_all("aaaaaaaaaaaaaaaaaaaa");
	spool_link_up(spool);
	first = strlen(send(99));
	assert_in_range(first, 1, 19);
	assert_true(spool_pace_due_us(spool) != UINT64_MAX);
	while (spool_pace_due_us(spool) != UINT64_MAX) {
		uint64_t before_us = clock_monotonic_us();

		/* Either it is not due yet, or what comes is what was held back. */
		if (spool_pace_due_us(spool) > before_us + 2000)
			assert_string_equal(send(0), "");
		first += strlen(send(99));
	}
	assert_int_equal(first, 20);
	/* New ones, behind it, know no pace. */
	append_all("bbbbbbbbbb");
	assert_string_equal(send(99), "bbbbbbbbbb");
}

/* --- losses --- */

/* The segment in which it stands is given up: what it told is told again. */
static void loss_outlives_its_message(_unused_ void **state)
{
	static const char body[] = "\"count\":1";
	const struct loss lost = { .count = 5, .from_ms = 1, .to_ms = 2, .why = LOSS_QUEUE };
	struct message message = {
		.qos = 1, .topic = "barn/loss", .topic_length = 9, .body = body,
		.body_length = sizeof(body) - 1,
	};
	uint64_t full;

	open_spool();
	spool_note_loss(spool, &lost);
	assert_int_equal(spool_loss(spool)->count, 5);
	clock_stamp(&message);
	assert_int_equal(spool_append_loss(spool, &message), 0);
	assert_null(spool_loss(spool));
	commit();
	crash();
	assert_null(spool_loss(spool));
	while (!spool_sums(spool).dropped || spool_sums(spool).given_up[LOSS_FULL] == 0)
		append('x');
	commit();
	for (unsigned i = 0; i < 2; i++) {
		full = spool_sums(spool).given_up[LOSS_FULL];
		assert_int_equal(spool_loss(spool)->why, LOSS_FULL);
		assert_int_equal(spool_loss(spool)->count, full);
		assert_int_equal(spool_append_loss(spool, &message), 0);
		assert_int_equal(spool_loss(spool)->why, LOSS_QUEUE);
		assert_int_equal(spool_loss(spool)->count, 5);
		crash(); /* the append was not committed */
	}
	assert_sum_holds();
}

/* It is told of once, also by the process that comes next. */
static void told_loss_stays_told(_unused_ void **state)
{
	const struct loss lost = { .count = 5, .why = LOSS_QUEUE };
	struct message message = {
		.qos = 1, .topic = "t", .topic_length = 1, .body = "loss", .body_length = 4,
	};

	open_spool();
	spool_note_loss(spool, &lost);
	assert_int_equal(spool_untold(spool), 5);
	assert_int_equal(spool_append_loss(spool, &message), 0);
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
	open_spool();
	assert_int_equal(spool_untold(spool), 0);
	assert_int_equal(spool_sums(spool).given_up[LOSS_QUEUE], 5);
	assert_sum_holds();
}

static void drop_by_hand(_unused_ void **state)
{
	uint64_t oldest, next;

	open_spool();
	append_all("abcdef");
	spool_range(spool, &oldest, &next);
	assert_int_equal(spool_drop(spool, oldest + 1, oldest + 2), 2);
	assert_int_equal(spool_drop(spool, oldest + 1, oldest + 2), 0);
	assert_int_equal(spool_drop(spool, next, UINT64_MAX), 0);
	commit();
	crash();
	assert_string_equal(send(99), "adef");
	assert_int_equal(spool_sums(spool).given_up[LOSS_USER], 2);
	assert_int_equal(spool_loss(spool)->from, oldest + 1);
	assert_int_equal(spool_loss(spool)->to, oldest + 2);
	acknowledge_all();
	assert_sum_holds();
}

/* --- the disk --- */

static void acknowledged_in_time_never_reaches_the_disk(_unused_ void **state)
{
	open_spool();
	append_all("a");
	send(1);
	acknowledge_all();
	writes = syncs = 0;
	for (unsigned i = 0; i < 1000; i++) {
		append_all("b");
		assert_string_equal(send(9), "b");
		commit();
		acknowledge_all();
	}
	assert_int_equal(writes, 0);
	assert_int_equal(syncs, 0);
	/* It outlives the process all the same. */
	append_all("c");
	crash();
	assert_int_equal(spool_sums(spool).acked, 1001);
	assert_string_equal(send(9), "c");
}

static void what_waits_is_synced_in_time(_unused_ void **state)
{
	open_spool();
	append_all("a");
	writes = syncs = 0;
	commit();
	assert_int_equal(syncs, 0);
	assert_in_range(spool_sync_due_us(spool), 1, clock_monotonic_us() + conf.sync_us);
	sync_spool();
	assert_int_equal(writes, 1);
	assert_int_equal(syncs, 1);
	assert_int_equal(spool_sync_due_us(spool), UINT64_MAX);
	sync_spool();
	assert_int_equal(syncs, 1);
}

/* As after a power cut, or somebody's cleaning: numbers that may have been used are told. */
static void lost_tail_is_told(_unused_ void **state)
{
	char path[256], command[300];
	struct spool_sums sums;
	uint64_t oldest, next, after;
	ssize_t n;

	open_spool();
	append_all("ab");
	sync_spool();
	append_all("cd");
	spool_range(spool, &oldest, &next);
	spool_free(spool);
	spool = NULL;
	snprintf(command, sizeof(command), "%s/tail", directory);
	n = readlink(command, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = '\0';
	assert_int_equal(unlink(path), 0);
	open_spool();
	spool_range(spool, &oldest, &after);
	assert_true(after > next);
	sums = spool_sums(spool);
	assert_int_equal(sums.waiting, 2);
	assert_int_equal(sums.given_up[LOSS_POWER_CUT], after - next + 2);
	assert_int_equal(spool_loss(spool)->why, LOSS_POWER_CUT);
	assert_int_equal(spool_loss(spool)->from, next - 2);
	assert_int_equal(spool_loss(spool)->to, after - 1);
	assert_string_equal(send(9), "ab");
	assert_sum_holds();
}

/* Another process sees what stands in memory only. */
static void onlooker_sees_the_tail(_unused_ void **state)
{
	struct spool *onlooker;

	open_spool();
	append_all("ab");
	sync_spool();
	append_all("cde");
	assert_int_equal(spool_open(&conf, true, &onlooker), 0);
	assert_int_equal(spool_sums(onlooker).waiting, 5);
	spool_free(onlooker);
	send(9);
	acknowledge_all();
	assert_int_equal(spool_open(&conf, true, &onlooker), 0);
	assert_int_equal(spool_sums(onlooker).waiting, 0);
	assert_int_equal(spool_sums(onlooker).acked, 5);
	spool_free(onlooker);
}

/* A clean end leaves nothing but segments and the lock. */
static void clean_end_takes_the_tail_away(_unused_ void **state)
{
	char path[96];
	struct stat st;

	open_spool();
	append_all("abc");
	snprintf(path, sizeof(path), "%s/tail", directory);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
	assert_int_equal(lstat(path, &st), -1);
	/* Without a sync interval there is none, and what one left behind is taken over. */
	open_spool();
	append_all("d");
	spool_free(spool);
	conf.sync_us = 0;
	open_spool();
	assert_string_equal(send(9), "abcd");
	acknowledge_all();
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
	assert_int_equal(lstat(path, &st), -1);
	open_spool();
	assert_int_equal(lstat(path, &st), -1);
	assert_int_equal(spool_sums(spool).acked, 4);
}

/* More than the tail holds, with nothing acknowledged and no sync due. */
static void full_tail_goes_to_the_disk(_unused_ void **state)
{
	enum { MANY = 40000 };

	conf.max_bytes = 16 << 20;
	conf.sync_us = 3600 * USEC_PER_SEC;
	open_spool();
	for (unsigned i = 0; i < MANY; i++) {
		append('a' + i % 26);
		if (i % 100 == 0)
			commit();
	}
	commit();
	crash();
	assert_int_equal(spool_sums(spool).waiting, MANY);
	for (unsigned i = 0; i < MANY; i++) {
		struct message message;
		struct place place;

		assert_int_equal(spool_next(spool, &message, &place), 1);
		assert_int_equal(message.body[0], 'a' + i % 26);
		spool_finished(spool, message.seq);
	}
	assert_sum_holds();
}

#define drain_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		drain_test(oldest_go_first),
		drain_test(live_goes_first),
		drain_test(live_that_stayed_is_backlog),
		drain_test(live_first_over_many_outages),
		drain_test(pace_is_held),
		drain_test(loss_outlives_its_message),
		drain_test(drop_by_hand),
		drain_test(told_loss_stays_told),
		drain_test(acknowledged_in_time_never_reaches_the_disk),
		drain_test(what_waits_is_synced_in_time),
		drain_test(lost_tail_is_told),
		drain_test(onlooker_sees_the_tail),
		drain_test(clean_end_takes_the_tail_away),
		drain_test(full_tail_goes_to_the_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
