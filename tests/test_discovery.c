/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_discovery.c - what Home Assistant is told, held against what its documentation allows
 * (data/home-assistant.json): of points by hand, and of all maps that ship.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/discovery.h"
#include "bridge/entity.h"
#include "bridge/mapping.h"
#include "bridge/setting.h"
#include "config/writing.h"
#include "field/driver.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static cJSON *allowed;
static char topic_bytes[TOPIC_MAX + 1], payload_bytes[DISCOVERY_PAYLOAD_MAX];

static int read_allowed(void **state)
{
	const char *source = getenv("POSTBUS_SOURCE");
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	static char bytes[64 * 1024];
	size_t n;

	(void)state;
	if (asprintf(&path, "%s/tests/data/home-assistant.json", source ? source : ".") < 0)
		return -1;
	file = fopen(path, "re");
	if (!file)
		return -1;
	n = fread(bytes, 1, sizeof(bytes) - 1, file);
	bytes[n] = '\0';
	allowed = cJSON_Parse(bytes);
	return allowed ? 0 : -1;
}

static int forget_allowed(void **state)
{
	(void)state;
	cJSON_Delete(allowed);
	return 0;
}

/* --- what is allowed --- */

static const cJSON *at(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	if (!item)
		fail_msg("no %s", key);
	return item;
}

static const char *text_at(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	return item ? cJSON_GetStringValue(item) : NULL;
}

static bool has(const cJSON *list, const char *word)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) {
		const char *text = cJSON_GetStringValue(item);

		if (text && word ? !strcmp(text, word) : text == word)
			return true;
	}
	return false;
}

/* Each key once, and of those that are documented. */
static void check_keys(const cJSON *json, const char *group, const char *more)
{
	const cJSON *keys = at(allowed, "keys"), *item;

	cJSON_ArrayForEach(item, json) {
		if (!has(at(keys, group), item->string) &&
		    !(more && has(at(keys, more), item->string)))
			fail_msg("%s: no key of %s", item->string, group);
		if (cJSON_GetObjectItemCaseSensitive(json, item->string) != item)
			fail_msg("%s: twice", item->string);
	}
}

static void check_sensor(const cJSON *json)
{
	const char *class = text_at(json, "device_class"), *state = text_at(json, "state_class");
	const char *unit = text_at(json, "unit_of_measurement");
	const cJSON *options = cJSON_GetObjectItem(json, "options"), *rules;

	/* Options come with this class, and with neither a unit nor a state class. */
	assert_int_equal(options != NULL, class && !strcmp(class, "enum"));
	if (options)
		assert_true(cJSON_GetArraySize(options) > 0 && !unit && !state);
	if (!class) {
		assert_true(!state || !strcmp(state, "measurement") ||
			    !strcmp(state, "total_increasing"));
		return;
	}
	rules = at(at(allowed, "sensor_classes"), class);
	if (!has(at(rules, "units"), unit))
		fail_msg("%s: %s is no unit of %s", text_at(json, "unique_id"), unit, class);
	if (state && !has(at(rules, "states"), state))
		fail_msg("%s: %s is no state class of %s", text_at(json, "unique_id"), state,
			 class);
}

static void check_number(const cJSON *json)
{
	const char *class = text_at(json, "device_class");
	const char *unit = text_at(json, "unit_of_measurement");

	assert_true(at(json, "min")->valuedouble < at(json, "max")->valuedouble);
	assert_true(at(json, "step")->valuedouble >= 0.001);
	assert_string_equal(text_at(json, "mode"), "box");
	if (class)
		assert_true(has(at(at(at(allowed, "sensor_classes"), class), "units"), unit));
}

static void check_component(const cJSON *json, const char *component)
{
	const cJSON *key;

	cJSON_ArrayForEach(key, at(at(allowed, "required"), component))
		at(json, key->valuestring);
	if (!strcmp(component, "sensor"))
		check_sensor(json);
	else if (!strcmp(component, "number"))
		check_number(json);
	else if (!strcmp(component, "select"))
		assert_true(cJSON_GetArraySize(at(json, "options")) > 0);
	else if (!strcmp(component, "binary_sensor") && text_at(json, "device_class"))
		assert_true(has(at(allowed, "binary_classes"), text_at(json, "device_class")));
}

