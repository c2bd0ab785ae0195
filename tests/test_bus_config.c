// SPDX-License-Identifier: Apache-2.0
/* test_bus_config.c - bus files with the maps that ship, and all files together. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "config/config.h"

#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *const driver_names[] = {"modbus", "text", "frame", "obis", "vedirect", NULL};

/* A directory of the test's own, with buses.d in it. */
struct place {
	char directory[64];
	char *maps; /* the shipped ones */
	struct faults *faults;
	struct map_library *library;
};

static int remove_one(const char *path, _unused_ const struct stat *stat_, _unused_ int type,
		      _unused_ struct FTW *ftw)
{
	return remove(path);
}

static char *path_of(const struct place *place, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", place->directory, name) > 0);
	return path;
}

static int setup(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	_cleanup_free_ char *buses = NULL;

	strcpy(place->directory, "/tmp/postbus-test-XXXXXX");
	assert_non_null(mkdtemp(place->directory));
	buses = path_of(place, "buses.d");
	assert_int_equal(mkdir(buses, 0700), 0);
	assert_true(asprintf(&place->maps, "%s/devices", getenv("POSTBUS_SOURCE")) > 0);
	place->faults = faults_new();
	place->library = map_library_new((const char *const *)&place->maps, 1, driver_names);
	assert_non_null(place->library);
	*state = place;
	return 0;
}

static int teardown(void **state)
{
	struct place *place = *state;

	nftw(place->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	map_library_free(place->library);
	faults_free(place->faults);
	free(place->maps);
	free(place);
	return 0;
}

static void write_file(const struct place *place, const char *name, const char *text)
{
	_cleanup_free_ char *path = path_of(place, name);
	_cleanup_fclose_ FILE *out = fopen(path, "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
}

static char *told(const struct place *place)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	faults_print(place->faults, out);
	fclose(out);
	return text;
}

static struct bus_config *load(struct place *place, const char *text)
{
	_cleanup_free_ char *path = path_of(place, "buses.d/b.yaml");
	struct bus_config *bus = NULL;
	int r;

	write_file(place, "buses.d/b.yaml", text);
	r = bus_config_load(path, place->library, &bus, place->faults);
	faults_print(place->faults, stderr);
	assert_int_equal(r, 0);
	return bus;
}

static void test_whole(void **state)
{
	_cleanup_(bus_config_freep) struct bus_config *bus =
		load(*state, "bus: cellar\n"
			     "port: /dev/ttyUSB0\n"
			     "baud: 19200\n"
			     "format: 8E1\n"
			     "rs485: {mode: rts, echo: true}\n"
			     "timeout: 1s\n"
			     "retries: 0\n"
			     "devices:\n"
			     "  - {name: m, map: eastron-sdm120, address: 7, every: 2s,\n"
			     "     topic: \"{gateway}/x\", full: true,\n"
			     "     points: {power: {every: 500ms, deadband: 5}}}\n");
	const struct device_config *device = &bus->devices[0];

	assert_string_equal(bus->name, "cellar");
	assert_string_equal(bus->port, "/dev/ttyUSB0");
	assert_int_equal(bus->baud, 19200);
	assert_int_equal(bus->format.parity, 'E');
	assert_int_equal(bus->rs485, RS485_RTS);
	assert_true(bus->echo);
	assert_int_equal(bus->timeout_us, USEC_PER_SEC);
	assert_int_equal(bus->retries, 0);
	assert_int_equal(bus->device_count, 1);
	assert_string_equal(device->name, "m");
	assert_int_equal(device->address, 7);
	assert_int_equal(device->line, 9);
	assert_int_equal(device->column, 12);
	assert_string_equal(device->topic, "{gateway}/x");
	assert_true(device->full);
	assert_int_equal(device->point_count, device->map->point_count);
	for (size_t i = 0; i < device->point_count; i++) {
		bool power = !strcmp(device->points[i].name, "power");

		assert_int_equal(device->points[i].every_us,
				 power ? 500 * USEC_PER_MSEC : 2 * USEC_PER_SEC);
		assert_true(!power || device->points[i].deadband.amount == 5);
	}
}

static void test_factory_settings(void **state)
{
	_cleanup_(bus_config_freep) struct bus_config *bus =
		load(*state, "bus: b\nport: /dev/ttyUSB0\ndevices:\n"
			     "  - {name: m, map: eastron-sdm120}\n"
			     "  - {name: c, map: xy-md02, address: 2}\n");

	assert_int_equal(bus->baud, 2400);
	assert_int_equal(bus->format.data_bits, 8);
	assert_int_equal(bus->format.parity, 'N');
	assert_int_equal(bus->format.stop_bits, 1);
	assert_int_equal(bus->rs485, RS485_AUTO);
	assert_false(bus->echo);
	assert_int_equal(bus->timeout_us, 300 * USEC_PER_MSEC);
	assert_int_equal(bus->retries, 2);
	assert_int_equal(bus->devices[0].address, 1);
	assert_null(bus->devices[0].topic);
	assert_false(bus->devices[0].full);
	assert_int_equal(bus->devices[0].points[0].every_us, USEC_PER_SEC);
}

static void test_addresses(void **state)
{
	static const uint8_t addresses[] = {10, 11, 20, 21, 22, 247};
	_cleanup_(bus_config_freep) struct bus_config *bus = load(
		*state, "bus: b\nport: /dev/ttyUSB0\ndevices:\n"
			"  - {name: \"c-{address}.x\", map: xy-md02, address: [10, 11, 20-22, 247]}\n"
			"  - {name: \"one-{address}\", map: xy-md02, address: 5}\n");

	assert_int_equal(bus->device_count, 7);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		char name[32];

		snprintf(name, sizeof(name), "c-%u.x", addresses[i]);
		assert_int_equal(bus->devices[i].address, addresses[i]);
		assert_string_equal(bus->devices[i].name, name);
	}
	assert_string_equal(bus->devices[6].name, "one-5");
	assert_ptr_equal(bus->devices[0].map, bus->devices[6].map);
	assert_ptr_not_equal(bus->devices[0].points, bus->devices[1].points);
}

