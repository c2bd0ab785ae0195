/* SPDX-License-Identifier: Apache-2.0 */
/* test_spool_kill.c - what was promised is there again, at whatever instruction a kill comes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/units.h"
#include "spool_work.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

enum {
	KILLS = 400,
	/* One child's pipe full of reports is half of it. */
	FATES_MAX = 1 << 17,
	/* With more waiting, a child takes nothing in. */
	BACKLOG = 150,
};

/* What a child tells of a message: before what may happen to it, after what did. */
enum what { OPENED, TAKEN, SENT, RELEASED, TO_END, ENDED };

struct report {
	uint64_t seq;
	uint16_t mid;
	enum what what;
};

struct fate {
	uint64_t seq;
	uint16_t mid;
	enum what what; /* last told */
	bool found;
};

static char *directory;
static struct spool_conf conf;
static struct spool *spool;
static struct fate fates[FATES_MAX];
static size_t fate_count;
/* What has ended is forgotten once it was seen to be gone. */
static uint64_t forgotten, last_seq;

static int set_up(_unused_ void **state)
{
	directory = work_directory("/dev/shm");
	setenv("RUNTIME_DIRECTORY", directory, true);
	conf = (struct spool_conf){ .directory = directory, .max_bytes = 8 << 20 };
	log_set_level(LOG_EMERG);
	srand(getpid());
	return 0;
}

static int tear_down(_unused_ void **state)
{
	spool_free(spool);
	work_remove(directory);
	free(directory);
	return 0;
}

/* --- the child --- */

static void tell(int out, enum what what, uint64_t seq, uint16_t mid)
{
	const struct report report = { seq, mid, what };

	if (write(out, &report, sizeof(report)) != sizeof(report))
		_exit(1);
}

static void commit(void)
{
	/* Now and then what is owed later is owed now. */
	uint64_t later_us = rand() % 4 ? 0 : 3600 * USEC_PER_SEC;

	if (spool_commit(spool, clock_monotonic_us() + later_us) < 0)
		_exit(1);
}

static void take_in(int out)
{
	uint64_t seqs[4];
	unsigned count = 1 + rand() % 4;

	for (unsigned i = 0; i < count; i++)
		if (work_append(spool, rand() % 4 ? 60 : 10000, 1 + rand() % 2, &seqs[i]) < 0)
			_exit(1);
	commit();
	for (unsigned i = 0; i < count; i++)
		tell(out, TAKEN, seqs[i], 0);
}

static void send_some(int out)
{
	struct flight sent[8];
	unsigned count = 0;

	while (count < 8 && work_send_next(spool, &sent[count]))
		count++;
	commit();
	for (unsigned i = 0; i < count; i++)
		tell(out, SENT, sent[i].seq, sent[i].mid);
}

/* A step of the first flights. */
static void step(int out)
{
	const struct flight *flights;
	size_t count;

	for (unsigned i = 0; i < 6; i++) {
		struct flight flight;

		flights = spool_flights(spool, &count);
		if (!count)
			return;
		flight = flights[rand() % (count < 6 ? count : 6)];
		if (flight.qos == 2 && flight.state == FLIGHT_SENT) {
			spool_released(spool, flight.mid);
			commit();
			tell(out, RELEASED, flight.seq, flight.mid);
			continue;
		}
		tell(out, TO_END, flight.seq, flight.mid);
		if (rand() % 16)
			spool_acked(spool, flight.mid);
		else
			spool_refused(spool, flight.mid, 135);
		commit();
		tell(out, ENDED, flight.seq, flight.mid);
	}
}

static void work(int out)
{
	srand(getpid());
	if (spool_open(&conf, false, &spool) < 0)
		_exit(1);
	tell(out, OPENED, 0, 0);
	while (true) {
		if (spool_sums(spool).waiting < BACKLOG)
			take_in(out);
		send_some(out);
		step(out);
	}
}

/* --- what is kept of its promises --- */

