/* SPDX-License-Identifier: Apache-2.0 */
/* test_top_model.c - what `postbus top` makes of a status and of keys, and how that looks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/screen.h"
#include "tools/top.h"

#include <locale.h>
#include <string.h>

static struct top_model model;
static struct grid grid;

/* --- what is looked at --- */

static char *read_data(const char *name)
{
	const char *source = getenv("POSTBUS_SOURCE");
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char *text = calloc(1, 64 * 1024);

	if (asprintf(&path, "%s/tests/data/%s", source ? source : ".", name) < 0)
		abort();
	file = fopen(path, "re");
	if (!file || !text || !fread(text, 1, 64 * 1024 - 1, file))
		fail_msg("%s can't be read", path);
	return text;
}

static cJSON *status(void)
{
	_cleanup_free_ char *text = read_data("top.json");
	cJSON *json = cJSON_Parse(text);

	assert_non_null(json);
	return json;
}

static int begin(void **state)
{
	(void)state;
	grid = (struct grid){ .utf8 = true, .blocks = true };
	top_model_take(&model, status());
	return grid_resize(&grid, 24, 80);
}

static int end(void **state)
{
	(void)state;
	top_model_done(&model);
	grid_done(&grid);
	return 0;
}

static void press(const char *keys)
{
	for (; *keys; keys++)
		assert_true(top_key(&model, (unsigned char)*keys));
}

static void press_key(unsigned key)
{
	assert_true(top_key(&model, key));
}

/* As the file has it, line by line. */
static void assert_looks(const char *file)
{
	_cleanup_free_ char *expected = read_data(file);
	char *rest = expected, *line, text[1024];
	bool same = true;

	top_draw(&model, &grid);
	for (int row = 0; row < grid.rows; row++) {
		grid_line(&grid, row, text, sizeof(text));
		line = strsep(&rest, "\n");
		same = same && line && !strcmp(line, text);
	}
	if (same)
		return;
	for (int row = 0; row < grid.rows; row++) {
		grid_line(&grid, row, text, sizeof(text));
		fprintf(stderr, "%s\n", text);
	}
	fail_msg("it does not look like %s", file);
}

static const char *line_at(int row)
{
	static char text[1024];

	top_draw(&model, &grid);
	grid_line(&grid, row, text, sizeof(text));
	return text;
}

/* The names of the devices that are listed, with blanks between. */
static const char *listed(void)
{
	static char names[1024];

	names[0] = '\0';
	for (size_t i = 0; i < model.row_count; i++) {
		const cJSON *name = cJSON_GetObjectItem(model.rows[i].device, "device");

		strcat(strcat(names, i ? " " : ""), name->valuestring);
	}
	return names;
}

/* --- how it looks --- */

static void the_list_fits_a_narrow_terminal(void **state)
{
	(void)state;
	assert_looks("top-list-80x24.expected");
	assert_int_equal(grid.cells[1 * 80 + 11].style, STYLE_GOOD);
	assert_int_equal(grid.cells[11 * 80 + 1].style, STYLE_CURSOR);
}

static void the_list_grows_with_the_window(void **state)
{
	(void)state;
	assert_int_equal(grid_resize(&grid, 40, 132), 0);
	assert_looks("top-list-132x40.expected");
}

static void the_list_is_ascii_where_that_is_all(void **state)
{
	(void)state;
	grid.utf8 = grid.blocks = false;
	assert_looks("top-ascii-80x24.expected");
}

static void a_device_is_looked_into(void **state)
{
	(void)state;
	press_key(SCREEN_ENTER);
	assert_looks("top-device-80x24.expected");
	press_key(SCREEN_PAGE_DOWN);
	assert_non_null(strstr(line_at(5), "6-22 of 22"));
	press_key(SCREEN_RIGHT);
	assert_non_null(strstr(line_at(1), "climate-10, xy-md02 at 10 on bus cellar"));
	press_key(SCREEN_ESCAPE);
	assert_int_equal(line_at(12)[0], '>');
}

static void help_lies_over_it(void **state)
{
	(void)state;
	press("?");
	assert_looks("top-help-80x24.expected");
	press("q");
	assert_looks("top-list-80x24.expected");
}

/* What was last heard stays, and is told to be old. */
static void a_gateway_that_is_gone_is_told(void **state)
{
	(void)state;
	model.trouble = "no gateway is running here";
	model.age_ms = 12000;
	assert_looks("top-gone-80x24.expected");
	assert_int_equal(grid.cells[1 * 80 + 1].style, STYLE_BAD);
	assert_int_equal(grid.cells[2 * 80 + 11].style, STYLE_FAINT);
	top_model_take(&model, status());
	assert_looks("top-list-80x24.expected");
}

static void without_a_status_it_says_so(void **state)
{
	(void)state;
	top_model_done(&model);
	model.trouble = "no gateway is running here";
	assert_string_equal(line_at(1), " no gateway is running here; trying again");
	press("sSr/x");
	press_key(SCREEN_ENTER);
	press_key(SCREEN_ENTER);
	assert_string_equal(line_at(2), "");
}

