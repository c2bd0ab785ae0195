/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - the ways to keep records until they are erased that are measured side by side. */
#pragma once

#include "bench.h"

#include <string.h>

enum {
	/* A record: a topic and a payload, as the gateway has them. */
	RECORD_SIZE = 200,
	RECORD_TOPIC_SIZE = 13,
	/* What a store may grow to. */
	STORE_BYTES_MAX = 2000 * 1024 * 1024,
};
#define RECORD_TOPIC "bench/meter-1"

/*
 * A store holds records in the order in which they were appended. What was appended and what
 * was taken is durable when commit() has returned. All return 0 or -errno.
 */
struct store {
	const char *name, *how; /* how it is used, for people */
	/* Opens the store in a directory, which is made where it is not there. */
	int (*open)(const char *directory, void **data);
	int (*append)(void *data, const char record[RECORD_SIZE]);
	/*
	 * Erases the oldest records; with `read` each is read before and checked by
	 * record_check(). They are there and durable, that is, appended before a commit().
	 */
	int (*take)(void *data, size_t count, bool read);
	int (*commit)(void *data);
	/* Finds out how many records there are, as one does after opening. */
	int (*count)(void *data, uint64_t *count);
	/* Takes NULL. */
	int (*close)(void *data);
};

extern const struct store store_spool, store_log, store_sqlite, store_lmdb, store_files;
/* The spool as it is by default: synced after a second. */
extern const struct store store_spool_interval;
/* Those that this program was built with; the spool, always synced, is the first. */
extern const struct store *const stores[];
extern const size_t store_count;

/* NULL where there is none of that name. */
const struct store *store_find(const char *name);

/* A record is told from the others by its number. */
void record_fill(char record[RECORD_SIZE], uint64_t number);
/* 0, or -EBADMSG when it is not the record of that number. */
int record_check(const char *bytes, size_t size, uint64_t number) _must_check_;

/* Puts `count` records in, many a commit. 0 or -errno. */
int store_fill(const struct store *store, void *data, uint64_t count) _must_check_;
