/* SPDX-License-Identifier: Apache-2.0 */
/* point.c - one point's line of YAML, with the map's defaults under it. */
#include "config/point.h"

#include "base/units.h"
#include "config/writing.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
	UNIT_MAX_LENGTH = 32,
	VALUES_MAX = 256,
	DECIMALS_MAX = 17, /* more a double does not have */
};

#define EVERY_LEAST (1 * USEC_PER_MSEC)
#define TIME_MOST (366 * 86400 * USEC_PER_SEC)
#define DEFAULT_EVERY (10 * USEC_PER_SEC)

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

/* Device classes of Home Assistant's sensors (its documentation, "Sensor: device class"). */
static const char *const class_names[] = {
	"absolute_humidity", "apparent_power", "aqi", "area", "atmospheric_pressure",
	"battery", "blood_glucose_concentration", "carbon_dioxide", "carbon_monoxide",
	"conductivity", "current", "data_rate", "data_size", "date", "distance", "duration",
	"energy", "energy_distance", "energy_storage", "enum", "frequency", "gas", "humidity",
	"illuminance", "irradiance", "moisture", "monetary", "nitrogen_dioxide",
	"nitrogen_monoxide", "nitrous_oxide", "ozone", "ph", "pm1", "pm10", "pm25", "pm4",
	"power", "power_factor", "precipitation", "precipitation_intensity", "pressure",
	"reactive_energy", "reactive_power", "signal_strength", "sound_pressure", "speed",
	"sulphur_dioxide", "temperature", "temperature_delta", "timestamp", "uptime",
	"volatile_organic_compounds", "volatile_organic_compounds_parts", "voltage", "volume",
	"volume_flow_rate", "volume_storage", "water", "weight", "wind_direction",
	"wind_speed", NULL,
};

/* A line while it is read. */
struct line {
	struct point *point;
	const struct yaml_node *node;
	unsigned base; /* what addresses are counted from */
	enum driver_kind kind;
	struct locator *locator; /* NULL: a device's own line */
};

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

static bool is_bits(enum table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}

/* Whether values are written as text, rather than as raw bits. */
static bool is_written(enum driver_kind kind)
{
	return kind == DRIVER_TEXT || kind == DRIVER_OBIS || kind == DRIVER_VEDIRECT;
}

static bool is_number(const struct point *point)
{
	return point->type != TYPE_BOOL && point->type != TYPE_STRING;
}

static bool is_integer(const struct point *point)
{
	return point->type != TYPE_F32 && point->type != TYPE_F64 &&
	       point->type != TYPE_STRING && point->type != TYPE_DEGREES;
}

/* --- the keys --- */

static void read_table(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	unsigned index;

	if (schema_word(schema, node, "a table", table_names, &index))
		line->point->table = index;
}

static void read_type(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	struct point *point = line->point;
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
	struct line *line = data;
	unsigned index;

	if (schema_word(schema, node, "a type of text", written_names, &index))
		line->point->type = written_types[index];
}

static void read_addr(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	int64_t addr;

	if (schema_integer(schema, node, line->base, UINT16_MAX + line->base, &addr))
		line->point->addr = addr - line->base;
}

static void read_scale(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	double scale;

	if (!schema_number(schema, node, &scale))
		return;
	if (fabs(scale) < 1e-12 || fabs(scale) > 1e12)
		schema_fault(schema, node, "a scale of %.64s: 1e-12 to 1e12 can be",
			     node->text);
	else
		line->point->scale = scale;
}

static void read_offset(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	double offset;

	if (!schema_number(schema, node, &offset))
		return;
	if (fabs(offset) > 1e12)
		schema_fault(schema, node, "an offset of %.64s: -1e12 to 1e12 can be",
			     node->text);
	else
		line->point->offset = offset;
}

static void read_unit(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, UNIT_MAX_LENGTH, &((struct line *)data)->point->unit);
}

static void read_class(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	unsigned index;

	if (schema_word(schema, node, "a device class of Home Assistant", class_names,
			&index))
		schema_text(schema, node, UNIT_MAX_LENGTH, &line->point->class);
}

static void read_total(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_bool(schema, node, &((struct line *)data)->point->total);
}

static void read_every(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, EVERY_LEAST, TIME_MOST,
			&((struct line *)data)->point->every_us);
}

static void read_max_silence(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, 0, TIME_MOST,
			&((struct line *)data)->point->max_silence_us);
}

