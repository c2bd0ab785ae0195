/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - `postbus status`: how the running gateway is. */
#include "tools/status.h"
#include "report.h"
#include "tools/inquiry.h"
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

int status_ask(int fd, cJSON **status)
{
	_cleanup_(inquiry_done) struct inquiry inquiry = { 0 };
	cJSON *request, *answer;

	while ((request = inquiry_request(&inquiry))) {
		int r = control_ask(fd, request, &answer);

		cJSON_Delete(request);
		if (r < 0)
			return r;
		inquiry_take(&inquiry, answer);
	}
	*status = TAKE_PTR(inquiry.status);
	return 0;
}

int status_find(const char *config, struct status_place *place)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_(conf_freep) struct conf *conf = NULL;
	char runtime[PATH_MAX];
	int r;

	*place = (struct status_place){ 0 };
	if (!faults)
		return -ENOMEM;
	if (!config) {
		report_directory(runtime, sizeof(runtime));
		place->runtime = strdup(runtime);
		if (!place->runtime)
			return -ENOMEM;
	}
	r = conf_load(config ? config : DEFAULT_CONF, &conf, faults);
	if (config)
		faults_print(faults, stderr);
	if (r < 0)
		return config ? -EINVAL : 0;
	place->spool = strdup(conf->spool.directory);
	return place->spool ? 0 : -ENOMEM;
}

int status_connect(const struct status_place *place)
{
	int r = place->runtime ? control_connect(place->runtime, REPORT_SOCKET) : -ENOENT;

	if ((r == -ENOENT || r == -ECONNREFUSED) && place->spool)
		r = control_connect(place->spool, REPORT_LINK);
	return r;
}

void status_place_done(struct status_place *place)
{
	free(place->runtime);
	free(place->spool);
	*place = (struct status_place){ 0 };
}

/* --- the verb --- */

const char *status_trouble(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "no gateway is running here";
	case -EACCES:
		return "the gateway's socket is for root and its group";
	case -ETIMEDOUT:
		return "the gateway does not answer";
	default:
		return strerror(-error);
	}
}

static int explain(int error)
{
	if (error == -EINVAL)
		return EX_CONFIG; /* which has been said */
	fprintf(stderr, "postbus status: %s\n", status_trouble(error));
	return error == -EACCES ? EX_NOPERM :
	       error == -ENOENT || error == -ECONNREFUSED ? EXIT_NOT_SO : EX_IOERR;
}

static int show(const char *config, bool json)
{
	_cleanup_(status_place_done) struct status_place place;
	_cleanup_close_ int fd = -1;
	cJSON *status;
	int r = status_find(config, &place);

	if (r == 0)
		fd = r = status_connect(&place);
	if (r >= 0)
		r = status_ask(fd, &status);
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
