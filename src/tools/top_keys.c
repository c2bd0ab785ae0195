/* SPDX-License-Identifier: Apache-2.0 */
/* top_keys.c - what the keys do in `postbus top`. */
#include "tools/screen.h"
#include "tools/top.h"

#include <string.h>

enum {
	CONTROL_U = 'U' - '@', /* clears what was typed, as in a shell */
	CONTROL_H = 'H' - '@',
	DELETE = 0x7F,
	/* As many lines as there ever are. */
	FIRST = -0x10000000,
	LAST = 0x10000000,
};

/* --- the filter --- */

static bool is_continuation(char byte)
{
	return ((unsigned char)byte & 0xC0) == 0x80;
}

static void erase_character(char *text)
{
	size_t length = strlen(text);

	while (length && is_continuation(text[--length]))
		;
	text[length] = '\0';
}

/* As UTF-8; nothing where it has no room. */
static void add_character(char *text, unsigned character)
{
	static const unsigned char marks[] = { 0, 0xC0, 0xE0, 0xF0 };
	size_t length = strlen(text), more = 0;

	if (character >= 0x80)
		more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
	if (length + more + 2 > TOP_FILTER_BYTES)
		return;
	text[length] = (char)(marks[more] | character >> (6 * more));
	for (size_t i = 1; i <= more; i++)
		text[length + i] = (char)(0x80 | (character >> (6 * (more - i)) & 0x3F));
	text[length + more + 1] = '\0';
}

/* What is typed holds at once. */
static void on_typing(struct top_model *model, unsigned key)
{
	switch (key) {
	case SCREEN_ESCAPE:
		model->filter[0] = '\0';
		model->typing = false;
		break;
	case SCREEN_ENTER:
	case SCREEN_UP:
	case SCREEN_DOWN:
		model->typing = false;
		break;
	case SCREEN_ERASE:
	case CONTROL_H:
	case DELETE:
		erase_character(model->filter);
		break;
	case CONTROL_U:
		model->filter[0] = '\0';
		break;
	default:
		if (key >= ' ' && key < SCREEN_NONE)
			add_character(model->filter, key);
	}
	top_model_arrange(model);
}

/* --- pages --- */

/* How far a key moves; 0: it does not. */
static long lines_of(const struct top_model *model, unsigned key)
{
	switch (key) {
	case 'k':
	case SCREEN_UP:
		return -1;
	case 'j':
	case SCREEN_DOWN:
		return 1;
	case SCREEN_PAGE_UP:
		return -(long)model->page_rows;
	case ' ':
	case SCREEN_PAGE_DOWN:
		return (long)model->page_rows;
	case 'g':
	case SCREEN_HOME:
		return FIRST;
	case 'G':
	case SCREEN_END:
		return LAST;
	default:
		return 0;
	}
}

/* What comes first is what is wanted: the cursor goes there. */
static void sort_anew(struct top_model *model, int step, bool reversed)
{
	model->sort = (model->sort + TOP_COLUMNS + step) % TOP_COLUMNS;
	model->reversed = reversed;
	top_model_arrange(model);
	top_model_move(model, FIRST);
}

static void show_page(struct top_model *model, enum top_page page)
{
	model->page = page;
	model->first_point = 0;
	top_model_arrange(model);
}

static void on_list(struct top_model *model, unsigned key)
{
	long lines = lines_of(model, key);

	if (lines)
		top_model_move(model, lines);
	switch (key) {
	case '/':
		model->typing = true;
		break;
	case SCREEN_ESCAPE:
		model->filter[0] = '\0';
		top_model_arrange(model);
		break;
	case 's':
	case '>':
		sort_anew(model, 1, false);
		break;
	case 'S':
	case '<':
		sort_anew(model, -1, false);
		break;
	case 'r':
		sort_anew(model, 0, !model->reversed);
		break;
	case SCREEN_ENTER:
	case SCREEN_RIGHT:
		if (model->device)
			show_page(model, TOP_DEVICE);
		break;
	}
}

static void on_device(struct top_model *model, unsigned key)
{
	long first = (long)model->first_point + lines_of(model, key);

	model->first_point = first > 0 ? (size_t)first : 0;
	switch (key) {
	case SCREEN_ESCAPE:
	case SCREEN_ENTER:
	case SCREEN_ERASE:
		show_page(model, TOP_LIST);
		break;
	case SCREEN_LEFT:
	case SCREEN_RIGHT:
		top_model_move(model, key == SCREEN_LEFT ? -1 : 1);
		show_page(model, TOP_DEVICE);
		break;
	}
}

bool top_key(struct top_model *model, unsigned key)
{
	if (model->help) {
		model->help = false;
		return true;
	}
	if (model->typing) {
		on_typing(model, key);
		return true;
	}
	if (key == 'q')
		return false;
	if (key == '?' || key == 'h')
		model->help = true;
	else if (model->page == TOP_DEVICE)
		on_device(model, key);
	else
		on_list(model, key);
	return true;
}
