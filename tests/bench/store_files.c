/* SPDX-License-Identifier: Apache-2.0 */
/* store_files.c - one file a message as it is measured: each synced, then their directory. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

enum {
	/* Written and not yet synced, at most. */
	OPEN_MAX_FILES = 512,
	NAME_SIZE = 24,
};

struct data {
	int directory;
	int files[OPEN_MAX_FILES];
	size_t file_count;
	uint64_t next, oldest, first;
	bool erased;
};

static int data_commit(void *pointer);

static int data_close(void *pointer)
{
	struct data *data = pointer;

	if (!data)
		return 0;
	for (size_t i = 0; i < data->file_count; i++)
		close(data->files[i]);
	closep(&data->directory);
	free(data);
	return 0;
}

static void file_name(uint64_t number, char name[NAME_SIZE])
{
	snprintf(name, NAME_SIZE, "%020llu", (unsigned long long)number);
}

/* Goes through the names; the oldest and the newest are found on the way. */
static int data_count(void *pointer, uint64_t *count)
{
	struct data *data = pointer;
	int fd = openat(data->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	*count = 0;
	data->oldest = UINT64_MAX;
	data->next = 0;
	if (!directory) {
		closep(&fd);
		return -errno;
	}
	while ((entry = readdir(directory))) {
		uint64_t number;

		if (entry->d_name[0] == '.')
			continue;
		number = strtoull(entry->d_name, NULL, 10);
		if (number < data->oldest)
			data->oldest = number;
		if (number >= data->next)
			data->next = number + 1;
		++*count;
	}
	closedir(directory);
	if (!*count)
		data->oldest = 0;
	data->first = data->oldest;
	return 0;
}

static int data_open(const char *directory, void **result)
{
	struct data *data = calloc(1, sizeof(*data));
	int r = bench_make_directory(directory);
	uint64_t count;

	if (!data)
		return -ENOMEM;
	data->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && data->directory < 0)
		r = -errno;
	if (r == 0)
		r = data_count(data, &count);
	if (r < 0) {
		data_close(data);
		return r;
	}
	*result = data;
	return 0;
}

static int data_append(void *pointer, const char record[RECORD_SIZE])
{
	struct data *data = pointer;
	char name[NAME_SIZE];
	int r = 0, fd;

	if (data->file_count == OPEN_MAX_FILES)
		r = data_commit(data);
	if (r < 0)
		return r;
	file_name(data->next, name);
	fd = openat(data->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	data->next++;
	data->files[data->file_count++] = fd;
	return write(fd, record, RECORD_SIZE) == RECORD_SIZE ? 0 : -EIO;
}

static int read_record(struct data *data, const char *name)
{
	_cleanup_close_ int fd = openat(data->directory, name, O_RDONLY | O_CLOEXEC);
	char record[RECORD_SIZE + 1];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, record, sizeof(record));
	return n < 0 ? -errno : record_check(record, n, data->oldest - data->first);
}

static int data_take(void *pointer, size_t count, bool read)
{
	struct data *data = pointer;

	for (size_t i = 0; i < count; i++, data->oldest++) {
		char name[NAME_SIZE];
		int r = 0;

		file_name(data->oldest, name);
		if (read)
			r = read_record(data, name);
		if (r == 0 && unlinkat(data->directory, name, 0) < 0)
			r = -errno;
		if (r < 0)
			return r;
		data->erased = true;
	}
	return 0;
}

/* All are written before the first is synced, so that the file system can do them at once. */
static int data_commit(void *pointer)
{
	struct data *data = pointer;
	bool changed = data->file_count || data->erased;
	int r = 0;

	for (size_t i = 0; i < data->file_count; i++) {
		if (fsync(data->files[i]) < 0)
			r = -errno;
		close(data->files[i]);
	}
	data->file_count = 0;
	data->erased = false;
	if (changed && fsync(data->directory) < 0)
		r = -errno;
	return r;
}

const struct store store_files = {
	.name = "files",
	.how = "one a message, fsync, and of the directory",
	.open = data_open,
	.append = data_append,
	.take = data_take,
	.commit = data_commit,
	.count = data_count,
	.close = data_close,
};
