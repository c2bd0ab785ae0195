/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - what is wrong in the user's files: collected whole, shown in order of place. */
#pragma once

#include "base/cleanup.h"

#include <stddef.h>

struct faults;

/* A new empty collection; NULL when memory is short. Freed with faults_free(). */
struct faults *faults_new(void);
void faults_free(struct faults *faults);
DEFINE_CLEANUP(struct faults *, faults_free)

/*
 * Notes one fault. line and column count from 1; 0 where the place is the whole file. The
 * text says what is wrong and what would be right, without a full stop. Copies everything.
 */
void faults_add(struct faults *faults, const char *file, unsigned line, unsigned column,
		const char *format, ...) _printf_(5, 6);

size_t faults_count(const struct faults *faults);

/*
 * Writes `file:line:column: text` lines, sorted by file, line and column, each once. Files
 * are shown in the order in which they first had a fault.
 */
void faults_print(const struct faults *faults, FILE *out);

/* The same lines one after the other, for who writes them elsewhere; without a newline. */
void faults_each(const struct faults *faults, void (*visit)(void *data, const char *line),
		 void *data);

/*
 * The candidate that `word` was probably meant to be (at most two edits, fewer for short
 * words), or NULL. `candidates` ends with NULL.
 */
const char *fault_suggest(const char *word, const char *const *candidates);
