/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ending.c - the gateway stops: commands that a bus has in hand are brought to their end first, so
 * that no relay stays on for want of the second half of its pulse.
 */
#include "bridge/clock.h"
#include "daemon_state.h"

enum {
	/* What is not done by then is left as it is. */
	PATIENCE_US = 2 * 1000 * 1000,
};

static int on_late(sd_event_source *source, _unused_ uint64_t time_us, _unused_ void *data)
{
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void on_left(void *data)
{
	struct daemon *daemon = data;

	if (--daemon->leaving == 0)
		sd_event_exit(daemon->loop, 0);
}

int daemon_end(struct daemon *daemon)
{
	if (daemon->ending)
		return sd_event_exit(daemon->loop, 0);
	daemon->ending = true;
	daemon->leaving = 1;
	for (size_t i = 0; i < daemon->buses.count; i++) {
		if (!buses_have_commands(&daemon->buses, i))
			continue;
		daemon->leaving++;
		buses_leave(&daemon->buses, i, on_left, daemon);
	}
	on_left(daemon);
	if (!daemon->leaving)
		return 0;
	return sd_event_add_time(daemon->loop, NULL, CLOCK_MONOTONIC,
				 clock_monotonic_us() + PATIENCE_US, 0, on_late, NULL);
}
