/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - where in a file a name stands, for libraries that only tell its line. */
#include "config/place.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

char *place_line(const char *file, unsigned n)
{
	_cleanup_fclose_ FILE *in = fopen(file, "re");
	char *line = NULL;
	size_t size = 0;

	for (unsigned i = 0; in && i < n; i++) {
		if (getline(&line, &size, in) < 0)
			break;
		if (i + 1 == n)
			return line;
	}
	free(line);
	return NULL;
}

unsigned place_column(const char *line, const char *name)
{
	size_t length = name ? strlen(name) : 0;

	for (const char *at = name ? strstr(line, name) : NULL; at;
	     at = strstr(at + 1, name)) {
		bool begins = at == line || !(isalnum((unsigned char)at[-1]) ||
					      strchr("-_*", at[-1]));
		const char *behind = at + length + strspn(at + length, " \t");

		if (begins && (*behind == '=' || *behind == ':'))
			return at - line + 1;
	}
	return strspn(line, " \t") + 1;
}
