/* SPDX-License-Identifier: Apache-2.0 */
/* writing.c - whether and how a point is written: its `write:`, and the numbers that it takes. */
#include "config/writing.h"

#include "base/units.h"
#include "config/schema.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum {
	REPLY_MAX_LENGTH = 512,
	FLASH_UNITS_MOST = 0xFFFF, /* that fit into the request */

	WRITE_COIL = 5,
	WRITE_REGISTER = 6,
	WRITE_COILS = 15,
	WRITE_REGISTERS = 16,
	MASK_REGISTER = 22,
};

#define PULSE_LEAST USEC_PER_MSEC
#define PULSE_MOST (60 * USEC_PER_SEC)

/* A `write:` while it is read. */
struct reading_write {
	struct point *point;
	struct phrase *phrase; /* NULL: a device's own line */
	enum driver_kind kind;
};

void phrase_free(struct phrase *phrase)
{
	if (!phrase)
		return;
	pattern_free(phrase->text_reply);
	free(phrase);
}

bool writing_is_action(const struct point *point)
{
	const struct phrase *phrase = point->locator ? point->locator->phrase : NULL;

	return point->write_pulse_us ||
	       (phrase && !template_has(&phrase->command, FILL_VALUE));
}

/* A pulse that is set and cleared by us may be set twice: it is cleared once. */
bool writing_is_repeatable(const struct point *point)
{
	if (point->write_pulse_us && !point->write_flash.unit_us)
		return true;
	return point->write_on_crash == ON_CRASH_REPEAT;
}

/* --- the keys --- */

static struct point *point_of(void *data)
{
	return ((struct reading_write *)data)->point;
}

static void read_least(struct schema *schema, const struct yaml_node *node, void *data)
{
	point_of(data)->has_write_min =
		schema_number(schema, node, &point_of(data)->write_min);
}

static void read_most(struct schema *schema, const struct yaml_node *node, void *data)
{
	point_of(data)->has_write_max =
		schema_number(schema, node, &point_of(data)->write_max);
}

static void read_step(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = point_of(data);

	point->has_write_step = schema_number(schema, node, &point->write_step);
	if (point->has_write_step && point->write_step <= 0)
		schema_fault(schema, node, "a step must be above 0");
}

static void read_verify(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_bool(schema, node, &point_of(data)->write_verify);
}

static void read_on_crash(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const char *const words[] = {
		[ON_CRASH_REPEAT] = "repeat", [ON_CRASH_REPORT] = "report", NULL};
	struct point *point = point_of(data);
	unsigned index;

	if (!schema_word(schema, node, "what becomes of it after a crash", words, &index))
		return;
	point->write_on_crash = index;
	point->has_write_on_crash = true;
}

static void read_pulse(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, PULSE_LEAST, PULSE_MOST,
			&point_of(data)->write_pulse_us);
}

static void read_function(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const uint8_t functions[] = {WRITE_COIL, WRITE_REGISTER, WRITE_COILS,
					    WRITE_REGISTERS, MASK_REGISTER};
	int64_t function;

	if (!schema_integer(schema, node, 0, UINT8_MAX, &function))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (functions[i] == function) {
			point_of(data)->write_function = function;
			return;
		}
	}
	schema_fault(schema, node,
		     "%s is no function that writes: 5, 6, 15, 16 and 22 do", node->text);
}

static void read_flash_addr(struct schema *schema, const struct yaml_node *node,
			    void *data)
{
	int64_t addr;

	if (schema_integer(schema, node, 0, UINT16_MAX, &addr))
		point_of(data)->write_flash.addr = addr;
}

static void read_flash_unit(struct schema *schema, const struct yaml_node *node,
			    void *data)
{
	schema_duration(schema, node, PULSE_LEAST, PULSE_MOST,
			&point_of(data)->write_flash.unit_us);
}

static void read_flash(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {NEEDED("addr", read_flash_addr),
						 NEEDED("unit", read_flash_unit),
						 LAST_KEY};

	schema_map(schema, node, "flash", keys, data);
}

static void read_command(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_write *reading = data;

	if (reading->kind == DRIVER_TEXT)
		template_read_text(schema, node, true, &reading->phrase->command);
	else
		template_read_frame(schema, node, true, &reading->phrase->command);
}

