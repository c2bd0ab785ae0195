/* SPDX-License-Identifier: Apache-2.0 */
/* test_transfer.c - how packets pass between libmosquitto and a broker that is played. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "uplink/pubrec.h"
#include "uplink/transfer.h"

#include <errno.h>
#include <linux/tcp.h>
#include <mosquitto.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
	MESSAGES = 20,
	/* `30 04 00 01 t x` with QoS 0, and 2 more for the identifier with QoS 2. */
	PUBLISH_BYTES = 6,
	ACK_BYTES = 4,
	/* More than the library's wake-up pipe holds. */
	MANY = 1000,
	PATIENCE_MS = 60 * 1000,
};

static struct mosquitto *client;
static int listener, broker;
static bool connected;
static unsigned pubrecs;

static void on_connect(struct mosquitto *of, void *data, int reason)
{
	(void)of, (void)data;
	connected = reason == 0;
}

static void on_log(struct mosquitto *of, void *data, int level, const char *line)
{
	uint16_t mid;

	(void)of, (void)data, (void)level;
	pubrecs += pubrec_parse(line, &mid) == PUBREC_RECEIVED;
}

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
		ssize_t n = recv(broker, sink, bytes < sizeof(sink) ? bytes : sizeof(sink), 0);

		assert_true(n > 0);
		bytes -= n;
	}
}

static void say(const uint8_t *bytes, size_t n)
{
	assert_int_equal(send(broker, bytes, n, MSG_NOSIGNAL), n);
}

/* Of a client that may have so many messages in flight. */
static int set_up_for(unsigned in_flight)
{
	static const uint8_t connack[] = { 0x20, 0x02, 0x00, 0x00 };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	uint8_t head[2];

	connected = false;
	pubrecs = 0;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &length) < 0)
		return -1;
	mosquitto_lib_init();
	client = mosquitto_new("transfer", true, NULL);
	mosquitto_threaded_set(client, true);
	mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, in_flight);
	mosquitto_connect_callback_set(client, on_connect);
	mosquitto_log_callback_set(client, on_log);
	if (mosquitto_connect(client, "127.0.0.1", ntohs(address.sin_port), 60))
		return -1;
	broker = accept(listener, NULL, NULL);
	if (broker < 0 || transfer_write(client) ||
	    recv(broker, head, sizeof(head), MSG_WAITALL) != sizeof(head))
		return -1;
	receive(head[1]);
	say(connack, sizeof(connack));
	wait_readable(mosquitto_socket(client), sizeof(connack));
	return transfer_read(client, false) || !connected ? -1 : 0;
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

static int tear_down(void **state)
{
	(void)state;
	mosquitto_destroy(client);
	mosquitto_lib_cleanup();
	close(broker);
	close(listener);
	return 0;
}

static void publish(unsigned count, int qos)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(mosquitto_publish(client, NULL, "t", 1, "x", qos, false), 0);
	while (mosquitto_want_write(client))
		assert_int_equal(transfer_write(client), MOSQ_ERR_SUCCESS);
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
		memcpy(bytes + n, (const uint8_t[]){ 0x50, 0x02, mid >> 8, mid & 0xFF }, ACK_BYTES);
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
	wait_readable(mosquitto_socket(client), MESSAGES * ACK_BYTES);
	assert_int_equal(transfer_read(client, false), MOSQ_ERR_SUCCESS);
	assert_int_equal(pubrecs, MESSAGES);
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
	wait_readable(mosquitto_socket(client), ACK_BYTES);
	assert_int_equal(transfer_read(client, true), MOSQ_ERR_SUCCESS);
	assert_int_equal(transfer_write(client), MOSQ_ERR_SUCCESS);
	receive(ACK_BYTES); /* PUBREL */
	pubrecs = 0;

	/* The next one is kept back until the first is over. */
	assert_int_equal(mosquitto_publish(client, NULL, "t", 1, "x", 2, false), 0);
	say(came, sizeof(came));
	wait_readable(mosquitto_socket(client), sizeof(came));
	assert_int_equal(transfer_read(client, true), MOSQ_ERR_SUCCESS);
	assert_int_equal(pubrecs, 0);
	assert_true(mosquitto_want_write(client));
	/* Unless it is held up anyway. */
	assert_int_equal(transfer_read(client, true), MOSQ_ERR_SUCCESS);
	assert_int_equal(pubrecs, 1);
}

/* A connection on which both sides speak in turn acknowledges nothing by itself. */
static void what_came_is_acknowledged_at_once(void **state)
{
	(void)state;
	for (unsigned mid = 1; mid <= 2 * MESSAGES; mid++) {
		publish(1, 2);
		say_pubrecs(mid, mid);
		wait_readable(mosquitto_socket(client), ACK_BYTES);
		assert_int_equal(transfer_read(client, false), MOSQ_ERR_SUCCESS);
		assert_int_equal(tcp_info().tcpi_unacked, 0);
		assert_int_equal(transfer_write(client), MOSQ_ERR_SUCCESS);
		receive(ACK_BYTES); /* PUBREL */
	}
}

#define TRANSFER_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRANSFER_TEST(a_turn_shares_its_segments),
		TRANSFER_TEST(all_that_came_is_read),
		cmocka_unit_test_setup_teardown(a_pubrec_waits_for_what_is_queued, set_up_two,
						tear_down),
		TRANSFER_TEST(what_came_is_acknowledged_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
