/* SPDX-License-Identifier: Apache-2.0 */
/* device_map.c - what one model of sensor offers, as read from devices/MODEL.yaml. */
#include "config/device_map.h"

#include "config/extend.h"
#include "config/identity.h"
#include "config/map_examples.h"
#include "config/point.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
	TEXT_MAX_LENGTH = 1024, /* of title and source */
	LIST_MAX = 16,          /* baud rates, formats */
	BAUD_LEAST = 110,
	BAUD_MOST = 4000000,
	DEFAULT_BATCH = 60,
};

/* A map while it is read. */
struct reading_map {
	struct device_map *map;
	const char *const *driver_names;
	struct point_defaults defaults;
};

bool name_is_valid(const char *name)
{
	size_t length = 0;

	for (; name[length]; length++) {
		if (!isalnum((unsigned char)name[length]) && !strchr("-_.", name[length]))
			return false;
		if (length == NAME_MAX_LENGTH)
			return false;
	}
	return length > 0;
}

ssize_t device_map_find(const struct device_map *map, const char *name)
{
	for (size_t i = 0; i < map->point_count; i++) {
		/* A name that was no name is NULL until the map is refused. */
		if (map->points[i].name && !strcmp(map->points[i].name, name))
			return i;
	}
	return -ENOENT;
}

const char *device_map_suggest(const struct device_map *map, const char *name)
{
	const char *names[MAP_MAX_POINTS + 1] = {0};

	for (size_t i = 0; i < map->point_count; i++)
		names[i] = map->points[i].name ? map->points[i].name : "";
	return fault_suggest(name, names);
}

const struct device_map *device_map_share(const struct device_map *map)
{
	atomic_fetch_add(&((struct device_map *)map)->users, 1);
	return map;
}

void device_map_free(struct device_map *map)
{
	if (!map || atomic_fetch_sub(&map->users, 1) > 1)
		return;
	map_examples_free(map);
	for (size_t i = 0; map->locators && i < map->point_count; i++)
		locator_free(&map->locators[i]);
	free(map->locators);
	points_free(map->points, map->point_count);
	framing_free(&map->framing);
	identity_free(&map->identity);
	free(map->bauds);
	free(map->formats);
	free(map->name);
	free(map->file);
	free(map->title);
	free(map->source);
	free(map->driver);
	free(map);
}

/* --- what it says of itself --- */

/* The map's name is what bus files call it and where it is looked for: the file's. */
static void read_name(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct device_map *map = ((struct reading_map *)data)->map;
	const char *slash = strrchr(schema->file, '/');
	const char *base = slash ? slash + 1 : schema->file;
	size_t length = strlen(base);

	if (!schema_name(schema, node, &map->name))
		return;
	if (length > 5 && !strcmp(base + length - 5, ".yaml"))
		length -= 5;
	if (strlen(map->name) != length || strncmp(map->name, base, length))
		schema_fault(schema, node, "the map is called '%s', its file '%s': '%.*s'?",
			     map->name, base, (int)length, base);
}

static void read_version(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t version;

	if (schema_integer(schema, node, 1, 1000000, &version))
		((struct reading_map *)data)->map->version = version;
}

static void read_title(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, TEXT_MAX_LENGTH, &((struct reading_map *)data)->map->title);
}

static void read_source(struct schema *schema, const struct yaml_node *node, void *data)
{
	schema_text(schema, node, TEXT_MAX_LENGTH,
		    &((struct reading_map *)data)->map->source);
}

static void read_driver(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_map *reading = data;
	unsigned index;

	if (schema_word(schema, node, "a driver", reading->driver_names, &index))
		schema_copy(schema, reading->driver_names[index], &reading->map->driver);
}

/* --- how it is connected --- */

static void read_baud(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct device_map *map = data;
	int64_t baud;

	if (schema_integer(schema, node, BAUD_LEAST, BAUD_MOST, &baud))
		map->bauds[map->baud_count++] = baud;
}

