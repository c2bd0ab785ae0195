/* SPDX-License-Identifier: Apache-2.0 */
/* arguments.h - what words on the command line of several verbs mean. */
#pragma once

#include "config/bus_config.h"

enum {
	EXIT_NOT_SO = 1,
	EXIT_WRONG_USAGE = 2,
	ADDRESS_MAX = 247, /* of a bus: Modbus over Serial Line V1.02, 2.2 */
	BAUD_MIN = 50,
	BAUD_MAX = 4000000,
};

/* A whole number and nothing else, from least to most. */
bool parse_number(const char *text, unsigned long least, unsigned long most,
		  unsigned long *number) _must_check_;
bool parse_address(const char *text, uint8_t *address) _must_check_;
bool parse_baud(const char *text, uint32_t *baud) _must_check_;
/* `8N1` */
bool parse_format(const char *text, struct serial_format *format) _must_check_;

/* Maps from `first` (may be NULL) and where they are installed; NULL: memory is short. */
struct map_library *maps_open(const char *first);

/*
 * A map by path (then it is read into *own, which is the caller's) or by name. -errno, and
 * what is wrong is said in the verb's name, or noted.
 */
int maps_find(struct map_library *library, const char *verb, const char *word,
	      struct device_map **own, const struct device_map **map,
	      struct faults *faults) _must_check_;
