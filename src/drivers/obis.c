// SPDX-License-Identifier: Apache-2.0
/*
 * obis.c - telegrams of meters: DSMR P1, and IEC 62056-21 modes C and D.
 *
 * P1 Companion Standard 5.0.2 (Netbeheer Nederland), section 6; up to version 3 without a CRC:
 *
 *     / I S k 5 \ 2 M T 3 8 2 - 1 0 0 0 CR LF CR LF
 *     1-0:1.8.1 ( 123456.789 * kWh ) CR LF
 *     0-1:24.2.1 ( 101209112500W ) ( 12785.123 * m3 ) CR LF
 *     ! E F 2 F CR LF         CRC-16/ARC from / to ! in hexadecimal, highest digit first
 *
 * IEC 62056-21:2002, section 6, mode C; mode D has no STX, ETX and BCC and comes unasked:
 *
 *     we    / ? ! CR LF       (the device's address may stand before the !)
 *     it    / I S K 5 M T 1 7 4 CR LF
 *     we    ACK 0 0 0 CR LF   read out, at the rate of the beginning
 *     it    STX 1.8.0 ( 000123.4 * kWh ) CR LF … ! CR LF ETX BCC
 *                             BCC: all behind STX up to ETX by exclusive or
 */

#include "drivers/words.h"
#include "field/driver.h"

#include <ctype.h>
#include <string.h>

enum {
	STX = 0x02,
	ETX = 0x03,
	CRC_DIGITS = 4,
};

static struct chunk refused(enum reply_status status, size_t used)
{
	return (struct chunk){.status = status, .used = used};
}

/* What is in front of the next telegram; ends of lines alone are not worth a word. */
static struct chunk before_telegram(const uint8_t *bytes, size_t n)
{
	bool only_ends = true;
	size_t i = 0;

	for (; i < n && bytes[i] != '/'; i++)
		only_ends = only_ends && (bytes[i] == '\r' || bytes[i] == '\n');
	if (only_ends)
		return (struct chunk){REPLY_OK, i, bytes, 0};
	return refused(REPLY_GARBAGE, i);
}

/*
 * Where the mark stands at the beginning of a line; n: nowhere. A / there is the next
 * telegram's: this one's end was lost.
 */
static size_t find_line(const uint8_t *bytes, size_t n, uint8_t mark)
{
	for (size_t i = 1; i < n; i++) {
		if (bytes[i] == mark && bytes[i - 1] == '\n')
			return i;
	}
	return n;
}

static bool crc_is_right(const uint8_t *bytes, size_t mark, size_t end)
{
	char digits[CRC_DIGITS + 1] = "";

	if (end - mark - 1 < CRC_DIGITS)
		return false;
	memcpy(digits, bytes + mark + 1, CRC_DIGITS);
	for (size_t i = 0; i < CRC_DIGITS; i++) {
		if (!isxdigit((unsigned char)digits[i]))
			return false;
	}
	return strtoul(digits, NULL, 16) == checksum_of(CHECKSUM_CRC16_ARC, bytes, mark + 1);
}

/* Up to the line that begins with an exclamation mark. */
static struct chunk marked(const uint8_t *bytes, size_t n, enum telegram_seal seal)
{
	size_t mark = find_line(bytes, n, '!');
	const uint8_t *end = mark < n ? memchr(bytes + mark, '\n', n - mark) : NULL;
	size_t length = end ? (size_t)(end - bytes) + 1 : n;

	if (!end)
		return refused(REPLY_MORE, 0);
	if (seal == SEAL_CRC16 && !crc_is_right(bytes, mark, length))
		return refused(REPLY_CHECKSUM, length);
	return (struct chunk){REPLY_OK, length, bytes, mark};
}

/* From STX to ETX, and the BCC behind it. */
static struct chunk blocked(const uint8_t *bytes, size_t n)
{
	const uint8_t *begin = memchr(bytes, STX, n);
	const uint8_t *end = begin ? memchr(begin, ETX, (size_t)(bytes + n - begin)) : NULL;
	size_t length = end ? (size_t)(end - bytes) + 2 : n + 1;

	if (length > n)
		return refused(REPLY_MORE, 0);
	if (checksum_of(CHECKSUM_XOR8, begin + 1, (size_t)(end - begin)) != end[1])
		return refused(REPLY_CHECKSUM, length);
	return (struct chunk){REPLY_OK, length, bytes, length - 2};
}

