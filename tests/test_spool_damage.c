/* SPDX-License-Identifier: Apache-2.0 */
/* test_spool_damage.c - a spool whose files were damaged: what is right of them survives. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/units.h"
#include "fake_clock.h"
#include "spool_work.h"
#include "uplink/spool_state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <xxhash.h>

enum {
	MESSAGES = 12,
	SEGMENT_SIZE = 256 * 1024,
};

static char *directory, *path, *other_path;
static struct spool_conf conf;
static struct spool *spool;
static uint64_t first_seq; /* of MESSAGES */
static bool found[MESSAGES];

static int set_up(_unused_ void **state)
{
	directory = work_directory("/dev/shm");
	setenv("RUNTIME_DIRECTORY", directory, true);
	path = work_directory(directory);
	other_path = work_directory(directory);
	conf = (struct spool_conf){ .directory = path, .max_bytes = 1 << 20 };
	*fake_clock() = (struct fake_clock){ .wall_ms = 1795514400000, .boot = 1 };
	log_set_level(LOG_EMERG);
	return 0;
}

static int tear_down(_unused_ void **state)
{
	spool_free(spool);
	spool = NULL;
	work_remove(directory);
	free(other_path);
	free(path);
	free(directory);
	return 0;
}

/* --- a spool, and its files --- */

static void open_spool(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
}

static void leave(void)
{
	spool_free(spool);
	spool = NULL;
}

static void commit(void)
{
	assert_int_equal(spool_commit(spool, clock_monotonic_us() + 3600 * USEC_PER_SEC), 0);
}

static void append(unsigned count)
{
	uint64_t seq;

	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(work_append(spool, 100, 2, &seq), 0);
		if (i == 0)
			first_seq = seq;
	}
	commit();
}

/*
 * Each kind of record once or more, in one segment behind its checkpoint:
 *
 *     message 0 … 11 · sent 0, 1, 2 · released 0 · done 1 · refused 2 · dropped 3 · reserve ·
 *     boot · clock
 */
static void make_spool(void)
{
	struct flight flight;

	open_spool();
	append(MESSAGES);
	for (unsigned i = 0; i < 3; i++)
		assert_true(work_send_next(spool, &flight));
	commit();
	assert_true(spool_released(spool, flight.mid - 2));
	commit();
	assert_true(spool_acked(spool, flight.mid - 1));
	commit();
	assert_true(spool_refused(spool, flight.mid, 135));
	assert_int_equal(spool_drop(spool, first_seq + 3, first_seq + 3), 1);
	assert_int_equal(spool_reserve(spool, 20), 0);
	commit();
	leave();
	/* In another boot, whose clock is set. */
	fake_clock()->boot = 2;
	open_spool();
	fake_clock()->synced = true;
	assert_true(spool_note_clock(spool));
	commit();
	leave();
}

static int open_file(unsigned number)
{
	char name[128];
	int fd;

	snprintf(name, sizeof(name), "%s/%04u.seg", path, number);
	fd = open(name, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static struct segment_header header_of(int fd)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header header;

	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(segment_header_decode(bytes, &header), 0);
	return header;
}

/* The n-th record of a type, with its size: its offset, or 0. */
static uint32_t find_record(int fd, enum record_type type, unsigned n, uint32_t *size)
{
	struct segment_reader reader = { 0 };
	const struct segment_header header = header_of(fd);
	struct record record;
	uint32_t offset, result = 0;

	assert_int_equal(segment_reader_begin(&reader, fd, header.id, SEGMENT_HEADER_SIZE,
					      header.size), 0);
	while (!result && segment_read(&reader, &record, &offset) == 1)
		if (record.type == type && n-- == 0)
			result = offset;
	*size = record_size(record.length);
	segment_reader_done(&reader);
	return result;
}

static void flip(int fd, uint32_t offset)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x08;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
}

static void fill(int fd, uint32_t from, uint32_t to, bool garbage)
{
	uint8_t *bytes = calloc(1, to - from);

	for (uint32_t i = 0; garbage && i < to - from; i++)
		bytes[i] = rand();
	assert_int_equal(pwrite(fd, bytes, to - from, from), to - from);
	free(bytes);
}

