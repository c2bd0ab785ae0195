/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - what is published, from the moment it exists until it is acknowledged. */
#pragma once

#include "bridge/number.h"

#include <stdint.h>

/* How the payload is made of the body when the message is first sent. */
enum message_form {
	FORM_BARE,        /* the body as it is */
	FORM_ISO_TIME,    /* {"time":"2026-11-23T18:52:01.123Z","seq":N,BODY} */
	FORM_EPOCH_MS,    /* {"time":1795460721123,"seq":N,BODY} */
};

enum {
	TOPIC_MAX = 512,
	BODY_MAX = 48 * 1024,
	PAYLOAD_MAX = BODY_MAX + 256,
};

/*
 * Time is kept twice: CLOCK_BOOTTIME, which is right from the first second, and the wall
 * clock as it was believed to be. The payload's time is made when it is first sent.
 */
struct message {
	uint64_t seq; /* 0 until the spool has numbered it */
	uint64_t boottime_us;
	int64_t wall_ms;
	bool wall_synced;
	bool this_boot; /* read since the machine last started: boottime_us compares to now */
	uint8_t qos;
	bool retain;
	enum message_form form;
	const char *topic; /* not owned, not NUL-terminated */
	uint16_t topic_length;
	const char *body; /* not owned; members of a JSON object, or a bare payload */
	uint32_t body_length;
};

/* Appends the payload as it goes to the broker; `time_ms` is the time that it is to say. */
void message_payload(const struct message *message, int64_t time_ms, struct text *text);
