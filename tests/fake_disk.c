/* SPDX-License-Identifier: Apache-2.0 */
/* fake_disk.c - what is asked of the disk, seen by a test and refused where it says so. */
#include "fake_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

struct fake_disk fake_disk;

/* 0: it is to be done; else its end is *result, with errno set. */
static bool ends_here(const struct disk_call *call, ssize_t *result)
{
	ssize_t r = fake_disk.before ? fake_disk.before(call) : 0;

	if (r == 0)
		return false;
	*result = r < 0 ? -1 : r;
	if (r < 0)
		errno = -r;
	return true;
}

static ssize_t done(const struct disk_call *call, ssize_t result)
{
	int error = errno;

	if (fake_disk.after)
		fake_disk.after(call, result);
	errno = error;
	return result;
}

/* A short one is done as far as it goes. */
#define DATA_CALL(name, what, bytes_type)                                                   \
	ssize_t __real_##name(int fd, bytes_type bytes, size_t n, off_t offset);             \
	ssize_t __wrap_##name(int fd, bytes_type bytes, size_t n, off_t offset);             \
	ssize_t __wrap_##name(int fd, bytes_type bytes, size_t n, off_t offset)              \
	{                                                                                   \
		struct disk_call call = {                                                   \
			.op = what, .fd = fd, .bytes = bytes, .n = n, .offset = offset,       \
		};                                                                          \
		ssize_t r;                                                                  \
                                                                                            \
		if (ends_here(&call, &r)) {                                                 \
			if (r < 0)                                                          \
				return r;                                                   \
			call.n = r;                                                         \
		}                                                                           \
		return done(&call, __real_##name(fd, bytes, call.n, offset));               \
	}

DATA_CALL(pwrite, DISK_WRITE, const void *)
DATA_CALL(pwrite64, DISK_WRITE, const void *)
DATA_CALL(pread, DISK_READ, void *)
DATA_CALL(pread64, DISK_READ, void *)

ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	struct disk_call call = { .op = DISK_WRITE, .fd = fd, .bytes = bytes, .n = n };
	off_t offset = lseek(fd, 0, SEEK_CUR);
	ssize_t r;

	if (offset < 0) /* a pipe, or a terminal */
		return __real_write(fd, bytes, n);
	call.offset = offset;
	if (ends_here(&call, &r)) {
		if (r < 0)
			return r;
		call.n = r;
	}
	return done(&call, __real_write(fd, bytes, call.n));
}

#define SYNC_CALL(name)                                                                     \
	int __real_##name(int fd);                                                          \
	int __wrap_##name(int fd);                                                          \
	int __wrap_##name(int fd)                                                           \
	{                                                                                   \
		const struct disk_call call = { .op = DISK_SYNC, .fd = fd };                \
		ssize_t r;                                                                  \
                                                                                            \
		return ends_here(&call, &r) ? r : done(&call, __real_##name(fd));           \
	}

SYNC_CALL(fsync)
SYNC_CALL(fdatasync)

#define OPEN_CALL(function)                                                                 \
	int __real_##function(int fd, const char *name, int flags, ...);                    \
	int __wrap_##function(int fd, const char *name, int flags, ...);                    \
	int __wrap_##function(int fd, const char *name, int flags, ...)                     \
	{                                                                                   \
		const struct disk_call call = {                                             \
			.op = flags & O_CREAT ? DISK_CREATE : DISK_OPEN, .fd = fd,            \
			.name = name,                                                       \
		};                                                                          \
		mode_t mode = 0;                                                            \
		va_list list;                                                               \
		ssize_t r;                                                                  \
                                                                                            \
		va_start(list, flags);                                                      \
		if (flags & O_CREAT)                                                        \
			mode = va_arg(list, mode_t);                                        \
		va_end(list);                                                               \
		if (ends_here(&call, &r))                                                   \
			return r;                                                           \
		return done(&call, __real_##function(fd, name, flags, mode));               \
	}

OPEN_CALL(openat)
OPEN_CALL(openat64)

int __real_renameat(int fd, const char *name, int new_fd, const char *new_name);
int __wrap_renameat(int fd, const char *name, int new_fd, const char *new_name);
int __real_unlinkat(int fd, const char *name, int flags);
int __wrap_unlinkat(int fd, const char *name, int flags);
int __real_symlinkat(const char *target, int fd, const char *name);
int __wrap_symlinkat(const char *target, int fd, const char *name);

int __wrap_renameat(int fd, const char *name, int new_fd, const char *new_name)
{
	const struct disk_call call = {
		.op = DISK_RENAME, .fd = fd, .name = name, .new_name = new_name,
	};
	ssize_t r;

	return ends_here(&call, &r) ? r :
	       done(&call, __real_renameat(fd, name, new_fd, new_name));
}

int __wrap_unlinkat(int fd, const char *name, int flags)
{
	const struct disk_call call = { .op = DISK_UNLINK, .fd = fd, .name = name };
	ssize_t r;

	return ends_here(&call, &r) ? r : done(&call, __real_unlinkat(fd, name, flags));
}

int __wrap_symlinkat(const char *target, int fd, const char *name)
{
	const struct disk_call call = { .op = DISK_SYMLINK, .fd = fd, .name = name };
	ssize_t r;

	return ends_here(&call, &r) ? r : done(&call, __real_symlinkat(target, fd, name));
}