static void note_found(_unused_ void *data, uint64_t seq)
{
	assert_in_range(seq, first_seq, first_seq + MESSAGES - 1);
	assert_false(found[seq - first_seq]);
	found[seq - first_seq] = true;
}

/* Opens; which of the messages wait: a letter each, or a point. */
static const char *waiting(void)
{
	static char letters[MESSAGES + 1];

	open_spool();
	memset(found, 0, sizeof(found));
	work_find_all(spool, note_found, NULL);
	for (unsigned i = 0; i < MESSAGES; i++)
		letters[i] = found[i] ? 'a' + i : '.';
	return letters;
}

/* What is found after that can be used, and is found again. */
static void assert_goes_on(void)
{
	uint64_t before = spool_sums(spool).waiting, seq;

	assert_int_equal(work_append(spool, 100, 1, &seq), 0);
	assert_true(seq >= first_seq + MESSAGES);
	commit();
	leave();
	open_spool();
	assert_int_equal(spool_sums(spool).waiting, before + 1);
}

static bool visit(void *data, _unused_ const struct spool_entry *entry)
{
	++*(unsigned *)data;
	return true;
}

/* Bytes that whoever only looks finds damaged. */
static uint64_t damaged_bytes(void)
{
	unsigned messages = 0;
	struct spool_walk walk = { .visit = visit, .data = &messages };

	assert_int_equal(spool_open(&conf, true, &spool), 0);
	assert_int_equal(spool_walk(spool, &walk), 0);
	leave();
	return walk.damaged;
}

static void assert_lost(uint64_t damaged)
{
	const struct loss *loss = &spool->ledger.losses[LOSS_DAMAGED];

	assert_int_equal(spool_sums(spool).damaged, damaged);
	assert_int_equal(loss->count, damaged);
}

/* Four messages in each of three segments. */
static void make_segments(void)
{
	open_spool();
	append(4);
	assert_int_equal(spool_rotate(spool, false), 0);
	append(4);
	assert_int_equal(spool_rotate(spool, false), 0);
	append(4);
	first_seq -= 8;
	leave();
}

static char *file_path(unsigned number)
{
	static char name[128];

	snprintf(name, sizeof(name), "%s/%04u.seg", path, number);
	return name;
}

