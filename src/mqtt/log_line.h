/* SPDX-License-Identifier: Apache-2.0 */
/* log_line.h - what only libmosquitto's log lines tell of: PUBREC, PUBCOMP, DUP. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_line {
	LOG_LINE_OTHER, /* a line about something else */
	LOG_LINE_PUBACK,
	LOG_LINE_PUBREC,
	LOG_LINE_PUBCOMP,
};

/*
 * libmosquitto has no callback for PUBREC, and none for a PUBCOMP that answers a PUBREL of a
 * session it does not remember. One that is surprised by PUBACK for a message of QoS 2 tells
 * of an error, and not which message. All show in its debug log:
 *
 *     Client barn received PUBREC (Mid: 17)
 *     Client barn received PUBCOMP (Mid: 17, RC:0)
 *     Client barn received PUBACK (Mid: 17, RC:0)
 *
 * Takes such a line to pieces; *mid is set for the three. A client id may say anything, so only
 * what stands at the end of the line counts.
 */
enum log_line log_line_parse(const char *line, uint16_t *mid);

/*
 * Nor does it say of a message that comes in whether the broker sent it before (DUP):
 *
 *     Client barn received PUBLISH (d1, q1, r0, m17, 'barn/relay/out/set', ... (2 bytes))
 *
 * Whether it is such a line of the client with that id; sets *repeated.
 */
bool log_line_parse_publish(const char *line, const char *client_id, bool *repeated);
