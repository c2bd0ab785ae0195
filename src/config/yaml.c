/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.c - a YAML file as a tree that remembers line and column of every node (libyaml). */
#include "config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

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
	FILE_MAX = 4 * 1024 * 1024,
	BLOCK_SIZE = 64 * 1024,
};

/* Memory that lives as long as the tree. */
struct block {
	struct block *next;
	size_t used, size;
	max_align_t data[];
};

struct yaml_arena {
	struct block *blocks;
};

static void *arena_take(struct yaml_arena *arena, size_t size)
{
	size_t wanted = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	struct block *block = arena->blocks;

	if (!block || block->size - block->used < wanted) {
		size_t space = wanted > BLOCK_SIZE ? wanted : BLOCK_SIZE;

		block = malloc(sizeof(*block) + space);
		if (!block)
			return NULL;
		*block = (struct block){.next = arena->blocks, .size = space};
		arena->blocks = block;
	}
	block->used += wanted;
	return memset((char *)block->data + block->used - wanted, 0, wanted);
}

static void arena_free(struct yaml_arena *arena)
{
	struct block *next;

	if (!arena)
		return;
	for (struct block *block = arena->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	free(arena);
}

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
	yaml_mark_t mark;
	struct pair *pairs; /* of a list only .value is used */
	size_t count, room;
	struct yaml_node *key; /* whose value comes next */
	bool merge;            /* the key is `<<` */
};

struct builder {
	yaml_parser_t parser;
	const char *text;
	size_t size;
	struct yaml_document *document;
	struct faults *faults;
	struct level levels[DEPTH_MAX];
	unsigned depth;
	struct anchor anchors[ANCHORS_MAX];
	size_t anchor_count, node_count;
	bool repeated; /* a key stands twice: noted, read on */
};

static int fault_at(struct builder *b, yaml_mark_t mark, const char *text)
{
	faults_add(b->faults, b->document->file, mark.line + 1, mark.column + 1, "%s", text);
	return -EINVAL;
}

static int fault_node(struct builder *b, const struct yaml_node *node, const char *text)
{
	faults_add(b->faults, b->document->file, node->line, node->column, "%s", text);
	return -EINVAL;
}

