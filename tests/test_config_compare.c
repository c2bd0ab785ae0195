/* SPDX-License-Identifier: Apache-2.0 */
/* test_config_compare.c - what counts as a change where files are read a second time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config.h"
#include "config/conf_keys.h"

#include <ftw.h>
#include <string.h>

static const char *const driver_names[] = { "modbus", "text", "frame", NULL };

static char directory[] = "/tmp/postbus-compare-XXXXXX";

static int remove_one(const char *path, _unused_ const struct stat *stat_, _unused_ int type,
		      _unused_ struct FTW *ftw)
{
	return remove(path);
}

static int make_directory(void **state)
{
	(void)state;
	strcpy(strrchr(directory, '-') + 1, "XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static char *write_file(const char *name, const char *text)
{
	_cleanup_fclose_ FILE *out = NULL;
	char *path;

	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	out = fopen(path, "we");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	return path;
}

/* --- postbus.conf --- */

static struct conf *load_conf(const char *text)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *path = write_file("postbus.conf", text);
	struct conf *conf = NULL;
	int r = conf_load(path, &conf, faults);

	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	return conf;
}

static void note(void *data, const char *name, enum conf_change change)
{
	static const char *const words[] = {
		[CONF_RESTART] = "restart", [CONF_LINK] = "link", [CONF_BUSES] = "buses",
		[CONF_NOW] = "now",
	};
	size_t length = strlen(data);

	snprintf((char *)data + length, 1024 - length, "%s=%s ", name, words[change]);
}

static void check_changes(const char *before, const char *after, const char *wanted)
{
	_cleanup_(conf_freep) struct conf *old = load_conf(before), *new = load_conf(after);
	char told[1024] = "";

	conf_compare(old, new, note, told);
	assert_string_equal(told, wanted);
}

static void what_says_the_same_is_no_change(void **state)
{
	(void)state;
	check_changes("gateway = \"barn\";\n",
		      "# the same, with its defaults\n"
		      "broker: { port = 1883; keepalive = \"30000ms\";\n"
		      "\tclient_id = \"postbus-barn\"; };\n"
		      "publish: { qos = 1; topic = \"{gateway}/{device}\"; };\n"
		      "spool: { max_size = \"262144K\"; };\n"
		      "gateway = \"barn\";\n", "");
}

static void each_change_says_what_it_takes(void **state)
{
	(void)state;
	check_changes("gateway = \"barn\";\n"
		      "broker: { client_id = \"x\"; tls: { ca = \"/a\"; }; };",
		      "gateway = \"shed\"; buses = \"/b\"; maps = [ \"/m\" ];\n"
		      "broker: { client_id = \"x\"; host = \"other\"; inflight = 7;\n"
		      "\tusername = \"u\"; password_file = \"/p\"; port = 8883;\n"
		      "\ttls: { ca = \"/b\"; }; reconnect: { first = \"2s\"; }; };\n"
		      "publish: { qos = 2; retain = true; expiry = \"1d\"; };\n"
		      "spool: { directory = \"/s\"; sync = \"always\"; max_size = \"1M\";\n"
		      "\torder = \"live-first\"; drain_rate = 5; when_full = \"drop-newest\"; };",
		      "gateway=restart buses=now maps=now broker.host=link "
		      "broker.inflight=link broker.username=link broker.password_file=link "
		      "broker.tls.ca=link broker.reconnect.first=now publish.qos=buses "
		      "publish.retain=buses publish.expiry=now spool.directory=restart "
		      "spool.max_size=now spool.when_full=now spool.sync=restart "
		      "spool.order=link spool.drain_rate=now ");
}

static void a_group_that_says_something_by_itself(void **state)
{
	(void)state;
	check_changes("gateway = \"barn\"; broker: { port = 8883; };",
		      "gateway = \"barn\"; broker: { port = 9; };",
		      "broker.port=link broker.tls=link ");
	check_changes("gateway = \"barn\"; maps = [ \"/a\", \"/b\" ];",
		      "gateway = \"barn\"; maps = [ \"/b\", \"/a\" ];", "maps=now ");
}

/* --- buses and maps --- */

#define MAP                                                                          \
	"map: m\n"                                                                   \
	"driver: modbus\n"                                                           \
	"points:\n"                                                                  \
	"  a: {addr: 0, table: input, type: u16, every: 1s}\n"                       \
	"  b: {addr: 1, table: input, type: u16, every: 1s, values: {0: off, 1: on}}\n"
