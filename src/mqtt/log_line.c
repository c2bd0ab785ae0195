/* SPDX-License-Identifier: Apache-2.0 */
/* log_line.c - PUBREC, PUBCOMP and DUP as libmosquitto's log lines tell of them. */
#include "mqtt/log_line.h"

#include <stdio.h>
#include <string.h>

enum log_line log_line_parse(const char *line, uint16_t *mid)
{
	const char *at = NULL;
	unsigned number, reason;
	int end = 0;

	for (const char *next = line; (next = strstr(next, " received PUB")); next++)
		at = next;
	if (!at)
		return LOG_LINE_OTHER;
	if (sscanf(at, " received PUBREC (Mid: %5u)%n", &number, &end) == 1 && end &&
	    !at[end] && number > 0 && number <= UINT16_MAX) {
		*mid = number;
		return LOG_LINE_PUBREC;
	}
	end = 0;
	if (sscanf(at, " received PUBCOMP (Mid: %5u, RC:%3u)%n", &number, &reason, &end) == 2 &&
	    end && !at[end] && number > 0 && number <= UINT16_MAX) {
		*mid = number;
		return LOG_LINE_PUBCOMP;
	}
	return LOG_LINE_OTHER;
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
