// SPDX-License-Identifier: Apache-2.0
/* message.c - the payload as it goes to the broker. */

#include "bridge/message.h"

#include <inttypes.h>
#include <time.h>

void message_iso_time(int64_t time_ms, struct text *text)
{
	int64_t ms = time_ms % 1000;
	time_t seconds;
	struct tm tm;

	if (ms < 0)
		ms += 1000;
	seconds = (time_t)((time_ms - ms) / 1000);
	gmtime_r(&seconds, &tm);
	text_addf(text, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", tm.tm_year + 1900,
		  tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
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
	text_addf(text, "{\"time\":");
	if (message->form == FORM_ISO_TIME)
		message_iso_time(message->time_ms, text);
	else
		text_addf(text, "%" PRId64, message->time_ms);
	text_addf(text, ",\"seq\":%" PRIu64 "%s", message->seq, marks[message->clock]);
	if (message->body_length > 0) {
		text_add(text, ",", 1);
		text_add(text, message->body, message->body_length);
	}
	text_add(text, "}", 1);
}
