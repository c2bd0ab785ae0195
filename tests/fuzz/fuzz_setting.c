/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_setting.c - any bytes as a command's payload, for points of every kind. */
#include "bridge/setting.h"

#include "bridge/number.h"
#include "fuzz_stream.h"

/* What a point takes it takes again as it shows it, and shows the same. */
static void check_point(const struct point *point, const char *text)
{
	char error[OUTCOME_ERROR_MAX], first[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1];
	char second[sizeof(first)];
	struct text a = {.data = first, .size = sizeof(first)};
	struct text b = {.data = second, .size = sizeof(second)};
	struct value value;

	if (setting_check(point, text, &value, error) < 0) {
		if (strnlen(error, sizeof(error)) == sizeof(error))
			abort();
		return;
	}
	first[0] = second[0] = '\0';
	number_print(&value, &a);
	if (a.full || value.kind == VALUE_NULL)
		abort();
	if (setting_check(point, first, &value, error) < 0)
		abort();
	number_print(&value, &b);
	if (strcmp(first, second))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct device_map *map;
	char error[OUTCOME_ERROR_MAX];
	struct setting setting;

	if (!map)
		map = fuzz_map("map: m\ndriver: modbus\npoints:\n"
			       "  a: {addr: 0, type: i16, scale: 0.1, write: {min: 5, max: 30}}\n"
			       "  b: {addr: 1, type: u64, write: {}}\n"
			       "  c: {addr: 5, type: i64, write: {}}\n"
			       "  d: {addr: 9, type: f32, write: {}}\n"
			       "  e: {addr: 11, type: f64, write: {}}\n"
			       "  f: {addr: 15, type: bcd32, write: {}}\n"
			       "  g: {addr: 17, type: i16, bits: 2..9, write: {}}\n"
			       "  h: {addr: 18, type: 'string[5]', write: {}}\n"
			       "  i: {addr: 0, table: coil, write: {}}\n"
			       "  j: {addr: 1, table: coil, write: {pulse: 1s}}\n"
			       "  k: {addr: 21, values: {0: off, 1: on, 9: x}, write: {}}\n");
	if (setting_parse((const char *)bytes, n, &setting, error) < 0) {
		if (strnlen(error, sizeof(error)) == sizeof(error))
			abort();
		return 0;
	}
	for (size_t i = 0; i < map->point_count; i++)
		check_point(&map->points[i], setting.value);
	return 0;
}