/* `0.2`, or `2%` of the value last published. */
static void read_deadband(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	char digits[32] = "";
	struct yaml_node number = *node;
	size_t length;
	double amount;

	length = node->kind == YAML_SCALAR ? strlen(node->text) : 0;
	if (length > 1 && length < sizeof(digits) && node->text[length - 1] == '%') {
		memcpy(digits, node->text, length - 1);
		number.text = digits;
		number.quoted = false;
	}
	if (!schema_number(schema, &number, &amount))
		return;
	if (amount < 0 || (*digits && amount > 100)) {
		schema_fault(schema, node, "a deadband of %.32s: from 0 up, or 0%% to 100%%",
			     node->text);
		return;
	}
	line->point->deadband = (struct deadband){amount, *digits != '\0'};
}

static void read_write(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;

	writing_read(schema, node, line->kind, line->locator, line->point);
}

/* --- what can only be checked when the line is whole --- */

/*
 * `CDAB` says in which order the bytes come over the wire, A being the most significant:
 * order[i] is where the letter 'A' + i stands.
 */
static bool parse_order(const char *text, size_t size, uint8_t order[8])
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

static void check_order(struct schema *schema, const struct line *line,
			const struct point_defaults *defaults)
{
	struct point *point = line->point;
	const struct yaml_node *node = yaml_get(line->node, "order");

	for (unsigned i = 0; i < sizeof(point->order); i++)
		point->order[i] = i;
	if (!node && defaults && defaults->order && !is_bits(point->table) &&
	    strlen(defaults->order->text) == order_size(point))
		node = defaults->order;
	if (!node)
		return;
	if (is_bits(point->table))
		schema_fault(schema, node, "an order is for registers");
	else if (node->kind != YAML_SCALAR ||
		 !parse_order(node->text, order_size(point), point->order))
		schema_fault(schema, node, "not an order of %zu bytes, such as %s",
			     order_size(point), order_size(point) == 2   ? "AB or BA"
						: order_size(point) == 4 ? "ABCD or CDAB"
									 : "ABCDEFGH");
}

static unsigned raw_bits(const struct point *point)
{
	return point->type == TYPE_U8 || point->type == TYPE_I8 ? 8 : point_size(point) * 8;
}

