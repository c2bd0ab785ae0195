/* SPDX-License-Identifier: Apache-2.0 */
/* top.h - the parts of `postbus top`: what keys do with its model, and how it is drawn. */
#pragma once

#include "tools/grid.h"
#include "tools/top_model.h"

/* A key, or a character, as screen_key() has it. False: it ends the program. */
bool top_key(struct top_model *model, unsigned key);

/* Draws all of it; what the model says of its first lines is brought in line with the room. */
void top_draw(struct top_model *model, struct grid *grid);

/* --- parts of the picture, from `row` down to the last line but one --- */

enum {
	TOP_LABEL = 11,     /* the column of what stands behind a label */
	TOP_NAME_MOST = 20, /* columns of a name where the terminal is not wide */
	TOP_WIDE = 100,
};

/* Buses and devices. */
void top_draw_list(struct top_model *model, struct grid *grid, int row);
/* The device that the cursor is on. */
void top_draw_device(struct top_model *model, struct grid *grid, int row);

/* Of a device by its state: how that is to look. */
enum style top_state_style(const cJSON *device);

/* The width of a column of names, so far `width`, that is to have room for this one too. */
int top_name_width(const struct grid *grid, int width, const char *name);

/* At the right of a heading, which lines of a page are seen, where that is not all. */
void top_put_range(struct grid *grid, int row, int column, size_t first, size_t page,
		   size_t count);
