/* SPDX-License-Identifier: Apache-2.0 */
/* status.h - what a running gateway tells of itself, asked for and shown. */
#pragma once

#include <cjson/cJSON.h>

/*
 * Asks the gateway at the socket for its state, with all its buses and their devices: the JSON
 * that `postbus status --json` prints, the caller's to be deleted. 0 or -errno.
 */
int status_ask(int fd, cJSON **status) __attribute__((warn_unused_result));

/*
 * Connects to the gateway with this configuration, or, where `config` is NULL, to the one that
 * has the runtime directory, or else the configuration in its usual place. A descriptor, to be
 * closed. -ENOENT or -ECONNREFUSED: none is running; -EINVAL: the configuration has faults,
 * which were printed; -errno.
 */
int status_connect(const char *config) __attribute__((warn_unused_result));

/* Prints it for people, no line wider than 80 columns. */
void status_print(const cJSON *status);
