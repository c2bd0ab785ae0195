/* SPDX-License-Identifier: Apache-2.0 */
/* point.c - one point's line of YAML, with the map's defaults under it. */
#include "config/point.h"

#include "base/units.h"
#include "config/coding.h"
#include "config/meaning.h"
#include "config/writing.h"

#include <string.h>

#define DEFAULT_EVERY (10 * USEC_PER_SEC)

/* --- defaults --- */

void point_defaults_init(struct point_defaults *defaults, enum driver_kind kind)
{
	*defaults = (struct point_defaults){
		.kind = kind,
		.point = {
			.table = TABLE_HOLDING,
			.type = coding_is_written(kind) ? TYPE_NUMBER : TYPE_U16,
			.scale = 1,
			.every_us = DEFAULT_EVERY,
		},
	};
}

void point_defaults_free(struct point_defaults *defaults)
{
	free(defaults->point.unit);
	free(defaults->point.class);
}

/* A default order may be of another length than the default type. */
static void read_default_order(struct schema *schema, const struct yaml_node *node,
			       void *data)
{
	struct point_defaults *defaults = data;
	size_t size = node->kind == YAML_SCALAR ? strlen(node->text) : 0;
	uint8_t order[8];

	if ((size == 2 || size == 4 || size == 8) && coding_parse_order(node->text, size, order))
		defaults->order = node;
	else
		schema_fault(schema, node, "an order is AB, ABCD or ABCDEFGH, or the same "
					   "letters otherwise");
}

void point_defaults_read(struct schema *schema, const struct yaml_node *node,
			 struct point_defaults *defaults)
{
	const struct schema_key *meaning = meaning_keys();
	const struct schema_key *coding = coding_keys(defaults->kind);
	const struct schema_key *const tables[] = {coding, meaning, NULL};
	const struct yaml_node *order;

	if (!schema_is_map(schema, node, "defaults"))
		return;
	schema_take(schema, node, "defaults", coding, &defaults->point);
	schema_take(schema, node, "defaults", meaning, &defaults->point);
	schema_known(schema, node, "defaults", tables);
	if (coding_is_written(defaults->kind))
		return;
	order = yaml_get(node, "order");
	if (order)
		read_default_order(schema, order, defaults);
	coding_check_nan(schema, node, NULL, &defaults->point);
	defaults->point.has_nan = false;
	defaults->nan = yaml_get(node, "nan");
}

/* --- lines --- */

/* A line while it is read. */
struct line {
	struct point *point;
	const struct yaml_node *node;
	unsigned base; /* what addresses are counted from */
	enum driver_kind kind;
	struct locator *locator; /* NULL: a device's own line */
};

static void read_addr(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;
	int64_t addr;

	if (schema_integer(schema, node, line->base, UINT16_MAX + line->base, &addr))
		line->point->addr = addr - line->base;
}

static void read_write(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct line *line = data;

	writing_read(schema, node, line->kind, line->locator, line->point);
}

static void check_in_frame(struct schema *schema, const struct line *line,
			   const struct framing *framing)
{
	const struct point *point = line->point;
	size_t end = point->locator->at + point_size(point);
	size_t most = framing->length ? framing->length : FRAME_MAX_LENGTH;

	if (framing->count.size)
		most = framing->count.most;
	if (end > most && point_is_read(point))
		schema_fault(schema, line->node,
			     "reaches to byte %zu, but the frame has %zu at most", end, most);
}

/* The hemisphere stands in the field behind. */
static void check_degrees(struct schema *schema, const struct line *line,
			  enum driver_kind kind)
{
	const struct point *point = line->point;

	if (point->type == TYPE_DEGREES &&
	    (kind != DRIVER_TEXT || point->locator->how != LOCATE_FIELD))
		schema_fault(schema, line->node, "degrees are for points with `field:`");
}

