/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - the socket by which a running gateway tells how it is. */
#include "report.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/view.h"
#include "uplink/control.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
	/* A bus as text begins with so much room, and gets twice as much while it needs it. */
	TEXT_BYTES = 16 * 1024,
	TEXT_MOST_BYTES = 32 * 1024 * 1024,
};

struct report {
	struct report_subject subject;
	struct control *control;
	char *link; /* NULL: none was made */
	uint64_t begun_us;
};

/* --- the gateway --- */

static double ms_since(uint64_t then_us)
{
	return (clock_monotonic_us() - then_us) / USEC_PER_MSEC;
}

static void add_link(const struct uplink_state *state, cJSON *answer)
{
	cJSON *link = cJSON_AddObjectToObject(answer, "link");

	cJSON_AddBoolToObject(link, "connected", state->session.connected);
	cJSON_AddStringToObject(link, "state", state->link);
	cJSON_AddNumberToObject(link, "since_ms", ms_since(state->session.since_us));
	cJSON_AddNumberToObject(link, "attempts", state->session.attempts);
}

static void add_session(const struct broker_conf *conf, const struct uplink_state *state,
			cJSON *answer)
{
	cJSON *session = cJSON_AddObjectToObject(answer, "session");

	cJSON_AddStringToObject(session, "client_id", conf->client_id);
	cJSON_AddStringToObject(session, "version", conf->mqtt5 ? "5" : "3.1.1");
	cJSON_AddBoolToObject(session, "resumed", state->session.resumed);
	cJSON_AddNumberToObject(session, "in_flight", state->spool.in_flight);
	cJSON_AddNumberToObject(session, "window", state->session.window);
}

/* Of the same names as `postbus spool status` has. */
static void add_spool(const struct spool_conf *conf, const struct uplink_state *state,
		      cJSON *answer)
{
	const struct spool_sums *sums = &state->sums;
	cJSON *spool = cJSON_AddObjectToObject(answer, "spool");

	cJSON_AddStringToObject(spool, "directory", conf->directory);
	cJSON_AddNumberToObject(spool, "taken", sums->taken);
	cJSON_AddNumberToObject(spool, "acknowledged", sums->acked);
	cJSON_AddNumberToObject(spool, "waiting", sums->waiting);
	cJSON_AddNumberToObject(spool, "set_aside", sums->refused);
	cJSON_AddNumberToObject(spool, "dropped", sums->dropped);
	cJSON_AddNumberToObject(spool, "damaged", sums->damaged);
	cJSON_AddNumberToObject(spool, "next", state->next_seq);
	cJSON_AddNumberToObject(spool, "used_bytes", state->spool.used_bytes);
	cJSON_AddNumberToObject(spool, "disk_bytes", state->spool.disk_bytes);
	cJSON_AddNumberToObject(spool, "max_bytes", conf->max_bytes);
	cJSON_AddBoolToObject(spool, "failing", state->spool.failing);
}

static void add_clock(const struct uplink_state *state, cJSON *answer)
{
	cJSON *clock = cJSON_AddObjectToObject(answer, "clock");
	char bytes[32];
	struct text text = { .data = bytes, .size = sizeof(bytes) };

	message_iso_time(clock_wall_ms(), &text);
	cJSON_AddRawToObject(clock, "time", bytes);
	cJSON_AddBoolToObject(clock, "synced", clock_is_synced());
	cJSON_AddBoolToObject(clock, "was_set_right", state->spool.clock_is_right);
}

