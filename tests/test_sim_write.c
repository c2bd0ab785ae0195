/* SPDX-License-Identifier: Apache-2.0 */
/* test_sim_write.c - what a simulated device takes, shows from then on, counts and refuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/number.h"
#include "drivers/raw.h"
#include "stream.h"
#include "tools/sim_write.h"

static const char map_text[] =
	"map: m\n"
	"driver: modbus\n"
	"points:\n"
	"  relay_1: {addr: 0, table: coil, write: {flash: {addr: 0x200, unit: 100ms}}}\n"
	"  relay_2: {addr: 1, table: coil, write: {}}\n"
	"  relay_3: {addr: 2, table: coil, write: {}}\n"
	"  lamp: {addr: 9, table: coil}\n"
	"  target: {addr: 10, type: i16, scale: 0.1, write: {min: 5, max: 30}}\n"
	"  total: {addr: 11, type: u32, write: {}}\n"
	"  mode: {addr: 13, bits: 4..6, values: {0: off, 1: on, 2: eco}, write: {}}\n"
	"  serial: {addr: 20}\n"
	"  input: {addr: 0, table: input}\n";

struct fixture {
	struct device_map *map;
	struct sim_device device;
	double now_s;
	char told[256]; /* `relay_1=true/1 ` of what was written */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->map = stream_map(map_text);
	assert_int_equal(sim_device_init(&f->device, f->map, 1), 0);
	f->now_s = 1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	sim_device_done(&f->device);
	device_map_free(f->map);
	free(f);
	return 0;
}

static void note(void *data, const struct sim_written *written)
{
	struct fixture *f = data;
	char buffer[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1] = "";
	struct text text = {.data = buffer, .size = sizeof(buffer)};
	size_t used = strlen(f->told);

	number_print(&written->value, &text);
	snprintf(f->told + used, sizeof(f->told) - used, "%s=%s/%u ", written->point->name, buffer,
		 written->on_count);
}

static uint8_t write_to(struct fixture *f, uint8_t function, uint16_t first, uint16_t count,
			const void *bytes)
{
	const struct request request = {
		.address = 1,
		.table = function == 5 || function == 15 ? TABLE_COIL : TABLE_HOLDING,
		.first = first,
		.count = count,
		.function = function,
	};

	*f->told = '\0';
	return sim_device_write(&f->device, &request, bytes, f->now_s, note, f);
}

static void check_shown(struct fixture *f, const char *name, const char *wanted)
{
	const struct point *point = &f->map->points[device_map_find(f->map, name)];
	const struct request request = {
		.table = point->table, .first = point->addr, .count = (uint16_t)point_span(point)};
	char buffer[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1] = "";
	struct text text = {.data = buffer, .size = sizeof(buffer)};
	uint8_t bytes[DATA_MAX];
	struct value value;

	sim_device_fill(&f->device, &request, f->now_s, bytes);
	raw_decode(point, bytes, &value);
	number_print(&value, &text);
	assert_string_equal(buffer, wanted);
}

static void test_written_is_shown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write_to(f, 6, 10, 1, "\x00\xD7"), 0);
	assert_string_equal(f->told, "target=21.5/0 ");
	check_shown(f, "target", "21.5");
	assert_int_equal(write_to(f, 16, 10, 3, "\x00\x64\x00\x01\x00\x02"), 0);
	assert_string_equal(f->told, "target=10/0 total=65538/0 ");
	check_shown(f, "total", "65538");
	f->now_s += 100;
	check_shown(f, "target", "10");
	/* What a test pins stands from then on. */
	assert_int_equal(sim_device_pin(&f->device, "target", 123), 0);
	check_shown(f, "target", "12.3");
	check_shown(f, "total", "65538");
}

static void test_mask(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write_to(f, 6, 13, 1, "\x00\x8F"), 0);
	check_shown(f, "mode", "off");
	/* 6.16: (current AND and-mask) OR (or-mask AND NOT and-mask) */
	assert_int_equal(write_to(f, 22, 13, 1, "\xFF\x8F\x00\x20"), 0);
	assert_string_equal(f->told, "mode=eco/0 ");
	check_shown(f, "mode", "eco");
}

static void test_coils_and_how_often(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write_to(f, 5, 1, 1, "\x00\x00"), 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(write_to(f, 5, 1, 1, "\xFF\x00"), 0);
		/* The same again is not switching it on. */
		assert_int_equal(write_to(f, 5, 1, 1, "\xFF\x00"), 0);
		check_shown(f, "relay_2", "true");
		assert_int_equal(write_to(f, 5, 1, 1, "\x00\x00"), 0);
		check_shown(f, "relay_2", "false");
	}
	assert_string_equal(f->told, "relay_2=false/3 ");
	assert_int_equal(write_to(f, 15, 0, 3, "\x02"), 0);
	check_shown(f, "relay_1", "false");
	check_shown(f, "relay_2", "true");
	check_shown(f, "relay_3", "false");
}

static void test_flash(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write_to(f, 5, 0, 1, "\x00\x00"), 0);
	assert_int_equal(write_to(f, 5, 0x200, 1, "\x00\x07"), 0);
	assert_string_equal(f->told, "relay_1=true/1 ");
	f->now_s += 0.69;
	check_shown(f, "relay_1", "true");
	f->now_s += 0.02;
	check_shown(f, "relay_1", "false");
}

static void test_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(write_to(f, 5, 9, 1, "\xFF\x00"), 2);	     /* lamp is not writable */
	assert_int_equal(write_to(f, 15, 1, 3, "\x07"), 2);	     /* nothing is at 3 */
	assert_int_equal(write_to(f, 5, 1, 1, "\x12\x00"), 3);	     /* neither on nor off */
	assert_int_equal(write_to(f, 6, 20, 1, "\x00\x01"), 2);	     /* serial is not writable */
	assert_int_equal(write_to(f, 16, 10, 0, ""), 3);	     /* a count that its bytes lack */
	assert_int_equal(write_to(f, 6, 10, 1, "\x00\xD7"), 0);
	assert_int_equal(write_to(f, 6, 10, 1, "\x01\x2D"), 3);	     /* 30.1 is above max */
	assert_string_equal(f->told, "");
	check_shown(f, "target", "21.5");
	for (size_t i = 0; i < f->map->point_count; i++)
		f->map->points[i].writable = f->map->points[i].table == TABLE_HOLDING;
	assert_int_equal(write_to(f, 5, 1, 1, "\xFF\x00"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_written_is_shown), TEST(test_mask), TEST(test_coils_and_how_often),
		TEST(test_flash), TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
