/* SPDX-License-Identifier: Apache-2.0 */
/* listener_state.h - what the files that make up the listener share; nobody else's business. */
#pragma once

#include "field/listener.h"
#include "field/load.h"
#include "field/opener.h"
#include "field/port.h"
#include "field/say.h"
#include "field/speech.h"
#include "field/turn.h"

enum {
	/* So long a pause, and what was said is said. */
	PAUSE_US = 100 * 1000,
	/* A unit that has begun may pause so long: IEC 62056-21, 6.5.2 lets meters do so. */
	CUT_US = 1500 * 1000,
};

enum listener_state {
	LISTENER_CLOSED,
	LISTENER_LISTENING,
	LISTENER_IDLE,
	LISTENER_SETTING_UP,
	LISTENER_TELLING, /* a command, whose reply is waited for */
	LISTENER_WAITING,
	LISTENER_QUIET,
};

struct listener {
	sd_event *loop;
	const struct bus_config *config;
	const struct conf *conf;
	mapping_sink *sink;
	void *sink_data;
	struct device *devices;
	struct opener *opener;
	struct port *port;
	struct turn *turn;
	sd_event_source *port_source, *timer;
	struct bulletin *bulletin;
	enum listener_state state;
	struct load load;
	uint64_t lost; /* times that the port was */

	struct device *device; /* the one that speaks, or is asked */
	bool asked;            /* devices have to be */
	unsigned attempts;
	bool acknowledged;
	uint8_t frame[FRAME_MAX]; /* the request that is out */
	size_t echo_length;
	struct speech speech;
	uint64_t sent_us, received_us, heard_us; /* last request, byte, unit with a value */
	uint64_t end_us;       /* of the bytes that were sent last */
	bool begun;            /* the answer to the request */
	uint64_t deadline_us;

	struct say say; /* commands */

	bool leaving;      /* nothing more is asked */
	uint64_t leave_us; /* what is said unasked is not listened to any longer */
	bus_left *left;    /* NULL: nobody is to be told */
	void *left_data;
};

/* --- listener.c --- */

void listener_close(struct listener *listener, const char *why);
/* Sets the timer to then, or to when there is something to be done for a command. */
void listener_wake_at(struct listener *listener, uint64_t time_us);
/* Sends so many bytes of .frame; false: the port was lost over it. */
bool listener_send(struct listener *listener, size_t n);
/* What was read of the device since the last message, if anything. */
void listener_publish(struct listener *listener, uint64_t now_us);
/* The device has become offline: says why, and tells so. */
void listener_is_silent(struct listener *listener);

/* --- ask.c: devices that are asked --- */

/* Something came in answer to the request; what the device waits for then is sent. */
void ask_heard(struct listener *listener);
/* The units that came were taken: the poll may be over, or goes on. */
void ask_answered(struct listener *listener);
/* Does what its state and the time want done, or sets the timer to when that will be. */
void ask_step(struct listener *listener);