/* What comes next begins with no spool. */
static void begin_anew(void)
{
	leave();
	work_remove(path);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* --- the tests --- */

struct expectation {
	enum record_type type;
	unsigned n;
	const char *waits;
	uint64_t acked, refused, dropped, damaged;
};

/*
 * In the middle of each kind of record. What a record says that is gone is not known, and
 * what it was about waits, or waits again; nothing else changes.
 */
static void a_flipped_bit_costs_one_record(_unused_ void **state)
{
	static const struct expectation expectations[] = {
		{ RECORD_MESSAGE, 0, "....efghijkl", 1, 1, 1, 1 },
		{ RECORD_MESSAGE, 6, "a...ef.hijkl", 1, 1, 1, 1 },
		{ RECORD_MESSAGE, 11, "a...efghijk.", 1, 1, 1, 1 },
		{ RECORD_SENT, 0, "a...efghijkl", 1, 1, 1, 0 },
		{ RECORD_RELEASED, 0, "a...efghijkl", 1, 1, 1, 0 },
		{ RECORD_DONE, 0, "ab..efghijkl", 0, 1, 1, 0 },
		{ RECORD_REFUSED, 0, "a.c.efghijkl", 1, 0, 1, 0 },
		{ RECORD_DROPPED, 0, "a..defghijkl", 1, 1, 0, 0 },
		{ RECORD_RESERVE, 0, "a...efghijkl", 1, 1, 1, 0 },
		{ RECORD_BOOT, 0, "a...efghijkl", 1, 1, 1, 0 },
		{ RECORD_CLOCK, 0, "a...efghijkl", 1, 1, 1, 0 },
		{ RECORD_CHECKPOINT, 0, "a...efghijkl", 1, 1, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(expectations); i++) {
		const struct expectation *expected = &expectations[i];
		struct spool_sums sums;
		uint32_t offset, size;
		int fd;

		make_spool();
		fd = open_file(0);
		offset = find_record(fd, expected->type, expected->n, &size);
		assert_true(offset > 0);
		flip(fd, offset + size / 2);
		close(fd);
		/* Damage at the end can't be told from what was never written. */
		if (expected->type != RECORD_CLOCK)
			assert_int_equal(damaged_bytes(), size);
		assert_string_equal(waiting(), expected->waits);
		sums = spool_sums(spool);
		assert_int_equal(sums.acked, expected->acked);
		assert_int_equal(sums.refused, expected->refused);
		assert_int_equal(sums.given_up[LOSS_USER], expected->dropped);
		assert_lost(expected->damaged);
		assert_goes_on();
		begin_anew();
		fake_clock()->boot = 1;
		fake_clock()->synced = false;
	}
}

/* What stands behind the last right record is nothing, whatever it is. */
static void a_tail_of_zeros_or_garbage_is_cut_off(_unused_ void **state)
{
	for (unsigned garbage = 0; garbage < 2; garbage++) {
		uint32_t offset, size;
		int fd;

		open_spool();
		append(MESSAGES);
		leave();
		fd = open_file(0);
		offset = find_record(fd, RECORD_MESSAGE, MESSAGES - 2, &size);
		fill(fd, offset + size / 2, garbage ? SEGMENT_SIZE : offset + 4096, garbage);
		close(fd);
		assert_string_equal(waiting(), "abcdefghij..");
		assert_int_equal(spool_sums(spool).taken, MESSAGES - 2);
		assert_lost(0);
		begin_anew();
	}
}

/* At each byte of the last record. */
static void a_torn_last_record_is_cut_off(_unused_ void **state)
{
	uint8_t whole[512];
	uint32_t offset, size;
	int fd;

	open_spool();
	append(MESSAGES);
	leave();
	fd = open_file(0);
	offset = find_record(fd, RECORD_MESSAGE, MESSAGES - 1, &size);
	assert_int_equal(pread(fd, whole, size, offset), size);
	for (uint32_t torn = 0; torn < size - 8; torn++) {
		fill(fd, offset, offset + 1024, false);
		assert_int_equal(pwrite(fd, whole, torn, offset), torn);
		assert_string_equal(waiting(), "abcdefghijk.");
		assert_lost(0);
		leave();
	}
	close(fd);
}

/* Adds a record that is right by itself behind the last message of a segment. */
static void add_record(unsigned number, enum record_type type, uint64_t seq,
		       const struct piece *body)
{
	uint8_t bytes[512];
	uint32_t offset, size;
	int fd = open_file(number);

	offset = find_record(fd, RECORD_MESSAGE, 3, &size) + size;
	size = record_encode(header_of(fd).id, offset, type, seq, body, 1, bytes);
	assert_int_equal(pwrite(fd, bytes, size, offset), size);
	close(fd);
}

/* What can't be, whatever its checksum says, takes nothing with it. */
static void a_number_never_given_out_is_passed_over(_unused_ void **state)
{
	static const enum record_type types[] = { RECORD_DONE, RECORD_RESERVE };
	uint64_t oldest, next;
	uint8_t bytes[512], wild[8];
	struct record record;
	struct piece body = { wild, sizeof(wild) };
	uint32_t offset, size;
	int fd;

	/* A message, in a segment that was full before later ones were taken in. */
	make_segments();
	fd = open_file(0);
	offset = find_record(fd, RECORD_MESSAGE, 3, &size);
	assert_int_equal(pread(fd, bytes, size, offset), size);
	assert_true(record_look(bytes, &record) == size);
	close(fd);
	add_record(0, RECORD_MESSAGE, record.seq + 100,
		   &(struct piece){ record.body, record.length });
	assert_string_equal(waiting(), "abcdefghijkl");
	assert_lost(0);
	/* Steps, of far away. */
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		begin_anew();
		make_segments();
		put_u64(wild, first_seq + (UINT64_C(1) << 40));
		add_record(2, types[i], 0, &body);
		fake_clock()->boot++;
		assert_string_equal(waiting(), "abcdefghijkl");
		spool_range(spool, &oldest, &next);
		assert_true(next < first_seq + 5000);
	}
}

static void a_missing_segment_costs_its_messages(_unused_ void **state)
{
	static const char *const waits[] = { "....efghijkl", "abcd....ijkl" };

	for (unsigned i = 0; i < ARRAY_SIZE(waits); i++) {
		make_segments();
		assert_int_equal(unlink(file_path(i)), 0);
		assert_string_equal(waiting(), waits[i]);
		assert_lost(4);
		assert_goes_on();
		begin_anew();
	}
}

/* Cut anywhere, to nothing, and in its header. */
static void a_truncated_segment_costs_what_is_cut_off(_unused_ void **state)
{
	static const struct {
		unsigned number;
		int message; /* cut in the middle of this one; -1: in the header; -2: to 0 */
		const char *waits;
	} cuts[] = {
		{ 0, 2, "ab..efghijkl" }, { 1, 3, "abcdefg.ijkl" }, { 1, -1, "abcd....ijkl" },
		{ 1, -2, "abcd....ijkl" }, { 0, -2, "....efghijkl" }, { 2, 3, "abcdefghijk." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		uint32_t size, at = cuts[i].message == -1 ? 20 : 0;
		int fd;

		make_segments();
		fd = open_file(cuts[i].number);
		if (cuts[i].message >= 0)
			at = find_record(fd, RECORD_MESSAGE, cuts[i].message, &size) + 50;
		assert_int_equal(ftruncate(fd, at), 0);
		close(fd);
		assert_string_equal(waiting(), cuts[i].waits);
		/* What was never written can't be told from what was cut off at the end. */
		assert_lost(cuts[i].number == 2 ? 0 : strlen(cuts[i].waits) -
			    spool_sums(spool).waiting);
		if (cuts[i].number != 2)
			assert_goes_on();
		begin_anew();
	}
}

/* The one that is written, cut short, leaves no room, and the others are in use. */
static void a_full_spool_whose_last_segment_is_cut_drains(_unused_ void **state)
{
	const struct flight *flights;
	struct flight flight;
	size_t count;
	int fd;

	make_segments();
	open_spool();
	assert_int_equal(spool_rotate(spool, false), 0);
	append(4);
	leave();
	fd = open_file(3);
	assert_int_equal(ftruncate(fd, 700), 0);
	close(fd);
	conf.when_full = DROP_NEWEST;
	open_spool();
	assert_int_equal(spool_sums(spool).waiting, MESSAGES);
	while (work_send_next(spool, &flight)) {
		commit();
		flights = spool_flights(spool, &count);
		assert_true(spool_acked(spool, flights[0].mid));
		commit();
	}
	assert_int_equal(spool_sums(spool).waiting, 0);
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
	open_spool();
	assert_int_equal(spool_sums(spool).waiting, 0);
}

/* Of all that is in the directory. */
static uint64_t checksum(void)
{
	DIR *entries = opendir(path);
	struct dirent *entry;
	uint64_t sum = 0;

	while ((entry = readdir(entries))) {
		static uint8_t bytes[SEGMENT_SIZE];
		int fd = openat(dirfd(entries), entry->d_name, O_RDONLY | O_NOFOLLOW);
		ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));

		sum += XXH3_64bits_withSeed(entry->d_name, strlen(entry->d_name),
					    XXH3_64bits(bytes, n > 0 ? n : 0));
		close(fd);
	}
	closedir(entries);
	return sum;
}

