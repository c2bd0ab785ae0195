/* SPDX-License-Identifier: Apache-2.0 */
/* spool_change.c - `postbus spool drop` and `retry`: what messages are given up or sent again. */
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

/* What is done with messages, and how a gateway is asked to do it. */
struct change {
	const char *verb, *counted; /* in the request and in its answer */
	bool refused;               /* to those that are set aside, not to those that wait */
	const char *question;       /* NULL: nothing is lost by it */
	const char *done;
	int64_t (*run)(struct spool *spool, uint64_t from, uint64_t to);
};

struct changing {
	const struct change *change;
	uint64_t from, to;
	uint64_t found;      /* so many there were to begin with */
	int control;         /* the gateway that has the spool, or -1 */
	struct spool *spool; /* otherwise: it is ours */
	const char *refusal; /* what the gateway said */
	char words[256];
};

static void changing_done(struct changing *changing)
{
	closep(&changing->control);
	spool_free(changing->spool);
}

/* SEQ, FROM-TO or all: exit status, or -1 to go on. */
static int read_range(const struct spool_cli *cli, struct changing *changing)
{
	const char *dash = cli->argument ? strchr(cli->argument, '-') : NULL;
	uint64_t oldest, next;

	spool_range(cli->spool, &oldest, &next);
	if (changing->change->refused)
		oldest = 0;
	/* Of all, nothing that comes in while the question is thought about. */
	changing->from = oldest;
	changing->to = next - 1;
	if (cli->all)
		return -1;
	if (!spool_cli_number(cli->argument, dash, &changing->from) ||
	    (dash && !spool_cli_number(dash + 1, NULL, &changing->to)) ||
	    (dash && changing->to < changing->from))
		return spool_cli_misuse(cli, "not SEQ or FROM-TO", cli->argument);
	if (!dash)
		changing->to = changing->from;
	if (changing->from < oldest)
		changing->from = oldest;
	if (changing->to >= next)
		changing->to = next - 1;
	return -1;
}

static bool count_refused(void *data, const struct spool_entry *entry)
{
	struct changing *changing = data;

	changing->found += entry->message.seq >= changing->from &&
			   entry->message.seq <= changing->to;
	return true;
}

/* How many there are of them. 0 or -errno. */
static int find(const struct spool_cli *cli, struct changing *changing)
{
	struct spool_walk walk = { .visit = count_refused, .data = changing };

	if (changing->change->refused)
		return spool_walk_refused(cli->spool, &walk);
	changing->found = spool_waiting(cli->spool, changing->from, changing->to);
	return 0;
}

