/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.c - how Home Assistant is told what there is to read; pure. */
#include "bridge/discovery.h"
#include "base/checksum.h"
#include "bridge/message.h"

#include <ctype.h>
#include <string.h>

/* What Home Assistant makes of a point. */
enum component {
	COMPONENT_NUMBER_SENSOR,
	COMPONENT_TEXT_SENSOR,
	COMPONENT_ENUM_SENSOR, /* one of some words */
	COMPONENT_BINARY_SENSOR,
};

static const char *const component_names[] = {
	[COMPONENT_NUMBER_SENSOR] = "sensor",
	[COMPONENT_TEXT_SENSOR] = "sensor",
	[COMPONENT_ENUM_SENSOR] = "sensor",
	[COMPONENT_BINARY_SENSOR] = "binary_sensor",
};

/* An entity while it is written; without a point it is the gateway. */
struct entity {
	const struct catalog *catalog;
	const struct catalog_device *device;
	const struct point *point;
	enum component component;
};

/* Points with a few words beside their numbers (-1: none) have a class or a unit. */
static enum component component_of(const struct point *point)
{
	bool is_enum = point->class ? !strcmp(point->class, "enum") : !point->unit;

	if (point->value_count && is_enum)
		return COMPONENT_ENUM_SENSOR;
	if (point->type == TYPE_STRING)
		return COMPONENT_TEXT_SENSOR;
	if (point->type == TYPE_BOOL)
		return point->value_count ? COMPONENT_ENUM_SENSOR : COMPONENT_BINARY_SENSOR;
	return COMPONENT_NUMBER_SENSOR;
}

/* --- names --- */

static bool is_plain(char c, const char *others)
{
	return isalnum((unsigned char)c) || strchr(others, c);
}

/*
 * A name as a topic's level may have it. One that has other characters than letters, digits
 * and `others` is told from its like by a checksum.
 */
static void add_id(const char *name, const char *others, struct text *text)
{
	bool plain = true;

	for (const char *c = name; *c; c++) {
		plain = plain && is_plain(*c, others);
		text_add(text, is_plain(*c, others) ? c : "_", 1);
	}
	if (!plain)
		text_addf(text, "_%04x",
			  checksum_of(CHECKSUM_CRC16_CCITT, (const uint8_t *)name,
				      strlen(name)));
}

/* `meter-1-voltage`: behind the last hyphen is the point, whose own ones are replaced. */
static void add_topic(const struct entity *entity, struct text *text)
{
	text_addf(text, "%s/%s/", entity->catalog->discovery_prefix,
		  component_names[entity->component]);
	add_id(entity->catalog->gateway, "_-", text);
	if (entity->point) {
		text_addf(text, "/");
		add_id(entity->device->name, "_-", text);
		text_addf(text, "-");
		add_id(entity->point->name, "_", text);
		text_addf(text, "/config");
	} else {
		text_addf(text, "/status/config");
	}
}

/* Part of an entity's id in Home Assistant, of small letters, digits and `_`. */
static void add_slug(const char *name, struct text *text)
{
	for (const char *c = name; *c; c++) {
		char small = isalnum((unsigned char)*c) ? tolower((unsigned char)*c) : '_';

		text_add(text, &small, 1);
	}
}

/* `voltage_l1` is "Voltage l1" to people. */
static void add_title(const char *name, struct text *text)
{
	char title[NAME_MAX_LENGTH + 1];

	snprintf(title, sizeof(title), "%s", name);
	for (char *c = title; *c; c++)
		*c = *c == '_' ? ' ' : *c;
	title[0] = toupper((unsigned char)title[0]);
	json_string(title, text);
}

static void add_member(const char *key, const char *value, struct text *text)
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
static void add_state_class(const struct point *point, const char *class,
			    struct text *text)
{
	const struct rule *rule = rule_of(class);

	if (class && !strcmp(class, "wind_direction"))
		add_member("state_class", "measurement_angle", text);
	else if (point->total && rule->totalled)
		add_member("state_class", "total_increasing", text);
	else if (rule->measured)
		add_member("state_class", "measurement", text);
}

static void add_number(const struct point *point, struct text *text)
{
	const char *class = class_of(point, true);

	if (point->unit)
		add_member("unit_of_measurement", point->unit, text);
	if (class)
		add_member("device_class", class, text);
	add_state_class(point, class, text);
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
	text_addf(text, ",\"device_class\":\"enum\",\"options\":[");
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
			add_member("device_class", point->class, text);
}

