// SPDX-License-Identifier: Apache-2.0
/* message.c - the payload as it goes to the broker. */

#include "bridge/message.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* All but the milliseconds is the same for many messages in a row. */
struct second {
	int64_t second;
	char words[40];
};

static void set_second(struct second *known, int64_t second)
{
	time_t seconds = second;
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	snprintf(known->words, sizeof(known->words), "\"%04d-%02d-%02dT%02d:%02d:%02d.",
		 tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		 tm.tm_sec);
	known->second = second;
}

void message_iso_time(int64_t time_ms, struct text *text)
{
	static _Thread_local struct second known = { .second = INT64_MIN };
	int64_t ms = time_ms % 1000, second;

	if (ms < 0)
		ms += 1000;
	second = (time_ms - ms) / 1000;
	if (second != known.second)
		set_second(&known, second);
	text_add(text, known.words, strlen(known.words));
	text_addu(text, ms, 3);
	text_add(text, "Z\"", 2);
}

static void add_words(struct text *text, const char *words)
{
	text_add(text, words, strlen(words));
}

const uint8_t *message_correlation(const struct message *message, size_t *length)
{
	const uint8_t *body = (const uint8_t *)message->body;

	*length = message->form == FORM_REPLY ? body[0] : 0;
	return *length ? body + 1 : NULL;
}

void message_payload(const struct message *message, struct text *text)
{
	static const char *const marks[] = {
		[CLOCK_RIGHT] = "",
		[CLOCK_UNSYNCED] = ",\"clock\":\"unsynced\"",
		[CLOCK_ESTIMATED] = ",\"clock\":\"estimated\"",
	};

	if (message->form == FORM_BARE) {
		text_add(text, message->body, message->body_length);
		return;
	}
	if (message->form == FORM_REPLY) {
		size_t length;

		message_correlation(message, &length);
		text_add(text, message->body + 1 + length, message->body_length - 1 - length);
		return;
	}
	add_words(text, "{\"time\":");
	if (message->form == FORM_ISO_TIME)
		message_iso_time(message->time_ms, text);
	else
		text_addf(text, "%" PRId64, message->time_ms);
	add_words(text, ",\"seq\":");
	text_addu(text, message->seq, 1);
	add_words(text, marks[message->clock]);
	if (message->body_length > 0) {
		text_add(text, ",", 1);
		text_add(text, message->body, message->body_length);
	}
	text_add(text, "}", 1);
}
