// SPDX-License-Identifier: Apache-2.0
/* test_plan.c - points to requests, and what they cost on the wire. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "field/load.h"
#include "field/plan.h"

#include <string.h>

enum { MOST = 64 };

static struct point at(enum table table, uint16_t addr, enum value_type type)
{
	return (struct point){.table = table, .addr = addr, .type = type, .scale = 1};
}

static struct point input(uint16_t addr, enum value_type type)
{
	return at(TABLE_INPUT, addr, type);
}

struct planned {
	uint16_t due[MOST];
	struct request requests[MOST];
	size_t count;
};

/* Plans all points, given in reverse so that the order must come from the plan. */
static void plan(struct planned *planned, const struct point *points, size_t count,
		 struct batch batch, const uint16_t *segment)
{
	for (size_t i = 0; i < count; i++)
		planned->due[i] = (uint16_t)(count - 1 - i);
	planned->count = plan_requests(points, &batch, 7, segment, planned->due, count,
				       planned->requests);
}

static void check_request(const struct request *request, enum table table, unsigned first,
			  unsigned count, unsigned point_first, unsigned point_count)
{
	assert_int_equal(request->address, 7);
	assert_int_equal(request->table, table);
	assert_int_equal(request->first, first);
	assert_int_equal(request->count, count);
	assert_int_equal(request->point_first, point_first);
	assert_int_equal(request->point_count, point_count);
}

static void test_one_request(_unused_ void **state)
{
	const struct point points[] = {input(0x00, TYPE_F32), input(0x06, TYPE_F32),
				       input(0x0C, TYPE_F32)};
	struct planned planned;

	plan(&planned, points, 3, (struct batch){60, 8}, NULL);
	assert_int_equal(planned.count, 1);
	check_request(&planned.requests[0], TABLE_INPUT, 0, 14, 0, 3);
	assert_int_equal(planned.due[0], 0);
	assert_int_equal(planned.due[1], 1);
	assert_int_equal(planned.due[2], 2);
}

/* A hole of `gap` is read through, one more is not. */
static void test_gap(_unused_ void **state)
{
	const struct point points[] = {input(0, TYPE_U16), input(9, TYPE_U16),
				       input(19, TYPE_U16)};
	struct planned planned;

	plan(&planned, points, 3, (struct batch){60, 8}, NULL);
	assert_int_equal(planned.count, 2);
	check_request(&planned.requests[0], TABLE_INPUT, 0, 10, 0, 2);
	check_request(&planned.requests[1], TABLE_INPUT, 19, 1, 2, 1);
}

static void test_registers_limit(_unused_ void **state)
{
	const struct point points[] = {input(0, TYPE_U32), input(2, TYPE_U32),
				       input(4, TYPE_U32), input(6, TYPE_U16)};
	struct planned planned;

	plan(&planned, points, 4, (struct batch){6, 0}, NULL);
	assert_int_equal(planned.count, 2);
	check_request(&planned.requests[0], TABLE_INPUT, 0, 6, 0, 3);
	check_request(&planned.requests[1], TABLE_INPUT, 6, 1, 3, 1);
	plan(&planned, points, 4, (struct batch){5, 0}, NULL);
	assert_int_equal(planned.count, 2);
	check_request(&planned.requests[0], TABLE_INPUT, 0, 4, 0, 2);
	check_request(&planned.requests[1], TABLE_INPUT, 4, 3, 2, 2);
}

static void test_tables_apart(_unused_ void **state)
{
	const struct point points[] = {
		at(TABLE_HOLDING, 0, TYPE_U16), input(0, TYPE_U16),
		at(TABLE_COIL, 0, TYPE_BOOL),   at(TABLE_DISCRETE, 0, TYPE_BOOL),
		at(TABLE_COIL, 1, TYPE_BOOL),
	};
	struct planned planned;

	plan(&planned, points, 5, (struct batch){60, 8}, NULL);
	assert_int_equal(planned.count, 4);
	check_request(&planned.requests[0], TABLE_COIL, 0, 2, 0, 2);
	check_request(&planned.requests[1], TABLE_DISCRETE, 0, 1, 2, 1);
	check_request(&planned.requests[2], TABLE_INPUT, 0, 1, 3, 1);
	check_request(&planned.requests[3], TABLE_HOLDING, 0, 1, 4, 1);
	assert_int_equal(planned.due[0], 2);
	assert_int_equal(planned.due[1], 4);
}

/* Bits: 16 times as many as registers, at most 2000. */
static void test_bits_limit(_unused_ void **state)
{
	struct point points[3] = {at(TABLE_COIL, 0, TYPE_BOOL),
				  at(TABLE_COIL, 31, TYPE_BOOL),
				  at(TABLE_COIL, 32, TYPE_BOOL)};
	struct planned planned;

	plan(&planned, points, 3, (struct batch){2, 100}, NULL);
	assert_int_equal(planned.count, 2);
	check_request(&planned.requests[0], TABLE_COIL, 0, 32, 0, 2);
	points[1].addr = 1999;
	points[2].addr = 2000;
	plan(&planned, points, 3, (struct batch){125, 5000}, NULL);
	assert_int_equal(planned.count, 2);
	check_request(&planned.requests[0], TABLE_COIL, 0, 2000, 0, 2);
}

/* Two points of bits in one register, and one register inside another's two. */
static void test_overlap(_unused_ void **state)
{
	const struct point points[] = {input(4, TYPE_U16), input(4, TYPE_U32),
				       input(5, TYPE_U16), input(6, TYPE_U16)};
	struct planned planned;

	plan(&planned, points, 4, (struct batch){60, 0}, NULL);
	assert_int_equal(planned.count, 1);
	check_request(&planned.requests[0], TABLE_INPUT, 4, 3, 0, 4);
}

