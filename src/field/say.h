/* SPDX-License-Identifier: Apache-2.0 */
/* say.h - commands of devices that speak in units: what is said to them, and what confirms it. */
#pragma once

#include "field/errand.h"

struct listener;

enum { HEARD_MAX = 512 }; /* bytes that an answer is looked for among */

/* One at a time is said: the first of the errands, once it is begun. */
struct say {
	struct errands errands;
	uint64_t deadline_us;     /* of what it waits for */
	uint8_t heard[HEARD_MAX]; /* since it was said */
	size_t heard_length;
	size_t echo_length; /* of our own bytes that are still to come back */
	bool read;          /* a value came that is not what was written … */
	struct value value; /* … and it is this one */
};

/* Takes a command, as writer_take() does. */
int say_take(struct listener *listener, const struct command *command) _must_check_;

/* Says what waits, where nothing else is being said, and looks at what has taken too long. */
void say_step(struct listener *listener);
/* When there is something to be done for that; UINT64_MAX: when a command comes. */
uint64_t say_wake_us(const struct listener *listener);

/* Whether the device is to be heard, and nothing else asked. */
bool say_is_under_way(const struct listener *listener);

/* Bytes that came, and values that were read of the device that is heard. */
void say_heard(struct listener *listener, const uint8_t *bytes, size_t n);
void say_read(struct listener *listener, const struct reading *readings, size_t count);

/* The port is lost, the bus ends or is to end soon: what is in hand is given up. */
void say_give_up(struct listener *listener, const char *why);
