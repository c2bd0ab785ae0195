// SPDX-License-Identifier: Apache-2.0
/*
 * frame.c - binary frames as small sensors have them, drawn by the map:
 *
 *     start      address   count          values …        checksum    end
 *     42 4D                00 1C          … 26 bytes …     03 A1                 PMS5003
 *     AA C0                               … 6 bytes …      1D          AB        SDS011
 *     59 59                               … 6 bytes …      A4                    TF-Luna
 *     `start:`  `address_at:` `length:`   `at:` of points  `checksum:` `end:`
 *
 * Offsets are counted from the frame's first byte. `length:` is fixed, or says where in the
 * frame a count stands; a frame with neither goes up to the first `end:`. The checksum stands
 * at the frame's end, or before `end:`. The sources of the figures are in the maps.
 */

#include "drivers/raw.h"
#include "field/driver.h"

#include <string.h>

static struct chunk refused(enum reply_status status, size_t used)
{
	return (struct chunk){.status = status, .used = used};
}

/* Where the start may stand: whole, or as far as the bytes go. n: nowhere. */
static size_t find_start(const struct ending *start, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t length = n - i < start->length ? n - i : start->length;

		if (!memcmp(bytes + i, start->bytes, length))
			return i;
	}
	return n;
}

static uint16_t word_at(const uint8_t *bytes, size_t size, bool low_first)
{
	if (size < 2)
		return bytes[0];
	return (uint16_t)(low_first ? bytes[1] << 8 | bytes[0] : bytes[0] << 8 | bytes[1]);
}

static size_t seal_length(const struct framing *framing)
{
	return checksum_size(framing->checksum.type) + framing->end.length;
}

/* Up to the first `end:`. */
static enum reply_status find_end(const struct framing *framing, const uint8_t *bytes, size_t n,
				  size_t *length)
{
	size_t from = framing->start.length + checksum_size(framing->checksum.type);
	const uint8_t *end = n > from ? memmem(bytes + from, n - from, framing->end.bytes,
					       framing->end.length)
				      : NULL;

	*length = end ? (size_t)(end - bytes) + framing->end.length : n + 1;
	if (*length > FRAME_MAX_LENGTH)
		return REPLY_LENGTH;
	return end ? REPLY_OK : REPLY_MORE;
}

/* The length of the frame that the bytes begin with, which may be more than there are. */
static enum reply_status frame_length(const struct framing *framing, const uint8_t *bytes,
				      size_t n, size_t *length)
{
	size_t least = framing->start.length, behind = framing->count.at + framing->count.size;
	int counted;

	*length = framing->length;
	if (framing->length)
		return REPLY_OK;
	if (!framing->count.size)
		return find_end(framing, bytes, n, length);
	if (n < behind)
		return REPLY_MORE;
	counted = word_at(bytes + framing->count.at, framing->count.size,
			  framing->count.low_first) +
		  framing->count.add;
	least = (least > behind ? least : behind) + seal_length(framing);
	if (counted < (int)least || counted > framing->count.most)
		return REPLY_LENGTH;
	*length = (size_t)counted;
	return REPLY_OK;
}

static bool is_sealed(const struct framing *framing, const uint8_t *bytes, size_t length)
{
	size_t size = checksum_size(framing->checksum.type);
	size_t at = length - framing->end.length - size, from = framing->checksum.from;

	if (from > at)
		return false;
	return !size || checksum_of(framing->checksum.type, bytes + from, at - from) ==
				word_at(bytes + at, size, framing->checksum.low_first);
}

/*
 * After a refusal the search goes on right behind the first byte: what looked like a start
 * may have been a value of a frame whose beginning was lost.
 */
static struct chunk frame_next(const struct device_map *map, uint8_t address,
			       const uint8_t *bytes, size_t n)
{
	const struct framing *framing = &map->framing;
	size_t start = find_start(&framing->start, bytes, n), length;
	enum reply_status status;

	if (start > 0)
		return refused(REPLY_GARBAGE, start);
	if (n < framing->start.length || n == 0)
		return refused(REPLY_MORE, 0);
	status = frame_length(framing, bytes, n, &length);
	if (status != REPLY_OK)
		return refused(status, status != REPLY_MORE);
	if (n < length)
		return refused(REPLY_MORE, 0);
	if (memcmp(bytes + length - framing->end.length, framing->end.bytes,
		   framing->end.length))
		return refused(REPLY_LENGTH, 1);
	if (!is_sealed(framing, bytes, length))
		return refused(REPLY_CHECKSUM, 1);
	if (framing->address_at >= 0 &&
	    (framing->address_at >= (int)length || bytes[framing->address_at] != address))
		return refused(REPLY_ADDRESS, length);
	return (struct chunk){REPLY_OK, length, bytes, length};
}

static size_t frame_values(_unused_ const struct device_map *map, const struct point *points,
			   size_t count, const uint8_t *unit, size_t n,
			   struct reading *readings)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		struct reading *reading = &readings[found];

		/* A counted frame may be shorter than the map's longest. */
		if (!point_is_read(&points[i]) ||
		    points[i].locator->at + point_size(&points[i]) > n)
			continue;
		reading->point = i;
		raw_decode(&points[i], unit + points[i].locator->at, &reading->value);
		found++;
	}
	return found;
}

static size_t frame_ask(const struct device_map *map, uint8_t address,
			uint8_t frame[FRAME_MAX])
{
	const struct framing *framing = &map->framing;
	size_t n = 0, from = framing->checksum.from;

	for (size_t i = 0; i < framing->request.count; i++) {
		uint16_t item = framing->request.items[i], sum;

		if (item == FILL_ADDRESS)
			item = address;
		if (item != FILL_CHECKSUM) {
			frame[n++] = (uint8_t)item;
			continue;
		}
		sum = checksum_of(framing->checksum.type, frame + (from < n ? from : n),
				  from < n ? n - from : 0);
		if (checksum_size(framing->checksum.type) == 2) {
			frame[n++] = (uint8_t)(framing->checksum.low_first ? sum : sum >> 8);
			sum = framing->checksum.low_first ? sum >> 8 : sum;
		}
		frame[n++] = (uint8_t)sum;
	}
	return n;
}

const struct driver driver_frame = {
	.name = "frame",
	.next = frame_next,
	.values = frame_values,
	.ask = frame_ask,
};
