// SPDX-License-Identifier: Apache-2.0
/* fuzz_obis.c - any bytes as telegrams, with each of the seals that there are. */

#include "fuzz_stream.h"

#define POINTS                                                                         \
	"points:\n"                                                                    \
	"  a: {obis: 1-0:1.8.0}\n"                                                     \
	"  b: {obis: 1.8.0, scale: 1000}\n"                                            \
	"  c: {obis: 0-1:24.2.1, group: 1, type: string}\n"                            \
	"  d: {obis: 0-0:96.14.0, values: {1: low, 2: normal}}\n"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct device_map *none, *crc, *bcc;

	if (!none) {
		none = fuzz_map("map: m\ndriver: obis\n" POINTS);
		crc = fuzz_map("map: m\ndriver: obis\nchecksum: crc16\n" POINTS);
		bcc = fuzz_map("map: m\ndriver: obis\nchecksum: bcc\nrequest: \"/?!\\r\\n\"\n"
			       "acknowledge: \"\\x06000\\r\\n\"\n" POINTS);
	}
	fuzz_stream(none, bytes, n);
	fuzz_stream(crc, bytes, n);
	fuzz_stream(bcc, bytes, n);
	return 0;
}
