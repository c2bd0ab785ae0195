/* SPDX-License-Identifier: Apache-2.0 */
/* settable.h - the points that commands may write, apart from the configuration they are of. */
#pragma once

#include "config/config.h"

/* A table of its own, so that a reload can put another one in its place at any time. */
struct settable;

/*
 * All points of the configuration that may be written; none where it wants no commands. It
 * shares the maps, and else nothing. NULL: memory is short.
 */
struct settable *settable_new(const struct config *config);
void settable_free(struct settable *settable);
DEFINE_CLEANUP(struct settable *, settable_free)

size_t settable_count(const struct settable *settable);
/* How old a command may be that does not say itself until when it holds. */
uint64_t settable_max_age_us(const struct settable *settable);
/*
 * The point of that name. NULL where there is none: then `error` says for people why, in a
 * constant text.
 */
const struct point *settable_find(const struct settable *settable, const char *device,
				  const char *point, const char **error);
