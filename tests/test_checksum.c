// SPDX-License-Identifier: Apache-2.0
/* test_checksum.c - each checksum against its published check value and devices' own frames. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/checksum.h"
#include "base/cleanup.h"

#include <string.h>

/* The CRC catalogue's check values; the sums follow from 9 characters that add up to 0x1DD. */
static void test_check_values(_unused_ void **state)
{
	static const struct {
		enum checksum type;
		uint16_t value;
		size_t size;
	} known[] = {
		{CHECKSUM_NONE, 0, 0},
		{CHECKSUM_SUM8, 0xDD, 1},
		{CHECKSUM_SUM8_NEGATED, 0x23, 1},
		{CHECKSUM_SUM8_INVERTED, 0x22, 1},
		{CHECKSUM_SUM16, 0x1DD, 2},
		{CHECKSUM_XOR8, 0x31, 1},
		{CHECKSUM_CRC8, 0xF4, 1},
		{CHECKSUM_CRC8_NRSC5, 0xF7, 1},
		{CHECKSUM_CRC8_MAXIM, 0xA1, 1},
		{CHECKSUM_CRC16_MODBUS, 0x4B37, 2},
		{CHECKSUM_CRC16_ARC, 0xBB3D, 2},
		{CHECKSUM_CRC16_CCITT, 0x29B1, 2},
		{CHECKSUM_CRC16_XMODEM, 0x31C3, 2},
	};

	assert_int_equal(ARRAY_SIZE(known), CHECKSUM_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		assert_int_equal(checksum_of(known[i].type, (const uint8_t *)"123456789", 9),
				 known[i].value);
		assert_int_equal(checksum_size(known[i].type), known[i].size);
		assert_non_null(checksum_names[known[i].type]);
	}
	assert_null(checksum_names[CHECKSUM_COUNT]);
}

static void test_devices(_unused_ void **state)
{
	/* Winsen's example of an answer of the MH-Z19B: bytes 1 to 7 of it. */
	static const uint8_t mh_z19[] = {0x86, 0x02, 0x20, 0x00, 0x00, 0x00, 0x00};
	/* DFRobot's example of the ultrasonic sensors: 1953 mm. */
	static const uint8_t a02[] = {0xFF, 0x07, 0xA1};

	assert_int_equal(checksum_of(CHECKSUM_SUM8_NEGATED, mh_z19, sizeof(mh_z19)), 0x58);
	assert_int_equal(checksum_of(CHECKSUM_SUM8, a02, sizeof(a02)), 0xA7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_values),
		cmocka_unit_test(test_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
