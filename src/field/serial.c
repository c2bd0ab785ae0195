/* SPDX-License-Identifier: Apache-2.0 */
/* serial.c - real serial ports, as libserialport has them: which there are, and how they are set. */
#include "field/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <libserialport.h>
#include <string.h>

/* --- settings --- */

static int serial_trouble(enum sp_return rc, const char *what,
			  char trouble[PORT_TROUBLE_MAX])
{
	int error = rc == SP_ERR_FAIL && errno ? errno : EINVAL;
	char *message = rc == SP_ERR_FAIL ? sp_last_error_message() : NULL;

	port_say(trouble, "%s: %s", what, message ? message : strerror(error));
	sp_free_error_message(message);
	return -error;
}

static enum sp_parity serial_parity(char parity)
{
	switch (parity) {
	case 'E':
		return SP_PARITY_EVEN;
	case 'O':
		return SP_PARITY_ODD;
	default:
		return SP_PARITY_NONE;
	}
}

/* XON/XOFF first of all: with it on, two byte values never arrive. */
static enum sp_return set_serial(struct sp_port *serial, const struct bus_config *bus)
{
	enum sp_return rc = sp_set_flowcontrol(serial, SP_FLOWCONTROL_NONE);

	if (rc == SP_OK)
		rc = sp_set_baudrate(serial, bus->baud);
	if (rc == SP_OK)
		rc = sp_set_bits(serial, bus->format.data_bits);
	if (rc == SP_OK)
		rc = sp_set_parity(serial, serial_parity(bus->format.parity));
	if (rc == SP_OK)
		rc = sp_set_stopbits(serial, bus->format.stop_bits);
	return rc;
}

static int check_serial(struct sp_port *serial, const struct bus_config *bus,
			char trouble[PORT_TROUBLE_MAX])
{
	struct sp_port_config *config;
	enum sp_parity parity = SP_PARITY_INVALID;
	int baud = 0, bits = 0, stop_bits = 0;

	if (sp_new_config(&config) != SP_OK)
		return -ENOMEM;
	if (sp_get_config(serial, config) == SP_OK) {
		sp_get_config_baudrate(config, &baud);
		sp_get_config_bits(config, &bits);
		sp_get_config_parity(config, &parity);
		sp_get_config_stopbits(config, &stop_bits);
	}
	sp_free_config(config);
	if (baud == (int)bus->baud && bits == bus->format.data_bits &&
	    parity == serial_parity(bus->format.parity) && stop_bits == bus->format.stop_bits)
		return 0;
	port_say(trouble, "it does not take %u %u%c%u: it says %d baud, %d bits, %d stop bits",
	    bus->baud, bus->format.data_bits, bus->format.parity, bus->format.stop_bits, baud,
	    bits, stop_bits);
	return -EINVAL;
}

struct serial {
	struct sp_port *port;
};

int serial_open(const char *path, const struct bus_config *bus, struct serial **result, int *fd,
		char trouble[PORT_TROUBLE_MAX])
{
	_cleanup_(serial_closep) struct serial *serial = calloc(1, sizeof(*serial));
	_cleanup_free_ char *real = NULL;
	enum sp_return rc;
	int r;

	if (!serial)
		return -ENOMEM;
	/* libserialport finds a port by the name that the kernel gave it, not by a link. */
	real = realpath(path, NULL);
	if (!real) {
		r = -errno;
		port_say(trouble, "%s", strerror(-r));
		return r;
	}
	rc = sp_get_port_by_name(real, &serial->port);
	if (rc == SP_ERR_ARG) {
		port_say(trouble, "no serial port");
		return -ENOTTY;
	}
	if (rc != SP_OK)
		return serial_trouble(rc, "no serial port", trouble);
	rc = sp_open(serial->port, SP_MODE_READ_WRITE);
	if (rc != SP_OK)
		return serial_trouble(rc, "can't open it", trouble);
	if (sp_get_port_handle(serial->port, fd) != SP_OK)
		return -EBADF;
	/* libserialport 0.1.1 leaves it open across exec. */
	fcntl(*fd, F_SETFD, FD_CLOEXEC);
	rc = set_serial(serial->port, bus);
	if (rc != SP_OK)
		return serial_trouble(rc, "it does not take its settings", trouble);
	r = check_serial(serial->port, bus, trouble);
	if (r < 0)
		return r;
	*result = TAKE_PTR(serial);
	return 0;
}

void serial_close(struct serial *serial)
{
	if (!serial)
		return;
	if (serial->port) {
		sp_close(serial->port);
		sp_free_port(serial->port);
	}
	free(serial);
}

/* --- bytes --- */

static ssize_t serial_result(enum sp_return rc)
{
	if (rc >= 0)
		return rc;
	/* A full buffer is SP_ERR_FAIL with EAGAIN in libserialport 0.1.1. */
	if (rc == SP_ERR_FAIL && (errno == EAGAIN || errno == EINTR))
		return 0;
	return rc == SP_ERR_FAIL && errno ? -errno : -EIO;
}

ssize_t serial_read(struct serial *serial, uint8_t *bytes, size_t size)
{
	return serial_result(sp_nonblocking_read(serial->port, bytes, size));
}

ssize_t serial_write(struct serial *serial, const uint8_t *bytes, size_t n)
{
	return serial_result(sp_nonblocking_write(serial->port, bytes, n));
}

/* --- which there are --- */

static char *copy(const char *text)
{
	return text && *text ? strdup(text) : NULL;
}

static void describe(const struct sp_port *from, struct serial_info *info)
{
	info->path = copy(sp_get_port_name(from));
	info->description = copy(sp_get_port_description(from));
	info->usb = sp_get_port_transport(from) == SP_TRANSPORT_USB &&
		    sp_get_port_usb_vid_pid(from, &info->vid, &info->pid) == SP_OK;
	if (!info->usb)
		return;
	sp_get_port_usb_bus_address(from, &info->bus, &info->address);
	info->manufacturer = copy(sp_get_port_usb_manufacturer(from));
	info->product = copy(sp_get_port_usb_product(from));
	info->serial = copy(sp_get_port_usb_serial(from));
}

int serial_list(struct serial_info **result, size_t *count)
{
	struct serial_info *infos = NULL;
	struct sp_port **ports;
	enum sp_return rc = sp_list_ports(&ports);
	size_t n = 0;

	if (rc != SP_OK)
		return rc == SP_ERR_MEM ? -ENOMEM : -EIO;
	while (ports[n])
		n++;
	infos = calloc(n + 1, sizeof(*infos));
	for (size_t i = 0; infos && i < n; i++)
		describe(ports[i], &infos[i]);
	sp_free_port_list(ports);
	if (!infos)
		return -ENOMEM;
	*result = infos;
	*count = n;
	return 0;
}

void serial_list_free(struct serial_info *infos, size_t count)
{
	for (size_t i = 0; infos && i < count; i++) {
		free(infos[i].path);
		free(infos[i].description);
		free(infos[i].manufacturer);
		free(infos[i].product);
		free(infos[i].serial);
	}
	free(infos);
}
