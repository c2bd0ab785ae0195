// SPDX-License-Identifier: Apache-2.0
/* words.c - a point's value from the text that a device wrote. */
#include "drivers/words.h"

#include "bridge/number.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

enum {
	NUMBER_MAX_LENGTH = 40,
	DECIMALS_MOST = 15, /* more a double does not have */
	DEGREE_DECIMALS = 7, /* 1 cm */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct word word_trim(struct word word)
{
	while (word.length && is_blank(word.text[0])) {
		word.text++;
		word.length--;
	}
	while (word.length && is_blank(word.text[word.length - 1]))
		word.length--;
	return word;
}

bool word_is(struct word word, const char *text)
{
	return word.text && word.length == strlen(text) &&
	       !memcmp(word.text, text, word.length);
}

bool word_line(struct word *rest, struct word *line)
{
	const char *end = rest->length ? memchr(rest->text, '\n', rest->length) : NULL;

	if (!rest->length)
		return false;
	*line = *rest;
	if (end)
		line->length = (size_t)(end - rest->text);
	rest->text += line->length + (end != NULL);
	rest->length -= line->length + (end != NULL);
	if (line->length && line->text[line->length - 1] == '\r')
		line->length--;
	return true;
}

/* A number as it is written, and its decimal places. */
struct number {
	bool whole, negative;
	uint64_t magnitude; /* of a whole one */
	double d;
	int decimals;
};

/* `12`, `-12.50`, `1.5e3`; also `.5`, `5.` and `+5`, which devices write. */
static bool parse_decimal(const char *text, struct number *number)
{
	const char *digits = text + (*text == '-' || *text == '+');
	size_t before = strspn(digits, "0123456789");
	const char *point = digits + before;
	size_t after = *point == '.' ? strspn(point + 1, "0123456789") : 0;
	const char *end = point + (*point == '.') + after;
	char *stop;

	if (!before && !after)
		return false;
	number->negative = *text == '-';
	number->whole = !*point;
	number->decimals = (int)after;
	errno = 0;
	number->magnitude = number->whole ? strtoull(digits, NULL, 10) : 0;
	number->whole = number->whole && !errno;
	number->d = strtod(text, &stop);
	if (*stop)
		return false;
	if (*end) /* an exponent: places are then no measure of what is known */
		number->decimals = -1;
	return isfinite(number->d);
}

static bool parse_number(struct word word, struct number *number)
{
	char text[NUMBER_MAX_LENGTH + 1];
	char *end;

	if (!word.length || word.length > NUMBER_MAX_LENGTH)
		return false;
	memcpy(text, word.text, word.length);
	text[word.length] = '\0';
	if (strncasecmp(text, "0x", 2))
		return text[strspn(text, "+-.0123456789eE")] == '\0' &&
		       parse_decimal(text, number);
	if (!isxdigit((unsigned char)text[2]) || word.length > 18)
		return false;
	*number = (struct number){.whole = true, .magnitude = strtoull(text, &end, 16)};
	number->d = (double)number->magnitude;
	return !*end;
}

static const char *name_of(const struct point *point, const struct number *number)
{
	bool negative = number->negative;

	if (!number->whole || number->magnitude > INT64_MAX)
		return NULL;
	for (size_t i = 0; i < point->value_count; i++) {
		int64_t value = (int64_t)number->magnitude;

		if (point->values[i].value == (negative ? -value : value))
			return point->values[i].name;
	}
	return NULL;
}

static void decode_number(const struct point *point, struct word word, struct value *value)
{
	bool scaled = point->scale != 1 || point->offset != 0;
	struct number number;
	const char *name;

	if (!parse_number(word, &number))
		return;
	name = name_of(point, &number);
	if (name) {
		value->kind = VALUE_TEXT;
		snprintf(value->text, sizeof(value->text), "%s", name);
	} else if (number.whole && !scaled && !number.negative) {
		value->kind = VALUE_UNSIGNED;
		value->u = number.magnitude;
	} else if (number.whole && !scaled && number.magnitude <= INT64_MAX) {
		value->kind = VALUE_SIGNED;
		value->i = -(int64_t)number.magnitude;
	} else {
		int decimals = number.decimals + (scaled ? point->decimals : 0);

		value->kind = number.decimals < 0 ? VALUE_DOUBLE : VALUE_DECIMAL;
		value->decimals = (int8_t)(decimals < DECIMALS_MOST ? decimals : DECIMALS_MOST);
		value->d = scaled ? number.d * point->scale + point->offset : number.d;
	}
}

static void decode_bool(const struct point *point, struct word word, struct value *value)
{
	static const char *const words[] = {"0", "1", "off", "on", "false", "true", "no", "yes"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (word.length != strlen(words[i]) ||
		    strncasecmp(word.text, words[i], word.length))
			continue;
		value->kind = VALUE_BOOL;
		value->u = i & 1;
		for (size_t j = 0; j < point->value_count; j++) {
			if (point->values[j].value != (int64_t)(i & 1))
				continue;
			value->kind = VALUE_TEXT;
			snprintf(value->text, sizeof(value->text), "%s",
				 point->values[j].name);
		}
	}
}

void word_decode(const struct point *point, struct word word, struct value *value)
{
	*value = (struct value){.kind = VALUE_NULL};
	word = word_trim(word);
	if (point->locator->nan && word_is(word, point->locator->nan))
		return;
	switch (point->type) {
	case TYPE_BOOL:
		decode_bool(point, word, value);
		return;
	case TYPE_STRING:
		if (!word.length)
			return;
		if (word.length > STRING_MAX_LENGTH)
			word.length = STRING_MAX_LENGTH;
		value->kind = VALUE_TEXT;
		memcpy(value->text, word.text, word.length);
		value->text[word.length] = '\0';
		return;
	default:
		decode_number(point, word, value);
		return;
	}
}

void word_decode_degrees(const struct point *point, struct word angle, struct word side,
			 struct value *value)
{
	struct number number;
	double degrees;

