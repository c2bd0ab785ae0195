/* SPDX-License-Identifier: Apache-2.0 */
/* daemon_state.h - what the files that make up the daemon share; nobody else's business. */
#pragma once

#include "buses.h"
#include "dispatch.h"
#include "report.h"

struct daemon {
	struct config *config;
	struct buses buses; /* of the configuration */
	struct queue *queue;
	struct command_ring *commands;
	struct dispatch *dispatch;
	struct uplink *uplink;
	sd_event *loop;
	struct timedate *timedate; /* NULL: the kernel tells of the clock */
	struct report_subject subject; /* of report and metrics, as things are now */
	struct report *report; /* NULL: nobody can ask how it is */
	struct metrics *metrics; /* NULL: none are wanted */
	struct conf *begun_with; /* has what can't change while the gateway runs */
	struct reload *reload;
	uint64_t watchdog_us; /* 0: systemd wants none */
	uint64_t turns_seen;  /* of the uplink, when last looked at */
	bool ending;
	size_t leaving; /* buses that end what they have in hand, and one for who asks them to */
};

/* daemon.c - takes a message from the field side; `daemon` is the data of a mapping_sink. */
void daemon_take_message(void *daemon, const struct message *message);
/* The i-th bus of a configuration runs, as one of these. 0 or -errno. */
int daemon_start_bus(struct daemon *daemon, struct buses *buses, size_t i,
		     const struct config *config) _must_check_;
/* Tells those who are to know of it what the configuration is. 0 or -errno. */
int daemon_tell_config(struct daemon *daemon) _must_check_;
/* Tells systemd how we are, with what else there is to tell in front of it, or "". */
void daemon_tell_systemd(struct daemon *daemon, const char *first);

/* ending.c - the loop ends, as soon as the buses have: at once where it is asked to again. */
int daemon_end(struct daemon *daemon);

/* reload.c - SIGHUP has the configuration read anew. */
struct reload;
int reload_new(struct daemon *daemon, struct reload **reload) _must_check_;
void reload_free(struct reload *reload);
const struct reload_state *reload_state(const struct reload *reload);
