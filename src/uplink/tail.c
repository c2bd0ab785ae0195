/* SPDX-License-Identifier: Apache-2.0 */
/* tail.c - the end of the journal while no sync is owed: in memory that outlives the process. */
#include "uplink/tail.h"
#include "bridge/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static const char magic[8] = "PBTAIL";
static const char link_name[] = "tail";

enum {
	HEADER_SIZE = 4096,
	TAIL_SIZE = HEADER_SIZE + 2 * TAIL_ROOM,
	PATH_SIZE = 4096,
};

struct header {
	char magic[8];
	uint8_t spool[SPOOL_ID_SIZE], boot[BOOT_ID_SIZE];
	_Atomic uint64_t segment, base, state;
};

static struct header *header_of(const struct tail *tail)
{
	return (struct header *)tail->map;
}

static uint32_t generation(uint64_t state)
{
	return state >> 32;
}

static uint8_t *room(const uint8_t *map, uint32_t generation)
{
	return (uint8_t *)map + HEADER_SIZE + (generation & 1) * TAIL_ROOM;
}

uint8_t *tail_bytes(const struct tail *tail)
{
	return room(tail->map, generation(atomic_load(&header_of(tail)->state)));
}

uint8_t *tail_other(const struct tail *tail)
{
	return room(tail->map, generation(atomic_load(&header_of(tail)->state)) + 1);
}

static void set_state(struct tail *tail, uint32_t generation, size_t length)
{
	atomic_store(&header_of(tail)->state, (uint64_t)generation << 32 | length);
}

void tail_commit(struct tail *tail, size_t length)
{
	set_state(tail, generation(atomic_load(&header_of(tail)->state)), length);
}

void tail_begin(struct tail *tail, uint64_t segment, uint32_t base)
{
	struct header *header = header_of(tail);

	/* Empty before it is somewhere else: at no moment do old bytes have a new place. */
	set_state(tail, generation(atomic_load(&header->state)) + 2, 0);
	atomic_store(&header->segment, segment);
	atomic_store(&header->base, base);
}

void tail_change_over(struct tail *tail, size_t length)
{
	set_state(tail, generation(atomic_load(&header_of(tail)->state)) + 1, length);
}

size_t tail_content(const struct tail *tail, uint64_t *segment, uint32_t *base)
{
	const struct header *header = header_of(tail);
	size_t length = (uint32_t)atomic_load(&header->state);

	*segment = atomic_load(&header->segment);
	*base = atomic_load(&header->base);
	return length <= TAIL_ROOM ? length : 0;
}

/* --- where it is --- */

static bool is_tmpfs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

static bool tail_directory(char *path, size_t size)
{
	static const char *const usual[] = { "/run/postbus", "/dev/shm" };
	const char *given = getenv("RUNTIME_DIRECTORY");

	if (given && *given) {
		snprintf(path, size, "%.*s", (int)strcspn(given, ":"), given);
		if (access(path, W_OK) == 0)
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		snprintf(path, size, "%s", usual[i]);
		if (access(path, W_OK) == 0 && is_tmpfs(path))
			return true;
	}
	return false;
}

static char *tail_path(const uint8_t spool[SPOOL_ID_SIZE])
{
	char directory[PATH_SIZE], name[2 * SPOOL_ID_SIZE + 1], *path;

	if (!tail_directory(directory, sizeof(directory)))
		return NULL;
	for (size_t i = 0; i < SPOOL_ID_SIZE; i++)
		snprintf(name + 2 * i, 3, "%02x", spool[i]);
	return asprintf(&path, "%s/postbus-%s.tail", directory, name) < 0 ? NULL : path;
}

/* Where the link leads to; NULL: there is no link. */
static char *linked_path(int directory)
{
	char path[PATH_SIZE];
	ssize_t n = readlinkat(directory, link_name, path, sizeof(path) - 1);

	if (n < 0)
		return NULL;
	path[n] = '\0';
	return strdup(path);
}

