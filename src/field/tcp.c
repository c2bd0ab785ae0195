/* SPDX-License-Identifier: Apache-2.0 */
/* tcp.c - a connection to a serial converter on the network. */
#include "field/tcp.h"
#include "config/port_spec.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CONNECT_MS = 5000,
	/* A converter that lost its power is noticed this long after it last was heard. */
	IDLE_S = 10,
	PROBE_S = 5,
	PROBES = 3,
	UNSENT_MS = 10000,
};

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

static int connect_to(const struct addrinfo *address, int *result)
{
	_cleanup_close_ int fd = socket(address->ai_family,
					SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd event = {.fd = fd, .events = POLLOUT};
	int error = 0, n;

	if (fd < 0)
		return -errno;
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNSENT_MS);
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)
		return -errno;
	do
		n = poll(&event, 1, CONNECT_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof(error)}) < 0)
		return -errno;
	if (error)
		return -error;
	*result = TAKE_FD(fd);
	return 0;
}

int tcp_connect(const char *port, int *fd, char trouble[PORT_TROUBLE_MAX])
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	_cleanup_free_ char *host = NULL, *service = NULL;
	struct addrinfo *addresses;
	int r = port_spec_tcp(port, &host, &service);

	if (r < 0) {
		port_say(trouble, "%s", r == -EINVAL ? port_spec_check(port) : strerror(-r));
		return r;
	}
	r = getaddrinfo(host, service, &hints, &addresses);
	if (r) {
		port_say(trouble, "%s: %s", host, gai_strerror(r));
		return -EHOSTUNREACH;
	}
	r = -EHOSTUNREACH;
	for (const struct addrinfo *address = addresses; address && r < 0;
	     address = address->ai_next)
		r = connect_to(address, fd);
	freeaddrinfo(addresses);
	if (r < 0)
		port_say(trouble, "can't connect: %s", strerror(-r));
	return r;
}
