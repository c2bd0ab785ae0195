/* SPDX-License-Identifier: Apache-2.0 */
/* told.c - what Home Assistant was told of, as it is kept on the disk. */
#include "uplink/told.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const char file_name[] = "discovery", new_name[] = "discovery.new";
static const char first_line[] = "postbus discovery 1";

enum {
	LINE_MAX_LENGTH = 1024,
	FILE_MAX_BYTES = 64 * 1024 * 1024,
};

void told_done(struct told *told)
{
	for (size_t i = 0; i < told->count; i++)
		free(told->entries[i].topic);
	free(told->entries);
	*told = (struct told){ 0 };
}

int told_add(struct told *told, const char *topic, uint64_t hash)
{
	char *copy;

	if (told->count == told->room) {
		size_t room = told->room ? 2 * told->room : 64;
		struct told_entry *more = reallocarray(told->entries, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		told->entries = more;
		told->room = room;
	}
	copy = strdup(topic);
	if (!copy)
		return -ENOMEM;
	told->entries[told->count++] = (struct told_entry){ .hash = hash, .topic = copy };
	return 0;
}

static int compare_topics(const void *a, const void *b)
{
	return strcmp(((const struct told_entry *)a)->topic,
		      ((const struct told_entry *)b)->topic);
}

void told_sort(struct told *told)
{
	if (told->count)
		qsort(told->entries, told->count, sizeof(*told->entries), compare_topics);
}

struct told_entry *told_find(const struct told *told, const char *topic)
{
	const struct told_entry key = { .topic = (char *)topic };

	if (!told->count)
		return NULL;
	return bsearch(&key, told->entries, told->count, sizeof(key), compare_topics);
}

/* --- the text --- */

static int parse_line(const char *line, struct told *told)
{
	struct pending pending;
	uint64_t hash;
	int end = 0;

	if (sscanf(line, "pending %" SCNu64 " %" SCNu64 " %" SCNu64 "%n", &pending.seq,
		   &pending.given_up, &pending.count, &end) == 3 && !line[end]) {
		told->pending = pending;
		return 0;
	}
	if (strspn(line, "0123456789abcdef") != 16 || line[16] != ' ' || !line[17])
		return 0;
	hash = strtoull(line, NULL, 16);
	return told_add(told, line + 17, hash);
}

int told_parse(const char *bytes, size_t n, struct told *told)
{
	const char *end = bytes + n, *newline;
	char line[LINE_MAX_LENGTH];
	int r = 0;

	for (bool first = true; bytes < end && r == 0; bytes = newline + 1, first = false) {
		size_t length;

		newline = memchr(bytes, '\n', end - bytes);
		if (!newline)
			newline = end;
		length = newline - bytes;
		if (length >= sizeof(line) || memchr(bytes, '\0', length))
			continue;
		memcpy(line, bytes, length);
		line[length] = '\0';
		if (!first)
			r = parse_line(line, told);
		else if (strcmp(line, first_line))
			break;
	}
	told_sort(told);
	return r;
}

/* --- the file --- */

int told_load(const char *directory, struct told *told)
{
	_cleanup_free_ char *path = NULL, *bytes = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	struct stat status;
	size_t n;

	*told = (struct told){ 0 };
	if (asprintf(&path, "%s/%s", directory, file_name) < 0)
		return -ENOMEM;
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fileno(file), &status) < 0)
		return -errno;
	if (status.st_size > FILE_MAX_BYTES)
		return -EFBIG;
	bytes = malloc(status.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	n = fread(bytes, 1, status.st_size, file);
	return ferror(file) ? -EIO : told_parse(bytes, n, told);
}

static int write_file(FILE *file, const struct told *told)
{
	fprintf(file, "%s\n", first_line);
	if (told->pending.seq)
		fprintf(file, "pending %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			told->pending.seq, told->pending.given_up, told->pending.count);
	for (size_t i = 0; i < told->count; i++)
		fprintf(file, "%016" PRIx64 " %s\n", told->entries[i].hash,
			told->entries[i].topic);
	if (fflush(file) == EOF || fsync(fileno(file)) < 0)
		return -errno;
	return 0;
}

static int replace(int directory, const struct told *told)
{
	_cleanup_close_ int fd = openat(directory, new_name,
					O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	_cleanup_fclose_ FILE *file = NULL;
	int r;

	if (fd < 0)
		return -errno;
	file = fdopen(fd, "w");
	if (!file)
		return -errno;
	TAKE_FD(fd);
	r = write_file(file, told);
	if (r < 0)
		return r;
	return renameat(directory, new_name, directory, file_name) < 0 ? -errno : 0;
}

int told_save(const char *path, const struct told *told)
{
	_cleanup_close_ int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (directory < 0)
		return -errno;
	if (told->count || told->pending.seq)
		r = replace(directory, told);
	else if (unlinkat(directory, file_name, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && fsync(directory) < 0)
		r = -errno;
	return r;
}