static void test_format_bits(_unused_ void **state)
{
	/* Start, data, parity, stop: what one character takes on the wire. */
	assert_int_equal(serial_format_bits((struct serial_format){8, 'N', 1}), 10);
	assert_int_equal(serial_format_bits((struct serial_format){8, 'E', 1}), 11);
	assert_int_equal(serial_format_bits((struct serial_format){7, 'O', 2}), 11);
}

/* The name that the file has in its faults is the path that it was read from. */
static char *read_expected(const char *name, const char *path)
{
	_cleanup_free_ char *file = NULL, *line = NULL;
	char *text = NULL;
	size_t size = 0, length;
	FILE *in, *out = open_memstream(&text, &length);

	assert_true(asprintf(&file, "%s/tests/data/%s", getenv("POSTBUS_SOURCE"), name) > 0);
	in = fopen(file, "re");
	assert_non_null(in);
	while (getline(&line, &size, in) > 0)
		fprintf(out, "%s%s", path, strchr(line, ':'));
	fclose(in);
	fclose(out);
	return text;
}

static void test_faults(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *path = NULL, *expected = NULL, *text = NULL;
	struct bus_config *bus = NULL;

	assert_true(asprintf(&path, "%s/tests/data/faulty-bus.yaml",
			     getenv("POSTBUS_SOURCE")) > 0);
	assert_int_equal(bus_config_load(path, place->library, &bus, place->faults), -EINVAL);
	assert_null(bus);
	expected = read_expected("faulty-bus.expected", path);
	text = told(place);
	assert_string_equal(text, expected);
}

/* What is told of a bus with these devices. */
static void check_devices(void **state, const char *devices, const char *expected)
{
	struct place *place = *state;
	_cleanup_free_ char *path = path_of(place, "buses.d/b.yaml"), *text = NULL;
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *said = NULL, *wanted = NULL;
	struct bus_config *bus = NULL;
	size_t size;
	FILE *out = open_memstream(&said, &size);

	assert_true(asprintf(&text, "bus: b\nport: /dev/ttyS0\ndevices:\n%s", devices) > 0);
	write_file(place, "buses.d/b.yaml", text);
	assert_int_equal(bus_config_load(path, place->library, &bus, faults),
			 *expected ? -EINVAL : 0);
	bus_config_free(bus);
	faults_print(faults, out);
	fclose(out);
	assert_true(asprintf(&wanted, "%s%s%s", *expected ? path : "", *expected ? ":" : "",
			     expected) >= 0);
	assert_string_equal(said, wanted);
}

