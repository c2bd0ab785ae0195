/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_log.c - what a log costs at least: checksummed records behind each other in segments
 * that are zero-filled once and used again, each commit one write and fdatasync. It keeps no
 * flights, no sums and no limits, and can't be opened again.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <xxhash.h>

enum {
	SEGMENT_BYTES = 4 * 1024 * 1024,
	SEGMENTS = 8,
	BUFFER_BYTES = 64 * 1024,
};

/* Before each record; of length 0: all before that number are erased. */
struct head {
	uint32_t length, checksum;
	uint64_t number;
};

struct data {
	int fds[SEGMENTS];
	uint64_t last[SEGMENTS]; /* number of the last record in it */
	unsigned written, read;  /* segments */
	off_t write_at, read_at;
	char pending[BUFFER_BYTES], seen[BUFFER_BYTES];
	size_t pending_size, seen_at, seen_size;
	uint64_t next, oldest;
	bool erased;
};

static int data_close(void *pointer)
{
	struct data *data = pointer;

	for (unsigned i = 0; data && i < SEGMENTS; i++)
		closep(&data->fds[i]);
	free(data);
	return 0;
}

static int zero_fill(int fd)
{
	static const char zeros[BUFFER_BYTES];

	for (off_t at = 0; at < SEGMENT_BYTES; at += sizeof(zeros))
		if (pwrite(fd, zeros, sizeof(zeros), at) != sizeof(zeros))
			return -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

static int data_open(const char *directory, void **result)
{
	struct data *data = calloc(1, sizeof(*data));
	int r = bench_make_directory(directory);

	if (!data)
		return -ENOMEM;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		char path[2 * BENCH_PATH_MAX];

		snprintf(path, sizeof(path), "%s/%u.log", directory, i);
		data->fds[i] = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (r == 0)
			r = data->fds[i] < 0 ? -errno : zero_fill(data->fds[i]);
	}
	if (r < 0) {
		data_close(data);
		return r;
	}
	*result = data;
	return 0;
}

static int flush(struct data *data, bool sync)
{
	int fd = data->fds[data->written];

	if (pwrite(fd, data->pending, data->pending_size, data->write_at) !=
	    (ssize_t)data->pending_size)
		return -EIO;
	data->write_at += data->pending_size;
	data->pending_size = 0;
	return sync && fdatasync(fd) < 0 ? -errno : 0;
}

/* Has room for so many bytes more, in this segment or the next. */
static int make_room(struct data *data, size_t size)
{
	unsigned next = (data->written + 1) % SEGMENTS;
	int r;

	if (data->write_at + data->pending_size + size <= SEGMENT_BYTES)
		return data->pending_size + size <= BUFFER_BYTES ? 0 : flush(data, false);
	r = flush(data, true);
	if (r == 0 && data->last[next] > data->oldest)
		r = -ENOSPC;
	if (r == 0) {
		data->written = next;
		data->write_at = 0;
	}
	return r;
}

static int add(struct data *data, uint64_t number, const char *bytes, uint32_t length)
{
	struct head head = { .length = length, .number = number };
	int r = make_room(data, sizeof(head) + length);

	if (r < 0)
		return r;
	head.checksum = XXH3_64bits_withSeed(bytes, length, number);
	memcpy(data->pending + data->pending_size, &head, sizeof(head));
	data->pending_size += sizeof(head);
	if (length)
		memcpy(data->pending + data->pending_size, bytes, length);
	data->pending_size += length;
	return 0;
}

static int data_append(void *pointer, const char record[RECORD_SIZE])
{
	struct data *data = pointer;
	int r = add(data, data->next, record, RECORD_SIZE);

	if (r == 0)
		data->last[data->written] = data->next++;
	return r;
}

/* `size` bytes that come next, or NULL: the segment ends before, or can't be read. */
static const char *see(struct data *data, size_t size)
{
	ssize_t n;

	if (data->seen_at + size > data->seen_size) {
		data->read_at += data->seen_at;
		data->seen_at = 0;
		n = pread(data->fds[data->read], data->seen, BUFFER_BYTES, data->read_at);
		data->seen_size = n > 0 ? n : 0;
	}
	return size <= data->seen_size ? data->seen + data->seen_at : NULL;
}

static void read_next_segment(struct data *data)
{
	data->read = (data->read + 1) % SEGMENTS;
	data->read_at = 0;
	data->seen_at = data->seen_size = 0;
}

/* The record with that number; those before it were read. */
static int read_record(struct data *data, uint64_t number)
{
	while (true) {
		const char *bytes = see(data, sizeof(struct head));
		struct head head = { 0 };

		if (bytes)
			memcpy(&head, bytes, sizeof(head));
		bytes = bytes ? see(data, sizeof(head) + head.length) : NULL;
		if (!bytes || (!head.length && !head.checksum)) {
			if (data->read == data->written)
				return -ENOENT;
			read_next_segment(data);
			continue;
		}
		bytes += sizeof(head);
		if (head.checksum != (uint32_t)XXH3_64bits_withSeed(bytes, head.length, head.number))
			return -EBADMSG;
		data->seen_at += sizeof(head) + head.length;
		if (head.length)
			return head.number != number ? -EBADMSG :
				record_check(bytes, head.length, number);
	}
}

static int data_take(void *pointer, size_t count, bool read)
{
	struct data *data = pointer;
	int r = 0;

	/* What is read ahead may have been written since. */
	data->read_at += data->seen_at;
	data->seen_at = data->seen_size = 0;
	for (size_t i = 0; i < count && r == 0; i++, data->oldest++)
		if (read)
			r = read_record(data, data->oldest);
	data->erased = true;
	return r;
}

static int data_commit(void *pointer)
{
	struct data *data = pointer;
	int r = data->erased ? add(data, data->oldest, "", 0) : 0;

	data->erased = false;
	return r < 0 ? r : flush(data, true);
}

static int data_count(void *pointer, uint64_t *count)
{
	struct data *data = pointer;

	*count = data->next - data->oldest;
	return 0;
}

const struct store store_log = {
	.name = "log",
	.how = "what a log costs at least: records, checksums, fdatasync",
	.open = data_open,
	.append = data_append,
	.take = data_take,
	.commit = data_commit,
	.count = data_count,
	.close = data_close,
};
