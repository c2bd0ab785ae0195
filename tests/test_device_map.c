// SPDX-License-Identifier: Apache-2.0
/* test_device_map.c - device maps: what a line means, and what is wrong in a wrong one. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "config/device_map.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

static const char *const driver_names[] = {"modbus", "modbus-ascii", "text", "frame",
					   "obis",   "vedirect",     NULL};

static char *source_file(const char *name)
{
	char *file;

	assert_true(asprintf(&file, "%s/%s", getenv("POSTBUS_SOURCE"), name) > 0);
	return file;
}

static char *read_file(const char *file)
{
	char *text = NULL;
	size_t size = 0;
	FILE *in = fopen(file, "re");

	assert_non_null(in);
	assert_true(getdelim(&text, &size, '\0', in) > 0);
	fclose(in);
	return text;
}

static char *printed(const struct faults *faults)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	faults_print(faults, out);
	fclose(out);
	return text;
}

static struct device_map *parse(const char *text)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct device_map *map = NULL;
	int r = device_map_parse("dir/m.yaml", text, strlen(text), driver_names, &map, faults);

	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	return map;
}

/* A map with this in `defaults:` and these points. */
static struct device_map *with_points(const char *defaults, const char *points)
{
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text, "map: m\ndriver: modbus\ndefaults: {%s}\npoints:\n%s",
			     defaults, points) > 0);
	return parse(text);
}

static void check_order(const struct point *point, const char *bytes)
{
	for (unsigned i = 0; bytes[i]; i++)
		assert_int_equal(point->order[i], bytes[i] - '0');
}

static void test_defaults(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		parse("map: m\ndriver: modbus\npoints: {x: {addr: 7}}\n");
	const struct point *point = &map->points[0];

	assert_string_equal(map->name, "m");
	assert_string_equal(map->file, "dir/m.yaml");
	assert_int_equal(map->version, 1);
	assert_int_equal(map->address, 0);
	assert_int_equal(map->batch.registers, 60);
	assert_int_equal(map->batch.gap, 0);
	assert_int_equal(map->point_count, 1);
	assert_string_equal(point->name, "x");
	assert_int_equal(point->line, 3);
	assert_int_equal(point->column, 10);
	assert_int_equal(point->addr, 7);
	assert_int_equal(point->table, TABLE_HOLDING);
	assert_int_equal(point->type, TYPE_U16);
	assert_int_equal(point->every_us, 10 * USEC_PER_SEC);
	assert_true(point->scale == 1 && point->offset == 0 && point->decimals == 0);
	assert_false(point->has_nan || point->writable || point->total);
	assert_null(point->unit);
	check_order(point, "01");
}

static void test_whole_line(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = with_points(
		"table: input, type: f32, every: 5s, unit: V, scale: 0.5",
		"  a: {addr: 0x156, table: holding, type: i16, scale: 0.01, offset: -40,\n"
		"      unit: °C, class: temperature, every: 1s, deadband: 0.2,\n"
		"      max_silence: 60s, total: true, nan: 0x8000, order: BA,\n"
		"      write: {min: -10, max: 50.5, step: 0.5}}\n"
		"  b: {addr: 2, deadband: 2%}\n");
	const struct point *a = &map->points[0], *b = &map->points[1];

	assert_int_equal(a->addr, 0x156);
	assert_int_equal(a->type, TYPE_I16);
	assert_true(a->scale == 0.01 && a->offset == -40);
	assert_int_equal(a->decimals, 2);
	assert_string_equal(a->unit, "°C");
	assert_string_equal(a->class, "temperature");
	assert_int_equal(a->every_us, USEC_PER_SEC);
	assert_true(a->deadband.amount == 0.2 && !a->deadband.percent);
	assert_int_equal(a->max_silence_us, 60 * USEC_PER_SEC);
	assert_true(a->total && a->has_nan && a->writable);
	assert_int_equal(a->nan, 0x8000);
	check_order(a, "10");
	assert_true(a->has_write_min && a->has_write_max && a->has_write_step);
	assert_true(a->write_min == -10 && a->write_max == 50.5 && a->write_step == 0.5);

	assert_int_equal(b->table, TABLE_INPUT);
	assert_int_equal(b->type, TYPE_F32);
	assert_int_equal(b->every_us, 5 * USEC_PER_SEC);
	assert_string_equal(b->unit, "V");
	assert_true(b->scale == 0.5 && b->decimals == 1);
	assert_true(b->deadband.amount == 2 && b->deadband.percent);
}

