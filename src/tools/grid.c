/* SPDX-License-Identifier: Apache-2.0 */
/* grid.c - a picture of characters, drawn before it is shown on a terminal; pure. */
#include "tools/grid.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>

enum { TEXT_MAX = 1024 };

int grid_resize(struct grid *grid, int rows, int columns)
{
	struct cell *cells = calloc((size_t)rows * columns + 1, sizeof(*cells));

	if (!cells)
		return -ENOMEM;
	free(grid->cells);
	grid->cells = cells;
	grid->rows = rows;
	grid->columns = columns;
	grid_clear(grid);
	return 0;
}

void grid_clear(struct grid *grid)
{
	for (int i = 0; i < grid->rows * grid->columns; i++)
		grid->cells[i] = (struct cell){ .character = L' ' };
	grid->cursor_row = grid->cursor_column = -1;
}

void grid_done(struct grid *grid)
{
	free(grid->cells);
	*grid = (struct grid){ 0 };
}

static struct cell *cell_at(struct grid *grid, int row, int column)
{
	if (row < 0 || row >= grid->rows || column < 0 || column >= grid->columns)
		return NULL;
	return &grid->cells[row * grid->columns + column];
}

static int edge(const struct grid *grid, int end)
{
	if (end <= 0)
		end += grid->columns;
	return end < grid->columns ? end : grid->columns;
}

static void set(struct grid *grid, int row, int column, wchar_t character, enum style style)
{
	struct cell *cell = cell_at(grid, row, column);

	if (cell)
		*cell = (struct cell){ .character = character, .style = style };
}

/* --- characters --- */

/*
 * The next character of a text in UTF-8, which moves on behind it; U+FFFD where there is none.
 * The locale's own functions know UTF-8 only where the terminal does.
 */
static wchar_t next_character(const char **text)
{
	static const wchar_t least[] = { 0, 0x80, 0x800, 0x10000 };
	const unsigned char *at = (const unsigned char *)*text;
	unsigned more = *at < 0x80 ? 0 : *at >> 5 == 6 ? 1 : *at >> 4 == 14 ? 2 : 3;
	wchar_t character = more ? *at & (0x3F >> more) : *at;

	*text += 1;
	if (more && (*at < 0xC0 || *at > 0xF4))
		return 0xFFFD;
	for (unsigned i = 1; i <= more; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0xFFFD;
		character = character << 6 | (at[i] & 0x3F);
	}
	if (character < least[more] || character > 0x10FFFF ||
	    (character >= 0xD800 && character < 0xE000))
		return 0xFFFD;
	*text += more;
	return character;
}

/* What stands for it on a terminal that has ASCII alone; L'\0': nothing. */
static wchar_t plain(wchar_t character)
{
	static const struct {
		wchar_t character, plain;
	} table[] = {
		{ 0xB0, L'\0' }, { 0xB2, L'2' }, { 0xB3, L'3' }, { 0xB5, L'u' },
		{ 0x3BC, L'u' }, { 0xB7, L'.' }, { 0x3A9, L'O' }, { 0x2126, L'O' },
		{ 0x2026, L'~' }, { 0x2212, L'-' }, { 0x25B2, L'^' }, { 0x25BC, L'v' },
	};

	if (character < 0x80)
		return character;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].character == character)
			return table[i].plain;
	return L'?';
}

/* As it is shown; its width is 1 or 2, or 0 where it is left out. */
static wchar_t shown(const struct grid *grid, wchar_t character, int *width)
{
	*width = 1;
	if (character < L' ' || character == 0x7F || (character >= 0x80 && character < 0xA0))
		return L'?';
	if (!grid->utf8) {
		character = plain(character);
		*width = character ? 1 : 0;
		return character;
	}
	*width = wcwidth(character);
	if (*width >= 0)
		return character;
	*width = 1;
	return L'?';
}

static int width_of(const struct grid *grid, const char *text)
{
	int sum = 0, width;

	while (*text) {
		shown(grid, next_character(&text), &width);
		sum += width;
	}
	return sum;
}

/* --- text --- */

int grid_put(struct grid *grid, int row, int column, int end, enum style style,
	     const char *text)
{
	int last = edge(grid, end), width;
	bool cut = column + width_of(grid, text) > last;

	if (column >= last)
		return column;
	while (*text) {
		wchar_t character = shown(grid, next_character(&text), &width);

		if (!width)
			continue;
		if (column + width > last - cut)
			break;
		set(grid, row, column, character, style);
		if (width == 2)
			set(grid, row, column + 1, L'\0', style);
		column += width;
	}
	if (cut)
		set(grid, row, column++, grid->utf8 ? L'…' : L'~', style);
	return column;
}

int grid_putf(struct grid *grid, int row, int column, int end, enum style style,
	      const char *format, ...)
{
	char text[TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return grid_put(grid, row, column, end, style, text);
}

void grid_put_right(struct grid *grid, int row, int column, int end, enum style style,
		    const char *text)
{
	int begin = edge(grid, end) - width_of(grid, text);

	grid_put(grid, row, begin > column ? begin : column, end, style, text);
}

void grid_style(struct grid *grid, int row, int column, int end, enum style style)
{
	for (int last = edge(grid, end); column < last; column++) {
		struct cell *cell = cell_at(grid, row, column);

		if (cell)
			cell->style = style;
	}
}

void grid_line(const struct grid *grid, int row, char *text, size_t size)
{
	size_t length = 0, ink = 0;

	for (int i = 0; i < grid->columns && length + 5 <= size; i++) {
		wchar_t c = grid->cells[row * grid->columns + i].character;

		if (!c)
			continue;
		if (c < 0x80) {
			text[length++] = (char)c;
		} else if (c < 0x800) {
			text[length++] = (char)(0xC0 | c >> 6);
			text[length++] = (char)(0x80 | (c & 0x3F));
		} else {
			if (c < 0x10000) {
				text[length++] = (char)(0xE0 | c >> 12);
			} else {
				text[length++] = (char)(0xF0 | c >> 18);
				text[length++] = (char)(0x80 | (c >> 12 & 0x3F));
			}
			text[length++] = (char)(0x80 | (c >> 6 & 0x3F));
			text[length++] = (char)(0x80 | (c & 0x3F));
		}
		if (c != L' ')
			ink = length;
	}
	text[ink] = '\0';
}

/* --- bars --- */

void grid_bar(struct grid *grid, int row, int column, int width, double share, enum style style)
{
	int filled = (int)((share < 0 ? 0 : share > 1 ? 1 : share) * width + 0.5);

	for (int i = 0; i < width; i++) {
		if (i < filled)
			set(grid, row, column + i, grid->blocks ? L'█' : L'#', style);
		else
			set(grid, row, column + i, grid->blocks ? L'░' : L'.', STYLE_FAINT);
	}
}

void grid_level(struct grid *grid, int row, int column, int level, enum style style)
{
	static const wchar_t ascii[] = L" _.-=+*#@";

	if (level <= 0)
		return;
	if (level > GRID_LEVELS)
		level = GRID_LEVELS;
	set(grid, row, column, grid->blocks ? L'▁' + level - 1 : ascii[level], style);
}