static int count_node(struct builder *b, yaml_mark_t mark)
{
	if (++b->node_count <= NODES_MAX)
		return 0;
	return fault_at(b, mark, "more than 100000 values (aliases and merges counted)");
}

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
	struct yaml_node *node = arena_take(b->document->arena, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->file = b->document->file;
	node->line = mark.line + 1;
	node->column = mark.column + 1;
	return node;
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
static int merge(struct builder *b, struct level *level, const struct yaml_node *from,
		 yaml_mark_t mark)
{
	static const char help[] = "<< takes a map, or a list of maps, such as *defaults";
	int r;

	if (from->kind == YAML_SCALAR)
		return fault_at(b, mark, help);
	for (size_t i = 0; i < from->count; i++) {
		struct pair pair = {.value = from->items[i], .merged = true};

		r = count_node(b, mark);
		if (r < 0)
			return r;
		if (from->kind == YAML_LIST) {
			/* A list in a list of maps would let this recurse. */
			if (pair.value->kind != YAML_MAP)
				return fault_at(b, mark, help);
			r = merge(b, level, pair.value, mark);
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
static int place(struct builder *b, struct yaml_node *node, yaml_mark_t mark)
{
	struct level *level = b->depth ? &b->levels[b->depth - 1] : NULL;
	struct pair pair = {.value = node};

	if (!level) {
		b->document->root = node;
		return 0;
	}
	if (level->node->kind == YAML_LIST)
		return append(level, pair);
	if (!level->key) {
		if (node->kind != YAML_SCALAR)
			return fault_at(b, mark, "a key must be a word, not a list or a map");
		level->key = node;
		level->merge = !node->quoted && !strcmp(node->text, "<<");
		return 0;
	}
	pair.key = TAKE_PTR(level->key);
	return level->merge ? merge(b, level, node, mark) : append(level, pair);
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
static size_t drop_repeated(struct builder *b, struct pair *pairs, size_t count)
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
		faults_add(b->faults, b->document->file, pairs[i].key->line,
			   pairs[i].key->column, "'%.64s' stands twice, first in line %u",
			   before->text, before->line);
		b->repeated = true;
	}
	qsort(pairs, kept, sizeof(*pairs), compare_order);
	return kept;
}

/* Ends the innermost list or map, and places it: only now can `<<` take pairs out of it. */
static int close_level(struct builder *b)
{
	struct level *level = &b->levels[--b->depth];
	_cleanup_free_ struct pair *pairs = TAKE_PTR(level->pairs);
	struct yaml_node *node = level->node;
	struct yaml_arena *arena = b->document->arena;

	node->count = level->count;
	if (node->kind == YAML_MAP && node->count)
		node->count = drop_repeated(b, pairs, node->count);
	node->items = arena_take(arena, node->count * sizeof(*node->items));
	node->keys = arena_take(arena, node->count * sizeof(*node->keys));
	if (!node->items || !node->keys)
		return -ENOMEM;
	for (size_t i = 0; i < node->count; i++) {
		node->keys[i] = pairs[i].key;
		node->items[i] = pairs[i].value;
	}
	for (size_t i = 0; i < b->anchor_count; i++) {
		if (b->anchors[i].node == node)
			b->anchors[i].open = false;
	}
	return place(b, node, level->mark);
}

static int note_anchor(struct builder *b, const yaml_char_t *name, struct yaml_node *node,
		       yaml_mark_t mark)
{
	struct anchor *anchor = &b->anchors[b->anchor_count];

	if (!name)
		return 0;
	if (b->anchor_count == ANCHORS_MAX)
		return fault_at(b, mark, "more than 1000 anchors");
	anchor->name = strdup((const char *)name);
	if (!anchor->name)
		return -ENOMEM;
	anchor->node = node;
	anchor->open = node->kind != YAML_SCALAR;
	b->anchor_count++;
	return 0;
}

static int on_alias(struct builder *b, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	char text[128];

	/* The latest of that name counts. */
	for (size_t i = b->anchor_count; i-- > 0;) {
		if (strcmp(b->anchors[i].name, name))
			continue;
		if (b->anchors[i].open)
			return fault_at(b, event->start_mark,
					"an alias to what it stands in: a circle");
		return place(b, b->anchors[i].node, event->start_mark);
	}
	snprintf(text, sizeof(text), "*%.64s: no &%.32s stands before it", name, name);
	return fault_at(b, event->start_mark, text);
}

static int check_tag(struct builder *b, const yaml_char_t *tag, bool *is_text,
		     yaml_mark_t mark)
{
	if (!tag)
		return 0;
	*is_text = !strcmp((const char *)tag, YAML_STR_TAG) ||
		   !strcmp((const char *)tag, "!");
	return *is_text ? 0 : fault_at(b, mark, "tags are not used here, leave it out");
}

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
	size_t length = event->data.scalar.length;
	yaml_mark_t mark = event->start_mark;
	struct yaml_node *node;
	bool is_text = false;
	char *text;
	int r;

	r = check_tag(b, event->data.scalar.tag, &is_text, mark);
	if (r < 0)
		return r;
	if (length > TEXT_MAX)
		return fault_at(b, mark, "a text longer than 64 KiB");
	if (memchr(event->data.scalar.value, 0, length))
		return fault_at(b, mark, "a text with a zero byte in it");
	node = new_node(b, YAML_SCALAR, mark);
	text = arena_take(b->document->arena, length + 1);
	if (!node || !text)
		return -ENOMEM;
	node->text = memcpy(text, event->data.scalar.value, length);
	node->quoted = is_text || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	r = note_anchor(b, event->data.scalar.anchor, node, mark);
	return r < 0 ? r : place(b, node, mark);
}

static int on_start(struct builder *b, enum yaml_kind kind, const yaml_char_t *anchor,
		    const yaml_char_t *tag, yaml_mark_t mark)
{
	struct yaml_node *node;
	bool is_text = false;
	int r;

	r = check_tag(b, tag, &is_text, mark);
	if (r < 0)
		return r;
	if (b->depth == DEPTH_MAX)
		return fault_at(b, mark, "more than 64 levels deep");
	node = new_node(b, kind, mark);
	if (!node)
		return -ENOMEM;
	r = note_anchor(b, anchor, node, mark);
	if (r < 0)
		return r;
	b->levels[b->depth++] = (struct level){.node = node, .mark = mark};
	return 0;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
	yaml_mark_t mark = event->start_mark;
	int r;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return b->document->root ? fault_at(b, mark, "a second document: one a file")
					 : 0;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_level(b);
	case YAML_ALIAS_EVENT:
		r = count_node(b, mark);
		return r < 0 ? r : on_alias(b, event);
	case YAML_SCALAR_EVENT:
		r = count_node(b, mark);
		return r < 0 ? r : on_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		r = count_node(b, mark);
		return r < 0 ? r : on_start(b, YAML_LIST, event->data.sequence_start.anchor,
					    event->data.sequence_start.tag, mark);
	case YAML_MAPPING_START_EVENT:
		r = count_node(b, mark);
		return r < 0 ? r : on_start(b, YAML_MAP, event->data.mapping_start.anchor,
					    event->data.mapping_start.tag, mark);
	default:
		return 0;
	}
}

/* libyaml's reader tells bytes, not lines: `°` from an editor that writes Latin-1 ends here. */
static int encoding_fault(struct builder *b)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < b->size && i < b->parser.problem_offset; i++) {
		mark.column = b->text[i] == '\n' ? 0 : mark.column + 1;
		mark.line += b->text[i] == '\n';
	}
	return fault_at(b, mark,
			strstr(b->parser.problem, "control")
				? "a control character, which YAML does not allow"
				: "not UTF-8: the file is to be saved in that encoding");
}

