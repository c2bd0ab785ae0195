/* SPDX-License-Identifier: Apache-2.0 */
/* spool_drop.c - `postbus spool drop`: gives messages up that wait, by hand. */
#include "tools/spool_cli.h"
#include "base/log.h"
#include "tools/progress.h"
#include "uplink/control.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum {
	/* Numbers that are given up at a time: what the gateway has to read for it takes a
	 * moment, in which it does nothing else. */
	STEP = 20000,
	SEGMENT_MOST = 4 * 1024 * 1024,
	SEGMENTS_WANTED = 16,
};

struct drop {
	uint64_t from, to;
	int control;         /* the gateway that has the spool, or -1 */
	struct spool *spool; /* otherwise: it is ours */
	const char *refusal; /* what the gateway said */
	char words[256];
};

static void drop_done(struct drop *drop)
{
	closep(&drop->control);
	spool_free(drop->spool);
}

/* SEQ, FROM-TO or all: exit status, or -1 to go on. */
static int read_range(const struct spool_cli *cli, struct drop *drop)
{
	const char *dash = cli->argument ? strchr(cli->argument, '-') : NULL;
	uint64_t oldest, next;

	spool_range(cli->spool, &oldest, &next);
	/* Of all, nothing that comes in while the question is thought about. */
	drop->from = oldest;
	drop->to = next - 1;
	if (cli->all)
		return -1;
	if (!spool_cli_number(cli->argument, dash, &drop->from) ||
	    (dash && !spool_cli_number(dash + 1, NULL, &drop->to)) ||
	    (dash && drop->to < drop->from))
		return spool_cli_misuse(cli, "not SEQ or FROM-TO", cli->argument);
	if (!dash)
		drop->to = drop->from;
	if (drop->from < oldest)
		drop->from = oldest;
	if (drop->to >= next)
		drop->to = next - 1;
	return -1;
}

/* Exit status, or -1 where the user means it. */
static int confirm(const struct spool_cli *cli, const struct drop *drop)
{
	uint64_t count = spool_waiting(cli->spool, drop->from, drop->to);
	char answer[8];

	if (!count)
		return spool_cli_fail(cli, EXIT_NOT_SO, "none of them waits");
	if (cli->yes)
		return -1;
	if (!isatty(STDIN_FILENO))
		return spool_cli_misuse(cli, "nobody to be asked", "--yes is wanted");
	printf("Give up %" PRIu64 " messages of %" PRIu64 " to %" PRIu64
	       " that no broker has acknowledged? [y/N] ", count, drop->from, drop->to);
	fflush(stdout);
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return -1;
	return spool_cli_fail(cli, EXIT_NOT_SO, "nothing was given up");
}

/*
 * Settings that keep the spool as it is: where no configuration tells its size, it follows
 * from its segments (slots.c) and what there is of them, with two more for what is noted.
 */
static struct spool_conf careful(const struct spool_cli *cli)
{
	struct spool_state state = spool_state(cli->spool);
	struct spool_conf conf = cli->conf;

	conf.sync_us = 0;
	conf.when_full = DROP_NEWEST;
	if (cli->loaded)
		return conf;
	conf.max_bytes = (uint64_t)SEGMENTS_WANTED * state.segment_bytes;
	if (state.segment_bytes == SEGMENT_MOST &&
	    conf.max_bytes < state.disk_bytes + 2 * SEGMENT_MOST)
		conf.max_bytes = state.disk_bytes + 2 * SEGMENT_MOST;
	return conf;
}

/* The gateway, or the spool itself where there is none. 0 or -errno. */
static int open_either(const struct spool_cli *cli, struct drop *drop)
{
	const struct spool_conf conf = careful(cli);
	int r = spool_open(&conf, false, &drop->spool);

	if (r != -EBUSY)
		return r;
	drop->control = control_connect(conf.directory, "control");
	if (drop->control == -ENOENT || drop->control == -ECONNREFUSED)
		return -EBUSY;
	return drop->control < 0 ? drop->control : 0;
}

/* Has the gateway give up these; how many those were, or -errno. */
static int64_t ask_gateway(struct drop *drop, uint64_t from, uint64_t to)
{
	cJSON *request = cJSON_CreateObject(), *answer = NULL;
	int64_t count = -EREMOTEIO;
	const char *error;
	int r;

	cJSON_AddStringToObject(request, "verb", "drop");
	cJSON_AddNumberToObject(request, "from", from);
	cJSON_AddNumberToObject(request, "to", to);
	r = control_ask(drop->control, request, &answer);
	cJSON_Delete(request);
	if (r < 0)
		return r;
	if (cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok"))) {
		count = cJSON_GetNumberValue(cJSON_GetObjectItem(answer, "dropped"));
	} else {
		error = cJSON_GetStringValue(cJSON_GetObjectItem(answer, "error"));
		snprintf(drop->words, sizeof(drop->words), "%s", error ? error : "refused");
		drop->refusal = drop->words;
	}
	cJSON_Delete(answer);
	return count;
}

/* All of them, step by step; how many those were in `count`. 0 or -errno. */
static int drop_all(struct drop *drop, uint64_t *count)
{
	struct progress progress;
	int r = 0;

	progress_begin(&progress, "dropping", PROGRESS_COUNT);
	for (uint64_t from = drop->from; r == 0 && from <= drop->to; from += STEP) {
		uint64_t to = drop->to - from < STEP ? drop->to : from + STEP - 1;
		int64_t n = drop->spool ? (int64_t)spool_drop(drop->spool, from, to) :
					  ask_gateway(drop, from, to);

		if (n < 0)
			r = n;
		else
			*count += n;
		progress_update(&progress, to - drop->from, drop->to - drop->from);
	}
	progress_end(&progress);
	if (r == 0 && drop->spool) {
		r = spool_close(TAKE_PTR(drop->spool));
		/* It may not be on the disk: nothing is said to be done. */
		if (r < 0)
			*count = 0;
	}
	return r;
}

int spool_cli_drop(struct spool_cli *cli)
{
	_cleanup_(drop_done) struct drop drop = { .control = -1 };
	uint64_t count = 0;
	int r = read_range(cli, &drop);

	if (r < 0)
		r = confirm(cli, &drop);
	if (r >= 0)
		return r;
	log_set_level(LOG_WARNING);
	r = open_either(cli, &drop);
	if (r == 0)
		r = drop_all(&drop, &count);
	if (count)
		printf("%" PRIu64 " messages given up\n", count);
	if (drop.refusal)
		return spool_cli_fail(cli, EXIT_NOT_SO, "the gateway: %s", drop.refusal);
	return r < 0 ? spool_cli_explain(cli, r) : EXIT_SUCCESS;
}
