/* SPDX-License-Identifier: Apache-2.0 */
/* device_map.c - what one model of sensor offers, as read from devices/MODEL.yaml. */
#include "config/device_map.h"

#include "config/point.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum {
	TEXT_MAX_LENGTH = 1024, /* of title and source */
	LIST_MAX = 16,          /* baud rates, formats */
	EXAMPLES_MAX = 100,
	FRAME_MAX_LENGTH = 1024, /* bytes of an example */
	BAUD_LEAST = 110,
	BAUD_MOST = 4000000,
	DEFAULT_BATCH = 60,
};

/* A map while it is read. */
struct reading_map {
	struct device_map *map;
	const char *const *driver_names;
	struct point_defaults defaults;
	struct example *example; /* the one that is read */
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

static bool is_bits(enum table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
}

size_t point_size(const struct point *point)
{
	if (is_bits(point->table))
		return 1;
	switch (point->type) {
	case TYPE_U32:
	case TYPE_I32:
	case TYPE_F32:
	case TYPE_BCD32:
		return 4;
	case TYPE_U64:
	case TYPE_I64:
	case TYPE_F64:
		return 8;
	case TYPE_STRING:
		return (point->length + 1) / 2 * 2;
	default:
		return 2;
	}
}

unsigned point_span(const struct point *point)
{
	return is_bits(point->table) ? 1 : point_size(point) / 2;
}

static void point_clear(struct point *point)
{
	free(point->name);
	free(point->unit);
	free(point->class);
	point_values_free(point);
}

static int point_copy(const struct point *from, struct point *to)
{
	*to = *from;
	to->name = from->name ? strdup(from->name) : NULL;
	to->unit = from->unit ? strdup(from->unit) : NULL;
	to->class = from->class ? strdup(from->class) : NULL;
	to->values = from->values ? calloc(from->value_count, sizeof(*to->values)) : NULL;
	to->value_count = to->values ? from->value_count : 0;
	if (!to->name != !from->name || !to->unit != !from->unit ||
	    !to->class != !from->class || !to->values != !from->values)
		return -ENOMEM;
	for (size_t i = 0; i < to->value_count; i++) {
		to->values[i].value = from->values[i].value;
		to->values[i].name = strdup(from->values[i].name);
		if (!to->values[i].name)
			return -ENOMEM;
	}
	return 0;
}

struct point *points_copy(const struct point *points, size_t count)
{
	struct point *copy = calloc(count, sizeof(*copy));

