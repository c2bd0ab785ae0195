// SPDX-License-Identifier: Apache-2.0
/*
 * text.c - lines of text: values by a regular expression, in separated fields, behind keys, as
 * JSON, and sentences of NMEA 0183.
 *
 *     T=21.5;H=40.2 CR LF         key: T       {"t":{"air":21.5}} LF    json: /t/air
 *     21.5,40.2,1013 LF           field: 3     +0021.5 kg CR            match: '([-+\d.]+) kg'
 *
 * A line ends with LF, in front of which a CR may stand, or with what the map's `end:` says.
 * Control characters at its ends (STX, ETX) are dropped; one within makes it garbage.
 *
 * NMEA 0183 (published by the National Marine Electronics Association; GPSD's "NMEA Revealed"
 * describes it for all), at most 82 characters there, and more where makers have their own:
 *
 *     $ GP GGA , 123519 , 4807.038 , N , … * 47 CR LF
 *       │  │     1        2          3       checksum: all between $ and * by exclusive or,
 *       │  └ sentence                        in two hexadecimal digits
 *       └ talker
 */

#include "config/writing.h"
#include "drivers/words.h"
#include "field/driver.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

/* --- lines --- */

static bool is_control(uint8_t byte)
{
	return (byte < 0x20 && byte != '\t') || byte == 0x7F;
}

static struct chunk refused(enum reply_status status, size_t used)
{
	return (struct chunk){.status = status, .used = used};
}

/* The line's text without control characters around it; garbage where one is within. */
static struct chunk whole_line(const uint8_t *bytes, size_t n, size_t used)
{
	while (n && is_control(bytes[0])) {
		bytes++;
		n--;
	}
	while (n && is_control(bytes[n - 1]))
		n--;
	for (size_t i = 0; i < n; i++) {
		if (is_control(bytes[i]))
			return refused(REPLY_GARBAGE, used);
	}
	return (struct chunk){REPLY_OK, used, bytes, n};
}

static struct chunk next_line(const struct ending *ending, const uint8_t *bytes, size_t n)
{
	static const struct ending line_feed = {"\n", 1};
	const struct ending *end = ending->length ? ending : &line_feed;
	const uint8_t *found = memmem(bytes, n, end->bytes, end->length);
	size_t length = found ? (size_t)(found - bytes) : n;

	if (length > FRAME_MAX_LENGTH)
		return refused(REPLY_LENGTH, found ? length + end->length : n);
	if (!found)
		return refused(REPLY_MORE, 0);
	return whole_line(bytes, length, length + end->length);
}

static uint8_t exclusive_or(const uint8_t *bytes, size_t n)
{
	return (uint8_t)checksum_of(CHECKSUM_XOR8, bytes, n);
}

static bool hex_byte(const uint8_t *text, uint8_t *byte)
{
	const char digits[] = {(char)text[0], (char)text[1], '\0'};

	if (!isxdigit(text[0]) || !isxdigit(text[1]))
		return false;
	*byte = (uint8_t)strtoul(digits, NULL, 16);
	return true;
}

static bool is_begin(uint8_t byte)
{
	return byte == '$' || byte == '!';
}

/* What is in front of the next sentence: the rest of a line, or of nothing. */
static struct chunk before_sentence(const uint8_t *bytes, size_t n)
{
	bool only_ends = true;
	size_t i = 0;

	while (i < n && !is_begin(bytes[i]) && i <= FRAME_MAX_LENGTH) {
		only_ends = only_ends && (bytes[i] == '\r' || bytes[i] == '\n');
		if (bytes[i++] == '\n')
			break;
	}
	if (only_ends)
		return (struct chunk){REPLY_OK, i, bytes, 0};
	if (i == n && i <= FRAME_MAX_LENGTH && bytes[i - 1] != '\n')
		return refused(REPLY_MORE, 0);
	return refused(REPLY_GARBAGE, i);
}

static struct chunk next_sentence(const uint8_t *bytes, size_t n)
{
	size_t end = 1;
	struct chunk line;
	uint8_t sum;

	if (!is_begin(bytes[0]))
		return before_sentence(bytes, n);
	/* Where the line's end was lost, the next sentence's beginning ends it. */
	while (end < n && bytes[end] != '\n' && bytes[end] != '$' && end <= FRAME_MAX_LENGTH)
		end++;
	if (end > FRAME_MAX_LENGTH)
		return refused(REPLY_LENGTH, end);
	if (end == n)
		return refused(REPLY_MORE, 0);
	if (bytes[end] == '$')
		return refused(REPLY_LENGTH, end);
	line = whole_line(bytes + 1, end - 1, end + 1);
	if (line.status != REPLY_OK)
		return line;
	if (line.length < 3 || line.unit[line.length - 3] != '*' ||
	    !hex_byte(line.unit + line.length - 2, &sum) ||
	    sum != exclusive_or(line.unit, line.length - 3))
		return refused(REPLY_CHECKSUM, line.used);
	line.length -= 3;
	return line;
}

