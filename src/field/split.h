/* SPDX-License-Identifier: Apache-2.0 */
/* split.h - which points of a device may share a request, as its refusals have taught. */
#pragma once

#include "config/device_map.h"

/*
 * A device that lacks one register refuses every request that reads it, or reads through it.
 * The refused points are divided until what is refused is a single point; holes that may not
 * be read through come to lie between two segments the same way.
 */
struct split {
	uint16_t *order;   /* the points by table and address */
	uint16_t *segment; /* of each point: a request reads points of one segment only */
	bool *refused;     /* each point that the device refused when asked for it alone */
	size_t count;
};

/* All points in one segment. 0 or -ENOMEM; on failure split_done() frees what there is. */
int split_init(struct split *split, const struct point *points, size_t count) _must_check_;
void split_done(struct split *split);

/*
 * The device refused a request for these points, which stand in the order of their places.
 * Several: they will not be asked for together again. A single one: it is marked as refused,
 * and what was divided to find it is joined again; true when that is new.
 */
bool split_refuse(struct split *split, const uint16_t *points, size_t count);

/* The point is there after all. */
void split_accept(struct split *split, uint16_t point);
