/* SPDX-License-Identifier: Apache-2.0 */
/* command_link.c - since when the broker may have held what comes in. */
#include "uplink/command_link.h"
#include "base/units.h"
#include "bridge/clock.h"

enum {
	/* So long after the link is up, and after each message, what waited is still coming, … */
	OLD_QUIET_US = 3 * 1000 * 1000,
	/* … but no longer than this: who sends all the time is not always old. */
	OLD_MOST_US = 60 * 1000 * 1000,
};

/* 0 session 4 · 4 boot 4 · 8 since_us 8 · 16 whether it is up 1; key 0, which no command has */
enum { NOTE_KEY = 0, NOTE_SIZE = 17 };

static int note(const struct command_link *link, struct spool *spool, bool sync)
{
	uint8_t bytes[NOTE_SIZE];

	put_u32(bytes, link->session);
	put_u32(bytes + 4, link->boot);
	put_u64(bytes + 8, clock_boottime_us());
	bytes[16] = link->is_up;
	return spool_note(spool, RECORD_COMMAND, NOTE_KEY, bytes, sizeof(bytes), sync);
}

void command_link_load(struct command_link *link, const struct spool *spool)
{
	const struct note *found = notes_find(spool_notes(spool), RECORD_COMMAND, NOTE_KEY);
	const struct spool_state state = spool_state(spool);

	*link = (struct command_link){
		.boot = state.boot, .session = 1, .lost_us = AGE_UNKNOWN,
		.outage_us = AGE_UNKNOWN,
	};
	if (!found || found->length != NOTE_SIZE)
		return;
	link->session = get_u32(found->bytes);
	/* Of another boot it is not known how long the machine was off. */
	if (get_u32(found->bytes + 4) != state.boot)
		return;
	link->lost_us = get_u64(found->bytes + 8);
	if (found->bytes[16] && state.found_us > link->lost_us)
		link->lost_us = state.found_us;
}

static int lost(struct command_link *link, struct spool *spool)
{
	link->lost_us = clock_boottime_us();
	link->is_up = false;
	return note(link, spool, false);
}

static int came_up(struct command_link *link, const struct session_state *state,
		   struct spool *spool)
{
	const uint64_t now_us = clock_boottime_us();

	link->is_up = true;
	link->changed_us = state->since_us;
	link->number++;
	link->outage_us = AGE_UNKNOWN;
	if (link->lost_us != AGE_UNKNOWN && link->lost_us <= now_us)
		link->outage_us = now_us - link->lost_us;
	/* A session that has just begun holds nothing, nor any identifier of before. */
	if (!state->resumed) {
		link->outage_us = 0;
		link->session++;
	}
	link->old_until_us = state->since_us + OLD_QUIET_US;
	link->old_most_us = state->since_us + OLD_MOST_US;
	return note(link, spool, !state->resumed);
}

int command_link_follow(struct command_link *link, const struct session_state *state,
			struct spool *spool)
{
	int r = 0;

	if (link->is_up && (!state->connected || state->since_us != link->changed_us))
		r = lost(link, spool);
	if (r == 0 && state->connected && !link->is_up)
		r = came_up(link, state, spool);
	return r;
}

uint64_t command_link_waited_us(struct command_link *link)
{
	uint64_t now_us = clock_monotonic_us();

	if (now_us >= link->old_until_us || now_us >= link->old_most_us)
		return 0;
	link->old_until_us = now_us + OLD_QUIET_US;
	if (link->outage_us == AGE_UNKNOWN)
		return AGE_UNKNOWN;
	return link->outage_us + (now_us - link->changed_us);
}
