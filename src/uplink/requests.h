/* SPDX-License-Identifier: Apache-2.0 */
/* requests.h - what other processes ask the uplink for: messages given up or sent, commands. */
#pragma once

#include "uplink/commands.h"

#define REQUESTS_SOCKET "control"

/*
 * Listens as REQUESTS_SOCKET in the spool's directory as long as the loop runs (control.h). The
 * verbs are in postbus-spool(5). Spool and commands must outlive it. 0 or -errno.
 */
struct requests;
int requests_new(sd_event *loop, const char *directory, struct spool *spool,
		 struct commands *commands, struct requests **requests) _must_check_;
void requests_free(struct requests *requests);
DEFINE_CLEANUP(struct requests *, requests_free)
