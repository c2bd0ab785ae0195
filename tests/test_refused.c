/* SPDX-License-Identifier: Apache-2.0 */
/* test_refused.c - what the broker will never take is kept, whatever happens to process and disk. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/units.h"
#include "fake_clock.h"
#include "fake_disk.h"
#include "spool_work.h"
#include "uplink/spool_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <xxhash.h>

enum { NOT_AUTHORIZED = 0x87, TOO_LARGE = 0x95, BODY = 100, BEGUN_MS = 1700000000 };
/* Exit status of a child that was ended at a call of its disk. */
enum { ENDED = 77 };

static char *directory, *path;
static struct spool_conf conf;
static struct spool *spool;

/* --- the file as the disk sees it --- */

static struct {
	int write_error, sync_error, create_error;
	bool is_dirty, is_noted_early;
	unsigned writes, syncs, renames;
	unsigned calls_left; /* until the process ends; 0: it does not */
} file;

static bool is_refused_file(const struct disk_call *call)
{
	char link[64], name[256] = "";
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", call->fd);
	n = readlink(link, name, sizeof(name) - 1);
	return n > 0 && strstr(name, "/refused");
}

static ssize_t before(const struct disk_call *call)
{
	if (file.calls_left && !--file.calls_left)
		_exit(ENDED);
	if (call->op == DISK_CREATE && strstr(call->name, "refused"))
		return -file.create_error;
	if (call->op != DISK_WRITE && call->op != DISK_SYNC)
		return 0;
	if (!is_refused_file(call)) {
		file.is_noted_early |= call->op == DISK_WRITE && file.is_dirty;
		return 0;
	}
	return call->op == DISK_WRITE ? -file.write_error : -file.sync_error;
}

static void after(const struct disk_call *call, ssize_t result)
{
	if (call->op == DISK_RENAME)
		file.renames++;
	if (result < 0 || (call->op != DISK_WRITE && call->op != DISK_SYNC) ||
	    !is_refused_file(call))
		return;
	file.is_dirty = call->op == DISK_WRITE;
	file.writes += call->op == DISK_WRITE;
	file.syncs += call->op == DISK_SYNC;
}

static char *file_path(const char *name)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s/%s", path, name);
	return text;
}

static off_t file_size(void)
{
	struct stat st;

	return stat(file_path("refused"), &st) < 0 ? -1 : st.st_size;
}

