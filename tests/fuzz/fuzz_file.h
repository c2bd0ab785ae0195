/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_file.h - any bytes as a file, for readers that take a path. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The path of a file in memory that holds these bytes until the next call. */
static inline const char *fuzz_file(const uint8_t *bytes, size_t n)
{
	static char path[32];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n)
		abort();
	return path;
}
