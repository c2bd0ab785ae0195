/* SPDX-License-Identifier: Apache-2.0 */
/* schema.c - reads a YAML tree by tables of keys, and notes what does not fit with its place. */
#include "config/schema.h"

#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum {
	KEYS_MAX = 40,    /* keys of one table */
	UNKNOWN_MAX = 20, /* unknown keys told of one map; a shared map may be read often */
};

void schema_fault(struct schema *schema, const struct yaml_node *node, const char *format,
		  ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	faults_add(schema->faults, node->file ? node->file : schema->file, node->line,
		   node->column, "%s", text);
	if (!schema->error)
		schema->error = -EINVAL;
}

static const char *kind_name(const struct yaml_node *node)
{
	static const char *const names[] = {
		[YAML_SCALAR] = "a value", [YAML_LIST] = "a list", [YAML_MAP] = "a map"};

	return node->kind == YAML_SCALAR && !*node->text ? "nothing" : names[node->kind];
}

static void check_unknown(struct schema *schema, const struct yaml_node *node,
			  const char *what, const char *const *names)
{
	size_t unknown = 0;

	for (size_t i = 0; i < node->count && unknown < UNKNOWN_MAX; i++) {
		const struct yaml_node *key = node->keys[i];
		const char *const *name = names;
		const char *meant;

		while (*name && strcmp(*name, key->text))
			name++;
		if (*name)
			continue;
		unknown++;
		meant = fault_suggest(key->text, names);
		if (meant)
			schema_fault(schema, key, "%s has no key '%.64s': did you mean '%s'?",
				     what, key->text, meant);
		else
			schema_fault(schema, key, "%s has no key '%.64s'", what, key->text);
	}
}

bool schema_is_map(struct schema *schema, const struct yaml_node *node, const char *what)
{
	if (node->kind == YAML_MAP)
		return true;
	schema_fault(schema, node, "%s must be a map (`key: value`), not %s", what,
		     kind_name(node));
	return false;
}

void schema_take(struct schema *schema, const struct yaml_node *node, const char *what,
		 const struct schema_key *keys, void *data)
{
	for (const struct schema_key *key = keys; key->name; key++) {
		const struct yaml_node *value = yaml_get(node, key->name);

		if (!value && key->required)
			schema_fault(schema, node, "%s needs `%s:`", what, key->name);
		if (value && key->read)
			key->read(schema, value, data);
	}
}

void schema_known(struct schema *schema, const struct yaml_node *node, const char *what,
		  const struct schema_key *const *tables)
{
	const char *names[KEYS_MAX + 1] = {0};
	size_t count = 0;

	for (; *tables; tables++) {
		for (const struct schema_key *key = *tables; key->name && count < KEYS_MAX;
		     key++)
			names[count++] = key->name;
	}
	check_unknown(schema, node, what, names);
}

void schema_map(struct schema *schema, const struct yaml_node *node, const char *what,
		const struct schema_key *keys, void *data)
{
	const struct schema_key *const tables[] = {keys, NULL};

	if (!schema_is_map(schema, node, what))
		return;
	schema_take(schema, node, what, keys, data);
	schema_known(schema, node, what, tables);
}

void schema_each(struct schema *schema, const struct yaml_node *node, size_t most,
		 void (*read)(struct schema *, const struct yaml_node *, void *), void *data)
{
	if (node->kind != YAML_LIST) {
		read(schema, node, data);
		return;
	}
	if (!node->count)
		schema_fault(schema, node, "the list is empty, at least one is needed");
	if (node->count > most) {
		schema_fault(schema, node, "the list has %zu items, at most %zu can be",
			     node->count, most);
		return;
	}
	for (size_t i = 0; i < node->count; i++)
		read(schema, node->items[i], data);
}

/* The text of a scalar that stands without quotes, as numbers and such do. */
static const char *plain(struct schema *schema, const struct yaml_node *node,
			 const char *wanted)
{
	if (node->kind == YAML_SCALAR && !node->quoted && *node->text)
		return node->text;
	if (node->kind == YAML_SCALAR && node->quoted)
		schema_fault(schema, node, "\"%.64s\" in quotes is text, expected %s without",
			     node->text, wanted);
	else
		schema_fault(schema, node, "expected %s, not %s", wanted, kind_name(node));
	return NULL;
}

