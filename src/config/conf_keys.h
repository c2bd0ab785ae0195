/* SPDX-License-Identifier: Apache-2.0 */
/* conf_keys.h - the keys of postbus.conf, and what holds where they are not given. */
#pragma once

#include "config/conf.h"

enum kind {
	KIND_TEXT,
	KIND_PATH, /* relative ones are the file's directory's */
	KIND_PATHS,
	KIND_NAME,
	KIND_TOPIC,  /* with placeholders */
	KIND_LEVELS, /* a topic without */
	KIND_LISTEN, /* as listen.h has it */
	KIND_BOOL,
	KIND_NUMBER,   /* least to most */
	KIND_DURATION, /* the same, in microseconds; .words[0], if any, means 0 */
	KIND_SIZE,     /* the same, in bytes */
	KIND_WORD,     /* the index in .words */
	KIND_GROUP,    /* of .keys; .offset is what becomes true, if .size */
};

/* A key of postbus.conf and the field of struct conf that it fills. */
struct key {
	const char *name;
	enum kind kind;
	size_t offset, size;
	uint64_t least, most;
	const char *const *words;
	const struct key *keys;
	enum conf_change change;
};

/* What stands at the top of the file; ends with a name that is NULL, as each group does. */
extern const struct key conf_keys[];

/* Fills in all defaults that hang on nothing else. 0 or -ENOMEM. */
int conf_set_defaults(struct conf *conf, const char *file) _must_check_;

void conf_free_paths(char **paths, size_t count);
