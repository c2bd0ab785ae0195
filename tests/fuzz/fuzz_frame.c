// SPDX-License-Identifier: Apache-2.0
/* fuzz_frame.c - any bytes as binary frames: fixed, counted, ended, with and without start. */

#include "fuzz_stream.h"

#define MAP "map: m\ndriver: frame\n"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct device_map *maps[7];

	if (!maps[0]) {
		maps[0] = fuzz_map(MAP "start: 42 4D\nlength: {at: 2, size: 2, add: 4}\n"
				       "points: {a: {at: 4}, b: {at: 100, type: f64}, "
				       "c: {at: 7, type: 'string[9]'}}\n");
		maps[1] = fuzz_map(MAP "start: AA\nlength: 6\nend: AB\n"
				       "checksum: {type: sum8, from: 1}\naddress_at: 1\n"
				       "points: {a: {at: 2, type: i16, order: BA, scale: 0.1, write: "
				       "{command: \"AA {address} {value} {checksum} AB\", "
				       "reply: \"AA {value}\"}}}\n");
		maps[2] = fuzz_map(MAP "start: 02\nend: 03\nchecksum: xor8\n"
				       "points: {a: {at: 1, type: u8}, b: {at: 5, type: bcd32}}\n");
		maps[3] = fuzz_map(MAP "request: 01\nlength: {at: 0, order: BA, add: -3}\n"
				       "checksum: {type: crc16-modbus, order: BA, from: 900}\n"
				       "points: {a: {at: 1, type: u64, order: GHEFCDAB}}\n");
		maps[4] = fuzz_map(MAP "start: 5A\nlength: {at: 900, size: 2, most: 1000}\n"
				       "points: {a: {at: 1, bits: 3..9}}\n");
		maps[5] = fuzz_map(MAP "stuffing: shdlc\nstart: 7E\nend: 7E\n"
				       "points: {a: {at: 1, type: u8}, b: {at: 500, type: f32}}\n");
		maps[6] = fuzz_map(MAP "stuffing: shdlc\nstart: 7E 00\nend: 7E\n"
				       "length: {at: 3, add: 6}\naddress_at: 2\n"
				       "checksum: {type: sum8-inverted, from: 1}\n"
				       "points: {a: {at: 4}, b: {at: 6, type: u64}}\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		fuzz_stream(maps[i], bytes, n);
	return 0;
}
