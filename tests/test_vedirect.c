// SPDX-License-Identifier: Apache-2.0
/* test_vedirect.c - VE.Direct's text blocks: sums, splits, garbage, hexadecimal messages. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stream.h"

static const char map_text[] = "map: m\n"
			       "driver: vedirect\n"
			       "points:\n"
			       "  battery_voltage: {key: V, scale: 0.001}\n"
			       "  battery_current: {key: I, scale: 0.001}\n"
			       "  panel_power: {key: PPV}\n"
			       "  state: {key: CS, values: {0: off, 3: bulk, 4: absorption}}\n"
			       "  off_reason: {key: OR}\n"
			       "  load: {key: LOAD, type: bool}\n"
			       "  serial: {key: 'SER#', type: string}\n"
			       "  product: {key: PID, type: string}\n"
			       "  time_to_go: {key: TTG, nan: '-1'}\n";

/* Labels and values as Victron's VE.Direct Protocol lists them, of a 75/15 charger. */
static const char fields[] = "\r\nPID\t0xA042\r\nFW\t119\r\nSER#\tHQ1328A1B2C\r\nV\t13790\r\n"
			     "I\t-10\r\nVPV\t18240\r\nPPV\t7\r\nCS\t4\r\nOR\t0x00000001\r\n"
			     "ERR\t0\r\nLOAD\tON\r\nTTG\t-1\r\nH19\t1234\r\nHSDS\t0\r\nChecksum\t";
static const char values[] = "battery_voltage=13.79 battery_current=-0.01 panel_power=7 "
			     "state=absorption off_reason=1 load=true serial=HQ1328A1B2C "
			     "product=0xA042 time_to_go=null;";

/* The block and its checksum, with `inner` (no part of the sum) in the midst of it. */
static size_t block(const char *inner, char *bytes)
{
	size_t at = (size_t)(strstr(fields, "\r\nI\t") - fields), n = strlen(fields);
	uint8_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (uint8_t)fields[i];
	n = (size_t)sprintf(bytes, "%.*s%s%s", (int)at, fields, inner, fields + at);
	bytes[n] = (char)-sum;
	return n + 1;
}

static void test_block(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(map_text);
	char bytes[512];
	size_t n = block("", bytes);

	stream_check_at(map, 0, bytes, n, values);
	stream_check_flips(map, bytes, n, n, values);
}

/* Begun in the midst of a block: that one is refused, the next is taken. */
static void test_begun_late(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(map_text);
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	char bytes[512];
	size_t n = block("", bytes), length = strlen(values);

	for (size_t cut = 1; cut < n; cut++) {
		stream_begin(stream, map, 0);
		stream_feed(stream, bytes + cut, n - cut);
		assert_int_equal(stream->buffer[0], '!');
		stream_feed(stream, bytes, n);
		stream_feed(stream, bytes, n);
		assert_true(strlen(stream->buffer) > length);
		assert_string_equal(stream->buffer + strlen(stream->buffer) - length, values);
	}
}

static void test_hexadecimal(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(map_text);
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	char bytes[1536];
	size_t n = block("", bytes);

	/* Victron's FAQ: an answer with the battery's capacity; between blocks and within one. */
	n += (size_t)sprintf(bytes + n, ":7001000C80076\n");
	n += block(":7001000C80076\n", bytes + n);
	n += block("", bytes + n);
	stream_begin(stream, map, 0);
	stream_feed(stream, bytes, n);
	assert_memory_equal(stream->buffer, values, strlen(values));
	assert_memory_equal(stream->buffer + strlen(values), "!garbage;", 9);
	assert_string_equal(stream->buffer + strlen(values) + 9, values);
}

/* A checksum that looks like a line's end, a colon or the next block's beginning. */
static void test_any_checksum(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map("map: m\ndriver: vedirect\npoints: {x: {key: X, type: string}}\n");

	for (unsigned wanted = 1; wanted < 256; wanted++) {
		char bytes[64];
		uint8_t sum = (uint8_t)wanted;
		size_t n;

		/* Two characters of X make up for what is missing to that checksum. */
		n = (size_t)sprintf(bytes, "\r\nX\t@@\r\nChecksum\t%c", (char)wanted);
		for (size_t i = 0; i + 1 < n; i++)
			sum += (uint8_t)bytes[i];
		bytes[4] = (char)('@' + (uint8_t)-sum / 2);
		bytes[5] = (char)('@' + (uint8_t)-sum - (uint8_t)-sum / 2);
		if (bytes[4] == ':' || bytes[5] == ':')
			continue;
		memcpy(bytes + n, bytes, n);
		if ((uint8_t)bytes[4] >= 0x80 || (uint8_t)bytes[5] >= 0x80)
			continue;
		{
			char expected[64];

			sprintf(expected, "x=%.2s;x=%.2s;", bytes + 4, bytes + 4);
			stream_check_at(map, 0, bytes, 2 * n, expected);
		}
	}
}

static void test_endless(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(map_text);
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	char bytes[512];
	size_t n = block("", bytes);

	stream_begin(stream, map, 0);
	for (unsigned i = 0; i < 300; i++)
		stream_feed(stream, "\r\nV\t1", 5);
	stream_feed(stream, bytes, n); /* its beginning ends the other: this one is lost too */
	stream_feed(stream, bytes, n);
	assert_int_equal(stream->buffer[0], '!');
	assert_string_equal(stream->buffer + strlen(stream->buffer) - strlen(values), values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block),	     cmocka_unit_test(test_begun_late),
		cmocka_unit_test(test_hexadecimal),  cmocka_unit_test(test_any_checksum),
		cmocka_unit_test(test_endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
