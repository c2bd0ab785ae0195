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
	/* A text begins with so much room, and gets twice as much while it needs it. */
	TEXT_BYTES = 16 * 1024,
	TEXT_MOST_BYTES = 32 * 1024 * 1024,
	/* The last ten minutes of the spool. */
	TREND_SAMPLES = 120,
	TREND_MS = 5000,
};

/* How many messages waited, the latest at `next` - 1. */
struct trend {
	uint32_t waiting[TREND_SAMPLES];
	size_t next, count;
};

struct report {
	const struct report_subject *subject;
	struct control *control;
	char *link; /* NULL: none was made */
	uint64_t begun_us;
	struct trend trend;
	sd_event_source *trend_timer;
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

/* The oldest first, and at the end what waits now. */
static void add_trend(const struct trend *trend, uint64_t waiting, cJSON *spool)
{
	cJSON *json = cJSON_AddObjectToObject(spool, "trend");
	cJSON *samples;

	cJSON_AddNumberToObject(json, "every_ms", TREND_MS);
	samples = cJSON_AddArrayToObject(json, "waiting");
	for (size_t i = trend->count; i > 0; i--) {
		size_t at = (trend->next + TREND_SAMPLES - i) % TREND_SAMPLES;

		cJSON_AddItemToArray(samples, cJSON_CreateNumber(trend->waiting[at]));
	}
	cJSON_AddItemToArray(samples, cJSON_CreateNumber(waiting));
}

/* Of the same names as `postbus spool status` has. */
static void add_spool(const struct spool_conf *conf, const struct uplink_state *state,
		      const struct trend *trend, cJSON *answer)
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
	add_trend(trend, sums->waiting, spool);
}

static void add_commands(const struct command_counts *counts, cJSON *answer)
{
	cJSON *commands = cJSON_AddObjectToObject(answer, "commands"), *refused;

	cJSON_AddNumberToObject(commands, "received", counts->received);
	cJSON_AddNumberToObject(commands, "waiting", counts->waiting);
	cJSON_AddNumberToObject(commands, "done", counts->done);
	cJSON_AddNumberToObject(commands, "failed", counts->failed);
	cJSON_AddNumberToObject(commands, "uncertain", counts->uncertain);
	cJSON_AddNumberToObject(commands, "repeated", counts->repeated);
	refused = cJSON_AddObjectToObject(commands, "refused");
	for (size_t i = 0; i < COMMAND_REFUSALS; i++)
		cJSON_AddNumberToObject(refused, command_refusal_name(i), counts->refused[i]);
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

static void add_reload(const struct reload_state *state, cJSON *answer)
{
	cJSON *reload;
	char bytes[32];
	struct text text = { .data = bytes, .size = sizeof(bytes) };

	if (!state->times)
		return;
	reload = cJSON_AddObjectToObject(answer, "reload");
	message_iso_time(state->at_ms, &text);
	cJSON_AddRawToObject(reload, "time", bytes);
	cJSON_AddBoolToObject(reload, "done", !state->failed);
	if (!state->failed)
		return;
	cJSON_AddNumberToObject(reload, "faults", state->faults);
	cJSON_AddStringToObject(reload, "fault", state->why);
}

static const char *on_status(void *data, _unused_ const cJSON *request, cJSON *answer)
{
	const struct report *report = data;
	const struct config *config = report->subject->config;
	struct uplink_state state;
	cJSON *buses;

	uplink_describe(report->subject->uplink, &state);
	cJSON_AddStringToObject(answer, "gateway", config->conf->gateway);
	cJSON_AddStringToObject(answer, "version", PACKAGE_VERSION);
	cJSON_AddNumberToObject(answer, "pid", getpid());
	cJSON_AddNumberToObject(answer, "uptime_ms", ms_since(report->begun_us));
	cJSON_AddStringToObject(answer, "configuration", config->conf->file);
	add_reload(report->subject->reload, answer);
	add_link(&state, answer);
	add_session(&config->conf->broker, &state, answer);
	add_spool(&config->conf->spool, &state, &report->trend, answer);
	add_commands(&state.commands, answer);
	add_clock(&state, answer);
	buses = cJSON_AddArrayToObject(answer, "buses");
	for (size_t i = 0; i < config->bus_count; i++)
		cJSON_AddItemToArray(buses, cJSON_CreateString(config->buses[i]->name));
	return NULL;
}

/* --- buses and devices --- */

/* What a text is of. */
struct part {
	const struct report_subject *subject;
	size_t bus, device;
};

static const struct device *devices_of(const struct part *part)
{
	const struct bus *bus = part->subject->buses[part->bus];

	return bus ? bus_devices(bus) : listener_devices(part->subject->listeners[part->bus]);
}

static void write_bus(const struct part *part, struct text *text)
{
	const struct bus *bus = part->subject->buses[part->bus];
	struct bus_stats stats =
		bus ? bus_stats(bus) : listener_stats(part->subject->listeners[part->bus]);

	view_bus(&stats, devices_of(part), text);
}

static void write_device(const struct part *part, struct text *text)
{
	view_device(&devices_of(part)[part->device], clock_monotonic_us(), text);
}

/* Adds what `write` writes, in a text as large as it has to be. */
static const char *add_text(cJSON *answer, const char *key, const struct part *part,
			    void (*write)(const struct part *part, struct text *text))
{
	for (size_t size = TEXT_BYTES; size <= TEXT_MOST_BYTES; size *= 2) {
		_cleanup_free_ char *bytes = malloc(size);
		struct text text = { .data = bytes, .size = size };

		if (!bytes)
			break;
		write(part, &text);
		if (text.full)
			continue;
		cJSON_AddRawToObject(answer, key, bytes);
		return NULL;
	}
	return "memory is short";
}

static const char *find_bus(struct part *part, const cJSON *request)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(request, "bus"));
	const struct config *config = part->subject->config;

	if (!name)
		return "wanted: the name of a \"bus\"";
	while (part->bus < config->bus_count && strcmp(config->buses[part->bus]->name, name))
		part->bus++;
	return part->bus < config->bus_count ? NULL : "there is no such bus";
}

