/* SPDX-License-Identifier: Apache-2.0 */
/* command_age.c - until when a command may begin: a relay must not click because of last week. */
#include "uplink/command_age.h"
#include "base/units.h"
#include "bridge/clock.h"

/* What is left of it, from now on; NULL, or why there is nothing. */
static const char *find_left(const struct command_age *age, uint64_t *left_us)
{
	uint64_t wall_ms = clock_wall_ms();

	*left_us = UINT64_MAX;
	if (age->has_expires) {
		/* After a power cut the clock may be a week late, and the command with it. */
		if (!clock_is_synced())
			return "the gateway's clock has not been set right yet: expires can't be "
			       "judged";
		if (age->expires_ms <= wall_ms)
			return "too old: it has expired";
		*left_us = (age->expires_ms - wall_ms) * USEC_PER_MSEC;
	}
	if (age->has_expiry && age->expiry_us < *left_us)
		*left_us = age->expiry_us;
	if (age->has_expires || age->has_expiry)
		return *left_us ? NULL : "too old: it has expired";
	if (age->waited_us == AGE_UNKNOWN)
		return "too old, perhaps: it does not say until when it holds, and how long there "
		       "was no link is not known";
	if (age->waited_us >= age->max_us)
		return "too old, perhaps: it does not say until when it holds, and for longer than "
		       "command_max_age there was no link";
	*left_us = age->max_us - age->waited_us;
	return NULL;
}

const char *command_set_age(struct command_entry *entry, const struct command_age *age,
			    uint32_t boot)
{
	uint64_t left_us;
	const char *late = find_left(age, &left_us);

	entry->boot = boot;
	entry->received_us = clock_boottime_us();
	entry->until_us = entry->received_us + left_us;
	entry->until_ms = 0;
	if (!late && clock_is_synced())
		entry->until_ms = clock_wall_ms() + left_us / USEC_PER_MSEC;
	return late;
}

const char *command_too_late(const struct command_entry *entry, uint32_t boot)
{
	static const char late[] = "too old: it could not begin in time";

	if (entry->boot == boot)
		return clock_boottime_us() >= entry->until_us ? late : NULL;
	if (!entry->until_ms || !clock_is_synced())
		return "too old, perhaps: the machine was started anew, and for how long it was "
		       "off is not known";
	return clock_wall_ms() >= entry->until_ms ? late : NULL;
}
