/* SPDX-License-Identifier: Apache-2.0 */
/* bus_config.c - what hangs on one port, as read from buses.d/NAME.yaml. */
#include "config/bus_reading.h"

#include "base/units.h"
#include "config/port_spec.h"

#include <errno.h>
#include <string.h>

enum {
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

void bus_read_rate(struct schema *schema, const struct yaml_node *node, double *rate)
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
	bus_read_rate(schema, node, &((struct reading_bus *)data)->bus->command_rate);
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
		KEY("retries", read_retries),	  NEEDED("devices", bus_read_devices),
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