static void check_id(const char *id)
{
	assert_true(*id);
	assert_int_equal(strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-"), strlen(id));
}

/* <prefix>/<component>/<node_id>/<object_id>/config */
static void check_topic(const char *component)
{
	char copy[sizeof(topic_bytes)], *rest = copy;

	strcpy(copy, topic_bytes);
	assert_string_equal(strsep(&rest, "/"), "homeassistant");
	assert_string_equal(strsep(&rest, "/"), component);
	check_id(strsep(&rest, "/"));
	check_id(strsep(&rest, "/"));
	assert_string_equal(strsep(&rest, "/"), "config");
	assert_null(rest);
}

static void check_device(const cJSON *json)
{
	const cJSON *device = at(json, "device"), *item;

	check_keys(device, "device", NULL);
	assert_true(cJSON_GetArraySize(at(device, "identifiers")) > 0);
	check_keys(at(json, "origin"), "origin", NULL);
	assert_non_null(text_at(at(json, "origin"), "name"));
	cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "availability")) {
		check_keys(item, "availability", NULL);
		assert_non_null(text_at(item, "topic"));
	}
}

/* Of the payload; to be deleted. */
static cJSON *check_entity(void)
{
	cJSON *json = cJSON_Parse(payload_bytes);
	char component[32];
	const char *entity_id;

	assert_non_null(json);
	entity_id = text_at(json, "default_entity_id");
	snprintf(component, sizeof(component), "%.*s", (int)strcspn(entity_id, "."), entity_id);
	check_topic(component);
	check_keys(json, "every", component);
	assert_int_equal(strspn(strchr(entity_id, '.') + 1, "abcdefghijklmnopqrstuvwxyz0123456789_"),
			 strlen(strchr(entity_id, '.') + 1));
	assert_non_null(text_at(json, "unique_id"));
	check_device(json);
	check_component(json, component);
	return json;
}

/* --- points by hand --- */

static struct value_name state_names[] = {
	{ 0, (char *)"off" }, { 1, (char *)"on" }, { 2, (char *)"on" },
};
static struct value_name no_value[] = { { -1, (char *)"no sensor" } };
static const struct point points[] = {
	{ .name = (char *)"voltage", .type = TYPE_F32, .unit = (char *)"V",
	  .class = (char *)"voltage" },
	{ .name = (char *)"energy", .type = TYPE_F32, .unit = (char *)"kWh",
	  .class = (char *)"energy", .total = true },
	{ .name = (char *)"energy_net", .type = TYPE_F32, .unit = (char *)"kWh",
	  .class = (char *)"energy" },
	{ .name = (char *)"wind_direction", .type = TYPE_U16, .unit = (char *)"°",
	  .class = (char *)"wind_direction" },
	{ .name = (char *)"pulses", .type = TYPE_U32, .total = true },
	{ .name = (char *)"level", .type = TYPE_NUMBER, .class = (char *)"timestamp" },
	{ .name = (char *)"input-1", .type = TYPE_BOOL, .class = (char *)"moisture" },
	{ .name = (char *)"serial.no", .type = TYPE_STRING, .length = 8 },
	{ .name = (char *)"since", .type = TYPE_STRING, .class = (char *)"timestamp" },
	{ .name = (char *)"state", .type = TYPE_U16, .values = state_names, .value_count = 3 },
	{ .name = (char *)"dew_point", .type = TYPE_I16, .unit = (char *)"°C",
	  .class = (char *)"temperature", .values = no_value, .value_count = 1 },
};
enum { VOLTAGE, ENERGY, ENERGY_NET, WIND_DIRECTION, PULSES, LEVEL, INPUT, SERIAL, SINCE, STATE,
       DEW_POINT, POINTS };

static struct catalog_device meter = {
	.name = (char *)"meter-1", .topic = (char *)"barn/\"meter\"/1", .map = (char *)"sdm120",
	.title = (char *)"A \"meter\"", .points = points, .point_count = POINTS,
};
static struct catalog catalog = {
	.gateway = (char *)"barn", .discovery = DISCOVERY_HOMEASSISTANT,
	.discovery_prefix = (char *)"homeassistant", .devices = &meter, .device_count = 1,
};

static bool next(struct discovery_walk *walk)
{
	struct text topic = { .data = topic_bytes, .size = sizeof(topic_bytes) };
	struct text payload = { .data = payload_bytes, .size = sizeof(payload_bytes) };
	bool there = discovery_next(&catalog, walk, &topic, &payload);

	assert_false(topic.full || payload.full);
	return there;
}

