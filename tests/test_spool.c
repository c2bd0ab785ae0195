/* SPDX-License-Identifier: Apache-2.0 */
/* test_spool.c - what was promised is there again, whatever happened to process and disk. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "uplink/checkpoint.h"
#include "uplink/spool_state.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char directory[64];
static struct spool_conf conf;
static struct spool *spool;

static int set_up(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/postbus-spool-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	/* What is not on the disk yet is to be removed with the rest. */
	setenv("RUNTIME_DIRECTORY", directory, true);
	conf = (struct spool_conf){
		.directory = directory, .max_bytes = 1 << 20, .sync_us = 1000000,
	};
	spool = NULL;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	spool_free(spool);
	return nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_spool(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
}

/* As a SIGKILL leaves it: nothing is written that was not written before. */
static void leave(void)
{
	spool_free(spool);
	spool = NULL;
}

static void crash(void)
{
	leave();
	open_spool();
}

static void commit(void)
{
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
}

static uint64_t append(unsigned number)
{
	char body[32];
	struct message message = {
		.qos = 2, .form = FORM_ISO_TIME, .topic = "barn/meter", .topic_length = 10,
		.body = body, .body_length = snprintf(body, sizeof(body), "\"n\":%u", number),
	};

	clock_stamp(&message);
	assert_int_equal(spool_append(spool, &message), 0);
	return message.seq;
}

static void assert_body(const struct message *message, unsigned number)
{
	char body[32];
	int length = snprintf(body, sizeof(body), "\"n\":%u", number);

	assert_int_equal(message->body_length, length);
	assert_memory_equal(message->body, body, length);
}

static void send_next(unsigned number, uint16_t mid)
{
	struct message message;
	struct place place;
	struct flight flight;

	assert_int_equal(spool_next(spool, &message, &place), 1);
	assert_body(&message, number);
	flight = (struct flight){
		.seq = message.seq, .segment = place.segment, .offset = place.offset,
		.mid = mid, .qos = 2, .time_ms = 1000 + number,
	};
	assert_int_equal(spool_sent(spool, &flight), 0);
}

static void assert_sums(uint64_t taken, uint64_t acked, uint64_t waiting)
{
	struct spool_sums sums = spool_sums(spool);

	assert_int_equal(sums.taken, taken);
	assert_int_equal(sums.acked, acked);
	assert_int_equal(sums.waiting, waiting);
	assert_int_equal(sums.taken, sums.acked + sums.refused + sums.dropped +
			 sums.damaged + sums.waiting);
}

static bool goes_on(_unused_ void *data, _unused_ const struct spool_entry *entry)
{
	return true;
}

static void flights_survive_a_crash(void **state)
{
	static const uint16_t mids[] = { 100, 102, 103 };
	const struct flight *flights;
	struct message message;
	struct place place;
	size_t count;

	(void)state;
	open_spool();
	for (unsigned i = 0; i < 6; i++)
		append(i);
	for (unsigned i = 0; i < 4; i++)
		send_next(i, 100 + i);
	assert_true(spool_acked(spool, 101));
	assert_true(spool_released(spool, 102));
	assert_false(spool_acked(spool, 999));
	commit();
	crash();
	assert_sums(6, 1, 5);
	assert_int_equal(spool_last_mid(spool), 103);
	flights = spool_flights(spool, &count);
	assert_int_equal(count, 3);
	assert_int_equal(flights[0].mid, 100);
	assert_int_equal(flights[0].state, FLIGHT_SENT);
	assert_int_equal(flights[1].mid, 102);
	assert_int_equal(flights[1].state, FLIGHT_RELEASED);
	assert_int_equal(flights[1].time_ms, 1002);
	assert_int_equal(flights[2].mid, 103);
	/* A flight is read back, and reading in order goes on where it was. */
	assert_int_equal(spool_read(spool, &flights[2], &message), 0);
	assert_body(&message, 3);
	assert_int_equal(spool_next(spool, &message, &place), 1);
	assert_body(&message, 4);
	/* The broker says that it knows nothing of it: that is not forgotten either. */
	assert_int_equal(spool_unrelease(spool), 1);
	assert_int_equal(spool_unrelease(spool), 0);
	commit();
	crash();
	flights = spool_flights(spool, &count);
	assert_int_equal(count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(flights[i].mid, mids[i]);
		assert_int_equal(flights[i].state, FLIGHT_SENT);
	}
	spool_forget_flights(spool);
	assert_int_equal(spool_flights(spool, &count)[2].state, FLIGHT_AGAIN);
}

