/* SPDX-License-Identifier: Apache-2.0 */
/* disk.h - a file system of its own on a loop device, whose writes are counted. */
#pragma once

#include "bench.h"

struct disk {
	char device[32];            /* loop3 */
	char path[BENCH_PATH_MAX];  /* where it is mounted */
};

/*
 * Makes ext4 with blocks of 4 KiB on a loop device over a sparse file of `bytes` in
 * `directory`, and mounts it below. The file has no name any more and the device frees itself
 * when it is unmounted, which the end of this process is enough for (bench_main()). 0, -EPERM
 * where we are not root, or -errno.
 */
int disk_new(const char *directory, const char *name, uint64_t bytes,
	     struct disk *disk) _must_check_;

/* What reached the device so far. */
struct disk_counts {
	uint64_t bytes, flushes;
};

/* Writes what is dirty and counts. 0 or -errno. */
int disk_count(const struct disk *disk, struct disk_counts *counts) _must_check_;
