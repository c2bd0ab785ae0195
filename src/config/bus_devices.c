/* SPDX-License-Identifier: Apache-2.0 */
/* bus_devices.c - the devices of a bus file: one item may become many of them. */
#include "config/bus_reading.h"

#include "base/units.h"
#include "config/topic.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
	ADDRESS_LEAST = 1, /* 0 is the broadcast, above 247 is reserved */
	ADDRESS_MOST = 247,
	ITEMS_MAX = 247,
	TEXT_MAX_LENGTH = 512,
};

#define EVERY_LEAST (1 * USEC_PER_MSEC)
#define EVERY_MOST (366 * 86400 * USEC_PER_SEC)

/* One item of `devices:`, which may become many devices. */
struct item {
	const struct yaml_node *node;
	const struct device_map *map;
	char *name, *topic; /* the name may hold {address} */
	bool full;
	uint64_t every_us; /* 0: the map's */
	bool commands;
	double command_rate; /* 0: the bus's */
	uint8_t addresses[ADDRESS_MOST];
	size_t address_count;
};

/* --- one item --- */

static void read_item_name(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, TEXT_MAX_LENGTH, &((struct reading_bus *)data)->item->name);
}

static void read_map(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_bus *reading = data;
	_cleanup_free_ char *name = NULL, *meant = NULL;
	int r;

	if (!schema_name(schema, node, &name))
		return;
	r = map_library_get(reading->library, name, &reading->item->map, &meant,
			    schema->faults);
	if (r == -ENOENT)
		schema_fault(schema, node, "there is no map '%s'%s%s%s", name,
			     meant ? ": did you mean '" : " in the directories of `maps`",
			     meant ? meant : "", meant ? "'?" : "");
	else if (r < 0 && schema->error != -ENOMEM)
		schema->error = r; /* the map's own faults are noted where they are */
}

static void read_every(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, EVERY_LEAST, EVERY_MOST,
			&((struct reading_bus *)data)->item->every_us);
}

static void read_topic(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct item *item = ((struct reading_bus *)data)->item;
	const char *wrong;

	if (!schema_text(schema, node, TEXT_MAX_LENGTH, &item->topic))
		return;
	wrong = topic_check(item->topic);
	if (wrong)
		schema_fault(schema, node, "not a topic: %s", wrong);
}

static void read_full(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_bool(schema, node, &((struct reading_bus *)data)->item->full);
}

static void read_commands(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_bool(schema, node, &((struct reading_bus *)data)->item->commands);
}

static void read_device_rate(struct schema *schema, const struct yaml_node *node, void *data)
{
	bus_read_rate(schema, node, &((struct reading_bus *)data)->item->command_rate);
}

/* `7`, or `20-24` for each of them. */
static void read_address(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct item *item = ((struct reading_bus *)data)->item;
	unsigned first = 0, last = 0;
	int end = 0;

	if (node->kind == YAML_SCALAR && strlen(node->text) < 8 &&
	    isdigit((unsigned char)node->text[0])) {
		if (sscanf(node->text, "%3u-%3u%n", &first, &last, &end) < 2) {
			sscanf(node->text, "%3u%n", &first, &end);
			last = first;
		}
	}
	if (!end || node->text[end] || first < ADDRESS_LEAST || last > ADDRESS_MOST ||
	    first > last) {
		schema_fault(schema, node,
			     "%s%.32s is not an address from %d to %d, nor a range such as "
			     "20-24",
			     node->kind == YAML_SCALAR ? "" : "this",
			     node->kind == YAML_SCALAR ? node->text : "", ADDRESS_LEAST,
			     ADDRESS_MOST);
		return;
	}
	for (unsigned address = first; address <= last; address++) {
		if (item->address_count < ADDRESS_MOST)
			item->addresses[item->address_count++] = address;
	}
}

static void read_addresses(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_each(schema, node, ITEMS_MAX, read_address, data);
}

/* --- an item to its devices --- */

/* The device's name: the item's, with {address} in its place. Freed by the caller. */
static char *device_name(const struct item *item, uint8_t address)
{
	static const char place[] = "{address}";
	const char *at = strstr(item->name, place);
	char *name;

	if (!at)
		return strdup(item->name);
	if (asprintf(&name, "%.*s%u%s", (int)(at - item->name), item->name, address,
		     at + sizeof(place) - 1) < 0)
		return NULL;
	return name;
}

