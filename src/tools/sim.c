// SPDX-License-Identifier: Apache-2.0
/* sim.c - `postbus sim`: plays devices on a pseudo-terminal until it is told to stop. */

#include "bridge/number.h"
#include "tools/arguments.h"
#include "tools/sim_device.h"
#include "tools/simulator.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	DEVICES_MAX = ADDRESS_MAX,
	FAULTS_MAX = 32,
	DEFAULT_BAUD = 9600,
};

static const struct serial_format default_format = {8, 'N', 1};

struct sim {
	const char *link, *maps;
	uint32_t baud; /* 0: as the first map says */
	struct serial_format format;
	struct fault_plan faults[FAULTS_MAX];
	size_t fault_count;

	struct map_library *library;
	struct device_map *files[DEVICES_MAX]; /* maps given by path */
	size_t file_count;
	const struct device_map *devices[DEVICES_MAX];
	uint8_t addresses[DEVICES_MAX];
	size_t device_count;
};

static void sim_done(struct sim *sim)
{
	map_library_free(sim->library);
	for (size_t i = 0; i < sim->file_count; i++)
		device_map_free(sim->files[i]);
}

static const char help[] =
	"Usage: postbus sim MAP[@ADDRESS]... [OPTION]...\n"
	"Plays devices on a pseudo-terminal, paced as the baud rate paces a wire.\n"
	"MAP is a device map's name or the path of a .yaml file; without ADDRESS it is\n"
	"the map's own. The first line printed is the terminal's path.\n"
	"Modbus devices hold registers, and take what is written to points that their map\n"
	"lets be written: a line is printed for each. All others say their map's examples\n"
	"in turn, each second or when they are asked.\n\n"
	"  --link PATH    PATH is a symbolic link to the terminal while it runs\n"
	"  --baud N       pace of the wire (default: the first map's, or 9600)\n"
	"  --format 8N1   data bits, parity, stop bits (default: the first map's)\n"
	"  --fault KIND[@ADDRESS][:N]\n"
	"                 each N-th request (default: every one) goes wrong, at ADDRESS\n"
	"                 or everywhere. KIND is silent, checksum, short, late=120ms,\n"
	"                 pause=20ms, exception=6, refuse=0x46, echo, garbage, noise,\n"
	"                 babble=1s, twice or foreign; postbus(1) says what they are\n"
	"  --maps DIR     look for maps here before " SYSCONFDIR "/postbus/devices\n"
	"                 and " MAPDIR "\n"
	"  --help         this text\n";

static int usage(const char *what, const char *word)
{
	fprintf(stderr, "postbus sim: %s: %s (--help says more)\n", what, word);
	return EXIT_WRONG_USAGE;
}

/* Exit status, or -1 to go on. */
static int parse_options(struct sim *sim, int argc, char **argv)
{
	static const struct option options[] = {
		{"link", required_argument, NULL, 'l'},
		{"baud", required_argument, NULL, 'b'},
		{"format", required_argument, NULL, 'f'},
		{"fault", required_argument, NULL, 'F'},
		{"maps", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	optind = 0; /* begin anew: the verb stands where the program's name does */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		switch (c) {
		case 'l':
			sim->link = optarg;
			break;
		case 'm':
			sim->maps = optarg;
			break;
		case 'b':
			if (!parse_baud(optarg, &sim->baud))
				return usage("--baud takes 50 to 4000000", optarg);
			break;
		case 'f':
			if (!parse_format(optarg, &sim->format))
				return usage("--format takes words such as 8N1", optarg);
			break;
		case 'F':
			if (sim->fault_count == FAULTS_MAX)
				return usage("more faults than there can be", optarg);
			if (!fault_plan_parse(optarg, &sim->faults[sim->fault_count]))
				return usage("not a fault", optarg);
			sim->fault_count++;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_WRONG_USAGE;
		}
	}
	if (optind == argc)
		return usage("no device", "MAP[@ADDRESS] is missing");
	return -1;
}

/* MAP[@ADDRESS]: exit status, or -1 to go on. */
static int add_word(struct sim *sim, const char *word, struct faults *faults)
{
	const char *at = strrchr(word, '@');
	_cleanup_free_ char *name = NULL;
	const struct device_map *map;
	uint8_t address = 0;

	if (sim->device_count == DEVICES_MAX)
		return usage("more devices than a bus can have", word);
	if (at && strchr(at, '/'))
		at = NULL; /* it belongs to a directory */
	if (at && !parse_address(at + 1, &address))
		return usage("an address is 1 to 247", word);
	name = at ? strndup(word, (size_t)(at - word)) : strdup(word);
	if (!name)
		return EX_OSERR;
	if (maps_find(sim->library, "sim", name, &sim->files[sim->file_count], &map, faults) < 0)
		return EXIT_NOT_SO;
	sim->file_count += sim->files[sim->file_count] != NULL;
	if (!sim_device_is_possible(map))
		return usage("the map has no examples that could be played", word);
	if (driver_find(map->driver)->next && sim->fault_count)
		return usage("only answers of Modbus go wrong", word);
	if (!at)
		address = map->address;
	if (address == 0 && driver_find(map->driver)->serve)
		return usage("the map names no address, MAP@ADDRESS does", word);
	sim->devices[sim->device_count] = map;
	sim->addresses[sim->device_count++] = address;
	return -1;
}

static int add_words(struct sim *sim, char **words)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	int r = -1;

	sim->library = maps_open(sim->maps);
	if (!sim->library || !faults)
		return EX_OSERR;
	for (; *words && r < 0; words++)
		r = add_word(sim, *words, faults);
	faults_print(faults, stderr);
	return r;
}