bool tail_is_linked(int directory)
{
	struct stat st;

	return fstatat(directory, link_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- the file --- */

/*
 * In a directory that all may write to, another's file must not be taken for ours. Who only reads
 * it, being in the gateway's group, takes that of the spool's owner.
 */
static bool is_ours(const struct stat *st, int directory, int flags)
{
	struct stat spool;

	if (geteuid() == 0 || st->st_uid == geteuid())
		return true;
	return flags == O_RDONLY && fstat(directory, &spool) == 0 && spool.st_uid == st->st_uid;
}

static int map_file(const char *path, int directory, int flags,
		    const uint8_t spool[SPOOL_ID_SIZE], uint8_t **map)
{
	_cleanup_close_ int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC);
	int protection = PROT_READ | (flags == O_RDWR ? PROT_WRITE : 0);
	uint8_t boot[BOOT_ID_SIZE];
	const struct header *header;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size != TAIL_SIZE || st.st_nlink != 1 ||
	    !is_ours(&st, directory, flags))
		return -EPERM;
	*map = mmap(NULL, TAIL_SIZE, protection, MAP_SHARED, fd, 0);
	if (*map == MAP_FAILED)
		return -errno;
	header = (const struct header *)*map;
	clock_boot_id(boot);
	if (!memcmp(header->magic, magic, sizeof(magic)) &&
	    !memcmp(header->spool, spool, SPOOL_ID_SIZE) &&
	    !memcmp(header->boot, boot, BOOT_ID_SIZE))
		return 0;
	munmap(*map, TAIL_SIZE);
	return -ESTALE;
}

/* Room is taken now: a store into memory that is not to be had would end the process. */
static int make_file(const char *path, const uint8_t spool[SPOOL_ID_SIZE])
{
	struct header header = { 0 };
	_cleanup_close_ int fd = -1;
	int r;

	memcpy(header.magic, magic, sizeof(magic));
	memcpy(header.spool, spool, SPOOL_ID_SIZE);
	clock_boot_id(header.boot);
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	r = -posix_fallocate(fd, 0, TAIL_SIZE);
	if (r == 0 && pwrite(fd, &header, sizeof(header), 0) != sizeof(header))
		r = -EIO;
	if (r < 0)
		unlink(path);
	return r;
}

static int make_tail(struct tail *tail, int directory, const uint8_t spool[SPOOL_ID_SIZE])
{
	int r = 0;

	free(tail->path);
	tail->path = tail_path(spool);
	if (!tail->path)
		return -ENOENT;
	if (make_file(tail->path, spool) < 0)
		return -ENOENT;
	if (unlinkat(directory, link_name, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && symlinkat(tail->path, directory, link_name) < 0)
		r = -errno;
	/* Whoever opens the spool after a power cut is to know that there was one. */
	if (r == 0 && fsync(directory) < 0)
		r = -errno;
	if (r == 0)
		r = map_file(tail->path, directory, O_RDWR, spool, &tail->map);
	if (r < 0)
		unlink(tail->path);
	return r;
}

int tail_open(struct tail *tail, int directory, const uint8_t spool[SPOOL_ID_SIZE])
{
	int r = -ENOENT;

	tail->path = linked_path(directory);
	if (tail->path) {
		r = map_file(tail->path, directory, O_RDWR, spool, &tail->map);
		/* ESTALE: of another boot, or another spool's that was copied from here. */
		tail->lost = r == -ENOENT || r == -ESTALE;
		if (r < 0 && !tail->lost)
			return r;
	}
	return r == 0 ? 0 : make_tail(tail, directory, spool);
}

void tail_close(struct tail *tail, int directory, bool remove)
{
	if (tail->map)
		munmap(tail->map, TAIL_SIZE);
	if (tail->map && remove) {
		unlinkat(directory, link_name, 0);
		unlink(tail->path);
	}
	free(tail->path);
	*tail = (struct tail){ 0 };
}

/* Copies what a process that is at work may change meanwhile: until nothing changed. */
static int copy_content(const uint8_t *map, uint8_t *bytes, size_t *length,
			uint64_t *segment, uint32_t *base)
{
	const struct header *header = (const struct header *)map;

	for (unsigned tries = 0; tries < 1000; tries++) {
		uint64_t state = atomic_load(&header->state);

		*length = (uint32_t)state;
		*segment = atomic_load(&header->segment);
		*base = atomic_load(&header->base);
		if (*length > TAIL_ROOM)
			return -EBADMSG;
		memcpy(bytes, room(map, generation(state)), *length);
		atomic_thread_fence(memory_order_acquire);
		if (generation(atomic_load(&header->state)) == generation(state))
			return 0;
	}
	return -EAGAIN;
}

int tail_copy(int directory, const uint8_t spool[SPOOL_ID_SIZE], uint8_t **bytes,
	      size_t *length, uint64_t *segment, uint32_t *base)
{
	_cleanup_free_ char *path = linked_path(directory);
	_cleanup_free_ uint8_t *copy = NULL;
	uint8_t *map;
	int r;

	if (!path)
		return -ENOENT;
	r = map_file(path, directory, O_RDONLY, spool, &map);
	if (r < 0)
		return r == -ESTALE ? -ENOENT : r;
	copy = malloc(TAIL_ROOM);
	r = copy ? copy_content(map, copy, length, segment, base) : -ENOMEM;
	munmap(map, TAIL_SIZE);
	if (r == 0)
		*bytes = TAKE_PTR(copy);
	return r;
}
