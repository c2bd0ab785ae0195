// SPDX-License-Identifier: Apache-2.0
/* test_obis.c - meters' telegrams: DSMR P1 of versions 3 and 5, IEC 62056-21 modes C and D. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "stream.h"

#define MAP "map: m\ndriver: obis\n"
#define POINTS                                                                        \
	"points:\n"                                                                   \
	"  energy: {obis: 1-0:1.8.1}\n"                                               \
	"  power: {obis: 1-0:1.7.0, scale: 1000}\n"                                   \
	"  tariff: {obis: 0-0:96.14.0, values: {1: low, 2: normal}}\n"                \
	"  gas: {obis: 0-1:24.2.1}\n"                                                 \
	"  read_at: {obis: 0-1:24.2.1, group: 1, type: string}\n"                     \
	"  failure: {obis: 1-0:99.97.0, group: 4}\n"

/*
 * The telegram of P1 Companion Standard 5.0.2, section 6.12, without some of its lines; the
 * CRC was computed for what is left.
 */
static const char dsmr_5[] = "/ISk5\\2MT382-1000\r\n"
			     "\r\n"
			     "1-3:0.2.8(50)\r\n"
			     "0-0:1.0.0(101209113020W)\r\n"
			     "1-0:1.8.1(123456.789*kWh)\r\n"
			     "0-0:96.14.0(0002)\r\n"
			     "1-0:1.7.0(01.193*kW)\r\n"
			     "1-0:99.97.0(2)(0-0:96.7.19)(101208152415W)(0000000240*s)"
			     "(101208151004W)(0000000301*s)\r\n"
			     "0-0:96.13.0()\r\n"
			     "0-1:24.1.0(003)\r\n"
			     "0-1:24.2.1(101209112500W)(12785.123*m3)\r\n"
			     "!%04X\r\n";
static const char dsmr_5_values[] = "energy=123456.789 power=1193 tariff=normal gas=12785.123 "
				    "read_at=101209112500W failure=240;";

static char *sealed(void)
{
	const char *mark = strchr(dsmr_5, '!');
	char *text;
	unsigned crc = checksum_of(CHECKSUM_CRC16_ARC, (const uint8_t *)dsmr_5,
				   (size_t)(mark - dsmr_5) + 1);

	assert_true(asprintf(&text, "%.*s!%04X\r\n", (int)(mark - dsmr_5), dsmr_5, crc) > 0);
	return text;
}

static void test_dsmr_5(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "checksum: crc16\n" POINTS);
	_cleanup_free_ char *telegram = sealed();

	stream_check(map, telegram, dsmr_5_values);
	/* But for the CRC's digits, which may be small letters too, and the line's end. */
	stream_check_flips(map, telegram, strlen(telegram), strlen(telegram) - 6,
			   dsmr_5_values);
}

/* Cut at any place, and another behind it: that one is taken. */
static void test_cut(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "checksum: crc16\n" POINTS);
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));
	_cleanup_free_ char *telegram = sealed();
	size_t n = strlen(telegram), length = strlen(dsmr_5_values);

	for (size_t cut = 1; cut < n; cut++) {
		stream_begin(stream, map, 0);
		/* At the beginning the end of one, then one that ends too early with a line. */
		stream_feed(stream, telegram + cut, n - cut);
		stream_feed(stream, telegram, cut);
		stream_feed(stream, "\r\n", 2);
		stream_feed(stream, telegram, n);
		assert_true(strlen(stream->buffer) > length);
		assert_string_equal(stream->buffer + strlen(stream->buffer) - length,
				    dsmr_5_values);
	}
}

