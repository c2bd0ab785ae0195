// SPDX-License-Identifier: Apache-2.0
/* test_text.c - lines of text: each way to find a value, every split, garbage, NMEA 0183. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stream.h"

#define MAP "map: m\ndriver: text\n"

static void check(const char *map_text, const char *bytes, const char *expected)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(map_text);

	stream_check(map, bytes, expected);
}

static void test_match(_unused_ void **state)
{
	const char *map = MAP "points:\n"
			      "  t: {match: 'T=(-?[\\d.]+)'}\n"
			      "  kind: {match: '^(?:ST|US),(\\w+),', type: string}\n";

	check(map, "T=21.5 H=40\r\nT=-3\n", "t=21.5;t=-3;");
	check(map, "US,GS,+1.5kg\r\n", "kind=GS;");
	/* A foreign line is no fault, and has no values. */
	check(map, "hello\r\n\r\nT=1\r\n", "t=1;");
}

/* An expression that would take forever does not match, and does not hold anything up. */
static void test_runaway(_unused_ void **state)
{
	check(MAP "points: {t: {match: '^((?:a+)+)$'}}\n",
	      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\naaa\n", "t=null;");
	check(MAP "points: {t: {match: '^((?:a+)+)$', type: string}}\n", "aaa\n", "t=aaa;");
}

static void test_fields(_unused_ void **state)
{
	check(MAP "points: {a: {field: 1}, c: {field: 3, scale: 0.1}, s: {field: 2, type: string}}\n",
	      "21.50,ok,1013\n,,\n7\n", "a=21.5 c=101.3 s=ok;a=null c=null s=null;a=7;");
	check(MAP "separator: ';'\npoints: {b: {field: 2}}\n", "1;2,5;3\n1;25\n",
	      "b=null;b=25;");
	/* One blank as separator is as many as there are. */
	check(MAP "separator: ' '\npoints: {b: {field: 2}, d: {field: 4}}\n",
	      "  1   2\t3 \n1 2 3 4  \n", "b=2;b=2 d=4;");
}

static void test_keys(_unused_ void **state)
{
	check(MAP "points: {t: {key: T}, h: {key: H}}\n",
	      "T=21.5;H=40.2\nH=1 T=2\nT=3,X=4\nTT=5\n", "t=21.5 h=40.2;t=2 h=1;t=3;");
	check(MAP "separator: ','\nassign: ':'\npoints: {t: {key: temp in}}\n",
	      "temp in : 21.5, temp out: 3\n", "t=21.5;");
}

static void test_json(_unused_ void **state)
{
	const char *map = MAP "points:\n"
			      "  t: {json: /air/t}\n"
			      "  second: {json: /list/1, scale: 0.01}\n"
			      "  on: {json: /on, type: bool}\n"
			      "  slash: {json: /a~1b~0c}\n"
			      "  name: {json: /name, type: string}\n";

	check(map, "{\"air\":{\"t\":21.50},\"list\":[1,2315],\"on\":true,\"a/b~c\":7}\r\n",
	      "t=21.5 second=23.15 on=true slash=7;");
	check(map, "{\"air\":{\"t\":null},\"name\":\"K\\u00fcche\"}\n", "t=null name=K\xc3\xbc"
								       "che;");
	check(map, "{\"air\":\n{\"air\":{\"t\":0.1}}\n", "t=0.1;");
	check(map, "{\"air\":{\"t\":123456789012}}\n", "t=123456789012;");
	check(map, "{\"air\":{\"t\":1e-7}}\n", "t=1e-7;");
}

static void test_numbers(_unused_ void **state)
{
	const char *map = MAP "points: {x: {field: 1, nan: '999.9'}}\n";

	check(map, "0021.50\n-0.5\n+7\n.5\n5.\n0x1F\n1e3\n", "x=21.5;x=-0.5;x=7;x=0.5;x=5;x=31;x=1000;");
	check(map, "18446744073709551615\n-9223372036854775807\n18446744073709551616\n",
	      "x=18446744073709551615;x=-9223372036854775807;x=18446744073709552000;");
	check(map, "abc\n1.2.3\n--1\n0x\n999.9\n1e999\nnan\ninf\n1 2\n",
	      "x=null;x=null;x=null;x=null;x=null;x=null;x=null;x=null;x=null;");
	check(MAP "points: {x: {field: 1, values: {0: off, -1: fault}}, b: {field: 2, type: bool}}\n",
	      "0,ON\n-1,no\n5,2\n", "x=off b=true;x=fault b=false;x=5 b=null;");
	check(MAP "points: {x: {field: 1, scale: 0.001, offset: -1}}\n", "1234\n1234.5\n",
	      "x=0.234;x=0.2345;");
}

static void test_line_ends(_unused_ void **state)
{
	check(MAP "end: \"\\r\"\npoints: {x: {field: 1}}\n", "1\r\n2\r3\r", "x=1;x=2;x=3;");
	check(MAP "end: \"\\x03\"\npoints: {x: {match: '([\\d.]+) kg'}}\n",
	      "\x02 12.5 kg\x03\x02 13 kg\x03", "x=12.5;x=13;");
	check(MAP "points: {x: {field: 1}}\n", "1\x01\x02" "2\n3\n", "!garbage;x=3;");
}

static void test_long_lines(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "points: {x: {field: 1}}\n");
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	char line[FRAME_MAX_LENGTH + 2];

	memset(line, '1', sizeof(line));
	stream_begin(stream, map, 0);
	stream_feed(stream, line, FRAME_MAX_LENGTH + 1);
	stream_feed(stream, "\n7\n", 3);
	assert_string_equal(stream->buffer, "!length;x=7;");
}

