/* SPDX-License-Identifier: Apache-2.0 */
/* top_list.c - the page of `postbus top` that lists buses and devices. */
#include "tools/status_words.h"
#include "tools/top.h"

#include <string.h>

enum {
	LOAD_NARROW = 12, /* columns of a load's bar */
	LOAD_WIDE = 24,
	SHARE_WIDTH = 12, /* " 100 % x1.5" behind it */
	STATE_WIDTH = 9,
	NUMBER_WIDTH = 10,
	VALUES_LEAST = 10,
	RANGE_BEHIND = 7, /* the heading of the values */
};

/* How long answers took, "-" where there were none. */
static struct words latency_words(const cJSON *counters, const char *quantile)
{
	const cJSON *latency = cJSON_GetObjectItem(counters, "latency_ms");
	struct words words = { "-" };

	if (number_of(counters, "answers"))
		snprintf(words.text, sizeof(words.text), "%.1f ms",
			 number_of(latency, quantile));
	return words;
}

static void put_errors(const cJSON *counters, double more, struct grid *grid, int row,
		       int column)
{
	double errors = top_errors(counters) + more;

	grid_putf(grid, row, column, column + NUMBER_WIDTH - 1,
		  errors ? STYLE_WARNING : STYLE_PLAIN, "%.0f", errors);
}

/* --- buses --- */

struct bus_columns {
	int load, bar, latency, errors, port;
};

static struct bus_columns bus_columns_for(const struct grid *grid, const cJSON *buses)
{
	struct bus_columns columns;
	const cJSON *bus;
	int name = 8;

	cJSON_ArrayForEach(bus, buses)
		name = top_name_width(grid, name, string_of(bus, "bus"));
	columns.load = 1 + name;
	columns.bar = grid->columns < TOP_WIDE ? LOAD_NARROW : LOAD_WIDE;
	columns.latency = columns.load + columns.bar + SHARE_WIDTH;
	columns.errors = columns.latency + NUMBER_WIDTH;
	columns.port = columns.errors + NUMBER_WIDTH - 2;
	return columns;
}

static void draw_load(const cJSON *bus, const struct bus_columns *columns, struct grid *grid,
		      int row)
{
	double load = number_of(bus, "load");
	enum style style = is_late(bus) ? STYLE_BAD :
			   load > 0.8 ? STYLE_WARNING : STYLE_GOOD;
	int end;

	grid_bar(grid, row, columns->load, columns->bar, load, style);
	end = grid_putf(grid, row, columns->load + columns->bar, 0, STYLE_PLAIN, "%4.0f %%",
			100 * load);
	if (is_late(bus))
		grid_putf(grid, row, end, 0, STYLE_BAD, " x%.1f",
			  number_of(bus, "stretch"));
}

/* Adapters tell themselves apart by the end of their names. */
static const char *port_words(const char *port)
{
	static const char by_id[] = "/dev/serial/by-id/";

	return strncmp(port, by_id, strlen(by_id)) ? port : port + strlen(by_id);
}

static void draw_bus(const cJSON *bus, const struct bus_columns *columns, struct grid *grid,
		     int row)
{
	const char *trouble = string_of(bus, "trouble");
	double line = 0;
	const cJSON *count;

	cJSON_ArrayForEach(count, cJSON_GetObjectItem(bus, "line"))
		line += count->valuedouble;
	grid_put(grid, row, 1, columns->load - 1, STYLE_BOLD, string_of(bus, "bus"));
	draw_load(bus, columns, grid, row);
	grid_put(grid, row, columns->latency, columns->errors - 1, STYLE_PLAIN,
		 latency_words(bus, "p50").text);
	put_errors(bus, line, grid, row, columns->errors);
	if (is_true(bus, "open"))
		grid_put(grid, row, columns->port, 0, STYLE_PLAIN,
			 port_words(string_of(bus, "port")));
	else
		grid_putf(grid, row, columns->port, 0, STYLE_BAD, "not open%s%s",
			  *trouble ? ": " : "", trouble);
}

static bool is_in_trouble(const cJSON *bus)
{
	return !is_true(bus, "open") || is_late(bus);
}