static const char *on_status(void *data, _unused_ const cJSON *request, cJSON *answer)
{
	const struct report *report = data;
	const struct config *config = report->subject.config;
	struct uplink_state state;
	cJSON *buses;

	uplink_describe(report->subject.uplink, &state);
	cJSON_AddStringToObject(answer, "gateway", config->conf->gateway);
	cJSON_AddStringToObject(answer, "version", PACKAGE_VERSION);
	cJSON_AddNumberToObject(answer, "pid", getpid());
	cJSON_AddNumberToObject(answer, "uptime_ms", ms_since(report->begun_us));
	cJSON_AddStringToObject(answer, "configuration", config->conf->file);
	add_link(&state, answer);
	add_session(&config->conf->broker, &state, answer);
	add_spool(&config->conf->spool, &state, answer);
	add_clock(&state, answer);
	buses = cJSON_AddArrayToObject(answer, "buses");
	for (size_t i = 0; i < config->bus_count; i++)
		cJSON_AddItemToArray(buses, cJSON_CreateString(config->buses[i]->name));
	return NULL;
}

/* --- a bus --- */

static void write_bus(const struct report_subject *subject, size_t i, struct text *text)
{
	const struct bus *bus = subject->buses[i];
	const struct listener *listener = subject->listeners[i];
	struct bus_stats stats = bus ? bus_stats(bus) : listener_stats(listener);

	view_bus(&stats, bus ? bus_devices(bus) : listener_devices(listener),
		 clock_monotonic_us(), text);
}

static const char *on_bus(void *data, const cJSON *request, cJSON *answer)
{
	const struct report_subject *subject = &((struct report *)data)->subject;
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(request, "bus"));
	size_t i = 0;

	if (!name)
		return "bus takes the name of a \"bus\"";
	while (i < subject->config->bus_count && strcmp(subject->config->buses[i]->name, name))
		i++;
	if (i == subject->config->bus_count)
		return "there is no such bus";
	for (size_t size = TEXT_BYTES; size <= TEXT_MOST_BYTES; size *= 2) {
		_cleanup_free_ char *bytes = malloc(size);
		struct text text = { .data = bytes, .size = size };

		if (!bytes)
			break;
		write_bus(subject, i, &text);
		if (text.full)
			continue;
		cJSON_AddRawToObject(answer, "bus", bytes);
		return NULL;
	}
	return "memory is short";
}

/* --- the socket --- */

static const struct control_verb verbs[] = {
	{ "status", on_status },
	{ "bus", on_bus },
	{ 0 },
};

void report_directory(char *path, size_t size)
{
	const char *given = getenv("RUNTIME_DIRECTORY");

	if (!given || !*given)
		given = "/run/postbus";
	snprintf(path, size, "%.*s", (int)strcspn(given, ":"), given);
}

static int make_link(struct report *report, const char *runtime, const char *spool)
{
	_cleanup_free_ char *target = NULL;

	if (asprintf(&target, "%s/" REPORT_SOCKET, runtime) < 0)
		return -ENOMEM;
	if (asprintf(&report->link, "%s/" REPORT_LINK, spool) < 0) {
		report->link = NULL;
		return -ENOMEM;
	}
	/* Who has the spool has this name too: what is there was left behind. */
	if ((unlink(report->link) < 0 && errno != ENOENT) || symlink(target, report->link) < 0)
		return -errno;
	return 0;
}

int report_new(sd_event *loop, const struct report_subject *subject, struct report **result)
{
	const char *spool = subject->config->conf->spool.directory;
	_cleanup_(report_freep) struct report *report = calloc(1, sizeof(*report));
	char runtime[PATH_MAX];
	int r;

	if (!report)
		return -ENOMEM;
	report->subject = *subject;
	report->begun_us = clock_monotonic_us();
	report_directory(runtime, sizeof(runtime));
	r = control_new(loop, runtime, REPORT_SOCKET, verbs, report, &report->control);
	if (r >= 0)
		r = make_link(report, runtime, spool);
	else
		r = control_new(loop, spool, REPORT_LINK, verbs, report, &report->control);
	if (r < 0)
		return r;
	*result = TAKE_PTR(report);
	return 0;
}

void report_free(struct report *report)
{
	if (!report)
		return;
	if (report->link)
		unlink(report->link);
	control_free(report->control);
	free(report->link);
	free(report);
}