static void a_newer_version_is_refused_and_not_touched(_unused_ void **state)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	uint64_t before;
	int fd;

	make_segments();
	/* Beside one that is damaged, and would be put aside, were it looked at first. */
	fd = open_file(2);
	flip(fd, 30);
	close(fd);
	fd = open_file(0);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	put_u32(bytes + 8, SEGMENT_VERSION + 1);
	put_u64(bytes + 56, XXH3_64bits(bytes, 56));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(fd);
	before = checksum();
	assert_int_equal(spool_open(&conf, false, &spool), -EPROTONOSUPPORT);
	assert_int_equal(spool_open(&conf, true, &spool), -EPROTONOSUPPORT);
	assert_int_equal(checksum(), before);
}

/* It knows of no notes, and is as this one in all else. */
static void the_version_before_is_read(_unused_ void **state)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	uint64_t before;

	make_segments();
	before = checksum();
	for (unsigned i = 0; i < 2; i++) {
		int fd = open_file(i);

		assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		put_u32(bytes + 8, SEGMENT_VERSION - 1);
		put_u64(bytes + 56, XXH3_64bits(bytes, 56));
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		close(fd);
	}
	assert_int_not_equal(checksum(), before);
	open_spool();
	assert_int_equal(spool_state(spool).damaged_files, 0);
	assert_true(spool_sums(spool).waiting > 0);
	assert_int_equal(spool_sums(spool).damaged, 0);
}

