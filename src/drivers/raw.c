// SPDX-License-Identifier: Apache-2.0
/* raw.c - a point's bytes to its value and back: types, orders, bits, scale, names. */

#include "drivers/raw.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* The low `bits` bits set; 64 is all of them. */
static uint64_t mask(unsigned bits)
{
	return bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
}

static bool is_signed(enum value_type type)
{
	return type == TYPE_I8 || type == TYPE_I16 || type == TYPE_I32 ||
	       type == TYPE_I64;
}

static bool is_scaled(const struct point *point)
{
	return point->scale != 1 || point->offset != 0;
}

/* Bits of the whole value; an 8-bit one is the low half of its register. */
static unsigned type_bits(const struct point *point)
{
	if (point->type == TYPE_U8 || point->type == TYPE_I8)
		return 8;
	return (unsigned)point_size(point) * 8;
}

static unsigned field_bits(const struct point *point)
{
	return point->bit_count ? point->bit_count : type_bits(point);
}

/* The bytes in the value's own order, as one number. */
static uint64_t gather(const struct point *point, const uint8_t *bytes)
{
	size_t size = point_size(point);
	uint64_t raw = 0;

	for (size_t i = 0; i < size; i++)
		raw = raw << 8 | bytes[point->order[i]];
	return raw;
}

static void scatter(const struct point *point, uint64_t raw, uint8_t *bytes)
{
	for (size_t i = point_size(point); i-- > 0; raw >>= 8)
		bytes[point->order[i]] = (uint8_t)raw;
}

/* Where the i-th character of a string stands: a register holds two, AB or BA. */
static size_t character_at(const struct point *point, size_t i)
{
	return (i & ~(size_t)1) + point->order[i & 1];
}

static void decode_text(const struct point *point, const uint8_t *bytes,
			struct value *value)
{
	size_t n = 0;

	while (n < point->length && bytes[character_at(point, n)]) {
		value->text[n] = (char)bytes[character_at(point, n)];
		n++;
	}
	while (n > 0 && value->text[n - 1] == ' ')
		n--;
	value->text[n] = '\0';
	value->kind = VALUE_TEXT;
}

static void decode_floating(const struct point *point, uint64_t raw, struct value *value)
{
	bool single = point->type == TYPE_F32;
	uint32_t low = (uint32_t)raw;
	float f;
	double d;

	memcpy(&f, &low, sizeof(f));
	memcpy(&d, &raw, sizeof(d));
	if (single)
		d = f;
	if (is_scaled(point))
		d = d * point->scale + point->offset;
	/* A double that a float cannot hold would be undefined as one. */
	if (!isfinite(d) || (single && fabs(d) > (double)FLT_MAX))
		return;
	value->kind = single ? VALUE_FLOAT : VALUE_DOUBLE;
	value->d = single ? (double)(float)d : d;
}

/* 0x1234 is 1234; false where a digit is above 9. */
static bool decode_bcd(uint64_t *raw)
{
	uint64_t number = 0, unit = 1;

	for (uint64_t rest = *raw; rest; rest >>= 4, unit *= 10) {
		if ((rest & 15) > 9)
			return false;
		number += (rest & 15) * unit;
	}
	*raw = number;
	return true;
}

static uint64_t encode_bcd(uint64_t number)
{
	uint64_t raw = 0;

	for (unsigned shift = 0; number; number /= 10, shift += 4)
		raw |= number % 10 << shift;
	return raw;
}

static const char *name_of(const struct point *point, int64_t number)
{
	for (size_t i = 0; i < point->value_count; i++)
		if (point->values[i].value == number)
			return point->values[i].name;
	return NULL;
}

static void decode_integer(const struct point *point, uint64_t raw, struct value *value)
{
	bool negative = is_signed(point->type) && raw >> (field_bits(point) - 1) & 1;
	const char *name;

	if (negative)
		raw |= ~mask(field_bits(point));
	if (point->type == TYPE_BOOL)
		raw = raw != 0;

	name = negative || raw <= INT64_MAX ? name_of(point, (int64_t)raw) : NULL;
	if (name) {
		value->kind = VALUE_TEXT;
		snprintf(value->text, sizeof(value->text), "%s", name);
	} else if (point->type == TYPE_BOOL) {
		value->kind = VALUE_BOOL;
		value->u = raw;
	} else if (is_scaled(point)) {
		value->kind = VALUE_DECIMAL;
		value->decimals = point->decimals;
		value->d =
			(negative ? (double)(int64_t)raw : (double)raw) * point->scale +
			point->offset;
	} else if (is_signed(point->type)) {
		value->kind = VALUE_SIGNED;
		value->i = (int64_t)raw;
	} else {
		value->kind = VALUE_UNSIGNED;
		value->u = raw;
	}
}

void raw_decode(const struct point *point, const uint8_t *bytes, struct value *value)
{
	uint64_t raw;

	*value = (struct value){.kind = VALUE_NULL};
	if (point->type == TYPE_STRING) {
		decode_text(point, bytes, value);
		return;
	}

	raw = gather(point, bytes);
	if (point->has_nan && ((raw ^ point->nan) & mask(type_bits(point))) == 0)
		return;
	if (point->type == TYPE_F32 || point->type == TYPE_F64) {
		decode_floating(point, raw, value);
		return;
	}
	raw = raw >> point->bit_low & mask(field_bits(point));
	if ((point->type == TYPE_BCD16 || point->type == TYPE_BCD32) && !decode_bcd(&raw))
		return;
	decode_integer(point, raw, value);
}

/* The nearest whole number of so many bits, in two's complement. */
static uint64_t nearest(double number, unsigned bits, bool negative_too)
{
	uint64_t most = mask(negative_too ? bits - 1 : bits);
	double least = negative_too ? -ldexp(1, (int)bits - 1) : 0;

	if (number >= (double)most)
		return most;
	number = round(fmax(number, least));
	return (number < 0 ? (uint64_t)(int64_t)number : (uint64_t)number) & mask(bits);
}

