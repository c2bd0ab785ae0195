/* SPDX-License-Identifier: Apache-2.0 */
/* template.c - what is sent to a device that is not Modbus: bytes, and what is filled in. */
#include "config/template.h"

#include "config/schema.h"

#include <string.h>

bool template_has(const struct template *template, uint16_t item)
{
	for (size_t i = 0; i < template->count; i++) {
		if (template->items[i] == item)
			return true;
	}
	return false;
}

/* The word that stands here, such as {address}; its length, 0 for none. */
static size_t placeholder(const char *text, bool command, uint16_t *item)
{
	static const struct {
		const char *word;
		uint16_t item;
	} words[] = {{"{address}", FILL_ADDRESS},
		     {"{checksum}", FILL_CHECKSUM},
		     {"{value}", FILL_VALUE}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t length = strlen(words[i].word);

		if (words[i].item == FILL_VALUE && !command)
			continue;
		if (!strncmp(text, words[i].word, length)) {
			*item = words[i].item;
			return length;
		}
	}
	return 0;
}

static void add_item(struct template *template, uint16_t item, bool *fits)
{
	*fits = *fits && template->count < REQUEST_MAX_LENGTH;
	if (*fits)
		template->items[template->count++] = item;
}

void template_read_frame(struct schema *schema, const struct yaml_node *node,
			 bool command, struct template *template)
{
	const char *text = node->kind == YAML_SCALAR ? node->text : "";
	bool fits = true;

	while (*text && fits) {
		uint16_t item;
		uint8_t byte;
		size_t length = placeholder(text, command, &item);

		if (!length && parse_hex_byte(text, &byte)) {
			item = byte;
			length = 2;
		}
		if (!length)
			break;
		add_item(template, item, &fits);
		text += length;
		text += strspn(text, " ");
	}
	if (*text || !template->count)
		schema_fault(schema, node,
			     "expected at most %d bytes such as \"FF {address} 86 "
			     "{checksum}\"%s%.16s%s",
			     REQUEST_MAX_LENGTH, *text ? ", not '" : "", text,
			     *text ? "'" : "");
}

void template_read_text(struct schema *schema, const struct yaml_node *node, bool command,
			struct template *template)
{
	uint8_t bytes[REQUEST_MAX_LENGTH + 1] = {0};
	size_t length = 0, word;
	bool fits = true;

	if (!schema_octets(schema, node, bytes, REQUEST_MAX_LENGTH, &length))
		return;
	for (size_t i = 0; i < length; i += word ? word : 1) {
		uint16_t item = bytes[i];

		word = placeholder((const char *)bytes + i, command, &item);
		add_item(template, item, &fits);
	}
	if (template_has(template, FILL_CHECKSUM)) {
		schema_fault(schema, node, "{checksum} is for driver frame");
		template->count = 0;
	}
}
