/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - a serial port: opened, set, locked; bytes in and out without waiting. */
#include "field/port.h"
#include "base/units.h"
#include "config/port_spec.h"
#include "field/port_name.h"
#include "field/serial.h"
#include "field/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

enum port_way {
	WAY_SERIAL,   /* a real port, by libserialport */
	WAY_TERMINAL, /* a pseudo-terminal, by termios */
	WAY_SOCKET,   /* a converter on the network */
};

struct port {
	enum port_way way;
	struct serial *serial; /* NULL for another way */
	int fd;                /* the serial's, or our own */
	struct line_errors before; /* as counted until the port was opened */
};

static const struct {
	uint32_t baud;
	speed_t speed;
} speeds[] = {
	{ 110, B110 },       { 300, B300 },       { 600, B600 },       { 1200, B1200 },
	{ 2400, B2400 },     { 4800, B4800 },     { 9600, B9600 },     { 19200, B19200 },
	{ 38400, B38400 },   { 57600, B57600 },   { 115200, B115200 }, { 230400, B230400 },
	{ 460800, B460800 }, { 500000, B500000 }, { 921600, B921600 }, { 1000000, B1000000 },
};

void port_say(char trouble[PORT_TROUBLE_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(trouble, PORT_TROUBLE_MAX, format, arguments);
	va_end(arguments);
}

uint32_t port_terminal_baud(const struct termios *termios)
{
	for (size_t i = 0; i < ARRAY_SIZE(speeds); i++)
		if (speeds[i].speed == cfgetospeed(termios))
			return speeds[i].baud;
	return 0;
}

/* --- a pseudo-terminal --- */

static bool is_pseudo_terminal(const char *path)
{
	_cleanup_free_ char *real = realpath(path, NULL);

	return real && !strncmp(real, "/dev/pts/", 9);
}

/*
 * Parity is left out: the kernel refuses it on a pseudo-terminal, where it would mean
 * nothing. A speed that termios has no name for is left as it is, for the same reason.
 */
static int set_terminal(int fd, const struct bus_config *bus)
{
	struct termios wanted, found;

	if (tcgetattr(fd, &wanted) < 0)
		return -errno;
	cfmakeraw(&wanted);
	wanted.c_cflag |= CLOCAL | CREAD;
	wanted.c_cc[VMIN] = 1;
	wanted.c_cc[VTIME] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(speeds); i++)
		if (speeds[i].baud == bus->baud)
			cfsetspeed(&wanted, speeds[i].speed);
	if (tcsetattr(fd, TCSANOW, &wanted) < 0 || tcgetattr(fd, &found) < 0)
		return -errno;
	if (found.c_lflag != wanted.c_lflag || found.c_iflag != wanted.c_iflag ||
	    found.c_oflag != wanted.c_oflag || cfgetispeed(&found) != cfgetispeed(&wanted))
		return -EINVAL;
	return 0;
}

static int open_terminal(struct port *port, const char *path, const struct bus_config *bus,
			 char trouble[PORT_TROUBLE_MAX])
{
	int r;

	port->fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (port->fd < 0) {
		r = -errno;
		port_say(trouble, "can't open it: %s", strerror(-r));
		return r;
	}
	r = set_terminal(port->fd, bus);
	if (r < 0)
		port_say(trouble, "it does not take its settings: %s", strerror(-r));
	return r;
}

