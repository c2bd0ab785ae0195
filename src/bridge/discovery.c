/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.c - how Home Assistant is told what there is to read; pure. */
#include "bridge/discovery.h"
#include "base/checksum.h"
#include "bridge/entity.h"

#include <ctype.h>
#include <string.h>

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
		  component_name(entity->component));
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

/* --- the payload --- */

static void add_origin(struct text *text)
{
	text_addf(text, ",\"origin\":{\"name\":\"postbus\",\"sw_version\":\"%s\"}",
		  PACKAGE_VERSION);
}

static void add_gateway(const struct catalog *catalog, struct text *text)
{
	const char *gateway = catalog->gateway;

	text_addf(text, "{\"name\":\"Connection\",\"unique_id\":\"postbus/%s/status\"",
		  gateway);
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
	entity_member("model", entity->device->title, text);
	entity_member("model_id", entity->device->map, text);
	text_addf(text, ",\"via_device\":\"postbus/%s\"}", gateway);
}

static void add_point(const struct entity *entity, struct text *text)
{
	const struct catalog_device *device = entity->device;
	const char *gateway = entity->catalog->gateway, *point = entity->point->name;

	text_addf(text, "{\"name\":");
	add_title(point, text);
	text_addf(text, ",\"unique_id\":\"postbus/%s/%s/%s\"", gateway, device->name, point);
	text_addf(text, ",\"default_entity_id\":\"%s.", component_name(entity->component));
	add_slug(gateway, text);
	text_addf(text, "_");
	add_slug(device->name, text);
	text_addf(text, "_");
	add_slug(point, text);
	text_addf(text, "\"");
	entity_state(entity, text);
	entity_command(entity, text);
	entity_kind(entity, text);
	add_device(entity, text);
	add_origin(text);
	text_addf(text, "}");
}

/* Of a point that is only ever written, where nothing may be, there is nothing to tell. */
static bool next_point(const struct catalog *catalog, struct discovery_walk *walk,
		       struct entity *entity)
{
	for (; walk->device < catalog->device_count; walk->device++, walk->point = 0) {
		entity->device = &catalog->devices[walk->device];
		while (walk->point < entity->device->point_count) {
			entity->point = &entity->device->points[walk->point++];
			if (entity->point->writable || point_is_read(entity->point))
				return true;
		}
	}
	return false;
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
	if (!next_point(catalog, walk, &entity))
		return false;
	entity.component = component_of(entity.point);
	add_topic(&entity, topic);
	add_point(&entity, payload);
	return true;
}