	*value = (struct value){.kind = VALUE_NULL};
	angle = word_trim(angle);
	side = word_trim(side);
	if (!angle.length || !isdigit((unsigned char)angle.text[0]) ||
	    !parse_number(angle, &number) || side.length != 1 || !isalpha((unsigned char)side.text[0]) ||
	    !strchr("NSEW", side.text[0]))
		return;
	degrees = floor(number.d / 100);
	degrees += (number.d - degrees * 100) / 60;
	if (degrees > (strchr("NS", side.text[0]) ? 90 : 180))
		return;
	if (strchr("SW", side.text[0]))
		degrees = -degrees;
	value->kind = VALUE_DECIMAL;
	value->decimals = DEGREE_DECIMALS;
	value->d = degrees * point->scale + point->offset;
}

/* The number that has this name, as a value; false: none has. */
static bool named(const struct point *point, const char *name, struct value *value)
{
	for (size_t i = 0; i < point->value_count; i++) {
		if (strcmp(point->values[i].name, name))
			continue;
		*value = (struct value){.kind = VALUE_SIGNED, .i = point->values[i].value};
		return true;
	}
	return false;
}

/* With a scale, to as many digits as are right behind the arithmetic. */
static struct value unscaled(const struct point *point, const struct value *value)
{
	double raw = (value_number(value) - point->offset) / point->scale;
	char digits[NUMBER_MAX_LENGTH + 1];

	if (point->scale == 1 && point->offset == 0)
		return *value;
	snprintf(digits, sizeof(digits), "%.14g", raw);
	return (struct value){.kind = VALUE_DOUBLE, .d = strtod(digits, NULL)};
}

size_t word_encode(const struct point *point, const struct value *value,
		   char word[STRING_MAX_LENGTH + 1])
{
	struct text text = {.data = word, .size = STRING_MAX_LENGTH + 1};
	struct value raw = *value;

	word[0] = '\0';
	if (value->kind == VALUE_TEXT && !named(point, value->text, &raw)) {
		if (point->type == TYPE_STRING)
			text_add(&text, value->text, strlen(value->text));
		return text.full ? 0 : text.length;
	}
	if (value->kind == VALUE_NULL || point->type == TYPE_STRING)
		return 0;
	if (value->kind == VALUE_BOOL)
		raw.kind = VALUE_UNSIGNED;
	else if (value->kind != VALUE_TEXT)
		raw = unscaled(point, value);
	number_print(&raw, &text);
	return text.full ? 0 : text.length;
}

size_t word_fill(const struct template *template, uint8_t address, const char *value,
		 uint8_t text[FRAME_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < template->count; i++) {
		uint16_t item = template->items[i];

		if (item == FILL_ADDRESS)
			n += (size_t)sprintf((char *)text + n, "%u", address);
		else if (item == FILL_VALUE)
			n += (size_t)sprintf((char *)text + n, "%s", value ? value : "");
		else
			text[n++] = (uint8_t)item;
	}
	return n;
}
