/* SPDX-License-Identifier: Apache-2.0 */
/* spool_work.c - what tests put into a spool, and can tell again when it comes out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "spool_work.h"
#include "uplink/spool_state.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

char *work_directory(const char *where)
{
	char *path;

	assert_true(asprintf(&path, "%s/postbus-test-XXXXXX", where) > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_entry(const char *path, _unused_ const struct stat *st, _unused_ int type,
			_unused_ struct FTW *ftw)
{
	return remove(path);
}

void work_remove(const char *path)
{
	assert_int_equal(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *body_of(uint64_t seq, uint32_t length)
{
	static char body[BODY_MAX + 1];
	uint32_t head = snprintf(body, sizeof(body), "\"n\":%llu,\"l\":%u,\"x\":",
				 (unsigned long long)seq, length);

	for (uint32_t i = head; i < length; i++)
		body[i] = 'a' + (seq + i) % 26;
	return body;
}

int work_append(struct spool *spool, uint32_t length, uint8_t qos, uint64_t *seq)
{
	struct message message = {
		.qos = qos, .form = FORM_ISO_TIME, .topic = "barn/meter", .topic_length = 10,
		.body_length = length,
	};
	uint64_t oldest, next;
	int r;

	spool_range(spool, &oldest, &next);
	message.body = body_of(next, length);
	clock_stamp(&message);
	r = spool_append(spool, &message);
	*seq = message.seq;
	assert_true(r < 0 || message.seq == next);
	return r;
}

bool work_is_whole(const struct message *message)
{
	return message->body_length <= BODY_MAX && message->topic_length == 10 &&
	       !memcmp(message->topic, "barn/meter", 10) &&
	       !memcmp(message->body, body_of(message->seq, message->body_length),
		       message->body_length);
}

bool work_send_next(struct spool *spool, struct flight *flight)
{
	uint16_t mid = spool_last_mid(spool) + 1;
	struct message message;
	struct place place;
	int r = spool_next(spool, &message, &place);

	assert_true(r >= 0);
	if (r == 0)
		return false;
	assert_true(work_is_whole(&message));
	*flight = (struct flight){
		.seq = message.seq, .segment = place.segment, .offset = place.offset,
		.mid = mid ? mid : 1, .qos = message.qos, .time_ms = message.time_ms,
		.clock = message.clock,
	};
	if (flight->qos == 0)
		spool_finished(spool, flight->seq);
	else
		assert_int_equal(spool_sent(spool, flight), 0);
	return true;
}

uint64_t work_find_all(struct spool *spool, void (*visit)(void *data, uint64_t seq),
		       void *data)
{
	const struct flight *flights;
	struct message message;
	struct place place;
	uint64_t found = 0;
	size_t count;

	while (spool_next(spool, &message, &place) == 1) {
		assert_true(work_is_whole(&message));
		visit(data, message.seq);
		found++;
	}
	flights = spool_flights(spool, &count);
	for (size_t i = 0; i < count; i++) {
		if (flights[i].state == FLIGHT_GIVEN_UP)
			continue;
		found++;
		if (spool_read(spool, &flights[i], &message) < 0)
			continue;
		assert_true(work_is_whole(&message));
		visit(data, message.seq);
	}
	assert_int_equal(found, spool_sums(spool).waiting);
	assert_int_equal(found, ledger_waiting(&spool->ledger, 0, UINT64_MAX));
	return found;
}
