/* SPDX-License-Identifier: Apache-2.0 */
/* fake_disk.h - what is asked of the disk, seen by a test and refused where it says so. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum disk_op {
	DISK_OPEN,
	DISK_CREATE,
	DISK_READ,
	DISK_WRITE,
	DISK_SYNC,
	DISK_RENAME,
	DISK_UNLINK,
	DISK_SYMLINK,
};

struct disk_call {
	enum disk_op op;
	int fd;           /* of the file, or of the directory where there is a name */
	const char *name; /* DISK_OPEN, …; DISK_RENAME: the name so far */
	const char *new_name;
	const void *bytes; /* DISK_WRITE */
	size_t n;
	uint64_t offset;
};

/*
 * A program that is linked with fake_disk.c and the flags of Makefile.am has these calls come
 * by here, where they are set; else they go on to the disk.
 */
struct fake_disk {
	/* Before it is done: 0, or -errno in its place, or as how many bytes it ends. */
	ssize_t (*before)(const struct disk_call *call);
	/* When it was done, and how it ended: as the call itself. */
	void (*after)(const struct disk_call *call, ssize_t result);
};

extern struct fake_disk fake_disk;
