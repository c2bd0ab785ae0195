/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spool_faults.c - a disk that refuses, at each call of a spool's work, in each way.
 *
 * Refused once, for a while, or until the process ends, the spool goes on from memory; when
 * the disk takes what is written again, all is there that was taken in.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/units.h"
#include "fake_disk.h"
#include "spool_work.h"
#include "uplink/bodies.h"
#include "uplink/spool_state.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	MESSAGES_MAX = 256,
	ACTIONS = 90,
	WHILE = 12,       /* calls that are refused, … */
	SHORT = INT_MAX,  /* … or writes that are done by half */
};

struct fate {
	uint64_t seq;
	bool ended;     /* or may be */
	bool promised;  /* by a commit, to wait */
	bool found;
};

static char *directory, *path;
static struct spool_conf conf;
static struct spool *spool;
static struct fate fates[MESSAGES_MAX];
static size_t fate_count;
static unsigned random_state;
static uint64_t refused_messages;

/* The calls from `from` on, so many, end with `error`. */
static struct {
	unsigned from, count;
	int error;
	unsigned calls; /* so far */
} fault;

static ssize_t refuse(const struct disk_call *call)
{
	unsigned number = fault.calls++;

	if (number < fault.from || number - fault.from >= fault.count)
		return 0;
	if (fault.error != SHORT)
		return -fault.error;
	return call->op == DISK_WRITE && call->n > 1 ? (ssize_t)call->n / 2 : 0;
}

static int set_up(_unused_ void **state)
{
	directory = work_directory("/dev/shm");
	setenv("RUNTIME_DIRECTORY", directory, true);
	path = work_directory(directory);
	conf = (struct spool_conf){ .directory = path, .max_bytes = 2 << 20 };
	log_set_level(LOG_EMERG);
	fake_disk.before = refuse;
	return 0;
}

static int tear_down(_unused_ void **state)
{
	fault.count = 0;
	fake_disk.before = NULL;
	spool_free(spool);
	spool = NULL;
	work_remove(directory);
	free(path);
	free(directory);
	return 0;
}

/* --- work --- */

static unsigned below(unsigned n)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 16) % n;
}

static struct fate *fate_of(uint64_t seq)
{
	for (size_t i = 0; i < fate_count; i++)
		if (fates[i].seq == seq)
			return &fates[i];
	fail_msg("message %llu was never taken in", (unsigned long long)seq);
	return NULL;
}

/* Now and then one fills its segment to the brim, so that a step begins the next. */
static uint32_t any_length(void)
{
	const struct journal *journal = &spool->journal;
	size_t room = slots_current(&journal->slots)->size - journal->end;
	const size_t fixed = record_size(0) + MESSAGE_HEAD_SIZE + sizeof("barn/meter") - 1;

	if (below(3))
		return 60;
	return room > fixed + 60 && room < BODY_MAX ? room - fixed : 30000 + below(15000);
}

static void append(void)
{
	uint64_t seq;
	int r = work_append(spool, any_length(), 1 + below(2), &seq);

	if (r == 0)
		fates[fate_count++] = (struct fate){ .seq = seq };
	else
		refused_messages++;
	assert_true(r == 0 || r == -ENOSPC);
}

/* As work_send_next(), of a disk that may refuse to be read. */
static void send_next(void)
{
	static uint16_t mid;
	struct message message;
	struct place place;
	struct flight flight;

	if (spool_next(spool, &message, &place) != 1)
		return;
	assert_true(work_is_whole(&message));
	mid = mid == UINT16_MAX ? 1 : mid + 1;
	flight = (struct flight){
		.seq = message.seq, .segment = place.segment, .offset = place.offset,
		.mid = mid, .qos = message.qos,
	};
	assert_int_equal(spool_sent(spool, &flight), 0);
}

static void step(void)
{
	size_t count;
	const struct flight *flights = spool_flights(spool, &count), *flight;

	if (!count)
		return;
	flight = &flights[below(count)];
	if (flight->qos == 2 && flight->state == FLIGHT_SENT) {
		assert_true(spool_released(spool, flight->mid));
		return;
	}
	fate_of(flight->seq)->ended = true;
	if (below(8) || flight->state == FLIGHT_GIVEN_UP)
		assert_true(spool_acked(spool, flight->mid));
	else
		assert_true(spool_refused(spool, flight->mid, 135));
}

