/* SPDX-License-Identifier: Apache-2.0 */
/* port_spec.c - what a user calls a port: a path, a USB adapter, or a converter on the network. */
#include "config/port_spec.h"

#include <errno.h>
#include <string.h>

static const char usb[] = "usb:", tcp[] = "tcp://";

enum port_kind port_spec_kind(const char *port)
{
	if (!strncmp(port, usb, strlen(usb)))
		return PORT_USB;
	return strncmp(port, tcp, strlen(tcp)) ? PORT_PATH : PORT_TCP;
}

int port_spec_usb(const char *port, int *vid, int *pid, const char **serial)
{
	unsigned vendor, product;
	int end = 0;

	if (sscanf(port, "usb:%4x:%4x%n", &vendor, &product, &end) < 2 || !end)
		return -EINVAL;
	if (port[end] && (port[end] != ':' || !port[end + 1]))
		return -EINVAL;
	*vid = (int)vendor;
	*pid = (int)product;
	*serial = port[end] ? port + end + 1 : NULL;
	return 0;
}

/* An IPv6 address stands in brackets: tcp://[fd00::7]:502. */
int port_spec_tcp(const char *port, char **host, char **service)
{
	const char *begin = port + strlen(tcp), *colon = strrchr(port, ':'), *end = colon;
	unsigned number;
	int used = 0;

	if (port_spec_kind(port) != PORT_TCP || end <= begin ||
	    sscanf(colon + 1, "%5u%n", &number, &used) < 1 || colon[1 + used] || !number ||
	    number > 65535)
		return -EINVAL;
	if (*begin == '[' && end[-1] == ']') {
		begin++;
		end--;
	} else if (memchr(begin, ':', (size_t)(end - begin))) {
		return -EINVAL;
	}
	*host = strndup(begin, (size_t)(end - begin));
	*service = strdup(colon + 1);
	if (*host && *service)
		return 0;
	free(*host);
	free(*service);
	*host = *service = NULL;
	return -ENOMEM;
}

const char *port_spec_check(const char *port)
{
	_cleanup_free_ char *host = NULL, *service = NULL;
	const char *serial;
	int vid, pid;

	switch (port_spec_kind(port)) {
	case PORT_USB:
		return port_spec_usb(port, &vid, &pid, &serial) < 0
			       ? "a USB adapter is usb:VID:PID or usb:VID:PID:SERIAL, such as "
				 "usb:0403:6001"
			       : NULL;
	case PORT_TCP:
		return port_spec_tcp(port, &host, &service) == -EINVAL
			       ? "a converter on the network is tcp://HOST:PORT, such as "
				 "tcp://192.168.1.50:4196"
			       : NULL;
	case PORT_PATH:
		break;
	}
	return port[0] == '/' ? NULL
			      : "a port is a path (/dev/serial/by-id/… keeps its name in every "
				"socket), usb:VID:PID or tcp://HOST:PORT";
}
