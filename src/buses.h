/* SPDX-License-Identifier: Apache-2.0 */
/* buses.h - the buses of a configuration while they run. */
#pragma once

#include "config/config.h"
#include "field/bus.h"
#include "field/listener.h"

/* Each has as many as the configuration has buses, in that order. */
struct buses {
	size_t count;
	struct bus **buses;          /* this … */
	struct listener **listeners; /* … or this, by what hangs on it; the other is NULL */
	struct conf **confs;         /* that it was started with, shared */
};

/* Room for so many of which none runs. 0 or -ENOMEM. */
int buses_init(struct buses *buses, size_t count) _must_check_;
/* Ends those that run. */
void buses_done(struct buses *buses);

/* The i-th bus runs, and gives its messages to the sink. 0 or -errno. */
int buses_start(struct buses *buses, size_t i, sd_event *loop, const struct config *config,
		mapping_sink *sink, void *data) _must_check_;
/* What becomes of commands for the i-th bus is told to the sink. */
void buses_tell_outcomes(struct buses *buses, size_t i, outcome_sink *sink, void *data);
/*
 * Gives a command to the bus that has its device, as bus_command(). 0; -ENOENT: none has;
 * -EAGAIN: that has not yet tried to open its port.
 */
int buses_command(struct buses *buses, const struct command *command) _must_check_;
/* Whether the i-th bus has commands that are not done. */
bool buses_have_commands(const struct buses *buses, size_t i);
/* The same that runs as another one's `from`-th runs on as the i-th here. */
void buses_take(struct buses *buses, size_t i, struct buses *from, size_t from_i);
/* As bus_leave(). */
void buses_leave(struct buses *buses, size_t i, bus_left *left, void *data);

struct bus_stats buses_stats(const struct buses *buses, size_t i);
