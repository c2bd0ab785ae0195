/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn.c - sends, and turns an RS-485 line round by RTS where nobody else does.
 *
 *     RTS   ___|▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔|______________
 *     wire      ◀─ before ─▶│request────│◀─ after ─▶   │answer──
 *
 * By time, since no driver tells when the last bit has left; some tell when asked.
 */
#include "field/turn.h"
#include "bridge/clock.h"
#include "field/plan.h"

#include <errno.h>

enum { LOOK_AGAIN_US = 200 };

enum turn_state {
	TURN_RECEIVING,
	TURN_RAISED, /* the bytes are to be written */
	TURN_SENDING,
};

struct turn {
	const struct bus_config *config;
	struct port *port;
	sd_event_source *timer; /* NULL: it is not ours to turn */
	enum turn_state state;
	const uint8_t *bytes;
	size_t n;
	uint64_t give_up_us; /* RTS is dropped then, whatever the driver says */
};

static void wake_at(struct turn *turn, uint64_t time_us)
{
	sd_event_source_set_time(turn->timer, time_us);
	sd_event_source_set_enabled(turn->timer, SD_EVENT_ONESHOT);
}

static uint64_t wire_us(const struct turn *turn, size_t n)
{
	return plan_characters_us(n, turn->config->baud, turn->config->format);
}

static int write_bytes(struct turn *turn)
{
	uint64_t now_us = clock_monotonic_us(), wire = wire_us(turn, turn->n);
	ssize_t n = port_write(turn->port, turn->bytes, turn->n);

	turn->state = TURN_SENDING;
	turn->give_up_us = now_us + 2 * wire + turn->config->rts_after_us;
	wake_at(turn, now_us + wire + turn->config->rts_after_us);
	return n < 0 ? (int)n : 0;
}

/* A port that is gone is told of by its descriptor, too: who has it looks there. */
static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct turn *turn = data;
	uint64_t now_us = clock_monotonic_us();

	if (turn->state == TURN_RAISED) {
		(void)!write_bytes(turn);
	} else if (now_us < turn->give_up_us && !port_is_sent(turn->port)) {
		wake_at(turn, now_us + LOOK_AGAIN_US);
	} else {
		(void)!port_set_rts(turn->port, false);
		turn->state = TURN_RECEIVING;
	}
	return 0;
}

int turn_send(struct turn *turn, const uint8_t *bytes, size_t n, uint64_t *end_us)
{
	uint64_t before_us = turn->timer ? turn->config->rts_before_us : 0;
	ssize_t written;
	int r;

	if (!turn->timer) {
		written = port_write(turn->port, bytes, n);
		*end_us = clock_monotonic_us() + wire_us(turn, n);
		return written < 0 ? (int)written : 0;
	}
	r = port_set_rts(turn->port, true);
	if (r < 0)
		return r;
	turn->bytes = bytes;
	turn->n = n;
	*end_us = clock_monotonic_us() + before_us + wire_us(turn, n);
	if (!before_us)
		return write_bytes(turn);
	turn->state = TURN_RAISED;
	wake_at(turn, clock_monotonic_us() + before_us);
	return 0;
}

int turn_new(sd_event *loop, const struct bus_config *config, struct port *port,
	     struct turn **result)
{
	_cleanup_(turn_freep) struct turn *turn = calloc(1, sizeof(*turn));
	int r;

	if (!turn)
		return -ENOMEM;
	turn->config = config;
	turn->port = port;
	if (config->rs485 == RS485_RTS) {
		r = sd_event_add_time(loop, &turn->timer, CLOCK_MONOTONIC, UINT64_MAX, 1,
				      on_timer, turn);
		if (r < 0)
			return r;
		/* Whoever reads from the port does so after it is turned round. */
		sd_event_source_set_priority(turn->timer, SD_EVENT_PRIORITY_IMPORTANT);
	}
	*result = TAKE_PTR(turn);
	return 0;
}

void turn_free(struct turn *turn)
{
	if (!turn)
		return;
	sd_event_source_disable_unref(turn->timer);
	free(turn);
}
