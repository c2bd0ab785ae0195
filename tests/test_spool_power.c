/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spool_power.c - what was promised is there again, wherever the power fails.
 *
 * A spool is put to work, and all that it does to the disk recorded. Then each state that the
 * disk may be in when the power fails between any two operations is built and opened, with the
 * tail gone and in another boot of the machine.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/units.h"
#include "fake_clock.h"
#include "power_cut.h"
#include "spool_work.h"
#include "uplink/spool_state.h"

#include <stdio.h>
#include <sys/stat.h>

enum {
	MESSAGES_MAX = 4096,
	NEVER = INT32_MAX,
	/* Later than all that is ever due. */
	LATER_US = 3600 * 1000 * 1000ULL,
	/* Every so many states are used further and opened once more. */
	USE_EVERY = 5,
};

enum how { WAITS, ACKED, REFUSED, DROPPED, OVERTAKEN };

/* What became of a message, and how many operations had been done then. */
struct fate {
	uint64_t seq;
	uint16_t mid;
	enum how how;
	size_t visible;       /* its number may have left the process */
	size_t kept;          /* it is promised to be on the disk */
	size_t ends, ended;   /* its end was noted, and is on the disk */
	size_t sent, released; /* QoS 2: the flight is on the disk, in that state */
	bool is_sent, is_released, is_among_dropped, found, is_aside;
	bool is_also_acked, is_also_refused; /* its flight went on when it was given up */
};

static char *directory, *target;
static struct spool_conf conf;
static struct spool *spool;
static struct fate fates[MESSAGES_MAX];
static size_t fate_count, commits[8192], commit_count, visited;
static unsigned seed, random_state;
static bool step_is_owed;
static size_t cut_at; /* before it, the power failed once */
static struct spool_sums sums_before;
static bool is_left_out; /* some of what was refused */

/* A note that is changed again and again: which one is promised after so many operations. */
static struct {
	uint64_t version;
	size_t kept;
} notes[8192];
static size_t note_count;
static uint64_t noted;      /* the last version */
static bool note_is_owed;

static int set_up(_unused_ void **state)
{
	directory = work_directory("/dev/shm");
	target = work_directory(directory);
	setenv("RUNTIME_DIRECTORY", target, true);
	conf = (struct spool_conf){ .max_bytes = 1 << 20 };
	log_set_level(LOG_EMERG);
	return 0;
}

static int tear_down(_unused_ void **state)
{
	power_stop();
	power_forget();
	spool_free(spool);
	spool = NULL;
	work_remove(directory);
	free(target);
	free(directory);
	return 0;
}

/* --- the work, and what was promised --- */

static unsigned below(unsigned n)
{
	random_state = random_state * 1103515245 + 12345;
	return (random_state >> 16) % n;
}

static void begin_end(struct fate *fate, enum how how, size_t when)
{
	if (fate->ends != NEVER)
		return;
	fate->ends = when;
	fate->how = how;
}

/* The oldest are given up where the spool is full. */
static void note_overtaken(size_t when)
{
	uint64_t oldest, next;

	spool_range(spool, &oldest, &next);
	for (size_t i = 0; i < fate_count; i++)
		if (fates[i].seq < oldest)
			begin_end(&fates[i], OVERTAKEN, when);
}

static void append(uint32_t length, uint8_t qos)
{
	size_t when = power_operations();
	uint64_t seq;

	if (work_append(spool, length, qos, &seq) == 0)
		fates[fate_count++] = (struct fate){
			.seq = seq, .visible = NEVER, .kept = NEVER, .ends = NEVER,
			.ended = NEVER, .sent = NEVER, .released = NEVER,
		};
	note_overtaken(when);
}

static struct fate *fate_of(uint64_t seq)
{
	for (size_t i = fate_count; i > 0; i--)
		if (fates[i - 1].seq == seq)
			return &fates[i - 1];
	return NULL;
}

static void send_next(void)
{
	size_t when = power_operations();
	struct flight flight;
	struct fate *fate;

	if (!work_send_next(spool, &flight))
		return;
	fate = fate_of(flight.seq);
	assert_non_null(fate);
	if (flight.qos == 0) {
		begin_end(fate, ACKED, when);
		return;
	}
	fate->mid = flight.mid;
	fate->is_sent = flight.qos == 2;
	step_is_owed |= flight.qos == 2;
}

