/* SPDX-License-Identifier: Apache-2.0 */
/* coding.h - how a point's value is coded: its table, type, order of bytes, bits, and none. */
#pragma once

#include "config/point.h"

/* Whether such a driver's values are written as text, rather than as raw bits. */
bool coding_is_written(enum driver_kind kind);

/* The keys that say it, in defaults and in a point's own line; they are read into a point. */
const struct schema_key *coding_keys(enum driver_kind kind);

/*
 * `CDAB` says in which order the bytes come over the wire, A being the most significant:
 * order[i] is where the letter 'A' + i stands. False: it is none of `size` bytes.
 */
bool coding_parse_order(const char *text, size_t size, uint8_t order[8]);

/* Reads what hangs on the type, of values that are raw bits, and notes what does not fit. */
void coding_check(struct schema *schema, const struct yaml_node *line,
		  const struct point_defaults *defaults, struct point *point);

/* Of this what stands for no value alone; `defaults` may be NULL. */
void coding_check_nan(struct schema *schema, const struct yaml_node *line,
		      const struct point_defaults *defaults, struct point *point);
