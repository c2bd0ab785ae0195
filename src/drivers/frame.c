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
 *
 * With `stuffing: shdlc` a frame goes from one 7E to the next. All else is of the frame as it
 * is without the stuffing:
 *
 *     start             count                              checksum    end
 *     7E 00 03    00    28          … 40 bytes …           D4          7E                SPS30
 */

#include "config/writing.h"
#include "drivers/raw.h"
#include "drivers/shdlc.h"
#include "field/driver.h"

#include <string.h>

/* A template filled in: a checksum may be two bytes, and one value may be a string. */
enum { PLAIN_MAX = 2 * REQUEST_MAX_LENGTH + STRING_MAX_LENGTH + 2 };

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

/* What is wrong with a frame of that length; REPLY_OK: nothing. */
static enum reply_status judge(const struct framing *framing, uint8_t address,
			       const uint8_t *frame, size_t length)
{
	if (memcmp(frame + length - framing->end.length, framing->end.bytes,
		   framing->end.length))
		return REPLY_LENGTH;
	if (!is_sealed(framing, frame, length))
		return REPLY_CHECKSUM;
	if (framing->address_at >= 0 &&
	    (framing->address_at >= (int)length || frame[framing->address_at] != address))
		return REPLY_ADDRESS;
	return REPLY_OK;
}

/*
 * After a refusal the search goes on right behind the first byte: what looked like a start
 * may have been a value of a frame whose beginning was lost.
 */
static struct chunk next_plain(const struct framing *framing, uint8_t address,
			       const uint8_t *bytes, size_t n)
{
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
	status = judge(framing, address, bytes, length);
	if (status == REPLY_OK)
		return (struct chunk){REPLY_OK, length, bytes, length};
	return refused(status, status == REPLY_ADDRESS ? length : 1);
}

/* What is wrong with an unstuffed frame, which has both flags. */
static enum reply_status judge_stuffed(const struct framing *framing, uint8_t address,
				       const uint8_t *plain, size_t length)
{
	size_t wanted = length;
	enum reply_status status;

	if (length < framing->start.length + seal_length(framing))
		return REPLY_LENGTH;
	status = judge(framing, address, plain, length);
	if (status != REPLY_OK)
		return status;
	/* Right in itself, but the answer to something else. */
	if (memcmp(plain, framing->start.bytes, framing->start.length))
		return REPLY_FUNCTION;
	if (framing->length || framing->count.size)
		status = frame_length(framing, plain, length, &wanted);
	return status == REPLY_OK && wanted == length ? REPLY_OK : REPLY_LENGTH;
}

/*
 * A flag that was taken for a beginning may have been an end. So the search goes on with the
 * flag behind what was refused, unless a checksum has shown that both are those of one frame.
 */
static struct chunk next_stuffed(const struct framing *framing, uint8_t address,
				 const uint8_t *bytes, size_t n)
{
	const uint8_t *begin = n ? memchr(bytes, SHDLC_FLAG, n) : bytes, *end;
	uint8_t plain[FRAME_MAX_LENGTH];
	enum reply_status status;
	size_t used, length;

	if (begin != bytes)
		return refused(REPLY_GARBAGE, begin ? (size_t)(begin - bytes) : n);
	end = n > 1 ? memchr(bytes + 1, SHDLC_FLAG, n - 1) : NULL;
	if (!end)
		return n < 2 * FRAME_MAX_LENGTH ? refused(REPLY_MORE, 0)
						: refused(REPLY_LENGTH, 1);
	used = (size_t)(end - bytes);
	if (used == 1)
		return refused(REPLY_GARBAGE, 1);
	length = shdlc_unstuff(bytes, used + 1, plain, sizeof(plain));
	status = judge_stuffed(framing, address, plain, length);
	if (status == REPLY_OK)
		return (struct chunk){REPLY_OK, used + 1, bytes, used + 1};
	if ((status == REPLY_FUNCTION || status == REPLY_ADDRESS) && framing->checksum.type)
		used++;
	return refused(status, used);
}

static struct chunk frame_next(const struct device_map *map, uint8_t address,
			       const uint8_t *bytes, size_t n)
{
	const struct framing *framing = &map->framing;

	return framing->stuffing == STUFFING_SHDLC ? next_stuffed(framing, address, bytes, n)
						   : next_plain(framing, address, bytes, n);
}