static struct chunk text_next(const struct device_map *map, _unused_ uint8_t address,
			      const uint8_t *bytes, size_t n)
{
	if (n == 0)
		return refused(REPLY_MORE, 0);
	return map->framing.nmea ? next_sentence(bytes, n)
				 : next_line(&map->framing.end, bytes, n);
}

/* --- values --- */

/* A separator of one blank stands for as many blanks and tabs as there are. */
static bool is_blanks(const char *separator)
{
	return !strcmp(separator, " ");
}

/* Takes the next part off `rest`; false: there is none. rest->text is NULL behind the last. */
static bool next_part(struct word *rest, const char *separator, struct word *part)
{
	size_t length = strlen(separator);
	const char *end;

	if (!rest->text)
		return false;
	*part = *rest;
	if (is_blanks(separator)) {
		*rest = word_trim(*rest);
		*part = *rest;
		for (part->length = 0; part->length < rest->length; part->length++) {
			if (strchr(" \t", part->text[part->length]))
				break;
		}
		end = part->length < rest->length ? part->text + part->length : NULL;
	} else {
		end = memmem(rest->text, rest->length, separator, length);
		part->length = end ? (size_t)(end - rest->text) : rest->length;
	}
	if (!end) {
		*rest = (struct word){0};
		return true;
	}
	rest->length -= part->length + length;
	rest->text = end + length;
	return true;
}

/* The N-th part from 0; .text is NULL where there are fewer. */
static struct word part_at(struct word line, const char *separator, size_t index)
{
	struct word part = {0};

	for (size_t i = 0; i <= index; i++) {
		if (!next_part(&line, separator, &part))
			return (struct word){0};
	}
	return part;
}

static const char *separator_of(const struct framing *framing)
{
	return framing->separator && !framing->nmea ? framing->separator : ",";
}

/* Parts such as `T = 21.5`; without `separator:` blanks, commas and semicolons divide them. */
static bool next_pair(struct word *rest, const char *separator, struct word *part)
{
	size_t n = 0;

	if (separator)
		return next_part(rest, separator, part);
	while (rest->length && strchr(" \t,;", rest->text[0])) {
		rest->text++;
		rest->length--;
	}
	while (n < rest->length && !strchr(" \t,;", rest->text[n]))
		n++;
	*part = (struct word){rest->text, n};
	rest->text += n;
	rest->length -= n;
	return n > 0;
}

static struct word behind_key(const struct framing *framing, struct word line, const char *key)
{
	const char *assign = framing->assign ? framing->assign : "=";
	size_t length = strlen(assign);
	struct word part;

	while (next_pair(&line, framing->separator, &part)) {
		const char *at = memmem(part.text, part.length, assign, length);
		struct word name = {part.text, at ? (size_t)(at - part.text) : 0};

		if (at && word_is(word_trim(name), key))
			return (struct word){at + length, part.length - name.length - length};
	}
	return (struct word){0};
}

static struct word matched(const struct pattern *pattern, struct word line)
{
	size_t at, length;

	if (!pattern_match(pattern, line.text, line.length, &at, &length))
		return (struct word){0};
	return (struct word){line.text + at, length};
}

/* --- JSON --- */

/* One step of a JSON pointer (RFC 6901): `~1` is a slash, `~0` a tilde. */
static const cJSON *json_step(const cJSON *node, const char *step, size_t length)
{
	char name[128 + 1];
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		char c = step[i];

		if (c == '~' && i + 1 < length)
			c = step[++i] == '1' ? '/' : '~';
		name[n++] = c;
	}
	name[n] = '\0';
	if (cJSON_IsArray(node) && *name && strspn(name, "0123456789") == n && n < 9)
		return cJSON_GetArrayItem(node, atoi(name));
	return cJSON_GetObjectItemCaseSensitive(node, name);
}

static const cJSON *json_find(const cJSON *node, const char *pointer)
{
	while (node && *pointer == '/') {
		size_t length = strcspn(++pointer, "/");

		node = json_step(node, pointer, length);
		pointer += length;
	}
	return node;
}

