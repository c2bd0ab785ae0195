/* SPDX-License-Identifier: Apache-2.0 */
/* setting.c - what a command's payload wants: a bare value, or JSON with an id and an expiry. */
#include "bridge/setting.h"

#include "bridge/number.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

/* Above it a double does not tell one whole number from the next. */
#define EXACT_MOST 9007199254740992.0

int setting_wrong(char error[OUTCOME_ERROR_MAX], const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error, OUTCOME_ERROR_MAX, format, list);
	va_end(list);
	return -EINVAL;
}

static int take_text(const char *text, size_t n, struct setting *setting,
		     char error[OUTCOME_ERROR_MAX])
{
	if (n > STRING_MAX_LENGTH)
		return setting_wrong(error, "a value has at most %d bytes, not %zu",
				     STRING_MAX_LENGTH, n);
	memcpy(setting->value, text, n);
	setting->value[n] = '\0';
	return 0;
}

/* --- when it is too late --- */

/* So many digits; false: they are not all digits. */
static bool take_digits(const char **text, unsigned count, int *number)
{
	*number = 0;
	for (; count; count--, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return false;
		*number = *number * 10 + (**text - '0');
	}
	return true;
}

static bool take_character(const char **text, const char *characters)
{
	return **text && strchr(characters, *(*text)++);
}

/* `Z`, `+01:00` or `+0100`; minutes to the east. */
static bool take_zone(const char **text, int *minutes)
{
	char sign = **text;
	int hours;

	*minutes = 0;
	if (!take_character(text, "Zz+-"))
		return false;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (!take_digits(text, 2, &hours))
		return false;
	*text += **text == ':';
	if (!take_digits(text, 2, minutes) || hours > 23 || *minutes > 59)
		return false;
	*minutes += 60 * hours;
	if (sign == '-')
		*minutes = -*minutes;
	return true;
}

/* `.123`: milliseconds; what is finer is left out. */
static unsigned take_fraction(const char **text)
{
	unsigned ms = 0, unit = 100;

	if (**text != '.' && **text != ',')
		return 0;
	for ((*text)++; isdigit((unsigned char)**text); (*text)++, unit /= 10)
		ms += unit * (unsigned)(**text - '0');
	return ms;
}

/* `2026-11-23T18:52:01.123Z`, as RFC 3339 has it. */
static bool parse_time(const char *text, uint64_t *epoch_ms)
{
	struct tm tm = {0}, made;
	int minutes;
	unsigned ms;
	time_t time;

	if (!take_digits(&text, 4, &tm.tm_year) || !take_character(&text, "-") ||
	    !take_digits(&text, 2, &tm.tm_mon) || !take_character(&text, "-") ||
	    !take_digits(&text, 2, &tm.tm_mday) || !take_character(&text, "Tt ") ||
	    !take_digits(&text, 2, &tm.tm_hour) || !take_character(&text, ":") ||
	    !take_digits(&text, 2, &tm.tm_min) || !take_character(&text, ":") ||
	    !take_digits(&text, 2, &tm.tm_sec))
		return false;
	ms = take_fraction(&text);
	if (!take_zone(&text, &minutes) || *text || tm.tm_sec > 60 || tm.tm_min > 59)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	made = tm;
	time = timegm(&made);
	/* A 31st of June would have become the 1st of July. */
	if (time < 0 || made.tm_mday != tm.tm_mday || made.tm_mon != tm.tm_mon)
		return false;
	time -= 60 * (time_t)minutes;
	if (time < 0)
		return false;
	*epoch_ms = (uint64_t)time * 1000 + ms;
	return true;
}

static int take_expires(const cJSON *node, struct setting *setting,
			char error[OUTCOME_ERROR_MAX])
{
	double ms = node->valuedouble;

	setting->has_expires = true;
	if (cJSON_IsString(node) && parse_time(node->valuestring, &setting->expires_ms))
		return 0;
	if (cJSON_IsNumber(node) && ms >= 0 && ms < EXACT_MOST) {
		setting->expires_ms = (uint64_t)ms;
		return 0;
	}
	return setting_wrong(error, "expires is a time such as \"2026-11-23T18:52:01Z\", or "
				    "milliseconds since 1970");
}