/* What is said of one of the points; to be deleted. */
static cJSON *entity_of(size_t point)
{
	struct discovery_walk walk = { .begun = true, .point = point };

	assert_true(next(&walk));
	return check_entity();
}

static void assert_text(const cJSON *json, const char *key, const char *wanted)
{
	const char *is = text_at(json, key);

	if (!is || !wanted)
		assert_true(is == wanted);
	else
		assert_string_equal(is, wanted);
}

static void check_point(size_t point, const char *class, const char *state, const char *template)
{
	cJSON *json = entity_of(point);

	assert_text(json, "device_class", class);
	assert_text(json, "state_class", state);
	assert_text(json, "unit_of_measurement", class && strcmp(class, "enum") &&
		    point != INPUT ? points[point].unit : NULL);
	assert_text(json, "value_template", template);
	cJSON_Delete(json);
}

static void set_up(enum layout layout, enum payload_format payload)
{
	catalog.layout = layout;
	catalog.payload = payload;
}

static void the_gateway_comes_first(void **state)
{
	struct discovery_walk walk = { 0 };
	cJSON *json;

	(void)state;
	set_up(LAYOUT_DEVICE, PAYLOAD_JSON);
	assert_true(next(&walk));
	assert_string_equal(topic_bytes, "homeassistant/binary_sensor/barn/status/config");
	json = check_entity();
	assert_text(json, "unique_id", "postbus/barn/status");
	assert_text(json, "state_topic", "barn/status");
	assert_text(json, "payload_on", "online");
	assert_text(json, "payload_off", "offline");
	assert_text(json, "device_class", "connectivity");
	assert_string_equal(cJSON_GetArrayItem(at(at(json, "device"), "identifiers"), 0)
			    ->valuestring, "postbus/barn");
	cJSON_Delete(json);
}

static void a_point_says_where_it_belongs(void **state)
{
	const cJSON *device, *availability;
	cJSON *json;

	(void)state;
	set_up(LAYOUT_DEVICE, PAYLOAD_JSON);
	json = entity_of(VOLTAGE);
	assert_string_equal(topic_bytes, "homeassistant/sensor/barn/meter-1-voltage/config");
	assert_text(json, "name", "Voltage");
	assert_text(json, "unique_id", "postbus/barn/meter-1/voltage");
	assert_text(json, "default_entity_id", "sensor.barn_meter_1_voltage");
	assert_text(json, "state_topic", "barn/\"meter\"/1");
	assert_text(json, "availability_mode", "all");
	availability = at(json, "availability");
	assert_int_equal(cJSON_GetArraySize(availability), 2);
	assert_text(cJSON_GetArrayItem(availability, 0), "topic", "barn/status");
	assert_text(cJSON_GetArrayItem(availability, 1), "topic", "barn/meter-1/availability");
	device = at(json, "device");
	assert_text(device, "name", "meter-1");
	assert_text(device, "model", "A \"meter\"");
	assert_text(device, "model_id", "sdm120");
	assert_text(device, "via_device", "postbus/barn");
	cJSON_Delete(json);
}

