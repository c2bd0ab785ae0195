/* SPDX-License-Identifier: Apache-2.0 */
/* status_text.c - what a running gateway tells of itself, for people. */
#include "tools/status.h"
#include "base/cleanup.h"
#include "tools/status_words.h"

#include <stdarg.h>
#include <string.h>

enum {
	WIDTH = 80,
	LABEL = 11,
	/* Of devices' names at most. */
	DEVICE_LABEL = 24,
	/* Of the columns of a point: its name, its value with the unit. */
	POINT_LABEL = 24,
	POINT_VALUE = 22,
	LINE_MAX_BYTES = 2048,
};

/* --- lines --- */

/* A device, a broker or a map may have said what a terminal takes for a command: C0, DEL, C1. */
static void clean(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		if (*at < ' ' || *at == 0x7F)
			*at = '?';
		else if (*at == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0)
			at[0] = at[1] = '?';
	}
}

static void print_wrapped(const char *text, int indent)
{
	size_t n = bytes_fitting(text, WIDTH - indent);

	printf("%.*s\n", (int)n, text);
	for (text += n; *text; text += n) {
		text += *text == ' ';
		n = bytes_fitting(text, WIDTH - indent);
		printf("%*s%.*s\n", indent, "", (int)n, text);
	}
}

/* A line whose text begins `width` columns behind its label; what is too much goes on below. */
static void say(int indent, int width, const char *label, const char *format, ...)
	_printf_(4, 5);

static void say(int indent, int width, const char *label, const char *format, ...)
{
	char name[LINE_MAX_BYTES], text[LINE_MAX_BYTES];
	va_list arguments;

	snprintf(name, sizeof(name), "%s", label);
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	clean(name);
	clean(text);
	printf("%*s", indent, "");
	if (columns_of(name) < width) {
		printf("%s%*s", name, width - columns_of(name), "");
	} else {
		print_wrapped(name, indent);
		printf("%*s", indent + width, "");
	}
	print_wrapped(text, indent + width);
}

/* --- the gateway --- */

static void print_link(const cJSON *status)
{
	const cJSON *link = cJSON_GetObjectItem(status, "link");
	const cJSON *session = cJSON_GetObjectItem(status, "session");
	bool connected = is_true(link, "connected");

	say(0, LABEL, "link", "%s, for %s", string_of(link, "state"),
	    duration_words(number_of(link, "since_ms")).text);
	say(0, LABEL, "session", "%s, MQTT %s%s; %.0f in flight",
	    string_of(session, "client_id"), string_of(session, "version"),
	    !connected ? "" : is_true(session, "resumed") ? ", resumed" : ", new",
	    number_of(session, "in_flight"));
}

static void print_spool(const cJSON *spool)
{
	const double mib = 1024 * 1024;

	say(0, LABEL, "spool", "%.0f waiting of %.0f taken in, %.0f acknowledged",
	    number_of(spool, "waiting"), number_of(spool, "taken"),
	    number_of(spool, "acknowledged"));
	say(0, LABEL, "", "%.0f set aside, %.0f dropped, %.0f damaged",
	    number_of(spool, "set_aside"), number_of(spool, "dropped"),
	    number_of(spool, "damaged"));
	say(0, LABEL, "", "%.1f MiB in use of %.1f%s",
	    number_of(spool, "used_bytes") / mib, number_of(spool, "max_bytes") / mib,
	    is_true(spool, "failing") ? "; the disk does not take what is written" : "");
	say(0, LABEL, "", "%s", string_of(spool, "directory"));
}

/* A reload that failed is worth a line: what runs is not what is in the files. */
static void print_reload(const cJSON *reload)
{
	if (!reload || is_true(reload, "done"))
		return;
	say(0, LABEL, "reload", "failed at %s, %.0f faults, goes on as it was",
	    string_of(reload, "time"), number_of(reload, "faults"));
	say(0, LABEL, "", "%s", string_of(reload, "fault"));
}

/* Where there were any. */
static void print_commands(const cJSON *commands)
{
	const cJSON *refused = cJSON_GetObjectItem(commands, "refused"), *why;
	char words[LINE_MAX_BYTES] = "";
	size_t n = 0;

	if (!number_of(commands, "received") && !number_of(commands, "waiting"))
		return;
	say(0, LABEL, "commands", "%.0f received, %.0f done, %.0f failed, %.0f uncertain, "
	    "%.0f repeated, %.0f waiting", number_of(commands, "received"),
	    number_of(commands, "done"), number_of(commands, "failed"),
	    number_of(commands, "uncertain"), number_of(commands, "repeated"),
	    number_of(commands, "waiting"));
	cJSON_ArrayForEach(why, refused) {
		if (why->valuedouble && n < sizeof(words))
			n += snprintf(words + n, sizeof(words) - n, "%s%.0f %s",
				      n ? ", " : "", why->valuedouble, why->string);
	}
	if (n)
		say(0, LABEL, "", "refused: %s", words);
}

