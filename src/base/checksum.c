// SPDX-License-Identifier: Apache-2.0
/* checksum.c - the checksums that serial devices put at the end of their frames. */
#include "base/checksum.h"

const char *const checksum_names[] = {
	[CHECKSUM_NONE] = "none",
	[CHECKSUM_SUM8] = "sum8",
	[CHECKSUM_SUM8_NEGATED] = "sum8-negated",
	[CHECKSUM_SUM8_INVERTED] = "sum8-inverted",
	[CHECKSUM_SUM16] = "sum16",
	[CHECKSUM_XOR8] = "xor8",
	[CHECKSUM_CRC8] = "crc8",
	[CHECKSUM_CRC8_NRSC5] = "crc8-nrsc5",
	[CHECKSUM_CRC8_MAXIM] = "crc8-maxim",
	[CHECKSUM_CRC16_MODBUS] = "crc16-modbus",
	[CHECKSUM_CRC16_ARC] = "crc16-arc",
	[CHECKSUM_CRC16_CCITT] = "crc16-ccitt",
	[CHECKSUM_CRC16_XMODEM] = "crc16-xmodem",
	[CHECKSUM_COUNT] = 0,
};

static uint16_t sum(const uint8_t *bytes, size_t n)
{
	uint16_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += bytes[i];
	return total;
}

static uint8_t xor8(const uint8_t *bytes, size_t n)
{
	uint8_t total = 0;

	for (size_t i = 0; i < n; i++)
		total ^= bytes[i];
	return total;
}

static uint8_t crc8(uint8_t crc, const uint8_t *bytes, size_t n, uint8_t polynomial)
{
	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (uint8_t)(crc & 0x80 ? crc << 1 ^ polynomial : crc << 1);
	}
	return crc;
}

/* Lowest bit first: 0x8C is 0x31 with its bits the other way round. */
static uint8_t crc8_maxim(const uint8_t *bytes, size_t n)
{
	uint8_t crc = 0;

	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x8C : crc >> 1;
	}
	return crc;
}

/* Lowest bit first, half a byte at a time: each Modbus frame is taken through this twice. */
static uint16_t crc16_reflected(uint16_t crc, const uint8_t *bytes, size_t n)
{
	static const uint16_t half_bytes[16] = {
		0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
		0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
	};

	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		crc = (uint16_t)(crc >> 4 ^ half_bytes[crc & 15]);
		crc = (uint16_t)(crc >> 4 ^ half_bytes[crc & 15]);
	}
	return crc;
}

static uint16_t crc16_ccitt(uint16_t crc, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		crc ^= (uint16_t)(bytes[i] << 8);
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

uint16_t checksum_of(enum checksum type, const uint8_t *bytes, size_t n)
{
	switch (type) {
	case CHECKSUM_SUM8:
		return (uint8_t)sum(bytes, n);
	case CHECKSUM_SUM8_NEGATED:
		return (uint8_t)-sum(bytes, n);
	case CHECKSUM_SUM8_INVERTED:
		return (uint8_t)~sum(bytes, n);
	case CHECKSUM_SUM16:
		return sum(bytes, n);
	case CHECKSUM_XOR8:
		return xor8(bytes, n);
	case CHECKSUM_CRC8:
		return crc8(0, bytes, n, 0x07);
	case CHECKSUM_CRC8_NRSC5:
		return crc8(0xFF, bytes, n, 0x31);
	case CHECKSUM_CRC8_MAXIM:
		return crc8_maxim(bytes, n);
	case CHECKSUM_CRC16_MODBUS:
		return crc16_reflected(0xFFFF, bytes, n);
	case CHECKSUM_CRC16_ARC:
		return crc16_reflected(0, bytes, n);
	case CHECKSUM_CRC16_CCITT:
		return crc16_ccitt(0xFFFF, bytes, n);
	case CHECKSUM_CRC16_XMODEM:
		return crc16_ccitt(0, bytes, n);
	case CHECKSUM_NONE:
	case CHECKSUM_COUNT:
		break;
	}
	return 0;
}

size_t checksum_size(enum checksum type)
{
	switch (type) {
	case CHECKSUM_NONE:
	case CHECKSUM_COUNT:
		return 0;
	case CHECKSUM_SUM16:
	case CHECKSUM_CRC16_MODBUS:
	case CHECKSUM_CRC16_ARC:
	case CHECKSUM_CRC16_CCITT:
	case CHECKSUM_CRC16_XMODEM:
		return 2;
	default:
		return 1;
	}
}
