// SPDX-License-Identifier: Apache-2.0
/* plan.c - points to requests: the fewest that read them all within the batch limits. */

#include "field/plan.h"

#include "config/bus_config.h"

static int by_place(const void *a, const void *b, void *data)
{
	const struct point *points = data;
	uint16_t i = *(const uint16_t *)a, j = *(const uint16_t *)b;

	if (points[i].table != points[j].table)
		return points[i].table < points[j].table ? -1 : 1;
	if (points[i].addr != points[j].addr)
		return points[i].addr < points[j].addr ? -1 : 1;
	return i < j ? -1 : i > j;
}

static unsigned most_in_one(const struct batch *batch, enum table table)
{
	unsigned bits = batch->registers * 16u;

	if (table == TABLE_COIL || table == TABLE_DISCRETE)
		return bits < BATCH_MAX_BITS ? bits : BATCH_MAX_BITS;
	return batch->registers;
}

/* Makes the request longer so that it reads the point too, where the limits let it. */
static bool join(struct request *request, const struct batch *batch,
		 const struct point *point)
{
	unsigned end = request->first + request->count;
	unsigned point_end = point->addr + point_span(point);

	if (point->table != request->table || point->addr > end + batch->gap)
		return false;
	if (point_end > end)
		end = point_end;
	if (end - request->first > most_in_one(batch, request->table))
		return false;
	request->count = (uint16_t)(end - request->first);
	request->point_count++;
	return true;
}

void plan_sort(const struct point *points, uint16_t *due, size_t due_count)
{
	qsort_r(due, due_count, sizeof(*due), by_place, (void *)points);
}

size_t plan_requests(const struct point *points, const struct batch *batch,
		     uint8_t address, const uint16_t *segment, uint16_t *due,
		     size_t due_count, struct request *requests)
{
	size_t count = 0;

	plan_sort(points, due, due_count);
	for (size_t i = 0; i < due_count; i++) {
		const struct point *point = &points[due[i]];
		bool apart = i == 0 || (segment && segment[due[i]] != segment[due[i - 1]]);

		if (!apart && join(&requests[count - 1], batch, point))
			continue;
		requests[count++] = (struct request){
			.address = address,
			.table = point->table,
			.first = point->addr,
			.count = (uint16_t)point_span(point),
			.point_first = (uint16_t)i,
			.point_count = 1,
		};
	}
	return count;
}

/* Rounded up: who waits for the wire must not be early. */
static uint64_t tenths_us(uint64_t tenths, uint32_t baud, struct serial_format format)
{
	uint64_t bits = tenths * serial_format_bits(format);

	return (bits * 100000 + baud - 1) / baud;
}

uint64_t plan_characters_us(size_t n, uint32_t baud, struct serial_format format)
{
	return tenths_us(n * UINT64_C(10), baud, format);
}

uint64_t plan_silence_us(uint32_t baud, struct serial_format format)
{
	return baud > 19200 ? 1750 : tenths_us(35, baud, format);
}

uint64_t plan_wire_time_us(const struct driver *driver, const struct request *request,
			   uint32_t baud, struct serial_format format)
{
	uint8_t frame[FRAME_MAX];
	size_t n = driver->request(request, frame) + driver->reply_length(request);

	return plan_characters_us(n, baud, format) + 2 * plan_silence_us(baud, format);
}
