/* SPDX-License-Identifier: Apache-2.0 */
/* split.c - which points of a device may share a request, as its refusals have taught. */
#include "field/split.h"
#include "field/plan.h"

#include <errno.h>

int split_init(struct split *split, const struct point *points, size_t count)
{
	*split = (struct split){
		.order = calloc(count, sizeof(*split->order)),
		.segment = calloc(count, sizeof(*split->segment)),
		.refused = calloc(count, sizeof(*split->refused)),
		.count = count,
	};
	if (!split->order || !split->segment || !split->refused)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		split->order[i] = i;
	plan_sort(points, split->order, count);
	return 0;
}

void split_done(struct split *split)
{
	free(split->order);
	free(split->segment);
	free(split->refused);
}

/* No request reads both this point and one that stands before it. */
static void divide_before(struct split *split, uint16_t point)
{
	size_t i = 0;

	while (split->order[i] != point)
		i++;
	for (; i < split->count; i++)
		split->segment[split->order[i]]++;
}

/* Each refused point has a segment of its own, and all between two of them share one. */
static void join(struct split *split)
{
	uint16_t segment = 0;

	for (size_t i = 0; i < split->count; i++) {
		uint16_t point = split->order[i];

		if (i && (split->refused[point] || split->refused[split->order[i - 1]]))
			segment++;
		split->segment[point] = segment;
	}
}

bool split_refuse(struct split *split, const uint16_t *points, size_t count)
{
	if (count > 1) {
		divide_before(split, points[count / 2]);
		return false;
	}
	if (split->refused[points[0]])
		return false;
	split->refused[points[0]] = true;
	join(split);
	return true;
}

void split_accept(struct split *split, uint16_t point)
{
	split->refused[point] = false;
}