/* --- the rest of the object --- */

static int take_id(const cJSON *node, struct setting *setting,
		   char error[OUTCOME_ERROR_MAX])
{
	size_t n = cJSON_IsString(node) ? strlen(node->valuestring) : 0;

	if (!n || n > SETTING_ID_MAX)
		return setting_wrong(error, "id is a text of 1 to %d bytes", SETTING_ID_MAX);
	memcpy(setting->id, node->valuestring, n + 1);
	return 0;
}

/* A number is kept digit for digit where a double can, and refused where it could not. */
static int take_number(double number, struct setting *setting,
		       char error[OUTCOME_ERROR_MAX])
{
	struct value value = {.kind = VALUE_DOUBLE, .d = number};
	struct text text = {.data = setting->value, .size = sizeof(setting->value)};

	if (!isfinite(number) || fabs(number) > EXACT_MOST)
		return setting_wrong(error, "a number above 2^53 is written in quotes, digit "
					    "for digit");
	number_print(&value, &text);
	return 0;
}

static int take_value(const cJSON *node, struct setting *setting,
		      char error[OUTCOME_ERROR_MAX])
{
	if (cJSON_IsString(node))
		return take_text(node->valuestring, strlen(node->valuestring), setting,
				 error);
	if (cJSON_IsNumber(node))
		return take_number(node->valuedouble, setting, error);
	if (cJSON_IsBool(node))
		return take_text(cJSON_IsTrue(node) ? "true" : "false",
				 cJSON_IsTrue(node) ? 4 : 5, setting, error);
	return setting_wrong(error, "value is a number, a text, true or false");
}

/* What nobody knows is refused: a mistyped `expires` must not be taken for none. */
static int take_object(const cJSON *object, struct setting *setting,
		       char error[OUTCOME_ERROR_MAX])
{
	static const struct {
		const char *name;
		int (*take)(const cJSON *, struct setting *, char *);
	} keys[] = {{"id", take_id}, {"value", take_value}, {"expires", take_expires}};
	bool seen[ARRAY_SIZE(keys)] = {false};
	const cJSON *node;

	cJSON_ArrayForEach(node, object)
	{
		size_t key = 0;

		while (key < ARRAY_SIZE(keys) && strcmp(node->string, keys[key].name))
			key++;
		if (key == ARRAY_SIZE(keys))
			return setting_wrong(error, "there is no '%.32s': id, value and "
						    "expires can be", node->string);
		if (seen[key])
			return setting_wrong(error, "%s stands twice", keys[key].name);
		seen[key] = true;
		if (keys[key].take(node, setting, error) < 0)
			return -EINVAL;
	}
	return seen[1] ? 0 : setting_wrong(error, "value is missing");
}

static int take_json(const char *payload, size_t n, struct setting *setting,
		     char error[OUTCOME_ERROR_MAX])
{
	const char *end = NULL;
	cJSON *json = cJSON_ParseWithLengthOpts(payload, n, &end, false);
	int r;

	if (!json || end != payload + n)
		r = setting_wrong(error, "not JSON");
	else if (cJSON_IsObject(json))
		r = take_object(json, setting, error);
	else
		r = take_value(json, setting, error);
	cJSON_Delete(json);
	return r;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int setting_parse(const char *payload, size_t n, struct setting *setting,
		  char error[OUTCOME_ERROR_MAX])
{
	*setting = (struct setting){0};
	while (n && is_blank(payload[n - 1]))
		n--;
	while (n && is_blank(payload[0])) {
		payload++;
		n--;
	}
	if (!n)
		return setting_wrong(error, "the payload is empty");
	if (n > SETTING_PAYLOAD_MAX)
		return setting_wrong(error, "the payload is longer than %d bytes",
				     SETTING_PAYLOAD_MAX);
	if (memchr(payload, '\0', n))
		return setting_wrong(error, "there is a zero byte in the payload");
	if (payload[0] == '{' || payload[0] == '"')
		return take_json(payload, n, setting, error);
	return take_text(payload, n, setting, error);
}