static void read_bauds(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct device_map *map = data;

	map->bauds = calloc(LIST_MAX, sizeof(*map->bauds));
	if (map->bauds)
		schema_each(schema, node, LIST_MAX, read_baud, map);
	else
		schema->error = -ENOMEM;
}

static void read_format(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct device_map *map = data;

	if (schema_format(schema, node, &map->formats[map->format_count]))
		map->format_count++;
}

static void read_formats(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct device_map *map = data;

	map->formats = calloc(LIST_MAX, sizeof(*map->formats));
	if (map->formats)
		schema_each(schema, node, LIST_MAX, read_format, map);
	else
		schema->error = -ENOMEM;
}

static void read_address(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t address;

	if (schema_integer(schema, node, 1, 247, &address))
		((struct device_map *)data)->address = address;
}

static void read_serial(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		KEY("baud", read_bauds),
		KEY("format", read_formats),
		KEY("address", read_address),
		LAST_KEY,
	};

	schema_map(schema, node, "serial", keys, ((struct reading_map *)data)->map);
}

static void read_registers(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t registers;

	if (schema_integer(schema, node, 1, BATCH_MAX_REGISTERS, &registers))
		((struct batch *)data)->registers = registers;
}

static void read_gap(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t gap;

	if (schema_integer(schema, node, 0, BATCH_MAX_REGISTERS - 1, &gap))
		((struct batch *)data)->gap = gap;
}

static void read_batch(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		KEY("registers", read_registers),
		KEY("gap", read_gap),
		LAST_KEY,
	};

	schema_map(schema, node, "batch", keys, &((struct reading_map *)data)->map->batch);
}

/* --- its points and examples --- */

static void read_base(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t base;

	if (schema_integer(schema, node, 0, 1, &base))
		((struct reading_map *)data)->defaults.base = base;
}

static void read_identify(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_map *reading = data;

	identity_read(schema, node, reading->defaults.base, &reading->map->identity);
}

static void read_defaults(struct schema *schema, const struct yaml_node *node, void *data)
{
	point_defaults_read(schema, node, &((struct reading_map *)data)->defaults);
}

static void read_points(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_map *reading = data;
	struct device_map *map = reading->map;

	if (node->kind != YAML_MAP || !node->count || node->count > MAP_MAX_POINTS) {
		schema_fault(schema, node, "points are 1 to %d lines of `name: {addr: …}`",
			     MAP_MAX_POINTS);
		return;
	}
	map->points = calloc(node->count, sizeof(*map->points));
	map->locators = calloc(node->count, sizeof(*map->locators));
	if (!map->points || !map->locators) {
		schema->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		struct point *point = &map->points[map->point_count];
		struct locator *locator = &map->locators[map->point_count++];

		point_read(schema, node->keys[i], node->items[i], &reading->defaults,
			   &map->framing, locator, point);
		if (map->kind == DRIVER_MODBUS && !table_is_bits(point->table) &&
		    point_span(point) > map->batch.registers)
			schema_fault(schema, node->items[i],
				     "takes %u registers, but batch.registers is %u",
				     point_span(point), map->batch.registers);
	}
}

static void read_examples(struct schema *schema, const struct yaml_node *node, void *data)
{
	map_examples_read(schema, node, ((struct reading_map *)data)->map);
}

/* --- the whole --- */

/* What the map's keys are hangs on its driver; one that is not there is told of later. */
static enum driver_kind kind_of(const struct yaml_node *root)
{
	static const char *const names[] = {
		[DRIVER_TEXT] = "text",
		[DRIVER_FRAME] = "frame",
		[DRIVER_OBIS] = "obis",
		[DRIVER_VEDIRECT] = "vedirect",
	};
	const struct yaml_node *driver = yaml_get(root, "driver");

	for (unsigned i = DRIVER_TEXT; driver && driver->text && i < ARRAY_SIZE(names); i++) {
		if (!strcmp(driver->text, names[i]))
			return i;
	}
	return DRIVER_MODBUS;
}

