/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_tree.c - builds a document's tree of what a parser finds in a file, within bounds. */
#include "config/yaml_tree.h"

#include "config/yaml_arena.h"

#include <errno.h>
#include <string.h>

/*
 * What a hostile file could make us do is bounded here: depth, nodes (an alias and each pair
 * that a merge brings in count as one, so that nothing grows beyond what stands in the file),
 * anchors, which are looked up one by one, and the length of a text.
 */
enum {
	DEPTH_MAX = 64,
	NODES_MAX = 100000,
	ANCHORS_MAX = 1000,
	TEXT_MAX = 64 * 1024,
};

struct anchor {
	char *name;
	struct yaml_node *node;
	bool open; /* its end is not read yet: an alias to it would be a circle */
};

/* One pair of a map while it is built. */
struct pair {
	struct yaml_node *key, *value;
	bool merged;
	size_t order;
};

/* A list or map whose end is not read yet. */
struct level {
	struct yaml_node *node;
	struct pair *pairs; /* of a list only .value is used */
	size_t count, room;
	struct yaml_node *key; /* whose value comes next */
	bool merge;            /* the key is `<<` */
};

struct yaml_tree {
	struct yaml_document *document;
	struct faults *faults;
	struct level levels[DEPTH_MAX];
	unsigned depth;
	struct anchor anchors[ANCHORS_MAX];
	size_t anchor_count, node_count;
	bool repeated; /* a key stands twice: noted, read on */
};

struct yaml_tree *yaml_tree_new(struct yaml_document *document, struct faults *faults)
{
	struct yaml_tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return NULL;
	tree->document = document;
	tree->faults = faults;
	return tree;
}

void yaml_tree_free(struct yaml_tree *tree)
{
	if (!tree)
		return;
	for (unsigned i = 0; i < tree->depth; i++)
		free(tree->levels[i].pairs);
	for (size_t i = 0; i < tree->anchor_count; i++)
		free(tree->anchors[i].name);
	free(tree);
}

bool yaml_tree_has_repeated(const struct yaml_tree *tree)
{
	return tree->repeated;
}

static int fault_at(struct yaml_tree *tree, const struct yaml_head *head, const char *text)
{
	faults_add(tree->faults, tree->document->file, head->line, head->column, "%s", text);
	return -EINVAL;
}

/* --- lists and maps --- */

static int count_node(struct yaml_tree *tree, const struct yaml_head *head)
{
	if (++tree->node_count <= NODES_MAX)
		return 0;
	return fault_at(tree, head, "more than 100000 values (aliases and merges counted)");
}

static int append(struct level *level, struct pair pair)
{
	if (level->count == level->room) {
		size_t room = level->room ? level->room * 2 : 8;
		struct pair *pairs = reallocarray(level->pairs, room, sizeof(*pairs));

		if (!pairs)
			return -ENOMEM;
		level->pairs = pairs;
		level->room = room;
	}
	pair.order = level->count;
	level->pairs[level->count++] = pair;
	return 0;
}

