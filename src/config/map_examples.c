/* SPDX-License-Identifier: Apache-2.0 */
/* map_examples.c - a map's examples: bytes on the wire, and the values that they mean. */
#include "config/map_examples.h"

#include <errno.h>
#include <string.h>

enum {
	EXAMPLES_MAX = 100,
	EXAMPLE_MAX_LENGTH = 4096, /* bytes of one */
};

/* A map's examples while they are read. */
struct reading_examples {
	struct device_map *map;
	struct example *example; /* the one that is read */
};

/*
 * Bytes in hexadecimal; where the device speaks text, that text, which people can read. Only
 * as much memory is kept as there is.
 */
static void read_bytes(struct schema *schema, const struct yaml_node *node,
		       const struct device_map *map, uint8_t **bytes, size_t *length)
{
	uint8_t buffer[EXAMPLE_MAX_LENGTH];
	bool hex = map->kind == DRIVER_MODBUS || map->kind == DRIVER_FRAME;
	bool right = hex ? schema_hex(schema, node, buffer, sizeof(buffer), length)
			 : schema_octets(schema, node, buffer, sizeof(buffer), length);

	if (!right)
		return;
	free(*bytes);
	*bytes = malloc(*length);
	if (*bytes)
		memcpy(*bytes, buffer, *length);
	else
		schema->error = -ENOMEM;
}

static void read_send(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_examples *reading = data;
	struct example *example = reading->example;

	read_bytes(schema, node, reading->map, &example->send, &example->send_length);
}

static void read_receive(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_examples *reading = data;
	struct example *example = reading->example;

	read_bytes(schema, node, reading->map, &example->receive, &example->receive_length);
}

static void unknown_point(struct schema *schema, const struct yaml_node *name,
			  const struct device_map *map)
{
	const char *meant = device_map_suggest(map, name->text);

	schema_fault(schema, name, "the map has no point '%.64s'%s%s%s", name->text,
		     meant ? ": did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
}

static void read_value(struct schema *schema, const struct yaml_node *name,
		       const struct yaml_node *node, struct reading_examples *reading)
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
	struct reading_examples *reading = data;

	if (node->kind != YAML_MAP || !node->count || node->count > MAP_MAX_POINTS) {
		schema_fault(schema, node,
			     "points are what the bytes mean, such as {voltage: 230.2}");
		return;
	}
	if (reading->example->values)
		return; /* an example of both kinds: that is told as its fault */
	reading->example->values = calloc(node->count, sizeof(*reading->example->values));
	if (!reading->example->values) {
		schema->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < node->count; i++)
		read_value(schema, node->keys[i], node->items[i], reading);
}

static void read_written(struct schema *schema, const struct yaml_node *node, void *data)
{
	((struct reading_examples *)data)->example->writes = true;
	read_values(schema, node, data);
}

static void read_example(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const struct schema_key keys[] = {
		KEY("send", read_send),
		KEY("receive", read_receive),
		KEY("points", read_values),
		KEY("write", read_written),
		LAST_KEY,
	};
	struct reading_examples *reading = data;
	struct device_map *map = reading->map;
	bool reads = yaml_get(node, "points"), writes = yaml_get(node, "write");

	reading->example = &map->examples[map->example_count++];
	reading->example->line = node->line;
	reading->example->column = node->column;
	schema_map(schema, node, "an example", keys, reading);
	if (node->kind == YAML_MAP && reads == writes)
		schema_fault(schema, node, "an example needs `points:` that are read, or "
					   "`write:`, one of them");
	if (node->kind == YAML_MAP && !yaml_get(node, writes ? "send" : "receive"))
		schema_fault(schema, node, "an example needs `%s:`", writes ? "send" : "receive");
}

void map_examples_read(struct schema *schema, const struct yaml_node *node,
		       struct device_map *map)
{
	struct reading_examples reading = {.map = map};

	map->examples = calloc(EXAMPLES_MAX, sizeof(*map->examples));
	if (map->examples)
		schema_each(schema, node, EXAMPLES_MAX, read_example, &reading);
	else
		schema->error = -ENOMEM;
}

void map_examples_free(struct device_map *map)
{
	for (size_t i = 0; i < map->example_count; i++) {
		struct example *example = &map->examples[i];

		for (size_t j = 0; j < example->value_count; j++)
			free(example->values[j].text);
		free(example->values);
		free(example->send);
		free(example->receive);
	}
	free(map->examples);
}
