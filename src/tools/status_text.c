/* SPDX-License-Identifier: Apache-2.0 */
/* status_text.c - what a running gateway tells of itself, for people. */
#include "tools/status.h"
#include "base/cleanup.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
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

static bool begins_character(char byte)
{
	return ((unsigned char)byte & 0xC0) != 0x80;
}

static int columns(const char *text)
{
	int count = 0;

	for (; *text; text++)
		count += begins_character(*text);
	return count;
}

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

/* How many bytes of the text go on a line of so many columns, to be broken at a blank. */
static size_t fitting(const char *text, int room)
{
	size_t length = 0, blank = 0;

	while (text[length] && (room > 0 || !begins_character(text[length]))) {
		room -= begins_character(text[length]);
		length++;
		if (text[length] == ' ')
			blank = length;
	}
	return text[length] && blank ? blank : length;
}

static void print_wrapped(const char *text, int indent)
{
	size_t n = fitting(text, WIDTH - indent);

	printf("%.*s\n", (int)n, text);
	for (text += n; *text; text += n) {
		text += *text == ' ';
		n = fitting(text, WIDTH - indent);
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
	if (columns(name) < width) {
		printf("%s%*s", name, width - columns(name), "");
	} else {
		print_wrapped(name, indent);
		printf("%*s", indent + width, "");
	}
	print_wrapped(text, indent + width);
}

/* --- words --- */

static double number(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static const char *string(const cJSON *json, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));

	return text ? text : "";
}

static bool is_true(const cJSON *json, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, key));
}

/* A time that passed, to two figures or so. */
struct words {
	char text[32];
};

static struct words duration(double ms)
{
	static const struct {
		double ms;
		const char *name;
	} units[] = { { 86400e3, "d" }, { 3600e3, "h" }, { 60e3, "min" }, { 1e3, "s" } };
	struct words words;
	size_t i = 0;

	while (i < ARRAY_SIZE(units) - 1 && ms < 2 * units[i].ms)
		i++;
	snprintf(words.text, sizeof(words.text), "%.*f %s", ms < 10e3 ? 1 : 0,
		 ms / units[i].ms, units[i].name);
	return words;
}

/* Adds ", 5 checksum" for each count that is not 0. */
static void add_counts(char *text, size_t size, const cJSON *counts)
{
	const cJSON *count;

	cJSON_ArrayForEach(count, counts) {
		size_t used = strlen(text);

		if (count->valuedouble)
			snprintf(text + used, size - used, "%s%.0f %s", used ? ", " : "",
				 count->valuedouble, count->string);
	}
}

/* --- the gateway --- */

static void print_link(const cJSON *status)
{
	const cJSON *link = cJSON_GetObjectItem(status, "link");
	const cJSON *session = cJSON_GetObjectItem(status, "session");
	bool connected = is_true(link, "connected");

	say(0, LABEL, "link", "%s, for %s", string(link, "state"),
	    duration(number(link, "since_ms")).text);
	say(0, LABEL, "session", "%s, MQTT %s%s; %.0f in flight", string(session, "client_id"),
	    string(session, "version"),
	    !connected ? "" : is_true(session, "resumed") ? ", resumed" : ", new",
	    number(session, "in_flight"));
}

static void print_spool(const cJSON *spool)
{
	const double mib = 1024 * 1024;

	say(0, LABEL, "spool", "%.0f waiting of %.0f taken in, %.0f acknowledged",
	    number(spool, "waiting"), number(spool, "taken"), number(spool, "acknowledged"));
	say(0, LABEL, "", "%.0f set aside, %.0f dropped, %.0f damaged",
	    number(spool, "set_aside"), number(spool, "dropped"), number(spool, "damaged"));
	say(0, LABEL, "", "%.1f MiB in use of %.1f%s", number(spool, "used_bytes") / mib,
	    number(spool, "max_bytes") / mib,
	    is_true(spool, "failing") ? "; the disk does not take what is written" : "");
	say(0, LABEL, "", "%s", string(spool, "directory"));
}

static void print_gateway(const cJSON *status)
{
	const cJSON *clock = cJSON_GetObjectItem(status, "clock");

	say(0, LABEL, "gateway", "%s, postbus %s, running for %s", string(status, "gateway"),
	    string(status, "version"), duration(number(status, "uptime_ms")).text);
	print_link(status);
	print_spool(cJSON_GetObjectItem(status, "spool"));
	say(0, LABEL, "clock", "%s, %s", string(clock, "time"),
	    is_true(clock, "synced") ? "set right" :
	    is_true(clock, "was_set_right") ? "was set right" : "not set right yet");
}