/* Brings in the pairs of a map, or of each map of a list, behind `<<`. */
static int merge(struct yaml_tree *tree, struct level *level, const struct yaml_node *from,
		 const struct yaml_head *head)
{
	static const char help[] = "<< takes a map, or a list of maps, such as *defaults";
	int r;

	if (from->kind == YAML_SCALAR)
		return fault_at(tree, head, help);
	for (size_t i = 0; i < from->count; i++) {
		struct pair pair = {.value = from->items[i], .merged = true};

		r = count_node(tree, head);
		if (r < 0)
			return r;
		if (from->kind == YAML_LIST) {
			/* A list in a list of maps would let this recurse. */
			if (pair.value->kind != YAML_MAP)
				return fault_at(tree, head, help);
			r = merge(tree, level, pair.value, head);
		} else {
			pair.key = from->keys[i];
			r = append(level, pair);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Puts a finished node where it belongs: into the open list or map, or at the root. */
static int place(struct yaml_tree *tree, struct yaml_node *node, const struct yaml_head *head)
{
	struct level *level = tree->depth ? &tree->levels[tree->depth - 1] : NULL;
	struct pair pair = {.value = node};

	if (!level) {
		tree->document->root = node;
		return 0;
	}
	if (level->node->kind == YAML_LIST)
		return append(level, pair);
	if (!level->key) {
		if (node->kind != YAML_SCALAR)
			return fault_at(tree, head,
					"a key must be a word, not a list or a map");
		level->key = node;
		level->merge = !node->quoted && !strcmp(node->text, "<<");
		return 0;
	}
	pair.key = TAKE_PTR(level->key);
	return level->merge ? merge(tree, level, node, head) : append(level, pair);
}

static int compare_keys(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int r = strcmp(x->key->text, y->key->text);

	if (r)
		return r;
	if (x->merged != y->merged)
		return x->merged ? 1 : -1;
	return x->order < y->order ? -1 : 1;
}

static int compare_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return x->order < y->order ? -1 : 1;
}

/* A map's own pairs hide merged ones, earlier merges hide later ones. */
static size_t drop_repeated(struct yaml_tree *tree, struct pair *pairs, size_t count)
{
	size_t kept = 0;

	qsort(pairs, count, sizeof(*pairs), compare_keys);
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *before = kept ? pairs[kept - 1].key : NULL;

		if (!before || strcmp(before->text, pairs[i].key->text)) {
			pairs[kept++] = pairs[i];
			continue;
		}
		if (pairs[i].merged)
			continue;
		faults_add(tree->faults, tree->document->file, pairs[i].key->line,
			   pairs[i].key->column, "'%.64s' stands twice, first in line %u",
			   before->text, before->line);
		tree->repeated = true;
	}
	qsort(pairs, kept, sizeof(*pairs), compare_order);
	return kept;
}

/* --- what comes --- */

static struct yaml_node *new_node(struct yaml_tree *tree, enum yaml_kind kind,
				  const struct yaml_head *head)
{
	struct yaml_node *node = yaml_arena_take(tree->document->arena, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->file = tree->document->file;
	node->line = head->line;
	node->column = head->column;
	return node;
}

static int note_anchor(struct yaml_tree *tree, const struct yaml_head *head,
		       struct yaml_node *node)
{
	struct anchor *anchor = &tree->anchors[tree->anchor_count];

	if (!head->anchor)
		return 0;
	if (tree->anchor_count == ANCHORS_MAX)
		return fault_at(tree, head, "more than 1000 anchors");
	anchor->name = strdup(head->anchor);
	if (!anchor->name)
		return -ENOMEM;
	anchor->node = node;
	anchor->open = node->kind != YAML_SCALAR;
	tree->anchor_count++;
	return 0;
}

/* `!!str` and `!` say what quotes say: it is a text. */
static int check_tag(struct yaml_tree *tree, const struct yaml_head *head, bool *is_text)
{
	if (!head->tag)
		return 0;
	*is_text = !strcmp(head->tag, "tag:yaml.org,2002:str") || !strcmp(head->tag, "!");
	return *is_text ? 0 : fault_at(tree, head, "tags are not used here, leave it out");
}

int yaml_tree_scalar(struct yaml_tree *tree, const struct yaml_head *head, const char *text,
		     size_t length, bool quoted)
{
	struct yaml_node *node;
	bool is_text = false;
	char *copy;
	int r;

	r = count_node(tree, head);
	if (r == 0)
		r = check_tag(tree, head, &is_text);
	if (r < 0)
		return r;
	if (length > TEXT_MAX)
		return fault_at(tree, head, "a text longer than 64 KiB");
	if (memchr(text, 0, length))
		return fault_at(tree, head, "a text with a zero byte in it");
	node = new_node(tree, YAML_SCALAR, head);
	copy = yaml_arena_take(tree->document->arena, length + 1);
	if (!node || !copy)
		return -ENOMEM;
	node->text = memcpy(copy, text, length);
	node->quoted = quoted || is_text;
	r = note_anchor(tree, head, node);
	return r < 0 ? r : place(tree, node, head);
}

int yaml_tree_open(struct yaml_tree *tree, const struct yaml_head *head, enum yaml_kind kind)
{
	struct yaml_node *node;
	bool is_text = false;
	int r;

	r = count_node(tree, head);
	if (r == 0)
		r = check_tag(tree, head, &is_text);
	if (r < 0)
		return r;
	if (tree->depth == DEPTH_MAX)
		return fault_at(tree, head, "more than 64 levels deep");
	node = new_node(tree, kind, head);
	if (!node)
		return -ENOMEM;
	r = note_anchor(tree, head, node);
	if (r < 0)
		return r;
	tree->levels[tree->depth++] = (struct level){.node = node};
	return 0;
}

/* Ends the innermost list or map, and places it: only now can `<<` take pairs out of it. */
int yaml_tree_close(struct yaml_tree *tree)
{
	struct level *level = &tree->levels[--tree->depth];
	_cleanup_free_ struct pair *pairs = TAKE_PTR(level->pairs);
	struct yaml_node *node = level->node;
	const struct yaml_head head = {.line = node->line, .column = node->column};
	struct yaml_arena *arena = tree->document->arena;

	node->count = level->count;
	if (node->kind == YAML_MAP && node->count)
		node->count = drop_repeated(tree, pairs, node->count);
	node->items = yaml_arena_take(arena, node->count * sizeof(*node->items));
	node->keys = yaml_arena_take(arena, node->count * sizeof(*node->keys));
	if (!node->items || !node->keys)
		return -ENOMEM;
	for (size_t i = 0; i < node->count; i++) {
		node->keys[i] = pairs[i].key;
		node->items[i] = pairs[i].value;
	}
	for (size_t i = 0; i < tree->anchor_count; i++) {
		if (tree->anchors[i].node == node)
			tree->anchors[i].open = false;
	}
	return place(tree, node, &head);
}

int yaml_tree_alias(struct yaml_tree *tree, const struct yaml_head *head)
{
	char text[128];
	int r;

	r = count_node(tree, head);
	if (r < 0)
		return r;
	/* The latest of that name counts. */
	for (size_t i = tree->anchor_count; i-- > 0;) {
		if (strcmp(tree->anchors[i].name, head->anchor))
			continue;
		if (tree->anchors[i].open)
			return fault_at(tree, head,
					"an alias to what it stands in: a circle");
		return place(tree, tree->anchors[i].node, head);
	}
	snprintf(text, sizeof(text), "*%.64s: no &%.32s stands before it", head->anchor,
		 head->anchor);
	return fault_at(tree, head, text);
}
