/* SPDX-License-Identifier: Apache-2.0 */
/* number.h - values as text: the shortest digits that read back as the same value. */
#pragma once

#include "bridge/reading.h"

enum { NUMBER_MAX_TEXT = 32 };

/* A growing text; write past the end is noted in `full`, never done. */
struct text {
	char *data;
	size_t length, size;
	bool full;
};

void text_add(struct text *text, const char *bytes, size_t length);
void text_addf(struct text *text, const char *format, ...) _printf_(2, 3);
/* Appends a whole number with at least `width` digits (at most 20), as "%0*llu" would. */
void text_addu(struct text *text, uint64_t number, unsigned width);

/*
 * Appends a number, true, false or null as JSON has it, or text without quotes. 230.2 stays
 * 230.2 whether it came as a float or as 2302 times 0.1; NaN and infinities are null;
 * exponents only from 1e21 up and below 1e-6, as ECMAScript prints numbers; -0 is 0.
 */
void number_print(const struct value *value, struct text *text);

/* The value as a number; NAN where it is none. */
double value_number(const struct value *value);

/* Whether the bytes, behind which a NUL has to stand, are UTF-8 with no NUL among them. */
bool utf8_is_valid(const char *bytes, size_t length);

/* Appends a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void json_string(const char *bytes, struct text *text);

/* Appends the value as JSON: number_print() for numbers, json_string() for text. */
void json_value(const struct value *value, struct text *text);
