/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - what is published, from the moment it exists until it is acknowledged. */
#pragma once

#include "bridge/number.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How the payload is made of the body when the message is first sent. */
enum message_form {
	FORM_BARE,        /* the body as it is */
	FORM_ISO_TIME,    /* {"time":"2026-11-23T18:52:01.123Z","seq":N,BODY} */
	FORM_EPOCH_MS,    /* {"time":1795460721123,"seq":N,BODY} */
	FORM_REPLY,       /* behind MQTT 5's correlation data, and its length before it (1) */
};

enum {
	TOPIC_MAX = 512,
	BODY_MAX = 48 * 1024,
	PAYLOAD_MAX = BODY_MAX + 256,
};

/* How far the time that a payload says can be trusted. */
enum clock_mark {
	CLOCK_RIGHT,
	CLOCK_UNSYNCED,  /* as this machine's clock has it, which nobody has set right yet */
	CLOCK_ESTIMATED, /* read in an earlier boot that never had the right time */
};

/*
 * Time is kept twice: CLOCK_BOOTTIME, which is right from the first second, and the wall
 * clock as it was believed to be. What the payload says is made of them when the message is
 * first sent, from the best that is known by then, and stays so for good.
 */
struct message {
	uint64_t seq; /* 0 until the spool has numbered it */
	uint64_t boottime_us;
	int64_t wall_ms;
	bool wall_synced;
	bool retried;          /* taken in anew, by hand, after the broker had refused it */
	uint32_t boot;         /* which boot of the machine, as the spool counts them */
	int64_t time_ms;       /* what the payload says; set by the spool, … */
	enum clock_mark clock; /* … as this */
	uint8_t qos;
	bool retain;
	enum message_form form;
	const char *topic; /* not owned, not NUL-terminated */
	uint16_t topic_length;
	const char *body; /* not owned; members of a JSON object, or a bare payload */
	uint32_t body_length;
};

/*
 * Of a reply the correlation data, and its length; NULL where there is none. message_decode()
 * sees to it that the body has all of it.
 */
const uint8_t *message_correlation(const struct message *message, size_t *length);

/* Appends the payload as it goes to the broker. */
void message_payload(const struct message *message, struct text *text);

/* Appends a time as ISO 8601 has it, UTC with milliseconds, in quotes; also before 1970. */
void message_iso_time(int64_t time_ms, struct text *text);
