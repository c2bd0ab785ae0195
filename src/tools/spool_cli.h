/* SPDX-License-Identifier: Apache-2.0 */
/* spool_cli.h - what the verbs of `postbus spool` share. */
#pragma once

#include "config/conf.h"
#include "uplink/spool.h"

#include <cjson/cJSON.h>

enum {
	EXIT_NOT_SO = 1,
	EXIT_WRONG_USAGE = 2,
};

struct spool_cli {
	const struct spool_verb *verb;
	/* What was said, or what holds where nothing was. */
	const char *config, *directory, *topic, *argument; /* NULL: none */
	bool json, all, yes, refused;
	uint64_t from, to, limit;

	struct conf *loaded;    /* NULL: the directory was said */
	struct spool_conf conf; /* where the spool is; nothing in it is its own */
	struct spool *spool;    /* opened to look at */
};

/* Each of them: the exit status. What is wrong has been said. */
int spool_cli_status(struct spool_cli *cli);
int spool_cli_list(struct spool_cli *cli);
int spool_cli_show(struct spool_cli *cli);
int spool_cli_export(struct spool_cli *cli);
int spool_cli_verify(struct spool_cli *cli);
int spool_cli_retry(struct spool_cli *cli);
int spool_cli_drop(struct spool_cli *cli);

/* Says on standard error what is wrong with the spool, and returns `status`. */
int spool_cli_fail(const struct spool_cli *cli, int status, const char *format, ...)
	_printf_(3, 4);
/* The same of how the command was used: EXIT_WRONG_USAGE. */
int spool_cli_misuse(const struct spool_cli *cli, const char *what, const char *word);
/* Says what an error of opening or reading the spool means; the exit status. */
int spool_cli_explain(const struct spool_cli *cli, int error);

/* A whole number and nothing else, up to `end` (NULL: the whole text). */
bool spool_cli_number(const char *text, const char *end, uint64_t *number);

/* Prints the JSON as one line and frees it; false where standard output takes no more. */
bool spool_cli_print(cJSON *json);
/* A time in ISO 8601 without quotes. */
enum { ISO_TIME_SIZE = 32 };
const char *spool_cli_time(int64_t time_ms, char buffer[ISO_TIME_SIZE]);
/* NULL where it is right, else "unsynced" or "estimated". */
const char *spool_cli_clock(enum clock_mark clock);
