/* SPDX-License-Identifier: Apache-2.0 */
/* entity.c - what Home Assistant makes of a point, and how it finds and sets the value; pure. */
#include "bridge/entity.h"
#include "bridge/message.h"
#include "config/writing.h"

#include <math.h>
#include <string.h>

/* --- components --- */

/* How a value is said in messages. */
enum form {
	FORM_NUMBER,
	FORM_TEXT,
	FORM_WORD, /* one of the point's names; another value is a number */
	FORM_YES_NO,
};

static const struct {
	const char *name;
	enum form form;
} components[] = {
	[COMPONENT_NUMBER_SENSOR] = { "sensor", FORM_NUMBER },
	[COMPONENT_TEXT_SENSOR] = { "sensor", FORM_TEXT },
	[COMPONENT_ENUM_SENSOR] = { "sensor", FORM_WORD },
	[COMPONENT_BINARY_SENSOR] = { "binary_sensor", FORM_YES_NO },
	[COMPONENT_NUMBER] = { "number", FORM_NUMBER },
	[COMPONENT_TEXT] = { "text", FORM_TEXT },
	[COMPONENT_SELECT] = { "select", FORM_WORD },
	[COMPONENT_SWITCH] = { "switch", FORM_YES_NO },
	[COMPONENT_BUTTON] = { "button", FORM_YES_NO },
};

const char *component_name(enum component component)
{
	return components[component].name;
}

/* Points with a few words beside their numbers (-1: none) have a class or a unit. */
static bool is_enum(const struct point *point)
{
	if (!point->value_count)
		return false;
	if (point->type == TYPE_BOOL)
		return true;
	return point->class ? !strcmp(point->class, "enum") : !point->unit;
}

enum component component_of(const struct point *point)
{
	if (point->writable && writing_is_action(point))
		return COMPONENT_BUTTON;
	if (is_enum(point))
		return point->writable ? COMPONENT_SELECT : COMPONENT_ENUM_SENSOR;
	switch (point->type) {
	case TYPE_STRING:
		return point->writable ? COMPONENT_TEXT : COMPONENT_TEXT_SENSOR;
	case TYPE_BOOL:
		return point->writable ? COMPONENT_SWITCH : COMPONENT_BINARY_SENSOR;
	default:
		return point->writable ? COMPONENT_NUMBER : COMPONENT_NUMBER_SENSOR;
	}
}

void entity_member(const char *key, const char *value, struct text *text)
{
	text_addf(text, ",\"%s\":", key);
	json_string(value, text);
}

/* --- what a value is --- */

/* A device class of numbers with other state classes than "measurement" alone. */
static const struct rule {
	const char *class;
	bool measured, totalled;
} rules[] = {
	{ "area", true, true },     { "data_size", true, true },
	{ "distance", true, true }, { "duration", true, true },
	{ "energy", false, true },  { "gas", false, true },
	{ "monetary", false, false }, { "precipitation", true, true },
	{ "reactive_energy", false, true }, { "volume", false, true },
	{ "water", false, true },   { "weight", true, true },
};

static const struct rule *rule_of(const char *class)
{
	static const struct rule none = { NULL, true, true };
	static const struct rule others = { NULL, true, false };

	for (size_t i = 0; class && i < ARRAY_SIZE(rules); i++)
		if (!strcmp(rules[i].class, class))
			return &rules[i];
	return class ? &others : &none;
}

/* The point's class as far as it is one of numbers (or of texts). */
static const char *class_of(const struct point *point, bool of_numbers)
{
	static const char *const of_texts[] = { "date", "timestamp", "uptime" };

	if (!point->class || !strcmp(point->class, "enum"))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(of_texts); i++)
		if (!strcmp(of_texts[i], point->class))
			return of_numbers ? NULL : point->class;
	return of_numbers ? point->class : NULL;
}

/*
 * "total_increasing" may begin again at 0. Where a class is for totals and this is not known
 * to be one that grows only, it is better not summed up at all.
 */
static void add_state_class(const struct point *point, struct text *text)
{
	const char *class = class_of(point, true);
	const struct rule *rule = rule_of(class);

	if (class && !strcmp(class, "wind_direction"))
		entity_member("state_class", "measurement_angle", text);
	else if (point->total && rule->totalled)
		entity_member("state_class", "total_increasing", text);
	else if (rule->measured)
		entity_member("state_class", "measurement", text);
}

static void add_unit(const struct point *point, struct text *text)
{
	if (point->unit)
		entity_member("unit_of_measurement", point->unit, text);
	if (class_of(point, true))
		entity_member("device_class", class_of(point, true), text);
}

static bool is_named_before(const struct point *point, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (!strcmp(point->values[i].name, point->values[index].name))
			return true;
	return false;
}

static void add_options(const struct point *point, struct text *text)
{
	text_addf(text, ",\"options\":[");
	for (size_t i = 0; i < point->value_count; i++) {
		if (is_named_before(point, i))
			continue;
		text_addf(text, "%s", i ? "," : "");
		json_string(point->values[i].name, text);
	}
	text_addf(text, "]");
}

/* Of the sensors' classes, those that are there for what is or is not, too. */
static void add_binary_class(const struct point *point, struct text *text)
{
	static const char *const classes[] = { "battery", "carbon_monoxide", "gas", "moisture",
					       "power" };

	for (size_t i = 0; point->class && i < ARRAY_SIZE(classes); i++)
		if (!strcmp(classes[i], point->class))
			entity_member("device_class", point->class, text);
}

