/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_digest.c - what a YAML tree says, as one number to compare by. */
#include "config/yaml.h"

#include <string.h>

/* FNV-1a, 64 bits. */
static uint64_t add_bytes(uint64_t digest, const void *bytes, size_t n)
{
	for (const uint8_t *at = bytes; n > 0; n--)
		digest = (digest ^ *at++) * UINT64_C(0x100000001B3);
	return digest;
}

/* What would be read as another tree has to differ: kinds, counts and ends of texts too. */
static uint64_t add_node(uint64_t digest, const struct yaml_node *node)
{
	const uint64_t head[] = { node->kind, node->quoted, node->count };

	digest = add_bytes(digest, head, sizeof(head));
	if (node->text)
		digest = add_bytes(digest, node->text, strlen(node->text) + 1);
	for (size_t i = 0; i < node->count; i++) {
		if (node->kind == YAML_MAP)
			digest = add_node(digest, node->keys[i]);
		digest = add_node(digest, node->items[i]);
	}
	return digest;
}

uint64_t yaml_digest(const struct yaml_node *node)
{
	return add_node(UINT64_C(0xCBF29CE484222325), node);
}