/* The text of any scalar but an empty one. */
static const char *any(struct schema *schema, const struct yaml_node *node,
		       const char *wanted)
{
	if (node->kind == YAML_SCALAR && *node->text)
		return node->text;
	schema_fault(schema, node, "expected %s, not %s", wanted, kind_name(node));
	return NULL;
}

bool schema_copy(struct schema *schema, const char *from, char **text)
{
	char *copy = from ? strdup(from) : NULL;

	if (from && !copy) {
		schema->error = -ENOMEM;
		return false;
	}
	free(*text);
	*text = copy;
	return true;
}

bool schema_text(struct schema *schema, const struct yaml_node *node, size_t most,
		 char **text)
{
	const char *given = any(schema, node, "a text");

	if (!given)
		return false;
	if (strlen(given) > most) {
		schema_fault(schema, node, "a text of %zu bytes, at most %zu can be",
			     strlen(given), most);
		return false;
	}
	return schema_copy(schema, given, text);
}

bool schema_name(struct schema *schema, const struct yaml_node *node, char **name)
{
	const char *given = any(schema, node, "a name");

	if (!given)
		return false;
	if (!name_is_valid(given)) {
		schema_fault(schema, node,
			     "'%.64s' cannot be a name: at most %d letters, digits, '-', "
			     "'_' and '.'",
			     given, NAME_MAX_LENGTH);
		return false;
	}
	return schema_copy(schema, given, name);
}

bool schema_bool(struct schema *schema, const struct yaml_node *node, bool *value)
{
	const char *given = plain(schema, node, "true or false");

	if (!given)
		return false;
	if (strcmp(given, "true") && strcmp(given, "false")) {
		schema_fault(schema, node, "'%.64s' is neither true nor false", given);
		return false;
	}
	*value = given[0] == 't';
	return true;
}

int parse_integer(const char *text, bool *negative, uint64_t *magnitude)
{
	unsigned base = 10;

	*negative = *text == '-';
	text += *negative;
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	if (!*text || (base == 10 && text[0] == '0' && text[1]))
		return -EINVAL;
	for (*magnitude = 0; *text; text++) {
		uint64_t digit = isdigit((unsigned char)*text) ? *text - '0'
							       : (*text | 0x20) - 'a' + 10;

		if (!isxdigit((unsigned char)*text) || digit >= base)
			return -EINVAL;
		if (__builtin_mul_overflow(*magnitude, base, magnitude) ||
		    __builtin_add_overflow(*magnitude, digit, magnitude))
			return -ERANGE;
	}
	return 0;
}

bool schema_integer(struct schema *schema, const struct yaml_node *node, int64_t least,
		    int64_t most, int64_t *value)
{
	const char *given = plain(schema, node, "a whole number");
	uint64_t magnitude;
	bool negative;
	int64_t number;
	int r;

	if (!given)
		return false;
	r = parse_integer(given, &negative, &magnitude);
	if (r == -EINVAL) {
		schema_fault(schema, node,
			     "'%.64s' is not a whole number such as 342 or 0x0156", given);
		return false;
	}
	number = negative ? (int64_t)-magnitude : (int64_t)magnitude;
	if (r < 0 || magnitude > INT64_MAX || number < least || number > most) {
		schema_fault(schema, node,
			     "%.64s is out of range, %" PRId64 " to %" PRId64 " can be", given,
			     least, most);
		return false;
	}
	*value = number;
	return true;
}

bool schema_number(struct schema *schema, const struct yaml_node *node, double *value)
{
	const char *given = plain(schema, node, "a number");
	double number;
	char *end;

	if (!given)
		return false;
	number = strtod(given, &end);
	if (given[strspn(given, "+-.0123456789eE")] || end == given || *end ||
	    !isfinite(number)) {
		schema_fault(schema, node, "'%.64s' is not a number such as 0.1", given);
		return false;
	}
	*value = number;
	return true;
}

