/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - `postbus check`: reads what the user wrote, plays the examples, plans the buses. */
#include "base/checksum.h"
#include "base/units.h"
#include "config/config.h"
#include "field/plan.h"
#include "tools/example.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

enum {
	EXIT_RIGHT = 0,
	EXIT_NOT_SO = 1,
	EXIT_WRONG_USAGE = 2,
	CHECKSUM_TEXT_MAX = 40,
};

static void print_help(FILE *out)
{
	fputs("Usage: postbus check [-c FILE] [MAP.yaml...]\n"
	      "\n"
	      "Reads the configuration and its device maps as `postbus run` would, or the given\n"
	      "maps (and the configuration only if it is named); plays the maps' examples; prints\n"
	      "what is wrong and where, otherwise each bus's planned requests and the share of\n"
	      "its time that they need.\n"
	      "\n"
	      "  -c, --config=FILE  the gateway's configuration (" DEFAULT_CONF ")\n"
	      "  -h, --help         this\n"
	      "\n"
	      "Exit status: 0 all is right, 1 something is not, 2 wrong usage.\n",
	      out);
}

/* --- examples --- */

static bool is_read(const struct request *request, const struct point *point)
{
	return request->table == point->table && point->addr >= request->first &&
	       point->addr + point_span(point) <= request->first + request->count;
}

static void play_value(const struct device_map *map, const struct example_value *example,
		       const struct driver *driver, const struct request *request,
		       const struct reply *reply, struct faults *faults)
{
	const struct point *point = &map->points[example->point];
	struct value value;

	if (!is_read(request, point)) {
		faults_add(faults, map->file, example->line, example->column,
			   "%s is %s 0x%04x, but the example reads %s 0x%04x to 0x%04x",
			   point->name, table_names[point->table], point->addr,
			   table_names[request->table], request->first,
			   request->first + request->count - 1);
		return;
	}
	driver->value(request, reply->data, point, &value);
	example_compare(map, example, &value, faults);
}

static const char *reply_fault(const struct reply *reply, size_t received)
{
	switch (reply->status) {
	case REPLY_OK:
		return reply->length == received ? NULL : "there are bytes behind its end";
	case REPLY_MORE:
		return "it is cut short";
	case REPLY_EXCEPTION:
		return "it is an exception";
	default:
		return reply_status_name(reply->status);
	}
}

/* Of a frame of Modbus RTU with another checksum: what it should be; else nothing. */
static const char *right_checksum(const struct device_map *map, const uint8_t *frame,
				  size_t n, char text[CHECKSUM_TEXT_MAX])
{
	uint16_t crc = n > 2 ? checksum_of(CHECKSUM_CRC16_MODBUS, frame, n - 2) : 0;
	uint8_t low = crc & 0xFF, high = crc >> 8;

	text[0] = '\0';
	if (!strcmp(map->driver, "modbus") && n > 2 &&
	    (frame[n - 2] != low || frame[n - 1] != high))
		snprintf(text, CHECKSUM_TEXT_MAX, ": the checksum would be %02X %02X", low, high);
	return text;
}

static void play_example(const struct device_map *map, const struct example *example,
			 const struct driver *driver, struct faults *faults)
{
	struct request request;
	struct reply reply;
	char checksum[CHECKSUM_TEXT_MAX];
	const char *wrong;
	size_t used = 0;

	if (!example->send) {
		faults_add(faults, map->file, example->line, example->column,
			   "the example needs `send:`, the request that it answers");
		return;
	}
	if (driver->serve(example->send, example->send_length, &request, &used) !=
		    SERVE_REQUEST ||
	    used != example->send_length || request.function) {
		faults_add(faults, map->file, example->line, example->column,
			   "send is not a whole request that reads: length, function or "
			   "checksum is wrong%s",
			   right_checksum(map, example->send, example->send_length, checksum));
		return;
	}
	reply = driver->reply(&request, example->receive, example->receive_length);
	wrong = reply_fault(&reply, example->receive_length);
	if (wrong) {
		faults_add(faults, map->file, example->line, example->column,
			   "receive is not the answer to send: %s%s", wrong,
			   right_checksum(map, example->receive, example->receive_length,
					  checksum));
		return;
	}
	for (size_t i = 0; i < example->value_count; i++)
		play_value(map, &example->values[i], driver, &request, &reply, faults);
}

static void play_map(const struct device_map *map, struct faults *faults)
{
	const struct driver *driver = driver_find(map->driver);

	for (size_t i = 0; i < map->example_count; i++) {
		if (map->examples[i].writes)
			example_play_write(map, &map->examples[i], driver, faults);
		else if (driver->next)
			example_play_stream(map, &map->examples[i], driver, faults);
		else
			play_example(map, &map->examples[i], driver, faults);
	}
}

/* A map that several devices have is played as often: its faults are kept once. */
static void play_used_maps(const struct config *config, struct faults *faults)
{
	for (size_t i = 0; i < config->bus_count; i++) {
		const struct bus_config *bus = config->buses[i];

		for (size_t j = 0; j < bus->device_count; j++) {
			if (!j || bus->devices[j].map != bus->devices[j - 1].map)
				play_map(bus->devices[j].map, faults);
		}
	}
}

/* --- plans --- */

/* What one bus does, added up; the lines are written behind it. */
struct plan {
	const struct bus_config *bus;
	size_t requests;
	double share; /* of the bus's time */
	FILE *lines;
};

