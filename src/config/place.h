/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - where in a file a name stands, for libraries that only tell its line. */
#pragma once

#include "base/cleanup.h"

/* The n-th line of a file, from 1; NULL where there is none. Freed by the caller. */
char *place_line(const char *file, unsigned n);

/*
 * The column from 1 where `name` (may be NULL) stands as a word of its own before a `=` or `:`
 * in its line; otherwise that where the line begins.
 */
unsigned place_column(const char *line, const char *name);