static size_t flights_in_state(enum flight_state state)
{
	size_t count, n = 0;
	const struct flight *flights = spool_flights(spool, &count);

	for (size_t i = 0; i < count; i++)
		n += flights[i].state == state;
	return n;
}

/* The broker may hold the identifiers of what is given up, and they stay in use. */
static void what_is_given_up_flies_on(void **state)
{
	uint64_t first;

	(void)state;
	open_spool();
	first = append(0);
	for (unsigned i = 1; i < 4; i++)
		append(i);
	for (unsigned i = 0; i < 3; i++)
		send_next(i, 100 + i);
	assert_true(spool_released(spool, 101));
	assert_int_equal(spool_drop(spool, first, first + 1), 2);
	commit();
	crash();
	assert_sums(4, 0, 2);
	assert_int_equal(spool_last_mid(spool), 102);
	assert_int_equal(flights_in_state(FLIGHT_GIVEN_UP), 2);
	assert_int_equal(flights_in_state(FLIGHT_SENT), 1);
	assert_int_equal(spool_state(spool).in_flight, 1);
	/* PUBREC still comes for one, PUBCOMP for the other, and a crash forgets neither. */
	assert_true(spool_released(spool, 100));
	assert_int_equal(flights_in_state(FLIGHT_RELEASED), 0);
	assert_true(spool_acked(spool, 101));
	commit();
	crash();
	assert_int_equal(flights_in_state(FLIGHT_GIVEN_UP), 1);
	assert_sums(4, 0, 2);
	/* A broker that says that it forgot the session may hold it all the same, … */
	assert_int_equal(spool_unrelease(spool), 0);
	assert_int_equal(flights_in_state(FLIGHT_GIVEN_UP), 1);
	/* … and in a clean session it does not. */
	spool_forget_flights(spool);
	commit();
	crash();
	assert_int_equal(flights_in_state(FLIGHT_GIVEN_UP), 0);
	assert_int_equal(flights_in_state(FLIGHT_SENT), 1);
	assert_sums(4, 0, 2);
}

/* A checkpoint holds them, and no other flight of a finished message. */
static void checkpoints_hold_what_is_given_up(void **state)
{
	_cleanup_(ledger_done) struct ledger ledger, copy;
	struct flight flight = { .seq = 7, .mid = 3, .qos = 2 };
	const struct loss loss = { .from = 7, .to = 7, .why = LOSS_USER };
	uint8_t bytes[1024];
	size_t n;

	(void)state;
	ledger_init(&ledger);
	ledger_init(&copy);
	ledger.oldest_seq = 5;
	ledger.next_seq = ledger.reserved_seq = 10;
	ledger.taken = 5;
	assert_int_equal(ledger_add_flight(&ledger, &flight), 0);
	assert_int_equal(ledger_dropped(&ledger, &loss), 0);
	n = checkpoint_size(&ledger);
	assert_in_range(n, 1, sizeof(bytes));
	checkpoint_encode(&ledger, bytes);
	assert_int_equal(checkpoint_decode(&copy, bytes, n), 0);
	assert_int_equal(copy.flight_count, 1);
	assert_int_equal(ledger_flight_by_mid(&copy, 3)->state, FLIGHT_GIVEN_UP);
	ledger_flights(&ledger)[0].state = FLIGHT_SENT;
	checkpoint_encode(&ledger, bytes);
	assert_int_equal(checkpoint_decode(&copy, bytes, n), -EBADMSG);
}

/* --- notes --- */

static void assert_note(uint64_t key, const char *bytes)
{
	const struct note *note = notes_find(spool_notes(spool), RECORD_COMMAND, key);

	if (!bytes) {
		assert_null(note);
		return;
	}
	assert_non_null(note);
	assert_int_equal(note->length, strlen(bytes));
	assert_memory_equal(note->bytes, bytes, note->length);
}

