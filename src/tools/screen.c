/* SPDX-License-Identifier: Apache-2.0 */
/* screen.c - the terminal as a whole: shows a grid, and tells which keys are pressed. */
#include "tools/screen.h"

#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
	/* How long an Escape waits for the rest of a function key's sequence. */
	ESCAPE_MS = 50,
};

/* Colours are not needed: each of these looks different without, where it has to. */
enum pair {
	PAIR_NONE,
	PAIR_GOOD,
	PAIR_WARNING,
	PAIR_BAD,
	PAIR_BAR,
};

static struct {
	SCREEN *terminal;
	bool has_colours;
} screen;

/* --- beginning and end --- */

static bool are_colours_wanted(void)
{
	const char *no = getenv("NO_COLOR");

	return !no || !*no;
}

static void prepare_colours(void)
{
	screen.has_colours = has_colors() && are_colours_wanted() && start_color() == OK &&
			     use_default_colors() == OK;
	if (!screen.has_colours)
		return;
	init_pair(PAIR_GOOD, COLOR_GREEN, -1);
	init_pair(PAIR_WARNING, COLOR_YELLOW, -1);
	init_pair(PAIR_BAD, COLOR_RED, -1);
	init_pair(PAIR_BAR, COLOR_BLACK, COLOR_CYAN);
}

static void prepare_keys(void)
{
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, false);
	keypad(stdscr, true);
	nodelay(stdscr, true);
	set_escdelay(ESCAPE_MS);
}

const char *screen_open(struct grid *grid)
{
	const char *type = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return "it is shown on a terminal only";
	setlocale(LC_CTYPE, "");
	screen.terminal = newterm(NULL, stdout, stdin);
	if (!screen.terminal)
		return "the type of this terminal, $TERM, is not known here";
	if (!tigetstr("cup") || tigetstr("cup") == (char *)-1) {
		screen_close();
		return "a terminal of this type, $TERM, has no cursor to be moved";
	}
	prepare_keys();
	prepare_colours();
	grid->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	/* The console's font has no blocks of eight heights. */
	grid->blocks = grid->utf8 && type && strcmp(type, "linux") != 0;
	if (screen_fit(grid) < 0) {
		screen_close();
		return "memory is short";
	}
	return NULL;
}

void screen_close(void)
{
	if (!screen.terminal)
		return;
	endwin();
	delscreen(screen.terminal);
	screen.terminal = NULL;
}

int screen_fit(struct grid *grid)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	return grid_resize(grid, LINES, COLS);
}

/* --- the picture --- */

static attr_t attributes_of(enum style style)
{
	switch (style) {
	case STYLE_FAINT:
		return A_DIM;
	case STYLE_BOLD:
		return A_BOLD;
	case STYLE_GOOD:
		return A_NORMAL;
	case STYLE_WARNING:
	case STYLE_BAD:
		return A_BOLD;
	case STYLE_BAR:
		return screen.has_colours ? A_NORMAL : A_REVERSE;
	case STYLE_CURSOR:
		return A_REVERSE;
	default:
		return A_NORMAL;
	}
}

static enum pair pair_of(enum style style)
{
	if (!screen.has_colours)
		return PAIR_NONE;
	switch (style) {
	case STYLE_GOOD:
		return PAIR_GOOD;
	case STYLE_WARNING:
		return PAIR_WARNING;
	case STYLE_BAD:
		return PAIR_BAD;
	case STYLE_BAR:
		return PAIR_BAR;
	default:
		return PAIR_NONE;
	}
}

static void show_cell(const struct cell *cell, int row, int column)
{
	const wchar_t text[] = { cell->character, L'\0' };
	cchar_t character;

	if (!cell->character)
		return;
	if (setcchar(&character, text, attributes_of(cell->style),
		     (short)pair_of(cell->style), NULL) == OK)
		mvadd_wch(row, column, &character);
}

void screen_show(const struct grid *grid)
{
	for (int row = 0; row < grid->rows; row++)
		for (int column = 0; column < grid->columns; column++)
			show_cell(&grid->cells[row * grid->columns + column], row, column);
	curs_set(grid->cursor_row >= 0);
	if (grid->cursor_row >= 0)
		move(grid->cursor_row, grid->cursor_column);
	refresh();
}

void screen_is_spoilt(void)
{
	clearok(stdscr, true);
}

/* --- keys --- */

static unsigned key_of(wint_t key)
{
	switch (key) {
	case KEY_UP:
		return SCREEN_UP;
	case KEY_DOWN:
		return SCREEN_DOWN;
	case KEY_LEFT:
		return SCREEN_LEFT;
	case KEY_RIGHT:
		return SCREEN_RIGHT;
	case KEY_PPAGE:
		return SCREEN_PAGE_UP;
	case KEY_NPAGE:
		return SCREEN_PAGE_DOWN;
	case KEY_HOME:
		return SCREEN_HOME;
	case KEY_END:
		return SCREEN_END;
	case KEY_ENTER:
		return SCREEN_ENTER;
	case KEY_BACKSPACE:
		return SCREEN_ERASE;
	default:
		return SCREEN_OTHER;
	}
}

unsigned screen_key(void)
{
	wint_t key;

	switch (get_wch(&key)) {
	case KEY_CODE_YES:
		return key_of(key);
	case OK:
		return key == '\r' || key == '\n' ? SCREEN_ENTER :
		       key == '\033'		    ? SCREEN_ESCAPE : key;
	default:
		return SCREEN_NONE;
	}
}
