// SPDX-License-Identifier: Apache-2.0
/* table.c - the drivers there are: one line each. */

#include "field/driver.h"

#include <string.h>

extern const struct driver driver_modbus;
extern const struct driver driver_modbus_ascii;
extern const struct driver driver_text;
extern const struct driver driver_frame;
extern const struct driver driver_obis;
extern const struct driver driver_vedirect;

const struct driver *const drivers[] = {
	&driver_modbus,
	&driver_modbus_ascii,
	&driver_text,
	&driver_frame,
	&driver_obis,
	&driver_vedirect,
	NULL,
};

const struct driver *driver_find(const char *name)
{
	for (size_t i = 0; drivers[i]; i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	return NULL;
}

const char *const *driver_names(void)
{
	static const char *names[ARRAY_SIZE(drivers)];

	for (size_t i = 0; drivers[i]; i++)
		names[i] = drivers[i]->name;
	return names;
}

const char *reply_status_name(enum reply_status status)
{
	static const char *const names[REPLY_STATUS_COUNT] = {
		[REPLY_OK] = "ok",
		[REPLY_MORE] = "short",
		[REPLY_CHECKSUM] = "checksum",
		[REPLY_ADDRESS] = "address",
		[REPLY_FUNCTION] = "function",
		[REPLY_LENGTH] = "length",
		[REPLY_EXCEPTION] = "exception",
		[REPLY_GARBAGE] = "garbage",
		[REPLY_DIFFERS] = "differs",
	};

	return names[status];
}