/* What was not said on the command line is as the first map has it. */
static void settle_line(struct sim *sim)
{
	const struct device_map *first = sim->devices[0];

	if (sim->baud == 0)
		sim->baud = first->baud_count > 0 ? first->bauds[0] : DEFAULT_BAUD;
	if (sim->format.data_bits == 0)
		sim->format =
			first->format_count > 0 ? first->formats[0] : default_format;
}

static int fill_bus(const struct sim *sim, struct simulator *simulator)
{
	int r;

	for (size_t i = 0; i < sim->device_count; i++) {
		r = simulator_add(simulator, sim->devices[i], sim->addresses[i]);
		if (r == -EEXIST) {
			fprintf(stderr, "postbus sim: address %u is taken twice\n",
				sim->addresses[i]);
			return EXIT_WRONG_USAGE;
		}
		if (r == -EPROTONOSUPPORT)
			return usage("is of another driver than the first", sim->devices[i]->name);
		if (r < 0) {
			fprintf(stderr, "postbus sim: %s: %s\n", sim->devices[i]->name,
				strerror(-r));
			return EX_OSERR;
		}
	}
	for (size_t i = 0; i < sim->fault_count; i++)
		if (simulator_add_fault(simulator, &sim->faults[i]) < 0)
			return EX_OSERR;
	return 0;
}

static void print_bus(const struct sim *sim, const struct simulator *simulator)
{
	printf("%s\n", simulator_path(simulator));
	for (size_t i = 0; i < sim->device_count; i++) {
		const char *title = sim->devices[i]->title;

		printf("%s", sim->devices[i]->name);
		if (sim->addresses[i])
			printf("@%u", sim->addresses[i]);
		printf(": %s\n", title ? title : "");
	}
	fflush(stdout);
}

/* 2026-11-23T18:52:01.123Z waveshare-relay-8ch@1 relay_1 true (on 3 times) */
static void print_written(_unused_ void *data, const struct sim_written *written)
{
	char buffer[STRING_MAX_LENGTH + NUMBER_MAX_TEXT + 1] = "", when[32];
	struct text text = {.data = buffer, .size = sizeof(buffer)};
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	number_print(&written->value, &text);
	printf("%s.%03ldZ %s@%u %s %s", when, now.tv_nsec / 1000000, written->map->name,
	       written->address, written->point->name, buffer);
	if (written->on_count)
		printf(" (on %u times)", written->on_count);
	putchar('\n');
	fflush(stdout);
}

static void print_summary(struct simulator_stats stats)
{
	fprintf(stderr,
		"%" PRIu64 " requests, %" PRIu64 " answers, %" PRIu64 " refused, %" PRIu64
		" violations of the silence\n",
		stats.requests, stats.answers, stats.refused, stats.violations);
}

/* An event loop that SIGINT and SIGTERM end. */
static int new_loop(sd_event **loop)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	r = sd_event_new(loop);
	if (r < 0)
		return r;
	r = sd_event_add_signal(*loop, NULL, SIGINT, NULL, NULL);
	if (r < 0)
		return r;
	return sd_event_add_signal(*loop, NULL, SIGTERM, NULL, NULL);
}

static int play(struct sim *sim)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	_cleanup_(simulator_freep) struct simulator *simulator = NULL;
	int r = new_loop(&loop);

	if (r >= 0)
		r = simulator_new(loop, sim->link, sim->baud, sim->format, &simulator);
	if (r < 0) {
		fprintf(stderr, "postbus sim: %s: %s\n",
			r == -EEXIST ? sim->link : "no terminal",
			r == -EEXIST ? "is there already and no symbolic link"
				     : strerror(-r));
		return r == -EEXIST ? EXIT_NOT_SO : EX_OSERR;
	}
	simulator_heed_speed(simulator);
	simulator_tell_written(simulator, print_written, NULL);
	r = fill_bus(sim, simulator);
	if (r != 0)
		return r;
	print_bus(sim, simulator);
	r = sd_event_loop(loop);
	print_summary(simulator_stats(simulator));
	return r < 0 ? EX_IOERR : 0;
}

int tool_sim(int argc, char **argv)
{
	_cleanup_(sim_done) struct sim sim = {0};
	int r = parse_options(&sim, argc, argv);

	if (r < 0)
		r = add_words(&sim, argv + optind);
	if (r >= 0)
		return r;
	settle_line(&sim);
	return play(&sim);
}
