/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - `postbus status`: how the running gateway is. */
#include "tools/status.h"
#include "report.h"
#include "tools/spool_cli.h"
#include "tools/tools.h"
#include "uplink/control.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sysexits.h>

static void usage(FILE *out)
{
	fputs("usage: postbus status [-c FILE] [--json]\n"
	      "\n"
	      "Shows how the running gateway is: link, session, spool, and each bus with its\n"
	      "devices and what was last read of them.\n"
	      "\n"
	      "  -c, --config FILE  the gateway that runs with this configuration\n"
	      "  --json             as JSON\n"
	      "  -h, --help         this text\n"
	      "\n"
	      "Exit status 1: no gateway is running here.\n", out);
}

/* --- asking --- */

/* The answer is the caller's, and may be that there is none such (any more). */
static int ask(int fd, const char *verb, const char *bus, const char *device, cJSON **answer)
{
	cJSON *request = cJSON_CreateObject();
	int r;

	cJSON_AddStringToObject(request, "verb", verb);
	if (bus)
		cJSON_AddStringToObject(request, "bus", bus);
	if (device)
		cJSON_AddStringToObject(request, "device", device);
	r = control_ask(fd, request, answer);
	cJSON_Delete(request);
	return r;
}

static int ask_for_devices(int fd, cJSON *bus)
{
	cJSON *names = cJSON_DetachItemFromObject(bus, "devices"), *answer;
	const char *bus_name = cJSON_GetStringValue(cJSON_GetObjectItem(bus, "bus"));
	cJSON *devices = cJSON_AddArrayToObject(bus, "devices");
	const cJSON *name;
	int r = 0;

	cJSON_ArrayForEach(name, names) {
		r = ask(fd, "device", bus_name, cJSON_GetStringValue(name), &answer);
		if (r < 0)
			break;
		cJSON_AddItemToArray(devices, cJSON_DetachItemFromObject(answer, "device"));
		cJSON_Delete(answer);
	}
	cJSON_Delete(names);
	return r;
}

/* In place of its name the bus itself, with its devices; one that is gone is left out. */
static int ask_for_buses(int fd, cJSON *status)
{
	cJSON *names = cJSON_DetachItemFromObject(status, "buses"), *answer, *bus;
	cJSON *buses = cJSON_AddArrayToObject(status, "buses");
	const cJSON *name;
	int r = 0;

	cJSON_ArrayForEach(name, names) {
		r = ask(fd, "bus", cJSON_GetStringValue(name), NULL, &answer);
		if (r < 0)
			break;
		bus = cJSON_DetachItemFromObject(answer, "bus");
		cJSON_Delete(answer);
		if (!bus)
			continue;
		cJSON_AddItemToArray(buses, bus);
		r = ask_for_devices(fd, bus);
		if (r < 0)
			break;
	}
	cJSON_Delete(names);
	return r;
}

int status_ask(int fd, cJSON **status)
{
	int r = ask(fd, "status", NULL, NULL, status);

	if (r < 0)
		return r;
	cJSON_DeleteItemFromObject(*status, "ok");
	r = ask_for_buses(fd, *status);
	if (r < 0)
		cJSON_Delete(*status);
	return r;
}

int status_connect(const char *config)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(conf_freep) struct conf *conf = NULL;
	char runtime[PATH_MAX];
	int r;

	if (!faults)
		return -ENOMEM;
	if (!config) {
		report_directory(runtime, sizeof(runtime));
		r = control_connect(runtime, REPORT_SOCKET);
		if (r != -ENOENT && r != -ECONNREFUSED)
			return r;
	}
	r = conf_load(config ? config : DEFAULT_CONF, &conf, faults);
	if (config)
		faults_print(faults, stderr);
	if (r < 0)
		return config ? -EINVAL : -ENOENT;
	return control_connect(conf->spool.directory, REPORT_LINK);
}

/* --- the verb --- */

static int explain(int error)
{
	switch (error) {
	case -EINVAL:
		return EX_CONFIG; /* which has been said */
	case -ENOENT:
	case -ECONNREFUSED:
		fputs("postbus status: no gateway is running here\n", stderr);
		return EXIT_NOT_SO;
	case -EACCES:
		fputs("postbus status: the gateway's socket is for root and its group\n", stderr);
		return EX_NOPERM;
	default:
		fprintf(stderr, "postbus status: the gateway does not answer: %s\n",
			strerror(-error));
		return EX_IOERR;
	}
}

static int show(const char *config, bool json)
{
	_cleanup_close_ int fd = status_connect(config);
	cJSON *status;
	int r = fd < 0 ? fd : status_ask(fd, &status);

	if (r < 0)
		return explain(r);
	if (json) {
		spool_cli_print(status);
	} else {
		status_print(status);
		cJSON_Delete(status);
	}
	return fflush(stdout) == EOF ? EX_IOERR : EXIT_SUCCESS;
}

int tool_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *config = NULL;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_WRONG_USAGE;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return EXIT_WRONG_USAGE;
	}
	return show(config, json);
}
