/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - a serial port: opened, set, locked; bytes in and out without waiting. */
#pragma once

#include "config/bus_config.h"
#include "field/stats.h"

#include <sys/types.h>
#include <termios.h>

struct port;

enum { PORT_TROUBLE_MAX = 160 };

/* The speed that a terminal is set to, in baud; 0: one that has no name in termios. */
uint32_t port_terminal_baud(const struct termios *termios);

/* Writes what is wrong, for people. */
void port_say(char trouble[PORT_TROUBLE_MAX], const char *format, ...) _printf_(2, 3);

/*
 * Opens the bus's port, locks it against a second gateway, applies its settings and reads
 * them back. Real serial ports go through libserialport; a pseudo-terminal, which it refuses,
 * through termios. A converter on the network is connected to, and that alone takes time
 * (tcp.h). On failure -errno, and `trouble` says for people what it was.
 */
int port_open(const struct bus_config *bus, struct port **port,
	      char trouble[PORT_TROUBLE_MAX]) _must_check_;
void port_close(struct port *port);
DEFINE_CLEANUP(struct port *, port_close)

/* The descriptor, for the event loop. Hang-up or an error there: close the port. */
int port_fd(const struct port *port);

/* Bytes read, 0 when there are none now, -errno (-EIO: the device is gone). */
ssize_t port_read(struct port *port, uint8_t *bytes, size_t size) _must_check_;
/* Bytes taken, which may be fewer than given, or none; -errno. */
ssize_t port_write(struct port *port, const uint8_t *bytes, size_t n) _must_check_;
/* Switches the line RTS; -errno where there is none. */
int port_set_rts(struct port *port, bool on) _must_check_;
/* Whether the last bit has left, as far as the driver tells; true where it does not. */
bool port_is_sent(const struct port *port);
/* Throws away what was received and not read. */
void port_drain(struct port *port);
/* As the driver has counted them since the port is open (TIOCGICOUNT); 0 where it does not. */
struct line_errors port_line_errors(const struct port *port);
