/* SPDX-License-Identifier: Apache-2.0 */
/* test_client.c - what passes between a client and a broker that is played. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/units.h"
#include "mqtt/connack.h"
#include "mqtt/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MESSAGES = 20,
	/* `30 04 00 01 t x` with QoS 0, and 2 more for the identifier with QoS 2. */
	PUBLISH_BYTES = 6,
	ACK_BYTES = 4,
	/* That TLS puts around what is sent, at least. */
	RECORD_BYTES = 5 + 16,
	/* More than the library's wake-up pipe holds. */
	MANY = 1000,
	/* Bytes of a packet. */
	MOST = 200,
	PATIENCE_MS = 60 * 1000,
};

static struct client *client;
static int listener, broker, done; /* the last one tells of a connection */
static SSL *tls; /* the broker's; NULL: without */
static bool is_open, was_present;
static struct client_limits limits;
/* What was told, in the order in which it was: the events' letters and packet identifiers. */
static char told[4096];
static unsigned released;

static void note(char event, unsigned mid, unsigned reason)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof(told) - n, "%c%u", event, mid);
	n = strlen(told);
	if (reason)
		snprintf(told + n, sizeof(told) - n, ":%u", reason);
}

static void on_opened(void *data, bool present, const struct client_limits *allowed)
{
	(void)data;
	is_open = true;
	was_present = present;
	limits = *allowed;
}

static void on_refused(void *data, unsigned reason, const char *words)
{
	(void)data, (void)words;
	note('x', 0, reason);
}

static void on_ended(void *data, int end)
{
	(void)data;
	note('e', 0, end);
}

static void on_released(void *data, uint16_t mid)
{
	(void)data;
	released++;
	note('r', mid, 0);
}

static void on_answered(void *data, uint16_t mid, unsigned reason)
{
	(void)data;
	note('a', mid, reason);
}

static const struct client_events events = {
	.opened = on_opened,
	.refused = on_refused,
	.ended = on_ended,
	.released = on_released,
	.answered = on_answered,
};

static void wait_readable(int fd, int bytes)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	int n = 0;

	while (ioctl(fd, FIONREAD, &n) == 0 && n < bytes)
		assert_true(poll(&wait, 1, PATIENCE_MS) > 0);
}

/* What the client sent. */
static void receive(size_t bytes)
{
	uint8_t sink[4096];

	while (bytes > 0) {
		size_t most = bytes < sizeof(sink) ? bytes : sizeof(sink);
		ssize_t n = tls ? SSL_read(tls, sink, most) : recv(broker, sink, most, 0);

		assert_true(n > 0);
		bytes -= n;
	}
}

static void receive_connect(void)
{
	uint8_t head[2];

	for (size_t i = 0; i < sizeof(head); i++)
		assert_int_equal(tls ? SSL_read(tls, &head[i], 1) : recv(broker, &head[i], 1, 0),
				 1);
	receive(head[1]);
}

static void say(const uint8_t *bytes, size_t n)
{
	ssize_t sent = tls ? SSL_write(tls, bytes, n) : send(broker, bytes, n, MSG_NOSIGNAL);

	assert_int_equal(sent, n);
}

static void listen_as_broker(struct broker_conf *conf)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	conf->port = ntohs(address.sin_port);
}

/* A client that has no connection yet. */
static void make(struct broker_conf *conf)
{
	static const struct will will = { .topic = "will", .qos = 1 };
	char trouble[TROUBLE_MAX];

	is_open = was_present = false;
	released = 0;
	told[0] = '\0';
	client_library_init();
	listen_as_broker(conf);
	assert_int_equal(client_new(conf, &will, &events, NULL, &client, trouble), 0);
}

/* --- TLS, with a key that both know --- */

enum { KEY_SIZE = 16 };

static unsigned give_key(SSL *connection, const char *identity, unsigned char *key, unsigned most)
{
	(void)connection, (void)identity, (void)most;
	memset(key, 0xAB, KEY_SIZE);
	return KEY_SIZE;
}

static void make_key(struct tls_conf *conf)
{
	char digits[2 * KEY_SIZE];
	int fd;

	memset(digits, 'A', sizeof(digits));
	for (size_t i = 1; i < sizeof(digits); i += 2)
		digits[i] = 'B';
	conf->psk_identity = strdup("client");
	conf->psk_file = strdup("/tmp/test-client-XXXXXX");
	fd = mkstemp(conf->psk_file);
	assert_int_equal(write(fd, digits, sizeof(digits)), sizeof(digits));
	close(fd);
}