/* The value as text; `buffer` holds a number. Maps and lists are no value. */
static struct word json_word(const cJSON *node, char *buffer, size_t size)
{
	const char *text = "";

	if (cJSON_IsString(node)) {
		text = node->valuestring;
	} else if (cJSON_IsBool(node)) {
		text = cJSON_IsTrue(node) ? "true" : "false";
	} else if (cJSON_IsNumber(node)) {
		/* Fifteen digits are what any decimal keeps; more only where they are needed. */
		snprintf(buffer, size, "%.15g", node->valuedouble);
		if (strtod(buffer, NULL) != node->valuedouble)
			snprintf(buffer, size, "%.17g", node->valuedouble);
		text = buffer;
	}
	return (struct word){text, strlen(text)};
}

/* --- a line's values --- */

static bool is_sentence(const char *wanted, struct word name)
{
	if (!wanted || word_is(name, wanted))
		return true;
	/* A talker has two letters, a sentence three. */
	return strlen(wanted) == 3 && name.length == 5 && !memcmp(name.text + 2, wanted, 3);
}

/* False where the line does not have the point. */
static bool line_value(const struct device_map *map, const struct point *point,
		       struct word line, const cJSON *json, struct value *value)
{
	const struct locator *locator = point->locator;
	const char *separator = separator_of(&map->framing);
	struct word word = {0};
	char number[32];
	size_t field = locator->field - !map->framing.nmea; /* its name is field 0 */

	if (map->framing.nmea && !is_sentence(locator->sentence, part_at(line, ",", 0)))
		return false;
	switch (locator->how) {
	case LOCATE_NOWHERE:
		return false;
	case LOCATE_FIELD:
		word = part_at(line, separator, field);
		break;
	case LOCATE_MATCH:
		word = matched(locator->match, line);
		break;
	case LOCATE_KEY:
		word = behind_key(&map->framing, line, locator->key);
		break;
	case LOCATE_JSON:
		json = json_find(json, locator->key);
		if (json)
			word = json_word(json, number, sizeof(number));
		break;
	}
	if (!word.text)
		return false;
	if (point->type == TYPE_DEGREES)
		word_decode_degrees(point, word, part_at(line, separator, field + 1), value);
	else
		word_decode(point, word, value);
	return true;
}

static bool has_json(const struct point *points, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (points[i].locator->how == LOCATE_JSON)
			return true;
	}
	return false;
}

static size_t text_values(const struct device_map *map, const struct point *points,
			  size_t count, const uint8_t *unit, size_t n,
			  struct reading *readings)
{
	struct word line = {(const char *)unit, n};
	cJSON *json = NULL;
	size_t found = 0;

	if (n == 0)
		return 0;
	if (has_json(points, count))
		json = cJSON_ParseWithLength(line.text, n);
	for (size_t i = 0; i < count; i++) {
		struct reading *reading = &readings[found];

		reading->point = i;
		found += line_value(map, &points[i], line, json, &reading->value);
	}
	cJSON_Delete(json);
	return found;
}

static size_t text_ask(const struct device_map *map, uint8_t address,
		       uint8_t frame[FRAME_MAX])
{
	return word_fill(&map->framing.request, address, NULL, frame);
}

static size_t text_command(_unused_ const struct device_map *map, const struct point *point,
			   const struct value *value, uint8_t address, uint8_t frame[FRAME_MAX])
{
	const struct template *command = &point->locator->phrase->command;
	char word[STRING_MAX_LENGTH + 1] = "";

	/* An empty text is one all the same. */
	if (template_has(command, FILL_VALUE) && !word_encode(point, value, word) &&
	    !(value->kind == VALUE_TEXT && point->type == TYPE_STRING))
		return 0;
	return word_fill(command, address, word, frame);
}

/* In one of the whole lines that came. */
static bool text_confirms(const struct device_map *map, const struct point *point,
			  _unused_ const struct value *value, uint8_t address,
			  const uint8_t *bytes, size_t n)
{
	const struct pattern *reply = point->locator->phrase->text_reply;

	while (n) {
		struct chunk chunk = text_next(map, address, bytes, n);

		if (chunk.status == REPLY_MORE)
			return false;
		if (chunk.status == REPLY_OK && chunk.length &&
		    pattern_is_in(reply, (const char *)chunk.unit, chunk.length))
			return true;
		bytes += chunk.used;
		n -= chunk.used;
	}
	return false;
}

const struct driver driver_text = {
	.name = "text",
	.next = text_next,
	.values = text_values,
	.ask = text_ask,
	.command = text_command,
	.confirms = text_confirms,
};
