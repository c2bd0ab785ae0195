/* SPDX-License-Identifier: Apache-2.0 */
/* opener.h - gets a bus's port open, however long that takes. */
#pragma once

#include "field/port.h"

#include <systemd/sd-event.h>

struct opener;

/* Given the open port, which is then the receiver's; it may free the opener from in there. */
typedef void opener_done(void *data, struct port *port);

/*
 * Tries to open the port as soon as `loop` runs, and again each second and when an adapter is
 * plugged in, until it is open. What is in the way is logged when it changes. Never blocks: to
 * connect over the network has a thread of its own. The configuration must outlive it.
 */
int opener_new(sd_event *loop, const struct bus_config *config, opener_done *done, void *data,
	       struct opener **opener) _must_check_;
void opener_free(struct opener *opener);
DEFINE_CLEANUP(struct opener *, opener_free)

/* The port was lost, and is closed: it is to be opened again. */
void opener_lost(struct opener *opener, const char *why);

/* What was last in the way; "" since the port is open, or before it was tried. */
const char *opener_trouble(const struct opener *opener);
