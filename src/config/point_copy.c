/* SPDX-License-Identifier: Apache-2.0 */
/* point_copy.c - points as memory: all that they own is copied, and freed. */
#include "config/device_map.h"

#include "config/meaning.h"

#include <errno.h>
#include <string.h>

static void point_clear(struct point *point)
{
	free(point->name);
	free(point->unit);
	free(point->class);
	point_values_free(point);
}

static int point_copy(const struct point *from, struct point *to)
{
	*to = *from;
	to->name = from->name ? strdup(from->name) : NULL;
	to->unit = from->unit ? strdup(from->unit) : NULL;
	to->class = from->class ? strdup(from->class) : NULL;
	to->values = from->values ? calloc(from->value_count, sizeof(*to->values)) : NULL;
	to->value_count = to->values ? from->value_count : 0;
	if (!to->name != !from->name || !to->unit != !from->unit ||
	    !to->class != !from->class || !to->values != !from->values)
		return -ENOMEM;
	for (size_t i = 0; i < to->value_count; i++) {
		to->values[i].value = from->values[i].value;
		to->values[i].name = strdup(from->values[i].name);
		if (!to->values[i].name)
			return -ENOMEM;
	}
	return 0;
}

struct point *points_copy(const struct point *points, size_t count)
{
	struct point *copy = calloc(count, sizeof(*copy));

	for (size_t i = 0; copy && i < count; i++) {
		if (point_copy(&points[i], &copy[i]) < 0) {
			points_free(copy, count);
			return NULL;
		}
	}
	return copy;
}

void points_free(struct point *points, size_t count)
{
	for (size_t i = 0; points && i < count; i++)
		point_clear(&points[i]);
	free(points);
}