/* Who speaks by himself is alone; who is asked has company that the address tells apart. */
static void test_together(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *directory = path_of(place, "maps");
	const char *directories[2] = {directory, place->maps};

	assert_int_equal(mkdir(directory, 0700), 0);
	map_library_free(place->library);
	place->library = map_library_new(directories, 2, driver_names);
	write_file(place, "maps/probe.yaml", "map: probe\ndriver: text\nrequest: \"{address}?\\r\"\n"
					     "points: {x: {field: 1}}\n");
	check_devices(state, "  - {name: a, map: pms5003}\n", "");
	check_devices(state, "  - {name: a, map: mh-z19}\n", "");
	check_devices(state, "  - {name: 'a{address}', map: probe, address: 1-3}\n", "");
	check_devices(state, "  - {name: a, map: pms5003, address: 1}\n",
		      "4:38: devices of map pms5003 have no address\n");
	check_devices(state, "  - {name: a, map: probe}\n",
		      "4:5: the device needs `address:`, from 1 to 247\n");
	check_devices(state, "  - {name: a, map: pms5003}\n  - {name: b, map: sds011}\n",
		      "4:3: a needs a port of its own: its map pms5003 speaks unasked\n");
	check_devices(state, "  - {name: a, map: mh-z19}\n  - {name: b, map: mh-z19}\n",
		      "4:3: a needs a port of its own: its map mh-z19 has no address\n");
	check_devices(state, "  - {name: a, map: xy-md02}\n  - {name: b, map: nmea-gps}\n",
		      "4:3: b needs a port of its own: its map nmea-gps speaks unasked\n");
	check_devices(state,
		      "  - {name: a, map: probe, address: 1}\n"
		      "  - {name: b, map: xy-md02, address: 2}\n",
		      "4:3: b needs a port of its own: its map xy-md02 is Modbus, others are "
		      "not\n");
}

/* No commands for the bus, for one device, for one point; and how many a second. */
static void test_commands(void **state)
{
	_cleanup_(bus_config_freep) struct bus_config *some = load(
		*state, "bus: b\nport: /dev/ttyS0\ncommand_rate: 2\ndevices:\n"
			"  - {name: a, map: waveshare-relay-8ch, address: 1, commands: false}\n"
			"  - {name: b, map: waveshare-relay-8ch, address: 2, command_rate: 0.5,\n"
			"     points: {relay_3: {write: false}, relay_2: {write: {pulse: 1s}}}}\n");
	_cleanup_(bus_config_freep) struct bus_config *none = load(
		*state, "bus: b\nport: /dev/ttyS0\ncommands: false\ndevices:\n"
			"  - {name: a, map: waveshare-relay-8ch, address: 1, commands: true}\n");
	const struct device_config *a = &some->devices[0], *b = &some->devices[1];

	assert_false(a->commands || a->points[0].writable || a->points[7].writable);
	assert_true(a->command_rate == 2);
	assert_true(b->commands && b->points[0].writable && !b->points[2].writable);
	assert_int_equal(b->points[1].write_pulse_us, USEC_PER_SEC);
	assert_true(b->command_rate == 0.5);
	assert_false(none->devices[0].commands || none->devices[0].points[0].writable);
	assert_true(none->devices[0].command_rate == 10);
	check_devices(state, "  - {name: a, map: xy-md02, command_rate: 0}\n",
		      "4:43: 0 commands a second: 0.01 to 1000 can be\n");
}

