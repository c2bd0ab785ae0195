/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_tree.h - builds a document's tree of what a parser finds in a file, within bounds. */
#pragma once

#include "config/yaml.h"

struct yaml_tree;

/* Where a node begins, from 1, and what the file says of it there; NULL where it does not. */
struct yaml_head {
	unsigned line, column;
	const char *anchor, *tag;
};

/* A tree of nothing yet; what is wrong is noted as the document's. NULL: memory is short. */
struct yaml_tree *yaml_tree_new(struct yaml_document *document, struct faults *faults);
void yaml_tree_free(struct yaml_tree *tree);
DEFINE_CLEANUP(struct yaml_tree *, yaml_tree_free)

/*
 * Each takes what comes next in the file, and copies what it keeps: a scalar; a list or a map
 * whose items come until it is closed; an alias, `head->anchor` being what it stands for. 0, or
 * -EINVAL with the fault noted, or -ENOMEM: then nothing more may come.
 */
int yaml_tree_scalar(struct yaml_tree *tree, const struct yaml_head *head, const char *text,
		     size_t length, bool quoted) _must_check_;
int yaml_tree_open(struct yaml_tree *tree, const struct yaml_head *head,
		   enum yaml_kind kind) _must_check_;
int yaml_tree_close(struct yaml_tree *tree) _must_check_;
int yaml_tree_alias(struct yaml_tree *tree, const struct yaml_head *head) _must_check_;

/* Whether a key stands twice: that was noted as a fault, but the tree is whole. */
bool yaml_tree_has_repeated(const struct yaml_tree *tree);
