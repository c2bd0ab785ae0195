/* SPDX-License-Identifier: Apache-2.0 */
/* top_model.h - what `postbus top` shows: a gateway's status, sorted and filtered; pure. */
#pragma once

#include "base/cleanup.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

enum top_page {
	TOP_LIST,
	TOP_DEVICE,
};

/* The columns of the list that it can be sorted by. */
enum top_column {
	TOP_BUS, /* as the configuration has them, bus by bus */
	TOP_NAME,
	TOP_STATE,
	TOP_ANSWERED,
	TOP_LATENCY,
	TOP_ERRORS,
	TOP_COLUMNS,
};

struct top_row {
	const cJSON *bus, *device; /* of the status */
	size_t index;              /* as the configuration has them */
};

enum {
	TOP_FILTER_BYTES = 64,
	TOP_SAMPLES = 16,
};

/* What was counted so far, some seconds ago. */
struct top_sample {
	double uptime_ms, taken, acknowledged;
};

struct top_model {
	cJSON *status;       /* the last that was heard; NULL: nothing yet */
	const char *trouble; /* why nothing is heard; NULL: it is */
	double age_ms;       /* of the status, where there is trouble */

	/* what is looked at */
	enum top_page page;
	enum top_column sort;
	bool reversed, typing, help; /* the filter is being typed; help lies over the page */
	char filter[TOP_FILTER_BYTES];

	/* the devices that the filter lets through, sorted */
	struct top_row *rows;
	size_t row_count, room, devices, offline, unknown;
	/*
	 * Where the cursor is, and its device's name, by which it is found again; `device_bus`
	 * and `device` are NULL where there is none.
	 */
	size_t cursor;
	char *device_bus, *device;

	/*
	 * The first line of the list and of a device's points that is shown, and how many lines
	 * there was room for when they were last drawn.
	 */
	size_t first_row, first_point, page_rows;

	struct top_sample samples[TOP_SAMPLES]; /* the latest at sample_count - 1 modulo … */
	size_t sample_count;
};

/* It begins as zeros. */
void top_model_done(struct top_model *model);

/* Takes a status over, and with it what is known is new. */
void top_model_take(struct top_model *model, cJSON *status);

/* After sort, direction or filter changed. */
void top_model_arrange(struct top_model *model);

/* Moves the cursor, within what there is. */
void top_model_move(struct top_model *model, long lines);

/* The device that the cursor is on, filtered out or not; false: it is gone, or there is none. */
bool top_model_device(const struct top_model *model, struct top_row *row);

/* Messages a second, over the last seconds; false where that is not known yet. */
bool top_model_rates(const struct top_model *model, double *in, double *out);

/* Timeouts and answers that were refused, of a bus or a device. */
double top_errors(const cJSON *counters);
