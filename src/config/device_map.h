/* SPDX-License-Identifier: Apache-2.0 */
/* device_map.h - what one model of sensor offers, as read from devices/MODEL.yaml. */
#pragma once

#include "config/framing.h"
#include "config/locator.h"
#include "config/yaml.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum table {
	TABLE_COIL,     /* function 1 */
	TABLE_DISCRETE, /* function 2 */
	TABLE_INPUT,    /* function 4 */
	TABLE_HOLDING,  /* function 3 */
};

enum value_type {
	TYPE_BOOL,
	TYPE_U8,
	TYPE_I8,
	TYPE_U16,
	TYPE_I16,
	TYPE_U32,
	TYPE_I32,
	TYPE_U64,
	TYPE_I64,
	TYPE_F32,
	TYPE_F64,
	TYPE_BCD16,
	TYPE_BCD32,
	TYPE_STRING,
	/* Values that are written as text have these, bool and string (of any length). */
	TYPE_NUMBER,
	TYPE_DEGREES, /* NMEA 0183: degrees and minutes in one, N, S, E or W in the next field */
};

enum {
	NAME_MAX_LENGTH = 64,     /* of gateways, buses, devices, points, maps */
	STRING_MAX_LENGTH = 64,   /* characters of string[N] */
	BATCH_MAX_REGISTERS = 125,
	BATCH_MAX_BITS = 2000,
	MAP_MAX_POINTS = 1000,
};

struct value_name {
	int64_t value;
	char *name;
};

/* A point's deadband: changes smaller than this are not published. */
struct deadband {
	double amount;
	bool percent; /* of the value last published */
};

/* What becomes of a command that was begun when the gateway died. */
enum on_crash {
	ON_CRASH_REPEAT, /* carried out again: to write it twice is to write it once */
	ON_CRASH_REPORT, /* told as uncertain */
};

/* A relay board's own pulse: function 5 to `addr`, with the time in units. */
struct flash {
	uint16_t addr;    /* on the wire, from 0 */
	uint64_t unit_us; /* 0: it has none */
};

struct point {
	char *name;
	unsigned line, column; /* where its map or its device's override names it */

	/* where it stands and how it is coded */
	const struct locator *locator; /* its map's, where that is not Modbus, else NULL */
	enum table table;
	uint16_t addr; /* on the wire, from 0 */
	enum value_type type;
	uint8_t length;   /* of string[N], in characters, else 0 */
	uint8_t order[8]; /* order[i]: which byte on the wire is the value's i-th byte,
	                     most significant first; identity for ABCD */
	uint8_t bit_low, bit_count; /* `bits: 4..6` is 4 and 3; count 0: all */
	bool has_nan;
	uint64_t nan; /* raw bits that mean "no value" */

	/* what the number means */
	double scale, offset;      /* value = raw * scale + offset; 1 and 0 by default */
	int8_t decimals;           /* decimal places that scale and offset have; 0 for 1 and 0 */
	struct value_name *values; /* sorted by value; NULL when none */
	size_t value_count;
	char *unit, *class; /* NULL where the map says none */
	bool total;         /* a counter that only grows */

	/* when it is read and published */
	uint64_t every_us;
	struct deadband deadband; /* amount 0: every reading is published */
	uint64_t max_silence_us;  /* 0: none */

	/* whether it can be written, and how (writing.h) */
	bool writable;
	bool has_write_min, has_write_max, has_write_step;
	double write_min, write_max, write_step; /* as the point shows it */
	bool write_verify;                       /* it is read back */
	bool has_write_on_crash;                 /* the map says it, not the default */
	enum on_crash write_on_crash;
	uint64_t write_pulse_us;       /* set, and cleared after so long; 0: it stays */
	struct flash write_flash;      /* by which the device makes the pulse itself */
	uint8_t write_function;        /* Modbus: 5, 6, 15, 16, 22; 0: what fits */
};

struct serial_format {
	uint8_t data_bits; /* 7 or 8 */
	char parity;       /* N, E or O */
	uint8_t stop_bits; /* 1 or 2 */
};

/* One worked example: bytes on the wire and the values that they mean. */
struct example_value {
	size_t point; /* index into the map's points */
	char *text;   /* as published: a number's digits, or text; "null" for none */
	unsigned line, column;
};

