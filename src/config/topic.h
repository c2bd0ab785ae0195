/* SPDX-License-Identifier: Apache-2.0 */
/* topic.h - topic templates such as `{gateway}/{device}`, as users write them. */
#pragma once

#include "base/cleanup.h"

/* What the placeholders of a device's topic stand for. */
struct topic_words {
	const char *gateway, *bus, *device, *address, *map;
};

/* What is wrong with a template and what would be right, or NULL where nothing is. */
const char *topic_check(const char *format);

/* The topic that a right template makes; NULL: memory is short. Freed by the caller. */
char *topic_fill(const char *format, const struct topic_words *words);