static void flip(off_t offset)
{
	int fd = open(file_path("refused"), O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
}

/* --- the spool --- */

static void open_spool(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
}

static void close_spool(void)
{
	struct spool *closed = spool;

	spool = NULL;
	assert_int_equal(spool_close(closed), 0);
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

static void begin_boot(uint32_t number, uint64_t boottime_us, int64_t wall_ms, bool synced)
{
	*fake_clock() = (struct fake_clock){
		.boottime_us = boottime_us, .wall_ms = wall_ms, .boot = number,
		.synced = synced,
	};
}

static int set_up(_unused_ void **state)
{
	directory = work_directory("/dev/shm");
	setenv("RUNTIME_DIRECTORY", directory, true);
	path = work_directory(directory);
	conf = (struct spool_conf){ .directory = path, .max_bytes = 1 << 20, .sync_us = 1000000 };
	begin_boot(1, 1000000, BEGUN_MS, true);
	log_set_level(LOG_EMERG);
	memset(&file, 0, sizeof(file));
	fake_disk.before = before;
	fake_disk.after = after;
	open_spool();
	return 0;
}

static int tear_down(_unused_ void **state)
{
	fake_disk.before = NULL;
	fake_disk.after = NULL;
	spool_free(spool);
	spool = NULL;
	work_remove(directory);
	free(path);
	free(directory);
	return 0;
}

static uint64_t take_in(uint32_t length)
{
	uint64_t seq;

	assert_int_equal(work_append(spool, length, 1, &seq), 0);
	return seq;
}

/* Taken in, sent, and refused; its number. */
static uint64_t refuse(uint32_t length)
{
	uint64_t seq = take_in(length);
	struct flight flight;

	assert_true(work_send_next(spool, &flight));
	assert_true(flight.seq == seq);
	assert_true(spool_refused(spool, flight.mid, NOT_AUTHORIZED));
	return seq;
}

static uint64_t refuse_many(unsigned count)
{
	uint64_t first = refuse(BODY);

	for (unsigned i = 1; i < count; i++)
		refuse(BODY);
	commit();
	return first;
}

static void assert_sums(uint64_t taken, uint64_t refused, uint64_t dropped, uint64_t waiting)
{
	struct spool_sums sums = spool_sums(spool);

	assert_int_equal(sums.taken, taken);
	assert_int_equal(sums.refused, refused);
	assert_int_equal(sums.dropped, dropped);
	assert_int_equal(sums.waiting, waiting);
	assert_int_equal(spool_waiting(spool, 0, UINT64_MAX), waiting);
}

struct seen {
	uint64_t count, first, last;
	unsigned reason;
	int64_t time_ms; /* of the last */
};

static bool see(void *data, const struct spool_entry *entry)
{
	struct seen *seen = data;

	assert_true(entry->refused);
	assert_false(entry->waits);
	assert_true(work_is_whole(&entry->message));
	if (!seen->count++)
		seen->first = entry->message.seq;
	seen->last = entry->message.seq;
	seen->reason = entry->reason;
	seen->time_ms = entry->message.time_ms;
	return true;
}

/* What is kept, as whoever has the spool sees it, and whoever only looks. */
static struct seen look(void)
{
	struct seen seen = { 0 }, by_others = { 0 };
	struct spool_walk walk = { .visit = see, .data = &seen };
	struct spool *others;

	assert_int_equal(spool_walk_refused(spool, &walk), 0);
	assert_int_equal(spool_state(spool).kept, seen.count);
	walk.data = &by_others;
	assert_int_equal(spool_open(&conf, true, &others), 0);
	assert_int_equal(spool_walk_refused(others, &walk), 0);
	assert_int_equal(spool_state(others).kept, by_others.count);
	spool_free(others);
	assert_int_equal(by_others.count, seen.count);
	assert_int_equal(by_others.last, seen.last);
	return seen;
}

/* --- kept --- */

static void it_is_kept_with_all_that_is_known(_unused_ void **state)
{
	struct message message;
	struct place place;
	uint64_t first = refuse(BODY), last;
	struct seen seen;

	fake_clock()->wall_ms += 5000;
	fake_clock()->boottime_us += 5000000;
	last = take_in(BODY_MAX);
	/* The library does not take it at all. */
	assert_int_equal(spool_next(spool, &message, &place), 1);
	spool_set_aside(spool, &message, TOO_LARGE);
	commit();
	for (unsigned i = 0; i < 2; i++) {
		seen = look();
		assert_int_equal(seen.count, 2);
		assert_int_equal(seen.first, first);
		assert_int_equal(seen.last, last);
		assert_int_equal(seen.reason, TOO_LARGE);
		assert_int_equal(seen.time_ms, BEGUN_MS + 5000);
		assert_sums(2, 2, 0, 0);
		crash();
	}
	close_spool();
	open_spool();
	assert_int_equal(look().count, 2);
}

/* Nothing is made where nothing is refused. */
static void no_file_without_need(_unused_ void **state)
{
	take_in(BODY);
	commit();
	close_spool();
	assert_int_equal(file_size(), -1);
	open_spool();
}

/* It is on the disk before the journal says there that it does not wait. */
static void it_is_kept_before_it_is_noted(_unused_ void **state)
{
	close_spool();
	conf.sync_us = 0;
	open_spool();
	refuse(BODY);
	commit();
	file.syncs = file.writes = 0;
	/* Many of a turn have one sync. */
	for (unsigned i = 0; i < 10; i++) {
		take_in(BODY);
		commit();
	}
	for (unsigned i = 0; i < 10; i++) {
		struct flight flight;

		assert_true(work_send_next(spool, &flight));
	}
	commit();
	for (unsigned i = 0; i < 10; i++) {
		size_t count;

		assert_true(spool_refused(spool, spool_flights(spool, &count)[0].mid,
					  NOT_AUTHORIZED));
	}
	commit();
	assert_int_equal(file.writes, 10);
	assert_int_equal(file.syncs, 1);
	assert_false(file.is_dirty);
	assert_false(file.is_noted_early);
}

/* The process ends after it was kept and before that was noted: it waits, and no more. */
static void a_crash_in_between_keeps_it_once(_unused_ void **state)
{
	uint64_t seq = take_in(BODY);
	struct flight flight;

	assert_true(work_send_next(spool, &flight));
	commit();
	assert_true(spool_refused(spool, flight.mid, NOT_AUTHORIZED));
	crash();
	assert_sums(1, 0, 0, 1);
	assert_int_equal(look().count, 0);
	assert_true(spool_refused(spool, flight.mid, NOT_AUTHORIZED));
	commit();
	crash();
	assert_sums(1, 1, 0, 0);
	assert_int_equal(look().count, 1);
	assert_int_equal(look().first, seq);
}

/* --- sent again, given up --- */

static void retried_it_is_taken_in_anew_with_its_time(_unused_ void **state)
{
	uint64_t first = refuse_many(3), next, oldest;
	struct message message;
	struct place place;
	struct seen seen;

	close_spool();
	/* Another boot, and the one before it is forgotten. */
	begin_boot(2, 500, BEGUN_MS + 100000, true);
	conf.max_age_us = 1000;
	open_spool();
	spool_range(spool, &oldest, &next);
	assert_int_equal(spool_retry(spool, first + 1, first + 1), 1);
	assert_int_equal(look().count, 2);
	assert_sums(4, 3, 0, 1);
	crash();
	assert_int_equal(look().count, 2);
	assert_sums(4, 3, 0, 1);
	fake_clock()->boottime_us += 2000;
	assert_int_equal(spool_next(spool, &message, &place), 1);
	assert_int_equal(message.seq, next);
	assert_int_equal(message.time_ms, BEGUN_MS);
	assert_int_equal(message.clock, CLOCK_RIGHT);
	assert_int_equal(message.boot, 1);
	/* The body tells which it was. */
	message.seq = first + 1;
	assert_true(work_is_whole(&message));
	/* It may be refused again. */
	message.seq = next;
	spool_set_aside(spool, &message, TOO_LARGE);
	commit();
	assert_int_equal(spool_state(spool).kept, 3);
	assert_sums(4, 4, 0, 0);
	assert_int_equal(spool_retry(spool, 0, UINT64_MAX), 3);
	assert_sums(7, 4, 0, 3);
	seen = look();
	assert_int_equal(seen.count, 0);
	assert_int_equal(file_size(), SEGMENT_HEADER_SIZE);
	assert_int_equal(spool_retry(spool, 0, UINT64_MAX), 0);
}

/* The clock becomes right while it is kept, or after it was sent again. */
static void its_time_is_mended(_unused_ void **state)
{
	struct message message;
	struct place place;

	close_spool();
	begin_boot(2, 1000000, 5000, false);
	open_spool();
	refuse_many(2);
	assert_int_equal(spool_retry(spool, 0, look().first), 1);
	assert_int_equal(spool_next(spool, &message, &place), 1);
	assert_int_equal(message.clock, CLOCK_UNSYNCED);
	crash();
	fake_clock()->synced = true;
	fake_clock()->wall_ms = BEGUN_MS + 9000;
	fake_clock()->boottime_us += 4000000;
	assert_true(spool_note_clock(spool));
	assert_int_equal(look().time_ms, BEGUN_MS + 5000);
	assert_int_equal(spool_next(spool, &message, &place), 1);
	assert_int_equal(message.time_ms, BEGUN_MS + 5000);
	assert_int_equal(message.clock, CLOCK_RIGHT);
}

/* The spool keeps what it has: the rest stays aside. */
static void retry_ends_where_the_spool_is_full(_unused_ void **state)
{
	uint64_t first, waiting = 0;

	close_spool();
	conf.when_full = DROP_NEWEST;
	open_spool();
	first = refuse_many(2);
	refuse(BODY_MAX);
	refuse(BODY);
	/* There is room for less than one of these, but for some that are small. */
	for (uint64_t seq; work_append(spool, 5000, 1, &seq) == 0;)
		waiting++;
	assert_int_equal(spool_retry(spool, 0, UINT64_MAX), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(spool_sums(spool).waiting, waiting + 2);
		assert_int_equal(look().count, 2);
		assert_int_equal(look().first, first + 2);
		crash();
	}
	assert_int_equal(spool_retry(spool, 0, first + 2), -ENOSPC);
	assert_int_equal(look().count, 2);
}

/* The mark that it was taken out can't be written: it is kept still, and sent all the same. */
static void retry_never_loses(_unused_ void **state)
{
	refuse_many(3);
	file.write_error = EIO;
	assert_int_equal(spool_retry(spool, 0, UINT64_MAX), -EIO);
	file.write_error = 0;
	assert_int_equal(look().count, 3);
	assert_sums(6, 3, 0, 3);
	commit();
	crash();
	assert_int_equal(look().count, 3);
	assert_sums(6, 3, 0, 3);
}

/* A child sends all again and ends before its n-th call of the disk. Whether it was ended. */
static bool retry_ends_at(unsigned n)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		open_spool();
		file.calls_left = n;
		_exit(spool_retry(spool, 0, UINT64_MAX) == 3 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ENDED));
	return WEXITSTATUS(status) == ENDED;
}