static void read_keys(struct schema *schema, const struct yaml_node *root,
		      struct reading_map *reading)
{
	/* In this order: points stand on what is before them, examples on points. */
	static const struct schema_key first[] = {
		NEEDED("map", read_name),
		KEY("extends", NULL),
		KEY("version", read_version),
		KEY("title", read_title),
		KEY("source", read_source),
		NEEDED("driver", read_driver),
		KEY("serial", read_serial),
		LAST_KEY,
	};
	static const struct schema_key of_modbus[] = {
		KEY("batch", read_batch),
		KEY("base", read_base),
		KEY("identify", read_identify),
		LAST_KEY,
	};
	static const struct schema_key last[] = {
		KEY("defaults", read_defaults),
		NEEDED("points", read_points),
		KEY("examples", read_examples),
		LAST_KEY,
	};
	enum driver_kind kind = reading->map->kind;
	const struct schema_key *own = kind == DRIVER_MODBUS ? of_modbus : framing_keys(kind);
	const struct schema_key *const tables[] = {first, own, last, NULL};

	schema_take(schema, root, "the map", first, reading);
	if (kind == DRIVER_MODBUS)
		schema_take(schema, root, "the map", of_modbus, reading);
	framing_read(schema, root, kind, &reading->map->framing);
	schema_take(schema, root, "the map", last, reading);
	schema_known(schema, root, "the map", tables);
}

static int read_map(struct schema *schema, const struct yaml_document *document,
		    const char *const *driver_names, struct device_map *map)
{
	struct reading_map reading = {.map = map, .driver_names = driver_names};

	map->version = 1;
	map->kind = kind_of(document->root);
	map->batch.registers = DEFAULT_BATCH;
	if (!schema_copy(schema, document->file, &map->file))
		return -ENOMEM;
	point_defaults_init(&reading.defaults, map->kind);
	read_keys(schema, document->root, &reading);
	point_defaults_free(&reading.defaults);
	return schema->error;
}

/* `loaded` is what became of reading the YAML: a tree may be there beside its faults. */
static int make_map(int loaded, struct yaml_document *document,
		    const char *const *directories, const char *const *driver_names,
		    struct device_map **map, struct faults *faults)
{
	_cleanup_(device_map_freep) struct device_map *made = calloc(1, sizeof(*made));
	struct schema schema = {.faults = faults, .error = loaded};
	int r;

	if (!made)
		return -ENOMEM;
	atomic_init(&made->users, 1);
	if (!document)
		return loaded;
	schema.file = document->file;
	/* Without what it extends, all that is missing would be told as its own faults. */
	r = extend(document, directories, faults);
	if (r < 0)
		return r;
	r = read_map(&schema, document, driver_names, made);
	if (r < 0)
		return r;
	made->digest = yaml_digest(document->root);
	*map = TAKE_PTR(made);
	return 0;
}

int device_map_parse(const char *name, const char *text, size_t size,
		     const char *const *driver_names, struct device_map **map,
		     struct faults *faults)
{
	static const char *const nowhere[] = {NULL};
	_cleanup_(yaml_document_freep) struct yaml_document *document = NULL;
	int loaded = yaml_parse(name, text, size, &document, faults);

	return make_map(loaded, document, nowhere, driver_names, map, faults);
}

int device_map_load_among(const char *file, const char *const *directories,
			  const char *const *driver_names, struct device_map **map,
			  struct faults *faults)
{
	_cleanup_(yaml_document_freep) struct yaml_document *document = NULL;
	int loaded = yaml_load(file, &document, faults);

	return make_map(loaded, document, directories, driver_names, map, faults);
}

int device_map_load(const char *file, const char *const *driver_names,
		    struct device_map **map, struct faults *faults)
{
	const char *slash = strrchr(file, '/');
	_cleanup_free_ char *beside = slash ? strndup(file, slash - file + 1) : strdup(".");
	const char *const directories[] = {beside, SYSCONFDIR "/postbus/devices", MAPDIR, NULL};

	if (!beside)
		return -ENOMEM;
	return device_map_load_among(file, directories, driver_names, map, faults);
}
