/* SPDX-License-Identifier: Apache-2.0 */
/* store_spool.c - the gateway's own spool as it is measured. */
#include "store.h"

#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/spool.h"

#include <errno.h>

struct data {
	struct spool *spool;
	uint64_t first_seq; /* of record 0 */
	uint64_t oldest_seq;
};

static int data_close(void *pointer)
{
	struct data *data = pointer;
	int r = 0;

	if (data && data->spool)
		r = spool_close(data->spool);
	free(data);
	return r;
}

static int open_with(const char *directory, uint64_t sync_us, void **result)
{
	struct spool_conf conf = {
		.directory = (char *)directory, .max_bytes = STORE_BYTES_MAX,
		.when_full = DROP_OLDEST, .sync_us = sync_us,
	};
	struct data *data = calloc(1, sizeof(*data));
	uint64_t next_seq;
	int r;

	if (!data)
		return -ENOMEM;
	r = spool_open(&conf, false, &data->spool);
	if (r < 0) {
		free(data);
		return r;
	}
	spool_range(data->spool, &data->oldest_seq, &next_seq);
	data->first_seq = data->oldest_seq;
	*result = data;
	return 0;
}

static int open_always(const char *directory, void **result)
{
	return open_with(directory, 0, result);
}

static int open_interval(const char *directory, void **result)
{
	return open_with(directory, USEC_PER_SEC, result);
}

static int data_append(void *pointer, const char record[RECORD_SIZE])
{
	struct data *data = pointer;
	struct message message = {
		.qos = 1, .form = FORM_ISO_TIME, .wall_ms = 1795460721124,
		.topic = record, .topic_length = RECORD_TOPIC_SIZE,
		.body = record + RECORD_TOPIC_SIZE,
		.body_length = RECORD_SIZE - RECORD_TOPIC_SIZE,
	};

	return spool_append(data->spool, &message);
}

static int data_take(void *pointer, size_t count, bool read)
{
	struct data *data = pointer;

	for (size_t i = 0; i < count; i++, data->oldest_seq++) {
		struct message message;
		struct place place;
		int r = 1;

		if (read)
			r = spool_next(data->spool, &message, &place);
		/* Topic and body are kept side by side, as they were given. */
		if (read && r > 0 &&
		    (message.seq != data->oldest_seq ||
		     record_check(message.topic, message.topic_length + message.body_length,
				  message.seq - data->first_seq) < 0))
			r = -EBADMSG;
		if (r <= 0)
			return r < 0 ? r : -ENOENT;
		spool_finished(data->spool, data->oldest_seq);
	}
	return 0;
}

static int data_commit(void *pointer)
{
	struct data *data = pointer;

	return spool_commit(data->spool, clock_monotonic_us());
}

static int data_count(void *pointer, uint64_t *count)
{
	struct data *data = pointer;

	*count = spool_sums(data->spool).waiting;
	return 0;
}

const struct store store_spool = {
	.name = "spool",
	.how = "sync = \"always\"",
	.open = open_always,
	.append = data_append,
	.take = data_take,
	.commit = data_commit,
	.count = data_count,
	.close = data_close,
};

const struct store store_spool_interval = {
	.name = "spool",
	.how = "sync = \"1s\"",
	.open = open_interval,
	.append = data_append,
	.take = data_take,
	.commit = data_commit,
	.count = data_count,
	.close = data_close,
};