static void a_second_process_is_refused(_unused_ void **state)
{
	int status;
	pid_t pid;

	open_spool();
	append(1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct spool *second;

		_exit(-spool_open(&conf, false, &second));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EBUSY);
	/* The first one goes on. */
	append(1);
	assert_int_equal(spool_sums(spool).waiting, 2);
}

static void a_lost_directory_gives_no_number_again(_unused_ void **state)
{
	uint64_t highest, seq;

	for (unsigned way = 0; way < 2; way++) {
		open_spool();
		append(MESSAGES);
		highest = first_seq + MESSAGES - 1;
		if (way)
			assert_int_equal(spool_close(spool), 0);
		else
			spool_free(spool);
		spool = NULL;
		work_remove(path);
		fake_clock()->wall_ms += 1000;
		open_spool();
		assert_int_equal(work_append(spool, 40, 1, &seq), 0);
		assert_true(seq > highest);
		leave();
		work_remove(path);
		fake_clock()->wall_ms += 1000;
	}
}

/* Makes a spool in the other directory, and puts its first file in here. */
static uint64_t put_in_foreign(void)
{
	static uint8_t bytes[SEGMENT_SIZE];
	char name[128];
	uint64_t id;
	int fd;

	snprintf(name, sizeof(name), "%s/0000.seg", other_path);
	conf.directory = other_path;
	fake_clock()->wall_ms += 1;
	open_spool();
	append(3);
	leave();
	conf.directory = path;
	fd = open(name, O_RDONLY);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	id = header_of(fd).id;
	close(fd);
	fd = open(file_path(7), O_RDWR | O_CREAT, 0600);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	work_remove(other_path);
	return id;
}

/* Whether it seems to be older or newer than our own. */
static void a_file_of_another_spool_is_put_aside(_unused_ void **state)
{
	unsigned older = 0, newer = 0;

	for (unsigned i = 0; i < 100 && (!older || !newer); i++) {
		uint64_t foreign, own;
		char aside[128];
		int fd;

		begin_anew();
		fake_clock()->wall_ms += 1;
		open_spool();
		append(MESSAGES);
		leave();
		fd = open_file(0);
		own = header_of(fd).id;
		close(fd);
		foreign = put_in_foreign();
		older += foreign < own;
		newer += foreign > own;
		first_seq = 0;
		open_spool();
		assert_int_equal(spool_sums(spool).waiting, MESSAGES);
		spool_range(spool, &first_seq, &own);
		assert_int_equal(own, first_seq + MESSAGES);
		leave();
		assert_string_equal(waiting(), "abcdefghijkl");
		assert_lost(0);
		snprintf(aside, sizeof(aside), "%s/0007.seg.foreign", path);
		assert_int_equal(access(aside, F_OK), 0);
		assert_goes_on();
		leave();
	}
	assert_true(older && newer);
}

