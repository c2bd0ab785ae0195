// SPDX-License-Identifier: Apache-2.0
/* test_extend.c - maps that extend other maps: what is joined, from where, and what goes wrong. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "config/bus_config.h"
#include "field/driver.h"

#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

/* DIRECTORY/site stands in front of DIRECTORY/shipped, as /etc does of /usr. */
static char directory[64];

static int make_directories(void **state)
{
	char path[80];

	(void)state;
	strcpy(directory, "/tmp/postbus-extend-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, i ? "shipped" : "site");
		if (mkdir(path, 0700) < 0)
			return -1;
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_directories(void **state)
{
	(void)state;
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_map(const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.yaml", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* What is said of the map NAME, with the directory left out; its map where it is right. */
static char *get(const char *name, struct map_library **library, const struct device_map **map)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *meant = NULL;
	char site[80], shipped[80], *told = NULL;
	const char *directories[] = {site, shipped};
	size_t size;
	FILE *out;
	int r;

	snprintf(site, sizeof(site), "%s/site", directory);
	snprintf(shipped, sizeof(shipped), "%s/shipped", directory);
	*library = map_library_new(directories, 2, driver_names());
	*map = NULL;
	r = map_library_get(*library, name, map, &meant, faults);
	assert_int_equal(r < 0, *map == NULL);
	out = open_memstream(&told, &size);
	faults_print(faults, out);
	fclose(out);
	for (char *at = strstr(told, directory); at; at = strstr(at, directory))
		memmove(at, at + strlen(directory) + 1, strlen(at + strlen(directory)));
	return told;
}

static void check_told(const char *name, const char *expected)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	const struct device_map *map;
	_cleanup_free_ char *told = get(name, &library, &map);

	assert_string_equal(told, expected);
	assert_null(map);
}

static const char base[] = "map: family\n"
			   "version: 3\n"
			   "title: A family\n"
			   "driver: modbus\n"
			   "serial: {baud: [2400, 9600], format: 8N1, address: 1}\n"
			   "defaults: {table: input, type: f32}\n"
			   "batch: {registers: 60, gap: 4}\n"
			   "points:\n"
			   "  voltage: {addr: 0, unit: V, every: 1s}\n"
			   "  current: {addr: 6, unit: A}\n"
			   "  power: {addr: 12, unit: W}\n"
			   "examples:\n"
			   "  - {send: '01', receive: '02', points: {voltage: 1}}\n";

static void test_join(_unused_ void **state)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_free_ char *told = NULL;
	const struct device_map *map;

	write_map("shipped/family", base);
	write_map("site/member", "map: member\n"
				 "extends: family\n"
				 "serial: {baud: 19200}\n"
				 "defaults: {every: 30s}\n"
				 "points:\n"
				 "  voltage: {addr: 2}\n"
				 "  current: null\n"
				 "  energy: {addr: 0x0156, unit: kWh}\n");
	told = get("member", &library, &map);
	assert_string_equal(told, "");
	assert_string_equal(map->name, "member");
	assert_string_equal(map->title, "A family");
	assert_int_equal(map->version, 3);
	assert_int_equal(map->baud_count, 1); /* a list is replaced */
	assert_int_equal(map->bauds[0], 19200);
	assert_int_equal(map->address, 1);
	assert_int_equal(map->batch.gap, 4);
	assert_int_equal(map->point_count, 3); /* one overridden, one away, one new, in order */
	assert_string_equal(map->points[0].name, "voltage");
	assert_int_equal(map->points[0].addr, 2);
	assert_string_equal(map->points[0].unit, "V");
	assert_int_equal(map->points[0].every_us, USEC_PER_SEC);
	assert_string_equal(map->points[1].name, "power");
	assert_int_equal(map->points[1].every_us, 30 * USEC_PER_SEC);
	assert_int_equal(map->points[1].type, TYPE_F32);
	assert_string_equal(map->points[2].name, "energy");
	assert_int_equal(map->example_count, 0); /* its own examples prove it */
}

/* A site's map stands in front of the shipped one of its name, and may extend it. */
static void test_override(_unused_ void **state)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_free_ char *told = NULL;
	const struct device_map *map;

	write_map("shipped/family", base);
	write_map("site/family", "map: family\nextends: family\npoints: {power: {every: 2s}}\n");
	told = get("family", &library, &map);
	assert_string_equal(told, "");
	assert_non_null(strstr(map->file, "/site/"));
	assert_int_equal(map->point_count, 3);
	assert_int_equal(map->points[2].every_us, 2 * USEC_PER_SEC);
}