static void test_decimals(_unused_ void **state)
{
	static const struct {
		const char *line;
		int decimals;
	} lines[] = {
		{"scale: 1", 0},	  {"scale: 10", 0},	 {"scale: 0.1", 1},
		{"scale: 0.10", 1},	  {"scale: 1e-3", 3},	 {"scale: 0.0625", 4},
		{"scale: 100, offset: 0.25", 2},		 {"offset: -273.15", 2},
		{"scale: 0.001, offset: 0.5", 3},		 {"scale: -0.1", 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_(device_map_freep) struct device_map *map = NULL;
		char points[100];

		snprintf(points, sizeof(points), "  x: {addr: 0, %s}\n", lines[i].line);
		map = with_points("", points);
		if (map->points[0].decimals != lines[i].decimals)
			fail_msg("%s: %d decimals", lines[i].line, map->points[0].decimals);
	}
}

/* ABCD is the order over the wire; order[i] is where the i-th byte of the value stands. */
static void test_orders(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		with_points("order: CDAB", "  a: {addr: 0, type: u32}\n"
					   "  b: {addr: 2, type: u32, order: BADC}\n"
					   "  c: {addr: 4, type: u32, order: DCBA}\n"
					   "  d: {addr: 6, type: f64, order: GHEFCDAB}\n"
					   "  e: {addr: 10, type: f64}\n"
					   "  f: {addr: 14}\n"
					   "  g: {addr: 15, type: 'string[5]', order: BA}\n"
					   "  h: {addr: 20, type: u32, order: CADB}\n");
	static const char *const orders[] = {"2301", "1032", "3210", "67452301",
					     "01234567", "01", "10", "1302"};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		check_order(&map->points[i], orders[i]);
}

static void test_sizes(_unused_ void **state)
{
	static const struct {
		const char *line;
		unsigned size, span;
	} lines[] = {
		{"table: coil", 1, 1},	     {"table: discrete", 1, 1},
		{"type: bool", 2, 1},	     {"type: u8", 2, 1},
		{"type: i16", 2, 1},	     {"type: bcd16", 2, 1},
		{"type: u32", 4, 2},	     {"type: bcd32", 4, 2},
		{"type: f32", 4, 2},	     {"type: u64", 8, 4},
		{"type: f64", 8, 4},	     {"type: 'string[1]'", 2, 1},
		{"type: 'string[5]'", 6, 3}, {"type: 'string[64]'", 64, 32},
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_(device_map_freep) struct device_map *map = NULL;
		char points[100];

		snprintf(points, sizeof(points), "  x: {addr: 0, %s}\n", lines[i].line);
		map = with_points("", points);
		assert_int_equal(point_size(&map->points[0]), lines[i].size);
		assert_int_equal(point_span(&map->points[0]), lines[i].span);
	}
}

static void test_values_and_bits(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = with_points(
		"type: f32, scale: 0.1, deadband: 1",
		"  state: {addr: 0, type: i16, scale: 1, values: {2: auto, 0x1: on, -1: off}}\n"
		"  mode: {addr: 1, type: u16, bits: 4..6}\n"
		"  flag: {addr: 1, type: bool, bits: 15}\n"
		"  relay: {addr: 3, table: coil, write: {}, values: {0: off, 1: on}}\n");
	const struct point *state_ = &map->points[0], *relay = &map->points[3];

	assert_int_equal(state_->value_count, 3);
	assert_int_equal(state_->values[0].value, -1);
	assert_string_equal(state_->values[0].name, "off");
	assert_string_equal(state_->values[1].name, "on");
	assert_int_equal(state_->values[2].value, 2);
	assert_int_equal(map->points[1].bit_low, 4);
	assert_int_equal(map->points[1].bit_count, 3);
	assert_int_equal(map->points[2].bit_low, 15);
	assert_int_equal(map->points[2].bit_count, 1);
	/* A coil is bool, and the defaults for registers do not concern it. */
	assert_int_equal(relay->type, TYPE_BOOL);
	assert_true(relay->scale == 1 && relay->deadband.amount == 0 && relay->decimals == 0);
	assert_true(relay->writable);
}

static void test_nan(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map = with_points(
		"type: i16, nan: -32768",
		"  a: {addr: 0}\n"
		"  b: {addr: 1, type: u32}\n"
		"  c: {addr: 3, type: u64, nan: 0xFFFFFFFFFFFFFFFF}\n"
		"  d: {addr: 7, type: f32, nan: 0x7FC00000}\n"
		"  e: {addr: 9, nan: 0x7FFF}\n");

	assert_true(map->points[0].has_nan);
	assert_int_equal(map->points[0].nan, 0x8000);
	assert_false(map->points[1].has_nan);
	assert_true(map->points[2].nan == UINT64_MAX);
	assert_int_equal(map->points[3].nan, 0x7FC00000);
	assert_int_equal(map->points[4].nan, 0x7FFF);
}

static void test_base(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		parse("map: m\ndriver: modbus\nbase: 1\n"
		      "points: {first: {addr: 1}, last: {addr: 65536}}\n");

	assert_int_equal(map->points[0].addr, 0);
	assert_int_equal(map->points[1].addr, 0xFFFF);
}

static void test_serial_and_examples(_unused_ void **state)
{
	_cleanup_(device_map_freep) struct device_map *map =
		parse("map: m\n"
		      "version: 3\n"
		      "title: A meter\n"
		      "source: \"its document\"\n"
		      "driver: modbus\n"
		      "serial: {baud: [2400, 9600], format: 7E2, address: 247}\n"
		      "batch: {registers: 20, gap: 8}\n"
		      "points: {a: {addr: 0}, b: {addr: 1}}\n"
		      "examples:\n"
		      "  - {send: \"01 0aFf\", receive: \"00\", points: {b: 230.20, a: null}}\n");
	const struct example *example = &map->examples[0];

	assert_int_equal(map->version, 3);
	assert_string_equal(map->title, "A meter");
	assert_string_equal(map->source, "its document");
	assert_string_equal(map->driver, "modbus");
	assert_int_equal(map->baud_count, 2);
	assert_int_equal(map->bauds[0], 2400);
	assert_int_equal(map->format_count, 1);
	assert_int_equal(map->formats[0].data_bits, 7);
	assert_int_equal(map->formats[0].parity, 'E');
	assert_int_equal(map->formats[0].stop_bits, 2);
	assert_int_equal(map->address, 247);
	assert_int_equal(map->batch.registers, 20);
	assert_int_equal(map->batch.gap, 8);
	assert_int_equal(map->example_count, 1);
	assert_int_equal(example->line, 10);
	assert_int_equal(example->column, 5);
	assert_int_equal(example->send_length, 3);
	assert_memory_equal(example->send, "\x01\x0a\xff", 3);
	assert_int_equal(example->value_count, 2);
	assert_int_equal(example->values[0].point, 1);
	assert_string_equal(example->values[0].text, "230.20");
	assert_int_equal(example->values[0].line, 10);
	assert_string_equal(example->values[1].text, "null");
	assert_int_equal(device_map_find(map, "b"), 1);
	assert_int_equal(device_map_find(map, "c"), -ENOENT);
}

/* Every fault of a file is told at once, each at its place. */
static void test_faults(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *file = source_file("tests/data/faulty-map.yaml");
	_cleanup_free_ char *expected_file = source_file("tests/data/faulty-map.expected");
	_cleanup_free_ char *text = read_file(file), *told = NULL;
	_cleanup_free_ char *expected = read_file(expected_file);
	struct device_map *map = NULL;

	assert_int_equal(device_map_parse("faulty-map.yaml", text, strlen(text),
					  driver_names, &map, faults),
			 -EINVAL);
	assert_null(map);
	told = printed(faults);
	assert_string_equal(told, expected);
}

static void check_fault(const char *text, const char *expected)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *told = NULL;
	struct device_map *map = NULL;

	assert_int_equal(device_map_parse("m.yaml", text, strlen(text), driver_names, &map,
					  faults),
			 -EINVAL);
	told = printed(faults);
	assert_string_equal(told, expected);
}

