/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - reads a YAML tree by tables of keys, and notes what does not fit with its place. */
#pragma once

#include "config/device_map.h"

struct schema {
	const char *file;
	struct faults *faults;
	int error; /* 0; -EINVAL once a fault was noted; -ENOMEM */
};

/* One key of a map, and what takes its value (NULL: known, and looked up elsewhere). */
struct schema_key {
	const char *name;
	void (*read)(struct schema *schema, const struct yaml_node *node, void *data);
	bool required;
};

#define KEY(name, read) {(name), (read), false}
#define NEEDED(name, read) {(name), (read), true}
#define LAST_KEY {NULL, NULL, false}

/* Notes a fault at the node's place. */
void schema_fault(struct schema *schema, const struct yaml_node *node, const char *format,
		  ...) _printf_(3, 4);

/*
 * Takes a map's values in the order of `keys` (ending with LAST_KEY); `what` names the
 * map in faults: a node that is no map, keys that it does not know, required ones missing.
 */
void schema_map(struct schema *schema, const struct yaml_node *node, const char *what,
		const struct schema_key *keys, void *data);

/* The parts of it, for maps whose keys come from several tables (ending with NULL). */
bool schema_is_map(struct schema *schema, const struct yaml_node *node, const char *what);
void schema_take(struct schema *schema, const struct yaml_node *node, const char *what,
		 const struct schema_key *keys, void *data);
void schema_known(struct schema *schema, const struct yaml_node *node, const char *what,
		  const struct schema_key *const *tables);

/* Calls `read` for each item of a list of 1 to `most`, or for a value that is no list. */
void schema_each(struct schema *schema, const struct yaml_node *node, size_t most,
		 void (*read)(struct schema *, const struct yaml_node *, void *), void *data);

/*
 * Each takes a scalar and returns whether it fits; otherwise the fault is noted and the
 * result left as it was. Texts replace (and free) the one that was there.
 */
bool schema_text(struct schema *schema, const struct yaml_node *node, size_t most,
		 char **text);
bool schema_name(struct schema *schema, const struct yaml_node *node, char **name);
bool schema_bool(struct schema *schema, const struct yaml_node *node, bool *value);
bool schema_integer(struct schema *schema, const struct yaml_node *node, int64_t least,
		    int64_t most, int64_t *value);
bool schema_number(struct schema *schema, const struct yaml_node *node, double *value);
bool schema_duration(struct schema *schema, const struct yaml_node *node, uint64_t least_us,
		     uint64_t most_us, uint64_t *usec);
/* Index of the word in `words` (ending with NULL); `what` is what the word is: "a type". */
bool schema_word(struct schema *schema, const struct yaml_node *node, const char *what,
		 const char *const *words, unsigned *index);

/* `8N1`: data bits, parity, stop bits. */
bool schema_format(struct schema *schema, const struct yaml_node *node,
		   struct serial_format *format);

/* `01 04 00 0C`: 1 to `most` bytes in hexadecimal, blanks between them. */
bool schema_hex(struct schema *schema, const struct yaml_node *node, uint8_t *bytes,
		size_t most, size_t *length);

/*
 * Text as it goes over the wire, at most `most` bytes: each character up to U+00FF is the
 * byte of that number, so that "\r\n" and "\xC2" in quotes are what they look like.
 */
bool schema_octets(struct schema *schema, const struct yaml_node *node, uint8_t *bytes,
		   size_t most, size_t *length);

/* A copy of a text that may be NULL, for the one that was there; false: memory is short. */
bool schema_copy(struct schema *schema, const char *from, char **text);

/*
 * A whole number, decimal or 0x and hexadecimal, with its sign apart. -EINVAL when the text
 * is none (a decimal number with a leading zero is none: it could be meant octal), -ERANGE.
 */
int parse_integer(const char *text, bool *negative, uint64_t *magnitude) _must_check_;

/* Two hexadecimal digits. */
bool parse_hex_byte(const char *text, uint8_t *byte);
