/* SPDX-License-Identifier: Apache-2.0 */
/* port_spec.h - what a user calls a port: a path, a USB adapter, or a converter on the network. */
#pragma once

#include "base/cleanup.h"

enum port_kind {
	PORT_PATH, /* /dev/… */
	PORT_USB,  /* usb:VID:PID[:SERIAL] */
	PORT_TCP,  /* tcp://HOST:PORT: bytes as they are on the wire */
};

enum port_kind port_spec_kind(const char *port);

/* What is wrong with it and what would be right, for people; NULL: nothing. */
const char *port_spec_check(const char *port);

/* Takes usb:VID:PID[:SERIAL] apart; *serial points into `port`, NULL: any. 0 or -EINVAL. */
int port_spec_usb(const char *port, int *vid, int *pid, const char **serial) _must_check_;

/* Takes tcp://HOST:PORT apart, into new strings. 0, -EINVAL or -ENOMEM. */
int port_spec_tcp(const char *port, char **host, char **service) _must_check_;
