/* SPDX-License-Identifier: Apache-2.0 */
/* grid.h - a picture of characters, drawn before it is shown on a terminal; pure. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

enum style {
	STYLE_PLAIN,
	STYLE_FAINT,
	STYLE_BOLD,
	STYLE_GOOD,
	STYLE_WARNING,
	STYLE_BAD,
	STYLE_BAR,    /* a title's or a heading's line, from edge to edge */
	STYLE_CURSOR, /* the line that the cursor is on */
	STYLE_COUNT,
};

struct cell {
	wchar_t character; /* L'\0': the right half of the one before */
	enum style style;
};

struct grid {
	int rows, columns;
	struct cell *cells;
	/* What the terminal shows: any character, or ASCII alone; bars of blocks, or of ASCII. */
	bool utf8, blocks;
	int cursor_row, cursor_column; /* where text is typed; -1: nowhere */
};

/* Blank, of that size. 0 or -ENOMEM; the grid begins as zeros. grid_done() frees it. */
int grid_resize(struct grid *grid, int rows, int columns) _must_check_;
void grid_clear(struct grid *grid);
void grid_done(struct grid *grid);

/*
 * Puts a text, which is UTF-8, from `column` up to but not into `end`; what has no room ends
 * with a mark. A negative `end` counts from the right edge, 0 is the edge. What lies outside of
 * the grid is not drawn; what a terminal would obey to becomes '?'. Returns the column behind
 * the text.
 */
int grid_put(struct grid *grid, int row, int column, int end, enum style style,
	     const char *text);
int grid_putf(struct grid *grid, int row, int column, int end, enum style style,
	      const char *format, ...) _printf_(6, 7);
/* The same so that the text ends before `end`. */
void grid_put_right(struct grid *grid, int row, int column, int end, enum style style,
		    const char *text);

/* Gives cells of a line another style. */
void grid_style(struct grid *grid, int row, int column, int end, enum style style);

/* A bar of that width, so much of it filled, from 0 to 1. */
void grid_bar(struct grid *grid, int row, int column, int width, double share,
	      enum style style);
/* A column of a chart: nothing, or from 1 to GRID_LEVELS high. */
enum { GRID_LEVELS = 8 };
void grid_level(struct grid *grid, int row, int column, int level, enum style style);

/* A line as text in UTF-8, without the blanks at its end; `size` bytes have to be enough. */
void grid_line(const struct grid *grid, int row, char *text, size_t size);
