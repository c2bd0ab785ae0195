/* SPDX-License-Identifier: Apache-2.0 */
/* on_stage.h - a stage for each test, with the maps that ship, and what its gateway logs. */
#pragma once

#include "base/cleanup.h"
#include "tools/stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

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

/* Lines of a file of the stage's with these words in them; 0 where there is no such file. */
static _unused_ unsigned file_lines_with(const char *name, const char *words)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char line[1024];
	unsigned count = 0;

	if (asprintf(&path, "%s/%s", stage.directory, name) < 0)
		abort();
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, words) != NULL;
	return count;
}

static _unused_ unsigned lines_with(const char *words)
{
	return file_lines_with("gateway.log", words);
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

/*
 * What a gateway took in while it ended, and had no answer to, waits in its spool: that a device
 * is offline, for one. That is not lost.
 */
static _unused_ int count_all(struct stage *on, struct stage_count *count)
{
	struct spool_sums sums;
	uint64_t next;
	int r = stage_count(on, count);

	if (r == 0)
		r = stage_look_at_spool(on, &sums, &next);
	if (r == 0)
		count->lost -= count->lost < sums.waiting ? count->lost : sums.waiting;
	return r;
}

static _unused_ bool all_is_delivered(struct stage *on, _unused_ uint64_t unused)
{
	struct stage_count count;

	return count_all(on, &count) == 0 && count.lost == 0;
}

static int ended_with;

static bool gateway_has_ended(struct stage *on, _unused_ uint64_t unused)
{
	return waitpid(on->gateway, &ended_with, WNOHANG) == on->gateway;
}

/*
 * The sensors fall silent, the rest is delivered, the gateway ends as it should, while the proxy
 * goes on.
 */
static _unused_ struct stage_count finish(void)
{
	struct stage_count count;

	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	assert_int_equal(kill(stage.gateway, SIGTERM), 0);
	wait_for(gateway_has_ended, 0);
	stage.gateway = 0;
	assert_true(WIFEXITED(ended_with));
	assert_int_equal(WEXITSTATUS(ended_with), 0);
	wait_for(all_is_delivered, 0);
	assert_int_equal(count_all(&stage, &count), 0);
	assert_int_equal(count.unknown, 0);
	return count;
}