static void plan_request(struct plan *plan, const struct device_config *device,
			 const struct request *request, uint64_t every_us)
{
	bool registers = request->table == TABLE_INPUT || request->table == TABLE_HOLDING;
	const struct bus_config *bus = plan->bus;
	char every[32];

	plan->requests++;
	plan->share += (double)plan_wire_time_us(driver_find(device->map->driver), request,
						 bus->baud, bus->format) /
		       (double)every_us;
	fprintf(plan->lines, "  %s (%u): %s 0x%04x, %u %s%s, every %s\n", device->name,
		device->address, table_names[request->table], request->first, request->count,
		registers ? "register" : "bit", request->count == 1 ? "" : "s",
		format_duration(every_us, every, sizeof(every)));
}

/* Points that are due equally often are read together. */
static void plan_group(struct plan *plan, const struct device_config *device,
		       uint64_t every_us, uint16_t *due, struct request *requests)
{
	size_t count = 0;

	for (size_t i = 0; i < device->point_count; i++) {
		if (device->points[i].every_us == every_us)
			due[count++] = i;
	}
	count = plan_requests(device->points, &device->map->batch, device->address, NULL, due,
			      count, requests);
	for (size_t i = 0; i < count; i++)
		plan_request(plan, device, &requests[i], every_us);
}

static bool is_first_of_group(const struct device_config *device, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (device->points[i].every_us == device->points[index].every_us)
			return false;
	}
	return true;
}

/* What speaks by itself has a port to itself; what is asked for all it has, is asked once. */
static void plan_stream(struct plan *plan, const struct device_config *device)
{
	const struct driver *driver = driver_find(device->map->driver);
	uint64_t every_us = device->points[0].every_us;
	uint8_t frame[FRAME_MAX];
	char every[32];
	size_t n = driver->ask(device->map, device->address, frame);

	for (size_t i = 1; i < device->point_count; i++) {
		if (device->points[i].every_us < every_us)
			every_us = device->points[i].every_us;
	}
	format_duration(every_us, every, sizeof(every));
	plan->requests += n > 0;
	if (n)
		fprintf(plan->lines, "  %s: a request of %zu bytes, every %s\n", device->name,
			n, every);
	else
		fprintf(plan->lines, "  %s: speaks unasked, published every %s at most\n",
			device->name, every);
}

static int plan_device(struct plan *plan, const struct device_config *device)
{
	_cleanup_free_ uint16_t *due = calloc(device->point_count, sizeof(*due));
	_cleanup_free_ struct request *requests =
		calloc(device->point_count, sizeof(*requests));

	if (!due || !requests)
		return -ENOMEM;
	if (driver_find(device->map->driver)->next) {
		plan_stream(plan, device);
		return 0;
	}
	for (size_t i = 0; i < device->point_count; i++) {
		if (is_first_of_group(device, i))
			plan_group(plan, device, device->points[i].every_us, due, requests);
	}
	return 0;
}

static int print_plan(const struct bus_config *bus)
{
	_cleanup_free_ char *lines = NULL;
	struct plan plan = {.bus = bus};
	size_t size;
	int r = 0;

	plan.lines = open_memstream(&lines, &size);
	if (!plan.lines)
		return -ENOMEM;
	for (size_t i = 0; i < bus->device_count && !r; i++)
		r = plan_device(&plan, &bus->devices[i]);
	if (fclose(plan.lines) || r < 0)
		return -ENOMEM;
	printf("bus %s: %zu device%s, %zu request%s, %.1f %% of %" PRIu32 " %u%c%u%s\n%s",
	       bus->name, bus->device_count, bus->device_count == 1 ? "" : "s", plan.requests,
	       plan.requests == 1 ? "" : "s", plan.share * 100, bus->baud,
	       bus->format.data_bits, bus->format.parity, bus->format.stop_bits,
	       plan.share > 1 ? ": more than the wire carries, readings will come less often"
			      : "",
	       lines);
	return 0;
}

/* --- the verb --- */

static int check_config(const char *file, struct faults *faults)
{
	_cleanup_(config_freep) struct config *config = NULL;
	int r;

	r = config_load(file, driver_names(), &config, faults);
	if (r < 0)
		return r;
	play_used_maps(config, faults);
	for (size_t i = 0; i < config->bus_count && !r; i++)
		r = print_plan(config->buses[i]);
	return r;
}

static int check_map(const char *file, struct faults *faults)
{
	_cleanup_(device_map_freep) struct device_map *map = NULL;
	int r;

	r = device_map_load(file, driver_names(), &map, faults);
	if (r < 0)
		return r;
	play_map(map, faults);
	printf("map %s: %zu point%s, %zu example%s\n", map->name, map->point_count,
	       map->point_count == 1 ? "" : "s", map->example_count,
	       map->example_count == 1 ? "" : "s");
	return 0;
}

/* The configuration is NULL where none is named. */
static int check(const char *config, char **maps, size_t map_count)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	int r = faults ? 0 : -ENOMEM;

	for (size_t i = 0; i < map_count && r != -ENOMEM; i++) {
		int of_map = check_map(maps[i], faults);

		r = r ? r : of_map;
	}
	if (r != -ENOMEM && (config || !map_count)) {
		int of_config = check_config(config ? config : DEFAULT_CONF, faults);

		r = r ? r : of_config;
	}
	fflush(stdout);
	if (faults)
		faults_print(faults, stderr);
	if (r < 0 && (!faults || !faults_count(faults)))
		fprintf(stderr, "postbus check: %s\n", strerror(-r));
	return r < 0 || faults_count(faults) ? EXIT_NOT_SO : EXIT_RIGHT;
}

int tool_check(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *config = NULL;
	int c;

	optind = 0; /* begin anew: the verb stands where the program's name does */
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'h':
			print_help(stdout);
			return EXIT_RIGHT;
		default:
			print_help(stderr);
			return EXIT_WRONG_USAGE;
		}
	}
	return check(config, argv + optind, argc - optind);
}
