/* SPDX-License-Identifier: Apache-2.0 */
/* port_name.h - what a serial port is called: by people, for good, and by the kernel now. */
#pragma once

#include "field/serial.h"

/*
 * The port that usb:VID:PID[:SERIAL] names among those that there are: its index; -ENOENT,
 * or -ENOTUNIQ where several adapters fit.
 */
ssize_t port_name_find(const char *name, const struct serial_info *infos, size_t count);

/* The path of the port that has this name now: a new string. 0 or -errno, as above. */
int port_name_resolve(const char *name, char **path) _must_check_;

/*
 * The name to configure a port by, which it keeps in other sockets and after other adapters
 * were plugged in: its link in `links` (PORT_LINKS), else usb:VID:PID[:SERIAL] where no other
 * adapter is called so, else its path. A new string; NULL: memory is short.
 */
#define PORT_LINKS "/dev/serial/by-id"
char *port_name_stable(const struct serial_info *infos, size_t count, size_t index,
		       const char *links);

/* The process that has locked the port as port_open() does; 0: none. It is not opened. */
pid_t port_locked_by(const char *path);