	for (size_t i = 0; copy && i < count; i++) {
		if (point_copy(&points[i], &copy[i]) < 0) {
			points_free(copy, count);
			return NULL;
		}
	}
	return copy;
}

void points_free(struct point *points, size_t count)
{
	for (size_t i = 0; points && i < count; i++)
		point_clear(&points[i]);
	free(points);
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

void device_map_free(struct device_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->example_count; i++) {
		struct example *example = &map->examples[i];

		for (size_t j = 0; j < example->value_count; j++)
			free(example->values[j].text);
		free(example->values);
		free(example->send);
		free(example->receive);
	}
	free(map->examples);
	points_free(map->points, map->point_count);
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

/* --- its points --- */

static void read_base(struct schema *schema, const struct yaml_node *node, void *data)
{
	int64_t base;

	if (schema_integer(schema, node, 0, 1, &base))
		((struct reading_map *)data)->defaults.base = base;
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
	if (!map->points) {
		schema->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		struct point *point = &map->points[map->point_count++];

		point_read(schema, node->keys[i], node->items[i], &reading->defaults, point);
		if (!is_bits(point->table) && point_span(point) > map->batch.registers)
			schema_fault(schema, node->items[i],
				     "takes %u registers, but batch.registers is %u",
				     point_span(point), map->batch.registers);
	}
}

/* --- its examples --- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return digit ? digit - digits : -1;
}

/* `01 04 00 0C`: bytes in hexadecimal, blanks between them. */
static void read_bytes(struct schema *schema, const struct yaml_node *node, uint8_t **bytes,
		       size_t *length)
{
	const char *text = node->kind == YAML_SCALAR ? node->text : "";
	size_t most = strlen(text) / 2;

	*bytes = most && most <= 2 * FRAME_MAX_LENGTH ? calloc(most, 1) : NULL;
	*length = 0;
	while (*bytes && *text) {
		int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || *length == FRAME_MAX_LENGTH)
			break;
		(*bytes)[(*length)++] = high << 4 | low;
		text += 2;
		text += strspn(text, " ");
	}
	if (!*length || *text)
		schema_fault(schema, node,
			     "expected at most %d bytes as they go over the wire, such as "
			     "\"01 04 00 0C\"%s%.16s%s",
			     FRAME_MAX_LENGTH, *text ? ", not '" : "", text, *text ? "'" : "");
}

static void read_send(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct example *example = ((struct reading_map *)data)->example;

	read_bytes(schema, node, &example->send, &example->send_length);
}

static void read_receive(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct example *example = ((struct reading_map *)data)->example;

	read_bytes(schema, node, &example->receive, &example->receive_length);
}

static void unknown_point(struct schema *schema, const struct yaml_node *name,
			  const struct device_map *map)
{
	const char *meant = device_map_suggest(map, name->text);

	schema_fault(schema, name, "the map has no point '%.64s'%s%s%s", name->text,
		     meant ? ": did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

static void read_value(struct schema *schema, const struct yaml_node *name,
		       const struct yaml_node *node, struct reading_map *reading)
{
	struct example *example = reading->example;
	struct example_value *value = &example->values[example->value_count];
	ssize_t point = device_map_find(reading->map, name->text);

	if (point < 0) {
		unknown_point(schema, name, reading->map);
		return;
	}
	if (!schema_text(schema, node, STRING_MAX_LENGTH, &value->text))
		return;
	value->point = point;
	value->line = node->line;
	value->column = node->column;
	example->value_count++;
}

static void read_values(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_map *reading = data;

	if (node->kind != YAML_MAP || !node->count || node->count > MAP_MAX_POINTS) {
		schema_fault(schema, node,
			     "points are what the bytes mean, such as {voltage: 230.2}");
		return;
	}
	reading->example->values = calloc(node->count, sizeof(*reading->example->values));
	if (!reading->example->values) {
		schema->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < node->count; i++)
		read_value(schema, node->keys[i], node->items[i], reading);
}

static void read_example(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		KEY("send", read_send),
		NEEDED("receive", read_receive),
		NEEDED("points", read_values),
		LAST_KEY,
	};
	struct reading_map *reading = data;
	struct device_map *map = reading->map;

	reading->example = &map->examples[map->example_count++];
	reading->example->line = node->line;
	reading->example->column = node->column;
	schema_map(schema, node, "an example", keys, reading);
}

static void read_examples(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct device_map *map = ((struct reading_map *)data)->map;

	map->examples = calloc(EXAMPLES_MAX, sizeof(*map->examples));
	if (map->examples)
		schema_each(schema, node, EXAMPLES_MAX, read_example, data);
	else
		schema->error = -ENOMEM;
}

/* --- the whole --- */

static int read_map(struct schema *schema, const struct yaml_document *document,
		    const char *const *driver_names, struct device_map *map)
{
	/* In this order: points stand on batch, base and defaults, examples on points. */
	static const struct schema_key keys[] = {
		NEEDED("map", read_name),
		KEY("version", read_version),
		KEY("title", read_title),
		KEY("source", read_source),
		NEEDED("driver", read_driver),
		KEY("serial", read_serial),
		KEY("batch", read_batch),
		KEY("base", read_base),
		KEY("defaults", read_defaults),
		NEEDED("points", read_points),
		KEY("examples", read_examples),
		LAST_KEY,
	};
	struct reading_map reading = {.map = map, .driver_names = driver_names};

	map->version = 1;
	map->batch.registers = DEFAULT_BATCH;
	if (!schema_copy(schema, document->file, &map->file))
		return -ENOMEM;
	point_defaults_init(&reading.defaults);
	schema_map(schema, document->root, "the map", keys, &reading);
	point_defaults_free(&reading.defaults);
	return schema->error;
}

/* `loaded` is what became of reading the YAML: a tree may be there beside its faults. */
static int make_map(int loaded, const struct yaml_document *document,
		    const char *const *driver_names, struct device_map **map,
		    struct faults *faults)
{
	_cleanup_(device_map_freep) struct device_map *made = calloc(1, sizeof(*made));
	struct schema schema = {.faults = faults, .error = loaded};
	int r;

	if (!document)
		return loaded;
	if (!made)
		return -ENOMEM;
	schema.file = document->file;
	r = read_map(&schema, document, driver_names, made);
	if (r < 0)
		return r;
	*map = TAKE_PTR(made);
	return 0;
}

int device_map_parse(const char *name, const char *text, size_t size,
		     const char *const *driver_names, struct device_map **map,
		     struct faults *faults)
{
	_cleanup_(yaml_document_freep) struct yaml_document *document = NULL;
	int r = yaml_parse(name, text, size, &document, faults);

	return make_map(r, document, driver_names, map, faults);
}

int device_map_load(const char *file, const char *const *driver_names,
		    struct device_map **map, struct faults *faults)
{
	_cleanup_(yaml_document_freep) struct yaml_document *document = NULL;
	int r = yaml_load(file, &document, faults);

	return make_map(r, document, driver_names, map, faults);
}