/* Numbers that Home Assistant's own default range, 1 to 100, would keep from being set. */
static void add_range(const struct point *point, struct text *text)
{
	const double widest = 1e15, finest = 1e-3;
	struct value least = { .kind = VALUE_DOUBLE }, most = { .kind = VALUE_DOUBLE };
	struct value step = { .kind = VALUE_DOUBLE, .d = finest };

	writing_range(point, &least.d, &most.d);
	least.d = fmax(least.d, -widest);
	most.d = fmin(most.d, widest);
	if (point->has_write_step)
		step.d = fmax(point->write_step, finest);
	else if (point_is_integer(point))
		step.d = fmax(pow(10, -point->decimals), finest);
	text_addf(text, ",\"min\":");
	number_print(&least, text);
	text_addf(text, ",\"max\":");
	number_print(&most, text);
	text_addf(text, ",\"step\":");
	number_print(&step, text);
	text_addf(text, ",\"mode\":\"box\"");
}

void entity_kind(const struct entity *entity, struct text *text)
{
	const struct point *point = entity->point;

	switch (entity->component) {
	case COMPONENT_NUMBER_SENSOR:
		add_unit(point, text);
		add_state_class(point, text);
		break;
	case COMPONENT_TEXT_SENSOR:
		if (class_of(point, false))
			entity_member("device_class", class_of(point, false), text);
		break;
	case COMPONENT_ENUM_SENSOR:
		entity_member("device_class", "enum", text);
		add_options(point, text);
		break;
	case COMPONENT_BINARY_SENSOR:
		add_binary_class(point, text);
		break;
	case COMPONENT_NUMBER:
		add_unit(point, text);
		add_range(point, text);
		break;
	case COMPONENT_TEXT:
		text_addf(text, ",\"max\":%u",
			  point->length ? point->length : STRING_MAX_LENGTH);
		break;
	case COMPONENT_SELECT:
		add_options(point, text);
		break;
	case COMPONENT_SWITCH:
	case COMPONENT_BUTTON:
		break;
	}
}

/* --- templates --- */

/*
 * What of a message is the value, as a template of Jinja. `null`, and a number where a word
 * should stand or the other way round, is None: unknown.
 */
static void add_value(const struct entity *entity, const char *value, struct text *text)
{
	switch (components[entity->component].form) {
	case FORM_NUMBER:
		if (entity->point->value_count)
			text_addf(text, "%s if %s is number else None", value, value);
		else
			text_addf(text, "%s", value);
		break;
	case FORM_TEXT:
		text_addf(text, "%s", value);
		break;
	case FORM_WORD:
		text_addf(text, "%s if %s is string else None", value, value);
		break;
	case FORM_YES_NO:
		text_addf(text, "None if %s is none else 'ON' if %s else 'OFF'", value, value);
		break;
	}
}

/* The message is the value, as text. */
static void add_bare_value(const struct entity *entity, struct text *text)
{
	switch (components[entity->component].form) {
	case FORM_NUMBER:
		text_addf(text, "value if is_number(value) else None");
		break;
	case FORM_TEXT:
		text_addf(text, "None if value == 'null' else value");
		break;
	case FORM_WORD:
		text_addf(text, "None if value == 'null' or is_number(value) else value");
		break;
	case FORM_YES_NO:
		text_addf(text, "'ON' if value == 'true' else 'OFF' if value == 'false' "
			  "else None");
		break;
	}
}

/*
 * A message for a whole device has only the points that were read. Nothing is said of the
 * others, which most components take as no news; text needs to be told again.
 */
static void add_template(const struct entity *entity, struct text *text)
{
	char bytes[512], value[NAME_MAX_LENGTH + 32];
	struct text template = { .data = bytes, .size = sizeof(bytes) };
	bool repeats = entity->component == COMPONENT_TEXT_SENSOR ||
		       entity->component == COMPONENT_ENUM_SENSOR ||
		       entity->component == COMPONENT_TEXT;
	const char *name = entity->point->name;

	if (entity->catalog->layout == LAYOUT_POINT) {
		text_addf(&template, "{{ ");
		if (entity->catalog->payload == PAYLOAD_BARE)
			add_bare_value(entity, &template);
		else
			add_value(entity, "value_json.value", &template);
		text_addf(&template, " }}");
	} else {
		snprintf(value, sizeof(value), "value_json['%s']", name);
		text_addf(&template, "{%% if '%s' in value_json %%}{{ ", name);
		add_value(entity, value, &template);
		text_addf(&template, " }}%s{%% endif %%}",
			  repeats ? "{% else %}{{ this.state }}" : "");
	}
	entity_member("value_template", bytes, text);
}

void entity_state(const struct entity *entity, struct text *text)
{
	char topic[TOPIC_MAX + NAME_MAX_LENGTH + 2];

	if (entity->component == COMPONENT_BUTTON || !point_is_read(entity->point))
		return;
	snprintf(topic, sizeof(topic), "%s", entity->device->topic);
	if (entity->catalog->layout == LAYOUT_POINT)
		snprintf(topic, sizeof(topic), "%s/%s", entity->device->topic,
			 entity->point->name);
	entity_member("state_topic", topic, text);
	add_template(entity, text);
}

/* --- commands --- */

void entity_command(const struct entity *entity, struct text *text)
{
	char topic[3 * NAME_MAX_LENGTH + 8];

	if (!entity->point->writable)
		return;
	snprintf(topic, sizeof(topic), "%s/%s/%s/set", entity->catalog->gateway,
		 entity->device->name, entity->point->name);
	entity_member("command_topic", topic, text);
	text_addf(text, ",\"qos\":1");
	if (entity->component == COMPONENT_SWITCH)
		text_addf(text, ",\"payload_on\":\"on\",\"payload_off\":\"off\""
			  ",\"state_on\":\"ON\",\"state_off\":\"OFF\"");
	if (entity->component == COMPONENT_BUTTON)
		entity_member("payload_press", "press", text);
}
