// SPDX-License-Identifier: Apache-2.0
/* test_framing.c - maps of streams: what their keys mean, and what is wrong in a wrong one. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "stream.h"

#include <errno.h>

static void test_frame_keys(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(
		"map: m\ndriver: frame\nstart: '42 4D'\nend: 0d0A\n"
		"length: {at: 2, size: 2, order: BA, add: -3, most: 50}\n"
		"checksum: {type: crc16-modbus, from: 1, order: BA}\n"
		"address_at: 4\nrequest: '01{address} 02 {checksum}'\n"
		"points: {x: {at: 10, type: i32, order: CDAB, unit: m}}\n");
	const struct framing *framing = &map->framing;

	assert_int_equal(map->kind, DRIVER_FRAME);
	assert_int_equal(framing->start.length, 2);
	assert_memory_equal(framing->start.bytes, "\x42\x4D", 2);
	assert_memory_equal(framing->end.bytes, "\r\n", 2);
	assert_int_equal(framing->length, 0);
	assert_int_equal(framing->count.at, 2);
	assert_int_equal(framing->count.size, 2);
	assert_true(framing->count.low_first);
	assert_int_equal(framing->count.add, -3);
	assert_int_equal(framing->count.most, 50);
	assert_int_equal(framing->checksum.type, CHECKSUM_CRC16_MODBUS);
	assert_int_equal(framing->checksum.from, 1);
	assert_true(framing->checksum.low_first);
	assert_int_equal(framing->address_at, 4);
	assert_int_equal(framing->request.count, 4);
	assert_int_equal(framing->request.items[0], 1);
	assert_int_equal(framing->request.items[1], FILL_ADDRESS);
	assert_int_equal(framing->request.items[3], FILL_CHECKSUM);
	assert_true(framing_has_address(framing));
	assert_int_equal(map->points[0].locator->at, 10);
	assert_int_equal(map->points[0].order[0], 2);
	assert_int_equal(point_size(&map->points[0]), 4);
}

static void test_defaults(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map("map: m\ndriver: vedirect\nsilence: 5min\npoints: {x: {key: V}}\n");
	_cleanup_(device_map_freep) struct device_map *text =
		stream_map("map: m\ndriver: text\nend: \"\\xE4\\r\"\n"
			   "defaults: {type: string, every: 1s}\npoints: {x: {key: V}}\n");
	struct point *copy = points_copy(text->points, 1);

	assert_int_equal(map->framing.silence_us, 300 * USEC_PER_SEC);
	assert_int_equal(map->framing.address_at, -1);
	assert_int_equal(map->points[0].type, TYPE_NUMBER);
	assert_int_equal(text->framing.silence_us, 60 * USEC_PER_SEC);
	assert_int_equal(text->points[0].type, TYPE_STRING);
	assert_int_equal(text->framing.end.length, 2);
	assert_memory_equal(text->framing.end.bytes, "\xE4\r", 2);
	/* A device's own points stand where its map's do. */
	assert_ptr_equal(copy[0].locator, text->points[0].locator);
	points_free(copy, 1);
}

/* What is told of a map of this driver, with the file's name and colon left out. */
static void check_faults(const char *driver, const char *rest, const char *expected)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL, *told = NULL;
	struct device_map *map = NULL;
	size_t size;
	FILE *out = open_memstream(&told, &size);

	assert_true(asprintf(&text, "map: m\ndriver: %s\n%s", driver, rest) > 0);
	assert_int_equal(device_map_parse("m", text, strlen(text), driver_names(), &map, faults),
			 -EINVAL);
	faults_print(faults, out);
	fclose(out);
	assert_string_equal(told, expected);
}

