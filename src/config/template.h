/* SPDX-License-Identifier: Apache-2.0 */
/* template.h - what is sent to a device that is not Modbus: bytes, and what is filled in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schema;
struct yaml_node;

enum { REQUEST_MAX_LENGTH = 64 }; /* items of a template */

/* What is filled in when it is sent. */
enum {
	FILL_ADDRESS = 0x100,
	FILL_CHECKSUM,
	FILL_VALUE, /* of commands alone: what is to be written */
};

struct template
{
	uint16_t items[REQUEST_MAX_LENGTH]; /* a byte, or one of the above */
	size_t count;                       /* 0: there is none */
};

/* Whether it has the item. */
bool template_has(const struct template *template, uint16_t item);

/*
 * Reads one, `FF {address} 86 {checksum}` for frames and `R{address}\r` for text, in whose
 * place a command may have {value}. Faults are noted.
 */
void template_read_frame(struct schema *schema, const struct yaml_node *node,
			 bool command, struct template *template);
void template_read_text(struct schema *schema, const struct yaml_node *node, bool command,
			struct template *template);
