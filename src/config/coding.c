/* SPDX-License-Identifier: Apache-2.0 */
/* coding.c - how a point's value is coded: its table, type, order of bytes, bits, and none. */
#include "config/coding.h"

#include <string.h>

const char *const table_names[] = {
	[TABLE_COIL] = "coil",   [TABLE_DISCRETE] = "discrete",
	[TABLE_INPUT] = "input", [TABLE_HOLDING] = "holding",
	NULL,
};

static const char *const type_names[] = {
	[TYPE_BOOL] = "bool",   [TYPE_U8] = "u8",       [TYPE_I8] = "i8",
	[TYPE_U16] = "u16",     [TYPE_I16] = "i16",     [TYPE_U32] = "u32",
	[TYPE_I32] = "i32",     [TYPE_U64] = "u64",     [TYPE_I64] = "i64",
	[TYPE_F32] = "f32",     [TYPE_F64] = "f64",     [TYPE_BCD16] = "bcd16",
	[TYPE_BCD32] = "bcd32", [TYPE_STRING] = "string[N]", NULL,
};

/* Of values that are written as text, and which types these are. */
static const char *const written_names[] = {"number", "bool", "string", "degrees", NULL};
static const enum value_type written_types[] = {TYPE_NUMBER, TYPE_BOOL, TYPE_STRING,
						TYPE_DEGREES};

const char *point_type_name(const struct point *point, char name[POINT_TYPE_NAME_MAX])
{
	size_t written = 0;

	while (written < ARRAY_SIZE(written_types) && written_types[written] != point->type)
		written++;
	if (point->type == TYPE_STRING && point->length)
		snprintf(name, POINT_TYPE_NAME_MAX, "string[%u]", point->length);
	else
		snprintf(name, POINT_TYPE_NAME_MAX, "%s",
			 written < ARRAY_SIZE(written_types) ? written_names[written]
							     : type_names[point->type]);
	return name;
}

bool point_is_number(const struct point *point)
{
	return point->type != TYPE_BOOL && point->type != TYPE_STRING;
}

bool point_is_integer(const struct point *point)
{
	return point->type != TYPE_F32 && point->type != TYPE_F64 &&
	       point->type != TYPE_STRING && point->type != TYPE_DEGREES;
}

bool table_is_bits(enum table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}

size_t point_size(const struct point *point)
{
	if (table_is_bits(point->table))
		return 1;
	/* A register has two bytes; a frame gives each value no more than it needs. */
	switch (point->locator ? point->type : TYPE_U16) {
	case TYPE_BOOL:
	case TYPE_U8:
	case TYPE_I8:
		return 1;
	case TYPE_STRING:
		return point->length;
	default:
		break;
	}
	switch (point->type) {
	case TYPE_U32:
	case TYPE_I32:
	case TYPE_F32:
	case TYPE_BCD32:
		return 4;
	case TYPE_U64:
	case TYPE_I64:
	case TYPE_F64:
		return 8;
	case TYPE_STRING:
		return (point->length + 1) / 2 * 2;
	default:
		return 2;
	}
}

unsigned point_span(const struct point *point)
{
	return table_is_bits(point->table) ? 1 : point_size(point) / 2;
}

bool coding_is_written(enum driver_kind kind)
{
	return kind == DRIVER_TEXT || kind == DRIVER_OBIS || kind == DRIVER_VEDIRECT;
}

/* --- the keys --- */

static void read_table(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = data;
	unsigned index;

	if (schema_word(schema, node, "a table", table_names, &index))
		point->table = index;
}

static void read_type(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = data;
	unsigned index, length = 0;
	int end = 0;

	if (node->kind == YAML_SCALAR && !strncmp(node->text, "string", 6)) {
		sscanf(node->text, "string[%2u]%n", &length, &end);
		if (!end || node->text[end] || !length || length > STRING_MAX_LENGTH) {
			schema_fault(schema, node,
				     "'%.64s' is not a type: string[N], N from 1 to %d",
				     node->text, STRING_MAX_LENGTH);
			return;
		}
		point->type = TYPE_STRING;
		point->length = length;
		return;
	}
	if (schema_word(schema, node, "a type", type_names, &index)) {
		point->type = index;
		point->length = 0;
	}
}

static void read_written_type(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = data;
	unsigned index;

	if (schema_word(schema, node, "a type of text", written_names, &index))
		point->type = written_types[index];
}

const struct schema_key *coding_keys(enum driver_kind kind)
{
	static const struct schema_key registers[] = {
		KEY("table", read_table), KEY("type", read_type), KEY("order", NULL),
		KEY("nan", NULL),	  LAST_KEY,
	};
	static const struct schema_key bytes[] = {
		KEY("type", read_type), KEY("order", NULL), KEY("nan", NULL), LAST_KEY,
	};
	static const struct schema_key written[] = {KEY("type", read_written_type), LAST_KEY};

	return kind == DRIVER_MODBUS ? registers : coding_is_written(kind) ? written : bytes;
}