/* Without a checksum, gas in two lines (P1 Companion Standard 3.0). */
static void test_dsmr_3(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "points:\n"
			       "  energy: {obis: 1-0:1.8.1}\n"
			       "  limit: {obis: 0-0:17.0.0}\n"
			       "  gas: {obis: 0-1:24.3.0}\n"
			       "  valve: {obis: 0-1:24.4.0, type: bool}\n");

	stream_check(map,
		     "1(12345.678*kWh)\r\n!\r\n"
		     "/ISk5\\2MT382-1000\r\n"
		     "\r\n"
		     "1-0:1.8.1(12345.678*kWh)\r\n"
		     "0-0:17.0.0(016*A)\r\n"
		     "0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n"
		     "(00001.001)\r\n"
		     "0-1:24.4.0(1)\r\n"
		     "!\r\n",
		     "!garbage;energy=12345.678 limit=16 gas=1.001 valve=true;");
}

static const char mode_c_map[] = MAP "checksum: bcc\n"
				     "request: \"/?{address}!\\r\\n\"\n"
				     "acknowledge: \"\\x06000\\r\\n\"\n"
				     "points:\n"
				     "  energy: {obis: 1.8.0}\n"
				     "  serial: {obis: 0.0.0, type: string}\n"
				     "  fault: {obis: F.F}\n";

/* A readout of mode C; its BCC is by exclusive or. */
static size_t mode_c(char *bytes)
{
	static const char body[] = "0.0.0(12345678)\r\nF.F(00000000)\r\n"
				   "1.8.0*255(004711.5*kWh)\r\n1.8.1*01(000001.0*kWh)\r\n!\r\n\x03";
	size_t n = (size_t)sprintf(bytes, "/ISK5MT174-0001\r\n\x02%s", body);

	bytes[n] = (char)checksum_of(CHECKSUM_XOR8, (const uint8_t *)body, sizeof(body) - 1);
	return n + 1;
}

static void test_mode_c(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(mode_c_map);
	char bytes[256];
	size_t n = mode_c(bytes);

	stream_check_at(map, 0, bytes, n, "energy=4711.5 serial=12345678 fault=0;");
	bytes[40] ^= 4;
	stream_check_at(map, 0, bytes, n, "!checksum;");
}

static void test_handshake(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = stream_map(mode_c_map);
	const struct driver *obis = driver_find("obis");
	uint8_t frame[FRAME_MAX];
	uint8_t bytes[256];
	size_t n = mode_c((char *)bytes);

	assert_int_equal(obis->ask(map, 7, frame), 6);
	assert_memory_equal(frame, "/?7!\r\n", 6);
	for (size_t i = 0; i <= n; i++) {
		assert_int_equal(obis->acknowledge(map, bytes, i, frame), i < 17 ? 0 : 6);
		if (i >= 17)
			assert_memory_equal(frame, "\x06" "000\r\n", 6);
	}
}

/* A code is a whole one: 1.8.0 is not 11.8.0, nor 1.8.0*01, nor C.1.8.0. */
static void test_codes(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "points: {x: {obis: 1.8.0, nan: '-'}, y: {obis: C.1.0, type: string}}\n");

	stream_check(map, "/A\r\n11.8.0(1)\r\n1.8.0*01(2)\r\nC.1.8.0(3)\r\n!\r\n", "");
	stream_check(map, "/A\r\n1.8.0*255(4)\r\nC.1.0(ab)\r\n!\r\n", "x=4 y=ab;");
	stream_check(map, "/A\r\n1.8.0(-)\r\n!\r\n/B\r\n1.8.0(\r\n!\r\n/B\r\n1.8.0()\r\n!\r\n",
		     "x=null;x=null;");
}

static void test_endless(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		stream_map(MAP "points: {x: {obis: 1.8.0}}\n");
	_cleanup_free_ struct stream *stream = malloc(sizeof(*stream));

	stream_begin(stream, map, 0);
	stream_feed(stream, "/A\r\n", 4);
	for (unsigned i = 0; i < 2000; i++)
		stream_feed(stream, "1.8.0(1)\r\n", 10);
	stream_feed(stream, "/A\r\n1.8.0(2)\r\n!\r\n", 17);
	assert_string_equal(stream->buffer, "!length;!garbage;x=2;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dsmr_5), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_dsmr_3), cmocka_unit_test(test_mode_c),
		cmocka_unit_test(test_handshake), cmocka_unit_test(test_codes),
		cmocka_unit_test(test_endless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