static void check_nan(struct schema *schema, const struct line *line,
		      const struct point_defaults *defaults)
{
	struct point *point = line->point;
	const struct yaml_node *node = yaml_get(line->node, "nan");
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
	if (is_bits(point->table) || !is_number(point)) {
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
static void check_bits(struct schema *schema, const struct line *line)
{
	struct point *point = line->point;
	const struct yaml_node *node = yaml_get(line->node, "bits");
	unsigned low, high, most = raw_bits(point) - 1;
	int end = 0;

	if (!node)
		return;
	if (is_bits(point->table) || !is_integer(point)) {
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

static int compare_values(const void *a, const void *b)
{
	const struct value_name *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

void point_values_free(struct point *point)
{
	for (size_t i = 0; i < point->value_count; i++)
		free(point->values[i].name);
	free(point->values);
	point->values = NULL;
	point->value_count = 0;
}

static void check_values(struct schema *schema, const struct line *line)
{
	const struct yaml_node *node = yaml_get(line->node, "values");
	struct point *point = line->point;

	if (!node)
		return;
	if (node->kind != YAML_MAP || !node->count || node->count > VALUES_MAX) {
		schema_fault(schema, node, "values are 1 to %d of {0: off, 1: on}",
			     VALUES_MAX);
		return;
	}
	if (!is_integer(point)) {
		schema_fault(schema, node, "values are for whole numbers and bool");
		return;
	}
	point_values_free(point);
	point->values = calloc(node->count, sizeof(*point->values));
	if (!point->values) {
		schema->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		struct value_name *value = &point->values[point->value_count];

		if (!schema_integer(schema, node->keys[i], INT64_MIN, INT64_MAX,
				    &value->value) ||
		    !schema_text(schema, node->items[i], STRING_MAX_LENGTH, &value->name))
			continue;
		point->value_count++;
	}
	qsort(point->values, point->value_count, sizeof(*point->values), compare_values);
	for (size_t i = 1; i < point->value_count; i++) {
		if (point->values[i].value == point->values[i - 1].value)
			schema_fault(schema, node, "%" PRId64 " stands twice in values",
				     point->values[i].value);
	}
}

/* The fewest decimal places that give the number back. */
static int decimals_of(double number)
{
	char text[64];
	int places = 0;

	for (; places < DECIMALS_MAX; places++) {
		snprintf(text, sizeof(text), "%.*f", places, number);
		if (strtod(text, NULL) == number)
			break;
	}
	return places;
}

/* What defaults say of numbers does not concern a bool; what its own line says is a fault. */
static void check_number(struct schema *schema, const struct line *line)
{
	static const char *const keys[] = {"scale", "offset", "deadband"};
	struct point *point = line->point;
	int of_offset;

	for (size_t i = 0; !is_number(point) && i < ARRAY_SIZE(keys); i++) {
		const struct yaml_node *node = yaml_get(line->node, keys[i]);

		if (node)
			schema_fault(schema, node, "%s is for numbers, not for %s", keys[i],
				     point->type == TYPE_BOOL ? "bool" : "string");
	}
	if (!is_number(point)) {
		point->scale = 1;
		point->offset = 0;
		point->deadband = (struct deadband){0};
	}
	point->decimals = decimals_of(point->scale);
	of_offset = decimals_of(point->offset);
	if (of_offset > point->decimals)
		point->decimals = of_offset;
}

/* Coils and discrete inputs are bool, whatever the defaults say of registers. */
static void check_table(struct schema *schema, const struct line *line)
{
	const struct yaml_node *type = yaml_get(line->node, "type");
	struct point *point = line->point;

	if (is_bits(point->table)) {
		if (type && point->type != TYPE_BOOL)
			schema_fault(schema, type, "the %s table holds bool, not %s",
				     table_names[point->table], type_names[point->type]);
		point->type = TYPE_BOOL;
		point->length = 0;
	}
	if (point->addr + point_span(point) > UINT16_MAX + 1)
		schema_fault(schema, line->node, "reaches beyond the last address, 0xFFFF");
}

static void check_in_frame(struct schema *schema, const struct line *line,
			   const struct framing *framing)
{
	const struct point *point = line->point;
	size_t end = point->locator->at + point_size(point);
	size_t most = framing->length ? framing->length : FRAME_MAX_LENGTH;

	if (framing->count.size)
		most = framing->count.most;
	if (end > most && point_is_read(point))
		schema_fault(schema, line->node,
			     "reaches to byte %zu, but the frame has %zu at most", end, most);
}

/* The hemisphere stands in the field behind. */
static void check_degrees(struct schema *schema, const struct line *line,
			  enum driver_kind kind)
{
	const struct point *point = line->point;

	if (point->type == TYPE_DEGREES &&
	    (kind != DRIVER_TEXT || point->locator->how != LOCATE_FIELD))
		schema_fault(schema, line->node, "degrees are for points with `field:`");
}

static void check_line(struct schema *schema, const struct line *line,
		       const struct point_defaults *defaults, const struct framing *framing)
{
	if (defaults->kind == DRIVER_FRAME)
		check_in_frame(schema, line, framing);
	if (is_written(defaults->kind)) {
		check_degrees(schema, line, defaults->kind);
		check_values(schema, line);
		check_number(schema, line);
		writing_check(schema, yaml_get(line->node, "write"), framing, line->point);
		return;
	}
	check_table(schema, line);
	check_order(schema, line, defaults);
	check_bits(schema, line);
	check_nan(schema, line, defaults);
	check_values(schema, line);
	check_number(schema, line);
	writing_check(schema, yaml_get(line->node, "write"), framing, line->point);
}

/* --- lines --- */

/* What a number means and when it is published, which defaults and devices say too. */
#define MEANING_KEYS                                                                  \
	KEY("scale", read_scale), KEY("offset", read_offset), KEY("unit", read_unit), \
		KEY("class", read_class), KEY("total", read_total),                   \
		KEY("every", read_every), KEY("deadband", read_deadband),             \
		KEY("max_silence", read_max_silence)

void point_defaults_init(struct point_defaults *defaults, enum driver_kind kind)
{
	*defaults = (struct point_defaults){
		.kind = kind,
		.point = {
			.table = TABLE_HOLDING,
			.type = is_written(kind) ? TYPE_NUMBER : TYPE_U16,
			.scale = 1,
			.every_us = DEFAULT_EVERY,
		},
	};
}

void point_defaults_free(struct point_defaults *defaults)
{
	free(defaults->point.unit);
	free(defaults->point.class);
}

/* A default order may be of another length than the default type. */
static void read_default_order(struct schema *schema, const struct yaml_node *node,
			       void *data)
{
	struct point_defaults *defaults = data;
	size_t size = node->kind == YAML_SCALAR ? strlen(node->text) : 0;
	uint8_t order[8];

	if ((size == 2 || size == 4 || size == 8) && parse_order(node->text, size, order))
		defaults->order = node;
	else
		schema_fault(schema, node, "an order is AB, ABCD or ABCDEFGH, or the same "
					   "letters otherwise");
}

/* How the value is coded, in defaults and in a point's own line. */
static const struct schema_key *coding_keys(enum driver_kind kind)
{
	static const struct schema_key registers[] = {
		KEY("table", read_table), KEY("type", read_type), KEY("order", NULL),
		KEY("nan", NULL),	  LAST_KEY,
	};
	static const struct schema_key bytes[] = {
		KEY("type", read_type), KEY("order", NULL), KEY("nan", NULL), LAST_KEY,
	};
	static const struct schema_key written[] = {KEY("type", read_written_type), LAST_KEY};

	return kind == DRIVER_MODBUS ? registers : is_written(kind) ? written : bytes;
}

void point_defaults_read(struct schema *schema, const struct yaml_node *node,
			 struct point_defaults *defaults)
{
	static const struct schema_key meaning[] = {MEANING_KEYS, LAST_KEY};
	const struct schema_key *coding = coding_keys(defaults->kind);
	const struct schema_key *const tables[] = {coding, meaning, NULL};
	struct line line = {.point = &defaults->point, .node = node};
	const struct yaml_node *order;

	if (!schema_is_map(schema, node, "defaults"))
		return;
	schema_take(schema, node, "defaults", coding, &line);
	schema_take(schema, node, "defaults", meaning, &line);
	schema_known(schema, node, "defaults", tables);
	if (is_written(defaults->kind))
		return;
	order = yaml_get(node, "order");
	if (order)
		read_default_order(schema, order, defaults);
	check_nan(schema, &line, NULL);
	defaults->point.has_nan = false;
	defaults->nan = yaml_get(node, "nan");
}

/* Names that stand beside the points in topics and payloads and would be taken for them. */
static void check_name(struct schema *schema, const struct yaml_node *node)
{
	static const char *const taken[] = {"time", "seq", "availability"};

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		if (!strcmp(node->text, taken[i]))
			schema_fault(schema, node,
				     "a point cannot be called '%s': the gateway publishes "
				     "its own %s beside it",
				     taken[i], taken[i]);
	}
}

static void read_line(struct schema *schema, const struct point_defaults *defaults,
		      const struct framing *framing, struct locator *locator, struct line *line)
{
	static const struct schema_key meaning[] = {KEY("values", NULL), MEANING_KEYS, LAST_KEY};
	static const struct schema_key of_modbus[] = {
		NEEDED("addr", read_addr), KEY("bits", NULL), KEY("write", read_write), LAST_KEY,
	};
	static const struct schema_key of_frame[] = {
		KEY("bits", NULL), KEY("write", read_write), LAST_KEY,
	};
	static const struct schema_key of_text[] = {KEY("write", read_write), LAST_KEY};
	static const struct schema_key none[] = {LAST_KEY};
	enum driver_kind kind = defaults->kind;
	const struct schema_key *coding = coding_keys(kind);
	const struct schema_key *own = kind == DRIVER_MODBUS  ? of_modbus
				       : kind == DRIVER_FRAME ? of_frame
				       : kind == DRIVER_TEXT  ? of_text
							      : none;
	const struct schema_key *const tables[] = {coding, own, locator_keys(kind), meaning, NULL};

	if (!schema_is_map(schema, line->node, "a point"))
		return;
	schema_take(schema, line->node, "a point", coding, line);
	schema_take(schema, line->node, "a point", own, line);
	locator_read(schema, line->node, kind, framing, locator);
	schema_take(schema, line->node, "a point", meaning, line);
	schema_known(schema, line->node, "a point", tables);
	check_line(schema, line, defaults, framing);
}

void point_read(struct schema *schema, const struct yaml_node *name,
		const struct yaml_node *node, const struct point_defaults *defaults,
		const struct framing *framing, struct locator *locator, struct point *point)
{
	struct line line = {
		.point = point,
		.node = node,
		.base = defaults->base,
		.kind = defaults->kind,
		.locator = locator,
	};

	*point = defaults->point;
	point->locator = defaults->kind == DRIVER_MODBUS ? NULL : locator;
	point->unit = point->class = NULL;
	point->line = name->line;
	point->column = name->column;
	if (!schema_copy(schema, defaults->point.unit, &point->unit) ||
	    !schema_copy(schema, defaults->point.class, &point->class))
		return;
	if (schema_name(schema, name, &point->name))
		check_name(schema, name);
	read_line(schema, defaults, framing, locator, &line);
}

int point_override(struct point *point, const char *file, const struct yaml_node *node,
		   struct faults *faults)
{
	static const struct schema_key keys[] = {
		MEANING_KEYS,
		KEY("values", NULL),
		KEY("write", read_write),
		LAST_KEY,
	};
	struct schema schema = {.file = file, .faults = faults};
	struct line line = {
		.point = point,
		.node = node,
		.kind = point->locator ? DRIVER_TEXT : DRIVER_MODBUS,
	};

	schema_map(&schema, node, "a device's own point", keys, &line);
	if (node->kind == YAML_MAP) {
		check_values(&schema, &line);
		check_number(&schema, &line);
		writing_check(&schema, yaml_get(node, "write"), NULL, point);
	}
	return schema.error;
}