static void shake_hands(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_psk_server_callback(context, give_key);
	tls = SSL_new(context);
	SSL_CTX_free(context);
	SSL_set_fd(tls, broker);
	fcntl(broker, F_SETFL, O_NONBLOCK);
	while (SSL_accept(tls) != 1 || !client_wants_write(client)) {
		usleep(1000);
		assert_int_equal(client_read(client, false), 0);
	}
	fcntl(broker, F_SETFL, 0);
}

/* Has it connect, and CONNACK come, which must be all there is. */
static void connect_to_broker(const struct broker_conf *conf, const uint8_t *connack, size_t n)
{
	_cleanup_(connecting_freep) struct connecting *connecting = NULL;
	char trouble[TROUBLE_MAX];
	eventfd_t count;

	done = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(connecting_start(conf, client, done, &connecting), 0);
	broker = accept(listener, NULL, NULL);
	assert_true(broker >= 0);
	assert_int_equal(eventfd_read(done, &count), 0);
	assert_true(connecting_is_done(connecting));
	assert_int_equal(connecting_result(connecting, trouble), 0);
	if (conf->tls.psk_file)
		shake_hands();
	assert_int_equal(client_write(client), 0);
	receive_connect();
	say(connack, n);
	wait_readable(client_socket(client), n);
}

static struct broker_conf conf = {
	.host = (char *)"127.0.0.1",
	.client_id = (char *)"client",
	.keepalive_us = 60 * USEC_PER_SEC,
	.session_expiry_us = 3600 * USEC_PER_SEC,
	.clean_session = true,
};

static int set_up_for(unsigned in_flight)
{
	static const uint8_t connack[] = { 0x20, 0x02, 0x00, 0x00 };

	conf.inflight = in_flight;
	conf.mqtt5 = false;
	make(&conf);
	connect_to_broker(&conf, connack, sizeof(connack));
	return client_read(client, false) || !is_open ? -1 : 0;
}

static int set_up(void **state)
{
	(void)state;
	return set_up_for(UINT16_MAX);
}

static int set_up_two(void **state)
{
	(void)state;
	return set_up_for(2);
}

static int set_up_two_with_tls(void **state)
{
	(void)state;
	make_key(&conf.tls);
	return set_up_for(2);
}

static int tear_down(void **state)
{
	(void)state;
	SSL_free(tls);
	tls = NULL;
	if (conf.tls.psk_file)
		unlink(conf.tls.psk_file);
	free(conf.tls.psk_file);
	free(conf.tls.psk_identity);
	conf.tls = (struct tls_conf){ 0 };
	client_free(client);
	client_library_cleanup();
	close(broker);
	close(listener);
	close(done);
	return 0;
}

static uint16_t queue(int qos)
{
	const struct publish publish = {
		.topic = "t", .payload = "x", .length = 1, .qos = qos
	};
	uint16_t mid = 0;

	assert_int_equal(client_publish(client, &publish, &mid), 0);
	return mid;
}

static void publish(unsigned count, int qos)
{
	for (unsigned i = 0; i < count; i++)
		(void)queue(qos);
	while (client_wants_write(client))
		assert_int_equal(client_write(client), 0);
	receive(count * (PUBLISH_BYTES + (qos ? 2 : 0)));
}

static struct tcp_info tcp_info(void)
{
	struct tcp_info info = { 0 };
	socklen_t length = sizeof(info);

