/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_spool.c - any bytes as the directory of a spool, opened, used, closed and opened again.
 *
 * The input is a byte of settings, then edits of the files, then, behind EDITS_END, what is
 * done with the spool. The files are those of a right spool to begin with, or none. Records
 * that are edited get right checksums again when the settings say so, since no mutation
 * would get past those.
 */
#include "base/log.h"
#include "base/units.h"
#include "../fake_clock.h"
#include "spool_files.h"
#include "uplink/spool_state.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
ssize_t __wrap_getrandom(void *bytes, size_t n, unsigned flags);

enum { ACTIONS_MAX = 64 };

enum settings {
	SYNC_ALWAYS = 1, KEEP_OLDEST = 2, LIVE = 4, MAX_AGE = 8, REBOOT = 16, FROM_TAIL = 32,
	FROM_SYNCED = 64, MEND = 128,
};

static char *directory; /* of the spool */
static uint64_t promised; /* numbers below it */
static struct image from_tail[SPOOL_FILES], from_synced[SPOOL_FILES], files[SPOOL_FILES];

/* The same input is to do the same each time. */
ssize_t __wrap_getrandom(void *bytes, size_t n, _unused_ unsigned flags)
{
	memset(bytes, SPOOL_ID_BYTE, n);
	return n;
}

/* --- spools to begin with --- */

static void append(struct spool *spool, size_t length, uint8_t qos)
{
	static const char body[BODY_MAX] = "\"v\":1";
	struct message message = {
		.qos = qos, .form = FORM_ISO_TIME, .topic = "t", .topic_length = 1,
		.body = body, .body_length = length,
	};
	uint64_t oldest, next;

	clock_stamp(&message);
	spool_range(spool, &oldest, &next);
	if (spool_append(spool, &message) == 0)
		check(message.seq >= next);
}

static void send_next(struct spool *spool)
{
	struct message message;
	struct place place;
	struct flight flight;
	uint16_t mid = spool_last_mid(spool) + 1;

	if (spool_next(spool, &message, &place) != 1)
		return;
	if (!message.qos) {
		spool_finished(spool, message.seq);
		return;
	}
	flight = (struct flight){
		.seq = message.seq, .segment = place.segment, .offset = place.offset,
		.mid = mid ? mid : 1, .qos = message.qos, .time_ms = message.time_ms,
		.clock = message.clock,
	};
	check(spool_sent(spool, &flight) == 0);
}

static uint16_t first_mid(const struct spool *spool)
{
	size_t count;
	const struct flight *flights = spool_flights(spool, &count);

	return count ? flights[0].mid : 0;
}

static void make_spool(const struct spool_conf *conf, struct image images[SPOOL_FILES])
{
	const struct loss lost = { .count = 3, .why = LOSS_QUEUE };
	struct spool *spool;

	files_begin(images, NULL);
	files_write(images);
	check(spool_open(conf, false, &spool) == 0);
	check(spool_note(spool, RECORD_COMMAND, 1, "abc", 3, true) == 0);
	for (unsigned segment = 0; segment < 3; segment++) {
		for (unsigned i = 0; i < 5; i++)
			append(spool, 5 + i * 50, 2);
		send_next(spool);
		send_next(spool);
		check(spool_commit(spool, 0) == 0);
		spool_released(spool, spool_last_mid(spool));
		spool_acked(spool, first_mid(spool));
		check(spool_commit(spool, 0) == 0);
		check(spool_rotate(spool, false) == 0);
	}
	append(spool, 5, 1);
	send_next(spool);
	append(spool, 9, 0);
	spool_note_loss(spool, &lost);
	spool_drop(spool, SPOOL_SEQ + 8, SPOOL_SEQ + 9);
	spool_refused(spool, spool_last_mid(spool), 135);
	check(spool_note(spool, RECORD_COMMAND, 2, "de", 2, true) == 0);
	check(spool_commit(spool, UINT64_MAX / 2) == 0);
	/* These stand in the tail, where there is one. */
	append(spool, 30, 1);
	append(spool, 30, 2);
	check(spool_commit(spool, 0) == 0);
	spool_free(spool);
	files_read(images);
}

static void set_up(void)
{
	struct spool_conf conf = { .max_bytes = 1 << 20 };

	log_set_level(LOG_EMERG);
	conf.directory = directory = files_set_up();
	*fake_clock() = (struct fake_clock){
		.wall_ms = SPOOL_SEQ / 1000, .boottime_us = 1000000, .boot = 1,
	};
	make_spool(&conf, from_synced);
	conf.sync_us = USEC_PER_SEC;
	make_spool(&conf, from_tail);
}

/* --- what is done with it --- */

/* What is counted as waiting is what waits. */
static void check_sum(const struct spool *spool)
{
	check(spool_sums(spool).waiting == ledger_waiting(&spool->ledger, 0, UINT64_MAX));
}

/* The numbers so far may have gone out, and are not to be used again. */
static void promise(const struct spool *spool)
{
	uint64_t oldest;

	spool_range(spool, &oldest, &promised);
}

/* Some of what is set aside is sent again, or given up. */
static void settle_refused(struct spool *spool, uint64_t from, bool again)
{
	const uint64_t taken = spool_sums(spool).taken, kept = spool_state(spool).kept;
	int64_t n = again ? spool_retry(spool, from, UINT64_MAX) :
			    spool_drop_refused(spool, from, UINT64_MAX);

	check(n >= 0 || (again && n == -ENOSPC));
	if (n > 0)
		check(spool_state(spool).kept == kept - n);
	check(spool_sums(spool).taken == taken + (again && n > 0 ? n : 0));
}

