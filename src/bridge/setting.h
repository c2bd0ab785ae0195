/* SPDX-License-Identifier: Apache-2.0 */
/* setting.h - what a command's payload wants, and whether a point takes it; pure. */
#pragma once

#include "bridge/command.h"

enum {
	SETTING_ID_MAX = 64,        /* bytes of an id */
	SETTING_PAYLOAD_MAX = 1024, /* a longer payload is none */
};

struct setting {
	char id[SETTING_ID_MAX + 1]; /* empty: it has none */
	bool has_expires;
	uint64_t expires_ms;               /* since 1970 */
	char value[STRING_MAX_LENGTH + 1]; /* as text: a name, digits, true or false */
};

/*
 * Takes a payload to pieces: a bare value (`on`, `21.5`, `"on"`), or
 * `{"id":"…","value":…,"expires":…}`, where `expires` is an ISO 8601 time with its zone, or
 * milliseconds since 1970. 0, or -EINVAL: then `error` says for people what is wrong.
 */
int setting_parse(const char *payload, size_t n, struct setting *setting,
		  char error[OUTCOME_ERROR_MAX]) _must_check_;

/*
 * Whether the point takes the value, by its type, scale, names and what its map says under
 * `write:`. 0: *value is what the point will show, rounded to what it can hold; or -EINVAL:
 * then `error` says why not. Actions take `on`, and `press`.
 */
int setting_check(const struct point *point, const char *text, struct value *value,
		  char error[OUTCOME_ERROR_MAX]) _must_check_;

/* Says what is wrong, for whoever takes a setting to pieces or checks one. Always -EINVAL. */
int setting_wrong(char error[OUTCOME_ERROR_MAX], const char *format, ...) _printf_(2, 3);