static void test_library(void **state)
{
	struct place *place = *state;
	const struct device_map *map, *again;
	char *meant;

	assert_int_equal(map_library_get(place->library, "xy-md02", &map, &meant,
					 place->faults),
			 0);
	assert_int_equal(map_library_get(place->library, "xy-md02", &again, &meant,
					 place->faults),
			 0);
	assert_ptr_equal(map, again);
	assert_null(meant);
	assert_int_equal(map_library_get(place->library, "xy-md20", &map, &meant,
					 place->faults),
			 -ENOENT);
	assert_string_equal(meant, "xy-md02");
	free(meant);
	assert_int_equal(map_library_get(place->library, "something-else", &map, &meant,
					 place->faults),
			 -ENOENT);
	assert_null(meant);
	assert_int_equal(faults_count(place->faults), 0);
}

/* A user's directory goes before the shipped one; a faulty map is told once. */
static void test_library_order(void **state)
{
	struct place *place = *state;
	const char *const directories[] = {place->directory, place->maps};
	_cleanup_(map_library_freep) struct map_library *library =
		map_library_new(directories, 2, driver_names);
	const struct device_map *map;
	char *meant;

	write_file(place, "xy-md02.yaml",
		   "map: xy-md02\ndriver: modbus\npoints: {own: {addr: 0}}\n");
	write_file(place, "bad.yaml", "map: bad\ndriver: modbus\n");
	assert_int_equal(map_library_get(library, "xy-md02", &map, &meant, place->faults), 0);
	assert_string_equal(map->points[0].name, "own");
	for (int i = 0; i < 2; i++)
		assert_int_equal(map_library_get(library, "bad", &map, &meant, place->faults),
				 -EINVAL);
	assert_int_equal(faults_count(place->faults), 1);
}

/* --- all files together --- */

static void write_conf(const struct place *place, const char *more)
{
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text, "gateway = \"barn\"; buses = \"buses.d\";\n"
				    "maps = [ \"%s\" ];\n%s",
			     place->maps, more) > 0);
	write_file(place, "postbus.conf", text);
}

static int load_config(struct place *place, struct config **config)
{
	_cleanup_free_ char *path = path_of(place, "postbus.conf");

	return config_load(path, driver_names, config, place->faults);
}

/* Checks the faults with the test's directory left out of them. */
static void check_told(struct place *place, const char *expected)
{
	_cleanup_free_ char *text = told(place);
	size_t length = strlen(place->directory) + 1;

	for (char *at = text; (at = strstr(at, place->directory));)
		memmove(at, at + length, strlen(at + length) + 1);
	assert_string_equal(text, expected);
}

static void test_config(void **state)
{
	struct place *place = *state;
	_cleanup_(config_freep) struct config *config = NULL;

	write_conf(place, "");
	write_file(place, "buses.d/b.yaml", "bus: second\nport: /dev/ttyUSB1\ndevices:\n"
					    "  - {name: b, map: xy-md02}\n");
	write_file(place, "buses.d/a.yaml", "bus: first\nport: /dev/ttyUSB0\ndevices:\n"
					    "  - {name: a, map: xy-md02}\n");
	write_file(place, "buses.d/c.yaml.disabled", "not: [yaml");
	write_file(place, "buses.d/.d.yaml", "not: [yaml");
	assert_int_equal(load_config(place, &config), 0);
	assert_int_equal(config->bus_count, 2);
	assert_string_equal(config->buses[0]->name, "first");
	assert_string_equal(config->buses[1]->name, "second");
	assert_string_equal(config->conf->gateway, "barn");
	check_told(place, "");
}

static void test_config_twice(void **state)
{
	struct place *place = *state;
	struct config *config = NULL;

	write_conf(place, "");
	write_file(place, "buses.d/a.yaml",
		   "bus: one\nport: /dev/ttyUSB0\ndevices:\n"
		   "  - {name: m, map: xy-md02, address: 1}\n"
		   "  - {name: n, map: xy-md02, address: 2, topic: \"x/{address}\"}\n"
		   "  - {name: m, map: xy-md02, address: 3}\n");
	write_file(place, "buses.d/b.yaml", "bus: one\nport: /dev/ttyUSB0\ndevices:\n"
					    "  - {name: o, map: xy-md02, topic: x/2}\n");
	assert_int_equal(load_config(place, &config), -EINVAL);
	assert_null(config);
	check_told(place,
		   "buses.d/b.yaml:1:1: bus 'one' is in buses.d/a.yaml already\n"
		   "buses.d/b.yaml:1:1: port /dev/ttyUSB0 is bus one's already (buses.d/a.yaml)\n"
		   "buses.d/b.yaml:4:12: topic 'x/2' is that of n already (buses.d/a.yaml, "
		   "line 5)\n"
		   "buses.d/a.yaml:6:12: the name 'm' is another device's already "
		   "(buses.d/a.yaml, line 4)\n");
}

