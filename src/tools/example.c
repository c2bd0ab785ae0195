// SPDX-License-Identifier: Apache-2.0
/* example.c - a map's worked examples, played through its driver. */
#include "tools/example.h"
#include "bridge/number.h"

#include <math.h>
#include <string.h>

/*
 * Whether the value is what the example says. Data sheets give floats that are one step off
 * (0x43663334 for 230.2, where 0x43663333 is nearer): that much is let pass, and no more.
 */
static bool is_as_told(const struct example_value *example, const struct value *value,
		       const struct text *printed)
{
	char *end;
	float told;

	if (strlen(example->text) == printed->length &&
	    !memcmp(example->text, printed->data, printed->length))
		return true;
	if (value->kind != VALUE_FLOAT)
		return false;
	told = strtof(example->text, &end);
	return !*end && nextafterf(told, (float)value->d) == (float)value->d;
}

void example_compare(const struct device_map *map, const struct example_value *example,
		     const struct value *value, struct faults *faults)
{
	char buffer[STRING_MAX_LENGTH + NUMBER_MAX_TEXT];
	struct text text = {.data = buffer, .size = sizeof(buffer)};

	number_print(value, &text);
	if (!is_as_told(example, value, &text))
		faults_add(faults, map->file, example->line, example->column,
			   "%s should be %s, but the example's bytes say %.*s",
			   map->points[example->point].name, example->text, (int)text.length,
			   buffer);
}

static void check_request(const struct device_map *map, const struct example *example,
			  const struct driver *driver, struct faults *faults)
{
	uint8_t frame[FRAME_MAX];
	size_t n;

	if (!example->send)
		return;
	n = driver->ask(map, map->address, frame);
	if (n != example->send_length || memcmp(frame, example->send, n))
		faults_add(faults, map->file, example->line, example->column,
			   n ? "send is not the map's `request:`"
			     : "send: but the map has no `request:`");
}

/* Puts the unit's values where their points are; `known` says which ever came. */
static void take_values(const struct device_map *map, const struct driver *driver,
			const struct chunk *chunk, struct reading *readings,
			struct reading *known)
{
	size_t count = driver->values(map, map->points, map->point_count, chunk->unit,
				      chunk->length, readings);

	for (size_t i = 0; i < count; i++)
		known[readings[i].point] = (struct reading){.point = 1, .value = readings[i].value};
}

/* What is wrong with the bytes, NULL: nothing. */
static const char *take_units(const struct device_map *map, const struct example *example,
			      const struct driver *driver, struct reading *readings,
			      struct reading *known)
{
	const uint8_t *bytes = example->receive;
	size_t n = example->receive_length;

	while (n) {
		struct chunk chunk = driver->next(map, map->address, bytes, n);

		if (chunk.status == REPLY_MORE)
			return "it is cut short";
		if (chunk.status != REPLY_OK)
			return reply_status_name(chunk.status);
		take_values(map, driver, &chunk, readings, known);
		bytes += chunk.used;
		n -= chunk.used;
	}
	return NULL;
}

void example_play_stream(const struct device_map *map, const struct example *example,
			 const struct driver *driver, struct faults *faults)
{
	_cleanup_free_ struct reading *readings = calloc(map->point_count, sizeof(*readings));
	_cleanup_free_ struct reading *known = calloc(map->point_count, sizeof(*known));
	const char *wrong = "out of memory";

	if (readings && known)
		wrong = take_units(map, example, driver, readings, known);
	if (wrong) {
		faults_add(faults, map->file, example->line, example->column,
			   "receive is not what the map's driver knows: %s", wrong);
		return;
	}
	check_request(map, example, driver, faults);
	for (size_t i = 0; i < example->value_count; i++) {
		const struct example_value *value = &example->values[i];

		if (known[value->point].point)
			example_compare(map, value, &known[value->point].value, faults);
		else
			faults_add(faults, map->file, value->line, value->column,
				   "%s is not in the example's bytes",
				   map->points[value->point].name);
	}
}