/* --- what can only be checked when the line is whole --- */

bool coding_parse_order(const char *text, size_t size, uint8_t order[8])
{
	unsigned seen = 0;

	if (strlen(text) != size)
		return false;
	for (size_t i = 0; i < size; i++) {
		unsigned letter = text[i] - 'A';

		if (letter >= size || seen & 1u << letter)
			return false;
		seen |= 1u << letter;
		order[letter] = i;
	}
	return true;
}

/* Letters of the point's order; a string's registers are only ever AB or BA. */
static size_t order_size(const struct point *point)
{
	return point->type == TYPE_STRING ? 2 : point_size(point);
}

static void check_order(struct schema *schema, const struct yaml_node *line,
			const struct point_defaults *defaults, struct point *point)
{
	const struct yaml_node *node = yaml_get(line, "order");

	for (unsigned i = 0; i < sizeof(point->order); i++)
		point->order[i] = i;
	if (!node && defaults->order && !table_is_bits(point->table) &&
	    strlen(defaults->order->text) == order_size(point))
		node = defaults->order;
	if (!node)
		return;
	if (table_is_bits(point->table))
		schema_fault(schema, node, "an order is for registers");
	else if (node->kind != YAML_SCALAR ||
		 !coding_parse_order(node->text, order_size(point), point->order))
		schema_fault(schema, node, "not an order of %zu bytes, such as %s",
			     order_size(point), order_size(point) == 2   ? "AB or BA"
						: order_size(point) == 4 ? "ABCD or CDAB"
									 : "ABCDEFGH");
}

static unsigned raw_bits(const struct point *point)
{
	return point->type == TYPE_U8 || point->type == TYPE_I8 ? 8 : point_size(point) * 8;
}

void coding_check_nan(struct schema *schema, const struct yaml_node *line,
		      const struct point_defaults *defaults, struct point *point)
{
	const struct yaml_node *node = yaml_get(line, "nan");
	unsigned bits = raw_bits(point);
	uint64_t magnitude;
	bool negative;

	if (!node && defaults && defaults->nan && defaults->point.type == point->type)
		node = defaults->nan;
	if (!node)
		return;
	if (node->kind != YAML_SCALAR || node->quoted ||
	    parse_integer(node->text, &negative, &magnitude) < 0) {
		schema_fault(schema, node, "nan takes the raw bits, such as 0x7FFF");
		return;
	}
	if (table_is_bits(point->table) || !point_is_number(point)) {
		schema_fault(schema, node, "nan is for numbers, not for bool or string");
		return;
	}
	if ((bits < 64 && magnitude >> bits) ||
	    (negative && magnitude > UINT64_C(1) << (bits - 1))) {
		schema_fault(schema, node, "%.32s does not fit into %u bits", node->text,
			     bits);
		return;
	}
	point->has_nan = true;
	point->nan = negative ? -magnitude : magnitude;
	if (bits < 64)
		point->nan &= (UINT64_C(1) << bits) - 1;
}

/* `4..6`, or `3` alone. */
static void check_bits(struct schema *schema, const struct yaml_node *line, struct point *point)
{
	const struct yaml_node *node = yaml_get(line, "bits");
	unsigned low, high, most = raw_bits(point) - 1;
	int end = 0;

	if (!node)
		return;
	if (table_is_bits(point->table) || !point_is_integer(point)) {
		schema_fault(schema, node, "bits are for whole numbers in registers");
		return;
	}
	if (node->kind == YAML_SCALAR && strlen(node->text) < 8) {
		if (sscanf(node->text, "%2u..%2u%n", &low, &high, &end) < 2) {
			sscanf(node->text, "%2u%n", &low, &end);
			high = low;
		}
	}
	if (!end || node->text[end] || low > high || high > most) {
		schema_fault(schema, node, "bits are `4..6` or `3`, counted from 0 to %u",
			     most);
		return;
	}
	point->bit_low = low;
	point->bit_count = high - low + 1;
}

/* Coils and discrete inputs are bool, whatever the defaults say of registers. */
static void check_table(struct schema *schema, const struct yaml_node *line, struct point *point)
{
	const struct yaml_node *type = yaml_get(line, "type");

	if (table_is_bits(point->table)) {
		if (type && point->type != TYPE_BOOL)
			schema_fault(schema, type, "the %s table holds bool, not %s",
				     table_names[point->table], type_names[point->type]);
		point->type = TYPE_BOOL;
		point->length = 0;
	}
	if (point->addr + point_span(point) > UINT16_MAX + 1)
		schema_fault(schema, line, "reaches beyond the last address, 0xFFFF");
}

void coding_check(struct schema *schema, const struct yaml_node *line,
		  const struct point_defaults *defaults, struct point *point)
{
	check_table(schema, line, point);
	check_order(schema, line, defaults, point);
	check_bits(schema, line, point);
	coding_check_nan(schema, line, defaults, point);
}
