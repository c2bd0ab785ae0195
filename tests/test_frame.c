// SPDX-License-Identifier: Apache-2.0
/* test_frame.c - binary frames: each kind of length and checksum, every split, every flip. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stream.h"

#define MAP "map: m\ndriver: frame\n"

/* Plantower PMS5003: counted length, big-endian sum of all bytes before it. */
static const char pms5003_map[] = MAP "start: 42 4D\n"
				      "length: {at: 2, size: 2, add: 4, most: 40}\n"
				      "checksum: sum16\n"
				      "points: {pm1: {at: 10}, pm25: {at: 12}, pm10: {at: 14}}\n";
static const uint8_t pms5003_frame[] = {
	0x42, 0x4D, 0x00, 0x1C,             /* start, 28 bytes follow */
	0x00, 0x05, 0x00, 0x08, 0x00, 0x0A, /* standard particles */
	0x00, 0x05, 0x00, 0x08, 0x00, 0x0A, /* in the air: 5, 8 and 10 ug/m3 */
	0x03, 0xE7, 0x01, 0x20, 0x00, 0x40, 0x00, 0x10, 0x00, 0x05, 0x00, 0x02,
	0x97, 0x00,
	0x02, 0xD2, /* sum */
};

/* Nova SDS011: fixed length, sum of the data alone, an end byte; 123.6 and 217.2 ug/m3. */
static const char sds011_map[] =
	MAP "start: AA C0\nlength: 10\nend: AB\nchecksum: {type: sum8, from: 2}\n"
	    "defaults: {order: BA, scale: 0.1}\n"
	    "points: {pm25: {at: 2}, pm10: {at: 4}}\n";
static const uint8_t sds011_frame[] = {0xAA, 0xC0, 0xD4, 0x04, 0x7C,
				       0x08, 0xA1, 0x60, 0x5D, 0xAB};

static void test_counted(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(pms5003_map);

	stream_check_at(map, 0, pms5003_frame, sizeof(pms5003_frame),
			"pm1=5 pm25=8 pm10=10;");
	stream_check_flips(map, pms5003_frame, sizeof(pms5003_frame), sizeof(pms5003_frame),
			   "pm1=5 pm25=8 pm10=10;");
}

static void test_fixed(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(sds011_map);

	stream_check_at(map, 0, sds011_frame, sizeof(sds011_frame), "pm25=123.6 pm10=217.2;");
	stream_check_flips(map, sds011_frame, sizeof(sds011_frame), sizeof(sds011_frame),
			   "pm25=123.6 pm10=217.2;");
}

/* A frame's rest, noise with starts in it, a frame cut short: the good ones are all found. */
static void test_garbage(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(sds011_map);
	uint8_t bytes[64];
	size_t n = 0;

	memcpy(bytes, sds011_frame + 4, 6);
	memcpy(bytes + (n = 6), sds011_frame, 10);
	memcpy(bytes + (n += 10), "\xAA\xAA\xC0\xAA", 4);
	memcpy(bytes + (n += 4), sds011_frame, 10);
	memcpy(bytes + (n += 10), sds011_frame, 7);
	memcpy(bytes + (n += 7), sds011_frame, 10);
	stream_check_at(map, 0, bytes, n + 10,
			"!garbage;pm25=123.6 pm10=217.2;!garbage;!length;!garbage;"
			"pm25=123.6 pm10=217.2;!length;!garbage;pm25=123.6 pm10=217.2;");
}

/* Up to an end byte, without a length: a line of bytes. */
static void test_ended(_unused_ void **state)
{
	static const uint8_t bytes[] = {0x02, 0x31, 0x32, 0x33, 0x03, 0x02, 0x34, 0x03};
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "start: 02\nend: 03\n"
			       "points: {first: {at: 1, type: u8}, second: {at: 2, type: u8}, "
			       "word: {at: 1, type: 'string[3]'}}\n");
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	uint8_t endless[FRAME_MAX_LENGTH + 1] = {0x02};

	stream_check_at(map, 0, bytes, sizeof(bytes), "first=49 second=50 word=123;first=52 second=3;");
	stream_begin(stream, map, 0);
	stream_feed(stream, endless, sizeof(endless));
	assert_string_equal(stream->buffer, "!length;!garbage;");
}

