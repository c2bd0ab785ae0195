// SPDX-License-Identifier: Apache-2.0
/* locator.c - where a point's value stands in a line, a frame or a telegram. */
#include "config/locator.h"

#include "config/schema.h"
#include "config/writing.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
	PATTERN_MAX_LENGTH = 512,
	KEY_MAX_LENGTH = 128,
	FIELD_MOST = 200,
	GROUP_MOST = 100,
};

void locator_free(struct locator *locator)
{
	pattern_free(locator->match);
	free(locator->sentence);
	free(locator->key);
	free(locator->nan);
	phrase_free(locator->phrase);
}

bool point_is_read(const struct point *point)
{
	return !point->locator || point->locator->how != LOCATE_NOWHERE;
}

/* --- text --- */

static void read_match(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct locator *locator = data;
	_cleanup_free_ char *text = NULL;
	char wrong[PATTERN_WRONG_MAX];
	int r;

	locator->how = LOCATE_MATCH;
	if (!schema_text(schema, node, PATTERN_MAX_LENGTH, &text))
		return;
	r = pattern_new(text, 1, &locator->match, wrong);
	if (r == -ENOMEM)
		schema->error = r;
	else if (r < 0)
		schema_fault(schema, node, "not a regular expression to find a value by: %s",
			     wrong);
}

static void read_field(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct locator *locator = data;
	int64_t field;

	locator->how = LOCATE_FIELD;
	if (schema_integer(schema, node, 1, FIELD_MOST, &field))
		locator->field = field;
}

static void read_key(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct locator *locator = data;

	locator->how = LOCATE_KEY;
	schema_text(schema, node, KEY_MAX_LENGTH, &locator->key);
}

/* RFC 6901: empty, or /word/word, with ~0 for ~ and ~1 for /. */
static void read_json(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct locator *locator = data;

	locator->how = LOCATE_JSON;
	if (!schema_text(schema, node, KEY_MAX_LENGTH, &locator->key))
		return;
	if (locator->key[0] != '/')
		schema_fault(schema, node, "'%.64s' is not a JSON pointer such as /temperature",
			     locator->key);
	for (const char *c = strchr(locator->key, '~'); c; c = strchr(c + 1, '~')) {
		if (c[1] != '0' && c[1] != '1')
			schema_fault(schema, node, "a ~ of a JSON pointer is written ~0");
	}
}

static void read_sentence(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct locator *locator = data;
	size_t length;

	if (!schema_text(schema, node, KEY_MAX_LENGTH, &locator->sentence))
		return;
	length = strlen(locator->sentence);
	for (const char *c = locator->sentence; *c; c++) {
		if (!isupper((unsigned char)*c) && !isdigit((unsigned char)*c))
			length = 0;
	}
	if (length < 3 || length > 8)
		schema_fault(schema, node,
			     "'%.16s' is not a sentence: GGA, GPGGA with its talker, or PUBX",
			     locator->sentence);
}

/* What has a `command:` need not be found anywhere. */
static bool is_only_written(const struct yaml_node *node)
{
	const struct yaml_node *write = yaml_get(node, "write");

	return write && write->kind == YAML_MAP && yaml_get(write, "command");
}

static void check_text(struct schema *schema, const struct yaml_node *node,
		       const struct framing *framing, struct locator *locator)
{
	static const char *const ways[] = {"match", "field", "key", "json"};
	const struct yaml_node *sentence = yaml_get(node, "sentence");
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		count += yaml_get(node, ways[i]) != NULL;
	if (!count && is_only_written(node))
		locator->how = LOCATE_NOWHERE;
	else if (count != 1)
		schema_fault(schema, node,
			     "a point needs one of match, field, key and json, not %u", count);
	if (sentence && !framing->nmea)
		schema_fault(schema, sentence,
			     "sentences are of NMEA 0183: the map needs `checksum: nmea`");
}

/* --- the others --- */

static void read_at(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t at;

	if (schema_integer(schema, node, 0, FRAME_MAX_LENGTH - 1, &at))
		((struct locator *)data)->at = at;
}

/* `1-0:1.8.0`, or without medium and channel `1.8.0`, as the meter prints it. */
static void read_obis(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct locator *locator = data;

	if (!schema_text(schema, node, KEY_MAX_LENGTH, &locator->key))
		return;
	if (strspn(locator->key, "0123456789ABCDEFGLPabcdef.:-*") != strlen(locator->key) ||
	    !strchr(locator->key, '.'))
		schema_fault(schema, node, "'%.32s' is not a code such as 1-0:1.8.0 or 1.8.0",
			     locator->key);
}

static void read_group(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t group;

	if (schema_integer(schema, node, 1, GROUP_MOST, &group))
		((struct locator *)data)->group = group;
}

/* Values that are written as text have no raw bits: `nan` is the text for none. */
static void read_nan(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, STRING_MAX_LENGTH, &((struct locator *)data)->nan);
}

const struct schema_key *locator_keys(enum driver_kind kind)
{
	static const struct schema_key text[] = {
		KEY("match", read_match), KEY("field", read_field),
		KEY("key", read_key),	  KEY("json", read_json),
		KEY("sentence", read_sentence), KEY("nan", read_nan),
		LAST_KEY,
	};
	static const struct schema_key frame[] = {KEY("at", read_at), LAST_KEY};
	static const struct schema_key obis[] = {
		NEEDED("obis", read_obis), KEY("group", read_group), KEY("nan", read_nan),
		LAST_KEY,
	};
	static const struct schema_key vedirect[] = {
		NEEDED("key", read_key), KEY("nan", read_nan), LAST_KEY,
	};
	static const struct schema_key none[] = {LAST_KEY};
	static const struct schema_key *const keys[] = {
		[DRIVER_MODBUS] = none, [DRIVER_TEXT] = text,	      [DRIVER_FRAME] = frame,
		[DRIVER_OBIS] = obis,	[DRIVER_VEDIRECT] = vedirect,
	};

	return keys[kind];
}

void locator_read(struct schema *schema, const struct yaml_node *node, enum driver_kind kind,
		const struct framing *framing, struct locator *locator)
{
	schema_take(schema, node, "a point", locator_keys(kind), locator);
	if (kind == DRIVER_TEXT)
		check_text(schema, node, framing, locator);
	if (kind != DRIVER_FRAME || yaml_get(node, "at"))
		return;
	locator->how = LOCATE_NOWHERE;
	if (!is_only_written(node))
		schema_fault(schema, node, "a point needs `at:`");
}
