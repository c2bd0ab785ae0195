/* SPDX-License-Identifier: Apache-2.0 */
/* top_model.c - what `postbus top` shows: a gateway's status, sorted and filtered; pure. */
#include "tools/top_model.h"
#include "tools/status_words.h"

#include <string.h>

/* --- sorting --- */

double top_errors(const cJSON *counters)
{
	double sum = number_of(counters, "timeouts");
	const cJSON *count;

	cJSON_ArrayForEach(count, cJSON_GetObjectItem(counters, "refused"))
		sum += count->valuedouble;
	return sum;
}

/* What is in trouble comes first. */
static double rank(const struct top_row *row, enum top_column column)
{
	const char *state = string_of(row->device, "state");

	switch (column) {
	case TOP_STATE:
		return !strcmp(state, "offline") ? 0 : !strcmp(state, "online") ? 2 : 1;
	case TOP_ANSWERED:
		return -number_of(row->device, "silent_ms");
	case TOP_LATENCY:
		return -number_of(cJSON_GetObjectItem(row->device, "latency_ms"), "p50");
	case TOP_ERRORS:
		return -top_errors(row->device);
	default:
		return 0;
	}
}

static int compare(const void *a, const void *b, void *data)
{
	const struct top_row *x = a, *y = b;
	const struct top_model *model = data;
	double left = rank(x, model->sort), right = rank(y, model->sort);
	int order = (left > right) - (left < right);

	if (model->sort == TOP_NAME)
		order = strverscmp(string_of(x->device, "device"),
				   string_of(y->device, "device"));
	if (model->sort == TOP_BUS || !order)
		order = (x->index > y->index) - (x->index < y->index);
	return model->reversed ? -order : order;
}

/* --- filtering --- */

static bool has_word(const struct top_row *row, const char *word)
{
	return strcasestr(string_of(row->device, "device"), word) ||
	       strcasestr(string_of(row->device, "state"), word) ||
	       strcasestr(string_of(row->bus, "bus"), word);
}

/* Each of its words is in the device's name or state, or in its bus's name. */
static bool passes(const struct top_row *row, const char *filter)
{
	char words[TOP_FILTER_BYTES], *rest = words, *word;

	snprintf(words, sizeof(words), "%s", filter);
	while ((word = strsep(&rest, " ")))
		if (!has_word(row, word))
			return false;
	return true;
}

/* --- rows --- */

static bool add_row(struct top_model *model, const struct top_row *row)
{
	if (model->row_count == model->room) {
		size_t room = model->room ? model->room * 2 : 16;
		struct top_row *more = reallocarray(model->rows, room, sizeof(*more));

		if (!more)
			return false;
		model->rows = more;
		model->room = room;
	}
	model->rows[model->row_count++] = *row;
	return true;
}

static void count_state(struct top_model *model, const char *state)
{
	model->offline += !strcmp(state, "offline");
	model->unknown += !strcmp(state, "unknown");
}

static void find_rows(struct top_model *model)
{
	struct top_row row = { 0 };

	model->row_count = model->offline = model->unknown = 0;
	cJSON_ArrayForEach(row.bus, cJSON_GetObjectItem(model->status, "buses")) {
		cJSON_ArrayForEach(row.device, cJSON_GetObjectItem(row.bus, "devices")) {
			count_state(model, string_of(row.device, "state"));
			if (passes(&row, model->filter) && !add_row(model, &row))
				return;
			row.index++;
		}
	}
	model->devices = row.index;
}

/* --- the cursor --- */

static void forget_device(struct top_model *model)
{
	free(TAKE_PTR(model->device_bus));
	free(TAKE_PTR(model->device));
}

/* Its device is what is looked for when rows are new. */
static void remember_device(struct top_model *model)
{
	const struct top_row *row;

	forget_device(model);
	if (model->cursor >= model->row_count)
		return;
	row = &model->rows[model->cursor];
	model->device_bus = strdup(string_of(row->bus, "bus"));
	model->device = strdup(string_of(row->device, "device"));
	if (!model->device_bus || !model->device)
		forget_device(model);
}

static bool is_selected(const struct top_model *model, const struct top_row *row)
{
	return model->device && !strcmp(string_of(row->bus, "bus"), model->device_bus) &&
	       !strcmp(string_of(row->device, "device"), model->device);
}

bool top_model_device(const struct top_model *model, struct top_row *row)
{
	cJSON_ArrayForEach(row->bus, cJSON_GetObjectItem(model->status, "buses"))
		cJSON_ArrayForEach(row->device, cJSON_GetObjectItem(row->bus, "devices"))
			if (is_selected(model, row))
				return true;
	return false;
}

/* The device that is looked into stays selected though it is gone. */
static void find_cursor(struct top_model *model)
{
	for (size_t i = 0; i < model->row_count; i++) {
		if (is_selected(model, &model->rows[i])) {
			model->cursor = i;
			return;
		}
	}
	if (model->cursor >= model->row_count)
		model->cursor = model->row_count ? model->row_count - 1 : 0;
	if (model->page != TOP_DEVICE)
		remember_device(model);
}

void top_model_move(struct top_model *model, long lines)
{
	long cursor = (long)model->cursor + lines, last = (long)model->row_count - 1;

	model->cursor = cursor > last ? last : cursor;
	if (cursor < 0 || last < 0)
		model->cursor = 0;
	remember_device(model);
}

void top_model_arrange(struct top_model *model)
{
	find_rows(model);
	if (model->row_count)
		qsort_r(model->rows, model->row_count, sizeof(*model->rows), compare, model);
	find_cursor(model);
}

/* --- the status --- */

/* A gateway that was started again counts from anew. */
static void add_sample(struct top_model *model)
{
	const cJSON *spool = cJSON_GetObjectItem(model->status, "spool");
	const struct top_sample now = {
		.uptime_ms = number_of(model->status, "uptime_ms"),
		.taken = number_of(spool, "taken"),
		.acknowledged = number_of(spool, "acknowledged"),
	};
	size_t last = (model->sample_count + TOP_SAMPLES - 1) % TOP_SAMPLES;

	if (model->sample_count && now.uptime_ms <= model->samples[last].uptime_ms)
		model->sample_count = 0;
	model->samples[model->sample_count++ % TOP_SAMPLES] = now;
}

bool top_model_rates(const struct top_model *model, double *in, double *out)
{
	size_t count = model->sample_count;
	const struct top_sample *first, *last;
	double seconds;

	if (count < 2)
		return false;
	last = &model->samples[(count - 1) % TOP_SAMPLES];
	first = &model->samples[count > TOP_SAMPLES ? count % TOP_SAMPLES : 0];
	seconds = (last->uptime_ms - first->uptime_ms) / 1e3;
	*in = (last->taken - first->taken) / seconds;
	*out = (last->acknowledged - first->acknowledged) / seconds;
	return *in >= 0 && *out >= 0;
}

void top_model_take(struct top_model *model, cJSON *status)
{
	cJSON_Delete(model->status);
	model->status = status;
	model->trouble = NULL;
	add_sample(model);
	top_model_arrange(model);
}

void top_model_done(struct top_model *model)
{
	cJSON_Delete(model->status);
	forget_device(model);
	free(model->rows);
	*model = (struct top_model){ 0 };
}
