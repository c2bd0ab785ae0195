/* SPDX-License-Identifier: Apache-2.0 */
/* bench.h - what all benchmarks need: a directory of their own, clocks, medians, children. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ROUNDS_MAX = 99,
	BENCH_PATH_MAX = 256, /* room for all that is named below a directory */
};

/*
 * Runs `run` in a child with a directory of its own below `base` (NULL: $TMPDIR or /tmp) and,
 * for root, a mount namespace of its own. However the child ends, its directory is removed
 * and what it mounted is gone. Returns the exit status for main().
 */
int bench_main(const char *base, int (*run)(const char *directory, void *options),
	       void *options) _must_check_;

/* A number in a command line, from 1 to `most`; what is wrong is said and ends the program. */
unsigned long bench_number(const char *option, const char *text, unsigned long most);

/* CLOCK_MONOTONIC in seconds. */
double bench_seconds(void);

/* The middle one, or the mean of the two in the middle; sorts the values. */
double bench_median(double *values, size_t count);
/* The median of a[i] / b[i], whose runs were neighbours in time. */
double bench_median_ratio(const double *a, const double *b, size_t count);

/* Writes all that is dirty in the file system of a directory. */
void bench_settle(const char *directory);
/* Makes a directory, which may be there. 0 or -errno. */
int bench_make_directory(const char *path) _must_check_;
void bench_remove(const char *path);

/*
 * Starts this program anew with other arguments (argv[0] is filled in), its output in *out,
 * to be closed. Its process id, or -errno. It ends when we do.
 */
pid_t bench_respawn(char *argv[], int *out) _must_check_;
/* Waits for a child: 0 where it ended well, or -EIO. */
int bench_wait(pid_t pid) _must_check_;

/* Has the child of a fork() end when its parent does. */
void bench_die_with(pid_t parent);