/* --- buses --- */

static void print_point(const cJSON *point)
{
	const cJSON *value = cJSON_GetObjectItem(point, "value");
	const char *quality = string(point, "quality"), *unit = string(point, "unit");
	_cleanup_free_ char *printed = cJSON_PrintUnformatted(value);
	const char *text = cJSON_IsString(value) ? value->valuestring :
			   !printed || cJSON_IsNull(value) ? "-" : printed;
	int used = columns(text) + (*unit ? 1 + columns(unit) : 0);
	bool good = !strcmp(quality, "good");

	if (!cJSON_HasObjectItem(point, "age_ms")) {
		say(4, POINT_LABEL, point->string, "%s", quality);
		return;
	}
	say(4, POINT_LABEL, point->string, "%s%s%s%*s%s ago%s%s", text, *unit ? " " : "", unit,
	    used < POINT_VALUE ? POINT_VALUE - used : 1, "",
	    duration(number(point, "age_ms")).text, good ? "" : ", ", good ? "" : quality);
}

static void print_device(const cJSON *device, int width)
{
	const cJSON *refused = cJSON_GetObjectItem(device, "refused"), *point;
	bool heard = number(device, "answers") || number(refused, "exception");
	char trouble[256] = "", given_up[64] = "", address[16] = "";

	if (cJSON_HasObjectItem(device, "address"))
		snprintf(address, sizeof(address), " at %.0f", number(device, "address"));
	if (number(device, "failures"))
		snprintf(given_up, sizeof(given_up), ", %.0f requests given up",
			 number(device, "failures"));
	if (number(device, "timeouts"))
		snprintf(trouble, sizeof(trouble), "%.0f timeouts", number(device, "timeouts"));
	add_counts(trouble, sizeof(trouble), refused);
	putchar('\n');
	say(2, width, string(device, "device"), "%s, %s %s%s%s; %s%s%s%s",
	    string(device, "state"), heard ? "answered" : "no answer in",
	    duration(number(device, "silent_ms")).text, heard ? " ago" : "", given_up,
	    string(device, "map"), address, *trouble ? "; " : "", trouble);
	cJSON_ArrayForEach(point, cJSON_GetObjectItem(device, "points"))
		print_point(point);
}

/* As wide as the longest of their names. */
static void print_devices(const cJSON *devices)
{
	const cJSON *device;
	int width = 0;

	cJSON_ArrayForEach(device, devices) {
		int name = columns(string(device, "device")) + 1;

		if (name > width)
			width = name;
	}
	cJSON_ArrayForEach(device, devices)
		print_device(device, width < DEVICE_LABEL ? width : DEVICE_LABEL);
}

static void print_load(const cJSON *bus)
{
	double stretch = number(bus, "stretch");

	if (stretch > 1.05)
		say(2, LABEL - 2, "load", "%.0f %%; more is due than the wire carries, all is read "
		    "%.1f times less often", 100 * number(bus, "load"), stretch);
	else
		say(2, LABEL - 2, "load", "%.0f %%; all is read on time",
		    100 * number(bus, "load"));
}

static void print_bus(const cJSON *bus)
{
	const cJSON *latency = cJSON_GetObjectItem(bus, "latency_ms");
	char refused[256] = "", line[256] = "", lost[64] = "";
	const char *trouble = string(bus, "trouble");

	add_counts(refused, sizeof(refused), cJSON_GetObjectItem(bus, "refused"));
	add_counts(line, sizeof(line), cJSON_GetObjectItem(bus, "line"));
	if (number(bus, "lost"))
		snprintf(lost, sizeof(lost), ", lost %.0f times", number(bus, "lost"));
	putchar('\n');
	say(0, LABEL, "bus", "%s", string(bus, "bus"));
	say(2, LABEL - 2, "port", "%s", string(bus, "port"));
	say(2, LABEL - 2, "", "%s%s%s%s", is_true(bus, "open") ? "open" : "not open",
	    *trouble ? ": " : "", trouble, lost);
	print_load(bus);
	say(2, LABEL - 2, "requests", "%.0f, %.0f answered, %.0f timeouts%s%s",
	    number(bus, "requests"), number(bus, "answers"), number(bus, "timeouts"),
	    *refused ? ", " : "", refused);
	if (number(bus, "answers"))
		say(2, LABEL - 2, "latency", "half within %.1f ms, 90 %% %.1f ms, 99 %% %.1f ms",
		    number(latency, "p50"), number(latency, "p90"), number(latency, "p99"));
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
