/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read.c - `postbus read`: reads a device once, as a gateway with nothing else on that bus
 * would, and shows what it would publish.
 */
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "config/port_spec.h"
#include "field/bus.h"
#include "field/listener.h"
#include "tools/arguments.h"
#include "tools/tools.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

enum {
	DEFAULT_RETRIES = 2,
	NEVER_S = 24 * 3600, /* no point is asked for twice */
};

#define DEFAULT_TIMEOUT_US (300 * USEC_PER_MSEC)
/* What a device says unasked may be spread over several lines or blocks. */
#define MORE_US (3 * USEC_PER_SEC)
/* Within this time a polled device is asked again that was busy. */
#define SOON_US (60 * USEC_PER_SEC)

static const char value_topic[] = "value";

struct reader {
	const char *maps, *map_word;
	bool json;
	uint64_t wait_us; /* for a device that speaks unasked; 0: as its map says */
	struct bus_config config;
	struct device_config device;
	struct conf conf;

	sd_event *loop;
	struct bus *bus;           /* of a device that is polled … */
	struct listener *listener; /* … or this */
	char **texts;              /* of each point, as published; NULL: not read */
	size_t read;
	uint64_t end_us; /* on CLOCK_MONOTONIC */
};

static void print_help(FILE *out)
{
	fputs("Usage: postbus read PORT MAP [OPTION...]\n"
	      "\n"
	      "Reads a device once and shows its points; no configuration is needed.\n"
	      "PORT is a path, usb:VID:PID[:SERIAL] or tcp://HOST:PORT; MAP is a device map's\n"
	      "name or the path of a .yaml file. A device that speaks unasked is listened to.\n"
	      "\n"
	      "  -a, --address N    its address (default: the map's)\n"
	      "  -b, --baud N       (default: the map's, or 9600)\n"
	      "  -f, --format 8N1   data bits, parity, stop bits (default: the map's)\n"
	      "      --timeout TIME how long it may take to begin its answer (300ms)\n"
	      "      --wait TIME    how long it may be silent that speaks unasked (the map's)\n"
	      "      --echo         the adapter gives back what is sent\n"
	      "      --maps DIR     look for maps here first\n"
	      "      --json         a JSON object\n"
	      "  -h, --help         this\n"
	      "\n"
	      "Exit status: 0 it was read, 1 it was not, 2 wrong usage.\n",
	      out);
}

static int usage(const char *what, const char *word)
{
	fprintf(stderr, "postbus read: %s: %s (--help says more)\n", what, word);
	return EXIT_WRONG_USAGE;
}

/* Exit status, or -1 to go on. */
static int parse_option(struct reader *reader, int option)
{
	switch (option) {
	case 'a':
		if (!parse_address(optarg, &reader->device.address))
			return usage("an address is 1 to 247", optarg);
		return -1;
	case 'b':
		if (!parse_baud(optarg, &reader->config.baud))
			return usage("--baud takes 50 to 4000000", optarg);
		return -1;
	case 'f':
		if (!parse_format(optarg, &reader->config.format))
			return usage("--format takes words such as 8N1", optarg);
		return -1;
	case 't':
		if (parse_duration(optarg, &reader->config.timeout_us) < 0 ||
		    !reader->config.timeout_us)
			return usage("--timeout takes times such as 300ms", optarg);
		return -1;
	case 'w':
		if (parse_duration(optarg, &reader->wait_us) < 0 || !reader->wait_us)
			return usage("--wait takes times such as 30s", optarg);
		return -1;
	case 'e':
		reader->config.echo = true;
		return -1;
	case 'm':
		reader->maps = optarg;
		return -1;
	case 'j':
		reader->json = true;
		return -1;
	case 'h':
		print_help(stdout);
		return EXIT_SUCCESS;
	default:
		return EXIT_WRONG_USAGE;
	}
}

