// SPDX-License-Identifier: Apache-2.0
/* number.c - values as text: the shortest digits that read back as the same value. */

#include "bridge/number.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* The text stays NUL-terminated; once something did not fit, nothing more is added. */
void text_add(struct text *text, const char *bytes, size_t length)
{
	if (text->full || length >= text->size - text->length) {
		text->full = true;
		return;
	}
	memcpy(text->data + text->length, bytes, length);
	text->length += length;
	text->data[text->length] = '\0';
}

void text_addf(struct text *text, const char *format, ...)
{
	size_t room = text->size - text->length;
	va_list list;
	int n;

	if (text->full)
		return;
	va_start(list, format);
	n = vsnprintf(text->data + text->length, room, format, list);
	va_end(list);
	if (n < 0 || (size_t)n >= room) {
		text->full = true;
		if (room > 0)
			text->data[text->length] = '\0';
		return;
	}
	text->length += (size_t)n;
}

void text_addu(struct text *text, uint64_t number, unsigned width)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = '0' + number % 10;
	while ((number /= 10) || sizeof(digits) - at < width);
	text_add(text, digits + at, sizeof(digits) - at);
}

/* A finite number's decimal digits d1 d2 … dn, as d1.d2…dn times ten to the exponent. */
struct digits {
	char text[DBL_DECIMAL_DIG + 1];
	int count, exponent;
};

/*
 * Takes "2.302e+02" to pieces. The decimal point is the locale's and may be any
 * character, even of several bytes: all that is no digit is passed over.
 */
static void digits_parse(const char *printed, struct digits *digits)
{
	digits->count = 0;
	for (; *printed != 'e'; printed++)
		if (*printed >= '0' && *printed <= '9')
			digits->text[digits->count++] = *printed;
	digits->exponent = (int)strtol(printed + 1, NULL, 10);
	while (digits->count > 1 && digits->text[digits->count - 1] == '0')
		digits->count--;
}

/*
 * The fewest digits that read back as the same number. FLT_DIG and DBL_DIG digits always
 * survive the way to the number and back, so fewer need not be tried: their trailing
 * zeros are cut off. Only subnormal numbers may need less.
 */
static void digits_shortest(double number, bool single, struct digits *digits)
{
	double normal = single ? (double)FLT_MIN : DBL_MIN;
	int count = number < normal ? 1 : single ? FLT_DIG : DBL_DIG;
	int most = single ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;
	char printed[64];

	for (;; count++) {
		snprintf(printed, sizeof(printed), "%.*e", count - 1, number);
		if (count >= most || (single ? (double)strtof(printed, NULL)
					     : strtod(printed, NULL)) == number)
			break;
	}
	digits_parse(printed, digits);
}

static void add_zeros(struct text *text, int count)
{
	while (count-- > 0)
		text_add(text, "0", 1);
}

/* ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20). */
static void digits_print(const struct digits *digits, struct text *text)
{
	int whole = digits->exponent + 1; /* digits before the point */

	if (whole > 21 || whole < -5) {
		text_add(text, digits->text, 1);
		if (digits->count > 1)
			text_add(text, ".", 1);
		text_add(text, digits->text + 1, (size_t)digits->count - 1);
		text_addf(text, "e%+d", digits->exponent);
	} else if (whole <= 0) {
		text_add(text, "0.", 2);
		add_zeros(text, -whole);
		text_add(text, digits->text, (size_t)digits->count);
	} else if (whole >= digits->count) {
		text_add(text, digits->text, (size_t)digits->count);
		add_zeros(text, whole - digits->count);
	} else {
		text_add(text, digits->text, (size_t)whole);
		text_add(text, ".", 1);
		text_add(text, digits->text + whole, (size_t)(digits->count - whole));
	}
}

/*
 * Rounds to so many decimal places: 2302 times 0.1 is 230.20000000000002 in binary, and
 * 230.2 is the double nearest to what the device meant. Above 2^53 nothing is left to
 * round.
 */
static double rounded(double number, int decimals)
{
	char printed[160];

	if (fabs(number) >= 9007199254740992.0)
		return number;
	snprintf(printed, sizeof(printed), "%.*f", decimals > 0 ? decimals : 0, number);
	return strtod(printed, NULL);
}

static void print_floating(double number, bool single, struct text *text)
{
	struct digits digits;

	if (!isfinite(number)) {
		text_add(text, "null", 4);
		return;
	}
	if (number < 0)
		text_add(text, "-", 1);
	if (number == 0) {
		text_add(text, "0", 1);
		return;
	}
	digits_shortest(fabs(number), single, &digits);
	digits_print(&digits, text);
}

void number_print(const struct value *value, struct text *text)
{
	switch (value->kind) {
	case VALUE_NULL:
		text_add(text, "null", 4);
		return;
	case VALUE_BOOL:
		text_addf(text, "%s", value->u ? "true" : "false");
		return;
	case VALUE_UNSIGNED:
		text_addf(text, "%" PRIu64, value->u);
		return;
	case VALUE_SIGNED:
		text_addf(text, "%" PRId64, value->i);
		return;
	case VALUE_FLOAT:
		print_floating(value->d, true, text);
		return;
	case VALUE_DOUBLE:
		print_floating(value->d, false, text);
		return;
	case VALUE_DECIMAL:
		print_floating(isfinite(value->d) ? rounded(value->d, value->decimals)
						  : value->d,
			       false, text);
		return;
	case VALUE_TEXT:
		text_add(text, value->text, strlen(value->text));
		return;
	}
}

/*
 * Length of the UTF-8 character that the bytes begin with, 0 where they are not UTF-8
 * (Unicode, table 3-7). A terminating NUL is never a continuation, so nothing is read
 * past it.
 */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xBF;
	size_t length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	length = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (s[0] == 0xE0)
		low = 0xA0; /* overlong below */
	else if (s[0] == 0xED)
		high = 0x9F; /* surrogates above */
	else if (s[0] == 0xF0)
		low = 0x90; /* overlong below */
	else if (s[0] == 0xF4)
		high = 0x8F; /* U+10FFFF is the last */
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (s[i] < 0x80 || s[i] > 0xBF)
			return 0;
	return length;
}

bool utf8_is_valid(const char *bytes, size_t length)
{
	const unsigned char *s = (const unsigned char *)bytes, *end = s + length;

	while (s < end) {
		size_t n = *s ? utf8_length(s) : 0;

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

void json_string(const char *bytes, struct text *text)
{
	const unsigned char *s = (const unsigned char *)bytes;
	size_t length;

	text_add(text, "\"", 1);
	for (; *s; s += length ? length : 1) {
		length = utf8_length(s);
		if (length == 0)
			text_add(text, "\xEF\xBF\xBD", 3);
		else if (*s == '"' || *s == '\\')
			text_addf(text, "\\%c", *s);
		else if (*s < 0x20)
			text_addf(text, "\\u%04x", *s);
		else
			text_add(text, (const char *)s, length);
	}
	text_add(text, "\"", 1);
}

void json_value(const struct value *value, struct text *text)
{
	if (value->kind == VALUE_TEXT)
		json_string(value->text, text);
	else
		number_print(value, text);
}

double value_number(const struct value *value)
{
	switch (value->kind) {
	case VALUE_BOOL:
	case VALUE_UNSIGNED:
		return (double)value->u;
	case VALUE_SIGNED:
		return (double)value->i;
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
	case VALUE_DECIMAL:
		return value->d;
	case VALUE_NULL:
	case VALUE_TEXT:
		break;
	}
	return NAN;
}
