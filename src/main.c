/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the verbs. */
#include "base/cleanup.h"
#include "base/log.h"
#include "daemon.h"
#include "tools/tools.h"

#include <getopt.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static int tool_run(int argc, char **argv);

static const struct verb {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "run", "the gateway, in the foreground", tool_run },
	{ "check", "check configuration and maps, and show the planned requests", tool_check },
	{ "maps", "the device maps there are, and what one of them offers", tool_maps },
	{ "ports", "the serial ports here, and the names to configure them by", tool_ports },
	{ "read", "read a device once, without a configuration", tool_read },
	{ "scan", "find the devices on a bus, and the maps that fit", tool_scan },
	{ "sim", "play devices on a pseudo-terminal", tool_sim },
	{ "spool", "what waits on the disk, of a running or a stopped gateway", tool_spool },
	{ "status", "how the running gateway is, with its buses and devices", tool_status },
	{ "top", "the same, live on the whole terminal", tool_top },
	{ "write", "set a point, through the running gateway", tool_write },
	{ "demo", "a simulated bus, a private broker and a gateway between them",
	  tool_demo },
};

static void usage(FILE *out)
{
	fputs("postbus " PACKAGE_VERSION " - from serial sensors to MQTT, and nothing is lost\n"
	      "\n"
	      "usage: postbus VERB [OPTION...]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-6s %s\n", verbs[i].name, verbs[i].summary);
	fputs("\nEach verb has --help. postbus --version tells the version.\n", out);
}

static void run_usage(FILE *out)
{
	fputs("usage: postbus run [-c FILE] [--verbose]\n"
	      "\n"
	      "Runs the gateway in the foreground until SIGTERM or SIGINT. With SIGHUP it reads\n"
	      "its configuration anew, and goes on as it was where that has a fault.\n"
	      "\n"
	      "  -c, --config FILE   settings of the gateway (" DEFAULT_CONF ")\n"
	      "  -v, --verbose       log more\n"
	      "  -h, --help          this text\n", out);
}

static int tool_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *file = DEFAULT_CONF;
	int option;

	while ((option = getopt_long(argc, argv, "c:vh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			file = optarg;
			break;
		case 'v':
			log_set_level(LOG_DEBUG);
			break;
		case 'h':
			run_usage(stdout);
			return EXIT_SUCCESS;
		default:
			run_usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		run_usage(stderr);
		return EXIT_USAGE;
	}
	return daemon_run(file);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("postbus " PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "postbus: there is no verb '%s'; see postbus --help\n", argv[1]);
	return EXIT_USAGE;
}
