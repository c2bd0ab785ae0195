/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - by which register a device says what model it is: a map's `identify:`. */
#include "config/identity.h"

#include <string.h>

struct reading_identity {
	struct identity *identity;
	unsigned base;
};

static void read_table(struct schema *schema, const struct yaml_node *node, void *data)
{
	static const enum table tables[] = {TABLE_HOLDING, TABLE_INPUT};
	static const char *const names[] = {"holding", "input", NULL};
	struct reading_identity *reading = data;
	unsigned index;

	if (schema_word(schema, node, "a table of registers", names, &index))
		reading->identity->table = tables[index];
}

static void read_addr(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct reading_identity *reading = data;
	int64_t addr;

	if (schema_integer(schema, node, reading->base, UINT16_MAX, &addr))
		reading->identity->addr = (uint16_t)(addr - reading->base);
}

static void read_code(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct identity *identity = data;
	int64_t code;

	if (schema_integer(schema, node, 0, UINT16_MAX, &code))
		identity->codes[identity->code_count++] = (uint16_t)code;
}

/* What is in quotes is a text, whatever it looks like. */
static void read_is(struct schema *schema, const struct yaml_node *node, void *data)
{
	struct identity *identity = ((struct reading_identity *)data)->identity;

	if (node->kind == YAML_SCALAR && node->quoted)
		schema_text(schema, node, STRING_MAX_LENGTH, &identity->text);
	else
		schema_each(schema, node, IDENTITY_CODES_MAX, read_code, identity);
}

void identity_read(struct schema *schema, const struct yaml_node *node, unsigned base,
		   struct identity *identity)
{
	static const struct schema_key keys[] = {
		KEY("table", read_table),
		NEEDED("addr", read_addr),
		NEEDED("is", read_is),
		LAST_KEY,
	};
	struct reading_identity reading = {identity, base};

	identity->table = TABLE_HOLDING;
	schema_map(schema, node, "identify", keys, &reading);
}

void identity_free(struct identity *identity)
{
	free(identity->text);
}

uint16_t identity_registers(const struct identity *identity)
{
	if (identity->text)
		return (uint16_t)((strlen(identity->text) + 1) / 2);
	return identity->code_count > 0;
}

bool identity_fits(const struct identity *identity, const uint8_t *data, size_t n)
{
	if (n < 2u * identity_registers(identity))
		return false;
	if (identity->text)
		return !memcmp(data, identity->text, strlen(identity->text));
	for (size_t i = 0; i < identity->code_count; i++)
		if ((data[0] << 8 | data[1]) == identity->codes[i])
			return true;
	return false;
}

void identity_fill(const struct identity *identity, uint8_t *data)
{
	memset(data, 0, 2u * identity_registers(identity));
	if (identity->text) {
		memcpy(data, identity->text, strlen(identity->text));
	} else {
		data[0] = (uint8_t)(identity->codes[0] >> 8);
		data[1] = (uint8_t)identity->codes[0];
	}
}
