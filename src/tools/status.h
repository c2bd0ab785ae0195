/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - what a running gateway tells of itself, asked for and shown. */
#pragma once

#include "base/cleanup.h"

#include <cjson/cJSON.h>

/* Where the gateway's socket may be: `runtime` is looked at first; either may be NULL. */
struct status_place {
	char *runtime, *spool;
};

/*
 * Of the gateway with this configuration, or, where `config` is NULL, of the one that has the
 * runtime directory, or else the configuration in its usual place. 0; -EINVAL: the
 * configuration has faults, which were printed; or -errno. status_place_done() in either case.
 */
int status_find(const char *config, struct status_place *place) _must_check_;
void status_place_done(struct status_place *place);

/* A descriptor, to be closed; -ENOENT or -ECONNREFUSED: none is running; or -errno. */
int status_connect(const struct status_place *place) _must_check_;

/*
 * Asks the gateway at the socket for its state, with all its buses and their devices: the JSON
 * that `postbus status --json` prints, the caller's to be deleted. 0 or -errno.
 */
int status_ask(int fd, cJSON **status) _must_check_;

/* Why there is no status, in words, of what status_connect() or status_ask() returned. */
const char *status_trouble(int error);

/* Prints it for people, no line wider than 80 columns. */
void status_print(const cJSON *status);
