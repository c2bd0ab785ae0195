/* SPDX-License-Identifier: Apache-2.0 */
/* conf_compare.c - which settings are others than when the file was read before. */
#include "config/conf_keys.h"

#include <string.h>

enum { NAME_MAX_BYTES = 64 };

struct comparison {
	const struct conf *old, *new;
	conf_visit *visit;
	void *data;
};

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool is_same_list(const struct conf *old, const struct conf *new)
{
	if (old->map_count != new->map_count)
		return false;
	for (size_t i = 0; i < old->map_count; i++)
		if (strcmp(old->maps[i], new->maps[i]))
			return false;
	return true;
}

static bool is_same(const struct comparison *comparison, const struct key *key)
{
	const char *old = (const char *)comparison->old + key->offset;
	const char *new = (const char *)comparison->new + key->offset;

	switch (key->kind) {
	case KIND_TEXT:
	case KIND_PATH:
	case KIND_NAME:
	case KIND_TOPIC:
	case KIND_LEVELS:
	case KIND_LISTEN:
		return is_same_text(*(char *const *)old, *(char *const *)new);
	case KIND_PATHS:
		return is_same_list(comparison->old, comparison->new);
	default:
		return !memcmp(old, new, key->size);
	}
}

/* `change` is what a change of the group's keys takes where they do not say so. */
static void compare_group(const struct comparison *comparison, const char *group,
			  const struct key *keys, enum conf_change change)
{
	for (const struct key *key = keys; key->name; key++) {
		enum conf_change own = key->change ? key->change : change;
		char name[NAME_MAX_BYTES];

		snprintf(name, sizeof(name), "%s%s%s", group, *group ? "." : "", key->name);
		if (!is_same(comparison, key))
			comparison->visit(comparison->data, name, own);
		if (key->kind == KIND_GROUP)
			compare_group(comparison, name, key->keys, own);
	}
}

void conf_compare(const struct conf *old, const struct conf *new, conf_visit *visit,
		  void *data)
{
	const struct comparison comparison = {
		.old = old, .new = new, .visit = visit, .data = data,
	};

	/* What nobody has thought about is right after a restart. */
	compare_group(&comparison, "", conf_keys, CONF_RESTART);
}
