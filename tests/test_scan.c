/* SPDX-License-Identifier: Apache-2.0 */
/* test_scan.c - the verb `scan`: what is found on a simulated bus, and how long that takes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "config/identity.h"
#include "fake_time.h"
#include "tools/simulator.h"
#include "tools/tools.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { DEVICES = 10 };

static const uint8_t addresses[DEVICES] = {1, 2, 5, 17, 31, 32, 100, 200, 246, 247};

struct fixture {
	char maps_directory[512], directory[32], output[65536];
	sd_event *loop;
	struct map_library *library;
	struct faults *faults;
	struct simulator *simulator;
	uint64_t took_us;
};

static const struct device_map *map(struct fixture *f, const char *name)
{
	_cleanup_free_ char *suggestion = NULL;
	const struct device_map *found = NULL;

	assert_int_equal(map_library_get(f->library, name, &found, &suggestion, f->faults), 0);
	return found;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *directories[] = {f->maps_directory};

	*state = f;
	snprintf(f->maps_directory, sizeof(f->maps_directory), "%s/devices",
		 getenv("POSTBUS_SOURCE"));
	strcpy(f->directory, "/tmp/test_scan.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	f->library = map_library_new(directories, 1, driver_names());
	f->faults = faults_new();
	assert_return_code(sd_event_new(&f->loop), 0);
	fake_time_also(f->loop);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fake_time_also(NULL);
	simulator_free(f->simulator);
	sd_event_unref(f->loop);
	map_library_free(f->library);
	faults_free(f->faults);
	rmdir(f->directory);
	free(f);
	return 0;
}

static void start_simulator(struct fixture *f, uint32_t baud)
{
	assert_int_equal(simulator_new(f->loop, NULL, baud, (struct serial_format){8, 'N', 1},
				       &f->simulator), 0);
	simulator_heed_speed(f->simulator);
}

/* Meters that say what they are, and sensors that do not, in turn. */
static void add_devices(struct fixture *f)
{
	for (size_t i = 0; i < DEVICES; i++)
		assert_int_equal(simulator_add(f->simulator,
					       map(f, i % 2 ? "xy-md02" : "eastron-sdm72d-m-2"),
					       addresses[i]), 0);
}

static void add_fault(struct fixture *f, const char *text)
{
	struct fault_plan plan;

	assert_true(fault_plan_parse(text, &plan));
	assert_int_equal(simulator_add_fault(f->simulator, &plan), 0);
}

/* Runs the verb with these arguments (up to NULL); its exit status, and what it printed. */
static int scan(struct fixture *f, ...)
{
	char *argv[24] = {"scan", (char *)simulator_path(f->simulator), "--maps",
			  f->maps_directory};
	char file[64];
	_cleanup_close_ int out = dup(STDOUT_FILENO), to = -1;
	uint64_t begin_us = clock_monotonic_us();
	va_list arguments;
	int argc = 4, r;
	ssize_t n;

	va_start(arguments, f);
	while ((argv[argc] = va_arg(arguments, char *)))
		argc++;
	va_end(arguments);
	snprintf(file, sizeof(file), "%s/out", f->directory);
	to = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fflush(stdout);
	dup2(to, STDOUT_FILENO);
	optind = 0;
	r = tool_scan(argc, argv);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	n = pread(to, f->output, sizeof(f->output) - 1, 0);
	assert_true(n >= 0);
	f->output[n] = '\0';
	unlink(file);
	f->took_us = clock_monotonic_us() - begin_us;
	return r;
}

static void check_finding(const cJSON *item, uint8_t address, uint32_t baud, const char *map)
{
	const cJSON *maps = cJSON_GetObjectItem(item, "maps");

	assert_int_equal(cJSON_GetObjectItem(item, "address")->valueint, address);
	assert_int_equal(cJSON_GetObjectItem(item, "baud")->valueint, baud);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(item, "format")), "8N1");
	assert_int_equal(cJSON_GetArraySize(maps), map != NULL);
	if (map)
		assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(maps, 0)), map);
}

/* Ten devices at a speed that is tried third, and the meters among them by name. */
static void test_all_are_found(void **state)
{
	struct fixture *f = *state;
	cJSON *found;

	start_simulator(f, 115200);
	add_devices(f);
	assert_int_equal(scan(f, "--json", NULL), 0);
	found = cJSON_Parse(f->output);
	assert_int_equal(cJSON_GetArraySize(found), DEVICES);
	for (int i = 0; i < DEVICES; i++)
		check_finding(cJSON_GetArrayItem(found, i), addresses[i], 115200,
			      i % 2 ? NULL : "eastron-sdm72d-m-2");
	cJSON_Delete(found);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
	/* 247 addresses at each of three speeds. */
	assert_true(f->took_us < 3 * 25 * USEC_PER_SEC);
}

