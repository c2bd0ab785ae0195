/* SPDX-License-Identifier: Apache-2.0 */
/* raw.h - a point's bytes to its value and back: types, byte orders, bits, scale, names. */
#pragma once

#include "base/cleanup.h"
#include "bridge/reading.h"

/*
 * Value of the point from its raw bytes as they stand on the wire (point_size() of them).
 * NaN, an infinity, BCD with a digit above 9 and the map's `nan` give VALUE_NULL.
 */
void raw_decode(const struct point *point, const uint8_t *bytes, struct value *value);

/*
 * The bytes that would read back as `number` (for points with `values`, the raw number), as
 * near as the point's type and scale allow; out of range is clamped. Other bits of a `bits:`
 * point are left as they are in `bytes`.
 */
void raw_encode(const struct point *point, double number, uint8_t *bytes);
/* The same for string points: padded with zeros. */
void raw_encode_text(const struct point *point, const char *text, uint8_t *bytes);

/*
 * The bytes that read back as the value, which is as raw_decode() would have it: exact, and
 * never clamped. Other bits of a `bits:` point are left as they are in `bytes`. 0, or -ERANGE:
 * the point can't hold it, or it is not of the point's kind.
 */
int raw_put(const struct point *point, const struct value *value, uint8_t *bytes) _must_check_;
