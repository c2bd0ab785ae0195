/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.c - a link that can be cut: a TCP proxy on loopback. */
#include "tools/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
	CONNECTIONS_MAX = 8,
	CHUNK = 16 * 1024,
};

/* One connection: what comes from one end goes to the other. */
struct connection {
	struct proxy *proxy;
	int fds[2]; /* client, server: as enum proxy_way counts */
	sd_event_source *sources[2];
};

struct proxy {
	sd_event *loop;
	sd_event_source *source;
	int listener;
	uint16_t port, target;
	bool cut;
	size_t left[2]; /* bytes that still pass to the client, to the server; 0: no limit */
	struct connection connections[CONNECTIONS_MAX];
};

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

/* A socket that listens on a loopback port (0: a free one, which *port tells). */
static int listen_on(uint16_t *port)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = loopback(*port);
	socklen_t length = sizeof(address);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 16) < 0 || getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	*port = ntohs(address.sin_port);
	return TAKE_FD(fd);
}

int free_port(void)
{
	uint16_t port = 0;
	_cleanup_close_ int fd = listen_on(&port);

	return fd < 0 ? fd : port;
}

static void connection_close(struct connection *connection)
{
	for (size_t i = 0; i < 2; i++) {
		connection->sources[i] =
			sd_event_source_disable_unref(connection->sources[i]);
		closep(&connection->fds[i]);
		connection->fds[i] = -1;
	}
}

static int on_data(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		   void *data)
{
	struct connection *connection = data;
	size_t to = fd == connection->fds[0], *left = &connection->proxy->left[to];
	char chunk[CHUNK];
	ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
	bool is_last = n > 0 && *left && (size_t)n >= *left;

	if (is_last)
		n = *left;
	if (n > 0 && *left)
		*left -= n;
	/* The other end takes it all: it reads, and these are small. */
	if (n <= 0 || send(connection->fds[to], chunk, n, MSG_NOSIGNAL) != n || is_last)
		connection_close(connection);
	return 0;
}

static int connect_through(struct proxy *proxy, struct connection *connection)
{
	struct sockaddr_in address = loopback(proxy->target);
	int r = 0;

	connection->proxy = proxy;
	connection->fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fds[1] < 0 ||
	    connect(connection->fds[1], (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	for (size_t i = 0; i < 2 && r >= 0; i++)
		r = sd_event_add_io(proxy->loop, &connection->sources[i], connection->fds[i],
				    EPOLLIN, on_data, connection);
	return r;
}

static int on_accept(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		     void *data)
{
	struct proxy *proxy = data;
	int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = 0; client >= 0 && !proxy->cut && i < CONNECTIONS_MAX; i++) {
		struct connection *connection = &proxy->connections[i];

		if (connection->fds[0] >= 0)
			continue;
		connection->fds[0] = TAKE_FD(client);
		if (connect_through(proxy, connection) < 0)
			connection_close(connection);
	}
	closep(&client);
	return 0;
}

void proxy_cut(struct proxy *proxy, bool cut)
{
	proxy->cut = cut;
	for (size_t i = 0; cut && i < CONNECTIONS_MAX; i++)
		connection_close(&proxy->connections[i]);
}

void proxy_cut_after(struct proxy *proxy, enum proxy_way way, size_t bytes)
{
	proxy->left[way] = bytes;
}

uint16_t proxy_port(const struct proxy *proxy)
{
	return proxy->port;
}

int proxy_new(sd_event *loop, uint16_t port, struct proxy **result)
{
	_cleanup_(proxy_freep) struct proxy *proxy = calloc(1, sizeof(*proxy));
	int r;

	if (!proxy)
		return -ENOMEM;
	proxy->loop = sd_event_ref(loop);
	proxy->target = port;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		proxy->connections[i].fds[0] = proxy->connections[i].fds[1] = -1;
	proxy->listener = listen_on(&proxy->port);
	if (proxy->listener < 0)
		return proxy->listener;
	r = sd_event_add_io(loop, &proxy->source, proxy->listener, EPOLLIN, on_accept, proxy);
	if (r < 0)
		return r;
	*result = TAKE_PTR(proxy);
	return 0;
}

void proxy_free(struct proxy *proxy)
{
	if (!proxy)
		return;
	proxy_cut(proxy, true);
	sd_event_source_disable_unref(proxy->source);
	closep(&proxy->listener);
	sd_event_unref(proxy->loop);
	free(proxy);
}