static void add_kind(const struct entity *entity, struct text *text)
{
	const struct point *point = entity->point;

	switch (entity->component) {
	case COMPONENT_NUMBER_SENSOR:
		add_number(point, text);
		break;
	case COMPONENT_TEXT_SENSOR:
		if (class_of(point, false))
			add_member("device_class", class_of(point, false), text);
		break;
	case COMPONENT_ENUM_SENSOR:
		add_options(point, text);
		break;
	case COMPONENT_BINARY_SENSOR:
		add_binary_class(point, text);
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
	switch (entity->component) {
	case COMPONENT_NUMBER_SENSOR:
		if (entity->point->value_count)
			text_addf(text, "%s if %s is number else None", value, value);
		else
			text_addf(text, "%s", value);
		break;
	case COMPONENT_TEXT_SENSOR:
		text_addf(text, "%s", value);
		break;
	case COMPONENT_ENUM_SENSOR:
		text_addf(text, "%s if %s is string else None", value, value);
		break;
	case COMPONENT_BINARY_SENSOR:
		text_addf(text, "None if %s is none else 'ON' if %s else 'OFF'", value, value);
		break;
	}
}

/* The message is the value, as text. */
static void add_bare_value(const struct entity *entity, struct text *text)
{
	switch (entity->component) {
	case COMPONENT_NUMBER_SENSOR:
		text_addf(text, "value if is_number(value) else None");
		break;
	case COMPONENT_TEXT_SENSOR:
		text_addf(text, "None if value == 'null' else value");
		break;
	case COMPONENT_ENUM_SENSOR:
		text_addf(text, "None if value == 'null' or is_number(value) else value");
		break;
	case COMPONENT_BINARY_SENSOR:
		text_addf(text, "'ON' if value == 'true' else 'OFF' if value == 'false' "
			  "else None");
		break;
	}
}

/*
 * A message for a whole device has only the points that were read. Nothing is said of the
 * others, which numbers and binary sensors take as no news; text needs to be told again.
 */
static void add_template(const struct entity *entity, struct text *text)
{
	char bytes[512], value[NAME_MAX_LENGTH + 32];
	struct text template = { .data = bytes, .size = sizeof(bytes) };
	bool repeats = entity->component == COMPONENT_TEXT_SENSOR ||
		       entity->component == COMPONENT_ENUM_SENSOR;
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
	add_member("value_template", bytes, text);
}

/* --- the payload --- */

static void add_origin(struct text *text)
{
	text_addf(text, ",\"origin\":{\"name\":\"postbus\",\"sw_version\":\"%s\"}",
		  PACKAGE_VERSION);
}

static void add_gateway(const struct catalog *catalog, struct text *text)
{
	const char *gateway = catalog->gateway;

	text_addf(text, "{\"name\":\"Connection\",\"unique_id\":\"postbus/%s/status\"", gateway);
	text_addf(text, ",\"default_entity_id\":\"binary_sensor.");
	add_slug(gateway, text);
	text_addf(text, "_connection\",\"state_topic\":\"%s/status\"", gateway);
	text_addf(text, ",\"payload_on\":\"online\",\"payload_off\":\"offline\""
		  ",\"device_class\":\"connectivity\",\"entity_category\":\"diagnostic\"");
	text_addf(text, ",\"device\":{\"identifiers\":[\"postbus/%s\"],\"name\":\"%s\""
		  ",\"model\":\"postbus gateway\",\"sw_version\":\"%s\"}",
		  gateway, gateway, PACKAGE_VERSION);
	add_origin(text);
	text_addf(text, "}");
}

static void add_device(const struct entity *entity, struct text *text)
{
	const char *gateway = entity->catalog->gateway, *name = entity->device->name;

	text_addf(text, ",\"availability\":[{\"topic\":\"%s/status\"}"
		  ",{\"topic\":\"%s/%s/availability\"}],\"availability_mode\":\"all\"",
		  gateway, gateway, name);
	text_addf(text, ",\"device\":{\"identifiers\":[\"postbus/%s/%s\"],\"name\":\"%s\"",
		  gateway, name, name);
	add_member("model", entity->device->title, text);
	add_member("model_id", entity->device->map, text);
	text_addf(text, ",\"via_device\":\"postbus/%s\"}", gateway);
}

static void add_state_topic(const struct entity *entity, struct text *text)
{
	char topic[TOPIC_MAX + NAME_MAX_LENGTH + 2];

	snprintf(topic, sizeof(topic), "%s", entity->device->topic);
	if (entity->catalog->layout == LAYOUT_POINT)
		snprintf(topic, sizeof(topic), "%s/%s", entity->device->topic,
			 entity->point->name);
	add_member("state_topic", topic, text);
}

static void add_point(const struct entity *entity, struct text *text)
{
	const struct catalog_device *device = entity->device;
	const char *gateway = entity->catalog->gateway, *point = entity->point->name;

	text_addf(text, "{\"name\":");
	add_title(point, text);
	text_addf(text, ",\"unique_id\":\"postbus/%s/%s/%s\",\"default_entity_id\":\"%s.", gateway,
		  device->name, point, component_names[entity->component]);
	add_slug(gateway, text);
	text_addf(text, "_");
	add_slug(device->name, text);
	text_addf(text, "_");
	add_slug(point, text);
	text_addf(text, "\"");
	add_state_topic(entity, text);
	add_template(entity, text);
	add_kind(entity, text);
	add_device(entity, text);
	add_origin(text);
	text_addf(text, "}");
}

bool discovery_next(const struct catalog *catalog, struct discovery_walk *walk,
		    struct text *topic, struct text *payload)
{
	struct entity entity = { .catalog = catalog, .component = COMPONENT_BINARY_SENSOR };

	if (catalog->discovery == DISCOVERY_NONE)
		return false;
	if (!walk->begun) {
		walk->begun = true;
		add_topic(&entity, topic);
		add_gateway(catalog, payload);
		return true;
	}
	while (walk->device < catalog->device_count &&
	       walk->point == catalog->devices[walk->device].point_count) {
		walk->device++;
		walk->point = 0;
	}
	if (walk->device == catalog->device_count)
		return false;
	entity.device = &catalog->devices[walk->device];
	entity.point = &entity.device->points[walk->point++];
	entity.component = component_of(entity.point);
	add_topic(&entity, topic);
	add_point(&entity, payload);
	return true;
}
