/* SPDX-License-Identifier: Apache-2.0 */
/* write.c - `postbus write`: a point is set, through the running gateway. */
#include "base/units.h"
#include "bridge/clock.h"
#include "tools/spool_cli.h"
#include "tools/status.h"
#include "tools/tools.h"
#include "uplink/control.h"
#include "uplink/requests.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <sysexits.h>

enum {
	/* How long an outcome is waited for: a bus may be slow, and retry. */
	PATIENCE_US = 60 * 1000 * 1000,
	/* How often it is asked for, at first and at last. */
	ASK_FIRST_US = 5 * 1000,
	ASK_LAST_US = 200 * 1000,
};

struct writing {
	const char *config, *device, *point, *value, *id; /* NULL: none */
	bool json;
	char *directory; /* of the gateway's spool, where it listens */
	int control;
	double number; /* by which the gateway knows the command */
};

static void writing_done(struct writing *writing)
{
	free(writing->directory);
	closep(&writing->control);
}

static void usage(FILE *out)
{
	fputs("usage: postbus write [-c FILE] [--id ID] [--json] DEVICE POINT VALUE\n"
	      "\n"
	      "Sets a point of a device through the running gateway, as a command by MQTT would,\n"
	      "waits until the device has confirmed it, and shows what was written.\n"
	      "\n"
	      "  -c, --config FILE  the gateway that runs with this configuration\n"
	      "  --id ID            the same command, given once more, is not carried out again\n"
	      "  --json             as JSON\n"
	      "  -h, --help         this text\n"
	      "\n"
	      "Exit status 1: it was not carried out, or that is uncertain; or no gateway is\n"
	      "running here.\n", out);
}

/* --- the gateway --- */

/* The spool's directory, as the configuration says or, without one, the gateway that runs. */
static int find_directory(struct writing *writing)
{
	_cleanup_(status_place_done) struct status_place place;
	_cleanup_close_ int fd = -1;
	const cJSON *spool;
	cJSON *request = cJSON_CreateObject(), *answer = NULL;
	const char *directory;
	int r = status_find(writing->config, &place);

	cJSON_AddStringToObject(request, "verb", "status");
	if (r == 0)
		fd = r = status_connect(&place);
	if (r >= 0)
		r = control_ask(fd, request, &answer);
	cJSON_Delete(request);
	if (r < 0)
		return r;
	spool = cJSON_GetObjectItem(answer, "spool");
	directory = cJSON_GetStringValue(cJSON_GetObjectItem(spool, "directory"));
	writing->directory = directory ? strdup(directory) : NULL;
	cJSON_Delete(answer);
	return writing->directory ? 0 : -EPROTO;
}

/* Asks, also where the gateway was started anew since. The answer is the caller's. */
static int ask(struct writing *writing, const cJSON *request, cJSON **answer)
{
	int r;

	if (writing->control < 0)
		writing->control = control_connect(writing->directory, REQUESTS_SOCKET);
	if (writing->control < 0)
		return writing->control;
	r = control_ask(writing->control, request, answer);
	if (r < 0) {
		closep(&writing->control);
		writing->control = -1;
	}
	return r;
}

static const char *text_of(const cJSON *answer, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(answer, key));

	return text ? text : "";
}

static int begin(struct writing *writing, cJSON **answer)
{
	cJSON *request = cJSON_CreateObject();
	int r;

	cJSON_AddStringToObject(request, "verb", "write");
	cJSON_AddStringToObject(request, "device", writing->device);
	cJSON_AddStringToObject(request, "point", writing->point);
	cJSON_AddStringToObject(request, "value", writing->value);
	if (writing->id)
		cJSON_AddStringToObject(request, "id", writing->id);
	r = ask(writing, request, answer);
	cJSON_Delete(request);
	if (r == 0)
		writing->number = cJSON_GetNumberValue(cJSON_GetObjectItem(*answer, "number"));
	return r;
}

/* Whether there is an outcome, or none to be waited for. */
static bool is_over(const cJSON *answer)
{
	const char *state = text_of(answer, "state");

	return strcmp(state, "received") && strcmp(state, "started");
}

/* *answer says how it stands at last: the caller's. */
static int wait_for_outcome(struct writing *writing, cJSON **answer)
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US, wait_us = ASK_FIRST_US;
	cJSON *request = cJSON_CreateObject();
	int r;

	cJSON_AddStringToObject(request, "verb", "command");
	cJSON_AddNumberToObject(request, "number", writing->number);
	while (true) {
		r = ask(writing, request, answer);
		if ((r == 0 && is_over(*answer)) || clock_monotonic_us() >= end_us)
			break;
		if (r == 0)
			cJSON_Delete(*answer);
		usleep(wait_us);
		wait_us = wait_us * 2 < ASK_LAST_US ? wait_us * 2 : ASK_LAST_US;
	}
	cJSON_Delete(request);
	return r;
}

