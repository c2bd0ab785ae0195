/* SPDX-License-Identifier: Apache-2.0 */
/* top_device.c - the page of `postbus top` that looks into a device. */
#include "tools/status_words.h"
#include "tools/top.h"

#include <string.h>

enum {
	AGE_WIDTH = 10,
	QUALITY_WIDTH = 9,
	VALUE_BYTES = 1024,
};

static int put_label(struct grid *grid, int row, const char *label)
{
	grid_put(grid, row, 1, TOP_LABEL, STYLE_FAINT, label);
	return TOP_LABEL;
}

static int draw_counters(const cJSON *device, struct grid *grid, int row)
{
	const cJSON *latency = cJSON_GetObjectItem(device, "latency_ms");
	char errors[256];
	int end;

	error_words(device, errors, sizeof(errors));
	end = grid_putf(grid, row, put_label(grid, row, "requests"), 0, STYLE_PLAIN,
			"%.0f, %.0f answered", number_of(device, "requests"),
			number_of(device, "answers"));
	if (*errors)
		grid_putf(grid, row, end, 0, STYLE_WARNING, ", %s", errors);
	row++;
	if (!number_of(device, "answers"))
		return row;
	grid_putf(grid, row, put_label(grid, row, "latency"), 0, STYLE_PLAIN,
		  "half within %.1f ms, 90 %% %.1f ms, 99 %% %.1f ms",
		  number_of(latency, "p50"), number_of(latency, "p90"),
		  number_of(latency, "p99"));
	return row + 1;
}

static int draw_head(const struct top_row *at, struct grid *grid, int row)
{
	char words[256], address[16] = "";
	int end;

	if (cJSON_HasObjectItem(at->device, "address"))
		snprintf(address, sizeof(address), " at %.0f",
			 number_of(at->device, "address"));
	end = grid_put(grid, row, put_label(grid, row, "device"), 0, STYLE_BOLD,
		       string_of(at->device, "device"));
	grid_putf(grid, row++, end, 0, STYLE_PLAIN, ", %s%s on bus %s",
		  string_of(at->device, "map"), address, string_of(at->bus, "bus"));
	state_words(at->device, words, sizeof(words));
	grid_put(grid, row, put_label(grid, row, "state"), 0,
		 top_state_style(at->device), words);
	return draw_counters(at->device, grid, row + 1);
}

/* --- points --- */

/* Where the columns behind the names begin. */
struct columns {
	int value, age, quality;
};

/* As narrow as the longest value lets them be. */
static struct columns columns_for(const struct grid *grid, const cJSON *points)
{
	int most = grid->columns - AGE_WIDTH - QUALITY_WIDTH, name = 7, value = 7;
	struct columns columns;
	const cJSON *point;

	cJSON_ArrayForEach(point, points) {
		char text[VALUE_BYTES];
		int width;

		value_words(point, text, sizeof(text));
		width = columns_of(text) + 2;
		value = width > value ? width : value;
		name = top_name_width(grid, name, name_of(point));
	}
	columns.value = 1 + name;
	columns.age = columns.value + value < most ? columns.value + value : most;
	columns.quality = columns.age + AGE_WIDTH;
	return columns;
}

static void draw_point(const cJSON *point, const struct columns *columns, struct grid *grid,
		       int row)
{
	const char *quality = string_of(point, "quality");
	bool good = !strcmp(quality, "good"), read = cJSON_HasObjectItem(point, "age_ms");
	enum style style = good ? STYLE_PLAIN : read ? STYLE_WARNING : STYLE_FAINT;
	char value[VALUE_BYTES];

	value_words(point, value, sizeof(value));
	grid_put(grid, row, 1, columns->value - 1, STYLE_PLAIN, name_of(point));
	grid_put(grid, row, columns->value, columns->age - 1, good ? STYLE_BOLD : style,
		 value);
	if (read)
		grid_put(grid, row, columns->age, columns->quality - 1, style,
			 duration_words(number_of(point, "age_ms")).text);
	grid_put(grid, row, columns->quality, 0, good ? STYLE_GOOD : style, quality);
}

static void draw_points(struct top_model *model, const cJSON *points, struct grid *grid,
			int row)
{
	size_t count = (size_t)cJSON_GetArraySize(points);
	struct columns columns = columns_for(grid, points);
	const cJSON *point;
	size_t index = 0;

	grid_style(grid, row, 0, 0, STYLE_BAR);
	grid_put(grid, row, 1, columns.value, STYLE_BAR, "POINT");
	grid_put(grid, row, columns.value, columns.age, STYLE_BAR, "VALUE");
	grid_put(grid, row, columns.age, columns.quality, STYLE_BAR, "AGE");
	grid_put(grid, row, columns.quality, 0, STYLE_BAR, "QUALITY");
	model->page_rows = (size_t)(grid->rows - 2 - row++);
	if (model->first_point + model->page_rows > count)
		model->first_point = count > model->page_rows ? count - model->page_rows : 0;
	top_put_range(grid, row - 1, columns.quality + QUALITY_WIDTH, model->first_point,
		      model->page_rows, count);
	cJSON_ArrayForEach(point, points) {
		if (index >= model->first_point && row < grid->rows - 1)
			draw_point(point, &columns, grid, row++);
		index++;
	}
}

void top_draw_device(struct top_model *model, struct grid *grid, int row)
{
	struct top_row at;

	if (!top_model_device(model, &at)) {
		grid_putf(grid, row, TOP_LABEL, 0, STYLE_WARNING,
			  "there is no device %s any more", model->device ? model->device : "");
		return;
	}
	row = draw_head(&at, grid, row);
	if (row < grid->rows - 2)
		draw_points(model, cJSON_GetObjectItem(at.device, "points"), grid, row);
}