static void test_single_faults(_unused_ void **state)
{
	/* There is not even a tree. */
	check_fault("\n", "m.yaml:1:1: the file is empty\n");
	check_fault("map: m\n", "m.yaml:1:1: the map needs `driver:`\n"
				"m.yaml:1:1: the map needs `points:`\n");
	check_fault("map: m\ndriver: modbus\npoints: {}\n",
		    "m.yaml:3:9: points are 1 to 1000 lines of `name: {addr: …}`\n");
	check_fault("map: m\ndriver: modbus\npoints: [a]\n",
		    "m.yaml:3:9: points are 1 to 1000 lines of `name: {addr: …}`\n");
	check_fault("map: m\ndriver: modbus\nbatch: {registers: 1}\n"
		    "points: {a: {addr: 0, type: u32}}\n",
		    "m.yaml:4:13: takes 2 registers, but batch.registers is 1\n");
	check_fault("map: m\ndriver: modbus\npoints: {a: {addr: 0xFFFF, type: u32}}\n",
		    "m.yaml:3:13: reaches beyond the last address, 0xFFFF\n");
	check_fault("map: m\ndriver: modbus\nbase: 1\npoints: {a: {addr: 0}}\n",
		    "m.yaml:4:20: 0 is out of range, 1 to 65536 can be\n");
}