static const char *find_device(struct part *part, const cJSON *request)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(request, "device"));
	const struct bus_config *bus = part->subject->config->buses[part->bus];

	if (!name)
		return "wanted: the name of a \"device\"";
	while (part->device < bus->device_count &&
	       strcmp(bus->devices[part->device].name, name))
		part->device++;
	return part->device < bus->device_count ? NULL : "there is no such device";
}

static const char *on_bus(void *data, const cJSON *request, cJSON *answer)
{
	struct part part = { .subject = ((struct report *)data)->subject };
	const char *error = find_bus(&part, request);

	return error ? error : add_text(answer, "bus", &part, write_bus);
}

static const char *on_device(void *data, const cJSON *request, cJSON *answer)
{
	struct part part = { .subject = ((struct report *)data)->subject };
	const char *error = find_bus(&part, request);

	if (!error)
		error = find_device(&part, request);
	return error ? error : add_text(answer, "device", &part, write_device);
}

/* --- the trend --- */

static int on_trend(sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct report *report = data;
	struct trend *trend = &report->trend;
	struct uplink_state state;

	uplink_describe(report->subject->uplink, &state);
	trend->waiting[trend->next] =
		state.sums.waiting < UINT32_MAX ? (uint32_t)state.sums.waiting : UINT32_MAX;
	trend->next = (trend->next + 1) % TREND_SAMPLES;
	trend->count += trend->count < TREND_SAMPLES;
	sd_event_source_set_time(source, clock_monotonic_us() + TREND_MS * USEC_PER_MSEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* --- the socket --- */

static const struct control_verb verbs[] = {
	{ "status", on_status },
	{ "bus", on_bus },
	{ "device", on_device },
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
	report->subject = subject;
	report->begun_us = clock_monotonic_us();
	report_directory(runtime, sizeof(runtime));
	r = control_new(loop, runtime, REPORT_SOCKET, verbs, report, &report->control);
	if (r >= 0)
		r = make_link(report, runtime, spool);
	else
		r = control_new(loop, spool, REPORT_LINK, verbs, report, &report->control);
	if (r >= 0)
		r = sd_event_add_time(loop, &report->trend_timer, CLOCK_MONOTONIC,
				      report->begun_us + TREND_MS * USEC_PER_MSEC, 0, on_trend,
				      report);
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
	sd_event_source_disable_unref(report->trend_timer);
	free(report->link);
	free(report);
}