struct example {
	unsigned line, column;
	uint8_t *send, *receive;
	size_t send_length, receive_length;
	bool writes; /* the values are written by `send`, and confirmed by `receive` */
	struct example_value *values;
	size_t value_count;
};

struct batch {
	uint16_t registers; /* most in one request (bits: 16 times as many, at most 2000) */
	uint16_t gap;       /* largest hole that is read through */
};

enum { IDENTITY_CODES_MAX = 16 };

/* The register by which a device says what model it is, and what it says (identity.h). */
struct identity {
	enum table table;
	uint16_t addr; /* on the wire, from 0 */
	uint16_t codes[IDENTITY_CODES_MAX];
	size_t code_count;
	char *text; /* in as many registers as it is long; NULL: it is one of the codes */
};

struct device_map {
	atomic_uint users;
	uint64_t digest; /* of all that it says (yaml.h) */
	char *name, *file;
	unsigned version;
	char *title, *source, *driver;
	enum driver_kind kind;
	uint32_t *bauds; /* factory setting first */
	size_t baud_count;
	struct serial_format *formats;
	size_t format_count;
	uint8_t address; /* factory setting; 0 where the map says none */
	struct batch batch;
	struct framing framing; /* of streams */
	struct identity identity;
	struct point *points;
	size_t point_count;
	struct locator *locators; /* of streams: each point's, in that order */
	struct example *examples;
	size_t example_count;
};

/*
 * Reads a map and checks it whole. Returns 0, or -EINVAL with the faults noted, or -errno.
 * Drivers are checked by name against `driver_names` (ending with NULL). What it extends is
 * looked for beside it, and where maps are installed.
 */
int device_map_load(const char *file, const char *const *driver_names,
		    struct device_map **map, struct faults *faults) _must_check_;

/* The same; what it extends is looked for in these directories (ending with NULL). */
int device_map_load_among(const char *file, const char *const *directories,
			  const char *const *driver_names, struct device_map **map,
			  struct faults *faults) _must_check_;

/* The same from memory, extending nothing; `name` is the file name shown in faults. */
int device_map_parse(const char *name, const char *text, size_t size,
		     const char *const *driver_names, struct device_map **map,
		     struct faults *faults) _must_check_;

/*
 * One more who has the map, of whatever thread; the last one's device_map_free() frees it.
 */
const struct device_map *device_map_share(const struct device_map *map);
void device_map_free(struct device_map *map);
DEFINE_CLEANUP(struct device_map *, device_map_free)

/* Index of a point by name, or -ENOENT. */
ssize_t device_map_find(const struct device_map *map, const char *name);

/* The name of a point that `name` was probably meant to be, or NULL. */
const char *device_map_suggest(const struct device_map *map, const char *name);

/* A deep copy of `count` points, for a device that overrides some; NULL: memory is short. */
struct point *points_copy(const struct point *points, size_t count);
void points_free(struct point *points, size_t count);

/*
 * Applies a bus file's `points: {NAME: {every: …, deadband: …}}` value of one point, or a
 * map's line, onto `point`. Notes faults; 0 or -EINVAL.
 */
int point_override(struct point *point, const char *file, const struct yaml_node *node,
		   struct faults *faults) _must_check_;

/* The tables as maps call them, ending with NULL. */
extern const char *const table_names[];

/* Whether a table is one of single bits, rather than of registers. */
bool table_is_bits(enum table table);

/* The point's type as its map says it. */
enum { POINT_TYPE_NAME_MAX = 16 };
const char *point_type_name(const struct point *point, char name[POINT_TYPE_NAME_MAX]);

/* Whether its value is a number; whether it is whole on the wire, as bool is too. */
bool point_is_number(const struct point *point);
bool point_is_integer(const struct point *point);

/* Bytes that the point's raw value has on the wire (2 per register; 1 for coils); not of text. */
size_t point_size(const struct point *point);

/* Registers (or bits, in coil and discrete tables) that the point occupies. */
unsigned point_span(const struct point *point);

/* Whether the point is ever read, or only written. */
bool point_is_read(const struct point *point);

/* Whether a word may name a gateway, bus, device, point or map: letters, digits, - _ . */
bool name_is_valid(const char *name);
