/* SPDX-License-Identifier: Apache-2.0 */
/* bus_config.h - what hangs on one port, as read from buses.d/NAME.yaml. */
#pragma once

#include "config/device_map.h"

enum rs485_mode {
	RS485_AUTO,
	RS485_KERNEL,
	RS485_RTS,
	RS485_NONE,
};

struct device_config {
	char *name;
	const struct device_map *map; /* shared with others that have it */
	uint8_t address;              /* 0 where the driver has none */
	char *topic;                  /* template, NULL: the gateway's */
	bool full;                    /* every message carries all points */
	struct point *points;         /* the map's, with this device's overrides */
	bool commands;                /* false: none of its points is writable */
	double command_rate;          /* that it takes at most, a second */
	size_t point_count;
	unsigned line, column;
};

struct bus_config {
	uint64_t digest; /* of all that its file says (yaml.h) */
	char *name, *file;
	char *port;
	uint32_t baud;
	struct serial_format format;
	enum rs485_mode rs485;
	uint64_t rts_before_us, rts_after_us; /* that the line is turned ahead of and behind a frame */
	bool echo;
	uint64_t timeout_us; /* how long a device may take to begin its answer */
	unsigned retries;
	bool commands;
	double command_rate; /* of the devices that do not say their own */
	struct device_config *devices;
	size_t device_count;
};

/* The maps that were asked for, each read once, found by name in the given directories. */
struct map_library;

struct map_library *map_library_new(const char *const *directories, size_t count,
				    const char *const *driver_names);
void map_library_free(struct map_library *library);
DEFINE_CLEANUP(struct map_library *, map_library_free)

/*
 * The map of that name, from the first directory that has NAME.yaml. A map with faults is
 * noted once, and gives -EINVAL each time; -ENOENT where no directory has it (the caller
 * says where it was asked for; *suggestion is the nearest name there is, or NULL, to be
 * freed by the caller).
 */
int map_library_get(struct map_library *library, const char *name,
		    const struct device_map **map, char **suggestion,
		    struct faults *faults) _must_check_;

/*
 * The names of all the maps that there are, in alphabetical order, each once, ending with
 * NULL; NULL: memory is short. A directory that cannot be read has none.
 */
char **map_library_names(const struct map_library *library);
void map_names_free(char **names);
DEFINE_CLEANUP(char **, map_names_free)

/*
 * Reads one bus file. Lists and ranges of addresses become one device each. Returns 0, or
 * -EINVAL with the faults noted, or -errno.
 */
int bus_config_load(const char *file, struct map_library *library, struct bus_config **bus,
		    struct faults *faults) _must_check_;

void bus_config_free(struct bus_config *bus);
DEFINE_CLEANUP(struct bus_config *, bus_config_free)

/* Whether two that were read say the same of a bus, with the maps of its devices. */
bool bus_config_is_same(const struct bus_config *a, const struct bus_config *b);

/*
 * Baud rate and format that are 0 become the factory setting of the first device's model, or
 * 9600 8N1 where its map says none.
 */
void bus_config_fill_in(struct bus_config *bus);

/* Bits that one character takes on the wire: start, data, parity, stop. */
unsigned serial_format_bits(struct serial_format format);
