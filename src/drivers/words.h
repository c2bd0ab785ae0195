/* SPDX-License-Identifier: Apache-2.0 */
/* words.h - a point's value from the text that a device wrote. */
#pragma once

#include "bridge/reading.h"
#include "field/driver.h"

/* A part of what was received; not NUL-terminated. text NULL: it is not there. */
struct word {
	const char *text;
	size_t length;
};

/* Without the blanks at both ends. */
struct word word_trim(struct word word);
bool word_is(struct word word, const char *text);
/* The next line, without its LF or CR LF, which is taken off `rest`; false: there is none. */
bool word_line(struct word *rest, struct word *line);

/*
 * The value of a point: a number (decimal, or 0x and hexadecimal; decimal locators are kept),
 * with the point's scale, offset and names; a bool; text. What is not of the point's type,
 * or is its map's `nan`, is VALUE_NULL.
 */
void word_decode(const struct point *point, struct word word, struct value *value);

/*
 * Degrees of NMEA 0183: `4807.038` and `N` are 48 degrees and 7.038 minutes north. An empty
 * or wrong word is VALUE_NULL.
 */
void word_decode_degrees(const struct point *point, struct word angle, struct word side,
			 struct value *value);

/*
 * A request's or a command's text with the address, in decimal, and the value (NULL: there is
 * none) where they belong; its length.
 */
size_t word_fill(const struct template *template, uint8_t address, const char *value,
		 uint8_t text[FRAME_MAX]);

/*
 * A value as a device that writes text takes it: its number before scale and names, 1 and 0 of
 * a bool, its text. Its length, at most STRING_MAX_LENGTH; 0: it is none of the point's.
 */
size_t word_encode(const struct point *point, const struct value *value,
		   char word[STRING_MAX_LENGTH + 1]);
