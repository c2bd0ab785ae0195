/* SPDX-License-Identifier: Apache-2.0 */
/* top_view.c - how `postbus top` looks: the gateway above, a page below, and what keys do. */
#include "tools/status_words.h"
#include "tools/top.h"

#include <math.h>
#include <string.h>

enum {
	LEAST_ROWS = 10,
	LEAST_COLUMNS = 40,
	LINK_LINES = 3, /* of what is wrong with it at most */
	TREND_LEAST = 20,
	TREND_MOST = 60,
};

static const double MIB = 1024 * 1024;

int top_name_width(const struct grid *grid, int width, const char *name)
{
	int most = grid->columns < TOP_WIDE ? TOP_NAME_MOST : grid->columns / 4;
	int own = columns_of(name) + 2;

	if (own > most)
		own = most;
	return own > width ? own : width;
}

enum style top_state_style(const cJSON *device)
{
	const char *state = string_of(device, "state");

	return !strcmp(state, "online") ? STYLE_GOOD :
	       !strcmp(state, "offline") ? STYLE_BAD : STYLE_WARNING;
}

void top_put_range(struct grid *grid, int row, int column, size_t first, size_t page,
		   size_t count)
{
	char range[64];

	if (count <= page)
		return;
	snprintf(range, sizeof(range), "%zu-%zu of %zu ", first + 1, first + page, count);
	grid_put_right(grid, row, column, 0, STYLE_BAR, range);
}

static const cJSON *part(const struct top_model *model, const char *key)
{
	return cJSON_GetObjectItem(model->status, key);
}

/* A text behind its label, on as many lines as it needs, at most `lines`: the line below. */
static int put_labelled(struct grid *grid, int row, int lines, const char *label,
			enum style style, const char *text)
{
	int room = grid->columns - TOP_LABEL - 1;

	grid_put(grid, row, 1, TOP_LABEL, STYLE_FAINT, label);
	for (; lines > 1 && columns_of(text) > room; lines--) {
		size_t n = bytes_fitting(text, room);

		grid_putf(grid, row++, TOP_LABEL, 0, style, "%.*s", (int)n, text);
		text += n + (text[n] == ' ');
	}
	grid_put(grid, row++, TOP_LABEL, 0, style, text);
	return row;
}

/* --- the gateway --- */

static void draw_title(const struct top_model *model, struct grid *grid)
{
	const cJSON *clock = part(model, "clock");
	const char *time = string_of(clock, "time");
	char text[64] = "";

	grid_style(grid, 0, 0, 0, STYLE_BAR);
	if (!model->status) {
		grid_put(grid, 0, 1, 0, STYLE_BAR, "postbus top");
		return;
	}
	/* 2026-11-23T18:52:01.123Z: its day means nothing where it was never set right. */
	if (strlen(time) == 24 && is_true(clock, "synced"))
		snprintf(text, sizeof(text), "%.10s %.8s UTC ", time, time + 11);
	else if (strlen(time) == 24)
		snprintf(text, sizeof(text), "%.8s UTC, %s ", time + 11, clock_words(clock));
	grid_put_right(grid, 0, 0, 0, STYLE_BAR, text);
	grid_putf(grid, 0, 1, grid->columns - columns_of(text) - 1, STYLE_BAR,
		  "%s  postbus %s, running for %s", string_of(model->status, "gateway"),
		  string_of(model->status, "version"),
		  duration_words(number_of(model->status, "uptime_ms")).text);
}

static int draw_trouble(const struct top_model *model, struct grid *grid, int row)
{
	int end = grid_putf(grid, row, 1, 0, STYLE_BAD, "%s; trying again", model->trouble);

	if (model->status)
		grid_putf(grid, row, end, 0, STYLE_BAD, " (this is how it was %s ago)",
			  duration_words(model->age_ms).text);
	return row + 1;
}

