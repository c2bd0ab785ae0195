/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_arena.h - memory that lives as long as a YAML tree. */
#pragma once

#include <stddef.h>

struct yaml_arena;

/* NULL: memory is short. */
struct yaml_arena *yaml_arena_new(void);
void yaml_arena_free(struct yaml_arena *arena);

/* So many bytes, all zero, for whatever type; NULL: memory is short. */
void *yaml_arena_take(struct yaml_arena *arena, size_t size);