static void print_gateway(const cJSON *status)
{
	const cJSON *clock = cJSON_GetObjectItem(status, "clock");

	say(0, LABEL, "gateway", "%s, postbus %s, running for %s",
	    string_of(status, "gateway"), string_of(status, "version"),
	    duration_words(number_of(status, "uptime_ms")).text);
	print_reload(cJSON_GetObjectItem(status, "reload"));
	print_link(status);
	print_spool(cJSON_GetObjectItem(status, "spool"));
	print_commands(cJSON_GetObjectItem(status, "commands"));
	say(0, LABEL, "clock", "%s, %s", string_of(clock, "time"), clock_words(clock));
}

/* --- buses --- */

static void print_point(const cJSON *point)
{
	const char *quality = string_of(point, "quality");
	bool good = !strcmp(quality, "good");
	char value[LINE_MAX_BYTES];
	int used;

	if (!cJSON_HasObjectItem(point, "age_ms")) {
		say(4, POINT_LABEL, name_of(point), "%s", quality);
		return;
	}
	value_words(point, value, sizeof(value));
	used = columns_of(value);
	say(4, POINT_LABEL, name_of(point), "%s%*s%s ago%s%s", value,
	    used < POINT_VALUE ? POINT_VALUE - used : 1, "",
	    duration_words(number_of(point, "age_ms")).text, good ? "" : ", ",
	    good ? "" : quality);
}

static void print_device(const cJSON *device, int width)
{
	char state[128], errors[256], address[16] = "";
	const cJSON *point;

	if (cJSON_HasObjectItem(device, "address"))
		snprintf(address, sizeof(address), " at %.0f", number_of(device, "address"));
	state_words(device, state, sizeof(state));
	error_words(device, errors, sizeof(errors));
	putchar('\n');
	say(2, width, string_of(device, "device"), "%s; %s%s%s%s", state,
	    string_of(device, "map"), address, *errors ? "; " : "", errors);
	cJSON_ArrayForEach(point, cJSON_GetObjectItem(device, "points"))
		print_point(point);
}

/* As wide as the longest of their names. */
static void print_devices(const cJSON *devices)
{
	const cJSON *device;
	int width = 0;

	cJSON_ArrayForEach(device, devices) {
		int name = columns_of(string_of(device, "device")) + 1;

		if (name > width)
			width = name;
	}
	cJSON_ArrayForEach(device, devices)
		print_device(device, width < DEVICE_LABEL ? width : DEVICE_LABEL);
}

static void print_load(const cJSON *bus)
{
	if (is_late(bus))
		say(2, LABEL - 2, "load", "%.0f %%; more is due than the wire carries, all is read "
		    "%.1f times less often", 100 * number_of(bus, "load"),
		    number_of(bus, "stretch"));
	else
		say(2, LABEL - 2, "load", "%.0f %%; all is read on time",
		    100 * number_of(bus, "load"));
}

static void print_bus(const cJSON *bus)
{
	const cJSON *latency = cJSON_GetObjectItem(bus, "latency_ms");
	char errors[256], line[256] = "", lost[64] = "";
	const char *trouble = string_of(bus, "trouble");

	error_words(bus, errors, sizeof(errors));
	add_counts(line, sizeof(line), cJSON_GetObjectItem(bus, "line"));
	if (number_of(bus, "lost"))
		snprintf(lost, sizeof(lost), ", lost %.0f time%s", number_of(bus, "lost"),
			 number_of(bus, "lost") == 1 ? "" : "s");
	putchar('\n');
	say(0, LABEL, "bus", "%s", string_of(bus, "bus"));
	say(2, LABEL - 2, "port", "%s", string_of(bus, "port"));
	say(2, LABEL - 2, "", "%s%s%s%s", is_true(bus, "open") ? "open" : "not open",
	    *trouble ? ": " : "", trouble, lost);
	if (is_true(bus, "open"))
		print_load(bus);
	say(2, LABEL - 2, "requests", "%.0f, %.0f answered%s%s", number_of(bus, "requests"),
	    number_of(bus, "answers"), *errors ? ", " : "", errors);
	if (number_of(bus, "answers"))
		say(2, LABEL - 2, "latency", "half within %.1f ms, 90 %% %.1f ms, 99 %% %.1f ms",
		    number_of(latency, "p50"), number_of(latency, "p90"),
		    number_of(latency, "p99"));
	say(2, LABEL - 2, "line", "%s", *line ? line : "no errors");
	print_devices(cJSON_GetObjectItem(bus, "devices"));
}

void status_print(const cJSON *status)
{
	const cJSON *bus;

	print_gateway(status);
	cJSON_ArrayForEach(bus, cJSON_GetObjectItem(status, "buses"))
		print_bus(bus);
}