/* A note is made, changed or forgotten. */
static void note(struct spool *spool, struct input *in, uint8_t what)
{
	static const char bytes[NOTE_MAX_BYTES + 1];
	int r = spool_note(spool, what & 16 ? RECORD_COMMAND : RECORD_SUBSCRIBED, what >> 6,
			   bytes, take(in, 2) % sizeof(bytes), what & 32);

	check(r == 0 || r == -ENOSPC || r == -EMSGSIZE);
	check(spool_notes(spool)->size <= NOTES_MAX_SIZE);
}

static void act(struct spool *spool, struct input *in)
{
	static const size_t lengths[] = { 1, 100, 4000, 20000, BODY_MAX };
	uint64_t now_us = clock_monotonic_us(), oldest, next, from;
	uint8_t what = take(in, 1);
	struct loss lost = { .count = 1 + what / 16, .why = LOSS_QUEUE };

	switch (what % 16) {
	case 0: case 1: case 2: case 3:
		append(spool, lengths[what / 16 % ARRAY_SIZE(lengths)], what / 16 % 3);
		break;
	case 4: case 5: case 6:
		send_next(spool);
		break;
	case 7:
		spool_acked(spool, first_mid(spool));
		break;
	case 8:
		spool_released(spool, first_mid(spool));
		break;
	case 9:
		spool_refused(spool, first_mid(spool), what);
		break;
	case 10:
		spool_range(spool, &oldest, &next);
		from = oldest + take(in, 1);
		spool_drop(spool, from, from + take(in, 1));
		if (what & 64)
			settle_refused(spool, from - take(in, 1), what & 128);
		break;
	case 11:
		spool_note_loss(spool, &lost);
		break;
	case 12:
		spool_link_up(spool);
		spool_forget_flights(spool);
		break;
	case 13:
		spool_expire(spool);
		fake_clock()->boottime_us += take(in, 4);
		break;
	case 14:
		fake_clock()->synced = what & 16;
		spool_note_clock(spool);
		note(spool, in, take(in, 1));
		break;
	case 15:
		check(spool_commit(spool, now_us + take(in, 1) * USEC_PER_SEC) == 0);
		promise(spool);
		break;
	}
	check_sum(spool);
}

/* All that waits can be had, or was in flight and can, or is counted as damaged. */
static void drain(struct spool *spool)
{
	struct message message;
	struct place place;
	uint64_t found = 0, last = 0;
	const struct flight *flights;
	size_t count;

	while (spool_next(spool, &message, &place) == 1) {
		check(!found || message.seq > last || spool->order == LIVE_FIRST);
		last = message.seq;
		found++;
	}
	flights = spool_flights(spool, &count);
	for (size_t i = 0; i < count; i++) {
		(void)!spool_read(spool, &flights[i], &message);
		/* What is given up flies on, but does not wait. */
		found += flights[i].state != FLIGHT_GIVEN_UP;
	}
	check_sum(spool);
	check(spool_sums(spool).waiting == found);
}

/* All bytes that a message says it has are there. */
static bool visit(void *data, const struct spool_entry *entry)
{
	const struct message *message = &entry->message;
	uint64_t *sum = data;

	for (uint16_t i = 0; i < message->topic_length; i++)
		*sum += message->topic[i];
	for (uint32_t i = 0; i < message->body_length; i++)
		*sum += message->body[i];
	return true;
}

static void walk(struct spool *spool)
{
	uint64_t sum = 0;
	struct spool_walk walk = { .visit = visit, .data = &sum };

	check(spool_walk(spool, &walk) == 0);
	check(spool_walk_refused(spool, &walk) == 0);
}

/* Opens, looks, and has it drained, by whoever only looks and by whoever has it. */
static void use(const struct spool_conf *conf, struct input *in)
{
	struct spool *spool = NULL;
	uint64_t oldest, next;

	/* What only looks is not the one to judge. */
	if (spool_open(conf, true, &spool) == 0)
		walk(spool);
	spool_free(spool);
	spool = NULL;
	if (spool_open(conf, false, &spool) < 0)
		return;
	check_sum(spool);
	walk(spool);
	promise(spool);
	for (unsigned i = 0; i < ACTIONS_MAX && in->n; i++)
		act(spool, in);
	if (take(in, 1) & 1) {
		spool_free(spool);
	} else {
		promise(spool);
		check(spool_close(spool) == 0);
	}
	spool = NULL;
	if (take(in, 1) & 1)
		fake_clock()->boot++;
	check(spool_open(conf, false, &spool) == 0);
	spool_range(spool, &oldest, &next);
	/* Nobody counts so far. */
	check(next >= promised || promised > UINT64_MAX / 4);
	check_sum(spool);
	drain(spool);
	walk(spool);
	check(spool_close(spool) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct input in = { bytes, n };
	struct spool_conf conf = { .max_bytes = 1 << 20 };
	enum settings settings;

	if (!directory)
		set_up();
	conf.directory = directory;
	settings = take(&in, 1);
	conf.sync_us = settings & SYNC_ALWAYS ? 0 : USEC_PER_SEC;
	conf.when_full = settings & KEEP_OLDEST ? DROP_NEWEST : DROP_OLDEST;
	conf.order = settings & LIVE ? LIVE_FIRST : OLDEST_FIRST;
	conf.max_age_us = settings & MAX_AGE ? 60 * USEC_PER_SEC : 0;
	*fake_clock() = (struct fake_clock){
		.wall_ms = SPOOL_SEQ / 1000 + 1000, .boottime_us = 2000000,
		.boot = settings & REBOOT ? 2 : 1,
	};
	files_begin(files, settings & FROM_TAIL ? from_tail :
			   settings & FROM_SYNCED ? from_synced : NULL);
	files_edit(files, &in, settings & MEND);
	files_write(files);
	use(&conf, &in);
	return 0;
}