/* What is wrong in each of the files is told in one go. */
static void test_config_all_at_once(void **state)
{
	struct place *place = *state;
	struct config *config = NULL;

	write_conf(place, "spool: { max_sise = \"1M\"; };\n");
	write_file(place, "buses.d/a.yaml", "bus: a\nport: /dev/ttyUSB0\ndevises: []\n");
	write_file(place, "buses.d/b.yaml", "bus: [\n");
	write_file(place, "buses.d/c.yaml", "bus: c\nport: 5\nport: /dev/ttyUSB1\ndevices:\n"
					    "  - {name: x, map: xy-md03}\n");
	assert_int_equal(load_config(place, &config), -EINVAL);
	check_told(place,
		   "postbus.conf:3:10: there is no 'max_sise' here: did you mean 'max_size'?\n"
		   "buses.d/a.yaml:1:1: the bus needs `devices:`\n"
		   "buses.d/a.yaml:3:1: the bus has no key 'devises': did you mean 'devices'?\n"
		   "buses.d/b.yaml:2:1: not YAML: while parsing a flow node, did not find "
		   "expected node content\n"
		   "buses.d/c.yaml:2:7: '5' is no port: a port is a path (/dev/serial/by-id/… keeps "
		   "its name in every socket), usb:VID:PID or tcp://HOST:PORT\n"
		   "buses.d/c.yaml:3:1: 'port' stands twice, first in line 2\n"
		   "buses.d/c.yaml:5:20: there is no map 'xy-md03': did you mean 'xy-md02'?\n");
}

static void test_config_without_buses(void **state)
{
	struct place *place = *state;
	struct config *config = NULL;

	write_conf(place, "");
	assert_int_equal(load_config(place, &config), -EINVAL);
	check_told(place, "buses.d:1:1: no bus: at least one NAME.yaml is needed here\n");
}

/* What ships as an example is right. */
static void test_shipped(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *command = NULL;
	struct config *config = NULL;

	write_conf(place, "");
	assert_true(asprintf(&command, "cp '%s/etc/buses.d/example.yaml' '%s/buses.d/'",
			     getenv("POSTBUS_SOURCE"), place->directory) > 0);
	assert_int_equal(system(command), 0);
	assert_int_equal(load_config(place, &config), 0);
	assert_int_equal(config->buses[0]->device_count, 9);
	config_free(config);
}

/* --- the verb --- */