static void a_device_message_keeps_what_is_not_in_it(void **state)
{
	(void)state;
	set_up(LAYOUT_DEVICE, PAYLOAD_JSON);
	check_point(VOLTAGE, "voltage", "measurement",
		    "{% if 'voltage' in value_json %}{{ value_json['voltage'] }}{% endif %}");
	check_point(ENERGY, "energy", "total_increasing",
		    "{% if 'energy' in value_json %}{{ value_json['energy'] }}{% endif %}");
	check_point(ENERGY_NET, "energy", NULL,
		    "{% if 'energy_net' in value_json %}{{ value_json['energy_net'] }}{% endif %}");
	check_point(WIND_DIRECTION, "wind_direction", "measurement_angle",
		    "{% if 'wind_direction' in value_json %}"
		    "{{ value_json['wind_direction'] }}{% endif %}");
	check_point(PULSES, NULL, "total_increasing",
		    "{% if 'pulses' in value_json %}{{ value_json['pulses'] }}{% endif %}");
	check_point(LEVEL, NULL, "measurement",
		    "{% if 'level' in value_json %}{{ value_json['level'] }}{% endif %}");
	check_point(INPUT, "moisture", NULL,
		    "{% if 'input-1' in value_json %}{{ None if value_json['input-1'] is none "
		    "else 'ON' if value_json['input-1'] else 'OFF' }}{% endif %}");
	check_point(SERIAL, NULL, NULL,
		    "{% if 'serial.no' in value_json %}{{ value_json['serial.no'] }}"
		    "{% else %}{{ this.state }}{% endif %}");
	check_point(SINCE, "timestamp", NULL,
		    "{% if 'since' in value_json %}{{ value_json['since'] }}"
		    "{% else %}{{ this.state }}{% endif %}");
	check_point(STATE, "enum", NULL,
		    "{% if 'state' in value_json %}{{ value_json['state'] if value_json['state'] "
		    "is string else None }}{% else %}{{ this.state }}{% endif %}");
	check_point(DEW_POINT, "temperature", "measurement",
		    "{% if 'dew_point' in value_json %}{{ value_json['dew_point'] if "
		    "value_json['dew_point'] is number else None }}{% endif %}");
}

static void a_point_message_is_its_value(void **state)
{
	cJSON *json;

	(void)state;
	set_up(LAYOUT_POINT, PAYLOAD_JSON);
	json = entity_of(ENERGY);
	assert_text(json, "state_topic", "barn/\"meter\"/1/energy");
	cJSON_Delete(json);
	check_point(VOLTAGE, "voltage", "measurement", "{{ value_json.value }}");
	check_point(INPUT, "moisture", NULL, "{{ None if value_json.value is none else 'ON' if "
		    "value_json.value else 'OFF' }}");
	check_point(SERIAL, NULL, NULL, "{{ value_json.value }}");
	check_point(STATE, "enum", NULL,
		    "{{ value_json.value if value_json.value is string else None }}");
}

static void a_bare_message_too(void **state)
{
	(void)state;
	set_up(LAYOUT_POINT, PAYLOAD_BARE);
	check_point(VOLTAGE, "voltage", "measurement",
		    "{{ value if is_number(value) else None }}");
	check_point(INPUT, "moisture", NULL,
		    "{{ 'ON' if value == 'true' else 'OFF' if value == 'false' else None }}");
	check_point(SERIAL, NULL, NULL, "{{ None if value == 'null' else value }}");
	check_point(STATE, "enum", NULL,
		    "{{ None if value == 'null' or is_number(value) else value }}");
}

/* --- points that can be written --- */

static const struct locator nowhere = { .how = LOCATE_NOWHERE };
static const struct point settable[] = {
	{ .name = (char *)"relay_1", .table = TABLE_COIL, .type = TYPE_BOOL, .scale = 1,
	  .writable = true },
	{ .name = (char *)"target", .table = TABLE_HOLDING, .type = TYPE_I16, .scale = 0.1,
	  .decimals = 1, .unit = (char *)"°C", .class = (char *)"temperature",
	  .writable = true, .has_write_min = true, .write_min = 5, .has_write_max = true,
	  .write_max = 30, .has_write_step = true, .write_step = 0.5 },
	{ .name = (char *)"mode", .table = TABLE_HOLDING, .type = TYPE_U16, .scale = 1,
	  .values = state_names, .value_count = 3, .writable = true },
	{ .name = (char *)"restart", .table = TABLE_COIL, .type = TYPE_BOOL, .scale = 1,
	  .writable = true, .write_pulse_us = 500000 },
	{ .name = (char *)"label", .table = TABLE_HOLDING, .type = TYPE_STRING, .length = 8,
	  .writable = true },
	{ .name = (char *)"offset", .table = TABLE_HOLDING, .type = TYPE_I16, .scale = 0.1,
	  .decimals = 1, .writable = true },
	{ .name = (char *)"factor", .table = TABLE_HOLDING, .type = TYPE_F32, .scale = 1,
	  .writable = true },
	{ .name = (char *)"display", .locator = &nowhere, .type = TYPE_NUMBER, .scale = 1,
	  .writable = true },
};
enum { RELAY, TARGET, MODE, RESTART, LABEL, OFFSET, FACTOR, DISPLAY };