static void test_override(_unused_ void **state)
{
	static const char text[] = "good: {every: 2s, deadband: 5, scale: 0.01, unit: kV}\n"
				   "bad: {evry: 2s, addr: 3}\n"
				   "none: 5\n";
	_cleanup_(device_map_freep) struct device_map *map = with_points(
		"", "  a: {addr: 3, unit: V, values: {0: x}, write: {}}\n  b: {addr: 4}\n");
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(yaml_document_freep) struct yaml_document *document = NULL;
	_cleanup_free_ char *told = NULL;
	struct point *copy = points_copy(map->points, map->point_count);

	assert_int_equal(yaml_parse("b.yaml", text, strlen(text), &document, faults), 0);
	assert_int_equal(point_override(&copy[0], "b.yaml",
					yaml_get(document->root, "good"), faults),
			 0);
	assert_int_equal(copy[0].every_us, 2 * USEC_PER_SEC);
	assert_true(copy[0].deadband.amount == 5);
	assert_int_equal(copy[0].decimals, 2);
	assert_string_equal(copy[0].unit, "kV");
	assert_int_equal(copy[0].addr, 3);
	assert_string_equal(copy[0].values[0].name, "x");
	assert_string_equal(map->points[0].unit, "V");
	assert_int_equal(point_override(&copy[1], "b.yaml", yaml_get(document->root, "bad"),
					faults),
			 -EINVAL);
	assert_int_equal(point_override(&copy[1], "b.yaml", yaml_get(document->root, "none"),
					faults),
			 -EINVAL);
	told = printed(faults);
	assert_string_equal(told, "b.yaml:2:7: a device's own point has no key 'evry': did "
				  "you mean 'every'?\n"
				  "b.yaml:2:17: a device's own point has no key 'addr'\n"
				  "b.yaml:3:7: a device's own point must be a map "
				  "(`key: value`), not a value\n");
	points_free(copy, map->point_count);
}

static void test_names(_unused_ void **state)
{
	char name[NAME_MAX_LENGTH + 2];

	assert_true(name_is_valid("meter-1_A.b"));
	assert_false(name_is_valid(""));
	assert_false(name_is_valid("a/b"));
	assert_false(name_is_valid("a b"));
	assert_false(name_is_valid("a+"));
	assert_false(name_is_valid("#"));
	assert_false(name_is_valid("ä"));
	memset(name, 'x', sizeof(name));
	name[NAME_MAX_LENGTH] = '\0';
	assert_true(name_is_valid(name));
	name[NAME_MAX_LENGTH] = 'x';
	name[NAME_MAX_LENGTH + 1] = '\0';
	assert_false(name_is_valid(name));
}

/* A point line shared by all points, a hundred faults in each: bounded, not 10^5 faults. */
static void test_shared_faults(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL;
	struct device_map *map = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("map: m\ndriver: modbus\npoints:\n  p0: &p {addr: 0", out);
	for (int i = 0; i < 100; i++)
		fprintf(out, ", k%d: 1", i);
	fputs("}\n", out);
	for (int i = 1; i < 1000; i++)
		fprintf(out, "  p%d: *p\n", i);
	fclose(out);
	assert_int_equal(device_map_parse("m.yaml", text, size, driver_names, &map, faults),
			 -EINVAL);
	assert_int_equal(faults_count(faults), 20);
}

/* What ships is right, says where it is from, and shows it by examples. */
static bool lacks(const struct device_map *map, const char *what, bool has)
{
	if (!has)
		print_error("%s: a map that ships needs %s\n", map->file, what);
	return !has;
}

static void test_shipped(_unused_ void **state)
{
	_cleanup_free_ char *directory = source_file("devices");
	DIR *dir = opendir(directory);
	struct dirent *entry;
	unsigned count = 0, wrong = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		_cleanup_(faults_freep) struct faults *faults = faults_new();
		_cleanup_(device_map_freep) struct device_map *map = NULL;
		_cleanup_free_ char *file = NULL;

		if (!strstr(entry->d_name, ".yaml"))
			continue;
		assert_true(asprintf(&file, "%s/%s", directory, entry->d_name) > 0);
		if (device_map_load(file, driver_names, &map, faults) < 0)
			faults_print(faults, stderr);
		assert_non_null(map);
		wrong += lacks(map, "title", map->title);
		wrong += lacks(map, "source", map->source);
		wrong += lacks(map, "serial.baud", map->baud_count);
		wrong += lacks(map, "serial.format", map->format_count);
		wrong += lacks(map, "serial.address",
			       map->address || map->kind != DRIVER_MODBUS);
		wrong += lacks(map, "a second example", map->example_count >= 2);
		count++;
	}
	closedir(dir);
	assert_int_equal(wrong, 0);
	assert_true(count >= 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_whole_line),
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_values_and_bits),
		cmocka_unit_test(test_nan),
		cmocka_unit_test(test_base),
		cmocka_unit_test(test_serial_and_examples),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_single_faults),
		cmocka_unit_test(test_override),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_shared_faults),
		cmocka_unit_test(test_shipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
