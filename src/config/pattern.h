/* SPDX-License-Identifier: Apache-2.0 */
/* pattern.h - a regular expression, whose group is the value that it finds in a line. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

struct pattern;

enum { PATTERN_WRONG_MAX = 200 };

/*
 * Perl's regular expressions, over bytes, with one group, or with none. 0, -ENOMEM, or
 * -EINVAL: then `wrong` says for people what is not right and where.
 */
int pattern_new(const char *text, unsigned groups, struct pattern **pattern,
		char wrong[PATTERN_WRONG_MAX]) _must_check_;
void pattern_free(struct pattern *pattern);
DEFINE_CLEANUP(struct pattern *, pattern_free)

/*
 * Whether the pattern is in the line; then where its group stands. An expression that would
 * take too long on this line (many thousand steps) does not match it. Not for two threads at
 * once.
 */
bool pattern_match(const struct pattern *pattern, const char *line, size_t n, size_t *at,
		   size_t *length);

/* The same for a pattern without a group. */
bool pattern_is_in(const struct pattern *pattern, const char *line, size_t n);