/* From nothing to more than there is to show: nothing is drawn outside. */
static void any_size_will_do(void **state)
{
	static const unsigned pages[] = { SCREEN_ESCAPE, '/', SCREEN_ENTER, SCREEN_ENTER, '?' };

	(void)state;
	for (size_t page = 0; page < ARRAY_SIZE(pages); page++) {
		press_key(pages[page]);
		for (int rows = 0; rows < 60; rows++) {
			for (int columns = 0; columns < 150; columns += 7) {
				assert_int_equal(grid_resize(&grid, rows, columns), 0);
				top_draw(&model, &grid);
			}
		}
	}
	assert_int_equal(grid_resize(&grid, 9, 80), 0);
	assert_string_equal(line_at(0), "too small: 40 x 10 is wanted");
}

/* --- sorting --- */

static void each_column_sorts(void **state)
{
	(void)state;
	assert_string_equal(listed(), "meter-1 climate-10 climate-11 climate-12 climate-13 "
				      "climate-14 climate-15 climate-16 climate-17 climate-18 "
				      "climate-19 climate-20 climate-21 heat-pump boiler weather");
	press("s"); /* by name, numbers as such */
	assert_string_equal(listed(), "boiler climate-10 climate-11 climate-12 climate-13 "
				      "climate-14 climate-15 climate-16 climate-17 climate-18 "
				      "climate-19 climate-20 climate-21 heat-pump meter-1 weather");
	press("s"); /* by state */
	assert_memory_equal(listed(), "climate-13 boiler weather meter-1 climate-10", 44);
	press("s"); /* by last answer */
	assert_memory_equal(listed(), "climate-13 boiler weather heat-pump meter-1 climate-21", 54);
	press("s"); /* by latency */
	assert_memory_equal(listed(), "heat-pump meter-1 climate-13 climate-21", 39);
	press("s"); /* by errors */
	assert_memory_equal(listed(), "climate-13 boiler heat-pump meter-1 climate-10", 46);
	assert_non_null(strstr(line_at(10), "ERRORS▼"));
	press("r");
	assert_non_null(strstr(line_at(10), "ERRORS▲"));
	assert_string_equal(strrchr(listed(), ' '), " climate-13");
	press("s");
	assert_memory_equal(listed(), "meter-1 climate-10", 18);
	press("S>>");
	assert_int_equal(model.sort, TOP_NAME);
}

/* --- filtering --- */

static void a_filter_is_typed(void **state)
{
	(void)state;
	press("/clim q2"); /* q is a letter here */
	assert_string_equal(listed(), "");
	assert_string_equal(line_at(23), " filter: clim q2"
			    "                                        Enter keeps, Esc clears");
	assert_int_equal(grid.cursor_row, 23);
	assert_int_equal(grid.cursor_column, 16);
	assert_string_equal(line_at(11), " none that the filter lets through");
	press_key(SCREEN_ERASE);
	press_key(0x7F);
	press("1 ");
	assert_string_equal(listed(), "climate-10 climate-11 climate-12 climate-13 climate-14 "
				      "climate-15 climate-16 climate-17 climate-18 climate-19 "
				      "climate-21");
	press("OFF");
	assert_string_equal(listed(), "climate-13");
	press_key(SCREEN_ENTER);
	assert_string_equal(line_at(5), " devices   1 with \"clim 1 OFF\" of 16, 1 offline, 2 unknown");
	press_key(SCREEN_ESCAPE);
	assert_int_equal(model.row_count, 16);
	press("/roof");
	assert_string_equal(listed(), "weather");
	press_key('U' - '@');
	assert_int_equal(model.row_count, 16);
	press_key(SCREEN_ESCAPE);
	assert_false(model.typing);
}

/* Characters of any length, and no more of them than there is room for. */
static void a_filter_is_utf8(void **state)
{
	(void)state;
	press("/");
	press_key(0xE9);
	press_key(0x20AC);
	press_key(0x1F600);
	assert_string_equal(model.filter, "é€😀");
	press_key(SCREEN_ERASE);
	press_key(SCREEN_ERASE);
	assert_string_equal(model.filter, "é");
	for (int i = 0; i < 100; i++)
		press_key(0x20AC);
	assert_int_equal(strlen(model.filter), 2 + 20 * 3);
	press_key(SCREEN_UP); /* ends it */
	assert_false(model.typing);
}

/* --- the cursor --- */

static const char *device(void)
{
	struct top_row row;

	return top_model_device(&model, &row) ?
		       cJSON_GetObjectItem(row.device, "device")->valuestring : "";
}

