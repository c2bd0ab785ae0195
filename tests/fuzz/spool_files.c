/* SPDX-License-Identifier: Apache-2.0 */
/* spool_files.c - the files of a spool in memory, edited as a fuzzer's input says. */
#include "spool_files.h"
#include "uplink/tail.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum {
	SEGMENT_SIZE = 256 * 1024,
	TAIL_HEADER = 4096,
	TAIL_SIZE = TAIL_HEADER + 2 * TAIL_ROOM,
};

enum edit {
	EDIT_BYTES, EDIT_RECORD, ADD_RECORD, CUT, REMOVE, COPY, EDITS_END,
};

static char directory[40], spool_path[48], tail_file[128];

void check(bool holds)
{
	if (!holds)
		abort();
}

uint64_t take(struct input *in, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n && in->n; i++, in->n--)
		value |= (uint64_t)*in->bytes++ << (8 * i);
	return value;
}

/* --- files --- */

static void file_path(unsigned i, char path[128])
{
	if (i == SPOOL_TAIL)
		strcpy(path, tail_file);
	else if (i == SPOOL_REFUSED)
		snprintf(path, 128, "%s/refused", spool_path);
	else
		snprintf(path, 128, "%s/%04u.seg", spool_path, i);
}

static void remove_all(const char *path)
{
	DIR *entries = opendir(path);
	struct dirent *entry;

	check(entries);
	while ((entry = readdir(entries)))
		(void)unlinkat(dirfd(entries), entry->d_name, 0);
	closedir(entries);
}

static void write_part(int fd, const struct image *image, size_t from, size_t to)
{
	if (to > image->used)
		to = image->used;
	if (from < to)
		check(pwrite(fd, image->bytes + from, to - from, from) == (ssize_t)(to - from));
}

void files_write(const struct image files[SPOOL_FILES])
{
	enum { ROOM_PART = 64 * 1024 };
	char path[128];

	remove_all(spool_path);
	remove_all(directory);
	for (unsigned i = 0; i < SPOOL_FILES; i++) {
		int fd;

		if (!files[i].size)
			continue;
		file_path(i, path);
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
		check(fd >= 0 && ftruncate(fd, files[i].size) == 0);
		/* No input reaches further into a room of the tail. */
		write_part(fd, &files[i], 0, i == SPOOL_TAIL ? TAIL_HEADER + ROOM_PART : files[i].size);
		if (i == SPOOL_TAIL)
			write_part(fd, &files[i], TAIL_HEADER + TAIL_ROOM,
				   TAIL_HEADER + TAIL_ROOM + ROOM_PART);
		close(fd);
	}
	if (files[SPOOL_TAIL].size) {
		snprintf(path, sizeof(path), "%s/tail", spool_path);
		check(symlink(tail_file, path) == 0);
	}
}

void files_read(struct image files[SPOOL_FILES])
{
	char path[128];

	for (unsigned i = 0; i < SPOOL_FILES; i++) {
		struct image *image = &files[i];
		int fd;

		file_path(i, path);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		image->size = read(fd, image->bytes, TAIL_SIZE);
		close(fd);
		for (image->used = image->size; image->used && !image->bytes[image->used - 1];)
			image->used--;
	}
}

void files_begin(struct image files[SPOOL_FILES], const struct image *from)
{
	for (unsigned i = 0; i < SPOOL_FILES; i++) {
		if (!files[i].bytes)
			files[i].bytes = calloc(1, TAIL_SIZE);
		files[i].is_tail = i == SPOOL_TAIL;
		memset(files[i].bytes, 0, files[i].used);
		files[i].size = files[i].used = 0;
		if (!from || !from[i].size)
			continue;
		memcpy(files[i].bytes, from[i].bytes, from[i].used);
		files[i].size = from[i].size;
		files[i].used = from[i].used;
	}
}

/* --- directories --- */

static void remove_directory(void)
{
	remove_all(spool_path);
	rmdir(spool_path);
	remove_all(directory);
	rmdir(directory);
}

char *files_set_up(void)
{
	char *end = tail_file;

	snprintf(directory, sizeof(directory), "/dev/shm/postbus-fuzz-XXXXXX");
	check(mkdtemp(directory));
	snprintf(spool_path, sizeof(spool_path), "%s/spool", directory);
	check(mkdir(spool_path, 0700) == 0);
	atexit(remove_directory);
	setenv("RUNTIME_DIRECTORY", directory, true);
	/* The identity of each spool is the same here: it is random elsewhere. */
	end += snprintf(tail_file, sizeof(tail_file), "%s/postbus-", directory);
	for (unsigned i = 0; i < SPOOL_ID_SIZE; i++)
		end += sprintf(end, "%02x", SPOOL_ID_BYTE);
	strcpy(end, ".tail");
	return spool_path;
}

/* --- edits --- */

static void put_bytes(struct image *image, size_t at, struct input *in, size_t n)
{
	if (at >= TAIL_SIZE)
		return;
	if (n > TAIL_SIZE - at)
		n = TAIL_SIZE - at;
	for (size_t i = 0; i < n; i++)
		image->bytes[at + i] = take(in, 1);
	if (at + n > image->used)
		image->used = at + n;
	if (image->used > image->size)
		image->size = image->is_tail ? TAIL_SIZE : SEGMENT_SIZE;
}

