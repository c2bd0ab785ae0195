/* SPDX-License-Identifier: Apache-2.0 */
/* reading.h - a point's value with its time and quality. */
#pragma once

#include "config/device_map.h"

enum value_kind {
	VALUE_NULL,     /* the device said "no value", or sent a NaN */
	VALUE_BOOL,     /* .u is 0 or 1 */
	VALUE_UNSIGNED, /* .u, exact */
	VALUE_SIGNED,   /* .i, exact */
	VALUE_FLOAT,    /* .d, came as f32: as many digits as tell it from its neighbours */
	VALUE_DOUBLE,   /* .d */
	VALUE_DECIMAL,  /* .d, rounded to .decimals places: an integer times a decimal scale */
	VALUE_TEXT,     /* .text, UTF-8 or whatever the device sent, NUL-terminated */
};

struct value {
	enum value_kind kind;
	int8_t decimals;
	union {
		uint64_t u;
		int64_t i;
		double d;
		char text[STRING_MAX_LENGTH + 1];
	};
};

enum quality {
	QUALITY_GOOD,
	QUALITY_STALE, /* the last value that is known, read longer ago than it should be */
};

struct reading {
	size_t point; /* index into the device's points */
	enum quality quality;
	struct value value;
};