/* Where not all have room, those that are in trouble come first. */
static int draw_buses(const struct top_model *model, struct grid *grid, int row)
{
	const cJSON *buses = cJSON_GetObjectItem(model->status, "buses"), *bus;
	struct bus_columns columns = bus_columns_for(grid, buses);
	int count = cJSON_GetArraySize(buses), room = (grid->rows - row) / 3, left = count;
	bool is_tight = count > room;

	grid_style(grid, row, 0, 0, STYLE_BAR);
	grid_put(grid, row, 1, columns.load, STYLE_BAR, "BUS");
	grid_put(grid, row, columns.load, columns.latency, STYLE_BAR, "LOAD");
	grid_put(grid, row, columns.latency, columns.errors, STYLE_BAR, "LATENCY");
	grid_put(grid, row, columns.errors, columns.port, STYLE_BAR, "ERRORS");
	grid_put(grid, row++, columns.port, 0, STYLE_BAR, "PORT");
	for (int turn = is_tight ? 0 : 1; turn < 2; turn++) {
		cJSON_ArrayForEach(bus, buses) {
			if (is_tight &&
			    (is_in_trouble(bus) == turn || left <= count - room + 1))
				continue;
			draw_bus(bus, &columns, grid, row++);
			left--;
		}
	}
	if (left)
		grid_putf(grid, row++, 1, 0, STYLE_FAINT, "and %d more", left);
	return row;
}

/* --- devices --- */

struct device_columns {
	int bus, state, answered, latency, slowest, errors, values; /* 0: it is not shown */
};

static struct device_columns device_columns_for(const struct top_model *model,
						const struct grid *grid)
{
	const cJSON *buses = cJSON_GetObjectItem(model->status, "buses"), *bus, *device;
	int name = 8, bus_name = 6;
	struct device_columns columns = { 0 };

	cJSON_ArrayForEach(bus, buses) {
		bus_name = top_name_width(grid, bus_name, string_of(bus, "bus"));
		cJSON_ArrayForEach(device, cJSON_GetObjectItem(bus, "devices"))
			name = top_name_width(grid, name, string_of(device, "device"));
	}
	columns.state = 1 + name;
	if (cJSON_GetArraySize(buses) > 1) {
		columns.bus = columns.state;
		columns.state += bus_name;
	}
	columns.answered = columns.state + STATE_WIDTH;
	columns.latency = columns.answered + NUMBER_WIDTH;
	columns.errors = columns.latency + NUMBER_WIDTH;
	if (grid->columns >= TOP_WIDE) {
		columns.slowest = columns.errors;
		columns.errors += NUMBER_WIDTH;
	}
	columns.values = columns.errors + NUMBER_WIDTH - 2;
	if (columns.values + VALUES_LEAST > grid->columns)
		columns.values = 0;
	return columns;
}

/* The one that is sorted by has a mark. */
static void put_heading(const struct top_model *model, struct grid *grid, int row, int column,
			enum top_column sort, const char *words)
{
	bool is_sorted = model->sort == sort;

	if (column)
		grid_putf(grid, row, column, 0, STYLE_BAR, "%s%s", words,
			  !is_sorted ? "" : model->reversed ? "▲" : "▼");
}

static void draw_headings(const struct top_model *model, const struct device_columns *columns,
			  struct grid *grid, int row)
{
	grid_style(grid, row, 0, 0, STYLE_BAR);
	put_heading(model, grid, row, 1, TOP_NAME, "DEVICE");
	put_heading(model, grid, row, columns->bus, TOP_BUS, "BUS");
	put_heading(model, grid, row, columns->state, TOP_STATE, "STATE");
	put_heading(model, grid, row, columns->answered, TOP_ANSWERED, "ANSWERED");
	put_heading(model, grid, row, columns->latency, TOP_LATENCY, "LATENCY");
	put_heading(model, grid, row, columns->slowest, TOP_COLUMNS, "99 %");
	put_heading(model, grid, row, columns->errors, TOP_ERRORS, "ERRORS");
	put_heading(model, grid, row, columns->values, TOP_COLUMNS, "VALUES");
}