static void check_line(struct schema *schema, const struct line *line,
		       const struct point_defaults *defaults, const struct framing *framing)
{
	if (defaults->kind == DRIVER_FRAME)
		check_in_frame(schema, line, framing);
	if (coding_is_written(defaults->kind))
		check_degrees(schema, line, defaults->kind);
	else
		coding_check(schema, line->node, defaults, line->point);
	meaning_check(schema, line->node, line->point);
	writing_check(schema, yaml_get(line->node, "write"), framing, line->point);
}

/* Names that stand beside the points in topics and payloads and would be taken for them. */
static void check_name(struct schema *schema, const struct yaml_node *node)
{
	static const char *const taken[] = {"time", "seq", "availability"};

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		if (!strcmp(node->text, taken[i]))
			schema_fault(schema, node,
				     "a point cannot be called '%s': the gateway publishes "
				     "its own %s beside it",
				     taken[i], taken[i]);
	}
}

static void read_line(struct schema *schema, const struct point_defaults *defaults,
		      const struct framing *framing, struct locator *locator, struct line *line)
{
	static const struct schema_key of_all[] = {KEY("values", NULL), LAST_KEY};
	static const struct schema_key of_modbus[] = {
		NEEDED("addr", read_addr), KEY("bits", NULL), KEY("write", read_write), LAST_KEY,
	};
	static const struct schema_key of_frame[] = {
		KEY("bits", NULL), KEY("write", read_write), LAST_KEY,
	};
	static const struct schema_key of_text[] = {KEY("write", read_write), LAST_KEY};
	static const struct schema_key none[] = {LAST_KEY};
	enum driver_kind kind = defaults->kind;
	const struct schema_key *coding = coding_keys(kind), *meaning = meaning_keys();
	const struct schema_key *own = kind == DRIVER_MODBUS  ? of_modbus
				       : kind == DRIVER_FRAME ? of_frame
				       : kind == DRIVER_TEXT  ? of_text
							      : none;
	const struct schema_key *const tables[] = {
		coding, own, locator_keys(kind), meaning, of_all, NULL,
	};

	if (!schema_is_map(schema, line->node, "a point"))
		return;
	schema_take(schema, line->node, "a point", coding, line->point);
	schema_take(schema, line->node, "a point", own, line);
	locator_read(schema, line->node, kind, framing, locator);
	schema_take(schema, line->node, "a point", meaning, line->point);
	schema_known(schema, line->node, "a point", tables);
	check_line(schema, line, defaults, framing);
}

void point_read(struct schema *schema, const struct yaml_node *name,
		const struct yaml_node *node, const struct point_defaults *defaults,
		const struct framing *framing, struct locator *locator, struct point *point)
{
	struct line line = {
		.point = point,
		.node = node,
		.base = defaults->base,
		.kind = defaults->kind,
		.locator = locator,
	};

	*point = defaults->point;
	point->locator = defaults->kind == DRIVER_MODBUS ? NULL : locator;
	point->unit = point->class = NULL;
	point->line = name->line;
	point->column = name->column;
	if (!schema_copy(schema, defaults->point.unit, &point->unit) ||
	    !schema_copy(schema, defaults->point.class, &point->class))
		return;
	if (schema_name(schema, name, &point->name))
		check_name(schema, name);
	read_line(schema, defaults, framing, locator, &line);
}

int point_override(struct point *point, const char *file, const struct yaml_node *node,
		   struct faults *faults)
{
	static const struct schema_key own[] = {
		KEY("values", NULL), KEY("write", read_write), LAST_KEY,
	};
	const struct schema_key *const tables[] = {meaning_keys(), own, NULL};
	const char *const what = "a device's own point";
	struct schema schema = {.file = file, .faults = faults};
	struct line line = {
		.point = point,
		.node = node,
		.kind = point->locator ? DRIVER_TEXT : DRIVER_MODBUS,
	};

	if (!schema_is_map(&schema, node, what))
		return schema.error;
	schema_take(&schema, node, what, meaning_keys(), point);
	schema_take(&schema, node, what, own, &line);
	schema_known(&schema, node, what, tables);
	meaning_check(&schema, node, point);
	writing_check(&schema, yaml_get(node, "write"), NULL, point);
	return schema.error;
}
