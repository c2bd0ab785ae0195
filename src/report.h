/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - the socket by which a running gateway tells how it is. */
#pragma once

#include "config/config.h"
#include "field/bus.h"
#include "field/listener.h"
#include "uplink/uplink.h"

/*
 * It is served by the field side's loop, which has all that there is to know of buses and
 * devices, and answers from what is there: the uplink's state is that of the last second. Each
 * answer is of one device at most, so that the wires do not wait for it.
 *
 *     ▶ {"verb":"status"}
 *     ◀ {"gateway":"barn",…,"link":{…},"session":{…},"spool":{…},"clock":{…},
 *        "buses":["cellar"],"ok":true}
 *     ▶ {"verb":"bus","bus":"cellar"}
 *     ◀ {"bus":{"bus":"cellar",…,"devices":["meter-1"]},"ok":true}
 *     ▶ {"verb":"device","bus":"cellar","device":"meter-1"}
 *     ◀ {"device":{"device":"meter-1",…,"points":{…}},"ok":true}
 */
struct report;

/* What became of the last reload. */
struct reload_state {
	unsigned times; /* 0: there was none */
	bool failed;    /* the configuration before it goes on */
	int64_t at_ms;  /* CLOCK_REALTIME */
	size_t faults;
	char why[512];  /* the first of them */
};

/* What is told of. Of each bus of the configuration one of the two is there, the other NULL. */
struct report_subject {
	const struct config *config;
	struct bus *const *buses;
	struct listener *const *listeners;
	struct uplink *uplink;
	const struct reload_state *reload;
};

/*
 * Listens as REPORT_SOCKET in the runtime directory as long as the loop runs; REPORT_LINK in
 * the spool's directory leads there, for those who know the gateway by its configuration. It is
 * the socket itself where there is no runtime directory, or another gateway has it. The subject
 * must outlive it, and may become another one, of the same spool. 0 or -errno.
 */
int report_new(sd_event *loop, const struct report_subject *subject,
	       struct report **report) _must_check_;
void report_free(struct report *report);
DEFINE_CLEANUP(struct report *, report_free)

#define REPORT_SOCKET "control"
#define REPORT_LINK "status"

/* $RUNTIME_DIRECTORY, of several the first, or /run/postbus. */
void report_directory(char *path, size_t size);