/* What extends the family means the site's, which is the shipped one with a change. */
static void test_member_of_overridden(_unused_ void **state)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_free_ char *told = NULL;
	const struct device_map *map;

	write_map("shipped/family", base);
	write_map("site/family", "map: family\nextends: family\npoints: {power: {every: 2s}}\n");
	write_map("shipped/member", "map: member\nextends: family\npoints: {power: {unit: kW}}\n");
	told = get("member", &library, &map);
	assert_string_equal(told, "");
	assert_int_equal(map->points[2].every_us, 2 * USEC_PER_SEC);
	assert_string_equal(map->points[2].unit, "kW");
}

static void test_chain(_unused_ void **state)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_free_ char *told = NULL;
	const struct device_map *map;

	write_map("shipped/family", base);
	write_map("shipped/b", "map: b\nextends: family\ntitle: B\npoints: {current: {unit: mA}}\n");
	write_map("shipped/c", "map: c\nextends: b\npoints: {current: {addr: 9}}\n");
	told = get("c", &library, &map);
	assert_string_equal(told, "");
	assert_string_equal(map->title, "B");
	assert_int_equal(map->points[1].addr, 9);
	assert_string_equal(map->points[1].unit, "mA");
	assert_int_equal(map->points[1].type, TYPE_F32);
}

/* A fault is told in the file, and at the place, where it stands. */
static void test_places(_unused_ void **state)
{
	write_map("shipped/family", "map: family\n"
				    "driver: modbus\n"
				    "points:\n"
				    "  voltage: {adr: 0}\n"
				    "  current: {addr: 70000}\n");
	write_map("site/member", "map: member\nextends: family\npoints: {voltage: {addr: x}}\n");
	check_told("member",
		   "site/member.yaml:3:26: 'x' is not a whole number such as 342 or 0x0156\n"
		   "shipped/family.yaml:4:13: a point has no key 'adr': did you mean 'addr'?\n"
		   "shipped/family.yaml:5:19: 70000 is out of range, 0 to 65535 can be\n");
	write_map("shipped/family", "map: family\n  driver: [\n");
	check_told("member", "shipped/family.yaml:2:9: not YAML: mapping values are not allowed "
			     "in this context\n");
}

static void test_what_is_not_there(_unused_ void **state)
{
	write_map("site/a", "map: a\nextends: nothing\npoints: {x: {addr: 1}}\n");
	check_told("a", "site/a.yaml:2:10: there is no other map 'nothing' to extend\n");
	write_map("site/a", "map: a\nextends: ../a\npoints: {x: {addr: 1}}\n");
	check_told("a", "site/a.yaml:2:10: extends takes the name of another map\n");
	write_map("site/a", "map: a\nextends: [b]\n");
	check_told("a", "site/a.yaml:2:10: extends takes the name of another map\n");
	/* Never itself. */
	write_map("site/a", "map: a\nextends: a\n");
	check_told("a", "site/a.yaml:2:10: there is no other map 'a' to extend\n");
}

static void test_circle(_unused_ void **state)
{
	write_map("site/a", "map: a\nextends: b\n");
	write_map("site/b", "map: b\nextends: a\n");
	write_map("shipped/a", "map: a\nextends: b\n");
	check_told("a", "site/a.yaml:2:10: maps extend each other in a circle, or more than 8 "
			"deep\n");
}

/* Small files, of which aliases make much: joined key by key it would take forever. */
static void test_laughter(_unused_ void **state)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_free_ char *told = NULL, *text = NULL;
	const struct device_map *map;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fputs("map: a\ndriver: modbus\n", out);
	fputs("k0: &a {", out);
	for (unsigned i = 0; i < 2000; i++)
		fprintf(out, "x%u: 1, ", i);
	fputs("}\nk1: &b {", out);
	for (unsigned i = 0; i < 2000; i++)
		fprintf(out, "x%u: *a, ", i);
	fputs("}\n", out);
	for (unsigned i = 2; i < 2000; i++)
		fprintf(out, "k%u: *b\n", i);
	fputs("extends: b\n", out);
	fclose(out);
	write_map("site/a", text);
	memcpy(strstr(text, "map: a"), "map: b", 6);
	*strstr(text, "extends: b") = '\0';
	write_map("site/b", text);
	told = get("a", &library, &map);
	assert_null(map);
	assert_non_null(strstr(told, "the two together are too large"));
}

#define extend_test(name) \
	cmocka_unit_test_setup_teardown(name, make_directories, remove_directories)

int main(void)
{
	const struct CMUnitTest tests[] = {
		extend_test(test_join),	       extend_test(test_override),
		extend_test(test_member_of_overridden),
		extend_test(test_chain),       extend_test(test_places),
		extend_test(test_what_is_not_there), extend_test(test_circle),
		extend_test(test_laughter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
