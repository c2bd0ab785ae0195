/* SPDX-License-Identifier: Apache-2.0 */
/* setting_check.c - whether a point takes a value, and what it will show then. */
#include "bridge/setting.h"

#include "bridge/number.h"
#include "config/writing.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

enum {
	NUMBER_MAX_LENGTH = 40,
	/* What of a value is shown in an error. */
	SHOWN = 24,
};

/* A limit is met where only the arithmetic of its scale has missed it. */
#define HAIR 1e-12

/* --- words --- */

/* 1 for `on` and the like, 0 for `off`, -1 for no such word. */
static int truth_of(const char *text)
{
	static const char *const words[] = {"0",     "1",    "off", "on",
					    "false", "true", "no",  "yes"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(text, words[i]))
			return i & 1;
	return -1;
}

static const char *name_of(const struct point *point, int64_t number)
{
	for (size_t i = 0; i < point->value_count; i++)
		if (point->values[i].value == number)
			return point->values[i].name;
	return NULL;
}

static void show_name(const char *name, struct value *value)
{
	value->kind = VALUE_TEXT;
	snprintf(value->text, sizeof(value->text), "%s", name);
}

static void show_truth(const struct point *point, bool truth, struct value *value)
{
	const char *name = name_of(point, truth);

	if (name) {
		show_name(name, value);
		return;
	}
	value->kind = VALUE_BOOL;
	value->u = truth;
}

static int check_action(const struct point *point, const char *text, struct value *value,
			char error[OUTCOME_ERROR_MAX])
{
	const char *name = name_of(point, 1);

	if (truth_of(text) != 1 && strcasecmp(text, "press") &&
	    (!name || strcmp(text, name)))
		return setting_wrong(error, "%s is an action and takes on, not '%.*s'",
				     point->name, SHOWN, text);
	show_truth(point, true, value);
	return 0;
}

static int check_bool(const struct point *point, const char *text, struct value *value,
		      char error[OUTCOME_ERROR_MAX])
{
	int truth = truth_of(text);

	if (truth < 0)
		return setting_wrong(error, "'%.*s' is neither on nor off", SHOWN, text);
	show_truth(point, truth, value);
	return 0;
}

static int no_such_name(const struct point *point, const char *text,
			char error[OUTCOME_ERROR_MAX])
{
	struct text said = {.data = error, .size = OUTCOME_ERROR_MAX - 5};

	text_addf(&said, "'%.*s' is none of ", SHOWN, text);
	for (size_t i = 0; i < point->value_count && !said.full; i++)
		text_addf(&said, "%s%s", i ? ", " : "", point->values[i].name);
	if (said.full)
		strcat(error, ", …");
	return -EINVAL;
}

/* A name, its number, or where on and off are 1 and 0 any word for these. */
static int check_name(const struct point *point, const char *text, struct value *value,
		      char error[OUTCOME_ERROR_MAX])
{
	int truth = truth_of(text);
	const char *name = NULL;
	int64_t number;
	char *end;

	for (size_t i = 0; i < point->value_count && !name; i++)
		if (!strcmp(point->values[i].name, text))
			name = text;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (!name && *text && !*end && !errno)
		name = name_of(point, number);
	if (!name && truth >= 0 && name_of(point, !truth))
		name = name_of(point, truth);
	if (!name)
		return no_such_name(point, text, error);
	show_name(name, value);
	return 0;
}

/* A control character could end a command's line and begin another. */
static int check_string(const struct point *point, const char *text, struct value *value,
			char error[OUTCOME_ERROR_MAX])
{
	size_t most = point->length ? point->length : STRING_MAX_LENGTH, n = strlen(text);

	if (n > most)
		return setting_wrong(error, "%s takes at most %zu bytes, not %zu", point->name,
				     most, n);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
			return setting_wrong(error,
					     "there is a control character in the value");
	if (n && text[n - 1] == ' ')
		return setting_wrong(error, "a blank at the value's end would not be seen");
	value->kind = VALUE_TEXT;
	memcpy(value->text, text, n + 1);
	return 0;
}

