// SPDX-License-Identifier: Apache-2.0
/* extend.c - a map that begins as another map: `extends: other-map`. */
#include "config/extend.h"

#include "config/device_map.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum {
	CHAIN_MAX = 8,      /* maps that extend each other */
	DEPTH_MAX = 4,      /* of maps that are joined: the map, points, a point, its values */
	PAIRS_MAX = 20000,  /* that are joined; each is looked for among the others */
};

struct joining {
	struct yaml_document *document;
	size_t pairs;
	bool full;
};

static int fault_at(const struct yaml_node *node, struct faults *faults, const char *text)
{
	faults_add(faults, node->file, node->line, node->column, "%s", text);
	return -EINVAL;
}

static bool is_taken_away(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && !node->quoted &&
	       (!strcmp(node->text, "null") || !strcmp(node->text, "~"));
}

static bool is_own(const char *key)
{
	return !strcmp(key, "map") || !strcmp(key, "extends") || !strcmp(key, "examples");
}

static void put(struct yaml_node *map, struct yaml_node *key, struct yaml_node *value)
{
	map->keys[map->count] = key;
	map->items[map->count++] = value;
}

static struct yaml_node *join(struct joining *joining, struct yaml_node *upper,
			      struct yaml_node *under, unsigned depth);

/* The value of a key that both maps have. */
static struct yaml_node *join_value(struct joining *joining, struct yaml_node *upper,
				    struct yaml_node *under, unsigned depth)
{
	if (depth < DEPTH_MAX && upper->kind == YAML_MAP && under->kind == YAML_MAP)
		return join(joining, upper, under, depth);
	return upper;
}

/* What both have and what only the lower one has, in its order; then what is new. */
static struct yaml_node *join(struct joining *joining, struct yaml_node *upper,
			      struct yaml_node *under, unsigned depth)
{
	struct yaml_node *made;

	joining->pairs += upper->count + under->count;
	joining->full = joining->full || joining->pairs > PAIRS_MAX;
	if (joining->full)
		return upper;
	made = yaml_new_map(joining->document, upper, upper->count + under->count);
	if (!made)
		return NULL;
	for (size_t i = 0; i < under->count; i++) {
		struct yaml_node *over =
			(struct yaml_node *)yaml_get(upper, under->keys[i]->text);
		struct yaml_node *value = under->items[i];

		if (depth == 0 && is_own(under->keys[i]->text))
			continue;
		if (over && is_taken_away(over))
			continue;
		if (over)
			value = join_value(joining, over, value, depth + 1);
		if (!value)
			return NULL;
		put(made, under->keys[i], value);
	}
	for (size_t i = 0; i < upper->count; i++) {
		if (!yaml_get(made, upper->keys[i]->text) && !is_taken_away(upper->items[i]))
			put(made, upper->keys[i], upper->items[i]);
	}
	return made;
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat of_a, of_b;

	return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
	       of_a.st_ino == of_b.st_ino;
}

/* Where the other map is, or NULL with errno ENOENT or ENOMEM. */
static char *find_other(const struct yaml_node *extends, const char *const *directories)
{
	for (; *directories; directories++) {
		char *file;

		if (asprintf(&file, "%s/%s.yaml", *directories, extends->text) < 0)
			return NULL;
		if (!access(file, F_OK) && !is_same_file(file, extends->file))
			return file;
		free(file);
	}
	errno = ENOENT;
	return NULL;
}

static int load_other(const struct yaml_node *extends, const char *const *directories,
		      struct yaml_document **other, struct faults *faults)
{
	_cleanup_free_ char *file = NULL;
	char text[200];

	if (extends->kind != YAML_SCALAR || !name_is_valid(extends->text))
		return fault_at(extends, faults, "extends takes the name of another map");
	file = find_other(extends, directories);
	if (file)
		return yaml_load(file, other, faults);
	if (errno == ENOMEM)
		return -ENOMEM;
	snprintf(text, sizeof(text), "there is no other map '%.64s' to extend", extends->text);
	return fault_at(extends, faults, text);
}

static int extend_once(struct yaml_document *document, const struct yaml_node *extends,
		       const char *const *directories, struct faults *faults)
{
	struct joining joining = {.document = document};
	struct yaml_document **base = &document->base;
	struct yaml_node *root;
	int r;

	/* Each base hangs on the one before: all their nodes are in the tree. */
	while (*base)
		base = &(*base)->base;
	r = load_other(extends, directories, base, faults);
	if (r < 0)
		return r;
	root = join(&joining, document->root, (*base)->root, 0);
	if (joining.full)
		return fault_at(extends, faults, "the two together are too large");
	if (!root)
		return -ENOMEM;
	document->root = root;
	return 0;
}

int extend(struct yaml_document *document, const char *const *directories,
	   struct faults *faults)
{
	const struct yaml_node *extends = yaml_get(document->root, "extends");
	const struct yaml_document *last;
	int r = 0;

	for (unsigned i = 0; extends && r == 0; i++) {
		if (i == CHAIN_MAX)
			return fault_at(extends, faults,
					"maps extend each other in a circle, or more than 8 deep");
		r = extend_once(document, extends, directories, faults);
		for (last = document; last->base; last = last->base)
			;
		/* What the last one extends is not inherited as a key: it is looked up there. */
		extends = r == 0 ? yaml_get(last->root, "extends") : NULL;
	}
	return r;
}
