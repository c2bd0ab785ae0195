/* SPDX-License-Identifier: Apache-2.0 */
/* identity.h - by which register a device says what model it is: a map's `identify:`. */
#pragma once

#include "config/schema.h"

/*
 * Reads `{table: holding, addr: 0xFC02, is: 0x20}` or with a list of numbers, or with a text
 * that stands in as many registers as it is long; addresses are counted from `base`.
 */
void identity_read(struct schema *schema, const struct yaml_node *node, unsigned base,
		   struct identity *identity);
void identity_free(struct identity *identity);

/* Registers that it takes; 0: the map does not say how to identify its model. */
uint16_t identity_registers(const struct identity *identity);

/* Whether these are the registers' contents, as on the wire, of the model. */
bool identity_fits(const struct identity *identity, const uint8_t *data, size_t n);

/* Writes what the model says, for simulation. */
void identity_fill(const struct identity *identity, uint8_t *data);
