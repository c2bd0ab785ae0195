/* SPDX-License-Identifier: Apache-2.0 */
/* result.c - what became of a command, as a message. */
#include "uplink/result.h"
#include "bridge/clock.h"

#include <string.h>

enum {
	/* An id and an error, all of it to be escaped, and what stands around them. */
	RESULT_MAX = 2048,
};

static void add(struct text *text, const char *words)
{
	text_add(text, words, strlen(words));
}

static void write_body(const struct result_address *address, const char *id,
		       const char *value, const char *error, struct text *body)
{
	const uint8_t length = address->correlation_length;

	text_add(body, (const char *)&length, 1);
	if (length)
		text_add(body, address->correlation, length);
	add(body, "{");
	if (id && *id) {
		add(body, "\"id\":");
		json_string(id, body);
		add(body, ",");
	}
	add(body, value ? "\"ok\":true,\"value\":" : "\"ok\":false,\"error\":");
	if (value)
		add(body, value);
	else
		json_string(error, body);
	add(body, "}");
}

int result_append(struct spool *spool, const struct result_address *address, const char *id,
		  const char *value, const char *error)
{
	char topic[TOPIC_MAX + 1], bytes[RESULT_MAX];
	struct text body = { .data = bytes, .size = sizeof(bytes) };
	struct message message = {
		.qos = 1, .form = FORM_REPLY, .topic = topic, .body = bytes,
	};

	if (address->response_topic && *address->response_topic)
		snprintf(topic, sizeof(topic), "%s", address->response_topic);
	else
		snprintf(topic, sizeof(topic), "%s/%s/%s/result", address->gateway,
			 address->device, address->point);
	write_body(address, id, value, error, &body);
	message.topic_length = strlen(topic);
	message.body_length = body.length;
	clock_stamp(&message);
	return spool_append(spool, &message);
}