/* --- numbers --- */

struct number {
	double d;
	bool whole; /* .magnitude is exact */
	bool negative;
	uint64_t magnitude;
};

/* Decimal, with an exponent or without. */
static bool parse_number(const char *text, struct number *number)
{
	const char *digits = text + (*text == '-' || *text == '+');
	char *end;

	if (strlen(text) > NUMBER_MAX_LENGTH || !strpbrk(text, "0123456789") ||
	    text[strspn(text, "+-.0123456789eE")])
		return false;
	number->d = strtod(text, &end);
	if (*end || !isfinite(number->d))
		return false;
	number->negative = *text == '-';
	errno = 0;
	number->magnitude = strtoull(digits, &end, 10);
	number->whole = !*end && !errno;
	/* 5.0 and 1e3 are whole as well. */
	if (*end && number->d == floor(number->d) && fabs(number->d) < ldexp(1, 53)) {
		number->magnitude = (uint64_t)fabs(number->d);
		number->whole = true;
	}
	return true;
}

static bool is_integer(const struct point *point)
{
	return point->type != TYPE_F32 && point->type != TYPE_F64 &&
	       point->type != TYPE_NUMBER;
}

static bool is_signed(const struct point *point)
{
	return point->type == TYPE_I8 || point->type == TYPE_I16 ||
	       point->type == TYPE_I32 || point->type == TYPE_I64;
}

static bool is_scaled(const struct point *point)
{
	return point->scale != 1 || point->offset != 0;
}

static double hair_of(double number)
{
	return HAIR * fmax(1, fabs(number));
}

static void print_number(double number, char text[NUMBER_MAX_TEXT])
{
	struct value value = {.kind = VALUE_DOUBLE, .d = number};
	struct text printed = {.data = text, .size = NUMBER_MAX_TEXT};
	char rounded[NUMBER_MAX_TEXT];

	/* 6553.5 is not 6553.500000000001, whatever the scale has made of it. */
	snprintf(rounded, sizeof(rounded), "%.12g", number);
	value.d = strtod(rounded, NULL);
	number_print(&value, &printed);
}

static int check_limits(const struct point *point, const char *text, double d,
			char error[OUTCOME_ERROR_MAX])
{
	double least, most, from = point->has_write_min ? point->write_min : 0, steps;
	char limit[NUMBER_MAX_TEXT];

	writing_range(point, &least, &most);
	if (d > most + hair_of(most)) {
		print_number(most, limit);
		return setting_wrong(error, "%.*s is more than %s, the most that %s takes",
				     SHOWN, text, limit, point->name);
	}
	if (d < least - hair_of(least)) {
		print_number(least, limit);
		return setting_wrong(error, "%.*s is less than %s, the least that %s takes",
				     SHOWN, text, limit, point->name);
	}
	steps = point->has_write_step ? (d - from) / point->write_step : 0;
	if (fabs(steps - round(steps)) > 1e-6) {
		print_number(point->write_step, limit);
		return setting_wrong(error, "%.*s is not a whole number of steps of %s", SHOWN,
				     text, limit);
	}
	return 0;
}

/* Of a whole number without a scale: exactly as many bits as the type has. */
static int check_whole(const struct point *point, const char *text,
		       const struct number *number, struct value *value,
		       char error[OUTCOME_ERROR_MAX])
{
	double least, most;

	writing_range(point, &least, &most);
	if (!number->whole && number->d != floor(number->d))
		return setting_wrong(error, "%.*s is no whole number, and %s takes no others",
				     SHOWN, text, point->name);
	/* Beyond 2^63 and 2^64 a double does not see by how much. */
	if (!number->whole ||
	    (is_signed(point) &&
	     number->magnitude > (uint64_t)INT64_MAX + number->negative) ||
	    (!is_signed(point) && number->negative && number->magnitude))
		return setting_wrong(error, "%.*s is more than %s can hold", SHOWN, text,
				     point->name);
	if (!is_signed(point)) {
		value->kind = VALUE_UNSIGNED;
		value->u = number->magnitude;
		return 0;
	}
	value->kind = VALUE_SIGNED;
	value->i = (int64_t)(number->negative ? -number->magnitude : number->magnitude);
	return 0;
}