static void change_note(void)
{
	uint8_t bytes[308] = { 0 };

	put_u64(bytes, ++noted);
	assert_int_equal(spool_note(spool, RECORD_COMMAND, 7, bytes, 8 + below(300), true), 0);
	note_is_owed = step_is_owed = true;
}

/* 0: there is none. */
static uint64_t note_found_in(const struct spool *in)
{
	const struct note *note = notes_find(spool_notes(in), RECORD_COMMAND, 7);

	return note ? get_u64(note->bytes) : 0;
}

static void promise_note(uint64_t version, size_t kept)
{
	notes[note_count].version = version;
	notes[note_count++].kept = kept;
}

static uint64_t promised_note(size_t done)
{
	uint64_t version = 0;

	for (size_t i = 0; i < note_count; i++)
		if (notes[i].kept <= done)
			version = notes[i].version;
	return version;
}

/* A step of one of the first flights. */
static void step(void)
{
	size_t when = power_operations(), count;
	const struct flight *flights = spool_flights(spool, &count), *flight;
	struct fate *fate;
	unsigned how = below(20);

	if (!count)
		return;
	flight = &flights[below(count < 3 ? count : 3)];
	fate = fate_of(flight->seq);
	if (!fate && flight->state != FLIGHT_GIVEN_UP) {
		/* Its message was lost with the power, and not promised. */
		spool_damaged(spool, flight->seq);
	} else if (!fate) {
		assert_true(spool_acked(spool, flight->mid));
	} else if (how == 0 && flight->state != FLIGHT_GIVEN_UP) {
		begin_end(fate, REFUSED, when);
		fate->is_also_refused = fate->how != REFUSED;
		assert_true(spool_refused(spool, flight->mid, 135));
	} else if (flight->qos == 2 && flight->state == FLIGHT_SENT) {
		assert_true(spool_released(spool, flight->mid));
		fate->is_released = step_is_owed = true;
	} else {
		begin_end(fate, ACKED, when);
		fate->is_also_acked = fate->how != ACKED;
		assert_true(spool_acked(spool, flight->mid));
	}
}

static void drop_some(void)
{
	size_t when = power_operations();
	uint64_t oldest, next, from;

	spool_range(spool, &oldest, &next);
	from = oldest + below(next - oldest + 1);
	for (size_t i = 0; i < fate_count; i++)
		if (fates[i].seq >= from && fates[i].seq <= from + 1) {
			begin_end(&fates[i], DROPPED, when);
			fates[i].is_among_dropped = true;
		}
	/* They are on the disk with the next commit. */
	step_is_owed |= spool_drop(spool, from, from + 1) > 0;
}

/*
 * Whether the commit has to sync: for a step, for a message that waits, or, later, for what is
 * finished while the disk has it as waiting. Then all is on the disk that was done so far.
 */
static bool is_sync_owed(bool later)
{
	if (step_is_owed)
		return true;
	for (size_t i = 0; i < fate_count; i++) {
		const struct fate *fate = &fates[i];

		if (fate->kept == NEVER && fate->ends == NEVER &&
		    (later || conf.sync_us == 0))
			return true;
		if (fate->kept != NEVER && fate->ends != NEVER && fate->ended == NEVER && later)
			return true;
	}
	return false;
}

static void commit(bool later)
{
	size_t when = power_operations(), now;
	bool synced = is_sync_owed(later);

	assert_int_equal(spool_commit(spool, clock_monotonic_us() + (later ? LATER_US : 0)), 0);
	note_overtaken(when);
	step_is_owed = false;
	now = power_operations();
	commits[commit_count++] = now;
	if (note_is_owed)
		promise_note(noted, now);
	note_is_owed = false;
	for (size_t i = 0; i < fate_count; i++) {
		struct fate *fate = &fates[i];

		if (fate->visible == NEVER)
			fate->visible = now;
		if (synced && fate->kept == NEVER && fate->ends == NEVER)
			fate->kept = now;
		if (synced && fate->ended == NEVER && fate->ends != NEVER)
			fate->ended = now;
		if (fate->is_sent && fate->sent == NEVER)
			fate->sent = now;
		if (fate->is_released && fate->released == NEVER)
			fate->released = now;
	}
}