static uint64_t encode_integer(const struct point *point, double number)
{
	switch (point->type) {
	case TYPE_BOOL:
		return number != 0;
	case TYPE_BCD16:
		return encode_bcd(nearest(fmin(number, 9999), 16, false));
	case TYPE_BCD32:
		return encode_bcd(nearest(fmin(number, 99999999), 32, false));
	default:
		return nearest(number, field_bits(point), is_signed(point->type));
	}
}

static uint64_t encode_floating(const struct point *point, double number)
{
	uint64_t raw;
	uint32_t low;
	float f;

	if (point->type == TYPE_F64) {
		memcpy(&raw, &number, sizeof(raw));
		return raw;
	}
	if (!isnan(number))
		number = fmin(fmax(number, -(double)FLT_MAX), (double)FLT_MAX);
	f = (float)number;
	memcpy(&low, &f, sizeof(low));
	return low;
}

/* Puts the raw bits where they belong, those beside them are left as they are. */
static void put_bits(const struct point *point, uint64_t raw, uint8_t *bytes)
{
	uint64_t field;

	if (point->bit_count) {
		field = mask(point->bit_count) << point->bit_low;
		raw = (raw << point->bit_low & field) | (gather(point, bytes) & ~field);
	}
	scatter(point, raw, bytes);
}

void raw_encode(const struct point *point, double number, uint8_t *bytes)
{

	if (point->type == TYPE_STRING)
		return;
	if (!point->values && is_scaled(point))
		number = (number - point->offset) / point->scale;

	if (isnan(number) && point->has_nan) {
		scatter(point, point->nan, bytes);
		return;
	}
	if (point->type == TYPE_F32 || point->type == TYPE_F64) {
		scatter(point, encode_floating(point, number), bytes);
		return;
	}
	put_bits(point, isnan(number) ? 0 : encode_integer(point, number), bytes);
}

void raw_encode_text(const struct point *point, const char *text, uint8_t *bytes)
{
	size_t n = strnlen(text, point->length);

	memset(bytes, 0, point_size(point));
	for (size_t i = 0; i < n; i++)
		bytes[character_at(point, i)] = (uint8_t)text[i];
}

/* --- what is written --- */

/* The number that has this name; false: none has. */
static bool number_of(const struct point *point, const char *name, int64_t *number)
{
	for (size_t i = 0; i < point->value_count; i++) {
		if (strcmp(point->values[i].name, name) == 0) {
			*number = point->values[i].value;
			return true;
		}
	}
	return false;
}

/* A whole number with its sign apart as raw bits. */
static int put_whole(const struct point *point, bool negative, uint64_t magnitude, uint8_t *bytes)
{
	unsigned bits = point->type == TYPE_BOOL && !point->bit_count ? 1 : field_bits(point);
	uint64_t most = mask(is_signed(point->type) ? bits - 1 : bits);

	if (point->type == TYPE_BCD16 || point->type == TYPE_BCD32) {
		if (negative || magnitude > (point->type == TYPE_BCD16 ? 9999 : 99999999))
			return -ERANGE;
		put_bits(point, encode_bcd(magnitude), bytes);
		return 0;
	}
	if (negative ? !is_signed(point->type) || magnitude > most + 1 : magnitude > most)
		return -ERANGE;
	put_bits(point, (negative ? -magnitude : magnitude) & mask(bits), bytes);
	return 0;
}

static int put_signed(const struct point *point, int64_t number, uint8_t *bytes)
{
	return put_whole(point, number < 0,
			 number < 0 ? -(uint64_t)number : (uint64_t)number, bytes);
}

static int put_number(const struct point *point, double number, uint8_t *bytes)
{
	double raw = (number - point->offset) / point->scale;

	if (!isfinite(raw))
		return -ERANGE;
	if (point->type == TYPE_F32 || point->type == TYPE_F64) {
		if (point->type == TYPE_F32 && fabs(raw) > (double)FLT_MAX)
			return -ERANGE;
		scatter(point, encode_floating(point, raw), bytes);
		return 0;
	}
	raw = round(raw);
	if (fabs(raw) >= ldexp(1, 64))
		return -ERANGE;
	return put_whole(point, raw < 0, (uint64_t)fabs(raw), bytes);
}

static int put_text(const struct point *point, const char *text, uint8_t *bytes)
{
	int64_t number;

	if (number_of(point, text, &number))
		return put_signed(point, number, bytes);
	if (point->type != TYPE_STRING || strlen(text) > point->length)
		return -ERANGE;
	raw_encode_text(point, text, bytes);
	return 0;
}

int raw_put(const struct point *point, const struct value *value, uint8_t *bytes)
{
	bool floating = point->type == TYPE_F32 || point->type == TYPE_F64;

	if (point->type == TYPE_STRING && value->kind != VALUE_TEXT)
		return -ERANGE;
	switch (value->kind) {
	case VALUE_NULL:
		return -ERANGE;
	case VALUE_TEXT:
		return put_text(point, value->text, bytes);
	case VALUE_BOOL:
	case VALUE_UNSIGNED:
		return floating || is_scaled(point)
			       ? put_number(point, (double)value->u, bytes)
			       : put_whole(point, false, value->u, bytes);
	case VALUE_SIGNED:
		return floating || is_scaled(point)
			       ? put_number(point, (double)value->i, bytes)
			       : put_signed(point, value->i, bytes);
	case VALUE_FLOAT:
	case VALUE_DOUBLE:
	case VALUE_DECIMAL:
		return put_number(point, value->d, bytes);
	}
	return -ERANGE;
}