/* --- what is shown --- */

static int explain(int error)
{
	if (error == -EINVAL)
		return EX_CONFIG; /* which has been said */
	fprintf(stderr, "postbus write: %s\n", status_trouble(error));
	return error == -EACCES ? EX_NOPERM :
	       error == -ENOENT || error == -ECONNREFUSED ? EXIT_NOT_SO : EX_IOERR;
}

static int show_as_json(const struct writing *writing, const cJSON *value, const char *error)
{
	cJSON *shown = cJSON_CreateObject();

	cJSON_AddStringToObject(shown, "device", writing->device);
	cJSON_AddStringToObject(shown, "point", writing->point);
	if (writing->id)
		cJSON_AddStringToObject(shown, "id", writing->id);
	cJSON_AddBoolToObject(shown, "ok", value != NULL);
	if (value)
		cJSON_AddItemToObject(shown, "value", cJSON_Duplicate(value, true));
	else
		cJSON_AddStringToObject(shown, "error", error);
	if (!spool_cli_print(shown))
		return EX_IOERR;
	return value ? EXIT_SUCCESS : EXIT_NOT_SO;
}

/* What was written, or why it was not (value NULL). */
static int show(const struct writing *writing, const cJSON *value, const char *error)
{
	_cleanup_free_ char *words = NULL;

	if (writing->json)
		return show_as_json(writing, value, error);
	if (!value) {
		fprintf(stderr, "postbus write: %s/%s: %s\n", writing->device, writing->point,
			error);
		return EXIT_NOT_SO;
	}
	words = cJSON_IsString(value) ? strdup(value->valuestring) : cJSON_PrintUnformatted(value);
	printf("%s/%s: %s\n", writing->device, writing->point, words ? words : "");
	return fflush(stdout) == EOF ? EX_IOERR : EXIT_SUCCESS;
}

static int show_outcome(const struct writing *writing, const cJSON *answer)
{
	const char *state = text_of(answer, "state"), *problem = text_of(answer, "problem");
	char error[256];

	if (!strcmp(state, "done"))
		return show(writing, cJSON_GetObjectItem(answer, "value"), "");
	if (!strcmp(state, "failed"))
		return show(writing, NULL, problem);
	if (!strcmp(state, "uncertain"))
		snprintf(error, sizeof(error), "uncertain: %s", problem);
	else if (*state)
		snprintf(error, sizeof(error), "uncertain: it has no outcome yet");
	else
		snprintf(error, sizeof(error), "the gateway was started anew before it had taken "
			 "the command");
	return show(writing, NULL, error);
}

static int write_it(struct writing *writing)
{
	cJSON *answer = NULL;
	int r = find_directory(writing), status;

	if (r == 0)
		r = begin(writing, &answer);
	if (r < 0)
		return explain(r);
	if (!cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok"))) {
		status = show(writing, NULL, text_of(answer, "error"));
	} else {
		cJSON_Delete(answer);
		r = wait_for_outcome(writing, &answer);
		if (r < 0)
			return show(writing, NULL, "uncertain: the gateway has ended meanwhile");
		status = show_outcome(writing, answer);
	}
	cJSON_Delete(answer);
	return status;
}

/* --- the verb --- */

/* Options may stand before and behind the words, of which the last may begin with a minus. */
static int read_options(int argc, char **argv, struct writing *writing)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "id", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "+c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			writing->config = optarg;
			break;
		case 'i':
			writing->id = optarg;
			break;
		case 'j':
			writing->json = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_WRONG_USAGE;
		}
	}
	return -1;
}

int tool_write(int argc, char **argv)
{
	_cleanup_(writing_done) struct writing writing = { .control = -1 };
	int status = read_options(argc, argv, &writing);

	if (status >= 0)
		return status;
	if (argc - optind >= 3) {
		writing.device = argv[optind++];
		writing.point = argv[optind++];
		writing.value = argv[optind++];
		status = read_options(argc, argv, &writing);
		if (status >= 0)
			return status;
	}
	if (!writing.value || optind < argc) {
		usage(stderr);
		return EXIT_WRONG_USAGE;
	}
	return write_it(&writing);
}
