/* SPDX-License-Identifier: Apache-2.0 */
/* bus_config.c - what hangs on one port, as read from buses.d/NAME.yaml. */
#include "config/bus_config.h"

#include "base/units.h"
#include "config/port_spec.h"
#include "config/schema.h"
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
	DEFAULT_BAUD = 9600,
	DEFAULT_RETRIES = 2,
	RETRIES_MOST = 10,
	DEFAULT_COMMAND_RATE = 10,
};

#define COMMAND_RATE_LEAST 0.01
#define COMMAND_RATE_MOST 1000.0

#define DEFAULT_TIMEOUT (300 * USEC_PER_MSEC)
#define TURN_MOST (100 * USEC_PER_MSEC)
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

/* A bus file while it is read. */
struct reading_bus {
	struct bus_config *bus;
	struct map_library *library;
	struct item *item;
};

unsigned serial_format_bits(struct serial_format format)
{
	return 1 + format.data_bits + (format.parity != 'N') + format.stop_bits;
}

void bus_config_free(struct bus_config *bus)
{
	if (!bus)
		return;
	for (size_t i = 0; i < bus->device_count; i++) {
		struct device_config *device = &bus->devices[i];

		device_map_free((struct device_map *)device->map);
		points_free(device->points, device->point_count);
		free(device->name);
		free(device->topic);
	}
	free(bus->devices);
	free(bus->name);
	free(bus->file);
	free(bus->port);
	free(bus);
}

bool bus_config_is_same(const struct bus_config *a, const struct bus_config *b)
{
	/* What is said of a device's name and address is in the digest. */
	if (a->digest != b->digest || a->device_count != b->device_count)
		return false;
	for (size_t i = 0; i < a->device_count; i++)
		if (a->devices[i].map->digest != b->devices[i].map->digest)
			return false;
	return true;
}

/* --- the port --- */

static void read_name(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_name(schema, node, &((struct reading_bus *)data)->bus->name);
}

static void read_port(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct bus_config *bus = ((struct reading_bus *)data)->bus;
	const char *wrong;

	if (!schema_text(schema, node, TEXT_MAX_LENGTH, &bus->port))
		return;
	wrong = port_spec_check(bus->port);
	if (wrong)
		schema_fault(schema, node, "'%.64s' is no port: %s", bus->port, wrong);
}

static void read_baud(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t baud;

	if (schema_integer(schema, node, 110, 4000000, &baud))
		((struct reading_bus *)data)->bus->baud = baud;
}

static void read_format(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_format(schema, node, &((struct reading_bus *)data)->bus->format);
}

static void read_timeout(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, USEC_PER_MSEC, 60 * USEC_PER_SEC,
			&((struct reading_bus *)data)->bus->timeout_us);
}

static void read_retries(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t retries;

	if (schema_integer(schema, node, 0, RETRIES_MOST, &retries))
		((struct reading_bus *)data)->bus->retries = retries;
}

static void read_bus_commands(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_bool(schema, node, &((struct reading_bus *)data)->bus->commands);
}

static void read_rate(struct schema *schema, const struct yaml_node *node, double *rate)
{
	double number;

	if (!schema_number(schema, node, &number))
		return;
	if (number < COMMAND_RATE_LEAST || number > COMMAND_RATE_MOST)
		schema_fault(schema, node, "%s commands a second: %g to %g can be", node->text,
			     COMMAND_RATE_LEAST, COMMAND_RATE_MOST);
	else
		*rate = number;
}

static void read_bus_rate(struct schema *schema, const struct yaml_node *node, void *data)
{
	read_rate(schema, node, &((struct reading_bus *)data)->bus->command_rate);
}

static void read_mode(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const char *const names[] = {
		[RS485_AUTO] = "auto", [RS485_KERNEL] = "kernel",
		[RS485_RTS] = "rts",   [RS485_NONE] = "none",
		NULL,
	};
	unsigned index;

	if (schema_word(schema, node, "a mode", names, &index))
		((struct bus_config *)data)->rs485 = index;
}

static void read_echo(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_bool(schema, node, &((struct bus_config *)data)->echo);
}

static void read_before(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, 0, TURN_MOST, &((struct bus_config *)data)->rts_before_us);
}

static void read_after(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_duration(schema, node, 0, TURN_MOST, &((struct bus_config *)data)->rts_after_us);
}

static void read_rs485(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		KEY("mode", read_mode),
		KEY("echo", read_echo),
		KEY("before", read_before),
		KEY("after", read_after),
		LAST_KEY,
	};

	schema_map(schema, node, "rs485", keys, ((struct reading_bus *)data)->bus);
}

