/* SPDX-License-Identifier: Apache-2.0 */
/* listener.h - one port whose devices speak in units: lines, frames, telegrams. */
#pragma once

#include "field/bus.h"

struct listener;

/* Whether a bus is of such devices, and takes a listener rather than a bus. */
bool listener_is_for(const struct bus_config *config);

/*
 * Listens as soon as `loop` runs, and gives its messages to `sink`: of a device that speaks
 * unasked at most every `every` of its points, of one that is asked each answer. A port that
 * is missing is waited for. The configuration must outlive it. 0 or -errno.
 */
int listener_new(sd_event *loop, const struct bus_config *config, const struct conf *conf,
		 mapping_sink *sink, void *data, struct listener **listener) _must_check_;
void listener_free(struct listener *listener);
DEFINE_CLEANUP(struct listener *, listener_free)

/* As of a bus. What is being said is heard to its end, where that comes soon. */
void listener_leave(struct listener *listener, bus_left *left, void *data);

/* As of a bus; a command is said between two requests, or at any time to who speaks unasked. */
void listener_tell_outcomes(struct listener *listener, outcome_sink *sink, void *data);
int listener_command(struct listener *listener, const struct command *command) _must_check_;
bool listener_has_commands(const struct listener *listener);

/* As of a bus; answers are units with at least one value. */
struct bus_stats listener_stats(const struct listener *listener);
const struct device *listener_devices(const struct listener *listener);