/* Sentences of a receiver, as gpsd.gitlab.io/gpsd/NMEA.html has them. */
static const char nmea_map[] =
	MAP "checksum: nmea\n"
	    "points:\n"
	    "  latitude: {sentence: GGA, field: 2, type: degrees}\n"
	    "  longitude: {sentence: GGA, field: 4, type: degrees}\n"
	    "  satellites: {sentence: GGA, field: 7}\n"
	    "  altitude: {sentence: GPGGA, field: 9}\n"
	    "  speed: {sentence: RMC, field: 7, scale: 0.5144, unit: m/s}\n";

static void test_nmea(_unused_ void **state)
{
	check(nmea_map,
	      "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
	      "$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n",
	      "latitude=48.1173 longitude=11.5166667 satellites=8 altitude=545.4;"
	      "speed=11.52256;");
	/* Another talker, no fix: empty fields are no values. */
	check(nmea_map, "$GNGGA,,,,,,0,00,,,M,,M,,*78\r\n",
	      "latitude=null longitude=null satellites=0;");
	check(nmea_map, "$GPGGA,,3352.5,S,15112.5,W,1,,,*7E\r\n",
	      "latitude=-33.875 longitude=-151.2083333 satellites=null altitude=null;");
}

static void test_nmea_garbage(_unused_ void **state)
{
	/* The rest of a sentence at the beginning, a wrong checksum, none, and a lost end. */
	check(nmea_map,
	      "11131.000,E,1*47\r\n"
	      "$GPRMC,123519,A,4807.038,N,01131.000,E,022.5,084.4,230394,003.1,W*6A\r\n"
	      "$GPRMC,123519,A,,,,,1.0\r\n"
	      "$GPRMC,12351$GPGGA,,,,,,0,00,,,M,,M,,*66\r\n",
	      "!garbage;!checksum;!checksum;!length;"
	      "latitude=null longitude=null satellites=0 altitude=null;");
}

static void test_nmea_flips(_unused_ void **state)
{
	static const char sentence[] = "$GPGGA,,,,,,0,05,,,M,,M,,*63\r\n";
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "checksum: nmea\n"
			       "points: {satellites: {sentence: GGA, field: 7}}\n");

	/* Without its end, and the digits whose case a flip changes. */
	stream_check(map, sentence, "satellites=5;");
	for (size_t i = 1; i < sizeof(sentence) - 3; i++) {
		char flipped[sizeof(sentence)];
		_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));

		memcpy(flipped, sentence, sizeof(sentence));
		flipped[i] ^= 1;
		stream_begin(stream, map, 0);
		stream_feed(stream, flipped, sizeof(sentence) - 1);
		if (!strchr(stream->buffer, '!') || strchr(stream->buffer, '='))
			fail_msg("byte %zu: %s", i, stream->buffer);
		stream_feed(stream, sentence, sizeof(sentence) - 1);
		assert_non_null(strstr(stream->buffer, "satellites=5;"));
	}
}

static void test_requests(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "request: \"\\x02#{address}R\\r\"\npoints: {x: {field: 1}}\n");
	_cleanup_(device_map_freep) struct device_map *unasked =
		stream_map(MAP "points: {x: {field: 1}}\n");
	uint8_t frame[FRAME_MAX];

	assert_int_equal(driver_find("text")->ask(map, 17, frame), 6);
	assert_memory_equal(frame, "\x02#17R\r", 6);
	assert_true(framing_has_address(&map->framing));
	assert_int_equal(driver_find("text")->ask(unasked, 0, frame), 0);
	assert_false(framing_has_address(&unasked->framing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),	      cmocka_unit_test(test_runaway),
		cmocka_unit_test(test_fields),	      cmocka_unit_test(test_keys),
		cmocka_unit_test(test_json),	      cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_line_ends),     cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_nmea),	      cmocka_unit_test(test_nmea_garbage),
		cmocka_unit_test(test_nmea_flips),    cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
