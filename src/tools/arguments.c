/* SPDX-License-Identifier: Apache-2.0 */
/* arguments.c - what words on the command line of several verbs mean. */
#include "tools/arguments.h"
#include "field/driver.h"

#include <errno.h>
#include <string.h>

bool parse_number(const char *text, unsigned long least, unsigned long most,
		  unsigned long *number)
{
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *number >= least &&
	       *number <= most;
}

bool parse_address(const char *text, uint8_t *address)
{
	unsigned long number;

	if (!parse_number(text, 1, ADDRESS_MAX, &number))
		return false;
	*address = (uint8_t)number;
	return true;
}

bool parse_baud(const char *text, uint32_t *baud)
{
	unsigned long number;

	if (!parse_number(text, BAUD_MIN, BAUD_MAX, &number))
		return false;
	*baud = (uint32_t)number;
	return true;
}

bool parse_format(const char *text, struct serial_format *format)
{
	if (strlen(text) != 3 || !strchr("78", text[0]) || !strchr("NEO", text[1]) ||
	    !strchr("12", text[2]))
		return false;
	*format = (struct serial_format){(uint8_t)(text[0] - '0'), text[1],
					 (uint8_t)(text[2] - '0')};
	return true;
}

struct map_library *maps_open(const char *first)
{
	const char *directories[] = {first, SYSCONFDIR "/postbus/devices", MAPDIR};
	size_t skip = first ? 0 : 1;

	return map_library_new(directories + skip, ARRAY_SIZE(directories) - skip,
			       driver_names());
}

int maps_find(struct map_library *library, const char *verb, const char *word,
	      struct device_map **own, const struct device_map **map, struct faults *faults)
{
	_cleanup_free_ char *suggestion = NULL;
	size_t length = strlen(word);
	int r;

	if (length > 5 && strcmp(word + length - 5, ".yaml") == 0) {
		r = device_map_load(word, driver_names(), own, faults);
		if (r == 0)
			*map = *own;
		return r;
	}
	r = map_library_get(library, word, map, &suggestion, faults);
	if (r == -ENOENT)
		fprintf(stderr, "postbus %s: no map %s%s%s%s\n", verb, word,
			suggestion ? ", did you mean " : "", suggestion ? suggestion : "",
			suggestion ? "?" : "");
	return r;
}