static void the_cursor_stays_with_its_device(void **state)
{
	(void)state;
	top_draw(&model, &grid);
	assert_string_equal(device(), "meter-1");
	press("jjk");
	assert_string_equal(device(), "climate-10");
	press("/1");
	assert_string_equal(device(), "climate-10");
	press_key(SCREEN_ESCAPE);
	top_model_take(&model, status());
	assert_string_equal(device(), "climate-10");
	press_key(SCREEN_UP);
	press_key(SCREEN_UP);
	assert_string_equal(device(), "meter-1");
	press("G");
	assert_string_equal(device(), "weather");
	assert_int_equal(line_at(22)[0], '>');
	press("k ");
	assert_string_equal(device(), "weather");
	press_key(SCREEN_PAGE_UP);
	assert_string_equal(device(), "climate-12");
	/* What is sorted anew is looked at from its begin. */
	press("s");
	assert_string_equal(device(), "boiler");
	/* One that is filtered out gives way to its neighbour. */
	press("/meter");
	assert_string_equal(device(), "meter-1");
}

/* A filter by state must not take away what is looked into. */
static void the_device_looked_into_stays(void **state)
{
	cJSON *without = status(), *bus = cJSON_GetArrayItem(cJSON_GetObjectItem(without, "buses"), 0);

	(void)state;
	press("/offline");
	press_key(SCREEN_ENTER);
	press_key(SCREEN_ENTER);
	assert_string_equal(line_at(2), " state     offline, answered 3 min ago, "
					"41 requests given up");
	cJSON_SetValuestring(cJSON_GetObjectItem(model.rows[0].device, "state"), "online");
	top_model_arrange(&model);
	assert_int_equal(model.row_count, 0);
	assert_string_equal(line_at(2), " state     online, answered 3 min ago, "
					"41 requests given up");
	cJSON_DeleteItemFromObject(bus, "devices");
	top_model_take(&model, without);
	assert_string_equal(line_at(1), "           there is no device climate-13 any more");
	press_key(SCREEN_ESCAPE);
	press_key(SCREEN_ESCAPE);
	assert_string_equal(device(), "heat-pump");
}

static void q_ends_it(void **state)
{
	(void)state;
	assert_false(top_key(&model, 'q'));
	press_key(SCREEN_ENTER);
	assert_false(top_key(&model, 'q'));
}

/* --- rates --- */

static void rates_are_of_the_last_seconds(void **state)
{
	double in, out;

	(void)state;
	assert_false(top_model_rates(&model, &in, &out));
	for (int i = 1; i <= 40; i++) {
		cJSON *later = status(), *spool = cJSON_GetObjectItem(later, "spool");

		cJSON_SetNumberValue(cJSON_GetObjectItem(later, "uptime_ms"), 259200000 + 500 * i);
		cJSON_SetNumberValue(cJSON_GetObjectItem(spool, "taken"), i < 20 ? 1 : 1 + 6 * i);
		top_model_take(&model, later);
	}
	assert_true(top_model_rates(&model, &in, &out));
	assert_true(in == 12 && out == 0);
	/* Started again: as if nothing had been before. */
	top_model_take(&model, status());
	assert_false(top_model_rates(&model, &in, &out));
}

/* --- characters --- */

static const char *put(int end_column, const char *text)
{
	static char line[256];

	grid_clear(&grid);
	grid_put(&grid, 0, 0, end_column, STYLE_PLAIN, text);
	grid_line(&grid, 0, line, sizeof(line));
	return line;
}

static void what_a_terminal_would_obey_to_is_not(void **state)
{
	(void)state;
	assert_string_equal(put(0, "a\033[2J\nb\x7F\xC2\x9Bz"), "a?[2J?b??z");
	/* Broken, overlong, surrogates, beyond Unicode. */
	assert_string_equal(put(0, "a\xFF\xC3"), "a\uFFFD\uFFFD");
	assert_string_equal(put(0, "\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80|"),
			    "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD|");
}

static void a_text_ends_where_it_must(void **state)
{
	(void)state;
	assert_string_equal(put(5, "12345"), "12345");
	assert_string_equal(put(5, "123456"), "1234…");
	assert_string_equal(put(5, "µµµµµ"), "µµµµµ");
	assert_string_equal(put(5, "温度計"), "温度…"); /* each two wide */
	assert_string_equal(put(4, "温度計"), "温…");
	grid.utf8 = false;
	assert_string_equal(put(0, "21.5 °C µg/m³ 温"), "21.5 C ug/m3 ?");
	assert_string_equal(put(5, "123456"), "1234~");
}

#define top_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		top_test(the_list_fits_a_narrow_terminal),
		top_test(the_list_grows_with_the_window),
		top_test(the_list_is_ascii_where_that_is_all),
		top_test(a_device_is_looked_into),
		top_test(help_lies_over_it),
		top_test(a_gateway_that_is_gone_is_told),
		top_test(without_a_status_it_says_so),
		top_test(any_size_will_do),
		top_test(each_column_sorts),
		top_test(a_filter_is_typed),
		top_test(a_filter_is_utf8),
		top_test(the_cursor_stays_with_its_device),
		top_test(the_device_looked_into_stays),
		top_test(q_ends_it),
		top_test(rates_are_of_the_last_seconds),
		top_test(what_a_terminal_would_obey_to_is_not),
		top_test(a_text_ends_where_it_must),
	};

	/* Widths of characters are known where the locale is UTF-8. */
	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