bool schema_duration(struct schema *schema, const struct yaml_node *node, uint64_t least_us,
		     uint64_t most_us, uint64_t *usec)
{
	const char *given = any(schema, node, "a duration such as 250ms, 2s or 7d");
	char least[32], most[32];
	uint64_t number;
	int r;

	if (!given)
		return false;
	r = parse_duration(given, &number);
	if (r == -EINVAL) {
		schema_fault(schema, node,
			     "'%.64s' is not a duration with its unit, such as 250ms, 2s or 7d",
			     given);
		return false;
	}
	if (r < 0 || number < least_us || number > most_us) {
		schema_fault(schema, node, "%.64s is out of range, %s to %s can be", given,
			     format_duration(least_us, least, sizeof(least)),
			     format_duration(most_us, most, sizeof(most)));
		return false;
	}
	*usec = number;
	return true;
}

/* "a, b or c", as far as it fits. */
static void list_words(const char *const *words, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; words[i] && used < size; i++)
		used += snprintf(text + used, size - used, "%s%s",
				 !i ? "" : words[i + 1] ? ", " : " or ", words[i]);
}

bool schema_word(struct schema *schema, const struct yaml_node *node, const char *what,
		 const char *const *words, unsigned *index)
{
	const char *given = any(schema, node, what);
	const char *meant;
	char list[200];

	if (!given)
		return false;
	for (unsigned i = 0; words[i]; i++) {
		if (!strcmp(words[i], given)) {
			*index = i;
			return true;
		}
	}
	meant = fault_suggest(given, words);
	list_words(words, list, sizeof(list));
	if (meant)
		schema_fault(schema, node, "'%.64s' is not %s: did you mean '%s'?", given,
			     what, meant);
	else
		schema_fault(schema, node, "'%.64s' is not %s: %s%s", given, what, list,
			     strlen(list) == sizeof(list) - 1 ? "…" : "");
	return false;
}

bool schema_format(struct schema *schema, const struct yaml_node *node,
		   struct serial_format *format)
{
	const char *given = any(schema, node, "a format such as 8N1");

	if (!given)
		return false;
	if (strlen(given) != 3 || !strchr("78", given[0]) || !strchr("NEO", given[1]) ||
	    !strchr("12", given[2])) {
		schema_fault(schema, node,
			     "'%.32s' is not a format: 7 or 8 data bits, parity N, E or O, "
			     "1 or 2 stop bits, such as 8N1",
			     given);
		return false;
	}
	*format = (struct serial_format){given[0] - '0', given[1], given[2] - '0'};
	return true;
}

/* --- bytes --- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return digit ? digit - digits : -1;
}

bool parse_hex_byte(const char *text, uint8_t *byte)
{
	int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

	if (low < 0)
		return false;
	*byte = high << 4 | low;
	return true;
}

bool schema_hex(struct schema *schema, const struct yaml_node *node, uint8_t *bytes,
		size_t most, size_t *length)
{
	const char *text = node->kind == YAML_SCALAR ? node->text : "";

	*length = 0;
	while (*text && *length < most && parse_hex_byte(text, &bytes[*length])) {
		++*length;
		text += 2;
		text += strspn(text, " ");
	}
	if (*length && !*text)
		return true;
	schema_fault(schema, node,
		     "expected at most %zu bytes as they go over the wire, such as "
		     "\"01 04 00 0C\"%s%.16s%s",
		     most, *text ? ", not '" : "", text, *text ? "'" : "");
	return false;
}

/* The character that the UTF-8 text begins with, if it can be a byte; how long it is, or 0. */
static size_t octet(const unsigned char *text, uint8_t *byte)
{
	*byte = text[0];
	if (text[0] < 0x80)
		return 1;
	/* U+0080 to U+00FF are C2 80 to C3 BF; libyaml has checked that it is UTF-8. */
	if (text[0] > 0xC3)
		return 0;
	*byte = (uint8_t)(text[0] << 6 | (text[1] & 0x3F));
	return 2;
}

bool schema_octets(struct schema *schema, const struct yaml_node *node, uint8_t *bytes,
		   size_t most, size_t *length)
{
	const char *given = any(schema, node, "a text");
	size_t used = 1;

	*length = 0;
	if (!given)
		return false;
	for (; *given && used && *length < most; given += used) {
		used = octet((const unsigned char *)given, &bytes[*length]);
		*length += used > 0;
	}
	if (!*given)
		return true;
	if (!used)
		schema_fault(schema, node,
			     "'%.8s' is no single byte: write bytes above 0x7F as \"\\xC2\"",
			     given);
	else
		schema_fault(schema, node, "a text of more than %zu bytes", most);
	return false;
}
