/* SPDX-License-Identifier: Apache-2.0 */
/* tcp.h - a connection to a serial converter on the network. */
#pragma once

#include "field/port.h"

/*
 * Connects to tcp://HOST:PORT, which can take as long as names are looked up and five seconds
 * for each address. *fd does not block, is kept alive, and is the caller's. 0 or -errno, and
 * `trouble` says why.
 */
int tcp_connect(const char *port, int *fd, char trouble[PORT_TROUBLE_MAX]) _must_check_;