static void unknown_point(struct schema *schema, const struct yaml_node *name,
			  const struct device_map *map)
{
	const char *meant = device_map_suggest(map, name->text);

	schema_fault(schema, name, "map %s has no point '%.64s'%s%s%s", map->name, name->text,
		     meant ? ": did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

/* The device's own `every:` for all of its points, then what it says of single ones. */
static void override_points(struct schema *schema, const struct item *item,
			    struct device_config *device)
{
	const struct yaml_node *points = yaml_get(item->node, "points");

	for (size_t i = 0; item->every_us && i < device->point_count; i++)
		device->points[i].every_us = item->every_us;
	if (!points)
		return;
	if (points->kind != YAML_MAP) {
		schema_fault(schema, points, "points are such as {voltage: {every: 1s}}");
		return;
	}
	for (size_t i = 0; i < points->count && i < MAP_MAX_POINTS; i++) {
		ssize_t index = device_map_find(item->map, points->keys[i]->text);
		int r;

		if (index < 0) {
			unknown_point(schema, points->keys[i], item->map);
			continue;
		}
		r = point_override(&device->points[index], schema->file, points->items[i],
				   schema->faults);
		device->points[index].line = points->keys[i]->line;
		device->points[index].column = points->keys[i]->column;
		if (r < 0)
			schema->error = r;
	}
}

/*
 * A device's topic is beside the gateway's own ones: {gateway}/status and {gateway}/loss,
 * unless it has another topic.
 */
static void check_name(struct schema *schema, const struct device_config *device,
		       const struct yaml_node *name)
{
	if (!name_is_valid(device->name))
		schema_fault(schema, name,
			     "'%.64s' cannot be a name: at most %d letters, digits, '-', "
			     "'_' and '.'",
			     device->name, NAME_MAX_LENGTH);
	else if (!strcmp(device->name, "status") || !strcmp(device->name, "loss"))
		schema_fault(schema, name,
			     "a device cannot be called '%s': the gateway publishes its own "
			     "%s there",
			     device->name, device->name);
}

static void add_device(struct schema *schema, struct bus_config *bus, struct item *item,
		       uint8_t address)
{
	const struct yaml_node *name = yaml_get(item->node, "name");
	struct device_config *device;

	device = reallocarray(bus->devices, bus->device_count + 1, sizeof(*device));
	if (!device) {
		schema->error = -ENOMEM;
		return;
	}
	bus->devices = device;
	device += bus->device_count++;
	*device = (struct device_config){
		.name = device_name(item, address),
		.map = device_map_share(item->map),
		.address = address,
		.full = item->full,
		.commands = item->commands,
		.command_rate = item->command_rate,
		.points = points_copy(item->map->points, item->map->point_count),
		.line = name->line,
		.column = name->column,
	};
	if (!device->name || !device->points) {
		schema->error = -ENOMEM;
		return;
	}
	device->point_count = item->map->point_count;
	if (!schema_copy(schema, item->topic, &device->topic))
		return;
	check_name(schema, device, name);
	override_points(schema, item, device);
}

/* Whether the item can become devices at all, and one for each address. */
static bool check_addresses(struct schema *schema, struct item *item)
{
	const struct yaml_node *name = yaml_get(item->node, "name");
	const struct yaml_node *address = yaml_get(item->node, "address");
	bool addressed = item->map->kind == DRIVER_MODBUS ||
			 framing_has_address(&item->map->framing);

	if (address && !addressed) {
		schema_fault(schema, address, "devices of map %s have no address",
			     item->map->name);
		return false;
	}
	if (!address && addressed && item->map->address)
		item->addresses[item->address_count++] = item->map->address;
	if (!address && addressed && !item->map->address) {
		schema_fault(schema, item->node, "the device needs `address:`, from %d to %d",
			     ADDRESS_LEAST, ADDRESS_MOST);
		return false;
	}
	if (!addressed)
		item->addresses[item->address_count++] = 0;
	if (item->address_count > 1 && !strstr(item->name, "{address}")) {
		schema_fault(schema, name,
			     "'%.64s' would name %zu devices: use \"%.64s-{address}\"",
			     item->name, item->address_count, item->name);
		return false;
	}
	return true;
}

static void check_address_free(struct schema *schema, const struct bus_config *bus,
			       const struct item *item, uint8_t address)
{
	const struct yaml_node *node = yaml_get(item->node, "address");

	for (size_t i = 0; address && i < bus->device_count; i++) {
		if (bus->devices[i].address == address)
			schema_fault(schema, node ? node : item->node,
				     "address %u is %s's already (line %u)", address,
				     bus->devices[i].name, bus->devices[i].line);
	}
}

static void read_item(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		NEEDED("name", read_item_name), NEEDED("map", read_map),
		KEY("address", read_addresses), KEY("every", read_every),
		KEY("topic", read_topic),	KEY("full", read_full),
		KEY("points", NULL),		KEY("commands", read_commands),
		KEY("command_rate", read_device_rate), LAST_KEY,
	};
	struct reading_bus *reading = data;
	struct item item = {.node = node, .commands = true};

	reading->item = &item;
	schema_map(schema, node, "a device", keys, reading);
	if (item.name && item.map && check_addresses(schema, &item)) {
		for (size_t i = 0; i < item.address_count; i++) {
			check_address_free(schema, reading->bus, &item, item.addresses[i]);
			if (reading->bus->device_count < ITEMS_MAX)
				add_device(schema, reading->bus, &item, item.addresses[i]);
		}
	}
	free(item.name);
	free(item.topic);
}

void bus_read_devices(struct schema *schema, const struct yaml_node *node, void *data)
{
	if (node->kind == YAML_LIST)
		schema_each(schema, node, ITEMS_MAX, read_item, data);
	else
		schema_fault(schema, node, "devices are a list of {name: …, map: …}");
}
