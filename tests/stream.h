/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h - plays bytes through a driver of streams, cut in every way; for the tests. */
#pragma once

#include "bridge/number.h"
#include "field/driver.h"

#include <string.h>

enum { STREAM_LOG_MAX = 8192, STREAM_POINTS_MAX = 64 };

/* A map called m, from memory; it must be right. */
static inline struct device_map *stream_map(const char *text)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct device_map *map = NULL;
	int r = device_map_parse("m.yaml", text, strlen(text), driver_names(), &map, faults);

	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	return map;
}

/* Bytes as they are received, what is to be taken off first in front. */
struct stream {
	const struct device_map *map;
	uint8_t address;
	uint8_t bytes[2 * UNIT_MAX];
	size_t n;
	char buffer[STREAM_LOG_MAX];
	struct text log; /* `a=1 b=2;` for a unit with points in it, `!garbage;` for a refusal */
	enum reply_status last;
};

static inline void stream_begin(struct stream *stream, const struct device_map *map,
				uint8_t address)
{
	*stream = (struct stream){.map = map, .address = address};
	stream->log = (struct text){.data = stream->buffer, .size = sizeof(stream->buffer)};
}

static inline void stream_note(struct stream *stream, const struct chunk *chunk,
			       const uint8_t *unit)
{
	const struct driver *driver = driver_find(stream->map->driver);
	const struct device_map *map = stream->map;
	struct reading readings[STREAM_POINTS_MAX];
	size_t count;

	if (chunk->status != REPLY_OK) {
		/* However garbage comes in pieces, it is one run of it. */
		if (chunk->status != REPLY_GARBAGE || stream->last != REPLY_GARBAGE)
			text_addf(&stream->log, "!%s;", reply_status_name(chunk->status));
		stream->last = chunk->status;
		return;
	}
	if (chunk->length)
		stream->last = REPLY_OK;
	assert_true(map->point_count <= STREAM_POINTS_MAX);
	count = driver->values(map, map->points, map->point_count, unit, chunk->length,
			       readings);
	for (size_t i = 0; i < count; i++) {
		assert_true(readings[i].point < map->point_count);
		text_addf(&stream->log, "%s%s=", i ? " " : "",
			  map->points[readings[i].point].name);
		number_print(&readings[i].value, &stream->log);
	}
	if (count)
		text_addf(&stream->log, ";");
}

/* Takes off what can be taken off, each look at a heap copy of exactly the bytes there are. */
static inline void stream_take(struct stream *stream)
{
	const struct driver *driver = driver_find(stream->map->driver);

	while (stream->n) {
		_cleanup_free_ uint8_t *copy = malloc(stream->n);
		struct chunk chunk;

		memcpy(copy, stream->bytes, stream->n);
		chunk = driver->next(stream->map, stream->address, copy, stream->n);
		assert_true(chunk.used <= stream->n);
		if (chunk.status == REPLY_MORE) {
			assert_int_equal(chunk.used, 0);
			assert_true(stream->n < UNIT_MAX);
			return;
		}
		assert_true(chunk.used > 0);
		stream_note(stream, &chunk, chunk.unit);
		stream->n -= chunk.used;
		memmove(stream->bytes, stream->bytes + chunk.used, stream->n);
	}
}

static inline void stream_feed(struct stream *stream, const void *bytes, size_t n)
{
	assert_true(stream->n + n <= sizeof(stream->bytes));
	memcpy(stream->bytes + stream->n, bytes, n);
	stream->n += n;
	stream_take(stream);
}

/* The log of the bytes given whole, in two parts at each place, and one by one. */
static inline void stream_check_at(const struct device_map *map, uint8_t address,
				   const void *bytes, size_t n, const char *expected)
{
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	const uint8_t *all = bytes;

	for (size_t cut = 0; cut < n; cut++) {
		stream_begin(stream, map, address);
		stream_feed(stream, all, cut);
		stream_feed(stream, all + cut, n - cut);
		assert_string_equal(stream->buffer, expected);
	}
	stream_begin(stream, map, address);
	for (size_t i = 0; i < n; i++)
		stream_feed(stream, all + i, 1);
	assert_string_equal(stream->buffer, expected);
}

static inline void stream_check(const struct device_map *map, const char *text,
				const char *expected)
{
	stream_check_at(map, 0, text, strlen(text), expected);
}

/*
 * A unit four times, of the second each single bit of its first `most` bytes flipped: the
 * first and the last are taken, and something was refused between them. The third may be
 * lost where the second's end was.
 */
static inline void stream_check_flips(const struct device_map *map, const void *bytes,
				      size_t n, size_t most, const char *value)
{
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	_cleanup_free_ uint8_t *four = malloc(4 * n);
	size_t length = strlen(value);

	for (size_t bit = 0; bit < 8 * most; bit++) {
		for (size_t i = 0; i < 4; i++)
			memcpy(four + i * n, bytes, n);
		four[n + bit / 8] ^= (uint8_t)(1u << bit % 8);
		stream_begin(stream, map, 0);
		stream_feed(stream, four, 4 * n);
		if (strncmp(stream->buffer, value, length) ||
		    strlen(stream->buffer) < 2 * length ||
		    strcmp(stream->buffer + strlen(stream->buffer) - length, value) ||
		    !strchr(stream->buffer, '!'))
			fail_msg("bit %zu flipped: %s", bit, stream->buffer);
	}
}