static void test_bad_count(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "start: 5A\nlength: {at: 1}\nchecksum: sum8\n"
			       "points: {x: {at: 2, type: u8}}\n");

	/* A count of 2 leaves no room for the checksum. */
	stream_check_at(map, 0, "\x5A\x02\x5A\x04\x07\x65", 6, "!length;!garbage;x=7;");
}

static void test_address(_unused_ void **state)
{
	static const uint8_t bytes[] = {0xFF, 0x02, 0x10, 0x11, 0xFF, 0x03, 0x20, 0x22};
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "start: FF\nlength: 4\naddress_at: 1\nchecksum: sum8\n"
			       "request: \"FF {address} 01 {checksum}\"\n"
			       "points: {x: {at: 2, type: i8}}\n");
	uint8_t frame[FRAME_MAX];

	stream_check_at(map, 3, bytes, sizeof(bytes), "!address;x=32;");
	stream_check_at(map, 2, bytes, sizeof(bytes), "x=16;!address;");
	assert_int_equal(driver_find("frame")->ask(map, 3, frame), 4);
	assert_memory_equal(frame, "\xFF\x03\x01\x03", 4);
}

/* Every checksum, in both orders, made by ask() and found right by next(). */
static void test_checksums(_unused_ void **state)
{
	static const char *const orders[] = {"AB", "BA"};

	for (size_t i = CHECKSUM_SUM8; i < CHECKSUM_COUNT; i++) {
		for (size_t j = 0; j < 2; j++) {
			_cleanup_(device_map_freep) struct device_map *map = NULL;
			_cleanup_free_ char *text = NULL;
			uint8_t frame[FRAME_MAX];
			size_t n;

			assert_true(asprintf(&text,
					     MAP "start: 7E\nlength: %zu\n"
						 "checksum: {type: %s, from: 1, order: %s}\n"
						 "request: 7E 12 34 56 {checksum}\n"
						 "points: {x: {at: 1}}\n",
					     4 + checksum_size(i), checksum_names[i],
					     orders[j]) > 0);
			map = stream_map(text);
			n = driver_find("frame")->ask(map, 0, frame);
			assert_int_equal(n, 4 + checksum_size(i));
			stream_check_at(map, 0, frame, n, "x=4660;");
			frame[2] ^= 0x10;
			stream_check_at(map, 0, frame, n, "!checksum;!garbage;");
		}
	}
}

/*
 * Sensirion SPS30 as its datasheet has it: counted, its bytes disguised; the two here are
 * 9.0625 (41 11 00 00) and 15.953125 (41 7F 40 00), and 3.96875 (40 7E 00 00).
 */
static const char shdlc_map[] =
	MAP "stuffing: shdlc\nstart: 7E 00 03\nend: 7E\nlength: {at: 4, add: 7}\n"
	    "checksum: {type: sum8-inverted, from: 1}\n"
	    "setup: 7E 00 00 02 01 03 {checksum} 7E\nrequest: 7E 00 03 00 {checksum} 7E\n"
	    "defaults: {type: f32}\npoints: {a: {at: 5}, b: {at: 9}, c: {at: 13}}\n";
static const uint8_t shdlc_frame[] = {
	0x7E, 0x00, 0x03, 0x00, 0x0C,       /* address, command, state, 12 bytes follow */
	0x41, 0x7D, 0x31, 0x00, 0x00, 0x41, 0x7F, 0x40, 0x00, 0x40, 0x7D, 0x5E, 0x00, 0x00,
	0xE0, 0x7E,                         /* of what it is without disguise: 1F inverted */
};

static void test_stuffed(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(shdlc_map);
	const char *values = "a=9.0625 b=15.953125 c=3.96875;";

	stream_check_at(map, 0, shdlc_frame, sizeof(shdlc_frame), values);
	stream_check_flips(map, shdlc_frame, sizeof(shdlc_frame), sizeof(shdlc_frame), values);
}