static void note(uint64_t key, const char *bytes)
{
	assert_int_equal(spool_note(spool, RECORD_COMMAND, key, bytes, strlen(bytes), true), 0);
}

/* The last that was said counts: after a crash, after a close, and behind many messages. */
static void notes_are_carried_on(void **state)
{
	uint64_t seq;

	(void)state;
	open_spool();
	note(1, "received");
	note(2, "a");
	note(1, "done");
	note(3, "b");
	note(2, "");
	assert_int_equal(spool_note(spool, RECORD_SUBSCRIBED, 1, "c", 1, false), 0);
	commit();
	for (unsigned i = 0; i < 3; i++) {
		crash();
		assert_note(1, "done");
		assert_note(2, NULL);
		assert_note(3, "b");
		assert_int_equal(spool_notes(spool)->count, 3);
		assert_int_equal(notes_find(spool_notes(spool), RECORD_SUBSCRIBED, 1)->bytes[0],
				 'c');
		/* Checkpoints take the place of what was noted. */
		for (unsigned n = 0; n < 3000; n++) {
			seq = append(n);
			spool_finished(spool, seq);
			if (n % 100 == 0)
				commit();
		}
		commit();
	}
	assert_int_equal(spool_close(spool), 0);
	open_spool();
	assert_note(1, "done");
	note(1, "");
	commit();
	crash();
	assert_note(1, NULL);
}

static void notes_are_bounded(void **state)
{
	static const char bytes[NOTE_MAX_BYTES + 1];
	uint64_t count = 0;
	int r;

	(void)state;
	open_spool();
	assert_int_equal(spool_note(spool, RECORD_COMMAND, 1, bytes, sizeof(bytes), true),
			 -EMSGSIZE);
	do {
		r = spool_note(spool, RECORD_COMMAND, ++count, bytes, 1000, true);
	} while (r == 0);
	assert_int_equal(r, -ENOSPC);
	assert_in_range(count, 36, 48);
	assert_true(spool_notes(spool)->size <= NOTES_MAX_SIZE);
	/* With all flights and ranges there may be, it is still a record. */
	for (unsigned i = 0; i < 100; i++) {
		spool_finished(spool, append(i));
		commit();
	}
	crash();
	assert_int_equal(spool_notes(spool)->count, count - 1);
}

/* What a checkpoint says of notes is not believed beyond its own bytes. */
static void damaged_notes_are_refused(void **state)
{
	struct notes notes = { 0 }, read = { 0 };
	uint8_t bytes[128];
	size_t n;

	(void)state;
	assert_int_equal(notes_set(&notes, RECORD_COMMAND, 7, "abc", 3), 0);
	assert_int_equal(notes_set(&notes, RECORD_SUBSCRIBED, 7, "de", 2), 0);
	n = notes.size;
	assert_in_range(n, 1, sizeof(bytes));
	notes_encode(&notes, bytes);
	assert_int_equal(notes_decode(&read, bytes, n), 0);
	assert_int_equal(read.count, 2);
	assert_int_equal(read.size, n);
	assert_int_equal(notes_decode(&read, bytes, n - 1), -EBADMSG);
	assert_int_equal(notes_decode(&read, bytes, 24), 0);
	assert_int_equal(notes_decode(&read, bytes, 20), -EBADMSG);
	bytes[10] = 200;
	assert_int_equal(notes_decode(&read, bytes, n), -EBADMSG);
	bytes[10] = 0;
	assert_int_equal(notes_decode(&read, bytes, n), -EBADMSG);
	/* The same one twice. */
	bytes[10] = 3;
	bytes[24 + 8] = RECORD_COMMAND;
	assert_int_equal(notes_decode(&read, bytes, n), -EBADMSG);
	assert_int_equal(notes_decode(&read, bytes, 0), 0);
	assert_int_equal(read.count, 0);
	notes_done(&notes);
	notes_done(&read);
}

static void numbers_are_never_used_again(void **state)
{
	uint64_t first, last;

	(void)state;
	open_spool();
	first = append(0);
	commit();
	crash();
	last = append(1);
	assert_true(last > first);
	commit();
	assert_int_equal(spool_close(spool), 0);
	open_spool();
	assert_true(append(2) > last);
}

