/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - points to requests: the fewest that read them all within the batch limits. */
#pragma once

#include "field/driver.h"

/* Sorts `due`, indices into `points`, by table and address. */
void plan_sort(const struct point *points, uint16_t *due, size_t due_count);

/*
 * Sorts `due` and writes the requests that read them, at most `due_count`. Neighbours share a
 * request while it stays within `batch->registers`, no hole is larger than `batch->gap`, and
 * they are of one segment (`segment` is indexed like `points`; NULL: there is but one). Each
 * request's slice is of the sorted `due`. Returns the number of requests.
 */
size_t plan_requests(const struct point *points, const struct batch *batch, uint8_t address,
		     const uint16_t *segment, uint16_t *due, size_t due_count,
		     struct request *requests);

/*
 * Time that one request and its answer take on the wire, with the two silences around them,
 * in microseconds, for a device that answers at once.
 */
uint64_t plan_wire_time_us(const struct driver *driver, const struct request *request,
			   uint32_t baud, struct serial_format format);

/*
 * The silence that frames are told apart by: 3.5 characters, or 1.75 ms above 19,200 baud
 * (MODBUS over Serial Line V1.02, 2.5.1.1).
 */
uint64_t plan_silence_us(uint32_t baud, struct serial_format format);
/* The time that `n` characters take. */
uint64_t plan_characters_us(size_t n, uint32_t baud, struct serial_format format);
