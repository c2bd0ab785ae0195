/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.c - the bytes of a link: all that came is read, what goes out leaves together. */
#include "mqtt/client_state.h"
#include "mqtt/connack.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

enum {
	/* So that a broker that never stops does not keep all else from its turn. */
	READS_MOST = 1024,
	/* First byte of the packet (MQTT 3.1.1 and 5.0, 3.5). */
	PUBREC = 0x50,
};

int client_socket(const struct client *client)
{
	return mosquitto_socket(client->library);
}

bool client_wants_write(const struct client *client)
{
	return mosquitto_want_write(client->library);
}

bool client_is_behind(const struct client *client)
{
	SSL *tls = mosquitto_ssl_get(client->library);

	return tls && SSL_pending(tls) > 0;
}

/*
 * What has come, without taking it. A TLS handshake is left to the library: it would not know
 * that it is over, and send nothing.
 */
static size_t peek(const struct client *client, uint8_t *bytes, size_t most)
{
	SSL *tls = mosquitto_ssl_get(client->library);
	ssize_t n;

	if (tls)
		n = SSL_is_init_finished(tls) ? SSL_peek(tls, bytes, most) : 0;
	else
		n = recv(client_socket(client), bytes, most, MSG_PEEK | MSG_DONTWAIT);
	return n > 0 ? n : 0;
}

/* First byte of the packet that comes next; 0, which none begins with: nothing has come. */
static uint8_t next_packet(const struct client *client)
{
	uint8_t byte;

	return peek(client, &byte, 1) ? byte : 0;
}

/*
 * Once CONNACK is read, the library publishes what was queued before, and ends the process where
 * the broker has just said that this is too large.
 */
static bool is_too_large(struct client *client)
{
	uint8_t bytes[CONNACK_MOST];
	uint32_t most;

	if (client->is_open || !client->queued_bytes || !client->mqtt5)
		return false;
	most = connack_most_bytes(bytes, peek(client, bytes, sizeof(bytes)));
	if (!most || client->queued_bytes <= most)
		return false;
	client->most_bytes = most;
	return true;
}

/*
 * A call of the library's takes at most as many packets as messages are in flight, and takes
 * an EAGAIN that errno says for the socket's: be it left over from before, or of the pipe that
 * it wakes up a thread of its own with, which is full as there is none. So it ends with each
 * PUBREC.
 */
static int read_all(const struct client *client, bool parts)
{
	/* What is queued already waits for a sync in any case. */
	bool may_part = parts && !client_wants_write(client);
	uint8_t next = may_part ? next_packet(client) : 0;

	for (unsigned i = 0; i < READS_MOST; i++) {
		int rc;

		if (next == PUBREC && may_part) {
			if (client_wants_write(client))
				break;
			may_part = false;
		}
		errno = 0;
		rc = mosquitto_loop_read(client->library, 1);
		if (rc)
			return rc;
		next = next_packet(client);
		if (!next)
			break;
	}
	return MOSQ_ERR_SUCCESS;
}

static void set_tcp(const struct client *client, int option, int value)
{
	(void)!setsockopt(client_socket(client), IPPROTO_TCP, option, &value, sizeof(value));
}

/*
 * A broker that has not set TCP_NODELAY, and Mosquitto has not, sends one answer and holds the
 * others back until TCP has acknowledged that one. We may have nothing to send for as long as
 * a sync takes, so the acknowledgement is to wait for nothing.
 */
int client_read(struct client *client, bool parts)
{
	int rc;

	if (is_too_large(client))
		return CLIENT_TOO_LARGE;
	rc = read_all(client, parts);
	events_settle(client);
	if (rc == MOSQ_ERR_SUCCESS)
		set_tcp(client, TCP_QUICKACK, 1);
	/* That is what the library says of one for a message of QoS 2. */
	else if (rc == MOSQ_ERR_PROTOCOL && client->puback)
		client->events->lowered(client->data, client->puback);
	return rc;
}

/* The library hands over packet by packet, and each would be a segment of its own. */
int client_write(struct client *client)
{
	int rc;

	set_tcp(client, TCP_CORK, 1);
	rc = mosquitto_loop_write(client->library, 1);
	set_tcp(client, TCP_CORK, 0);
	return rc;
}

int client_tick(struct client *client)
{
	return mosquitto_loop_misc(client->library);
}

void client_leave(struct client *client)
{
	mosquitto_disconnect(client->library);
	mosquitto_loop_write(client->library, 1);
}

/*
 *     62 02  mid, high byte first       (MQTT 3.1.1 and 5.0, 3.6: PUBREL)
 */
int client_pubrel(struct client *client, uint16_t mid)
{
	const uint8_t packet[] = { 0x62, 0x02, mid >> 8, mid & 0xFF };
	SSL *tls = mosquitto_ssl_get(client->library);
	ssize_t n;

	/* PUBCOMP shows in the log only. */
	client->watches_pubrec = true;
	events_watch_log(client);
	if (tls)
		n = SSL_write(tls, packet, sizeof(packet));
	else
		n = send(client_socket(client), packet, sizeof(packet),
			 MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == sizeof(packet) ? 0 : -EIO;
}