#define BUS                         \
	"bus: cellar\n"             \
	"port: /dev/ttyUSB0\n"      \
	"devices:\n"                \
	"  - {name: d, map: m, address: 1}\n"

/* The map library is gone by the time that it is looked at. */
static struct bus_config *load_bus(const char *bus_text, const char *map_text)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	const char *const maps[] = { directory };
	_cleanup_(map_library_freep) struct map_library *library =
		map_library_new(maps, 1, driver_names);
	_cleanup_free_ char *path = write_file("bus.yaml", bus_text);
	struct bus_config *bus = NULL;
	int r;

	free(write_file("m.yaml", map_text));
	r = bus_config_load(path, library, &bus, faults);
	faults_print(faults, stderr);
	assert_int_equal(r, 0);
	return bus;
}

static bool is_same_as(const struct bus_config *bus, const char *bus_text, const char *map_text)
{
	_cleanup_(bus_config_freep) struct bus_config *other = load_bus(bus_text, map_text);

	assert_string_equal(other->devices[0].map->name, "m");
	return bus_config_is_same(bus, other);
}

static void comments_and_layout_are_no_change(void **state)
{
	_cleanup_(bus_config_freep) struct bus_config *bus = load_bus(BUS, MAP);

	(void)state;
	assert_true(is_same_as(bus, BUS, MAP));
	assert_true(is_same_as(bus, "# cellar\n" BUS "# end\n", "\n\n" MAP "# end\n"));
	assert_true(is_same_as(bus,
			       "bus:   cellar\n"
			       "port: /dev/ttyUSB0\n"
			       "devices: [{name: d, map: m, address: 1}]\n", MAP));
}

static void each_word_is_a_change(void **state)
{
	static const char *const others[] = {
		"bus: cellar\nport: /dev/ttyUSB1\ndevices:\n  - {name: d, map: m, address: 1}\n",
		"bus: cellar\nport: /dev/ttyUSB0\ndevices:\n  - {name: e, map: m, address: 1}\n",
		"bus: cellar\nport: /dev/ttyUSB0\ndevices:\n  - {name: d, map: m, address: 2}\n",
		BUS "retries: 1\n",
		BUS "  - {name: e, map: m, address: 2}\n",
		("bus: cellar\nport: /dev/ttyUSB0\ndevices:\n"
		 "  - {name: d, map: m, address: 1, points: {a: {every: 2s}}}\n"),
	};
	_cleanup_(bus_config_freep) struct bus_config *bus = load_bus(BUS, MAP);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(is_same_as(bus, others[i], MAP));
}

static void a_change_of_a_map_is_one_of_the_bus(void **state)
{
	_cleanup_(bus_config_freep) struct bus_config *bus = load_bus(BUS, MAP);

	(void)state;
	assert_false(is_same_as(bus, BUS, MAP "  c: {addr: 2, table: input, type: u16}\n"));
	/* Text in quotes is another value than the bare word. */
	assert_false(is_same_as(bus, BUS,
				"map: m\n"
				"driver: modbus\n"
				"points:\n"
				"  a: {addr: 0, table: input, type: u16, every: 1s}\n"
				"  b: {addr: 1, table: input, type: u16, every: 1s, "
				"values: {0: \"off\", 1: on}}\n"));
}

static void a_change_of_what_a_map_extends_too(void **state)
{
	static const char extending[] = "map: m\nextends: other\n";
	_cleanup_(bus_config_freep) struct bus_config *bus = NULL;

	(void)state;
	free(write_file("other.yaml",
			"map: other\ndriver: modbus\npoints:\n"
			"  a: {addr: 0, table: input, type: u16}\n"));
	bus = load_bus(BUS, extending);
	assert_true(is_same_as(bus, BUS, extending));
	free(write_file("other.yaml",
			"map: other\ndriver: modbus\npoints:\n"
			"  a: {addr: 7, table: input, type: u16}\n"));
	assert_false(is_same_as(bus, BUS, extending));
}

#define in_a_directory(name) \
	cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_directory(what_says_the_same_is_no_change),
		in_a_directory(each_change_says_what_it_takes),
		in_a_directory(a_group_that_says_something_by_itself),
		in_a_directory(comments_and_layout_are_no_change),
		in_a_directory(each_word_is_a_change),
		in_a_directory(a_change_of_a_map_is_one_of_the_bus),
		in_a_directory(a_change_of_what_a_map_extends_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