static cJSON *settable_entity(size_t point, const char *component)
{
	struct catalog_device device = meter;
	struct catalog before = catalog;
	struct discovery_walk walk = { .begun = true, .point = point };
	char wanted[128];
	cJSON *json;

	device.points = settable;
	device.point_count = ARRAY_SIZE(settable);
	catalog.devices = &device;
	set_up(LAYOUT_DEVICE, PAYLOAD_JSON);
	assert_true(next(&walk));
	catalog = before;
	json = check_entity();
	snprintf(wanted, sizeof(wanted), "homeassistant/%s/barn/", component);
	assert_memory_equal(topic_bytes, wanted, strlen(wanted));
	snprintf(wanted, sizeof(wanted), "barn/meter-1/%s/set", settable[point].name);
	assert_text(json, "command_topic", wanted);
	assert_int_equal(at(json, "qos")->valueint, 1);
	return json;
}

static void a_bool_is_a_switch(void **state)
{
	cJSON *json = settable_entity(RELAY, "switch");

	(void)state;
	assert_text(json, "payload_on", "on");
	assert_text(json, "payload_off", "off");
	assert_text(json, "state_on", "ON");
	assert_text(json, "state_off", "OFF");
	assert_text(json, "state_topic", "barn/\"meter\"/1");
	assert_text(json, "value_template",
		    "{% if 'relay_1' in value_json %}{{ None if value_json['relay_1'] is none "
		    "else 'ON' if value_json['relay_1'] else 'OFF' }}{% endif %}");
	cJSON_Delete(json);
}

static void check_range(size_t point, double min, double max, double step)
{
	cJSON *json = settable_entity(point, "number");

	assert_true(fabs(at(json, "min")->valuedouble - min) < 1e-9);
	assert_true(fabs(at(json, "max")->valuedouble - max) < 1e-9);
	assert_true(at(json, "step")->valuedouble == step);
	cJSON_Delete(json);
}

static void a_number_has_its_range(void **state)
{
	cJSON *json = settable_entity(TARGET, "number");

	(void)state;
	assert_text(json, "unit_of_measurement", "°C");
	assert_text(json, "device_class", "temperature");
	assert_text(json, "state_class", NULL);
	cJSON_Delete(json);
	check_range(TARGET, 5, 30, 0.5);
	check_range(OFFSET, -3276.8, 3276.7, 0.1);
	check_range(FACTOR, -1e15, 1e15, 0.001);
}

static void names_are_a_select_and_texts_a_text(void **state)
{
	cJSON *json = settable_entity(MODE, "select");

	(void)state;
	assert_int_equal(cJSON_GetArraySize(at(json, "options")), 2);
	assert_text(json, "device_class", NULL);
	assert_text(json, "value_template",
		    "{% if 'mode' in value_json %}{{ value_json['mode'] if value_json['mode'] "
		    "is string else None }}{% endif %}");
	cJSON_Delete(json);
	json = settable_entity(LABEL, "text");
	assert_int_equal(at(json, "max")->valueint, 8);
	cJSON_Delete(json);
}

static void an_action_is_a_button(void **state)
{
	cJSON *json = settable_entity(RESTART, "button");

	(void)state;
	assert_text(json, "payload_press", "press");
	assert_text(json, "state_topic", NULL);
	assert_text(json, "value_template", NULL);
	cJSON_Delete(json);
}

/* What is only ever written has no state. */
static void what_is_not_read_has_no_state(void **state)
{
	cJSON *json = settable_entity(DISPLAY, "number");

	(void)state;
	assert_text(json, "state_topic", NULL);
	assert_text(json, "value_template", NULL);
	cJSON_Delete(json);
}

/* What is told is what a command takes. */
static void commands_take_what_is_told(void **state)
{
	static const struct {
		size_t point;
		const char *text;
	} commands[] = {
		{ RELAY, "on" }, { RELAY, "off" }, { TARGET, "5" }, { TARGET, "30" },
		{ TARGET, "5.5" }, { MODE, "off" }, { MODE, "on" }, { RESTART, "press" },
		{ LABEL, "12345678" }, { OFFSET, "-3276.8" }, { FACTOR, "0.001" },
	};
	char error[OUTCOME_ERROR_MAX];
	struct setting setting;
	struct value value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		assert_int_equal(setting_parse(commands[i].text, strlen(commands[i].text),
					       &setting, error), 0);
		if (setting_check(&settable[commands[i].point], setting.value, &value, error) < 0)
			fail_msg("%s: %s", commands[i].text, error);
	}
}