static void test_frame_faults(_unused_ void **state)
{
	check_faults("frame", "start: 4\nlength: 1\nchecksum: sum9\npoints: {x: {at: 0}}\n",
		     "m:3:8: expected at most 8 bytes as they go over the wire, such as \"01 04 "
		     "00 0C\", not '4'\n"
		     "m:4:9: 1 is out of range, 2 to 1024 can be\n"
		     "m:5:11: 'sum9' is not a checksum: did you mean 'sum8'?\n");
	check_faults("frame", "points: {x: {at: 0}}\n",
		     "m:1:1: a frame needs `length:`, or `end:`\n"
		     "m:1:1: a frame that comes unasked needs `start:`\n");
	check_faults("frame", "start: 'FF'\nlength: 4\nchecksum: {type: sum8, form: 1}\n"
			      "points: {x: {at: 3}, y: {field: 2}, z: {at: 1, type: number}}\n",
		     "m:5:24: checksum has no key 'form': did you mean 'from'?\n"
		     "m:6:13: reaches to byte 5, but the frame has 4 at most\n"
		     "m:6:25: a point needs `at:`\n"
		     "m:6:26: a point has no key 'field'\n"
		     "m:6:54: 'number' is not a type: bool, u8, i8, u16, i16, u32, i32, u64, i64, "
		     "f32, f64, bcd16, bcd32 or string[N]\n");
	check_faults("frame", "start: '5A 5A'\nlength: 3\naddress_at: 7\n"
			      "checksum: {type: sum16, from: 9}\nrequest: 12 {addres}\n"
			      "silence: 5s\npoints: {x: {at: 0}}\n",
		     "m:4:9: start, checksum and end alone are 4 bytes\n"
		     "m:5:13: the frame is 3 bytes, counted from 0\n"
		     "m:6:11: it would be taken from byte 9, but the frame is 3 bytes\n"
		     "m:7:10: expected at most 64 bytes such as \"FF {address} 86 {checksum}\", "
		     "not '{addres}'\n"
		     "m:8:10: silence is for devices that speak unasked: this one has a "
		     "request\n");
	check_faults("frame", "start: 'FF'\nlength: {at: 1}\nrequest: FF {checksum}\n"
			      "points: {x: {at: 0, write: {}}}\n",
		     "m:5:10: {checksum} needs the map's `checksum:`\n"
		     "m:6:28: write needs `command:`\n");
}

static void test_stuffing_faults(_unused_ void **state)
{
	check_faults("frame", "stuffing: hdlc\nstart: 7E\nend: 7E\npoints: {x: {at: 1}}\n",
		     "m:3:11: 'hdlc' is not a stuffing: did you mean 'shdlc'?\n");
	check_faults("frame", "stuffing: shdlc\nstart: '00 7E'\nend: 7E\npoints: {x: {at: 1}}\n",
		     "m:3:11: shdlc's frames begin and end with 7E: so do `start:` and `end:`\n");
	check_faults("frame", "stuffing: shdlc\nstart: 7E\nlength: 5\npoints: {x: {at: 1}}\n",
		     "m:3:11: shdlc's frames begin and end with 7E: so do `start:` and `end:`\n");
	check_faults("frame", "stuffing: shdlc\nstart: 7E\nend: 7E\nrequest: 7E\n"
			      "setup: 7E 01 {checksum}\npoints: {x: {at: 1}}\n",
		     "m:6:10: with `stuffing: shdlc` it begins and ends with 7E\n"
		     "m:7:8: with `stuffing: shdlc` it begins and ends with 7E\n"
		     "m:7:8: {checksum} needs the map's `checksum:`\n");
	check_faults("frame", "start: AA\nlength: 4\nsetup: {send: 7, wait: 61s}\n"
			      "points: {x: {at: 1}}\n",
		     "m:5:15: expected at most 64 bytes such as \"FF {address} 86 {checksum}\", "
		     "not '7'\n"
		     "m:5:24: 61s is out of range, 0s to 1min can be\n");
	check_faults("frame", "start: AA\nlength: 4\nsetup: '01'\npoints: {x: {at: 1}}\n",
		     "m:5:8: setup comes before the first `request:`, which is missing\n");
}

