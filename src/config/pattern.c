// SPDX-License-Identifier: Apache-2.0
/* pattern.c - a regular expression, whose group is the value that it finds (PCRE2). */
#include "config/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>

enum {
	/* The thread that matches has the ports: it must not be held up by a careless map. */
	STEPS_MAX = 20000,
	HEAP_MAX_KB = 256,
};

struct pattern {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	pcre2_match_context_free(pattern->limits);
	pcre2_match_data_free(pattern->match);
	pcre2_code_free(pattern->code);
	free(pattern);
}

static int compile(struct pattern *pattern, const char *text, unsigned wanted,
		   char wrong[PATTERN_WRONG_MAX])
{
	PCRE2_UCHAR message[PATTERN_WRONG_MAX - 40];
	uint32_t groups = 0;
	PCRE2_SIZE at;
	int error;

	pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, 0, &error, &at,
				      NULL);
	if (!pattern->code) {
		pcre2_get_error_message(error, message, sizeof(message));
		snprintf(wrong, PATTERN_WRONG_MAX, "%s, at character %zu of it",
			 (const char *)message, (size_t)at);
		return -EINVAL;
	}
	pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	if (groups == wanted)
		return 0;
	snprintf(wrong, PATTERN_WRONG_MAX,
		 "it has %u groups, %s; (?: ) is no group", groups,
		 wanted ? "one in ( ) must be around the value" : "and takes none");
	return -EINVAL;
}

int pattern_new(const char *text, unsigned groups, struct pattern **result,
		char wrong[PATTERN_WRONG_MAX])
{
	_cleanup_(pattern_freep) struct pattern *pattern = calloc(1, sizeof(*pattern));
	int r;

	if (!pattern)
		return -ENOMEM;
	r = compile(pattern, text, groups, wrong);
	if (r < 0)
		return r;
	pattern->match = pcre2_match_data_create_from_pattern(pattern->code, NULL);
	pattern->limits = pcre2_match_context_create(NULL);
	if (!pattern->match || !pattern->limits)
		return -ENOMEM;
	pcre2_set_match_limit(pattern->limits, STEPS_MAX);
	pcre2_set_heap_limit(pattern->limits, HEAP_MAX_KB);
	*result = TAKE_PTR(pattern);
	return 0;
}

bool pattern_is_in(const struct pattern *pattern, const char *line, size_t n)
{
	return pcre2_match(pattern->code, (PCRE2_SPTR)line, n, 0, 0, pattern->match,
			   pattern->limits) >= 0;
}

bool pattern_match(const struct pattern *pattern, const char *line, size_t n, size_t *at,
		   size_t *length)
{
	const PCRE2_SIZE *places;

	if (!pattern_is_in(pattern, line, n))
		return false;
	places = pcre2_get_ovector_pointer(pattern->match);
	/* A group in a part that was not needed is unset; \K can put the end before the start. */
	if (places[2] == PCRE2_UNSET || places[3] < places[2])
		return false;
	*at = places[2];
	*length = places[3] - places[2];
	return true;
}