static void read_reply(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_write *reading = data;
	_cleanup_free_ char *text = NULL;
	char wrong[PATTERN_WRONG_MAX];
	int r;

	if (reading->kind == DRIVER_FRAME) {
		template_read_frame(schema, node, true, &reading->phrase->frame_reply);
		if (template_has(&reading->phrase->frame_reply, FILL_CHECKSUM))
			schema_fault(schema, node,
				     "a reply is known by the bytes before its "
				     "checksum");
		return;
	}
	if (!schema_text(schema, node, REPLY_MAX_LENGTH, &text))
		return;
	r = pattern_new(text, 0, &reading->phrase->text_reply, wrong);
	if (r == -ENOMEM)
		schema->error = r;
	else if (r < 0)
		schema_fault(schema, node,
			     "not a regular expression to know a reply by: %s", wrong);
}

#define LIMIT_KEYS                                                             \
	KEY("min", read_least), KEY("max", read_most), KEY("step", read_step), \
		KEY("verify", read_verify), KEY("on_crash", read_on_crash)

static const struct schema_key *keys_of(const struct reading_write *reading)
{
	static const struct schema_key of_modbus[] = {
		LIMIT_KEYS,
		KEY("pulse", read_pulse),
		KEY("function", read_function),
		KEY("flash", read_flash),
		LAST_KEY,
	};
	static const struct schema_key of_stream[] = {
		LIMIT_KEYS,
		NEEDED("command", read_command),
		KEY("reply", read_reply),
		LAST_KEY,
	};
	static const struct schema_key of_device[] = {LIMIT_KEYS, LAST_KEY};

	if (reading->kind == DRIVER_MODBUS)
		return of_modbus;
	return reading->phrase ? of_stream : of_device;
}

void writing_read(struct schema *schema, const struct yaml_node *node,
		  enum driver_kind kind, struct locator *locator, struct point *point)
{
	struct reading_write reading = {.point = point, .kind = kind};

	point->writable = node->kind != YAML_SCALAR;
	if (node->kind == YAML_SCALAR && !strcmp(node->text, "false"))
		return;
	if (locator && kind != DRIVER_MODBUS) {
		locator->phrase = calloc(1, sizeof(*locator->phrase));
		reading.phrase = locator->phrase;
		if (!reading.phrase) {
			schema->error = -ENOMEM;
			return;
		}
	}
	schema_map(schema, node, "write", keys_of(&reading), &reading);
	/* Whose effect is not the same each time is not repeated. */
	if (!point->has_write_on_crash)
		point->write_on_crash =
			writing_is_action(point) ? ON_CRASH_REPORT : ON_CRASH_REPEAT;
}

/* --- what can only be checked when the line is whole --- */

static unsigned raw_bits(const struct point *point)
{
	if (point->bit_count)
		return point->bit_count;
	return point->type == TYPE_U8 || point->type == TYPE_I8
		       ? 8
		       : (unsigned)point_size(point) * 8;
}

/* The numbers that stand for the value on the wire. */
static void raw_range(const struct point *point, double *least, double *most)
{
	*least = 0;
	switch (point->type) {
	case TYPE_F32:
		*most = (double)FLT_MAX;
		*least = -*most;
		return;
	case TYPE_F64:
	case TYPE_NUMBER:
	case TYPE_DEGREES:
		*most = DBL_MAX;
		*least = -*most;
		return;
	case TYPE_BCD16:
		*most = 9999;
		return;
	case TYPE_BCD32:
		*most = 99999999;
		return;
	case TYPE_I8:
	case TYPE_I16:
	case TYPE_I32:
	case TYPE_I64:
		*most = ldexp(1, (int)raw_bits(point) - 1) - 1;
		*least = -*most - 1;
		return;
	default:
		*most = ldexp(1, (int)raw_bits(point)) - 1;
		return;
	}
}

/* What the type holds, as the point shows it. */
static void type_range(const struct point *point, double *least, double *most)
{
	double a, b;

	raw_range(point, &a, &b);
	/* A double with a scale may be too large to be one: it is held at the largest. */
	a = fmin(fmax(a * point->scale + point->offset, -DBL_MAX), DBL_MAX);
	b = fmin(fmax(b * point->scale + point->offset, -DBL_MAX), DBL_MAX);
	*least = fmin(a, b);
	*most = fmax(a, b);
}

