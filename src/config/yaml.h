/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.h - a YAML file as a tree that remembers line and column of every node. */
#pragma once

#include "base/cleanup.h"
#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

enum yaml_kind {
	YAML_SCALAR,
	YAML_LIST,
	YAML_MAP,
};

struct yaml_node {
	enum yaml_kind kind;
	const char *file;         /* that it stands in, as long as its document lives */
	unsigned line, column;    /* from 1 */
	bool quoted;              /* a scalar in quotes is always text */
	const char *text;         /* of a scalar, else NULL */
	size_t count;             /* items of a list, pairs of a map */
	struct yaml_node **keys;  /* of a map: scalars */
	struct yaml_node **items; /* of a list, or a map's values */
};

struct yaml_document {
	char *file;
	struct yaml_node *root;
	struct yaml_arena *arena;
	struct yaml_document *base; /* whose nodes stand in this tree too; NULL */
};

/*
 * Reads one document. Merge keys (`<<`), anchors and aliases work as YAML users expect; an
 * alias shares the node of its anchor. Keys that stand twice, more than 64 levels, more than
 * 100,000 nodes, a text over 64 KiB, a file over 4 MiB and a second document are faults.
 * Returns 0, or -EINVAL with at least one fault noted (an empty file is one), or -errno when
 * the file could not be read (noted too). Where keys that stand twice are all that is wrong,
 * *document is set beside -EINVAL, so that the file's other faults can be told at once.
 */
int yaml_load(const char *file, struct yaml_document **document,
	      struct faults *faults) _must_check_;

/* The same from memory; `name` stands in for the file in faults. */
int yaml_parse(const char *name, const char *text, size_t size,
	       struct yaml_document **document, struct faults *faults) _must_check_;

/* Not yaml_free(): libyaml exports that name, and would call ours for its own. */
void yaml_document_free(struct yaml_document *document);
DEFINE_CLEANUP(struct yaml_document *, yaml_document_free)

/* The value of `key` in a map, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/*
 * A number that two trees have in common when they say the same, whatever their comments and
 * layout; that two others have it by chance is not to be expected.
 */
uint64_t yaml_digest(const struct yaml_node *node);

/* An empty map in the document's memory, with room for `count` pairs; NULL: memory is short. */
struct yaml_node *yaml_new_map(struct yaml_document *document, const struct yaml_node *at,
			       size_t count);