static struct fate *fate_of(uint64_t seq)
{
	for (size_t i = fate_count; i > 0; i--)
		if (fates[i - 1].seq == seq)
			return &fates[i - 1];
	assert_true(fate_count < FATES_MAX);
	/* Taken in and not told: the kill came first. A lower number is a message come back. */
	assert_true(seq > last_seq);
	last_seq = seq;
	fates[fate_count] = (struct fate){ .seq = seq, .what = TAKEN };
	return &fates[fate_count++];
}

static unsigned hear(int in)
{
	struct report report;
	unsigned count = 0;

	while (read(in, &report, sizeof(report)) == sizeof(report)) {
		struct fate *fate;

		count++;
		if (report.what == OPENED)
			continue;
		/* The spool is ours alone, so each message is told of in turn. */
		fate = fate_of(report.seq);
		fate->what = report.what;
		fate->mid = report.mid;
	}
	return count;
}

static void wait_for_kill(pid_t pid, int in)
{
	struct pollfd fd = { .fd = in, .events = POLLIN };
	struct timespec moment = { .tv_nsec = rand() % 3000000 };

	/* One in four comes while the spool is opened. */
	if (rand() % 4)
		assert_int_equal(poll(&fd, 1, 30000), 1);
	(void)!ppoll(NULL, 0, &moment, NULL);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void found(_unused_ void *data, uint64_t seq)
{
	struct fate *fate = fate_of(seq);

	assert_false(fate->found);
	fate->found = true;
}

static void check_flights(void)
{
	const struct flight *flights;
	size_t count;

	flights = spool_flights(spool, &count);
	for (size_t i = 0; i < fate_count; i++) {
		const struct flight *flight = NULL;

		for (size_t j = 0; j < count; j++)
			if (flights[j].seq == fates[i].seq)
				flight = &flights[j];
		if (fates[i].what != SENT && fates[i].what != RELEASED)
			continue;
		assert_non_null(flight);
		assert_int_equal(flight->mid, fates[i].mid);
		if (fates[i].what == RELEASED)
			assert_int_equal(flight->state, FLIGHT_RELEASED);
	}
}

static void forget_ended(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < fate_count; i++)
		if (fates[i].what != ENDED)
			fates[kept++] = fates[i];
	forgotten += fate_count - kept;
	fate_count = kept;
}

static void check_promises(void)
{
	struct spool_sums sums;
	uint64_t oldest, next;

	for (size_t i = 0; i < fate_count; i++)
		fates[i].found = false;
	work_find_all(spool, found, NULL);
	check_flights();
	for (size_t i = 0; i < fate_count; i++) {
		if (fates[i].what == TO_END)
			fates[i].what = fates[i].found ? SENT : ENDED;
		assert_int_equal(fates[i].found, fates[i].what != ENDED);
	}
	forget_ended();
	sums = spool_sums(spool);
	spool_range(spool, &oldest, &next);
	assert_int_equal(sums.taken, forgotten + fate_count);
	/* Of what is set aside the oldest may be left out. */
	assert_int_equal(sums.dropped - sums.given_up[LOSS_REFUSED] + sums.damaged, 0);
	assert_true(next > last_seq);
}

static void nothing_promised_is_lost(_unused_ void **state)
{
	unsigned reports = 0;

	fate_count = forgotten = last_seq = 0;
	for (unsigned run = 0; run < KILLS; run++) {
		int fds[2];
		pid_t pid;

		conf.sync_us = run / 8 % 2 ? USEC_PER_SEC : 0;
		assert_int_equal(pipe(fds), 0);
		/* So that a child never waits for who hears it. */
		assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) > 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			work(fds[1]);
		close(fds[1]);
		wait_for_kill(pid, fds[0]);
		reports += hear(fds[0]);
		close(fds[0]);
		assert_int_equal(spool_open(&conf, false, &spool), 0);
		check_promises();
		if (run % 2)
			assert_int_equal(spool_close(spool), 0);
		else
			spool_free(spool);
		spool = NULL;
	}
	print_message("%u kills, %u promises, %" PRIu64 " messages\n", KILLS, reports,
		      forgotten + fate_count);
	assert_true(reports > KILLS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_promised_is_lost, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