/* Where the records of a file begin, what their checksums are made with, where they end. */
struct records {
	uint64_t id;
	size_t first;
	uint32_t first_offset, length;
};

static struct records records_of(const struct image *image)
{
	uint64_t state;

	if (!image->is_tail)
		return (struct records){
			.id = get_u64(image->bytes + 16), .first = SEGMENT_HEADER_SIZE,
			.first_offset = SEGMENT_HEADER_SIZE,
			.length = SEGMENT_SIZE - SEGMENT_HEADER_SIZE,
		};
	state = get_u64(image->bytes + 56);
	return (struct records){
		.id = get_u64(image->bytes + 40),
		.first = TAIL_HEADER + (state >> 32 & 1) * TAIL_ROOM,
		.first_offset = get_u64(image->bytes + 48), .length = TAIL_ROOM,
	};
}

/* Of the record at `done` of them: its size, and itself; 0: it is none. */
static size_t look(const struct image *image, const struct records *records, size_t done,
		   struct record *record)
{
	size_t size;

	if (done + RECORD_HEADER_SIZE > records->length)
		return 0;
	size = record_look(image->bytes + records->first + done, record);
	if (!record->type || record->length > RECORD_MAX_BODY || done + size > records->length)
		return 0;
	return size;
}

static void mend_records(struct image *image)
{
	static uint8_t mended[RECORD_MAX_BODY + RECORD_HEADER_SIZE + 7];
	const struct records records = records_of(image);
	struct record record;
	size_t size;

	for (size_t done = 0; (size = look(image, &records, done, &record)); done += size) {
		const struct piece body = { record.body, record.length };

		record_encode(records.id, records.first_offset + done, record.type, record.seq,
			      &body, 1, mended);
		memcpy(image->bytes + records.first + done, mended, size);
		if (records.first + done + size > image->used)
			image->used = records.first + done + size;
	}
}

static void mend_all(struct image files[SPOOL_FILES])
{
	for (unsigned i = 0; i < SPOOL_FILES; i++) {
		if (!files[i].size)
			continue;
		mend_records(&files[i]);
		if (i != SPOOL_TAIL)
			put_u64(files[i].bytes + 56, XXH3_64bits(files[i].bytes, 56));
		if (files[i].used < SEGMENT_HEADER_SIZE)
			files[i].used = SEGMENT_HEADER_SIZE;
	}
}

/* Place of the n-th record, or the end of them. */
static size_t find_record(const struct image *image, unsigned n)
{
	const struct records records = records_of(image);
	struct record record;
	size_t done = 0, size;

	while (n-- && (size = look(image, &records, done, &record)))
		done += size;
	return records.first + done;
}

static void add_record(struct image *image, struct input *in)
{
	size_t at = find_record(image, UINT16_MAX);
	uint8_t type = take(in, 1) % 12, length = take(in, 1), head[RECORD_HEADER_SIZE] = { 0 };
	struct input added = { head, sizeof(head) };

	put_u32(head + 8, length | (uint32_t)type << 24);
	put_u64(head + 12, SPOOL_SEQ + (int8_t)take(in, 1));
	if (at + sizeof(head) + length + 8 > (image->is_tail ? TAIL_SIZE : SEGMENT_SIZE))
		return;
	put_bytes(image, at, &added, sizeof(head));
	put_bytes(image, at + sizeof(head), in, length);
	/* The tail says how much of it counts. */
	if (image->is_tail)
		put_u32(image->bytes + 56,
			get_u32(image->bytes + 56) + record_size(length));
}

static void copy_file(const struct image *from, struct image *to)
{
	if (from == to)
		return;
	memset(to->bytes, 0, to->used);
	memcpy(to->bytes, from->bytes, from->used);
	to->used = from->used;
	to->size = from->size;
}

static bool edit(struct image files[SPOOL_FILES], struct input *in)
{
	enum edit what = take(in, 1) % (EDITS_END + 1);
	struct image *image;
	size_t at;

	if (what == EDITS_END || !in->n)
		return false;
	image = &files[take(in, 1) % SPOOL_FILES];
	switch (what) {
	case EDIT_BYTES:
		at = take(in, 2);
		put_bytes(image, at, in, take(in, 1));
		break;
	case EDIT_RECORD:
		at = find_record(image, take(in, 1));
		at += take(in, 1);
		put_bytes(image, at, in, take(in, 1) % 64);
		break;
	case ADD_RECORD:
		add_record(image, in);
		break;
	case CUT:
		at = take(in, 3);
		if (at < image->used)
			memset(image->bytes + at, 0, image->used - at);
		if (at < image->used)
			image->used = at;
		if (at < image->size)
			image->size = at;
		break;
	case REMOVE:
		memset(image->bytes, 0, image->used);
		image->size = image->used = 0;
		break;
	case COPY:
		copy_file(image, &files[take(in, 1) % SPOOL_FILES]);
		break;
	case EDITS_END:
		break;
	}
	return true;
}

void files_edit(struct image files[SPOOL_FILES], struct input *in, bool mend)
{
	while (edit(files, in))
		;
	if (mend)
		mend_all(files);
}