static uint8_t any_qos(void)
{
	return below(8) ? 1 + below(2) : 0;
}

/* `slow`: less is acknowledged than comes, and it gets full. */
static void work(unsigned actions, bool slow)
{
	for (unsigned i = 0; i < actions; i++) {
		unsigned what = below(20);

		if (below(15) == 0)
			change_note();
		if (what < (slow ? 9 : 6))
			append(below(3) ? 40 + below(600) : 20000 + below(20000), any_qos());
		else if (what < 11)
			send_next();
		else if (what < (slow ? 12 : 15))
			step();
		else if (what < 19)
			commit(false);
		else if (below(3))
			commit(true);
		else
			drop_some();
	}
}

/* All is acknowledged at once, and the journal empty again and again. */
static void work_without_backlog(unsigned rounds)
{
	while (rounds--) {
		size_t count;

		append(40 + below(3000), below(8) ? below(2) : 2);
		if (below(10) == 0)
			change_note();
		if (below(2))
			commit(false);
		do {
			send_next();
			commit(false);
			step();
			spool_flights(spool, &count);
		} while (count || spool_sums(spool).waiting);
		commit(below(8) == 0);
	}
}

/* --- each state --- */

/* So many commits were done by then. */
static unsigned promises(size_t operations)
{
	size_t count = 0;

	while (count < commit_count && commits[count] <= operations)
		count++;
	return count;
}

