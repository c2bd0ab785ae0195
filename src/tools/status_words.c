/* SPDX-License-Identifier: Apache-2.0 */
/* status_words.c - what a gateway's status says, in words for people. */
#include "tools/status_words.h"
#include "base/cleanup.h"

#include <stdint.h>
#include <string.h>

/* --- what is there --- */

double number_of(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

const char *string_of(const cJSON *json, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));

	return text ? text : "";
}

bool is_true(const cJSON *json, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, key));
}

const char *name_of(const cJSON *member)
{
	return member->string ? member->string : "";
}

/* --- words --- */

struct words duration_words(double ms)
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

void add_counts(char *text, size_t size, const cJSON *counts)
{
	const cJSON *count;

	cJSON_ArrayForEach(count, counts) {
		size_t used = strlen(text);

		if (count->valuedouble)
			snprintf(text + used, size - used, "%s%.0f %s", used ? ", " : "",
				 count->valuedouble, name_of(count));
	}
}

void value_words(const cJSON *point, char *text, size_t size)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(point, "value");
	_cleanup_free_ char *printed = cJSON_PrintUnformatted(value);
	const char *unit = string_of(point, "unit");

	if (!printed || cJSON_IsNull(value))
		snprintf(text, size, "-");
	else
		snprintf(text, size, "%s%s%s",
			 cJSON_IsString(value) ? value->valuestring : printed,
			 *unit ? " " : "", unit);
}

const char *clock_words(const cJSON *clock)
{
	return is_true(clock, "synced") ? "set right" :
	       is_true(clock, "was_set_right") ? "was set right" : "not set right yet";
}

/* A few hundredths are not worth to be told of. */
bool is_late(const cJSON *bus)
{
	return number_of(bus, "stretch") > 1.05;
}

void state_words(const cJSON *device, char *text, size_t size)
{
	const cJSON *refused = cJSON_GetObjectItemCaseSensitive(device, "refused");
	bool heard = number_of(device, "answers") || number_of(refused, "exception");
	char given_up[64] = "";

	if (number_of(device, "failures"))
		snprintf(given_up, sizeof(given_up), ", %.0f request%s given up",
			 number_of(device, "failures"),
			 number_of(device, "failures") == 1 ? "" : "s");
	snprintf(text, size, "%s, %s %s%s%s", string_of(device, "state"),
		 heard ? "answered" : "no answer in",
		 duration_words(number_of(device, "silent_ms")).text, heard ? " ago" : "",
		 given_up);
}

void error_words(const cJSON *counters, char *text, size_t size)
{
	*text = '\0';
	if (number_of(counters, "timeouts"))
		snprintf(text, size, "%.0f timeout%s", number_of(counters, "timeouts"),
			 number_of(counters, "timeouts") == 1 ? "" : "s");
	add_counts(text, size, cJSON_GetObjectItemCaseSensitive(counters, "refused"));
}

/* --- columns --- */

static bool begins_character(char byte)
{
	return ((unsigned char)byte & 0xC0) != 0x80;
}

int columns_of(const char *text)
{
	int count = 0;

	for (; *text; text++)
		count += begins_character(*text);
	return count;
}

size_t bytes_fitting(const char *text, int room)
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
