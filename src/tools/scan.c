/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - `postbus scan`: which devices are on a bus, at what speed, and what model they are.
 *
 * Each address is asked for one register, at each speed, and whatever answers is a device: be
 * it that it does not have that register. The usual character format is tried at all speeds
 * before the others are. All devices of a bus share a speed and a format: where one is found,
 * the scan ends with these.
 */
#include "base/units.h"
#include "config/port_spec.h"
#include "field/plan.h"
#include "tools/arguments.h"
#include "tools/identify.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sysexits.h>

enum {
	LIST_MAX = 16,
	MAPS_MAX = 8,
	DEVICE_US = 50 * 1000,    /* most devices begin to answer within this time */
	CHARACTERS = 16,          /* and of slow lines' time, which slow devices go by */
	IDENTIFY_US = 300 * 1000, /* what is known to be there may take its time */
};

struct finding {
	uint8_t address;
	uint32_t baud;
	struct serial_format format;
	const struct device_map *maps[MAPS_MAX];
	size_t map_count;
};

struct scan {
	const char *maps;
	bool json, all;
	uint8_t first, last;
	uint32_t bauds[LIST_MAX];
	struct serial_format formats[LIST_MAX];
	size_t baud_count, format_count;
	uint64_t timeout_us; /* 0: by the speed */
	struct bus_config config;
	struct identifier *identifier;
	bool progress; /* on a terminal */
	struct finding *findings;
	size_t finding_count;
};

static void print_help(FILE *out)
{
	fputs("Usage: postbus scan PORT [OPTION...]\n"
	      "\n"
	      "Finds the Modbus devices on a bus, and says which device map fits each.\n"
	      "PORT is a path, usb:VID:PID[:SERIAL] or tcp://HOST:PORT.\n"
	      "\n"
	      "  -a, --address A[-B]  addresses to ask (1-247)\n"
	      "  -b, --baud LIST      speeds to try\n"
	      "                       (9600,19200,115200,38400,57600,4800,2400,1200)\n"
	      "  -f, --format LIST    character formats to try (8N1,8E1,8O1,8N2)\n"
	      "      --timeout TIME   how long a device may take to begin its answer\n"
	      "                       (50ms and 16 characters)\n"
	      "      --all            go on where devices were found, at other speeds\n"
	      "      --echo           the adapter gives back what is sent\n"
	      "      --maps DIR       look for maps here first\n"
	      "      --json           a JSON array\n"
	      "  -h, --help           this\n"
	      "\n"
	      "Exit status: 0 there are devices, 1 there are none, 2 wrong usage.\n",
	      out);
}

static int usage(const char *what, const char *word)
{
	fprintf(stderr, "postbus scan: %s: %s (--help says more)\n", what, word);
	return EXIT_WRONG_USAGE;
}

/* --- arguments --- */

/* Calls `take` with each word of a list; false where one does not fit. */
static bool parse_list(struct scan *scan, const char *list,
		       bool (*take)(struct scan *scan, const char *word))
{
	_cleanup_free_ char *words = strdup(list);
	char *rest = words, *word;

	while (rest && (word = strsep(&rest, ",")))
		if (!take(scan, word))
			return false;
	return words != NULL;
}

static bool take_baud(struct scan *scan, const char *word)
{
	return scan->baud_count < LIST_MAX && parse_baud(word, &scan->bauds[scan->baud_count++]);
}

static bool take_format(struct scan *scan, const char *word)
{
	return scan->format_count < LIST_MAX &&
	       parse_format(word, &scan->formats[scan->format_count++]);
}

/* `7` or `1-31` */
static bool parse_range(struct scan *scan, const char *text)
{
	_cleanup_free_ char *words = strdup(text);
	char *rest = words, *first = words ? strsep(&rest, "-") : NULL;

	return first && parse_address(first, &scan->first) &&
	       parse_address(rest ? rest : first, &scan->last) && scan->first <= scan->last;
}

/* Exit status, or -1 to go on. */
static int parse_option(struct scan *scan, int option)
{
	switch (option) {
	case 'a':
		return parse_range(scan, optarg)
			       ? -1
			       : usage("--address takes 1 to 247, or two such as 1-31", optarg);
	case 'b':
		return parse_list(scan, optarg, take_baud)
			       ? -1
			       : usage("--baud takes speeds such as 9600,19200", optarg);
	case 'f':
		return parse_list(scan, optarg, take_format)
			       ? -1
			       : usage("--format takes words such as 8N1,8E1", optarg);
	case 't':
		return parse_duration(optarg, &scan->timeout_us) == 0 && scan->timeout_us
			       ? -1
			       : usage("--timeout takes times such as 100ms", optarg);
	case 'A':
		scan->all = true;
		return -1;
	case 'e':
		scan->config.echo = true;
		return -1;
	case 'm':
		scan->maps = optarg;
		return -1;
	case 'j':
		scan->json = true;
		return -1;
	case 'h':
		print_help(stdout);
		return EXIT_SUCCESS;
	default:
		return EXIT_WRONG_USAGE;
	}
}

