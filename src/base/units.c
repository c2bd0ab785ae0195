/* SPDX-License-Identifier: Apache-2.0 */
/* units.c - durations and sizes as users write them: `250ms`, `2s`, `7d`; `64K`, `256M`. */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t usec;
};

/* Largest first: those that are written, and at the end two that are only read. */
static const struct unit units[] = {
	{"d", 86400 * USEC_PER_SEC}, {"h", 3600 * USEC_PER_SEC},
	{"min", 60 * USEC_PER_SEC},  {"s", USEC_PER_SEC},
	{"ms", USEC_PER_MSEC},       {"us", 1},
	{"m", 60 * USEC_PER_SEC},    {"w", 7 * 86400 * USEC_PER_SEC},
};

/* Reads digits and moves behind them. */
static int read_whole(const char **text, uint64_t *whole)
{
	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	for (*whole = 0; isdigit((unsigned char)**text); (*text)++) {
		if (__builtin_mul_overflow(*whole, 10, whole) ||
		    __builtin_add_overflow(*whole, (uint64_t)(**text - '0'), whole))
			return -ERANGE;
	}
	return 0;
}

/* Reads `.5` as 5 of 10. Six digits are enough and keep unit times part within 64 bits. */
static int read_fraction(const char **text, uint64_t *part, uint64_t *of)
{
	*part = 0;
	*of = 1;
	if (**text != '.')
		return 0;
	for ((*text)++; isdigit((unsigned char)**text); (*text)++) {
		if (*of == 1000000)
			return -EINVAL;
		*part = *part * 10 + (**text - '0');
		*of *= 10;
	}
	return *of == 1 ? -EINVAL : 0;
}

static int in_unit(uint64_t whole, uint64_t part, uint64_t of, uint64_t unit, uint64_t *usec)
{
	if (part * unit % of)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, unit, usec) ||
	    __builtin_add_overflow(*usec, part * unit / of, usec))
		return -ERANGE;
	return 0;
}

int parse_duration(const char *text, uint64_t *usec)
{
	uint64_t whole, part, of;
	int r;

	r = read_whole(&text, &whole);
	if (r < 0)
		return r;
	r = read_fraction(&text, &part, &of);
	if (r < 0)
		return r;
	if (!*text && !whole && !part) {
		*usec = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (!strcmp(text, units[i].name))
			return in_unit(whole, part, of, units[i].usec, usec);
	}
	return -EINVAL;
}

int parse_size(const char *text, uint64_t *bytes)
{
	static const char letters[] = "KMGT";
	const char *letter;
	unsigned shift = 0;
	uint64_t whole;
	int r;

	r = read_whole(&text, &whole);
	if (r < 0)
		return r;
	letter = *text ? strchr(letters, *text) : NULL;
	if (letter) {
		shift = 10 * (letter - letters + 1);
		text += text[1] == 'i' && text[2] == 'B' ? 2 : 1;
	}
	if (*text == 'B')
		text++;
	if (*text)
		return -EINVAL;
	if (whole > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = whole << shift;
	return 0;
}

const char *format_duration(uint64_t usec, char *buffer, size_t size)
{
	const struct unit *unit = units;

	while (usec % unit->usec || (!usec && unit->usec > USEC_PER_SEC))
		unit++;
	snprintf(buffer, size, "%" PRIu64 "%s", usec / unit->usec, unit->name);
	return buffer;
}