static void words_are_told_once_each(void **state)
{
	const cJSON *options;
	cJSON *json;

	(void)state;
	set_up(LAYOUT_DEVICE, PAYLOAD_JSON);
	json = entity_of(STATE);
	options = at(json, "options");
	assert_int_equal(cJSON_GetArraySize(options), 2);
	assert_true(has(options, "off") && has(options, "on"));
	cJSON_Delete(json);
}

/* No two entities have one topic, also where what joins the names stands in them. */
static void topics_are_told_apart(void **state)
{
	static const struct point with[] = {
		{ .name = (char *)"b" }, { .name = (char *)"b-c" }, { .name = (char *)"b_c" },
		{ .name = (char *)"b.c" },
	};
	static struct catalog_device devices[] = {
		{ .name = (char *)"a" }, { .name = (char *)"a-b" }, { .name = (char *)"a.b" },
		{ .name = (char *)"a_b" },
	};
	const struct catalog with_names = {
		.gateway = (char *)"pi.local", .discovery = DISCOVERY_HOMEASSISTANT,
		.discovery_prefix = (char *)"homeassistant", .devices = devices,
		.device_count = ARRAY_SIZE(devices),
	};
	char seen[64][sizeof(topic_bytes)];
	struct catalog before = catalog;
	struct discovery_walk walk = { 0 };
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		devices[i].topic = devices[i].map = devices[i].title = (char *)"x";
		devices[i].points = with;
		devices[i].point_count = ARRAY_SIZE(with);
	}
	catalog = with_names;
	while (next(&walk)) {
		cJSON_Delete(check_entity());
		for (size_t i = 0; i < count; i++)
			assert_string_not_equal(seen[i], topic_bytes);
		strcpy(seen[count++], topic_bytes);
	}
	assert_int_equal(count, 1 + ARRAY_SIZE(devices) * ARRAY_SIZE(with));
	catalog = before;
}

static void nobody_is_told_where_it_is_off(void **state)
{
	struct discovery_walk walk = { 0 };

	(void)state;
	catalog.discovery = DISCOVERY_NONE;
	assert_false(next(&walk));
	catalog.discovery = DISCOVERY_HOMEASSISTANT;
}

/* The catalog of a gateway with these devices; to be freed. */
static struct catalog *catalog_of(struct device_config *devices, size_t count, bool commands)
{
	struct bus_config bus = { .name = (char *)"bus", .devices = devices,
				  .device_count = count };
	struct bus_config *buses[] = { &bus };
	struct conf conf = {
		.gateway = (char *)"barn",
		.commands = commands,
		.publish = { .topic = (char *)"{gateway}/{device}",
			     .discovery = DISCOVERY_HOMEASSISTANT,
			     .discovery_prefix = (char *)"homeassistant",
			     .birth_topic = (char *)"homeassistant/status" },
	};
	const struct config config = { .conf = &conf, .buses = buses, .bus_count = 1 };
	struct catalog *made;

	assert_int_equal(catalog_new(&config, &made), 0);
	return made;
}

static size_t count_entities(const struct catalog *of_all)
{
	struct catalog before = catalog;
	struct discovery_walk walk = { 0 };
	size_t count = 0;

	catalog = *of_all;
	for (; next(&walk); count++)
		cJSON_Delete(check_entity());
	catalog = before;
	return count;
}

/* --- the maps that ship --- */

static size_t check_map(const struct device_map *map)
{
	struct device_config device = {
		.name = (char *)"device-1", .map = map, .points = map->points,
		.point_count = map->point_count,
	};
	_cleanup_(catalog_freep) struct catalog *of_map = catalog_of(&device, 1, true);

	return count_entities(of_map) - 1;
}

static void maps_that_ship_are_right(void **state)
{
	const char *source = getenv("POSTBUS_SOURCE");
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	_cleanup_(map_names_freep) char **names = NULL;
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *maps = NULL;
	size_t count = 0;

	(void)state;
	assert_true(asprintf(&maps, "%s/devices", source ? source : ".") > 0);
	library = map_library_new((const char *const *)&maps, 1, driver_names());
	names = map_library_names(library);
	assert_true(names && names[0]);
	for (char **name = names; *name; name++) {
		_cleanup_free_ char *suggestion = NULL;
		const struct device_map *map;

		assert_int_equal(map_library_get(library, *name, &map, &suggestion, faults), 0);
		assert_int_equal(check_map(map), map->point_count);
		count += map->point_count;
	}
	print_message("%zu points\n", count);
}

