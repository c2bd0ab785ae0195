/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.h - commands from the uplink to the buses, and what became of them back. */
#pragma once

#include "bridge/command.h"

#include <systemd/sd-event.h>

struct dispatch;

/*
 * Gives a command to the bus that has its device, which tells dispatch_outcome() what became of
 * it, perhaps from in there. 0; -ENOENT: there is none; -EAGAIN: it can't take it yet, and is to
 * be asked again.
 */
typedef int dispatch_hand(void *data, const struct command *command);

/* Hands over what comes by the ring as long as the loop runs. 0 or -errno. */
int dispatch_new(sd_event *loop, struct command_ring *ring, dispatch_hand *hand, void *data,
		 struct dispatch **dispatch) _must_check_;
/* What was not handed over by then is told as that. */
void dispatch_free(struct dispatch *dispatch);
DEFINE_CLEANUP(struct dispatch *, dispatch_free)

/* As an outcome_sink of buses; `dispatch` is the data. */
void dispatch_outcome(void *dispatch, const struct outcome *outcome);
