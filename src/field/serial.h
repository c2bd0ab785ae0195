/* SPDX-License-Identifier: Apache-2.0 */
/* serial.h - real serial ports: which there are, and how they are set. */
#pragma once

#include "field/port.h"

struct serial;

/*
 * Opens the port at `path`, a device or a link to one, with the bus's settings, and reads them
 * back. `*fd` is its descriptor, and remains its. On failure -errno, and `trouble` says why.
 */
int serial_open(const char *path, const struct bus_config *bus, struct serial **serial, int *fd,
		char trouble[PORT_TROUBLE_MAX]) _must_check_;
void serial_close(struct serial *serial);
DEFINE_CLEANUP(struct serial *, serial_close)

/* As port_read() and port_write(). */
ssize_t serial_read(struct serial *serial, uint8_t *bytes, size_t size) _must_check_;
ssize_t serial_write(struct serial *serial, const uint8_t *bytes, size_t n) _must_check_;

/* A port of this machine. Texts are NULL where the system knows none. */
struct serial_info {
	char *path; /* as the kernel calls it: /dev/ttyUSB0 */
	char *description;
	bool usb; /* what follows is of USB adapters */
	int vid, pid, bus, address;
	char *manufacturer, *product, *serial;
};

/* All that there are, in no order; to be freed with serial_list_free(). 0 or -errno. */
int serial_list(struct serial_info **infos, size_t *count) _must_check_;
void serial_list_free(struct serial_info *infos, size_t count);
