/* SPDX-License-Identifier: Apache-2.0 */
/* on_stage.h - a stage for each test, with the maps that ship, and what its gateway logs. */
#pragma once

#include "base/cleanup.h"
#include "tools/stage.h"

#include <stdio.h>
#include <string.h>

static struct stage stage;
static char *maps;

static _unused_ int open_stage(_unused_ void **state)
{
	const char *source = getenv("POSTBUS_SOURCE");

	if (asprintf(&maps, "%s/devices", source ? source : ".") < 0)
		return -1;
	return stage_open(&stage, getenv("POSTBUS"), maps);
}

static _unused_ int close_stage(_unused_ void **state)
{
	stage_clean_up(&stage);
	free(maps);
	return 0;
}

/* The logs say why it did not come to pass. */
static _unused_ void wait_for(stage_condition *holds, uint64_t argument)
{
	int r = stage_wait(&stage, holds, argument);

	if (r < 0) {
		stage_show_log(&stage, "gateway.log");
		stage_show_log(&stage, "mosquitto.log");
	}
	assert_int_equal(r, 0);
}

/* Lines of the gateway's log with these words in them. */
static _unused_ unsigned lines_with(const char *words)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char line[1024];
	unsigned count = 0;

	if (asprintf(&path, "%s/gateway.log", stage.directory) < 0)
		abort();
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, words) != NULL;
	return count;
}

static const char *wanted_in_log;

static _unused_ bool is_logged(_unused_ struct stage *on, uint64_t times)
{
	return lines_with(wanted_in_log) >= times;
}

static _unused_ void wait_for_log(const char *words, unsigned times)
{
	wanted_in_log = words;
	wait_for(is_logged, times);
}