static void be_rid_of_all(void)
{
	struct message message;
	struct place place;

	while (spool_next(spool, &message, &place) > 0)
		spool_finished(spool, message.seq);
	assert_true(spool_drop_refused(spool, 0, UINT64_MAX) >= 0);
}

/* Wherever it ends, each message waits or is set aside, and none does both. */
static void retry_is_cut_anywhere(_unused_ void **state)
{
	unsigned n = 1;
	bool was_ended;

	do {
		refuse_many(3);
		close_spool();
		was_ended = retry_ends_at(n++);
		open_spool();
		assert_int_equal(look().count + spool_sums(spool).waiting, 3);
		be_rid_of_all();
	} while (was_ended);
	/* Each of the three is marked, and before that all are on the disk. */
	assert_true(n > 5);
}

static void dropped_it_is_told_as_a_loss(_unused_ void **state)
{
	uint64_t first = refuse_many(5);
	const struct loss *loss;

	assert_int_equal(spool_drop_refused(spool, first + 1, first + 2), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_sums(5, 3, 2, 0);
		assert_int_equal(spool_sums(spool).given_up[LOSS_USER], 2);
		loss = spool_loss(spool);
		assert_non_null(loss);
		assert_int_equal(loss->why, LOSS_USER);
		assert_int_equal(loss->count, 2);
		assert_int_equal(loss->from, first + 1);
		assert_int_equal(loss->to, first + 2);
		assert_int_equal(loss->from_ms, BEGUN_MS);
		assert_int_equal(look().count, 3);
		crash();
	}
	assert_int_equal(spool_drop_refused(spool, first + 1, first + 2), 0);
	assert_int_equal(spool_drop_refused(spool, 0, UINT64_MAX), 3);
	assert_sums(5, 0, 5, 0);
}

