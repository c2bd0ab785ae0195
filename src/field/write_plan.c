/* SPDX-License-Identifier: Apache-2.0 */
/* write_plan.c - values to the requests that write them: one point, or several side by side. */
#include "field/write_plan.h"

#include "config/writing.h"
#include "drivers/modbus.h"
#include "drivers/raw.h"

#include <errno.h>
#include <string.h>

enum {
	/* MODBUS Application Protocol V1.1b3, 6.11 and 6.12. */
	COILS_MOST = 1968,
	REGISTERS_MOST = 123,
};

bool write_plan_reads_first(const struct point *point)
{
	return point->bit_count && point->write_function != MODBUS_MASK_REGISTER;
}

void write_plan_read(const struct point *point, uint8_t address, struct request *request)
{
	*request = (struct request){
		.address = address,
		.table = point->table,
		.first = point->addr,
		.count = (uint16_t)point_span(point),
	};
}

static uint8_t function_of(const struct point *point)
{
	if (point->write_function)
		return point->write_function;
	if (point->table == TABLE_COIL)
		return MODBUS_WRITE_COIL;
	return point_span(point) == 1 ? MODBUS_WRITE_REGISTER : MODBUS_WRITE_REGISTERS;
}

/* A coil as its function has it. */
static void put_coil(uint8_t function, bool on, uint8_t data[DATA_MAX])
{
	data[0] = on ? function == MODBUS_WRITE_COIL ? 0xFF : 1 : 0;
	data[1] = 0;
}

/*
 * The mask keeps the bits in which a register of all zeros and one of all ones, both with the
 * value in them, differ.
 */
static int put_mask(const struct written *written, uint8_t data[DATA_MAX])
{
	uint8_t ones[2] = {0xFF, 0xFF}, zeros[2] = {0, 0};

	if (raw_put(written->point, &written->value, zeros) < 0 ||
	    raw_put(written->point, &written->value, ones) < 0)
		return -ERANGE;
	for (size_t i = 0; i < 2; i++) {
		data[i] = zeros[i] ^ ones[i];
		data[i + 2] = zeros[i];
	}
	return 0;
}

/* Whether the coil is to be on: 1 or 0, or -ERANGE. */
static int coil_of(const struct written *written)
{
	uint8_t byte = 0;

	return raw_put(written->point, &written->value, &byte) < 0 ? -ERANGE : byte & 1;
}

static int put_value(const struct written *written, uint8_t function,
		     uint8_t data[DATA_MAX])
{
	int coil;

	if (function == MODBUS_MASK_REGISTER)
		return put_mask(written, data);
	if (written->point->table != TABLE_COIL)
		return raw_put(written->point, &written->value, data);
	coil = coil_of(written);
	if (coil < 0)
		return coil;
	put_coil(function, coil, data);
	return 0;
}

static int plan(const struct written *written, uint8_t address, struct request *request,
		uint8_t data[DATA_MAX])
{
	write_plan_read(written->point, address, request);
	request->function = function_of(written->point);
	request->data = data;
	return put_value(written, request->function, data);
}

/* The relay board's own pulse: function 5 with the time in its units. */
static void plan_flash(const struct point *point, uint8_t address,
		       struct request *request, uint8_t data[DATA_MAX])
{
	uint64_t units = point->write_pulse_us / point->write_flash.unit_us;

	*request = (struct request){
		.address = address,
		.table = TABLE_COIL,
		.first = point->write_flash.addr,
		.count = 1,
		.function = MODBUS_WRITE_COIL,
		.data = data,
	};
	data[0] = (uint8_t)(units >> 8);
	data[1] = (uint8_t)units;
}

int write_plan_one(const struct written *written, uint8_t address,
		   struct request *request, uint8_t data[DATA_MAX])
{
	if (written->point->write_pulse_us && written->point->write_flash.unit_us) {
		plan_flash(written->point, address, request, data);
		return 0;
	}
	return plan(written, address, request, data);
}

int write_plan_clear(const struct point *point, uint8_t address, struct request *request,
		     uint8_t data[DATA_MAX])
{
	const struct written off = {point, {.kind = VALUE_BOOL, .u = 0}};

	return plan(&off, address, request, data);
}

bool write_plan_is_shared(const struct point *point)
{
	uint8_t function = point->write_function;

	return !writing_is_action(point) && writing_is_repeatable(point) &&
	       !point->bit_count &&
	       (!function || function == MODBUS_WRITE_COILS ||
		function == MODBUS_WRITE_REGISTERS);
}

bool write_plan_join(const struct batch *batch, const struct point *point,
		     unsigned *first, unsigned *end)
{
	unsigned span = point_span(point), most = batch->registers;

	if (point->table == TABLE_COIL)
		most = most * 16 < COILS_MOST ? most * 16 : COILS_MOST;
	else if (most > REGISTERS_MOST)
		most = REGISTERS_MOST;
	if (*end - *first + span > most)
		return false;
	if (point->addr == *end)
		*end += span;
	else if (point->addr + span == *first)
		*first = point->addr;
	else
		return false;
	return true;
}

int write_plan_many(const struct written *written, size_t count, uint8_t address,
		    struct request *request, uint8_t data[DATA_MAX])
{
	unsigned first = UINT16_MAX, end = 0;
	bool coils = written->point->table == TABLE_COIL;

	for (size_t i = 0; i < count; i++) {
		const struct point *point = written[i].point;

		first = point->addr < first ? point->addr : first;
		end = point->addr + point_span(point) > end
			      ? point->addr + point_span(point)
			      : end;
	}
	*request = (struct request){
		.address = address,
		.table = written->point->table,
		.first = (uint16_t)first,
		.count = (uint16_t)(end - first),
		.function = coils ? MODBUS_WRITE_COILS : MODBUS_WRITE_REGISTERS,
		.data = data,
	};
	memset(data, 0, DATA_MAX);
	for (size_t i = 0; i < count; i++) {
		unsigned at = written[i].point->addr - first;
		int r = coils ? coil_of(&written[i])
			      : raw_put(written[i].point, &written[i].value,
					data + 2 * at);

		if (r < 0)
			return r;
		if (coils)
			data[at / 8] |= (uint8_t)(r << at % 8);
	}
	return 0;
}
