/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - one request and its answer at a time, as closely behind each other as is legal. */
#pragma once

#include "field/driver.h"
#include "field/port.h"

#include <systemd/sd-event.h>

struct wire;

enum wire_result {
	WIRE_ANSWERED, /* rightly, or with an exception: see the reply's status */
	WIRE_REFUSED,  /* what came is no answer: the reply's status says what is wrong */
	WIRE_TIMEOUT,  /* nothing came */
	WIRE_GONE,     /* the port: `why` says so to people. It may come while nothing is asked */
};

struct wire_outcome {
	enum wire_result result;
	struct reply reply;  /* its data is valid during the call */
	uint64_t now_us;     /* CLOCK_MONOTONIC */
	uint64_t sent_us;    /* end of the request on the wire */
	uint64_t latency_us; /* from there to where the answer began, if it did not pause */
	const char *why;
};

/*
 * Whether the answer may come yet. One that was cut or damaged was it; what was not from this
 * device, or not to this request, was another one's that came late.
 */
bool wire_owes(const struct wire_outcome *outcome);

/* Why there is no right answer, for people. */
enum { WIRE_TROUBLE_MAX = 64 };
const char *wire_trouble(const struct wire_outcome *outcome, const struct bus_config *config,
			 char text[WIRE_TROUBLE_MAX]);

/* Told what became of a request. The next one may be asked, or the wire freed, from in there. */
typedef void wire_done(void *data, const struct wire_outcome *outcome);

/*
 * A wire on the bus's open port, which is its own whatever becomes of it. The configuration
 * must outlive it. 0 or -errno.
 */
int wire_new(sd_event *loop, const struct bus_config *config, struct port *port, wire_done *done,
	     void *data, struct wire **wire) _must_check_;
void wire_free(struct wire *wire);
DEFINE_CLEANUP(struct wire *, wire_free)

/*
 * Sends the request as soon as the line has been silent for 3.5 characters (1.75 ms above
 * 19,200 baud), and waits for the answer to begin for the bus's timeout from the end of the
 * transmission. Nothing else may be under way.
 */
void wire_ask(struct wire *wire, const struct driver *driver, const struct request *request);

struct line_errors wire_line_errors(const struct wire *wire);