/* Path of the only segment in use. */
static int open_segment(void)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/0000.seg", directory);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

/* Offset of the n-th message's record. */
static uint32_t message_offset(int fd, unsigned n)
{
	struct segment_reader reader = { 0 };
	struct record record;
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct segment_header header;
	uint32_t offset = 0;

	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(segment_header_decode(bytes, &header), 0);
	assert_int_equal(segment_reader_begin(&reader, fd, header.id, SEGMENT_HEADER_SIZE,
					      header.size), 0);
	do
		assert_int_equal(segment_read(&reader, &record, &offset), 1);
	while (record.type != RECORD_MESSAGE || n--);
	segment_reader_done(&reader);
	return offset;
}

static void torn_tail_is_cut_off(void **state)
{
	struct message message;
	struct place place;
	uint32_t offset;
	int fd;

	(void)state;
	conf.sync_us = 0;
	open_spool();
	for (unsigned i = 0; i < 5; i++)
		append(i);
	commit();
	leave();
	fd = open_segment();
	offset = message_offset(fd, 4);
	assert_int_equal(pwrite(fd, "garbage!", 8, offset + 40), 8);
	close(fd);
	open_spool();
	assert_sums(4, 0, 4);
	append(4);
	commit();
	crash();
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(spool_next(spool, &message, &place), 1);
		assert_body(&message, i);
	}
	assert_int_equal(spool_next(spool, &message, &place), 0);
}