/* What libyaml found wrong. */
static int syntax_fault(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	yaml_mark_t mark = p->problem_mark;
	char text[200];

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR)
		return encoding_fault(b);
	snprintf(text, sizeof(text), "not YAML: %s%s%s%s",
		 p->context && *p->context ? p->context : "",
		 p->context && *p->context ? ", " : "", p->problem,
		 strstr(p->problem, "cannot start any token")
			 ? " (blanks, not tabs, are used for indenting; text that begins "
			   "with @, ` or % needs quotes)"
			 : "");
	return fault_at(b, mark, text);
}

static int build(struct builder *b)
{
	yaml_event_t event;
	bool end = false;
	int r = 0;

	while (!end) {
		if (!yaml_parser_parse(&b->parser, &event))
			return syntax_fault(b);
		end = event.type == YAML_STREAM_END_EVENT;
		r = on_event(b, &event);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
	}
	if (!b->document->root) {
		faults_add(b->faults, b->document->file, 0, 0, "the file is empty");
		return -EINVAL;
	}
	if (b->document->root->kind != YAML_MAP)
		return fault_node(b, b->document->root, "expected `key: value` lines");
	return 0;
}

static void builder_free(struct builder *b)
{
	if (!b)
		return;
	yaml_parser_delete(&b->parser);
	for (unsigned i = 0; i < b->depth; i++)
		free(b->levels[i].pairs);
	for (size_t i = 0; i < b->anchor_count; i++)
		free(b->anchors[i].name);
	free(b);
}
DEFINE_CLEANUP(struct builder *, builder_free)

static struct yaml_document *document_new(const char *name)
{
	_cleanup_(yaml_document_freep) struct yaml_document *document = calloc(1, sizeof(*document));

	if (!document)
		return NULL;
	document->file = strdup(name);
	document->arena = calloc(1, sizeof(*document->arena));
	return document->file && document->arena ? TAKE_PTR(document) : NULL;
}

int yaml_parse(const char *name, const char *text, size_t size,
	       struct yaml_document **document, struct faults *faults)
{
	_cleanup_(yaml_document_freep) struct yaml_document *made = document_new(name);
	_cleanup_(builder_freep) struct builder *b = calloc(1, sizeof(*b));
	int r;

	if (!made || !b || !yaml_parser_initialize(&b->parser))
		return -ENOMEM;
	if (size > FILE_MAX) {
		faults_add(faults, name, 0, 0, "larger than 4 MiB");
		return -EINVAL;
	}
	yaml_parser_set_input_string(&b->parser, (const unsigned char *)text, size);
	b->text = text;
	b->size = size;
	b->document = made;
	b->faults = faults;
	r = build(b);
	if (r < 0)
		return r;
	*document = TAKE_PTR(made);
	return b->repeated ? -EINVAL : 0;
}

/* Reads a whole regular file, but never more than the most allowed and one byte. */
static int read_file(const char *file, char **text, size_t *size)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *buffer = malloc(FILE_MAX + 1);
	struct stat stat;
	ssize_t n;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return -errno;
	if (S_ISDIR(stat.st_mode))
		return -EISDIR;
	if (!S_ISREG(stat.st_mode))
		return -EINVAL;
	if (!buffer)
		return -ENOMEM;
	for (*size = 0; *size <= FILE_MAX; *size += n) {
		n = read(fd, buffer + *size, FILE_MAX + 1 - *size);
		if (n < 0)
			return -errno;
		if (!n)
			break;
	}
	*text = TAKE_PTR(buffer);
	return 0;
}

int yaml_load(const char *file, struct yaml_document **document, struct faults *faults)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r;

	r = read_file(file, &text, &size);
	if (r < 0) {
		faults_add(faults, file, 0, 0, "cannot be read: %s", strerror(-r));
		return r;
	}
	return yaml_parse(file, text, size, document, faults);
}

void yaml_document_free(struct yaml_document *document)
{
	if (!document)
		return;
	yaml_document_free(document->base);
	arena_free(document->arena);
	free(document->file);
	free(document);
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	for (size_t i = 0; i < map->count; i++) {
		if (!strcmp(map->keys[i]->text, key))
			return map->items[i];
	}
	return NULL;
}

struct yaml_node *yaml_new_map(struct yaml_document *document, const struct yaml_node *at,
			       size_t count)
{
	struct yaml_node *node = arena_take(document->arena, sizeof(*node));

	if (!node)
		return NULL;
	*node = (struct yaml_node){
		.kind = YAML_MAP,
		.file = at->file,
		.line = at->line,
		.column = at->column,
		.keys = arena_take(document->arena, count * sizeof(*node->keys)),
		.items = arena_take(document->arena, count * sizeof(*node->items)),
	};
	return node->keys && node->items ? node : NULL;
}
