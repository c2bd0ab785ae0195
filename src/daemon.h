/* SPDX-License-Identifier: Apache-2.0 */
/* daemon.h - the gateway: wires the field side and the uplink side together. */
#pragma once

/*
 * Runs the gateway with the configuration in `file` until SIGTERM or SIGINT. Returns the
 * exit status: 0, or as sysexits.h has them (EX_CONFIG: the configuration has faults, which
 * were written to stderr).
 */
int daemon_run(const char *file);