static int parse_arguments(struct scan *scan, int argc, char **argv)
{
	static const struct option options[] = {
		{"address", required_argument, NULL, 'a'},
		{"baud", required_argument, NULL, 'b'},
		{"format", required_argument, NULL, 'f'},
		{"timeout", required_argument, NULL, 't'},
		{"all", no_argument, NULL, 'A'},
		{"echo", no_argument, NULL, 'e'},
		{"maps", required_argument, NULL, 'm'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option, r;

	while ((option = getopt_long(argc, argv, "a:b:f:h", options, NULL)) != -1) {
		r = parse_option(scan, option);
		if (r >= 0)
			return r;
	}
	if (argc - optind != 1)
		return usage("which port", "PORT");
	scan->config.port = argv[optind];
	if (port_spec_check(scan->config.port))
		return usage(port_spec_check(scan->config.port), scan->config.port);
	if (!scan->baud_count)
		parse_list(scan, "9600,19200,115200,38400,57600,4800,2400,1200", take_baud);
	if (!scan->format_count)
		parse_list(scan, "8N1,8E1,8O1,8N2", take_format);
	return -1;
}

/* --- what is shown --- */

static void show_progress(const struct scan *scan, uint8_t address)
{
	const struct serial_format *format = &scan->config.format;

	if (scan->progress)
		fprintf(stderr, "\r%u %u%c%u: address %u of %u, %zu found \033[K",
			scan->config.baud, format->data_bits, format->parity, format->stop_bits,
			address, scan->last, scan->finding_count);
}

static void end_progress(const struct scan *scan)
{
	if (scan->progress)
		fputs("\r\033[K", stderr);
}

static void print_for_people(const struct finding *finding)
{
	printf("address %u at %u %u%c%u: ", finding->address, finding->baud,
	       finding->format.data_bits, finding->format.parity, finding->format.stop_bits);
	for (size_t i = 0; i < finding->map_count; i++)
		printf("%s%s (%s)", i ? ", " : "", finding->maps[i]->name,
		       finding->maps[i]->title ? finding->maps[i]->title : "");
	printf("%s\n", finding->map_count ? "" : "a device, of which no map says that it is its");
	fflush(stdout);
}

static void print_json(const struct scan *scan)
{
	printf("[");
	for (size_t i = 0; i < scan->finding_count; i++) {
		const struct finding *finding = &scan->findings[i];

		printf("%s{\"address\":%u,\"baud\":%u,\"format\":\"%u%c%u\",\"maps\":[",
		       i ? ",\n " : "", finding->address, finding->baud,
		       finding->format.data_bits, finding->format.parity,
		       finding->format.stop_bits);
		for (size_t j = 0; j < finding->map_count; j++)
			printf("%s\"%s\"", j ? "," : "", finding->maps[j]->name);
		printf("]}");
	}
	printf("]\n");
}

/* --- the scan --- */

static int add_finding(struct scan *scan, struct asker *asker, uint8_t address)
{
	struct finding *finding = reallocarray(scan->findings, scan->finding_count + 1,
					       sizeof(*finding));
	ssize_t n;

	if (!finding)
		return -ENOMEM;
	scan->findings = finding;
	finding += scan->finding_count;
	*finding = (struct finding){
		.address = address, .baud = scan->config.baud, .format = scan->config.format};
	scan->config.timeout_us = IDENTIFY_US;
	n = identifier_ask(scan->identifier, asker, address, finding->maps, MAPS_MAX);
	if (n < 0)
		return (int)n;
	finding->map_count = (size_t)n;
	scan->finding_count++;
	end_progress(scan);
	if (!scan->json)
		print_for_people(finding);
	return 0;
}

static uint64_t probe_us(const struct scan *scan)
{
	if (scan->timeout_us)
		return scan->timeout_us;
	return DEVICE_US +
	       plan_characters_us(CHARACTERS, scan->config.baud, scan->config.format);
}

/* All addresses at one speed and format. */
static int scan_line(struct scan *scan, char trouble[PORT_TROUBLE_MAX])
{
	_cleanup_(asker_closep) struct asker *asker = NULL;
	int r = asker_open(&scan->config, &asker, trouble);

	for (unsigned address = scan->first; r == 0 && address <= scan->last; address++) {
		const struct request request = {
			.address = (uint8_t)address, .table = TABLE_HOLDING, .count = 1};
		struct reply reply;

		show_progress(scan, (uint8_t)address);
		scan->config.timeout_us = probe_us(scan);
		r = asker_ask(asker, driver_find("modbus"), &request, 1, &reply);
		if (r == 0)
			r = add_finding(scan, asker, (uint8_t)address);
		else if (r == -ETIMEDOUT || r == -EBADMSG)
			r = 0;
		else
			port_say(trouble, "the port is gone");
	}
	return r;
}

/* Exit status. */
static int run(struct scan *scan)
{
	char trouble[PORT_TROUBLE_MAX];

	for (size_t i = 0; i < scan->format_count; i++) {
		for (size_t j = 0; j < scan->baud_count; j++) {
			scan->config.format = scan->formats[i];
			scan->config.baud = scan->bauds[j];
			if (scan_line(scan, trouble) < 0) {
				end_progress(scan);
				fprintf(stderr, "postbus scan: %s: %s\n", scan->config.port,
					trouble);
				return EXIT_NOT_SO;
			}
			if (scan->finding_count && !scan->all)
				return EXIT_SUCCESS;
		}
	}
	end_progress(scan);
	return scan->finding_count ? EXIT_SUCCESS : EXIT_NOT_SO;
}

int tool_scan(int argc, char **argv)
{
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_(identifier_freep) struct identifier *identifier = NULL;
	struct scan scan = {.first = 1, .last = ADDRESS_MAX, .config.name = "scan"};
	int r = parse_arguments(&scan, argc, argv);

	if (r >= 0)
		return r;
	library = maps_open(scan.maps);
	if (library)
		identifier = identifier_new(library);
	if (!identifier)
		return EX_OSERR;
	scan.identifier = identifier;
	scan.progress = isatty(STDERR_FILENO);
	r = run(&scan);
	if (scan.json)
		print_json(&scan);
	else if (!scan.finding_count)
		fprintf(stderr, "postbus scan: no device answered\n");
	free(scan.findings);
	return r;
}
