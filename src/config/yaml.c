/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.c - a YAML file as a tree that remembers line and column of every node (libyaml). */
#include "config/yaml.h"

#include "config/yaml_arena.h"
#include "config/yaml_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

enum { FILE_MAX = 4 * 1024 * 1024 };

/* A text while it is read. */
struct reader {
	yaml_parser_t parser;
	const char *text;
	size_t size;
	struct yaml_document *document;
	struct yaml_tree *tree;
	struct faults *faults;
};

static int fault_at(struct reader *reader, yaml_mark_t mark, const char *text)
{
	faults_add(reader->faults, reader->document->file, mark.line + 1, mark.column + 1,
		   "%s", text);
	return -EINVAL;
}

static struct yaml_head head_of(const yaml_event_t *event, const yaml_char_t *anchor,
				const yaml_char_t *tag)
{
	return (struct yaml_head){
		.line = event->start_mark.line + 1,
		.column = event->start_mark.column + 1,
		.anchor = (const char *)anchor,
		.tag = (const char *)tag,
	};
}

static int on_event(struct reader *reader, const yaml_event_t *event)
{
	struct yaml_tree *tree = reader->tree;
	struct yaml_head head;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		return reader->document->root ? fault_at(reader, event->start_mark,
							 "a second document: one a file")
					      : 0;
	case YAML_ALIAS_EVENT:
		head = head_of(event, event->data.alias.anchor, NULL);
		return yaml_tree_alias(tree, &head);
	case YAML_SCALAR_EVENT:
		head = head_of(event, event->data.scalar.anchor, event->data.scalar.tag);
		return yaml_tree_scalar(tree, &head, (const char *)event->data.scalar.value,
					event->data.scalar.length,
					event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE);
	case YAML_SEQUENCE_START_EVENT:
		head = head_of(event, event->data.sequence_start.anchor,
			       event->data.sequence_start.tag);
		return yaml_tree_open(tree, &head, YAML_LIST);
	case YAML_MAPPING_START_EVENT:
		head = head_of(event, event->data.mapping_start.anchor,
			       event->data.mapping_start.tag);
		return yaml_tree_open(tree, &head, YAML_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return yaml_tree_close(tree);
	default:
		return 0;
	}
}

/* libyaml's reader tells bytes, not lines: `°` from an editor that writes Latin-1 ends here. */
static int encoding_fault(struct reader *reader)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < reader->size && i < reader->parser.problem_offset; i++) {
		mark.column = reader->text[i] == '\n' ? 0 : mark.column + 1;
		mark.line += reader->text[i] == '\n';
	}
	return fault_at(reader, mark,
			strstr(reader->parser.problem, "control")
				? "a control character, which YAML does not allow"
				: "not UTF-8: the file is to be saved in that encoding");
}

/* What libyaml found wrong. */
static int syntax_fault(struct reader *reader)
{
	const yaml_parser_t *p = &reader->parser;
	yaml_mark_t mark = p->problem_mark;
	char text[200];

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR)
		return encoding_fault(reader);
	snprintf(text, sizeof(text), "not YAML: %s%s%s%s",
		 p->context && *p->context ? p->context : "",
		 p->context && *p->context ? ", " : "", p->problem,
		 strstr(p->problem, "cannot start any token")
			 ? " (blanks, not tabs, are used for indenting; text that begins "
			   "with @, ` or % needs quotes)"
			 : "");
	return fault_at(reader, mark, text);
}

static int read_events(struct reader *reader)
{
	yaml_event_t event;
	bool end = false;
	int r = 0;

	while (!end) {
		if (!yaml_parser_parse(&reader->parser, &event))
			return syntax_fault(reader);
		end = event.type == YAML_STREAM_END_EVENT;
		r = on_event(reader, &event);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_root(const struct yaml_document *document, struct faults *faults)
{
	const struct yaml_node *root = document->root;

	if (root && root->kind == YAML_MAP)
		return 0;
	if (root)
		faults_add(faults, document->file, root->line, root->column,
			   "expected `key: value` lines");
	else
		faults_add(faults, document->file, 0, 0, "the file is empty");
	return -EINVAL;
}

static struct yaml_document *document_new(const char *name)
{
	_cleanup_(yaml_document_freep) struct yaml_document *document =
		calloc(1, sizeof(*document));

	if (!document)
		return NULL;
	document->file = strdup(name);
	document->arena = yaml_arena_new();
	return document->file && document->arena ? TAKE_PTR(document) : NULL;
}

int yaml_parse(const char *name, const char *text, size_t size,
	       struct yaml_document **document, struct faults *faults)
{
	_cleanup_(yaml_document_freep) struct yaml_document *made = document_new(name);
	_cleanup_(yaml_tree_freep) struct yaml_tree *tree = yaml_tree_new(made, faults);
	struct reader reader = {
		.text = text, .size = size, .document = made, .tree = tree, .faults = faults,
	};
	int r;

	if (!made || !tree)
		return -ENOMEM;
	if (size > FILE_MAX) {
		faults_add(faults, name, 0, 0, "larger than 4 MiB");
		return -EINVAL;
	}
	if (!yaml_parser_initialize(&reader.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
	r = read_events(&reader);
	yaml_parser_delete(&reader.parser);
	if (r == 0)
		r = check_root(made, faults);
	if (r < 0)
		return r;
	*document = TAKE_PTR(made);
	return yaml_tree_has_repeated(tree) ? -EINVAL : 0;
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
	yaml_arena_free(document->arena);
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
	struct yaml_node *node = yaml_arena_take(document->arena, sizeof(*node));

	if (!node)
		return NULL;
	*node = (struct yaml_node){
		.kind = YAML_MAP,
		.file = at->file,
		.line = at->line,
		.column = at->column,
		.keys = yaml_arena_take(document->arena, count * sizeof(*node->keys)),
		.items = yaml_arena_take(document->arena, count * sizeof(*node->items)),
	};
	return node->keys && node->items ? node : NULL;
}