void writing_range(const struct point *point, double *least, double *most)
{
	type_range(point, least, most);
	if (point->has_write_min)
		*least = fmax(*least, point->write_min);
	if (point->has_write_max)
		*most = fmin(*most, point->write_max);
}

static void check_limits(struct schema *schema, const struct yaml_node *node,
			 const struct point *point)
{
	const struct yaml_node *min = yaml_get(node, "min"), *max = yaml_get(node, "max");
	double least, most;

	if (!point_is_number(point)) {
		if (point->has_write_min || point->has_write_max || point->has_write_step)
			schema_fault(schema, node, "min, max and step are for numbers");
		return;
	}
	if (point->has_write_min && point->has_write_max &&
	    point->write_min > point->write_max)
		schema_fault(schema, node, "min is above max");
	type_range(point, &least, &most);
	if (min && point->has_write_min && point->write_min < least)
		schema_fault(schema, min, "the point's type and scale go down to %.10g",
			     least);
	if (max && point->has_write_max && point->write_max > most)
		schema_fault(schema, max, "the point's type and scale go up to %.10g",
			     most);
}

static void check_pulse(struct schema *schema, const struct yaml_node *node,
			const struct point *point)
{
	const struct flash *flash = &point->write_flash;

	if (!point->write_pulse_us)
		return;
	if (point->type != TYPE_BOOL)
		schema_fault(schema, node, "a pulse is for bool");
	if (point->write_verify)
		schema_fault(schema, node,
			     "a pulse is over before it could be read back");
	if (!flash->unit_us)
		return;
	if (point->write_pulse_us % flash->unit_us)
		schema_fault(schema, node,
			     "the device makes pulses of whole flash units");
	else if (point->write_pulse_us / flash->unit_us > FLASH_UNITS_MOST)
		schema_fault(schema, node,
			     "a pulse of the device has at most %d flash units",
			     FLASH_UNITS_MOST);
}

static void check_function(struct schema *schema, const struct yaml_node *node,
			   const struct point *point)
{
	const struct yaml_node *function = yaml_get(node, "function");
	const struct yaml_node *flash = yaml_get(node, "flash");
	uint8_t number = point->write_function;

	if (flash && point->table != TABLE_COIL)
		schema_fault(schema, flash, "a flash is of coils");
	if (!function || !number)
		return;
	if ((number == WRITE_COIL || number == WRITE_COILS) !=
	    table_is_bits(point->table))
		schema_fault(schema, function, "function %u does not write the %s table",
			     number, table_names[point->table]);
	else if ((number == WRITE_REGISTER || number == MASK_REGISTER) &&
		 point_span(point) > 1)
		schema_fault(schema, function,
			     "function %u writes one register, and the point has %u",
			     number, point_span(point));
}

static void check_phrase(struct schema *schema, const struct yaml_node *node,
			 const struct framing *framing, const struct phrase *phrase)
{
	const struct yaml_node *command = yaml_get(node, "command");
	unsigned values = 0;

	if (!command)
		return;
	framing_check_sent(schema, command, framing, &phrase->command);
	for (size_t i = 0; i < phrase->command.count; i++)
		values += phrase->command.items[i] == FILL_VALUE;
	if (values > 1)
		schema_fault(schema, command, "{value} stands in it more than once");
	if (template_has(&phrase->command, FILL_ADDRESS) && !framing_has_address(framing))
		schema_fault(
			schema, command,
			"{address} needs one in the map's `request:`, or `address_at:`");
}

void writing_check(struct schema *schema, const struct yaml_node *node,
		   const struct framing *framing, const struct point *point)
{
	if (!node || !point->writable)
		return;
	if (point->locator && !point->locator->phrase) {
		schema_fault(schema, node,
			     "it has no `command:` in its map to be written by");
		return;
	}
	if (point->type == TYPE_DEGREES)
		schema_fault(schema, node, "degrees are not written");
	if (point->locator && framing)
		check_phrase(schema, node, framing, point->locator->phrase);
	if (!point->locator &&
	    (point->table == TABLE_DISCRETE || point->table == TABLE_INPUT))
		schema_fault(schema, node,
			     "the %s table cannot be written, coil and holding can",
			     table_names[point->table]);
	else if (!point->locator)
		check_function(schema, node, point);
	check_limits(schema, node, point);
	check_pulse(schema, node, point);
}
