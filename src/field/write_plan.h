/* SPDX-License-Identifier: Apache-2.0 */
/* write_plan.h - values to the requests that write them: one point, or several side by side. */
#pragma once

#include "config/bus_config.h"
#include "field/driver.h"

/* A value that is to be written to a point. */
struct written {
	const struct point *point;
	struct value value;
};

/*
 * Whether the point's registers have to be read before it can be written, since there is more
 * in them; then write_plan_read() makes that request.
 */
bool write_plan_reads_first(const struct point *point);
void write_plan_read(const struct point *point, uint8_t address, struct request *request);

/*
 * The request that writes the value (of an action: that begins it), whose data are put into
 * `data`, which must stay. Where the point is read first, `data` holds what was read. 0, or
 * -ERANGE: the value is none of the point's.
 */
int write_plan_one(const struct written *written, uint8_t address,
		   struct request *request, uint8_t data[DATA_MAX]) _must_check_;

/* What ends the pulse that write_plan_one() began. */
int write_plan_clear(const struct point *point, uint8_t address, struct request *request,
		     uint8_t data[DATA_MAX]) _must_check_;

/* Whether the point may be written together with others, by function 15 or 16. */
bool write_plan_is_shared(const struct point *point);

/*
 * Makes the run of registers or bits [*first, *end) longer by the point, where it stands right
 * before or behind them and the map's batch has room; false: it does not.
 */
bool write_plan_join(const struct batch *batch, const struct point *point,
		     unsigned *first, unsigned *end);

/* The same as write_plan_one() for several that make one run, in any order. */
int write_plan_many(const struct written *written, size_t count, uint8_t address,
		    struct request *request, uint8_t data[DATA_MAX]) _must_check_;
