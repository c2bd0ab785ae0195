/* SPDX-License-Identifier: Apache-2.0 */
/* checksum.h - the checksums that serial devices put at the end of their frames. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The value that each gives for the nine characters "123456789" is in tests/test_checksum.c;
 * names and parameters of the CRCs are those of the CRC catalogue of reveng.sourceforge.io.
 */
enum checksum {
	CHECKSUM_NONE,
	CHECKSUM_SUM8,
	CHECKSUM_SUM8_NEGATED,  /* sum and checksum together are 0 */
	CHECKSUM_SUM8_INVERTED, /* … are 0xFF */
	CHECKSUM_SUM16,
	CHECKSUM_XOR8,
	CHECKSUM_CRC8,         /* CRC-8/SMBUS: 0x07, start 0 */
	CHECKSUM_CRC8_NRSC5,   /* CRC-8/NRSC-5: 0x31, start 0xFF, as Sensirion has it */
	CHECKSUM_CRC8_MAXIM,   /* CRC-8/MAXIM-DOW: 0x31 reflected, start 0 */
	CHECKSUM_CRC16_MODBUS, /* 0x8005 reflected, start 0xFFFF */
	CHECKSUM_CRC16_ARC,    /* 0x8005 reflected, start 0: DSMR P1 */
	CHECKSUM_CRC16_CCITT,  /* CRC-16/IBM-3740: 0x1021, start 0xFFFF */
	CHECKSUM_CRC16_XMODEM, /* 0x1021, start 0 */
	CHECKSUM_COUNT,
};

/* Their names in maps, in that order, ending with NULL: "none", "sum8" … */
extern const char *const checksum_names[];

uint16_t checksum_of(enum checksum type, const uint8_t *bytes, size_t n);

/* Bytes that it takes in a frame: 0, 1 or 2. */
size_t checksum_size(enum checksum type);