/* In milliseconds, as the kernel counts, and not less than was asked for. */
static uint32_t whole_ms(uint64_t usec)
{
	return (uint32_t)((usec + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

/*
 * RS-485 by the kernel's driver, which turns the transceiver round. Most USB adapters do that
 * by themselves, and their drivers know no such call: in mode auto that is as good. In mode
 * rts it is turned by whoever sends.
 */
static int set_rs485(struct port *port, const struct bus_config *bus,
		     char trouble[PORT_TROUBLE_MAX])
{
	struct serial_rs485 rs485 = {
		.flags = SER_RS485_ENABLED | SER_RS485_RTS_ON_SEND,
		.delay_rts_before_send = whole_ms(bus->rts_before_us),
		.delay_rts_after_send = whole_ms(bus->rts_after_us),
	};
	int r;

	switch (bus->rs485) {
	case RS485_NONE:
		return 0;
	case RS485_RTS:
		r = port_set_rts(port, false);
		if (r < 0)
			port_say(trouble, "it has no RTS (%s); use rs485: {mode: auto}",
				 strerror(-r));
		return r;
	case RS485_AUTO:
	case RS485_KERNEL:
		break;
	}
	if (ioctl(port->fd, TIOCSRS485, &rs485) == 0 || bus->rs485 == RS485_AUTO)
		return 0;
	port_say(trouble, "its driver has no RS-485 mode (%s); use rs485: {mode: auto}",
		 strerror(errno));
	return -ENOTSUP;
}

/* --- both --- */

static struct line_errors count_line_errors(const struct port *port)
{
	struct serial_icounter_struct counts;

	if (ioctl(port->fd, TIOCGICOUNT, &counts) < 0)
		return (struct line_errors){0};
	return (struct line_errors){
		.framing = counts.frame,
		.parity = counts.parity,
		.overrun = counts.overrun + counts.buf_overrun,
		.breaks = counts.brk,
	};
}

/* Many drivers hold bytes back for some milliseconds, to save interrupts. */
static void set_low_latency(const struct port *port)
{
	struct serial_struct serial;

	if (ioctl(port->fd, TIOCGSERIAL, &serial) < 0 || serial.flags & ASYNC_LOW_LATENCY)
		return;
	serial.flags |= ASYNC_LOW_LATENCY;
	ioctl(port->fd, TIOCSSERIAL, &serial);
}

static int resolve(const struct bus_config *bus, char **path, char trouble[PORT_TROUBLE_MAX])
{
	int r = port_name_resolve(bus->port, path);

	if (r == -ENOENT)
		port_say(trouble, "not there");
	else if (r == -ENOTUNIQ)
		port_say(trouble, "several adapters fit: postbus ports shows their names");
	else if (r < 0)
		port_say(trouble, "%s", strerror(-r));
	return r;
}

static int open_device(struct port *port, const struct bus_config *bus,
		       char trouble[PORT_TROUBLE_MAX])
{
	_cleanup_free_ char *path = NULL;
	int r = resolve(bus, &path, trouble);

	if (r < 0)
		return r;
	port->way = is_pseudo_terminal(path) ? WAY_TERMINAL : WAY_SERIAL;
	r = port->way == WAY_TERMINAL ? open_terminal(port, path, bus, trouble)
				      : serial_open(path, bus, &port->serial, &port->fd, trouble);
	if (r < 0)
		return r;
	/* TIOCEXCL does not stop root; this does stop a second gateway. */
	if (flock(port->fd, LOCK_EX | LOCK_NB) < 0) {
		port_say(trouble, "another program has locked it");
		return -EBUSY;
	}
	set_low_latency(port);
	return set_rs485(port, bus, trouble);
}

static int open_socket(struct port *port, const struct bus_config *bus,
		       char trouble[PORT_TROUBLE_MAX])
{
	port->way = WAY_SOCKET;
	if (bus->rs485 == RS485_KERNEL || bus->rs485 == RS485_RTS) {
		port_say(trouble, "a converter turns its line round by itself; use rs485: "
				  "{mode: auto}");
		return -ENOTSUP;
	}
	return tcp_connect(bus->port, &port->fd, trouble);
}

int port_open(const struct bus_config *bus, struct port **result,
	      char trouble[PORT_TROUBLE_MAX])
{
	_cleanup_(port_closep) struct port *port = calloc(1, sizeof(*port));
	int r;

	port_say(trouble, "%s", strerror(ENOMEM));
	if (!port)
		return -ENOMEM;
	port->fd = -1;
	if (port_spec_kind(bus->port) == PORT_TCP) {
		r = open_socket(port, bus, trouble);
	} else {
		r = open_device(port, bus, trouble);
	}
	if (r < 0)
		return r;
	port_drain(port);
	port->before = count_line_errors(port);
	*result = TAKE_PTR(port);
	return 0;
}

void port_close(struct port *port)
{
	if (!port)
		return;
	if (port->serial)
		serial_close(port->serial);
	else
		closep(&port->fd);
	free(port);
}

int port_fd(const struct port *port)
{
	return port->fd;
}

ssize_t port_read(struct port *port, uint8_t *bytes, size_t size)
{
	ssize_t n;

	if (port->serial)
		return serial_read(port->serial, bytes, size);
	n = read(port->fd, bytes, size);
	if (n > 0)
		return n;
	if (n == 0)
		return -EIO;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

ssize_t port_write(struct port *port, const uint8_t *bytes, size_t n)
{
	ssize_t written;

	if (port->serial)
		return serial_write(port->serial, bytes, n);
	if (port->way == WAY_SOCKET)
		written = send(port->fd, bytes, n, MSG_NOSIGNAL);
	else
		written = write(port->fd, bytes, n);
	if (written >= 0)
		return written;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int port_set_rts(struct port *port, bool on)
{
	const int rts = TIOCM_RTS;

	return ioctl(port->fd, on ? TIOCMBIS : TIOCMBIC, &rts) < 0 ? -errno : 0;
}

bool port_is_sent(const struct port *port)
{
	int state = 0;

	return ioctl(port->fd, TIOCSERGETLSR, &state) < 0 || state & TIOCSER_TEMT;
}

void port_drain(struct port *port)
{
	uint8_t bytes[256];

	if (port->way != WAY_SOCKET)
		tcflush(port->fd, TCIFLUSH);
	else
		while (recv(port->fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
}

struct line_errors port_line_errors(const struct port *port)
{
	struct line_errors now = count_line_errors(port);

	return (struct line_errors){
		.framing = now.framing - port->before.framing,
		.parity = now.parity - port->before.parity,
		.overrun = now.overrun - port->before.overrun,
		.breaks = now.breaks - port->before.breaks,
	};
}