/* Who drops it has no use for it, whatever the broker says of it then. */
static void what_is_given_up_is_not_kept(_unused_ void **state)
{
	struct flight flight;
	size_t count;
	uint64_t seq;

	assert_int_equal(work_append(spool, BODY, 2, &seq), 0);
	assert_true(work_send_next(spool, &flight));
	assert_int_equal(spool_drop(spool, seq, seq), 1);
	assert_false(spool_refused(spool, flight.mid, NOT_AUTHORIZED));
	commit();
	crash();
	spool_flights(spool, &count);
	assert_int_equal(count, 0);
	assert_int_equal(look().count, 0);
	assert_sums(1, 0, 1, 0);
}

/* --- bounded --- */

static void the_oldest_are_left_out(_unused_ void **state)
{
	const uint64_t many = 2000;
	uint64_t first = refuse(BODY), refused = 1, dropped;
	const struct loss *loss;
	struct seen seen;

	for (; refused < many; refused++) {
		refuse(BODY);
		commit();
		assert_true(file_size() <= REFUSED_LIMIT_LEAST);
	}
	for (unsigned i = 0; i < 2; i++) {
		seen = look();
		dropped = spool_sums(spool).given_up[LOSS_REFUSED];
		assert_true(dropped > 0);
		assert_int_equal(seen.count, many - dropped);
		/* The newest, and no gap: half of the room at least is in use. */
		assert_int_equal(seen.last, first + many - 1);
		assert_int_equal(seen.first, first + dropped);
		assert_true(file_size() >= REFUSED_LIMIT_LEAST / 2);
		assert_sums(many, many - dropped, dropped, 0);
		loss = spool_loss(spool);
		assert_non_null(loss);
		assert_int_equal(loss->why, LOSS_REFUSED);
		assert_string_equal(loss_why_words(loss->why), "refused");
		assert_int_equal(loss->count, dropped);
		assert_int_equal(loss->from, first);
		assert_int_equal(loss->to, first + dropped - 1);
		crash();
	}
	/* It is not written anew each time. */
	assert_true(file.renames < 40);
}

