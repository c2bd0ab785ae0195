// SPDX-License-Identifier: Apache-2.0
/* fuzz_top.c - any keys, and any JSON as a status, on a terminal of any size. */
#include "tools/screen.h"
#include "tools/top.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Rows, columns, keys up to a newline, and the JSON behind it. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct grid grid = { 0 };
	struct top_model model = { 0 };
	const uint8_t *newline = n > 2 ? memchr(bytes + 2, '\n', n - 2) : NULL;
	cJSON *status;

	if (!newline || grid_resize(&grid, bytes[0], bytes[1]) < 0)
		return 0;
	grid.utf8 = grid.blocks = bytes[1] & 1;
	status = cJSON_ParseWithLength((const char *)newline, n - (newline - bytes));
	if (status)
		top_model_take(&model, status);
	for (const uint8_t *key = bytes + 2; key < newline; key++) {
		/* From 0xA0 on these are keys that are no characters. */
		if (!top_key(&model, *key < 0xA0 ? *key : SCREEN_NONE + (*key - 0xA0)))
			break;
		top_draw(&model, &grid);
	}
	top_model_done(&model);
	grid_done(&grid);
	return 0;
}