static size_t frame_values(const struct device_map *map, const struct point *points,
			   size_t count, const uint8_t *unit, size_t n,
			   struct reading *readings)
{
	uint8_t plain[FRAME_MAX_LENGTH];
	size_t found = 0;

	if (map->framing.stuffing == STUFFING_SHDLC) {
		n = shdlc_unstuff(unit, n, plain, sizeof(plain));
		unit = plain;
	}
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

/* What is to be filled in. */
struct filling {
	uint8_t address;
	uint8_t value[STRING_MAX_LENGTH + 2]; /* of commands */
	size_t value_length;
};

/* The template before it is stuffed. */
static size_t fill_plain(const struct framing *framing, const struct template *template,
			 const struct filling *filling, uint8_t plain[PLAIN_MAX])
{
	size_t n = 0, from = framing->checksum.from;

	for (size_t i = 0; i < template->count; i++) {
		uint16_t item = template->items[i], sum;

		if (item == FILL_VALUE) {
			memcpy(plain + n, filling->value, filling->value_length);
			n += filling->value_length;
			continue;
		}
		if (item == FILL_ADDRESS)
			item = filling->address;
		if (item != FILL_CHECKSUM) {
			plain[n++] = (uint8_t)item;
			continue;
		}
		sum = checksum_of(framing->checksum.type, plain + (from < n ? from : n),
				  from < n ? n - from : 0);
		if (checksum_size(framing->checksum.type) == 2) {
			plain[n++] = (uint8_t)(framing->checksum.low_first ? sum : sum >> 8);
			sum = framing->checksum.low_first ? sum >> 8 : sum;
		}
		plain[n++] = (uint8_t)sum;
	}
	return n;
}

/* The template as it goes over the wire. */
static size_t fill(const struct framing *framing, const struct template *template,
		   const struct filling *filling, uint8_t frame[FRAME_MAX])
{
	uint8_t plain[PLAIN_MAX];
	size_t n = fill_plain(framing, template, filling, plain);

	if (framing->stuffing == STUFFING_SHDLC)
		return shdlc_stuff(plain, n, frame);
	memcpy(frame, plain, n);
	return n;
}

static size_t frame_ask(const struct device_map *map, uint8_t address,
			uint8_t frame[FRAME_MAX])
{
	const struct filling filling = {.address = address};

	return fill(&map->framing, &map->framing.request, &filling, frame);
}

static size_t frame_set_up(const struct device_map *map, uint8_t address,
			   uint8_t frame[FRAME_MAX])
{
	const struct filling filling = {.address = address};

	return fill(&map->framing, &map->framing.setup, &filling, frame);
}

/* The value as the point's type has it; false: it is none of the point's. */
static bool take_value(const struct point *point, const struct value *value,
		       const struct template *template, struct filling *filling)
{
	if (!template_has(template, FILL_VALUE))
		return true;
	filling->value_length = point_size(point);
	return raw_put(point, value, filling->value) == 0;
}

static size_t frame_command(const struct device_map *map, const struct point *point,
			    const struct value *value, uint8_t address, uint8_t frame[FRAME_MAX])
{
	const struct template *command = &point->locator->phrase->command;
	struct filling filling = {.address = address};

	if (!take_value(point, value, command, &filling))
		return 0;
	return fill(&map->framing, command, &filling, frame);
}

static bool frame_confirms(const struct device_map *map, const struct point *point,
			   const struct value *value, uint8_t address, const uint8_t *bytes,
			   size_t n)
{
	const struct template *reply = &point->locator->phrase->frame_reply;
	struct filling filling = {.address = address};
	uint8_t plain[PLAIN_MAX];

	return take_value(point, value, reply, &filling) &&
	       memmem(bytes, n, plain, fill_plain(&map->framing, reply, &filling, plain));
}

const struct driver driver_frame = {
	.name = "frame",
	.next = frame_next,
	.values = frame_values,
	.ask = frame_ask,
	.set_up = frame_set_up,
	.command = frame_command,
	.confirms = frame_confirms,
};