/* The nearest that the point can hold. */
static int round_to_point(const struct point *point, const char *text,
			  const struct number *number, struct value *value,
			  char error[OUTCOME_ERROR_MAX])
{
	double raw = (number->d - point->offset) / point->scale;

	if (is_integer(point) && !is_scaled(point))
		return check_whole(point, text, number, value, error);
	/* Of 64 bits a double does not see the end. */
	if (is_integer(point) &&
	    (raw >= ldexp(1, is_signed(point) ? 63 : 64) || raw < -ldexp(1, 63)))
		return setting_wrong(error, "%.*s is more than %s can hold", SHOWN, text,
				     point->name);
	if (is_integer(point)) {
		value->kind = VALUE_DECIMAL;
		value->decimals = point->decimals;
		value->d = round(raw) * point->scale + point->offset;
	} else if (point->type == TYPE_F32) {
		value->kind = VALUE_FLOAT;
		value->d = (double)(float)((double)(float)raw * point->scale +
					   point->offset);
	} else {
		value->kind = VALUE_DOUBLE;
		value->d = number->d;
	}
	return 0;
}

/* Of a driver of text: as it is written there. */
static void show_written(const struct number *number, struct value *value)
{
	if (!number->whole)
		return;
	value->kind = VALUE_UNSIGNED;
	value->u = number->magnitude;
	if (!number->negative || !number->magnitude || number->magnitude > INT64_MAX)
		return;
	value->kind = VALUE_SIGNED;
	value->i = -(int64_t)number->magnitude;
}

/* The raw bits that mean no value cannot be written as one. */
static bool is_none(const struct point *point, const struct value *value)
{
	double raw;

	if (!point->has_nan || point->bit_count || !is_integer(point))
		return false;
	if (value->kind != VALUE_DECIMAL)
		raw = value->kind == VALUE_SIGNED ? (double)value->i : (double)value->u;
	else
		raw = round((value->d - point->offset) / point->scale);
	/* A sign reaches up to the highest bit, which the map's number does not. */
	if (raw < 0)
		raw += ldexp(1, point->type == TYPE_I8 ? 8 : (int)point_size(point) * 8);
	return raw == (double)point->nan;
}

static int check_number(const struct point *point, const char *text, struct value *value,
			char error[OUTCOME_ERROR_MAX])
{
	struct number number;
	int r;

	if (!parse_number(text, &number))
		return setting_wrong(error, "'%.*s' is no number", SHOWN, text);
	r = check_limits(point, text, number.d, error);
	if (r == 0)
		r = round_to_point(point, text, &number, value, error);
	if (r < 0)
		return r;
	if (is_none(point, value))
		return setting_wrong(error, "%.*s is how %s says that it has no value", SHOWN,
				     text, point->name);
	if (point->type == TYPE_NUMBER && !is_scaled(point))
		show_written(&number, value);
	return 0;
}

int setting_check(const struct point *point, const char *text, struct value *value,
		  char error[OUTCOME_ERROR_MAX])
{
	*value = (struct value){.kind = VALUE_NULL};
	if (!point->writable)
		return setting_wrong(error, "%s cannot be written", point->name);
	if (writing_is_action(point))
		return check_action(point, text, value, error);
	if (point->value_count)
		return check_name(point, text, value, error);
	switch (point->type) {
	case TYPE_BOOL:
		return check_bool(point, text, value, error);
	case TYPE_STRING:
		return check_string(point, text, value, error);
	default:
		return check_number(point, text, value, error);
	}
}