static int parse_arguments(struct reader *reader, int argc, char **argv)
{
	static const struct option options[] = {
		{"address", required_argument, NULL, 'a'},
		{"baud", required_argument, NULL, 'b'},
		{"format", required_argument, NULL, 'f'},
		{"timeout", required_argument, NULL, 't'},
		{"wait", required_argument, NULL, 'w'},
		{"echo", no_argument, NULL, 'e'},
		{"maps", required_argument, NULL, 'm'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option, r;

	while ((option = getopt_long(argc, argv, "a:b:f:h", options, NULL)) != -1) {
		r = parse_option(reader, option);
		if (r >= 0)
			return r;
	}
	if (argc - optind != 2)
		return usage("which port and which map", "PORT MAP");
	reader->config.port = argv[optind];
	reader->map_word = argv[optind + 1];
	if (port_spec_check(reader->config.port))
		return usage(port_spec_check(reader->config.port), reader->config.port);
	return -1;
}

/* --- the device --- */

static int choose_device(struct reader *reader, const struct device_map *map)
{
	struct device_config *device = &reader->device;
	bool addressed = map->kind == DRIVER_MODBUS || framing_has_address(&map->framing);

	if (!addressed && device->address)
		return usage("devices of this map have no address", map->name);
	if (addressed && !device->address)
		device->address = map->address;
	if (addressed && !device->address)
		return usage("the map names no address, --address does", map->name);
	device->name = map->name;
	device->map = map;
	device->point_count = map->point_count;
	device->points = points_copy(map->points, map->point_count);
	reader->texts = calloc(map->point_count, sizeof(*reader->texts));
	if (!device->points || !reader->texts)
		return EX_OSERR;
	for (size_t i = 0; i < device->point_count; i++)
		device->points[i].every_us = NEVER_S * USEC_PER_SEC;
	reader->config.devices = device;
	reader->config.device_count = 1;
	bus_config_fill_in(&reader->config);
	return -1;
}

/* --- what comes --- */

static bool speaks_unasked(const struct reader *reader)
{
	return reader->listener && !reader->device.map->framing.request.count;
}

/* "value/voltage" and its text; or "…/availability". */
static void take_message(void *data, const struct message *message)
{
	struct reader *reader = data;
	const size_t skip = sizeof(value_topic); /* with the slash */
	char name[NAME_MAX_LENGTH + 1];
	ssize_t point;

	if (message->topic_length <= skip ||
	    strncmp(message->topic, value_topic, skip - 1)) {
		if (message->body_length == strlen("offline") &&
		    !memcmp(message->body, "offline", message->body_length))
			reader->end_us = 0;
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(message->topic_length - skip),
		 message->topic + skip);
	point = device_map_find(reader->device.map, name);
	if (point < 0 || reader->texts[point])
		return;
	reader->texts[point] = strndup(message->body, message->body_length);
	reader->read++;
	/* One that speaks unasked may have more to say; of a listener's answer this is all. */
	if (speaks_unasked(reader) && reader->read < reader->device.point_count)
		reader->end_us = clock_monotonic_us() + MORE_US;
	else if (reader->listener)
		reader->end_us = 0;
}

static struct bus_stats stats_of(const struct reader *reader)
{
	return reader->bus ? bus_stats(reader->bus) : listener_stats(reader->listener);
}

/* Whether all points that a polled device has were read, or refused. */
static bool is_settled(const struct reader *reader, uint64_t now_us)
{
	return reader->bus && bus_idle_until_us(reader->bus) > now_us + SOON_US;
}

/* Exit status, or -1: it was read, or was given up. */
static int run(struct reader *reader)
{
	uint64_t now_us;
	int r;

	reader->end_us = UINT64_MAX;
	if (reader->wait_us)
		reader->end_us = clock_monotonic_us() + reader->wait_us;
	while ((now_us = clock_monotonic_us()) < reader->end_us && !is_settled(reader, now_us)) {
		uint64_t left_us = reader->end_us - now_us;

		r = sd_event_run(reader->loop, left_us);
		if (r < 0)
			return EX_OSERR;
		if (stats_of(reader).trouble[0]) {
			fprintf(stderr, "postbus read: %s: %s\n", reader->config.port,
				stats_of(reader).trouble);
			return EXIT_NOT_SO;
		}
	}
	return -1;
}

/* --- what is shown --- */

static void explain(const struct reader *reader)
{
	struct counters counters = stats_of(reader).counters;
	const struct serial_format *format = &reader->config.format;

	fprintf(stderr, "postbus read: %s: nothing was read at %u %u%c%u (no answer %" PRIu64,
		reader->device.name, reader->config.baud, format->data_bits, format->parity,
		format->stop_bits, counters.timeouts);
	for (unsigned i = 0; i < REPLY_STATUS_COUNT; i++)
		if (counters.refused[i])
			fprintf(stderr, ", %s %" PRIu64, reply_status_name(i),
				counters.refused[i]);
	fputs(")\n", stderr);
}

static void print_for_people(const struct reader *reader)
{
	int widest = 0;

	for (size_t i = 0; i < reader->device.point_count; i++) {
		int width = (int)strlen(reader->device.points[i].name);

		if (width > widest)
			widest = width;
	}
	for (size_t i = 0; i < reader->device.point_count; i++) {
		const struct point *point = &reader->device.points[i];

		printf("%-*s  %s%s%s\n", widest, point->name,
		       reader->texts[i] ? reader->texts[i] : "not read",
		       reader->texts[i] && point->unit ? " " : "",
		       reader->texts[i] && point->unit ? point->unit : "");
	}
}

static void print_json(const struct reader *reader)
{
	const char *separator = "";

	printf("{\"map\":\"%s\",", reader->device.map->name);
	if (reader->device.address)
		printf("\"address\":%u,", reader->device.address);
	printf("\"points\":{");
	for (size_t i = 0; i < reader->device.point_count; i++) {
		if (!reader->texts[i])
			continue;
		printf("%s\"%s\":{%s}", separator, reader->device.points[i].name,
		       reader->texts[i]);
		separator = ",";
	}
	printf("}}\n");
}

/* --- the whole --- */

static int start(struct reader *reader)
{
	int r = sd_event_new(&reader->loop);

	reader->config.name = "read";
	reader->conf.gateway = "read";
	reader->conf.publish.topic = (char *)value_topic;
	reader->conf.publish.layout = LAYOUT_POINT;
	reader->conf.publish.payload = reader->json ? PAYLOAD_JSON : PAYLOAD_BARE;
	if (r < 0)
		return r;
	if (listener_is_for(&reader->config))
		return listener_new(reader->loop, &reader->config, &reader->conf, take_message,
				    reader, &reader->listener);
	return bus_new(reader->loop, &reader->config, &reader->conf, take_message, reader,
		       &reader->bus);
}

static void reader_done(struct reader *reader)
{
	bus_free(reader->bus);
	listener_free(reader->listener);
	sd_event_unref(reader->loop);
	for (size_t i = 0; reader->texts && i < reader->device.point_count; i++)
		free(reader->texts[i]);
	free(reader->texts);
	points_free(reader->device.points, reader->device.point_count);
}

static int read_device(struct reader *reader)
{
	int r = start(reader);

	if (r < 0) {
		fprintf(stderr, "postbus read: %s\n", strerror(-r));
		return EX_OSERR;
	}
	r = run(reader);
	if (r >= 0)
		return r;
	if (!reader->read) {
		explain(reader);
		return EXIT_NOT_SO;
	}
	if (reader->json)
		print_json(reader);
	else
		print_for_people(reader);
	return EXIT_SUCCESS;
}

int tool_read(int argc, char **argv)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_(device_map_freep) struct device_map *own = NULL;
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(reader_done) struct reader reader = {
		.config = {.timeout_us = DEFAULT_TIMEOUT_US, .retries = DEFAULT_RETRIES},
	};
	const struct device_map *map;
	int r = parse_arguments(&reader, argc, argv);

	if (r >= 0)
		return r;
	library = maps_open(reader.maps);
	if (!library || !faults)
		return EX_OSERR;
	if (maps_find(library, "read", reader.map_word, &own, &map, faults) < 0) {
		faults_print(faults, stderr);
		return EXIT_NOT_SO;
	}
	r = choose_device(&reader, map);
	if (r >= 0)
		return r;
	/* What is wrong is told here, once. */
	log_set_level(LOG_CRIT);
	return read_device(&reader);
}