/* Of two segments only the heads are left: what they say was given out is not given again. */
static void numbers_that_a_head_tells_of_are_given_out(_unused_ void **state)
{
	static const uint8_t zeros[SEGMENT_SIZE];
	uint64_t oldest, next;

	make_segments();
	for (unsigned number = 1; number < 3; number++) {
		int fd = open_file(number);

		assert_true(pwrite(fd, zeros, SEGMENT_SIZE - SEGMENT_HEADER_SIZE,
				   SEGMENT_HEADER_SIZE) > 0);
		close(fd);
	}
	open_spool();
	spool_range(spool, &oldest, &next);
	assert_true(next >= first_seq + 8);
	assert_int_equal(spool_sums(spool).taken, next - first_seq);
	leave();
	assert_string_equal(waiting(), "abcd........");
	leave();
}

/* The last of three heads, whole by its checksum, tells of numbers far away. */
static void make_far_head(void)
{
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header header;
	int fd;

	begin_anew();
	make_segments();
	fd = open_file(2);
	header = header_of(fd);
	header.first_seq += UINT64_C(1) << 50;
	segment_header_encode(&header, bytes);
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(fd);
}

/* It is no reason to keep what is before it, or to look for what there is to give up for ever. */
static void a_head_that_is_far_off_stops_nothing(_unused_ void **state)
{
	/* A spool that never comes back is to be a failure. */
	alarm(120);
	conf.max_age_us = USEC_PER_SEC;
	make_far_head();
	fake_clock()->boottime_us += 10 * USEC_PER_SEC;
	open_spool();
	spool_expire(spool);
	assert_int_equal(spool_sums(spool).waiting, 0);
	assert_goes_on();
	leave();
	conf.max_age_us = 0;
	make_far_head();
	open_spool();
	for (unsigned i = 0; i < 64; i++)
		append(MESSAGES);
	assert_goes_on();
	leave();
	alarm(0);
}

/* A file that somebody copied, whole or in part, stands there twice: the whole one counts. */
static void a_copy_of_a_segment_is_put_aside(_unused_ void **state)
{
	static uint8_t bytes[SEGMENT_SIZE];

	for (unsigned i = 0; i < 2; i++) {
		/* The first or the second name is the one that is cut short. */
		const char *whole = i ? "0001.seg" : "0000.seg";
		char name[128], aside[128];
		int fd;

		begin_anew();
		open_spool();
		append(MESSAGES);
		leave();
		fd = open_file(0);
		assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
		close(fd);
		unlink(file_path(0));
		unlink(file_path(1));
		for (unsigned number = 0; number < 2; number++) {
			size_t size = number == i ? sizeof(bytes) : 4096;

			fd = open(file_path(number), O_RDWR | O_CREAT, 0600);
			assert_int_equal(write(fd, bytes, size), size);
			close(fd);
		}
		open_spool();
		assert_int_equal(spool_sums(spool).waiting, MESSAGES);
		leave();
		assert_string_equal(waiting(), "abcdefghijkl");
		assert_lost(0);
		snprintf(name, sizeof(name), "%s/%s", path, whole);
		assert_int_equal(access(name, F_OK), 0);
		snprintf(aside, sizeof(aside), "%s/%s.copy", path, i ? "0000.seg" : "0001.seg");
		assert_int_equal(access(aside, F_OK), 0);
		assert_goes_on();
		leave();
	}
}

#define damage_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		damage_test(a_flipped_bit_costs_one_record),
		damage_test(a_tail_of_zeros_or_garbage_is_cut_off),
		damage_test(a_torn_last_record_is_cut_off),
		damage_test(a_number_never_given_out_is_passed_over),
		damage_test(a_missing_segment_costs_its_messages),
		damage_test(a_truncated_segment_costs_what_is_cut_off),
		damage_test(a_full_spool_whose_last_segment_is_cut_drains),
		damage_test(a_newer_version_is_refused_and_not_touched),
		damage_test(the_version_before_is_read),
		damage_test(numbers_that_a_head_tells_of_are_given_out),
		damage_test(a_head_that_is_far_off_stops_nothing),
		damage_test(a_copy_of_a_segment_is_put_aside),
		damage_test(a_second_process_is_refused),
		damage_test(a_lost_directory_gives_no_number_again),
		damage_test(a_file_of_another_spool_is_put_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
