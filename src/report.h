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

/* What is told of. Of each bus of the configuration one of the two is there, the other NULL. */
struct report_subject {
	const struct config *config;
	struct bus *const *buses;
	struct listener *const *listeners;
	struct uplink *uplink;
};

/*
 * Listens as REPORT_SOCKET in the runtime directory as long as the loop runs; REPORT_LINK in
 * the spool's directory leads there, for those who know the gateway by its configuration. It is
 * the socket itself where there is no runtime directory, or another gateway has it. What the
 * subject points to must outlive it. 0 or -errno.
 */
int report_new(sd_event *loop, const struct report_subject *subject,
	       struct report **report) _must_check_;
void report_free(struct report *report);
DEFINE_CLEANUP(struct report *, report_free)

#define REPORT_SOCKET "control"
#define REPORT_LINK "status"

/* $RUNTIME_DIRECTORY, of several the first, or /run/postbus. */
void report_directory(char *path, size_t size);