/* A message that fills nearly all of it. */
static void the_largest_has_room(_unused_ void **state)
{
	uint64_t last;

	refuse_many(100);
	last = refuse(BODY_MAX);
	commit();
	assert_true(file_size() <= REFUSED_LIMIT_LEAST);
	assert_int_equal(look().last, last);
	refuse(BODY_MAX);
	commit();
	crash();
	assert_int_equal(look().count, 1);
	assert_int_equal(look().last, last + 1);
	assert_true(file_size() <= REFUSED_LIMIT_LEAST);
}

/* What was taken out gives its room back before any is left out. */
static void room_is_used_again(_unused_ void **state)
{
	uint64_t seq = refuse_many(200);
	struct message message;
	struct place place;

	/* All but one are sent again in turn, and refused again. */
	for (unsigned i = 0; i < 1000; i++) {
		seq++;
		assert_int_equal(spool_retry(spool, seq, seq), 1);
		assert_int_equal(spool_next(spool, &message, &place), 1);
		spool_set_aside(spool, &message, NOT_AUTHORIZED);
		commit();
		assert_true(file_size() <= REFUSED_LIMIT_LEAST);
	}
	assert_int_equal(spool_state(spool).kept, 200);
	assert_int_equal(spool_sums(spool).dropped, 0);
}

/* --- damage --- */

static off_t record_begin(unsigned i)
{
	return SEGMENT_HEADER_SIZE +
	       i * record_size(8 + 20 + strlen("barn/meter") + BODY);
}

static void a_flipped_bit_costs_one(_unused_ void **state)
{
	uint64_t first = refuse_many(5);

	for (off_t at = record_begin(2); at < record_begin(3) - 8; at += 7) {
		close_spool();
		flip(at);
		open_spool();
		assert_int_equal(look().count, 4);
		assert_int_equal(look().first, first);
		assert_int_equal(look().last, first + 4);
		assert_int_equal(spool_state(spool).kept_damaged, record_begin(1) - 64);
		flip(at);
		crash();
		assert_int_equal(look().count, 5);
		assert_int_equal(spool_state(spool).kept_damaged, 0);
	}
}

static void a_torn_tail_is_cut_off(_unused_ void **state)
{
	uint64_t first = refuse_many(5);

	for (off_t left = record_begin(4) + 8; left < record_begin(5); left += 24) {
		close_spool();
		assert_int_equal(truncate(file_path("refused"), left), 0);
		open_spool();
		assert_int_equal(spool_state(spool).kept_damaged, left - record_begin(4));
		assert_int_equal(file_size(), record_begin(4));
		assert_int_equal(look().count, 4);
		refuse(BODY);
		commit();
		crash();
		assert_int_equal(look().count, 5);
		assert_int_equal(look().first, first);
		assert_int_equal(spool_state(spool).kept_damaged, 0);
	}
}

