/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_arena.c - memory that lives as long as a YAML tree. */
#include "config/yaml_arena.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 64 * 1024 };

struct block {
	struct block *next;
	size_t used, size;
	max_align_t data[];
};

struct yaml_arena {
	struct block *blocks;
};

struct yaml_arena *yaml_arena_new(void)
{
	return calloc(1, sizeof(struct yaml_arena));
}

void *yaml_arena_take(struct yaml_arena *arena, size_t size)
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

void yaml_arena_free(struct yaml_arena *arena)
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