#define hold(what, seq)                                                                     \
	do {                                                                                \
		if (!(what))                                                                \
			fail_msg("seed %u, after operation %zu, on the disk %s: message "    \
				 "%llu: not so: %s",                                        \
				 seed, done, state, (unsigned long long)(seq), #what);      \
	} while (0)

/* Where the disk is as it was when so many operations were done. */
struct cut {
	size_t done;
	const char *state;
};

static void note_found(void *data, uint64_t seq)
{
	const struct cut *cut = data;
	size_t done = cut->done;
	const char *state = cut->state;
	struct fate *fate = fate_of(seq);

	hold(fate, seq);
	hold(!fate->found, seq);
	hold(fate->ended > done, seq);
	fate->found = true;
}

static void check_flight(size_t done, const char *state, const struct fate *fate)
{
	const struct flight *flight = ledger_flight_by_seq(&spool->ledger, fate->seq);

	if (fate->sent > done || fate->ends < done)
		return;
	hold(flight, fate->seq);
	hold(flight->mid == fate->mid, fate->seq);
	hold(flight->state == FLIGHT_RELEASED || fate->released > done, fate->seq);
}

/* Of what is set aside the oldest may be left out. */
static uint64_t refused_in_all(const struct spool_sums *sums)
{
	return sums->refused + sums->given_up[LOSS_REFUSED];
}

static void check_sums(size_t done, const char *state)
{
	const struct spool_sums sums = spool_sums(spool);
	uint64_t refused = refused_in_all(&sums) - refused_in_all(&sums_before);
	uint64_t by_user = sums.given_up[LOSS_USER] - sums_before.given_up[LOSS_USER];
	uint64_t least[OVERTAKEN + 1] = { 0 }, most[OVERTAKEN + 1] = { 0 }, dropped = 0;

	for (size_t i = 0; i < fate_count; i++) {
		/* The disk may never have heard of what was finished soon. */
		least[fates[i].how] += fates[i].ended <= done && fates[i].kept <= done;
		most[fates[i].how] += fates[i].ends < done;
		/* The record of its earlier end may be in the sectors that are torn off. */
		most[ACKED] += fates[i].is_also_acked;
		most[REFUSED] += fates[i].is_also_refused;
		dropped += fates[i].is_among_dropped;
	}
	hold(sums.acked - sums_before.acked >= least[ACKED], 0);
	hold(sums.acked - sums_before.acked <= most[ACKED], 0);
	hold(refused >= least[REFUSED], 0);
	hold(refused <= most[REFUSED], 0);
	hold(by_user >= least[DROPPED] && by_user <= dropped, 0);
}

/* It can be used on, and what was found is found again. */
static void use(size_t done, const char *state, uint64_t waiting)
{
	uint64_t oldest, next, seq = 0;

	spool_range(spool, &oldest, &next);
	waiting += work_append(spool, 40, 1, &seq) == 0;
	/* The oldest may have had to go for it. */
	hold(spool_sums(spool).waiting == waiting ||
		     spool_sums(spool).given_up[LOSS_FULL], seq);
	waiting = spool_sums(spool).waiting;
	hold(spool_close(spool) == 0, 0);
	spool = NULL;
	hold(spool_open(&conf, false, &spool) == 0, 0);
	hold(spool_sums(spool).waiting == waiting, 0);
	hold(seq == 0 || seq >= next, seq);
}

static bool note_aside(_unused_ void *data, const struct spool_entry *entry)
{
	struct fate *fate = fate_of(entry->message.seq);

	if (fate)
		fate->is_aside = work_is_whole(&entry->message);
	return true;
}

/* What was refused does not wait any more only where it is set aside. */
static void check_aside(size_t done, const char *state)
{
	struct spool_walk walk = { .visit = note_aside };

	for (size_t i = 0; i < fate_count; i++)
		fates[i].is_aside = false;
	hold(spool_walk_refused(spool, &walk) == 0, 0);
	for (size_t i = 0; i < fate_count; i++) {
		hold(!fates[i].is_aside || !fates[i].found, fates[i].seq);
		hold(fates[i].how != REFUSED || fates[i].found || fates[i].is_aside ||
			     fates[i].kept > done || is_left_out, fates[i].seq);
	}
}

static void visit(size_t done, const char *state)
{
	struct cut cut = { done, state };
	uint64_t oldest, next, waiting;

	conf.directory = target;
	hold(spool_open(&conf, false, &spool) == 0, 0);
	spool_range(spool, &oldest, &next);
	for (size_t i = 0; i < fate_count; i++) {
		fates[i].found = false;
		hold(fates[i].visible > done || fates[i].seq < next, fates[i].seq);
		check_flight(done, state, &fates[i]);
	}
	hold(note_found_in(spool) >= promised_note(done), note_found_in(spool));
	waiting = work_find_all(spool, note_found, &cut);
	check_sums(done, state);
	check_aside(done, state);
	for (size_t i = 0; i < fate_count; i++)
		hold(fates[i].found || fates[i].kept > done || fates[i].ends < done,
		     fates[i].seq);
	if (++visited % USE_EVERY == 0)
		use(done, state, waiting);
	spool_free(spool);
	spool = NULL;
}

/* --- the tests --- */

static void begin_work(void)
{
	char *path;

	fate_count = commit_count = cut_at = note_count = 0;
	noted = 0;
	step_is_owed = is_left_out = note_is_owed = false;
	sums_before = (struct spool_sums){ 0 };
	random_state = seed;
	*fake_clock() = (struct fake_clock){
		.wall_ms = 1795514400000, .boottime_us = USEC_PER_SEC, .boot = 1,
	};
	assert_true(asprintf(&path, "%s/%u", directory, seed) > 0);
	assert_int_equal(mkdir(path, 0700), 0);
	power_record(path);
	conf.directory = path;
	assert_int_equal(spool_open(&conf, false, &spool), 0);
}

/* The machine is switched on an hour later. */
static void switch_on(void)
{
	fake_clock()->boot++;
	fake_clock()->wall_ms += 3600 * 1000;
}

static void note_survivor(_unused_ void *data, uint64_t seq)
{
	fate_of(seq)->found = true;
}

/* From here on the disk is as it is, and what is on it is promised. */
static void note_survivors(void)
{
	size_t count = 0;
	struct spool *looker;

	for (size_t i = 0; i < fate_count; i++)
		fates[i].found = false;
	assert_int_equal(spool_open(&conf, true, &looker), 0);
	work_find_all(looker, note_survivor, NULL);
	spool_free(looker);
	for (size_t i = 0; i < fate_count; i++) {
		const struct flight *flight =
			ledger_flight_by_seq(&spool->ledger, fates[i].seq);
		bool is_sent = flight && flight->qos == 2;
		bool is_released = is_sent && flight->state == FLIGHT_RELEASED;

		if (!fates[i].found)
			continue;
		fates[count++] = (struct fate){
			.seq = fates[i].seq, .mid = flight ? flight->mid : 0,
			.visible = cut_at, .kept = cut_at, .ends = NEVER, .ended = NEVER,
			.sent = is_sent ? cut_at : NEVER, .is_sent = is_sent,
			.released = is_released ? cut_at : NEVER, .is_released = is_released,
		};
	}
	fate_count = count;
}

static void cut_power_once(void)
{
	uint64_t oldest, next;

	is_left_out = spool_sums(spool).given_up[LOSS_REFUSED];
	spool_free(spool);
	spool = NULL;
	power_fail(seed * 2654435761u);
	cut_at = power_operations();
	switch_on();
	assert_int_equal(spool_open(&conf, false, &spool), 0);
	sums_before = spool_sums(spool);
	spool_range(spool, &oldest, &next);
	for (size_t i = 0; i < fate_count; i++)
		assert_true(fates[i].visible == NEVER || fates[i].seq < next);
	step_is_owed = note_is_owed = false;
	assert_true(note_found_in(spool) >= promised_note(cut_at));
	promise_note(note_found_in(spool), cut_at);
	note_survivors();
}

static size_t cut_power(void)
{
	static const struct power_visitor visitor = { promises, visit };
	size_t states;

	free(conf.directory);
	is_left_out |= spool_sums(spool).given_up[LOSS_REFUSED] > 0;
	spool_free(spool);
	spool = NULL;
	power_stop();
	switch_on();
	states = power_states(target, cut_at, &visitor);
	power_forget();
	return states;
}

static void power_may_fail(const char *what, bool slow, bool backlog)
{
	const char *scale = getenv("POSTBUS_TEST_SCALE");
	unsigned seeds = scale ? atoi(scale) : 1;
	size_t states = 0, done = 0;

	for (seed = 1; seed <= seeds; seed++) {
		begin_work();
		if (backlog)
			work(slow ? 500 : 400, slow);
		else
			work_without_backlog(100);
		done += power_operations();
		states += cut_power();
	}
	print_message("%s: %zu operations, %zu states of the disk\n", what, done, states);
	assert_true(states > 300);
}

static void power_fails_while_all_is_synced(_unused_ void **state)
{
	power_may_fail("always", false, true);
}

static void power_fails_with_a_tail(_unused_ void **state)
{
	conf.sync_us = USEC_PER_SEC;
	power_may_fail("1s", false, true);
}

static void power_fails_when_full(_unused_ void **state)
{
	power_may_fail("always, full", true, true);
}

static void power_fails_when_full_with_a_tail(_unused_ void **state)
{
	conf.sync_us = USEC_PER_SEC;
	power_may_fail("1s, full", true, true);
}

static void power_fails_when_the_newest_are_dropped(_unused_ void **state)
{
	conf.when_full = DROP_NEWEST;
	power_may_fail("always, full, newest dropped", true, true);
}

static void power_fails_without_backlog(_unused_ void **state)
{
	power_may_fail("always, no backlog", false, false);
}

static void power_fails_without_backlog_with_a_tail(_unused_ void **state)
{
	conf.sync_us = USEC_PER_SEC;
	power_may_fail("1s, no backlog", false, false);
}

/* In the midst of what is done about the first time. */
static void fail_again(const char *what, unsigned seeds)
{
	const char *scale = getenv("POSTBUS_TEST_SCALE");
	size_t states = 0;

	seeds *= scale ? atoi(scale) : 1;
	for (seed = 1; seed <= seeds; seed++) {
		begin_work();
		work(20 + below(150), false);
		cut_power_once();
		work(8, false);
		/* All is finished, and the segments that held it are written again. */
		work_without_backlog(1);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(spool_rotate(spool, false), 0);
		states += cut_power();
	}
	print_message("%s: twice, %zu states of the disk\n", what, states);
	assert_true(states > 300);
}

static void power_fails_twice(_unused_ void **state)
{
	fail_again("always", 24);
}

static void power_fails_twice_with_a_tail(_unused_ void **state)
{
	conf.sync_us = USEC_PER_SEC;
	fail_again("1s", 45);
}

#define power_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		power_test(power_fails_while_all_is_synced),
		power_test(power_fails_with_a_tail),
		power_test(power_fails_when_full),
		power_test(power_fails_when_full_with_a_tail),
		power_test(power_fails_when_the_newest_are_dropped),
		power_test(power_fails_without_backlog),
		power_test(power_fails_without_backlog_with_a_tail),
		power_test(power_fails_twice),
		power_test(power_fails_twice_with_a_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
