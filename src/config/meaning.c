/* SPDX-License-Identifier: Apache-2.0 */
/* meaning.c - what a point's number means, and when it is read and published. */
#include "config/meaning.h"

#include "base/units.h"

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

/* --- the keys --- */

static void read_scale(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = data;
	double scale;

	if (!schema_number(schema, node, &scale))
		return;
	if (fabs(scale) < 1e-12 || fabs(scale) > 1e12)
		schema_fault(schema, node, "a scale of %.64s: 1e-12 to 1e12 can be",
			     node->text);
	else
		point->scale = scale;
}

static void read_offset(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = data;
	double offset;

	if (!schema_number(schema, node, &offset))
		return;
	if (fabs(offset) > 1e12)
		schema_fault(schema, node, "an offset of %.64s: -1e12 to 1e12 can be",
			     node->text);
	else
		point->offset = offset;
}

static void read_unit(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, UNIT_MAX_LENGTH, &((struct point *)data)->unit);
}

static void read_class(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = data;
	unsigned index;

	if (schema_word(schema, node, "a device class of Home Assistant", class_names,
			&index))
		schema_text(schema, node, UNIT_MAX_LENGTH, &point->class);
}

static void read_total(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_bool(schema, node, &((struct point *)data)->total);
}

static void read_every(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, EVERY_LEAST, TIME_MOST,
			&((struct point *)data)->every_us);
}

static void read_max_silence(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, 0, TIME_MOST,
			&((struct point *)data)->max_silence_us);
}

/* `0.2`, or `2%` of the value last published. */
static void read_deadband(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct point *point = data;
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
	point->deadband = (struct deadband){amount, *digits != '\0'};
}

const struct schema_key *meaning_keys(void)
{
	static const struct schema_key keys[] = {
		KEY("scale", read_scale),
		KEY("offset", read_offset),
		KEY("unit", read_unit),
		KEY("class", read_class),
		KEY("total", read_total),
		KEY("every", read_every),
		KEY("deadband", read_deadband),
		KEY("max_silence", read_max_silence),
		LAST_KEY,
	};

	return keys;
}

/* --- what can only be checked when the line is whole --- */

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

static void check_values(struct schema *schema, const struct yaml_node *line, struct point *point)
{
	const struct yaml_node *node = yaml_get(line, "values");

	if (!node)
		return;
	if (node->kind != YAML_MAP || !node->count || node->count > VALUES_MAX) {
		schema_fault(schema, node, "values are 1 to %d of {0: off, 1: on}",
			     VALUES_MAX);
		return;
	}
	if (!point_is_integer(point)) {
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
static void check_number(struct schema *schema, const struct yaml_node *line, struct point *point)
{
	static const char *const keys[] = {"scale", "offset", "deadband"};
	int of_offset;

	for (size_t i = 0; !point_is_number(point) && i < ARRAY_SIZE(keys); i++) {
		const struct yaml_node *node = yaml_get(line, keys[i]);

		if (node)
			schema_fault(schema, node, "%s is for numbers, not for %s", keys[i],
				     point->type == TYPE_BOOL ? "bool" : "string");
	}
	if (!point_is_number(point)) {
		point->scale = 1;
		point->offset = 0;
		point->deadband = (struct deadband){0};
	}
	point->decimals = decimals_of(point->scale);
	of_offset = decimals_of(point->offset);
	if (of_offset > point->decimals)
		point->decimals = of_offset;
}

void meaning_check(struct schema *schema, const struct yaml_node *line, struct point *point)
{
	check_values(schema, line, point);
	check_number(schema, line, point);
}