static int draw_link(const struct top_model *model, struct grid *grid, int row)
{
	const cJSON *link = part(model, "link"), *session = part(model, "session");
	bool connected = is_true(link, "connected");
	char text[600];

	snprintf(text, sizeof(text), "%s, for %s", string_of(link, "state"),
		 duration_words(number_of(link, "since_ms")).text);
	row = put_labelled(grid, row, LINK_LINES, "link", connected ? STYLE_GOOD : STYLE_BAD,
			   text);
	snprintf(text, sizeof(text), "%s, MQTT %s%s; %.0f of %.0f in flight",
		 string_of(session, "client_id"), string_of(session, "version"),
		 !connected ? "" : is_true(session, "resumed") ? ", resumed" : ", new",
		 number_of(session, "in_flight"), number_of(session, "window"));
	return put_labelled(grid, row, 1, "session", STYLE_PLAIN, text);
}

/* --- the spool --- */

static double sample_at(const cJSON *samples, int index)
{
	const cJSON *sample = cJSON_GetArrayItem(samples, index);

	if (!cJSON_IsNumber(sample) || !isfinite(sample->valuedouble))
		return 0;
	return sample->valuedouble;
}

/* The most of some samples. */
static double most_of(const cJSON *samples, int begin, int end)
{
	double most = 0;

	for (int i = begin > 0 ? begin : 0; i < end; i++)
		most = fmax(most, sample_at(samples, i));
	return most;
}

/*
 * How much waited, up to now at the right; a column has the most of its samples. One message or
 * two, which are under way at any time, are no peak.
 */
static void draw_trend(const cJSON *samples, struct grid *grid, int row, int width,
		       enum style style)
{
	int count = cJSON_GetArraySize(samples), each = (120 + width - 1) / width;
	double most = fmax(most_of(samples, 0, count), GRID_LEVELS - 1);

	for (int i = 0; i < width; i++) {
		int end = count - (width - 1 - i) * each;
		double waiting = most_of(samples, end - each, end);

		if (end <= 0)
			continue;
		if (waiting > 0)
			grid_level(grid, row, TOP_LABEL + i,
				   1 + (int)ceil(waiting / most * (GRID_LEVELS - 1)), style);
		else
			grid_level(grid, row, TOP_LABEL + i, 1, STYLE_FAINT);
	}
}

static int draw_waiting(const struct top_model *model, struct grid *grid, int row)
{
	const cJSON *spool = part(model, "spool"), *trend = cJSON_GetObjectItem(spool, "trend");
	const cJSON *samples = cJSON_GetObjectItem(trend, "waiting");
	int count = cJSON_GetArraySize(samples), width = (grid->columns - TOP_LABEL) / 3, end;
	double most = most_of(samples, 0, count);
	bool connected = is_true(part(model, "link"), "connected");
	enum style style = connected ? STYLE_GOOD : STYLE_WARNING;

	width = width < TREND_LEAST ? TREND_LEAST : width < TREND_MOST ? width : TREND_MOST;
	grid_put(grid, row, 1, TOP_LABEL, STYLE_FAINT, "spool");
	draw_trend(samples, grid, row, width, style);
	end = grid_putf(grid, row, TOP_LABEL + width + 2, 0, STYLE_BOLD, "%.0f waiting",
			number_of(spool, "waiting"));
	if (most > 0 && count > 1)
		grid_putf(grid, row, end, 0, STYLE_PLAIN, ", at most %.0f in %s", most,
			  duration_words((count - 1) * number_of(trend, "every_ms")).text);
	return row + 1;
}

/* What went the other ways is told where there is some. */
static int draw_room(const struct top_model *model, struct grid *grid, int row)
{
	static const struct {
		const char *key, *words;
	} ways[] = { { "set_aside", "set aside" }, { "dropped", "dropped" },
		     { "damaged", "damaged" } };
	const cJSON *spool = part(model, "spool");
	int end = TOP_LABEL;
	double in, out;

	if (is_true(spool, "failing"))
		end = grid_put(grid, row, end, 0, STYLE_BAD,
			       "the disk does not take what is written; ");
	if (top_model_rates(model, &in, &out))
		end = grid_putf(grid, row, end, 0, STYLE_PLAIN, "%.1f/s in, %.1f/s out; ", in,
				out);
	end = grid_putf(grid, row, end, 0, STYLE_PLAIN, "%.1f of %.1f MiB",
			number_of(spool, "used_bytes") / MIB,
			number_of(spool, "max_bytes") / MIB);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (number_of(spool, ways[i].key))
			end = grid_putf(grid, row, end, 0, STYLE_WARNING, ", %.0f %s",
					number_of(spool, ways[i].key), ways[i].words);
	return row + 1;
}

