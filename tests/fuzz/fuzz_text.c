// SPDX-License-Identifier: Apache-2.0
/* fuzz_text.c - any bytes as lines: expressions, fields, keys, JSON and NMEA 0183. */

#include "fuzz_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct device_map *lines, *blanks, *nmea;

	if (!lines) {
		lines = fuzz_map("map: m\ndriver: text\npoints:\n"
				 "  a: {match: 'T=(-?[\\d.]+)'}\n"
				 "  b: {match: '^(\\w*)[,;](?:x|y)?', type: string}\n"
				 "  c: {field: 2, scale: 0.01, offset: -40}\n"
				 "  d: {key: H}\n"
				 "  e: {json: /a/0/b}\n"
				 "  f: {json: /a~1b, type: bool}\n"
				 "  g: {json: /s, type: string}\n"
				 "  h: {field: 1, values: {1: one, -1: minus}, write: "
				 "{command: 'h={value};', reply: '^(?:OK|\\d+) *$'}}\n"
				 "  i: {write: {command: 'i', reply: 'i'}}\n");
		blanks = fuzz_map("map: m\ndriver: text\nend: \"\\r\"\nseparator: ' '\n"
				  "assign: ':='\npoints: {a: {field: 3}, b: {key: k}}\n");
		nmea = fuzz_map("map: m\ndriver: text\nchecksum: nmea\npoints:\n"
				"  a: {sentence: GGA, field: 2, type: degrees}\n"
				"  b: {sentence: GPRMC, field: 7, scale: 0.5}\n"
				"  c: {field: 1, type: string}\n");
	}
	fuzz_stream(lines, bytes, n);
	fuzz_stream(blanks, bytes, n);
	fuzz_stream(nmea, bytes, n);
	return 0;
}