/* --- one item of devices --- */

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
	read_rate(schema, node, &((struct reading_bus *)data)->item->command_rate);
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

static void read_devices(struct schema *schema, const struct yaml_node *node, void *data)
{
	if (node->kind == YAML_LIST)
		schema_each(schema, node, ITEMS_MAX, read_item, data);
	else
		schema_fault(schema, node, "devices are a list of {name: …, map: …}");
}

/* --- the whole --- */

/*
 * What speaks unasked would be heard in the midst of another's answer; devices that are asked
 * share a port where their frames have an address, and are all of one kind.
 */
static void check_together(struct schema *schema, const struct yaml_node *root,
			   const struct bus_config *bus)
{
	const struct yaml_node *devices = yaml_get(root, "devices");

	for (size_t i = 0; devices && bus->device_count > 1 && i < bus->device_count; i++) {
		const struct device_map *map = bus->devices[i].map;

		if (map->kind == DRIVER_MODBUS && bus->devices[0].map->kind == DRIVER_MODBUS)
			continue;
		if (map->kind == bus->devices[0].map->kind && map->framing.request.count &&
		    framing_has_address(&map->framing))
			continue;
		schema_fault(schema, devices,
			     "%s needs a port of its own: its map %s %s", bus->devices[i].name,
			     map->name,
			     map->kind == DRIVER_MODBUS		  ? "is Modbus, others are not"
			     : map->framing.request.count == 0	  ? "speaks unasked"
			     : !framing_has_address(&map->framing) ? "has no address"
								   : "is of another driver");
		return;
	}
}

void bus_config_fill_in(struct bus_config *bus)
{
	const struct device_map *map = bus->device_count ? bus->devices[0].map : NULL;

	if (!bus->baud)
		bus->baud = map && map->baud_count ? map->bauds[0] : DEFAULT_BAUD;
	if (!bus->format.data_bits)
		bus->format = map && map->format_count ? map->formats[0]
						       : (struct serial_format){8, 'N', 1};
}

/* What the bus says holds for its devices: where it wants no commands, none is written. */
static void settle_commands(struct bus_config *bus)
{
	for (size_t i = 0; i < bus->device_count; i++) {
		struct device_config *device = &bus->devices[i];

		device->commands = device->commands && bus->commands;
		if (!device->command_rate)
			device->command_rate = bus->command_rate;
		for (size_t j = 0; j < device->point_count && !device->commands; j++)
			device->points[j].writable = false;
	}
}

static int read_bus(struct schema *schema, const struct yaml_document *document,
		    struct map_library *library, struct bus_config *bus)
{
	static const struct schema_key keys[] = {
		NEEDED("bus", read_name),	  NEEDED("port", read_port),
		KEY("baud", read_baud),		  KEY("format", read_format),
		KEY("rs485", read_rs485),	  KEY("timeout", read_timeout),
		KEY("retries", read_retries),	  NEEDED("devices", read_devices),
		KEY("commands", read_bus_commands), KEY("command_rate", read_bus_rate),
		LAST_KEY,
	};
	struct reading_bus reading = {.bus = bus, .library = library};

	bus->timeout_us = DEFAULT_TIMEOUT;
	bus->retries = DEFAULT_RETRIES;
	bus->commands = true;
	bus->command_rate = DEFAULT_COMMAND_RATE;
	if (!schema_copy(schema, document->file, &bus->file))
		return -ENOMEM;
	schema_map(schema, document->root, "the bus", keys, &reading);
	check_together(schema, document->root, bus);
	settle_commands(bus);
	bus_config_fill_in(bus);
	return schema->error;
}

int bus_config_load(const char *file, struct map_library *library, struct bus_config **bus,
		    struct faults *faults)
{
	_cleanup_(yaml_document_freep) struct yaml_document *document = NULL;
	_cleanup_(bus_config_freep) struct bus_config *made = calloc(1, sizeof(*made));
	struct schema schema = {.file = file, .faults = faults};
	int r;

	if (!made)
		return -ENOMEM;
	/* A tree may be there beside its faults: what else is wrong is told at once. */
	schema.error = yaml_load(file, &document, faults);
	if (!document)
		return schema.error;
	r = read_bus(&schema, document, library, made);
	if (r < 0)
		return r;
	made->digest = yaml_digest(document->root);
	*bus = TAKE_PTR(made);
	return 0;
}
