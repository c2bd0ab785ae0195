/* SPDX-License-Identifier: Apache-2.0 */
/* resume.c - how a new MQTT client takes over what is in doubt; pure. */
#include "uplink/resume.h"

enum {
	MIDS = 65535,
	/* Identifiers that are used by nothing but the counter itself in between, at most. */
	MARGIN = 1024,
};

uint16_t resume_next_mid(uint16_t mid)
{
	return mid == MIDS ? 1 : mid + 1;
}

/* Identifiers from `from` on, not counted, up to `to`, counted; a whole round for the same. */
static uint32_t distance(uint16_t from, uint16_t to)
{
	return to > from ? to - from : to + MIDS - from;
}

size_t resume_plan(const struct flight *flights, size_t count, uint16_t last_mid,
		   struct resume_step *steps, uint16_t *burn_last)
{
	uint16_t counter = 0;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (flights[i].state != FLIGHT_SENT)
			continue;
		steps[n].flight = i;
		steps[n].burn = distance(counter, flights[i].mid) - 1;
		counter = flights[i].mid;
		n++;
	}
	*burn_last = counter == last_mid ? 0 : distance(counter, last_mid);
	return n;
}

bool resume_may_publish(const struct flight *flights, size_t count, uint16_t last_mid)
{
	return count == 0 || flights[0].mid == last_mid ||
	       distance(flights[0].mid, last_mid) < MIDS - MARGIN;
}
