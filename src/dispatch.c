/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c - commands from the uplink to the buses, and what became of them back. */
#include "dispatch.h"
#include "bridge/clock.h"

#include <errno.h>

enum {
	/* A bus that has only just begun opens its port: how long it may take for that. */
	PATIENCE_US = 2 * 1000 * 1000,
	AGAIN_US = 20 * 1000,
};

struct dispatch {
	struct command_ring *ring;
	dispatch_hand *hand;
	void *data;
	sd_event_source *source, *timer;
	struct command command; /* the one that is handed over next, … */
	uint64_t until_us;      /* … where it was taken; it waits so long at most. 0: none was */
};

static void fail(struct dispatch *dispatch, const char *error)
{
	struct outcome outcome = {
		.number = dispatch->command.number, .kind = OUTCOME_FAILED,
	};

	snprintf(outcome.error, sizeof(outcome.error), "%s", error);
	outcome_push(dispatch->ring, &outcome);
}

static bool take(struct dispatch *dispatch)
{
	if (dispatch->until_us)
		return true;
	if (!command_pop(dispatch->ring, &dispatch->command))
		return false;
	dispatch->until_us = clock_monotonic_us() + PATIENCE_US;
	return true;
}

/* What comes behind one that waits waits too: they are carried out in their order. */
static int hand_over(struct dispatch *dispatch)
{
	while (take(dispatch)) {
		uint64_t now_us = clock_monotonic_us();
		int r = dispatch->hand(dispatch->data, &dispatch->command);

		if (r == -EAGAIN && now_us < dispatch->until_us) {
			sd_event_source_set_time(dispatch->timer, now_us + AGAIN_US);
			return sd_event_source_set_enabled(dispatch->timer, SD_EVENT_ONESHOT);
		}
		if (r < 0)
			fail(dispatch, r == -EAGAIN ? "the port is not open yet" :
						      "there is no such device");
		dispatch->until_us = 0;
	}
	return 0;
}

static int on_commands(_unused_ sd_event_source *source, _unused_ int fd,
		       _unused_ uint32_t events, void *data)
{
	struct dispatch *dispatch = data;

	command_clear(dispatch->ring);
	return hand_over(dispatch);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	return hand_over(data);
}

void dispatch_outcome(void *dispatch, const struct outcome *outcome)
{
	outcome_push(((struct dispatch *)dispatch)->ring, outcome);
}

int dispatch_new(sd_event *loop, struct command_ring *ring, dispatch_hand *hand, void *data,
		 struct dispatch **result)
{
	_cleanup_(dispatch_freep) struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
	int r;

	if (!dispatch)
		return -ENOMEM;
	dispatch->ring = ring;
	dispatch->hand = hand;
	dispatch->data = data;
	r = sd_event_add_io(loop, &dispatch->source, command_fd(ring), EPOLLIN, on_commands,
			    dispatch);
	if (r >= 0)
		r = sd_event_add_time(loop, &dispatch->timer, CLOCK_MONOTONIC, UINT64_MAX,
				      AGAIN_US, on_timer, dispatch);
	if (r < 0)
		return r;
	*result = TAKE_PTR(dispatch);
	return 0;
}

void dispatch_free(struct dispatch *dispatch)
{
	if (!dispatch)
		return;
	while (take(dispatch)) {
		fail(dispatch, "the gateway ends");
		dispatch->until_us = 0;
	}
	sd_event_source_disable_unref(dispatch->source);
	sd_event_source_disable_unref(dispatch->timer);
	free(dispatch);
}
