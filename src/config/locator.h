/* SPDX-License-Identifier: Apache-2.0 */
/* locator.h - where a point's value stands in a line, a frame or a telegram. */
#pragma once

#include "config/framing.h"
#include "config/pattern.h"

struct phrase;
struct schema_key;

enum locator_how {
	LOCATE_MATCH, /* the group of a regular expression */
	LOCATE_FIELD, /* N-th of a separated line */
	LOCATE_KEY,   /* behind a key */
	LOCATE_JSON,  /* where a JSON pointer points */
	LOCATE_NOWHERE, /* text, frame: it is only ever written */
};

struct locator {
	enum locator_how how;      /* text */
	struct pattern *match;
	uint16_t field;          /* from 1; in a sentence 0 is its name */
	char *sentence;          /* NMEA 0183: `GGA` of any talker, `GPGGA`, `PUBX`; NULL: any */
	char *key;               /* text, vedirect: the key; a JSON pointer; obis: the code */
	uint16_t at;             /* frame: the value's first byte, from 0 */
	uint8_t group;           /* obis: N-th ( ) of its line, from 1; 0: the last */
	char *nan;               /* text that stands for no value, NULL: none does */
	struct phrase *phrase;   /* how it is written (writing.h); NULL: it is not */
};

/* The keys of a point's line that say it, for maps of this kind. */
const struct schema_key *locator_keys(enum driver_kind kind);

/* Reads these keys of a point's line. `locator` begins as zeros, and is to be freed. */
void locator_read(struct schema *schema, const struct yaml_node *node, enum driver_kind kind,
		const struct framing *framing, struct locator *locator);
void locator_free(struct locator *locator);