/* Exit status, or -1 where the user means it. */
static int confirm(const struct spool_cli *cli, const struct changing *changing)
{
	const struct change *change = changing->change;
	char answer[8];

	if (!changing->found)
		return spool_cli_fail(cli, EXIT_NOT_SO, "none of them %s",
				      change->refused ? "is set aside" : "waits");
	if (cli->yes || !change->question)
		return -1;
	if (!isatty(STDIN_FILENO))
		return spool_cli_misuse(cli, "nobody to be asked", "--yes is wanted");
	printf("Give up %" PRIu64 " messages of %" PRIu64 " to %" PRIu64 " that %s? [y/N] ",
	       changing->found, changing->from, changing->to, change->question);
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
static int open_either(const struct spool_cli *cli, struct changing *changing)
{
	const struct spool_conf conf = careful(cli);
	int r = spool_open(&conf, false, &changing->spool);

	if (r != -EBUSY)
		return r;
	changing->control = control_connect(conf.directory, "control");
	if (changing->control == -ENOENT || changing->control == -ECONNREFUSED)
		return -EBUSY;
	return changing->control < 0 ? changing->control : 0;
}

/* Has the gateway do it with these; how many those were, or -errno. */
static int64_t ask_gateway(struct changing *changing, uint64_t from, uint64_t to)
{
	const struct change *change = changing->change;
	cJSON *request = cJSON_CreateObject(), *answer = NULL;
	int64_t count = -EREMOTEIO;
	const char *error;
	int r;

	cJSON_AddStringToObject(request, "verb", change->verb);
	cJSON_AddNumberToObject(request, "from", from);
	cJSON_AddNumberToObject(request, "to", to);
	cJSON_AddBoolToObject(request, "refused", change->refused);
	r = control_ask(changing->control, request, &answer);
	cJSON_Delete(request);
	if (r < 0)
		return r;
	if (cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok"))) {
		count = cJSON_GetNumberValue(cJSON_GetObjectItem(answer, change->counted));
	} else {
		error = cJSON_GetStringValue(cJSON_GetObjectItem(answer, "error"));
		snprintf(changing->words, sizeof(changing->words), "%s",
			 error ? error : "refused");
		changing->refusal = changing->words;
	}
	cJSON_Delete(answer);
	return count;
}

/* All of them, step by step; how many those were in `count`. 0 or -errno. */
static int change_all(struct changing *changing, uint64_t *count)
{
	/* Those that are set aside are few. */
	const uint64_t step = changing->change->refused ? UINT64_MAX : STEP;
	uint64_t from = changing->from, to;
	struct progress progress;
	int r = 0;

	progress_begin(&progress, changing->change->verb, PROGRESS_COUNT);
	do {
		int64_t n;

		to = changing->to - from < step ? changing->to : from + step - 1;
		n = changing->spool ? changing->change->run(changing->spool, from, to) :
				      ask_gateway(changing, from, to);
		if (n < 0)
			r = n;
		else
			*count += n;
		progress_update(&progress, to - changing->from, changing->to - changing->from);
		from = to + 1;
	} while (r == 0 && to < changing->to);
	progress_end(&progress);
	if (r == 0 && changing->spool) {
		r = spool_close(TAKE_PTR(changing->spool));
		/* It may not be on the disk: nothing is said to be done. */
		if (r < 0)
			*count = 0;
	}
	return r;
}

static int change(struct spool_cli *cli, const struct change *change)
{
	_cleanup_(changing_done) struct changing changing = { .change = change, .control = -1 };
	uint64_t count = 0;
	int r = read_range(cli, &changing);

	if (r >= 0)
		return r;
	r = find(cli, &changing);
	if (r < 0)
		return spool_cli_explain(cli, r);
	r = confirm(cli, &changing);
	if (r >= 0)
		return r;
	log_set_level(LOG_WARNING);
	r = open_either(cli, &changing);
	if (r == 0)
		r = change_all(&changing, &count);
	if (count)
		printf("%" PRIu64 " messages %s\n", count, change->done);
	if (changing.refusal)
		return spool_cli_fail(cli, EXIT_NOT_SO, "the gateway: %s", changing.refusal);
	if (r == -ENOSPC || (r == 0 && change->run == spool_retry && count < changing.found))
		return spool_cli_fail(cli, EXIT_NOT_SO, "the spool is full: %" PRIu64
				      " are set aside still", changing.found - count);
	return r < 0 ? spool_cli_explain(cli, r) : EXIT_SUCCESS;
}

/* --- the verbs --- */

static int64_t drop_waiting(struct spool *spool, uint64_t from, uint64_t to)
{
	return spool_drop(spool, from, to);
}

int spool_cli_drop(struct spool_cli *cli)
{
	static const struct change waiting = {
		.verb = "drop", .counted = "dropped", .done = "given up",
		.question = "no broker has acknowledged", .run = drop_waiting,
	};
	static const struct change refused = {
		.verb = "drop", .counted = "dropped", .done = "given up", .refused = true,
		.question = "the broker has refused", .run = spool_drop_refused,
	};

	return change(cli, cli->refused ? &refused : &waiting);
}

int spool_cli_retry(struct spool_cli *cli)
{
	static const struct change retry = {
		.verb = "retry", .counted = "retried", .done = "will be sent again",
		.refused = true, .run = spool_retry,
	};

	return change(cli, &retry);
}
