/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - a gateway's load on a store, at the pace of its sensors, for as long as it runs. */
#include "load.h"

#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/spool.h"

#include <errno.h>
#include <time.h>

enum {
	AGE_BATCH = 1000,
};

static void sleep_until_us(uint64_t time_us)
{
	const struct timespec until = {
		.tv_sec = time_us / USEC_PER_SEC, .tv_nsec = time_us % USEC_PER_SEC * 1000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/*
 * Files that have grown once stay so: what is measured is a store that has been in use. With
 * all its records there at the same time, and then none.
 */
static int age(const struct store *store, const char *directory, uint64_t bytes)
{
	uint64_t count = bytes / RECORD_SIZE / AGE_BATCH * AGE_BATCH + AGE_BATCH;
	void *data;
	int r = store->open(directory, &data);

	if (r == 0)
		r = store_fill(store, data, count);
	for (uint64_t i = 0; i < count && r == 0; i += AGE_BATCH) {
		r = store->take(data, AGE_BATCH, false);
		if (r == 0)
			r = store->commit(data);
	}
	return r < 0 ? r : store->close(data);
}

/* --- the spool, as in a turn of the uplink --- */

static int append(struct spool *spool, uint64_t number)
{
	char record[RECORD_SIZE];
	struct message message = {
		.qos = 1, .form = FORM_ISO_TIME,
		.topic = record, .topic_length = RECORD_TOPIC_SIZE,
		.body = record + RECORD_TOPIC_SIZE,
		.body_length = RECORD_SIZE - RECORD_TOPIC_SIZE,
	};

	record_fill(record, number);
	clock_stamp(&message);
	return spool_append(spool, &message);
}

/* Sends what waits: what goes out is committed before, and its acknowledgement after. */
static int send_all(struct spool *spool)
{
	struct message message;
	struct place place;
	int r;

	while ((r = spool_next(spool, &message, &place)) > 0) {
		uint16_t mid = spool_last_mid(spool) == UINT16_MAX ? 1 :
								     spool_last_mid(spool) + 1;
		const struct flight flight = {
			.seq = message.seq, .segment = place.segment, .offset = place.offset,
			.mid = mid, .qos = 1, .state = FLIGHT_SENT, .time_ms = message.time_ms,
			.clock = message.clock,
		};

		r = spool_sent(spool, &flight);
		if (r == 0)
			r = spool_commit(spool, clock_monotonic_us());
		if (r == 0 && !spool_acked(spool, mid))
			r = -ENOENT;
		if (r == 0)
			r = spool_commit(spool, clock_monotonic_us());
		if (r < 0)
			return r;
	}
	return r;
}

/* Until the next record is due, syncs come when they are owed. */
static int wait_and_sync(struct spool *spool, uint64_t until_us)
{
	uint64_t due_us;

	while ((due_us = spool_sync_due_us(spool)) < until_us) {
		int r;

		sleep_until_us(due_us);
		r = spool_commit(spool, clock_monotonic_us());
		if (r < 0)
			return r;
	}
	sleep_until_us(until_us);
	return 0;
}

static int run_spool(const struct load *load, const char *directory,
		     struct load_state *state)
{
	const struct spool_conf conf = {
		.directory = (char *)directory, .max_bytes = STORE_BYTES_MAX,
		.when_full = DROP_OLDEST, .sync_us = USEC_PER_SEC,
	};
	uint64_t due_us = clock_monotonic_us();
	struct spool *spool;
	int r = spool_open(&conf, false, &spool);

	if (r == 0 && load->online)
		spool_link_up(spool);
	state->ready = r == 0;
	while (r == 0) {
		r = append(spool, state->records++);
		if (r == 0)
			r = spool_commit(spool, clock_monotonic_us());
		if (r == 0 && load->online)
			r = send_all(spool);
		due_us += USEC_PER_SEC / load->rate;
		if (r == 0)
			r = wait_and_sync(spool, due_us);
	}
	return r;
}

/* --- another store, with one commit a second --- */

static int run_store(const struct load *load, const char *directory,
		     struct load_state *state)
{
	uint64_t due_us = clock_monotonic_us();
	char record[RECORD_SIZE];
	unsigned waiting = 0;
	void *data;
	int r = load->store->open(directory, &data);

	state->ready = r == 0;
	while (r == 0) {
		/* What was committed a second ago is sent and acknowledged by now. */
		if (load->online && waiting)
			r = load->store->take(data, waiting, false);
		for (waiting = 0; waiting < load->rate && r == 0; waiting++) {
			record_fill(record, state->records++);
			r = load->store->append(data, record);
		}
		if (r == 0)
			r = load->store->commit(data);
		due_us += USEC_PER_SEC;
		sleep_until_us(due_us);
	}
	return r;
}

int load_run(const struct load *load, const char *directory, struct load_state *state)
{
	int r = age(load->store ? load->store : &store_spool, directory, load->age_bytes);

	if (r == 0)
		r = load->store ? run_store(load, directory, state) :
				  run_spool(load, directory, state);
	state->failed = true;
	return r;
}