/* A point in a segment of its own splits the batch around it. */
static void test_segments(_unused_ void **state)
{
	const struct point points[] = {input(0, TYPE_U16), input(1, TYPE_U16),
				       input(2, TYPE_U16), input(3, TYPE_U16)};
	const uint16_t segment[] = {0, 1, 2, 2};
	struct planned planned;

	plan(&planned, points, 4, (struct batch){60, 8}, segment);
	assert_int_equal(planned.count, 3);
	check_request(&planned.requests[0], TABLE_INPUT, 0, 1, 0, 1);
	check_request(&planned.requests[1], TABLE_INPUT, 1, 1, 1, 1);
	check_request(&planned.requests[2], TABLE_INPUT, 2, 2, 2, 2);
}

static void test_last_address(_unused_ void **state)
{
	const struct point points[] = {input(0xFFFC, TYPE_U32), input(0xFFFE, TYPE_U32)};
	struct planned planned;

	plan(&planned, points, 2, (struct batch){60, 8}, NULL);
	assert_int_equal(planned.count, 1);
	check_request(&planned.requests[0], TABLE_INPUT, 0xFFFC, 4, 0, 2);
	assert_int_equal(plan_requests(points, &(struct batch){60, 8}, 7, NULL,
				       planned.due, 0, planned.requests),
			 0);
}

/* Whatever the points: each is read by exactly one request, and no limit is passed. */
static void test_random_plans(_unused_ void **state)
{
	static const enum value_type types[] = {TYPE_U16, TYPE_U32, TYPE_F64};
	uint32_t random = 1;

	for (int round = 0; round < 2000; round++) {
		struct point points[MOST];
		struct planned planned;
		struct batch batch = {(uint16_t)(4 + round % 122), (uint16_t)(round % 9)};
		size_t covered = 0;

		for (size_t i = 0; i < MOST; i++) {
			random = random * 1664525 + 1013904223; /* Numerical Recipes */
			points[i] = at((enum table)(TABLE_INPUT + (random >> 30 & 1)),
				       (uint16_t)(random >> 16 & 0xFF),
				       types[(random >> 8) % 3]);
		}
		plan(&planned, points, MOST, batch, NULL);
		for (size_t r = 0; r < planned.count; r++) {
			const struct request *request = &planned.requests[r];

			assert_int_equal(request->point_first, covered);
			covered += request->point_count;
			assert_true(request->count <= batch.registers);
			for (size_t i = request->point_first; i < covered; i++) {
				const struct point *point = &points[planned.due[i]];

				assert_int_equal(point->table, request->table);
				assert_true(point->addr >= request->first);
				assert_true(point->addr + point_span(point) <=
					    (unsigned)request->first + request->count);
			}
		}
		assert_int_equal(covered, MOST);
	}
}

static void test_wire_times(_unused_ void **state)
{
	const struct serial_format n = {8, 'N', 1}, e = {8, 'E', 1};
	struct request request = {.address = 1, .table = TABLE_INPUT, .count = 2};

	/* A character of 8N1 has 10 bits, of 8E1 11. */
	assert_int_equal(plan_characters_us(96, 9600, n), 100000);
	assert_int_equal(plan_characters_us(96, 9600, e), 110000);
	assert_int_equal(plan_characters_us(1, 9600, n), 1042);
	assert_int_equal(plan_characters_us(0, 9600, n), 0);

	/* 3.5 characters: 3.645833… ms at 9,600; 1.75 ms above 19,200. */
	assert_int_equal(plan_silence_us(9600, n), 3646);
	assert_int_equal(plan_silence_us(19200, n), 1823);
	assert_int_equal(plan_silence_us(38400, n), 1750);
	assert_int_equal(plan_silence_us(115200, e), 1750);

	/* 8 characters there, 9 back and twice 3.5: 24 characters, 25 ms, 40 polls/s. */
	assert_in_range(plan_wire_time_us(driver_find("modbus"), &request, 9600, n),
			25000, 25002);
	request.count = 125;
	assert_in_range(plan_wire_time_us(driver_find("modbus"), &request, 115200, n),
			26330, 26333);
}

/* 9,600 baud 8N1: 960 characters are a second of the ten that are looked at. */
static void test_load(_unused_ void **state)
{
	const struct bus_config bus = {.baud = 9600, .format = {8, 'N', 1}};
	const uint64_t begin_us = 5 * USEC_PER_SEC;
	struct load load;

	load_init(&load, begin_us);
	assert_true(load_share(&load, begin_us) == 0);
	load_add(&load, &bus, 480, begin_us + USEC_PER_SEC);
	assert_true(load_share(&load, begin_us + 2 * USEC_PER_SEC) == 0);
	load_add(&load, &bus, 480, begin_us + 10 * USEC_PER_SEC);
	assert_true(load_share(&load, begin_us + 10 * USEC_PER_SEC) == 0.1);
	assert_true(load_share(&load, begin_us + 19 * USEC_PER_SEC) == 0.1);
	/* Silence brings it down; more than the wire carries at once is all of it. */
	assert_true(load_share(&load, begin_us + 21 * USEC_PER_SEC) == 0);
	load_add(&load, &bus, 96000, begin_us + 30 * USEC_PER_SEC);
	assert_true(load_share(&load, begin_us + 30 * USEC_PER_SEC) == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_one_request),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_registers_limit),
		cmocka_unit_test(test_tables_apart),
		cmocka_unit_test(test_bits_limit),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_last_address),
		cmocka_unit_test(test_random_plans),
		cmocka_unit_test(test_wire_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
