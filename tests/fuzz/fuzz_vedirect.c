// SPDX-License-Identifier: Apache-2.0
/* fuzz_vedirect.c - any bytes as VE.Direct text blocks; also with a checksum that is right. */

#include "fuzz_stream.h"

/* A block around the bytes, so that values are reached without guessing a checksum. */
static void as_block(const struct device_map *map, const uint8_t *bytes, size_t n)
{
	static const char begin[] = "\r\n", end[] = "\r\nChecksum\t";
	uint8_t block[1024], sum = 0;
	size_t length = 1;

	if (n > 900)
		n = 900;
	block[0] = 255; /* given whole */
	memcpy(block + length, begin, 2);
	memcpy(block + length + 2, bytes, n);
	memcpy(block + length + 2 + n, end, sizeof(end) - 1);
	length += 2 + n + sizeof(end) - 1;
	for (size_t i = 1; i < length; i++)
		sum += block[i];
	block[length] = (uint8_t)-sum;
	fuzz_stream(map, block, length + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct device_map *map;

	if (!map)
		map = fuzz_map("map: m\ndriver: vedirect\npoints:\n"
			       "  a: {key: V, scale: 0.001}\n"
			       "  b: {key: CS, values: {0: off, 3: bulk}}\n"
			       "  c: {key: 'SER#', type: string}\n"
			       "  d: {key: LOAD, type: bool}\n"
			       "  e: {key: OR, nan: '-1'}\n");
	fuzz_stream(map, bytes, n);
	as_block(map, bytes, n);
	return 0;
}