/* Runs `postbus check` with these arguments; its exit status, and all that it wrote. */
static int check(const struct place *place, const char *arguments, char **text)
{
	_cleanup_free_ char *command = NULL;
	size_t size = 0;
	FILE *in;
	int status;

	assert_true(asprintf(&command, "cd '%s' && '%s' check %s 2>&1", place->directory,
			     getenv("POSTBUS"), arguments) > 0);
	in = popen(command, "re");
	assert_non_null(in);
	*text = NULL;
	if (getdelim(text, &size, '\0', in) < 0)
		**text = '\0';
	status = pclose(in);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_check_config(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *text = NULL;

	write_conf(place, "");
	write_file(place, "buses.d/a.yaml", "bus: cellar\nport: /dev/ttyUSB0\ndevices:\n"
					    "  - {name: c, map: xy-md02, every: 1s}\n");
	assert_int_equal(check(place, "-c postbus.conf", &text), 0);
	/*
	 * A request of 8 characters, an answer of 9, and two silences of 3.5, 10 bits each at
	 * 9600 baud: 25 ms a second.
	 */
	assert_string_equal(text, "bus cellar: 1 device, 1 request, 2.5 % of 9600 8N1\n"
				  "  c (1): input 0x0001, 2 registers, every 1s\n");
}

static void test_check_map(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *text = NULL;

	write_file(place, "m.yaml",
		   "map: m\ndriver: modbus\ndefaults: {table: input, scale: 0.1}\n"
		   "points: {a: {addr: 1}, b: {addr: 2}, c: {addr: 3, type: f32}}\n"
		   "examples:\n"
		   "  - {send: \"01 04 00 01 00 02 20 0B\","
		   " receive: \"01 04 04 01 31 02 22 2A CE\", points: {a: 30.5, b: 54.7}}\n"
		   "  - {send: \"01 04 00 01 00 01 60 0A\","
		   " receive: \"01 04 02 01 31 79 74\", points: {b: 30.5}}\n"
		   "  - {send: \"01 04 00 01 00 01 60 0B\","
		   " receive: \"01 04 02 01 31 79 74\", points: {a: 30.5}}\n"
		   "  - {send: \"01 04 00 01 00 01 60 0A\","
		   " receive: \"01 04 02 01 31 79 75\", points: {a: 30.5}}\n"
		   "  - {send: \"01 04 00 01 00 01 60 0A\","
		   " receive: \"01 84 02 C2 C1\", points: {a: 30.5}}\n"
		   "  - {receive: \"01 04 02 01 31 79 74\", points: {a: 30.5}}\n");
	assert_int_equal(check(place, "m.yaml", &text), 1);
	assert_string_equal(
		text,
		"map m: 3 points, 6 examples\n"
		"m.yaml:6:99: b should be 54.7, but the example's bytes say 54.6\n"
		"m.yaml:7:84: b is input 0x0002, but the example reads input 0x0001 to 0x0001\n"
		"m.yaml:8:5: send is not a whole request that reads: length, function or "
		"checksum is wrong: the checksum would be 60 0A\n"
		"m.yaml:9:5: receive is not the answer to send: checksum: the checksum would be 79 74\n"
		"m.yaml:10:5: receive is not the answer to send: it is an exception\n"
		"m.yaml:11:5: the example needs `send:`, the request that it answers\n");
}

/* What an example says is written has to be what the gateway sends, and be confirmed. */
static void test_check_written(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *text = NULL;

	write_file(place, "m.yaml",
		   "map: m\ndriver: modbus\nbatch: {registers: 4}\npoints:\n"
		   "  relay: {addr: 0, table: coil, write: {}}\n"
		   "  a: {addr: 1, scale: 0.1, write: {max: 50}}\n"
		   "  b: {addr: 2, write: {}}\n"
		   "  part: {addr: 4, bits: 4..6, write: {}}\n"
		   "examples:\n"
		   "  - {send: '01 05 00 00 FF 00 8C 3A', receive: '01 05 00 00 FF 00 8C 3A', write: {relay: on}}\n"
		   "  - {send: '01 06 00 01 00 D7 98 54', receive: '01 06 00 01 00 D7 98 54', write: {a: 21.5}}\n"
		   "  - {send: '01 06 00 01 00 D7 98 54', receive: '01 06 00 01 00 D7 98 54', write: {a: 22}}\n"
		   "  - {send: '01 05 00 00 FF 00 8C 3A', receive: '01 85 02 C3 51', write: {relay: on}}\n"
		   "  - {send: '01 01 00 00 00 01 FD CA', receive: '01 01 01 01 90 48', write: {relay: on}}\n"
		   "  - {send: '01 05 00 00 FF 00 8C 3A', receive: '01 05 00 00 FF 00 8C 3A', write: {a: 51}}\n"
		   "  - {send: '01 06 00 04 80 53 E9 F6', receive: '01 06 00 04 80 53 E9 F6', write: {part: 5}}\n"
		   "  - {send: '01 06 00 04 80 53 E9 F6', receive: '01 06 00 04 80 53 E9 F6', write: {part: 4}}\n");
	assert_int_equal(check(place, "m.yaml", &text), 1);
	assert_string_equal(
		text,
		"map m: 4 points, 8 examples\n"
		"m.yaml:12:5: send is not what writes that, which is 01 06 00 01 00 DC D9 93\n"
		"m.yaml:13:5: receive does not confirm what send writes\n"
		"m.yaml:14:5: send is not a whole request that writes: length, function or "
		"checksum is wrong\n"
		"m.yaml:15:86: 51 is more than 50, the most that a takes\n"
		"m.yaml:17:5: send does not write these bits\n");
}

static void test_check_phrases(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *text = NULL;

	write_file(place, "m.yaml",
		   "map: m\ndriver: text\npoints:\n"
		   "  a: {field: 1, write: {command: \"A={value}\\n\", reply: '^OK'}}\n"
		   "  b: {field: 2, write: {command: \"B={value}\\n\"}}\n"
		   "examples:\n"
		   "  - {receive: \"1,2\\n\", points: {a: 1, b: 2}}\n"
		   "  - {send: \"A=5\\n\", receive: \"OK\\n\", write: {a: 5}}\n"
		   "  - {send: \"B=5\\n\", write: {b: 5}}\n"
		   "  - {send: \"A=5\\n\", receive: \"NO\\n\", write: {a: 5}}\n"
		   "  - {send: \"B=6\\n\", write: {b: 5}}\n"
		   "  - {send: \"A=5\\n\", write: {a: 5, b: 5}}\n");
	assert_int_equal(check(place, "m.yaml", &text), 1);
	assert_string_equal(text, "map m: 2 points, 6 examples\n"
				  "m.yaml:10:5: receive is not what the point's `reply:` knows\n"
				  "m.yaml:11:5: send is not what writes that, which is 42 3D 35 0A\n"
				  "m.yaml:12:5: one point is written at a time\n");
}

/* A float may be one step off what the document says, not two. */
static void test_check_float(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *text = NULL;

	write_file(place, "m.yaml",
		   "map: m\ndriver: modbus\npoints: {v: {addr: 0, table: input, type: f32}}\n"
		   "examples:\n"
		   /* 0x43663333 is the nearest float to 230.2, and these the next two */
		   "  - {send: \"01 04 00 00 00 02 71 CB\","
		   " receive: \"01 04 04 43 66 33 34 1B 38\", points: {v: 230.2}}\n"
		   "  - {send: \"01 04 00 00 00 02 71 CB\","
		   " receive: \"01 04 04 43 66 33 35 DA F8\", points: {v: 230.2}}\n");
	assert_int_equal(check(place, "m.yaml", &text), 1);
	assert_string_equal(text, "map m: 1 point, 2 examples\n"
				  "m.yaml:6:90: v should be 230.2, but the example's bytes say "
				  "230.20003\n");
}

static void test_check_shipped(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *arguments = NULL, *text = NULL;

	assert_true(asprintf(&arguments, "'%s'/*.yaml", place->maps) > 0);
	assert_int_equal(check(place, arguments, &text), 0);
	assert_non_null(strstr(text, "map xy-md02: 2 points, 4 examples\n"));
}

static void test_check_usage(void **state)
{
	struct place *place = *state;
	_cleanup_free_ char *help = NULL, *wrong = NULL, *missing = NULL;

	assert_int_equal(check(place, "--help", &help), 0);
	assert_non_null(strstr(help, "Usage: postbus check"));
	assert_int_equal(check(place, "--hepl", &wrong), 2);
	assert_int_equal(check(place, "-c nowhere.conf", &missing), 1);
	assert_string_equal(missing,
			    "nowhere.conf:1:1: cannot be read: No such file or directory\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole),
		TEST(test_factory_settings),
		TEST(test_addresses),
		TEST(test_format_bits),
		TEST(test_faults),
		TEST(test_together),
		TEST(test_commands),
		TEST(test_library),
		TEST(test_library_order),
		TEST(test_config),
		TEST(test_config_twice),
		TEST(test_config_all_at_once),
		TEST(test_config_without_buses),
		TEST(test_shipped),
		TEST(test_check_config),
		TEST(test_check_map),
		TEST(test_check_float),
		TEST(test_check_written),
		TEST(test_check_phrases),
		TEST(test_check_shipped),
		TEST(test_check_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