static struct chunk obis_next(const struct device_map *map, _unused_ uint8_t address,
			      const uint8_t *bytes, size_t n)
{
	enum telegram_seal seal = map->framing.seal;
	struct chunk chunk;
	size_t again;

	if (n == 0)
		return refused(REPLY_MORE, 0);
	if (bytes[0] != '/')
		return before_telegram(bytes, n);
	again = find_line(bytes, n, '/');
	chunk = seal == SEAL_BCC ? blocked(bytes, again) : marked(bytes, again, seal);
	if (chunk.status != REPLY_MORE)
		return chunk;
	if (again < n)
		return refused(REPLY_LENGTH, again);
	return n < UNIT_MAX ? chunk : refused(REPLY_LENGTH, 1);
}

/* --- values --- */

/* `1-0:1.8.0*255` is what most meters print without the last part. */
static bool is_code(struct word id, const char *code)
{
	static const char usual[] = "*255";
	const size_t length = sizeof(usual) - 1;

	if (word_is(id, code))
		return true;
	if (id.length <= length || memcmp(id.text + id.length - length, usual, length))
		return false;
	id.length -= length;
	return word_is(id, code);
}

/* Counts the ( ) of a line; the N-th of all so far, or with N 0 each, becomes `group`. */
static void take_groups(struct word line, unsigned wanted, unsigned *count,
			struct word *group)
{
	while (line.length) {
		const char *open = memchr(line.text, '(', line.length);
		const char *close;

		if (!open)
			return;
		line.length -= (size_t)(open - line.text);
		line.text = open;
		close = memchr(open, ')', line.length);
		if (!close)
			return;
		++*count;
		if (!wanted || *count == wanted)
			*group = (struct word){open + 1, (size_t)(close - open) - 1};
		line.length -= (size_t)(close - open) + 1;
		line.text = close + 1;
	}
}

/*
 * What stands behind the code. A line that begins with ( goes on with the one before, as
 * DSMR 2 and 3 have it for gas.
 */
static struct word find_group(struct word telegram, const char *code, unsigned wanted)
{
	struct word line, group = {0};
	unsigned count = 0;
	bool found = false;

	while (word_line(&telegram, &line)) {
		const char *open;
		struct word id;

		if (line.length && line.text[0] == STX) {
			line.text++;
			line.length--;
		}
		open = line.length ? memchr(line.text, '(', line.length) : NULL;
		id = (struct word){line.text, open ? (size_t)(open - line.text) : 0};
		if (id.length || !open) {
			if (found)
				break;
			found = open && is_code(id, code);
		}
		if (found)
			take_groups(line, wanted, &count, &group);
	}
	return group;
}

static size_t obis_values(_unused_ const struct device_map *map, const struct point *points,
			  size_t count, const uint8_t *unit, size_t n,
			  struct reading *readings)
{
	struct word telegram = {(const char *)unit, n};
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		const struct locator *locator = points[i].locator;
		struct reading *reading = &readings[found];
		struct word group = find_group(telegram, locator->key, locator->group);
		const char *star;

		if (!group.text)
			continue;
		star = group.length ? memchr(group.text, '*', group.length) : NULL;
		if (star)
			group.length = (size_t)(star - group.text);
		reading->point = i;
		word_decode(&points[i], group, &reading->value);
		found++;
	}
	return found;
}

/* --- the way there --- */

static size_t obis_ask(const struct device_map *map, uint8_t address,
		       uint8_t frame[FRAME_MAX])
{
	return word_fill(&map->framing.request, address, NULL, frame);
}

/* The meter has named itself once its first line is whole. */
static size_t obis_acknowledge(const struct device_map *map, const uint8_t *bytes, size_t n,
			       uint8_t frame[FRAME_MAX])
{
	const uint8_t *begin = n ? memchr(bytes, '/', n) : NULL;

	if (!begin || !memchr(begin, '\n', (size_t)(bytes + n - begin)))
		return 0;
	return word_fill(&map->framing.acknowledge, 0, NULL, frame);
}

const struct driver driver_obis = {
	.name = "obis",
	.next = obis_next,
	.values = obis_values,
	.ask = obis_ask,
	.acknowledge = obis_acknowledge,
};
