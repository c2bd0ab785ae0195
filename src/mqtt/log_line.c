/* SPDX-License-Identifier: Apache-2.0 */
/* log_line.c - what only libmosquitto's log lines tell of: PUBREC, PUBCOMP, DUP. */
#include "mqtt/log_line.h"

#include <stdio.h>
#include <string.h>

/* What sscanf() found is an identifier, and nothing stands behind. */
static bool is_whole(const char *line, int found, unsigned number, int end, uint16_t *mid)
{
	if (found != 1 || !end || line[end] || number == 0 || number > UINT16_MAX)
		return false;
	*mid = number;
	return true;
}

enum log_line log_line_parse(const char *line, uint16_t *mid)
{
	const char *at = NULL;
	unsigned number = 0;
	int end = 0, n;

	for (const char *next = line; (next = strstr(next, " received PUB")); next++)
		at = next;
	if (!at)
		return LOG_LINE_OTHER;
	n = sscanf(at, " received PUBREC (Mid: %5u)%n", &number, &end);
	if (is_whole(at, n, number, end, mid))
		return LOG_LINE_PUBREC;
	end = 0;
	n = sscanf(at, " received PUBCOMP (Mid: %5u, RC:%*3u)%n", &number, &end);
	if (is_whole(at, n, number, end, mid))
		return LOG_LINE_PUBCOMP;
	end = 0;
	n = sscanf(at, " received PUBACK (Mid: %5u, RC:%*3u)%n", &number, &end);
	return is_whole(at, n, number, end, mid) ? LOG_LINE_PUBACK : LOG_LINE_OTHER;
}

bool log_line_parse_publish(const char *line, const char *client_id, bool *repeated)
{
	static const char before[] = "Client ", behind[] = " received PUBLISH (d";
	size_t length = strlen(client_id);

	if (strncmp(line, before, strlen(before)))
		return false;
	line += strlen(before);
	if (strncmp(line, client_id, length) || strncmp(line + length, behind, strlen(behind)))
		return false;
	line += length + strlen(behind);
	*repeated = *line == '1';
	return *line == '0' || *line == '1';
}