static void test_text_faults(_unused_ void **state)
{
	check_faults("text", "points: {x: {match: 'T=([0-9'}}\n",
		     "m:3:21: not a regular expression to find a value by: missing terminating ] "
		     "for character class, at character 7 of it\n");
	check_faults("text", "points: {x: {match: 'T=.*'}, y: {match: '(a)(b)'}}\n",
		     "m:3:21: not a regular expression to find a value by: it has 0 groups, one "
		     "in ( ) must be around the value; (?: ) is no group\n"
		     "m:3:41: not a regular expression to find a value by: it has 2 groups, one "
		     "in ( ) must be around the value; (?: ) is no group\n");
	check_faults("text", "points: {x: {unit: V}, y: {field: 1, key: T}, z: {field: 0}}\n",
		     "m:3:13: a point needs one of match, field, key and json, not 0\n"
		     "m:3:27: a point needs one of match, field, key and json, not 2\n"
		     "m:3:58: 0 is out of range, 1 to 200 can be\n");
	check_faults("text", "points: {x: {json: t}, y: {json: /a~2}, z: {feld: 1}}\n",
		     "m:3:20: 't' is not a JSON pointer such as /temperature\n"
		     "m:3:34: a ~ of a JSON pointer is written ~0\n"
		     "m:3:44: a point needs one of match, field, key and json, not 0\n"
		     "m:3:45: a point has no key 'feld': did you mean 'field'?\n");
	check_faults("text", "checksum: crc\nend: \"€\"\nrequest: \"{checksum}\"\n"
			     "points: {x: {sentence: GGA, field: 1}, y: {key: a, type: degrees}}\n",
		     "m:3:11: 'crc' is not a checksum of lines: none or nmea\n"
		     "m:4:6: '€' is no single byte: write bytes above 0x7F as \"\\xC2\"\n"
		     "m:5:10: {checksum} is for driver frame\n"
		     "m:6:24: sentences are of NMEA 0183: the map needs `checksum: nmea`\n"
		     "m:6:43: degrees are for points with `field:`\n");
	check_faults("text", "checksum: nmea\nbase: 1\npoints: {x: {sentence: gga, field: 1, type: u8}}\n",
		     "m:4:1: the map has no key 'base'\n"
		     "m:5:24: 'gga' is not a sentence: GGA, GPGGA with its talker, or PUBX\n"
		     "m:5:45: 'u8' is not a type of text: number, bool, string or degrees\n");
}

static void test_other_faults(_unused_ void **state)
{
	check_faults("obis", "checksum: crc\nacknowledge: \"\\x06\"\n"
			     "points: {x: {obis: energy}, y: {obis: 1.8.0, group: 0}, z: {}}\n",
		     "m:3:11: 'crc' is not a checksum of telegrams: none, crc16 or bcc\n"
		     "m:4:14: acknowledge answers the answer to `request:`, which is missing\n"
		     "m:5:20: 'energy' is not a code such as 1-0:1.8.0 or 1.8.0\n"
		     "m:5:53: 0 is out of range, 1 to 100 can be\n"
		     "m:5:60: a point needs `obis:`\n");
	check_faults("vedirect", "silence: 10ms\nrequest: x\npoints: {x: {addr: 1}}\n",
		     "m:3:10: 10ms is out of range, 1s to 7d can be\n"
		     "m:4:1: the map has no key 'request'\n"
		     "m:5:13: a point needs `key:`\n"
		     "m:5:14: a point has no key 'addr'\n");
	check_faults("modbus", "start: 5A\npoints: {x: {addr: 1, at: 2}}\n",
		     "m:3:1: the map has no key 'start'\n"
		     "m:4:23: a point has no key 'at'\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_keys),  cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_frame_faults), cmocka_unit_test(test_stuffing_faults),
		cmocka_unit_test(test_text_faults),
		cmocka_unit_test(test_other_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