static void a_file_of_no_use_is_put_aside(_unused_ void **state)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE] = { 0 };
	struct segment_header header = { .size = 4096, .id = 1 };
	int fd;

	for (unsigned i = 0; i < 2; i++) {
		refuse_many(3);
		close_spool();
		if (i == 0) {
			flip(40);
		} else {
			/* Of another spool. */
			segment_header_encode(&header, bytes);
			fd = open(file_path("refused"), O_RDWR);
			assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
			close(fd);
		}
		open_spool();
		assert_int_equal(look().count, 0);
		assert_int_equal(access(file_path("refused.damaged"), F_OK), 0);
		refuse(BODY);
		commit();
		assert_int_equal(look().count, 1);
		assert_int_equal(spool_drop_refused(spool, 0, UINT64_MAX), 1);
	}
}

static void another_version_is_left_untouched(_unused_ void **state)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	int fd;

	refuse_many(3);
	close_spool();
	fd = open(file_path("refused"), O_RDWR);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	bytes[8]++;
	put_u64(bytes + 56, XXH3_64bits(bytes, 56));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(fd);
	assert_int_equal(spool_open(&conf, false, &spool), -EPROTONOSUPPORT);
	assert_int_equal(file_size(), record_begin(3));
}

/* --- a disk that refuses --- */

/* It is counted and told as given up; the spool goes on, and keeps the next when it can. */
static void without_room_it_is_given_up(_unused_ void **state)
{
	uint64_t first;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t kept = i;

		file.create_error = i ? 0 : ENOSPC;
		file.write_error = i ? ENOSPC : 0;
		first = refuse(BODY);
		commit();
		assert_int_equal(look().count, kept);
		assert_int_equal(spool_sums(spool).given_up[LOSS_REFUSED], i + 1);
		assert_int_equal(spool_loss(spool)->why, LOSS_REFUSED);
		assert_int_equal(spool_loss(spool)->to, first);
		file.create_error = file.write_error = 0;
		refuse(BODY);
		commit();
		crash();
		assert_int_equal(look().count, kept + 1);
		assert_int_equal(look().last, first + 1);
		assert_int_equal(spool_sums(spool).given_up[LOSS_REFUSED], i + 1);
	}
	assert_sums(4, 2, 2, 0);
}

/* What a sync failed for is written anew, not only synced again. */
static void after_a_sync_that_failed_it_is_written_anew(_unused_ void **state)
{
	refuse_many(3);
	file.sync_error = EIO;
	refuse(BODY);
	commit();
	assert_sums(4, 4, 0, 0);
	file.sync_error = 0;
	file.renames = 0;
	refuse(BODY);
	commit();
	assert_int_equal(file.renames, 1);
	assert_false(file.is_dirty);
	assert_int_equal(look().count, 5);
	crash();
	assert_int_equal(look().count, 5);
	assert_sums(5, 5, 0, 0);
}

#define refused_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		refused_test(it_is_kept_with_all_that_is_known),
		refused_test(no_file_without_need),
		refused_test(it_is_kept_before_it_is_noted),
		refused_test(a_crash_in_between_keeps_it_once),
		refused_test(retried_it_is_taken_in_anew_with_its_time),
		refused_test(its_time_is_mended),
		refused_test(retry_ends_where_the_spool_is_full),
		refused_test(retry_never_loses),
		refused_test(retry_is_cut_anywhere),
		refused_test(dropped_it_is_told_as_a_loss),
		refused_test(what_is_given_up_is_not_kept),
		refused_test(the_oldest_are_left_out),
		refused_test(the_largest_has_room),
		refused_test(room_is_used_again),
		refused_test(a_flipped_bit_costs_one),
		refused_test(a_torn_tail_is_cut_off),
		refused_test(a_file_of_no_use_is_put_aside),
		refused_test(another_version_is_left_untouched),
		refused_test(without_room_it_is_given_up),
		refused_test(after_a_sync_that_failed_it_is_written_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