/* Devices whose points look alike share one list of them. */
static void lists_are_kept_once(void **state)
{
	struct point other[POINTS];
	const struct device_map map = { .name = (char *)"sdm120" };
	struct device_config devices[] = {
		{ .name = (char *)"a", .map = &map, .points = (struct point *)points,
		  .point_count = POINTS },
		{ .name = (char *)"b", .map = &map, .points = other, .point_count = POINTS },
		{ .name = (char *)"c", .map = &map, .points = other, .point_count = POINTS },
	};
	struct catalog *of_all;

	(void)state;
	memcpy(other, points, sizeof(points));
	of_all = catalog_of(devices, ARRAY_SIZE(devices), true);
	assert_int_equal(of_all->list_count, 1);
	assert_string_equal(of_all->devices[1].topic, "barn/b");
	catalog_free(of_all);
	other[ENERGY].total = false;
	of_all = catalog_of(devices, ARRAY_SIZE(devices), true);
	assert_int_equal(of_all->list_count, 2);
	assert_ptr_equal(of_all->devices[1].points, of_all->devices[2].points);
	catalog_free(of_all);
}

/* A catalog outlives the maps: of their locators it keeps what matters. */
static void a_catalog_knows_what_is_only_written(void **state)
{
	struct phrase phrase = { .frame_reply.count = 0 }; /* that says nothing of a value */
	struct locator locators[] = {
		{ .how = LOCATE_KEY }, { .how = LOCATE_NOWHERE },
		{ .how = LOCATE_NOWHERE, .phrase = &phrase },
		{ .how = LOCATE_KEY, .phrase = &phrase },
	};
	struct point of_map[ARRAY_SIZE(locators)];
	const struct device_map map = { .name = (char *)"m" };
	struct device_config device = { .name = (char *)"a", .map = &map, .points = of_map,
					.point_count = ARRAY_SIZE(of_map) };
	_cleanup_(catalog_freep) struct catalog *of_all = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(locators); i++)
		of_map[i] = (struct point){ .name = (char *)"p", .type = TYPE_NUMBER, .scale = 1,
					    .writable = true, .locator = &locators[i] };
	of_all = catalog_of(&device, 1, true);
	for (size_t i = 0; i < ARRAY_SIZE(locators); i++) {
		const struct point *point = &of_all->devices[0].points[i];

		assert_true(point->locator != &locators[i]);
		assert_int_equal(point_is_read(point), point_is_read(&of_map[i]));
		assert_int_equal(component_of(point), component_of(&of_map[i]));
	}
	assert_int_equal(count_entities(of_all), 1 + ARRAY_SIZE(locators));

	/* Without commands there are sensors, of what is read. */
	catalog_free(TAKE_PTR(of_all));
	of_all = catalog_of(&device, 1, false);
	assert_int_equal(component_of(of_all->devices[0].points), COMPONENT_NUMBER_SENSOR);
	assert_int_equal(count_entities(of_all), 1 + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_gateway_comes_first),
		cmocka_unit_test(a_point_says_where_it_belongs),
		cmocka_unit_test(a_device_message_keeps_what_is_not_in_it),
		cmocka_unit_test(a_point_message_is_its_value),
		cmocka_unit_test(a_bare_message_too),
		cmocka_unit_test(a_bool_is_a_switch),
		cmocka_unit_test(a_number_has_its_range),
		cmocka_unit_test(names_are_a_select_and_texts_a_text),
		cmocka_unit_test(an_action_is_a_button),
		cmocka_unit_test(what_is_not_read_has_no_state),
		cmocka_unit_test(commands_take_what_is_told),
		cmocka_unit_test(words_are_told_once_each),
		cmocka_unit_test(topics_are_told_apart),
		cmocka_unit_test(nobody_is_told_where_it_is_off),
		cmocka_unit_test(maps_that_ship_are_right),
		cmocka_unit_test(lists_are_kept_once),
		cmocka_unit_test(a_catalog_knows_what_is_only_written),
	};

	return cmocka_run_group_tests(tests, read_allowed, forget_allowed);
}