/* --- what keys do --- */

static void draw_help(struct grid *grid)
{
	static const char *const lines[] = {
		"Up Down j k   move the cursor, or through a device's points",
		"PgUp PgDn     a page; Home and End, g and G: to the first and the last",
		"Enter Right   look into the device: all points, counters, latency",
		"Esc Enter     back to the list; Left and Right: the device before, the next",
		"/             filter: words of which each is in the device's name or state, or",
		"              in its bus's name; Enter keeps it, Esc does away with it",
		"s S           sort by the next column, by the one before",
		"r             the other way round",
		"q             quit",
		"",
		"Sorted by a column, what is in trouble comes first. A device is unknown until",
		"it was heard of. LATENCY is what half of the answers took at most, 99 % what",
		"all but a hundredth did, since the start; ERRORS are timeouts and refused",
		"answers. LOAD is the share of the last seconds in which the wire was busy; x1.5",
		"behind it says that more is due than the wire carries, and all is read 1.5",
		"times less often. The chart has the depth of the spool in the last ten minutes,",
		"its last column is now.",
	};
	int row = 0;

	grid_style(grid, row, 0, 0, STYLE_BAR);
	grid_put(grid, row++, 1, 0, STYLE_BAR, "postbus top: keys and columns");
	for (size_t i = 0; i < ARRAY_SIZE(lines) && row + 2 < grid->rows; i++)
		grid_put(grid, ++row, 1, 0, STYLE_PLAIN, lines[i]);
	grid_put(grid, grid->rows - 1, 1, 0, STYLE_FAINT, "any key goes back");
}

static void draw_keys(const struct top_model *model, struct grid *grid)
{
	int row = grid->rows - 1, end;

	if (model->typing) {
		end = grid_putf(grid, row, 1, 0, STYLE_PLAIN, "filter: %s", model->filter);
		grid->cursor_row = row;
		grid->cursor_column = end < grid->columns ? end : grid->columns - 1;
		grid_put_right(grid, row, end + 2, 0, STYLE_FAINT, "Enter keeps, Esc clears ");
		return;
	}
	grid_put(grid, row, 1, 0, STYLE_FAINT,
		 model->page == TOP_DEVICE ?
			 "Esc back   Up Down scroll   Left Right other device   ? help   q quit" :
			 "q quit   ? help   Enter device   / filter   s sort   r reverse");
}

/* What is no longer heard of is shown as it was, but not as what it is. */
static void fade(struct grid *grid, int begin)
{
	for (int row = begin; row < grid->rows; row++)
		grid_style(grid, row, 0, 0, STYLE_FAINT);
}

static int draw_gateway(const struct top_model *model, struct grid *grid, int row)
{
	row = draw_link(model, grid, row);
	row = draw_waiting(model, grid, row);
	return draw_room(model, grid, row);
}

void top_draw(struct top_model *model, struct grid *grid)
{
	int row = 1;

	grid_clear(grid);
	if (grid->rows < LEAST_ROWS || grid->columns < LEAST_COLUMNS) {
		grid_putf(grid, 0, 0, 0, STYLE_PLAIN, "too small: %d x %d is wanted",
			  LEAST_COLUMNS, LEAST_ROWS);
		return;
	}
	if (model->help) {
		draw_help(grid);
		return;
	}
	draw_title(model, grid);
	if (model->trouble)
		row = draw_trouble(model, grid, row);
	if (model->status && model->page == TOP_DEVICE)
		top_draw_device(model, grid, row);
	else if (model->status)
		top_draw_list(model, grid, draw_gateway(model, grid, row));
	if (model->trouble)
		fade(grid, row);
	draw_keys(model, grid);
}
