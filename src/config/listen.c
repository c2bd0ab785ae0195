/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - where something is served to this machine: a loopback port or a Unix socket. */
#include "config/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char wanted[] = "it is ADDRESS:PORT on loopback, as \"127.0.0.1:9110\" or "
			     "\"[::1]:9110\", or the path of a socket, as "
			     "\"/run/postbus/metrics\"";

static const char *parse_path(const char *text, struct sockaddr_un *address, socklen_t *length)
{
	if (strlen(text) >= sizeof(address->sun_path))
		return "the path of a socket has at most 107 bytes";
	address->sun_family = AF_UNIX;
	strcpy(address->sun_path, text);
	*length = sizeof(*address);
	return NULL;
}

static in_port_t parse_port(const char *text)
{
	char *end;
	unsigned long port;

	if (*text < '0' || *text > '9')
		return 0;
	port = strtoul(text, &end, 10);
	return *end || port > 65535 ? 0 : htons((in_port_t)port);
}

static bool is_loopback(const struct in_addr *address)
{
	return ntohl(address->s_addr) >> 24 == IN_LOOPBACKNET;
}

const char *listen_parse(const char *text, struct sockaddr_storage *address, socklen_t *length)
{
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t n = colon ? (size_t)(colon - text) : 0;
	in_port_t port;

	memset(address, 0, sizeof(*address));
	if (text[0] == '/')
		return parse_path(text, (struct sockaddr_un *)address, length);
	port = colon ? parse_port(colon + 1) : 0;
	if (!port || !n || n >= sizeof(host))
		return wanted;
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		*length = sizeof(*in6);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = port;
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 &&
				       IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)
			       ? NULL
			       : wanted;
	}
	*length = sizeof(*in);
	in->sin_family = AF_INET;
	in->sin_port = port;
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 && is_loopback(&in->sin_addr)
		       ? NULL
		       : wanted;
}
