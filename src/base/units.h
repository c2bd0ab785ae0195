/* SPDX-License-Identifier: Apache-2.0 */
/* units.h - durations and sizes as users write them: `250ms`, `2s`, `7d`; `64K`, `256M`. */
#pragma once

#include "base/cleanup.h"

#include <stdint.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)

/*
 * A duration with its unit (us, ms, s, min or m, h, d, w; a decimal fraction is allowed) in
 * microseconds. A number without a unit is refused, except 0. -EINVAL when it is not a
 * duration, -ERANGE when it does not fit.
 */
int parse_duration(const char *text, uint64_t *usec) _must_check_;

/*
 * A size in bytes: a whole number, alone or with K, M, G or T (powers of 1024, an added `B`
 * or `iB` is taken too). -EINVAL, -ERANGE as above.
 */
int parse_size(const char *text, uint64_t *bytes) _must_check_;

/* Writes a duration for people, in the largest unit that is exact ("300ms", "7d"). */
const char *format_duration(uint64_t usec, char *buffer, size_t size);