/* An end that is taken for a beginning, a frame cut short, answers to something else. */
static void test_stuffed_garbage(_unused_ void **state)
{
	static const uint8_t others[] = {
		0x7E, 0x00, 0x00, 0x00, 0x00, 0xFF, 0x7E, /* the answer to the setup */
		0x7E, 0x00, 0x03, 0x43, 0x00, 0xB9, 0x7E, /* it was not set up: no values */
		0x7E, 0x00, 0x03, 0x00, 0x01, 0xFB, 0x7E, /* its count is wrong */
		0x7E, 0x00, 0x7D, 0x7E,                   /* its end is a half disguise */
	};
	_cleanup_(device_map_freep) struct device_map *map = stream_map(shdlc_map);
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	uint8_t bytes[128], endless[2 * FRAME_MAX_LENGTH];
	size_t n = 0;

	memcpy(bytes, shdlc_frame + 9, sizeof(shdlc_frame) - 9);
	n = sizeof(shdlc_frame) - 9;
	memcpy(bytes + n, shdlc_frame, sizeof(shdlc_frame));
	n += sizeof(shdlc_frame);
	memcpy(bytes + n, shdlc_frame, 8);
	n += 8;
	memcpy(bytes + n, shdlc_frame, sizeof(shdlc_frame));
	stream_check_at(map, 0, bytes, n + sizeof(shdlc_frame),
			"!garbage;a=9.0625 b=15.953125 c=3.96875;!checksum;"
			"a=9.0625 b=15.953125 c=3.96875;");
	stream_check_at(map, 0, others, sizeof(others),
			"!function;!length;!garbage;!length;");
	memset(endless, 0, sizeof(endless));
	endless[0] = SHDLC_FLAG;
	stream_begin(stream, map, 0);
	stream_feed(stream, endless, sizeof(endless));
	assert_string_equal(stream->buffer, "!length;!garbage;");
}

/* What is sent is disguised too, and its checksum is of what it is without. */
static void test_stuffed_request(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(shdlc_map);
	_cleanup_(device_map_freep) struct device_map *other =
		stream_map(MAP "stuffing: shdlc\nstart: 7E\nend: 7E\nchecksum: sum16\n"
			       "request: 7E 7E 7D 11 13 {address} {checksum} 7E\n"
			       "points: {x: {at: 1}}\n");
	const struct driver *frame = driver_find("frame");
	uint8_t bytes[FRAME_MAX];

	assert_int_equal(frame->ask(map, 0, bytes), 6);
	assert_memory_equal(bytes, "\x7E\x00\x03\x00\xFC\x7E", 6);
	assert_int_equal(frame->set_up(map, 0, bytes), 8);
	assert_memory_equal(bytes, "\x7E\x00\x00\x02\x01\x03\xF9\x7E", 8);
	assert_int_equal(frame->set_up(other, 0, bytes), 0);
	/* The sum is 7E + 7E + 7D + 11 + 13 + D0. */
	assert_int_equal(frame->ask(other, 0xD0, bytes), 13);
	assert_memory_equal(bytes,
			    "\x7E\x7D\x5E\x7D\x5D\x7D\x31\x7D\x33\xD0\x02\x6D\x7E", 13);
	stream_check_at(other, 0, bytes, 13, "x=32381;");
}

static void test_types(_unused_ void **state)
{
	static const uint8_t bytes[] = {0x01, 0xFE, 0x85, 0x12, 0x34, 0x00, 0x00, 0x20, 0x41,
					0x99, 0x99, 'A',  'B',  ' '};
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "start: 01\nlength: 14\npoints:\n"
			       "  small: {at: 1, type: i8}\n"
			       "  flag: {at: 2, type: u8, bits: 7}\n"
			       "  low: {at: 2, type: u8, bits: 0..2, values: {5: five}}\n"
			       "  on: {at: 0, type: bool}\n"
			       "  word: {at: 3, type: bcd16}\n"
			       "  float: {at: 5, type: f32, order: DCBA}\n"
			       "  none: {at: 9, nan: 0x9999}\n"
			       "  text: {at: 11, type: 'string[3]'}\n");

	stream_check_at(map, 0, bytes, sizeof(bytes),
			"small=-2 flag=1 low=five on=true word=1234 float=10 none=null text=AB;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counted),	  cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_garbage),	  cmocka_unit_test(test_ended),
		cmocka_unit_test(test_bad_count), cmocka_unit_test(test_address),
		cmocka_unit_test(test_checksums), cmocka_unit_test(test_stuffed),
		cmocka_unit_test(test_stuffed_garbage), cmocka_unit_test(test_stuffed_request),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