static void commit(void)
{
	int r = spool_commit(spool, clock_monotonic_us() +
					    (below(2) ? 0 : 3600 * USEC_PER_SEC));

	assert_int_equal(spool_state(spool).failing, r < 0);
	for (size_t i = 0; r == 0 && i < fate_count; i++)
		fates[i].promised = true;
}

/* Where there is no place for one more segment, the oldest are given up. */
static void note_overtaken(void)
{
	uint64_t oldest, next;

	spool_range(spool, &oldest, &next);
	for (size_t i = 0; i < fate_count; i++)
		if (fates[i].seq < oldest)
			fates[i].ended = true;
}

static void work(void)
{
	for (unsigned i = 0; i < ACTIONS; i++) {
		struct spool_sums sums;
		unsigned what = below(16);

		if (what < 5)
			append();
		else if (what < 8)
			send_next();
		else if (what < 10)
			step();
		else if (what < 15)
			commit();
		else if (spool_drop(spool, fates[0].seq + i, fates[0].seq + i) && fate_count)
			fate_of(fates[0].seq + i)->ended = true;
		note_overtaken();
		sums = spool_sums(spool);
		assert_int_equal(sums.taken, fate_count + refused_messages);
	}
}

/* --- what is left of it --- */

static void note_found(_unused_ void *data, uint64_t seq)
{
	struct fate *fate = fate_of(seq);

	assert_false(fate->found);
	fate->found = true;
}

static void find_all(void)
{
	for (size_t i = 0; i < fate_count; i++)
		fates[i].found = false;
	work_find_all(spool, note_found, NULL);
}

/* The process lives: what was taken in and is not finished waits, and nothing else. */
static void assert_all_is_there(void)
{
	const struct spool_sums sums = spool_sums(spool);

	find_all();
	for (size_t i = 0; i < fate_count; i++)
		assert_int_equal(fates[i].found, !fates[i].ended);
	assert_int_equal(sums.taken, fate_count + refused_messages);
	assert_int_equal(spool_sums(spool).damaged, 0);
}

/* The process was killed: what was promised is there. */
static void assert_promises_are_kept(void)
{
	find_all();
	for (size_t i = 0; i < fate_count; i++)
		assert_true(fates[i].found || fates[i].ended || !fates[i].promised);
}

static void reopen(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
}

static void recover(bool killed)
{
	if (killed) {
		spool_free(spool);
		fault.count = 0;
		reopen();
		assert_promises_are_kept();
		assert_int_equal(spool_close(spool), 0);
		spool = NULL;
		return;
	}
	fault.count = 0;
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
	assert_false(spool_state(spool).failing);
	assert_all_is_there();
	assert_int_equal(spool_close(spool), 0);
	reopen();
	assert_all_is_there();
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
}

/* One life of a spool, with a fault; how many calls there were. */
static unsigned live(unsigned from, unsigned count, int error, bool killed)
{
	work_remove(path);
	random_state = 7;
	fate_count = refused_messages = 0;
	fault.from = from;
	fault.count = count;
	fault.error = error;
	fault.calls = 0;
	if (spool_open(&conf, false, &spool) < 0) {
		fault.count = 0;
		reopen();
	}
	work();
	recover(killed);
	return fault.calls;
}

static unsigned refuse_from(unsigned from, int error)
{
	live(from, 1, error, false);
	live(from, WHILE, error, false);
	live(from, INT_MAX, error, false);
	live(from, INT_MAX, error, true);
	return 4;
}

static void refuse_each_call(void)
{
	static const int errors[] = { EIO, ENOSPC, EROFS, SHORT };
	unsigned calls = live(0, 0, 0, false), lives = 0;

	for (unsigned from = 0; from < calls; from++)
		for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
			lives += refuse_from(from, errors[i]);
	print_message("%u calls, %u lives\n", calls, lives);
	assert_true(calls > 50);
}

static void each_call_may_be_refused(_unused_ void **state)
{
	refuse_each_call();
}

static void each_call_may_be_refused_with_a_tail(_unused_ void **state)
{
	conf.sync_us = USEC_PER_SEC;
	refuse_each_call();
}

#define fault_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fault_test(each_call_may_be_refused),
		fault_test(each_call_may_be_refused_with_a_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
