/* SPDX-License-Identifier: Apache-2.0 */
/* screen.h - the terminal as a whole: shows a grid, and tells which keys are pressed. */
#pragma once

#include "tools/grid.h"

/* A key that is no character. A character is its number in Unicode. */
enum screen_key {
	SCREEN_NONE = 0x110000, /* no key is pressed */
	SCREEN_UP,
	SCREEN_DOWN,
	SCREEN_LEFT,
	SCREEN_RIGHT,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_HOME,
	SCREEN_END,
	SCREEN_ENTER,
	SCREEN_ESCAPE,
	SCREEN_ERASE,
	SCREEN_OTHER,
};

/*
 * Takes the terminal on standard input and output over, and says in the grid how large it is
 * and what it can show: colours where it has some and NO_COLOR is not set, other characters
 * than ASCII by the locale. NULL, or why it can't be, and the terminal is as it was.
 */
const char *screen_open(struct grid *grid) _must_check_;
/* Gives it back as it was. */
void screen_close(void);

/* Shows the grid; only what changed is sent. */
void screen_show(const struct grid *grid);
/* Everything is sent the next time: something else wrote to the terminal. */
void screen_is_spoilt(void);
/* After SIGWINCH: the grid gets the terminal's size. 0 or -ENOMEM. */
int screen_fit(struct grid *grid) _must_check_;

/* The next key that was pressed; never waits. */
unsigned screen_key(void);