/* As many as have room, in the map's order. */
static void draw_values(const cJSON *device, struct grid *grid, int row, int column)
{
	const cJSON *point;
	int begin = column, end;

	cJSON_ArrayForEach(point, cJSON_GetObjectItem(device, "points")) {
		bool good = !strcmp(string_of(point, "quality"), "good");
		char value[256];

		if (!cJSON_HasObjectItem(point, "age_ms"))
			continue;
		value_words(point, value, sizeof(value));
		end = column + columns_of(name_of(point)) + 1 + columns_of(value);
		if (column > begin && end > grid->columns)
			return;
		column = grid_putf(grid, row, column, 0, STYLE_FAINT, "%s ", name_of(point));
		column = grid_put(grid, row, column, 0, good ? STYLE_PLAIN : STYLE_FAINT, value);
		column += 2;
	}
}

static void draw_device(const struct top_row *at, const struct device_columns *columns,
			struct grid *grid, int row)
{
	const cJSON *device = at->device;

	grid_put(grid, row, 1, (columns->bus ? columns->bus : columns->state) - 1, STYLE_PLAIN,
		 string_of(device, "device"));
	if (columns->bus)
		grid_put(grid, row, columns->bus, columns->state - 1, STYLE_PLAIN,
			 string_of(at->bus, "bus"));
	grid_put(grid, row, columns->state, columns->answered - 1,
		 top_state_style(device), string_of(device, "state"));
	grid_put(grid, row, columns->answered, columns->latency - 1, STYLE_PLAIN,
		 number_of(device, "answers") ?
			 duration_words(number_of(device, "silent_ms")).text :
			 "-");
	grid_put(grid, row, columns->latency, 0, STYLE_PLAIN, latency_words(device, "p50").text);
	if (columns->slowest)
		grid_put(grid, row, columns->slowest, 0, STYLE_PLAIN,
			 latency_words(device, "p99").text);
	put_errors(device, 0, grid, row, columns->errors);
	if (columns->values)
		draw_values(device, grid, row, columns->values);
}

/* The cursor is always seen. */
static void scroll(struct top_model *model, int room)
{
	model->page_rows = (size_t)room;
	if (model->cursor < model->first_row)
		model->first_row = model->cursor;
	if (model->cursor >= model->first_row + model->page_rows)
		model->first_row = model->cursor - model->page_rows + 1;
	if (model->first_row + model->page_rows > model->row_count)
		model->first_row = model->row_count > model->page_rows ?
					   model->row_count - model->page_rows : 0;
}

static void draw_devices(struct top_model *model, struct grid *grid, int row)
{
	struct device_columns columns = device_columns_for(model, grid);
	size_t index;

	draw_headings(model, &columns, grid, row++);
	scroll(model, grid->rows - 1 - row);
	if (columns.values)
		top_put_range(grid, row - 1, columns.values + RANGE_BEHIND, model->first_row,
			      model->page_rows, model->row_count);
	for (index = model->first_row; index < model->row_count && row < grid->rows - 1; index++) {
		draw_device(&model->rows[index], &columns, grid, row);
		if (index == model->cursor) {
			grid_put(grid, row, 0, 0, STYLE_PLAIN, ">");
			grid_style(grid, row, 0, 0, STYLE_CURSOR);
		}
		row++;
	}
	if (!model->row_count && model->devices)
		grid_put(grid, row, 1, 0, STYLE_FAINT, "none that the filter lets through");
}

static int draw_summary(const struct top_model *model, struct grid *grid, int row)
{
	int end = TOP_LABEL;

	grid_put(grid, row, 1, TOP_LABEL, STYLE_FAINT, "devices");
	if (*model->filter)
		end = grid_putf(grid, row, end, 0, STYLE_WARNING, "%zu with \"%s\" of ",
				model->row_count, model->filter);
	end = grid_putf(grid, row, end, 0, STYLE_PLAIN, "%zu", model->devices);
	if (model->offline)
		end = grid_putf(grid, row, end, 0, STYLE_BAD, ", %zu offline", model->offline);
	if (model->unknown)
		grid_putf(grid, row, end, 0, STYLE_WARNING, ", %zu unknown", model->unknown);
	return row + 1;
}

void top_draw_list(struct top_model *model, struct grid *grid, int row)
{
	row = draw_summary(model, grid, row);
	row = draw_buses(model, grid, row);
	if (row < grid->rows - 2)
		draw_devices(model, grid, row);
}