	assert_int_equal(getsockopt(broker, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	return info;
}

/* PUBREC for the identifiers from `first` to `last`, in one segment. */
static void say_pubrecs(unsigned first, unsigned last)
{
	uint8_t bytes[MESSAGES * ACK_BYTES];
	size_t n = 0;

	for (unsigned mid = first; mid <= last; mid++) {
		memcpy(bytes + n, (const uint8_t[]){ 0x50, 0x02, mid >> 8, mid & 0xFF },
		       ACK_BYTES);
		n += ACK_BYTES;
	}
	say(bytes, n);
}

static void a_turn_shares_its_segments(void **state)
{
	unsigned before = tcp_info().tcpi_data_segs_in;

	(void)state;
	publish(MESSAGES, 2);
	assert_in_range(tcp_info().tcpi_data_segs_in - before, 1, 2);
}

/* Also where each answer has one of the library's to it, which wakes up nobody. */
static void all_that_came_is_read(void **state)
{
	(void)state;
	publish(MANY, 0);
	publish(MESSAGES, 2);
	say_pubrecs(MANY + 1, MANY + MESSAGES);
	wait_readable(client_socket(client), MESSAGES * ACK_BYTES);
	assert_int_equal(client_read(client, false), 0);
	assert_int_equal(released, MESSAGES);
}

/* What needs no sync leaves before what came with it and needs one is read. */
static void a_pubrec_waits_for_what_is_queued(void **state)
{
	const uint8_t came[] = {
		0x70, 0x02, (MANY + 1) >> 8, (MANY + 1) & 0xFF,
		0x50, 0x02, (MANY + 2) >> 8, (MANY + 2) & 0xFF,
	};

	(void)state;
	publish(MANY, 0);
	publish(2, 2);
	say_pubrecs(MANY + 1, MANY + 1);
	wait_readable(client_socket(client), ACK_BYTES);
	assert_int_equal(client_read(client, true), 0);
	assert_int_equal(client_write(client), 0);
	receive(ACK_BYTES); /* PUBREL */
	released = 0;

	/* The next one is kept back until the first is over. */
	(void)queue(2);
	say(came, ACK_BYTES);
	say(came + ACK_BYTES, ACK_BYTES);
	wait_readable(client_socket(client), tls ? 2 * (ACK_BYTES + RECORD_BYTES) : sizeof(came));
	assert_int_equal(client_read(client, true), 0);
	assert_int_equal(released, 0);
	assert_true(client_wants_write(client));
	/* Where the socket does not tell of it any more, the client does. */
	assert_int_equal(client_is_behind(client), tls != NULL);
	/* Unless it is held up anyway. */
	assert_int_equal(client_read(client, true), 0);
	assert_int_equal(released, 1);
	assert_false(client_is_behind(client));
}

/* A connection on which both sides speak in turn acknowledges nothing by itself. */
static void what_came_is_acknowledged_at_once(void **state)
{
	(void)state;
	for (unsigned mid = 1; mid <= 2 * MESSAGES; mid++) {
		publish(1, 2);
		say_pubrecs(mid, mid);
		wait_readable(client_socket(client), ACK_BYTES);
		assert_int_equal(client_read(client, false), 0);
		assert_int_equal(tcp_info().tcpi_unacked, 0);
		assert_int_equal(client_write(client), 0);
		receive(ACK_BYTES); /* PUBREL */
	}
}

/* PUBREC that says no is the end of a handshake, and none that it began is told of. */
static void what_is_said_is_told(void **state)
{
	static const uint8_t connack[] = {
		/* the session is there; Receive Maximum 7, Retain Available 0 */
		0x20, 0x08, 0x01, 0x00, 0x05, 0x21, 0x00, 0x07, 0x25, 0x00,
	};
	static const uint8_t answers[] = {
		0x40, 0x02, 0x00, 0x0B,       /* PUBACK */
		0x50, 0x03, 0x00, 0x0C, 0x97, /* PUBREC, quota exceeded */
		0x50, 0x02, 0x00, 0x0D,       /* PUBREC */
		0x70, 0x02, 0x00, 0x07,       /* PUBCOMP, of one that was resumed */
		0x50, 0x02, 0x00, 0x0E, 0x70, 0x02, 0x00, 0x0E, /* PUBREC, PUBCOMP */
	};
	const uint8_t pubrel[] = { 0x62, 0x02, 0x00, 0x07 };
	uint8_t sent[sizeof(pubrel)];

	(void)state;
	conf.inflight = 100;
	conf.mqtt5 = true;
	make(&conf);
	client_burn(client, 10);
	assert_int_equal(client_last_mid(client), 10);
	assert_int_equal(queue(1), 11);
	connect_to_broker(&conf, connack, sizeof(connack));
	assert_int_equal(client_read(client, false), 0);
	assert_true(is_open && was_present && !limits.retains);
	assert_int_equal(limits.in_flight, 7);
	assert_int_equal(limits.max_qos, 2);
	assert_int_equal(limits.keepalive_s, 60);
	assert_int_equal(limits.session_expiry_s, 3600);
	assert_int_equal(client_write(client), 0);
	receive(PUBLISH_BYTES + 2 + 1); /* with no properties */
	assert_int_equal(client_pubrel(client, 7), 0);
	assert_int_equal(recv(broker, sent, sizeof(sent), MSG_WAITALL), sizeof(sent));
	assert_memory_equal(sent, pubrel, sizeof(sent));
	for (uint16_t mid = 12; mid <= 14; mid++)
		assert_int_equal(queue(2), mid);
	say(answers, sizeof(answers));
	wait_readable(client_socket(client), sizeof(answers));
	while (strlen(told) < strlen("a11a12:151r13a7r14a14"))
		assert_int_equal(client_read(client, false), 0);
	assert_string_equal(told, "a11a12:151r13a7r14a14");
}

/* Whatever else goes wrong meanwhile. */
static void the_socket_s_error_is_told(void **state)
{
	int end;

	(void)state;
	assert_int_equal(shutdown(client_socket(client), SHUT_WR), 0);
	(void)queue(0);
	end = client_write(client);
	errno = ENOENT;
	assert_string_equal(client_end_words(client, end), strerror(EPIPE));
}

/* The rest of a packet's length, behind its first byte; how many bytes it has in all. */
static size_t receive_packet(void)
{
	size_t length = 0, n = 0;
	uint8_t byte;

	receive(1);
	do {
		assert_int_equal(recv(broker, &byte, 1, 0), 1);
		length |= (size_t)(byte & 0x7F) << (7 * n++);
	} while (byte & 0x80);
	receive(length);
	return 1 + n + length;
}

/* To the byte: the library miscounts, sends some of it, and ends the process for some. */
static void what_is_too_large_is_not_queued(void **state)
{
	static const uint8_t connack[] = {
		/* Maximum Packet Size */
		0x20, 0x08, 0x00, 0x00, 0x05, 0x27, 0x00, 0x00, 0x00, MOST,
	};
	static const char payload[MOST];
	struct publish publish = {
		.topic = "t", .payload = payload, .seq = "17", .content_type = "text/plain",
		.correlation = (const uint8_t *)payload, .expiry_s = 60,
	};

	(void)state;
	conf.inflight = 3 * MOST;
	conf.mqtt5 = true;
	make(&conf);
	connect_to_broker(&conf, connack, sizeof(connack));
	assert_int_equal(client_read(client, false), 0);
	for (unsigned i = 0; i < 6; i++) {
		size_t sent = 0;
		uint16_t mid;

		publish.qos = i % 3;
		/* With it, the properties' length has two bytes. */
		publish.correlation_length = i < 3 ? 10 : 120;
		publish.length = 0;
		while (client_publish(client, &publish, &mid) == 0) {
			assert_int_equal(client_write(client), 0);
			sent = receive_packet();
			publish.length++;
		}
		assert_int_equal(client_publish(client, &publish, &mid), -EMSGSIZE);
		assert_int_equal(sent, MOST);
	}
}

/* Where the broker takes less than it did, the library gets neither CONNACK nor a chance. */
static void what_became_too_large_ends_the_link(void **state)
{
	static const uint8_t connack[] = {
		/* a user property, Receive Maximum 7, Maximum Packet Size */
		0x20, 0x12, 0x01, 0x00, 0x0F, 0x26, 0x00, 0x01, 'a', 0x00, 0x01, 'b',
		0x21, 0x00, 0x07, 0x27, 0x00, 0x00, 0x00, MOST,
	};
	static const char payload[MOST];
	const struct publish publish = {
		.topic = "t", .payload = payload, .length = MOST, .qos = 1
	};
	uint16_t mid;

	(void)state;
	conf.inflight = 100;
	conf.mqtt5 = true;
	make(&conf);
	assert_int_equal(client_publish(client, &publish, &mid), 0);
	connect_to_broker(&conf, connack, sizeof(connack));
	assert_int_equal(client_read(client, false), CLIENT_TOO_LARGE);
	assert_int_equal(client_limit(client), MOST);
	assert_false(is_open);
	assert_int_equal(client_publish(client, &publish, &mid), -EMSGSIZE);
	/* Cut short, or another packet, it says nothing. */
	for (size_t n = 0; n < sizeof(connack); n++)
		assert_int_equal(connack_most_bytes(connack, n), 0);
	assert_int_equal(connack_most_bytes(connack, sizeof(connack)), MOST);
	assert_int_equal(connack_most_bytes(connack + 1, sizeof(connack) - 1), 0);
}

static void what_is_refused_is_told(void **state)
{
	static const uint8_t connack[] = { 0x20, 0x03, 0x00, 0x9A, 0x00 };

	(void)state;
	conf.mqtt5 = true;
	make(&conf);
	connect_to_broker(&conf, connack, sizeof(connack));
	assert_true(client_read(client, false) != 0);
	assert_false(is_open);
	assert_memory_equal(told, "x0:154", strlen("x0:154"));
}

#define CLIENT_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLIENT_TEST(a_turn_shares_its_segments),
		CLIENT_TEST(all_that_came_is_read),
		cmocka_unit_test_setup_teardown(a_pubrec_waits_for_what_is_queued, set_up_two,
						tear_down),
		cmocka_unit_test_setup_teardown(a_pubrec_waits_for_what_is_queued,
						set_up_two_with_tls, tear_down),
		CLIENT_TEST(what_came_is_acknowledged_at_once),
		CLIENT_TEST(the_socket_s_error_is_told),
		cmocka_unit_test_teardown(what_is_said_is_told, tear_down),
		cmocka_unit_test_teardown(what_is_too_large_is_not_queued, tear_down),
		cmocka_unit_test_teardown(what_became_too_large_ends_the_link, tear_down),
		cmocka_unit_test_teardown(what_is_refused_is_told, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