static void test_for_people(void **state)
{
	struct fixture *f = *state;

	start_simulator(f, 9600);
	assert_int_equal(simulator_add(f->simulator, map(f, "eastron-sdm630"), 5), 0);
	assert_int_equal(scan(f, "--address", "4-6", NULL), 0);
	assert_string_equal(f->output, "address 5 at 9600 8N1: eastron-sdm630 (Eastron "
				       "SDM630-Modbus three-phase energy meter)\n");
}

/* Whoever answers is there, whatever he says; noise and damaged answers are nobody. */
static void test_any_answer_counts(void **state)
{
	struct fixture *f = *state;

	start_simulator(f, 9600);
	assert_int_equal(simulator_add(f->simulator, map(f, "xy-md02"), 1), 0);
	assert_int_equal(simulator_add(f->simulator, map(f, "xy-md02"), 2), 0);
	assert_int_equal(simulator_add(f->simulator, map(f, "xy-md02"), 3), 0);
	assert_int_equal(simulator_add(f->simulator, map(f, "xy-md02"), 4), 0);
	add_fault(f, "exception=1@1");
	add_fault(f, "noise@2");
	add_fault(f, "silent@3");
	assert_int_equal(scan(f, "--address", "1-4", NULL), 0);
	assert_non_null(strstr(f->output, "address 1 at 9600"));
	assert_null(strstr(f->output, "address 2 "));
	assert_null(strstr(f->output, "address 3 "));
	assert_non_null(strstr(f->output, "address 4 at 9600"));
}

static void test_nobody_is_there(void **state)
{
	struct fixture *f = *state;

	start_simulator(f, 9600);
	assert_int_equal(simulator_add(f->simulator, map(f, "xy-md02"), 9), 0);
	assert_int_equal(scan(f, "--baud", "19200,38400", "--format", "8N1", NULL), 1);
	assert_string_equal(f->output, "");
	assert_int_equal(simulator_stats(f->simulator).requests, 0);
}

static void test_wrong_usage(void **state)
{
	struct fixture *f = *state;

	start_simulator(f, 9600);
	assert_int_equal(scan(f, "--address", "0-5", NULL), 2);
	assert_int_equal(scan(f, "--address", "9-5", NULL), 2);
	assert_int_equal(scan(f, "--baud", "9600,fast", NULL), 2);
	assert_int_equal(scan(f, "--format", "9N1", NULL), 2);
}

/* --- identify: in a map --- */

static struct device_map *parse(const char *identify, struct faults *faults)
{
	_cleanup_free_ char *text = NULL;
	struct device_map *parsed = NULL;

	assert_true(asprintf(&text, "map: m\ndriver: modbus\nbase: 1\nidentify: %s\n"
			     "points: {p: {addr: 1}}\n", identify) > 0);
	(void)!device_map_parse("m.yaml", text, strlen(text), driver_names(), &parsed, faults);
	return parsed;
}

static void test_identities(_unused_ void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(device_map_freep) struct device_map *code = NULL, *text = NULL;
	uint8_t data[8];

	code = parse("{table: input, addr: 12, is: [71, 0x102]}", faults);
	assert_int_equal(code->identity.table, TABLE_INPUT);
	assert_int_equal(code->identity.addr, 11); /* counted from 1 */
	assert_int_equal(identity_registers(&code->identity), 1);
	assert_true(identity_fits(&code->identity, (uint8_t[]){0, 71}, 2));
	assert_true(identity_fits(&code->identity, (uint8_t[]){1, 2}, 2));
	assert_false(identity_fits(&code->identity, (uint8_t[]){1, 71}, 2));
	assert_false(identity_fits(&code->identity, (uint8_t[]){0}, 1));

	text = parse("{addr: 50, is: \"iEM3155\"}", faults);
	assert_int_equal(text->identity.table, TABLE_HOLDING);
	assert_int_equal(identity_registers(&text->identity), 4);
	assert_true(identity_fits(&text->identity, (const uint8_t *)"iEM3155 ", 8));
	assert_false(identity_fits(&text->identity, (const uint8_t *)"iEM3255 ", 8));
	identity_fill(&text->identity, data);
	assert_memory_equal(data, "iEM3155\0", 8);
	assert_int_equal(faults_count(faults), 0);

	assert_null(parse("{addr: 50}", faults));
	assert_null(parse("{addr: 50, is: 70000}", faults));
	assert_null(parse("{addr: 50, is: model}", faults));
	assert_null(parse("{addr: 50, is: 1, table: coil}", faults));
	assert_null(parse("{addr: 0, is: 1}", faults));
	assert_int_equal(faults_count(faults), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_are_found),
		TEST(test_for_people),
		TEST(test_any_answer_counts),
		TEST(test_nobody_is_there),
		TEST(test_wrong_usage),
		cmocka_unit_test(test_identities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