static void flipped_bit_costs_one_message(void **state)
{
	struct message message;
	struct place place;
	uint32_t offset;
	uint8_t byte;
	int fd;

	(void)state;
	conf.sync_us = 0;
	open_spool();
	for (unsigned i = 0; i < 5; i++)
		append(i);
	commit();
	leave();
	fd = open_segment();
	offset = message_offset(fd, 2) + 48;
	assert_int_equal(pread(fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
	close(fd);
	open_spool();
	for (unsigned i = 0; i < 5; i++) {
		if (i == 2)
			continue;
		assert_int_equal(spool_next(spool, &message, &place), 1);
		assert_body(&message, i);
	}
	assert_int_equal(spool_next(spool, &message, &place), 0);
	assert_int_equal(spool_sums(spool).damaged, 1);
	assert_sums(5, 0, 4);
	assert_non_null(spool_loss(spool));
	assert_int_equal(spool_loss(spool)->why, LOSS_DAMAGED);
	assert_int_equal(spool_loss(spool)->count, 1);
}

/* An acknowledgement that came just before is none of the loss, also when it is read back. */
static void acknowledged_is_not_dropped_too(void **state)
{
	struct spool_sums sums;
	uint64_t oldest, next;

	(void)state;
	open_spool();
	for (unsigned i = 0; i < 4; i++)
		append(i);
	send_next(0, 1);
	send_next(1, 2);
	commit();
	assert_true(spool_acked(spool, 2));
	spool_range(spool, &oldest, &next);
	assert_int_equal(spool_drop(spool, oldest + 1, oldest + 2), 1);
	commit();
	crash();
	sums = spool_sums(spool);
	assert_int_equal(sums.acked, 1);
	assert_int_equal(sums.given_up[LOSS_USER], 1);
	assert_int_equal(spool_loss(spool)->count, 1);
}

static void second_opener_is_refused(void **state)
{
	struct spool *other = NULL;

	(void)state;
	open_spool();
	assert_int_equal(spool_open(&conf, false, &other), -EBUSY);
	assert_int_equal(spool_open(&conf, true, &other), 0);
	spool_free(other);
}

/* Far more than fits: the oldest go, counted and told; what is left comes in order. */
static void full_spool_drops_the_oldest(void **state)
{
	enum { MANY = 40000 };
	struct spool_sums sums;
	struct message message;
	struct place place;
	unsigned next;

	(void)state;
	open_spool();
	for (unsigned i = 0; i < MANY; i++) {
		append(i);
		if (i % 100 == 0)
			commit();
	}
	commit();
	crash();
	sums = spool_sums(spool);
	assert_int_equal(sums.taken, MANY);
	assert_true(sums.dropped > 0 && sums.waiting > 0);
	assert_int_equal(sums.dropped + sums.waiting, MANY);
	assert_int_equal(spool_loss(spool)->why, LOSS_FULL);
	assert_int_equal(spool_loss(spool)->count, sums.dropped);
	assert_true(spool_loss(spool)->from_ms > 0);
	next = sums.dropped;
	while (spool_next(spool, &message, &place) == 1) {
		assert_body(&message, next++);
		spool_finished(spool, message.seq);
		if (next % 100 == 0)
			commit();
	}
	assert_int_equal(next, MANY);
	assert_sums(MANY, sums.waiting, 0);
}

static void full_spool_drops_the_newest_and_drains(void **state)
{
	struct spool_sums sums;
	struct message full = {
		.qos = 2, .topic = "t", .topic_length = 1, .body = "1", .body_length = 1,
	};
	unsigned kept = 0;
	uint16_t mid = 0;

	(void)state;
	conf.when_full = DROP_NEWEST;
	open_spool();
	while (spool_append(spool, &full) == 0)
		kept++;
	commit();
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(spool_append(spool, &full), -ENOSPC);
	sums = spool_sums(spool);
	assert_int_equal(sums.dropped, 11);
	assert_int_equal(sums.waiting, kept);
	/* The steps of the handshake still find room. */
	for (unsigned i = 0; i < kept; i++) {
		struct message message;
		struct place place;
		struct flight flight;

		assert_int_equal(spool_next(spool, &message, &place), 1);
		flight = (struct flight){ .seq = message.seq, .segment = place.segment,
			.offset = place.offset, .mid = ++mid ? mid : ++mid, .qos = 2 };
		assert_int_equal(spool_sent(spool, &flight), 0);
		commit();
		assert_true(spool_released(spool, mid));
		commit();
		assert_true(spool_acked(spool, mid));
	}
	commit();
	sums = spool_sums(spool);
	assert_int_equal(sums.acked, kept);
	assert_int_equal(sums.waiting, 0);
}

/* A child appends, commits, sends and acknowledges until it is killed; it tells what it did. */
static void child_works(int out)
{
	uint16_t mid;

	if (spool_open(&conf, false, &spool) < 0)
		_exit(1);
	mid = spool_last_mid(spool);
	while (true) {
		uint64_t told[2] = { append(7), 0 };
		struct message message;
		struct place place;
		struct flight flight;

		commit();
		if (write(out, told, sizeof(told)) < 0)
			_exit(1);
		if (told[0] % 3 == 0 || spool_next(spool, &message, &place) != 1)
			continue;
		mid = mid == 65535 ? 1 : mid + 1;
		flight = (struct flight){ .seq = message.seq, .segment = place.segment,
			.offset = place.offset, .mid = mid, .qos = 2 };
		told[1] = message.seq;
		if (spool_sent(spool, &flight) < 0)
			_exit(1);
		commit();
		spool_acked(spool, mid);
		commit();
		told[0] = 0;
		if (write(out, told, sizeof(told)) < 0)
			_exit(1);
	}
}

static void nothing_promised_is_lost_by_sigkill(void **state)
{
	uint64_t appended = 0, acked = 0, highest = 0;

	(void)state;
	conf.max_bytes = 64 << 20;
	srand(1); /* the kill comes at another moment each time anyway */
	for (unsigned run = 0; run < 60; run++) {
		uint64_t told[2], oldest, next;
		unsigned quota = 1 + rand() % 400;
		struct spool_sums sums;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (pid == 0)
			child_works(fds[1]);
		close(fds[1]);
		while (quota-- && read(fds[0], told, sizeof(told)) == sizeof(told)) {
			appended += told[0] != 0;
			acked += told[1] != 0;
			if (told[0]) {
				assert_true(told[0] > highest);
				highest = told[0];
			}
		}
		kill(pid, SIGKILL);
		while (read(fds[0], told, sizeof(told)) == sizeof(told)) {
			appended += told[0] != 0;
			acked += told[1] != 0;
			if (told[0])
				highest = told[0];
		}
		close(fds[0]);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		open_spool();
		sums = spool_sums(spool);
		spool_range(spool, &oldest, &next);
		assert_true(next > highest);
		/* One more may have been done than was told. */
		assert_in_range(sums.taken, appended, appended + 1);
		assert_in_range(sums.acked, acked, acked + 1);
		assert_int_equal(sums.dropped + sums.damaged + sums.refused, 0);
		appended = sums.taken;
		acked = sums.acked;
		highest = next - 1;
		spool_free(spool);
		spool = NULL;
	}
}

/* While all is acknowledged at once, two files take turns and no more are made. */
static void empty_journal_stays_small(void **state)
{
	char path[96];
	struct stat st;

	(void)state;
	conf.sync_us = 0;
	open_spool();
	for (unsigned i = 0; i < 20000; i++) {
		append(i);
		send_next(i, i % 65535 + 1);
		assert_true(spool_acked(spool, i % 65535 + 1));
		if (i % 50 == 0)
			commit();
	}
	commit();
	snprintf(path, sizeof(path), "%s/0001.seg", directory);
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof(path), "%s/0002.seg", directory);
	assert_int_equal(stat(path, &st), -1);
	assert_sums(20000, 20000, 0);
}

/* What the next commit would write once more, is filled up; it is nothing to a reader. */
static void a_page_that_is_nearly_full_is_filled(void **state)
{
	struct spool_walk walk = { .visit = goes_on };
	const struct journal *journal;
	unsigned taken = 0;

	(void)state;
	conf.sync_us = 0;
	open_spool();
	append(taken++);
	commit();
	journal = &spool->journal;
	for (unsigned i = 0; i < 10; i++) {
		uint32_t begin = journal->end;

		while (journal->end - begin < 3900 || journal->end % 4096 < 3800)
			append(taken++);
		commit();
		if (i)
			assert_int_equal(journal->end - begin, 4096);
		assert_int_equal(journal->end % 4096, 0);
		assert_int_equal(journal->synced, journal->end);
	}
	/* One by one they stand close together. */
	for (unsigned i = 0; i < 100; i++) {
		uint32_t begin = journal->end;

		append(taken++);
		commit();
		assert_in_range(journal->end - begin, 1, 128);
	}
	crash();
	assert_int_equal(spool_sums(spool).waiting, taken);
	assert_int_equal(spool_walk(spool, &walk), 0);
	assert_int_equal(walk.damaged, 0);
}

#define spool_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { OWNER = 54321, READER = 54322 };

static int give_away(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return lchown(path, OWNER, OWNER);
}

/* Who is in the gateway's group may look at all of it, also at what is not on the disk yet. */
static void the_group_may_read_it(void **state)
{
	mode_t before = umask(027);
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	open_spool();
	append(1);
	commit();
	umask(before);
	assert_int_equal(chmod(directory, 0750), 0);
	assert_int_equal(nftw(directory, give_away, 16, FTW_PHYS), 0);

	pid = fork();
	if (pid == 0) {
		struct spool *seen;

		if (setgroups(0, NULL) < 0 || setgid(OWNER) < 0 || setuid(READER) < 0)
			_exit(1);
		_exit(spool_open(&conf, true, &seen) < 0 ? 2 : spool_sums(seen).taken == 1 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		spool_test(the_group_may_read_it),
		spool_test(flights_survive_a_crash),
		spool_test(a_page_that_is_nearly_full_is_filled),
		spool_test(what_is_given_up_flies_on),
		cmocka_unit_test(checkpoints_hold_what_is_given_up),
		spool_test(numbers_are_never_used_again),
		spool_test(notes_are_carried_on),
		spool_test(notes_are_bounded),
		spool_test(damaged_notes_are_refused),
		spool_test(torn_tail_is_cut_off),
		spool_test(flipped_bit_costs_one_message),
		spool_test(acknowledged_is_not_dropped_too),
		spool_test(second_opener_is_refused),
		spool_test(full_spool_drops_the_oldest),
		spool_test(full_spool_drops_the_newest_and_drains),
		spool_test(nothing_promised_is_lost_by_sigkill),
		spool_test(empty_journal_stays_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
