// SPDX-License-Identifier: Apache-2.0
/*
 * vedirect.c - text blocks of Victron's VE.Direct, which come each second.
 *
 * Victron Energy, VE.Direct Protocol 3.32, "Message format" and "Data integrity":
 *
 *     CR LF P I D HT 0 x A 0 5 3
 *     CR LF V HT 1 2 8 0 0              label, tabulator, value
 *     …
 *     CR LF C h e c k s u m HT xx       all bytes of the block, from the first CR to xx, add
 *                                       up to 0 modulo 256
 *
 * Between blocks messages in hexadecimal may come, which begin with a colon and end with LF:
 * answers to somebody else's questions. A block with one within is refused, since it may stand
 * in the midst of a value.
 */

#include "drivers/words.h"
#include "field/driver.h"

#include <string.h>

enum {
	BLOCK_MAX = 1024, /* some 22 fields of at most 9 + 1 + 33 characters */
	HEX_MAX = 256,
};

static const char last_label[] = "\r\nChecksum\t";

static struct chunk refused(enum reply_status status, size_t used)
{
	return (struct chunk){.status = status, .used = used};
}

/* A message in hexadecimal is taken off as a unit in which nothing is. */
static struct chunk next_hex(const uint8_t *bytes, size_t n)
{
	const uint8_t *end = memchr(bytes, '\n', n);

	if (end && end - bytes < HEX_MAX)
		return (struct chunk){REPLY_OK, (size_t)(end - bytes) + 1, bytes, 0};
	return n < HEX_MAX ? refused(REPLY_MORE, 0) : refused(REPLY_LENGTH, 1);
}

/* What is in front of the next block: up to CR LF, or to a CR that may be one's. */
static struct chunk before_block(const uint8_t *bytes, size_t n)
{
	size_t i = 1;

	while (i < n && bytes[i] != ':' &&
	       (bytes[i] != '\r' || (i + 1 < n && bytes[i + 1] != '\n')))
		i++;
	return refused(REPLY_GARBAGE, i);
}

static struct chunk vedirect_next(_unused_ const struct device_map *map,
				  _unused_ uint8_t address, const uint8_t *bytes, size_t n)
{
	const size_t label_length = sizeof(last_label) - 1;
	const uint8_t *last;
	size_t length;

	if (n == 0)
		return refused(REPLY_MORE, 0);
	if (bytes[0] == ':')
		return next_hex(bytes, n);
	if (bytes[0] != '\r' || (n > 1 && bytes[1] != '\n'))
		return before_block(bytes, n);
	last = memmem(bytes, n, last_label, label_length);
	length = last ? (size_t)(last - bytes) + label_length + 1 : n + 1;
	if (length > BLOCK_MAX)
		return refused(REPLY_LENGTH, 2);
	if (length > n)
		return refused(REPLY_MORE, 0);
	if (memchr(bytes, ':', length - 1))
		return refused(REPLY_GARBAGE, length);
	if (checksum_of(CHECKSUM_SUM8, bytes, length))
		return refused(REPLY_CHECKSUM, length);
	return (struct chunk){REPLY_OK, length, bytes, length - label_length - 1};
}

static bool find_field(struct word block, const char *label, struct word *field)
{
	struct word line;

	while (word_line(&block, &line)) {
		const char *tab = line.length ? memchr(line.text, '\t', line.length) : NULL;
		struct word name = {line.text, tab ? (size_t)(tab - line.text) : 0};

		if (!tab || !word_is(name, label))
			continue;
		*field = (struct word){tab + 1, line.length - name.length - 1};
		return true;
	}
	return false;
}

static size_t vedirect_values(_unused_ const struct device_map *map,
			      const struct point *points, size_t count, const uint8_t *unit,
			      size_t n, struct reading *readings)
{
	struct word block = {(const char *)unit, n}, field;
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		struct reading *reading = &readings[found];

		if (!find_field(block, points[i].locator->key, &field))
			continue;
		reading->point = i;
		word_decode(&points[i], field, &reading->value);
		found++;
	}
	return found;
}

/* The blocks come unasked. */
static size_t vedirect_ask(_unused_ const struct device_map *map, _unused_ uint8_t address,
			   _unused_ uint8_t frame[FRAME_MAX])
{
	return 0;
}

const struct driver driver_vedirect = {
	.name = "vedirect",
	.next = vedirect_next,
	.values = vedirect_values,
	.ask = vedirect_ask,
};
