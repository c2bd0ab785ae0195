/* SPDX-License-Identifier: Apache-2.0 */
/* publisher.c - who publishes: the gateway's uplink out of its spool, or libmosquitto alone. */
#include "publisher.h"

#include "base/log.h"
#include "bridge/clock.h"
#include "bridge/command.h"
#include "bridge/queue.h"
#include "config/config.h"
#include "uplink/settable.h"
#include "uplink/spool.h"
#include "uplink/uplink.h"

#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

enum {
	/* Seconds that a broker may take for an answer. */
	PATIENCE_S = 30,
	SPOOL_BYTES_MAX = 2000 * 1024 * 1024,
};

static const char members[] =
	"\"voltage\":230.2,\"current\":1.31,\"power\":301.5,\"apparent_power\":310.2,"
	"\"power_factor\":0.972,\"frequency\":49.98,\"energy_in\":18231.4,\"energy_out\":0.0,";

const char *publisher_topic(const struct publisher *publisher, uint64_t number)
{
	if (number == 0)
		return TOPIC_BEGIN;
	return number == publisher->count - 1 ? TOPIC_END : "bench/meter-1";
}

void publisher_payload(char payload[PAYLOAD_SIZE + 1])
{
	snprintf(payload, PAYLOAD_SIZE + 1,
		 "{\"time\":\"2026-11-23T18:52:01.123Z\",\"seq\":1795460721124,%.*s}",
		 PAYLOAD_SIZE - 56, members);
}

/* --- the gateway's uplink --- */

static int append_all(const struct publisher *publisher, struct spool *spool)
{
	enum { BATCH = 1000 };
	struct message message = {
		.qos = publisher->qos, .form = FORM_ISO_TIME,
		.wall_ms = clock_wall_ms(), .wall_synced = true, .body = members,
	};
	char bytes[PAYLOAD_MAX];
	struct text empty = { .data = bytes, .size = sizeof(bytes) };
	int r = 0;

	/* The body that makes the payload as long as it is to be, with a seq as now given. */
	message.seq = message.time_ms = message.wall_ms;
	message.body_length = 1;
	message_payload(&message, &empty);
	message.body_length = PAYLOAD_SIZE + 1 - empty.length;

	for (uint64_t i = 0; i < publisher->count && r == 0; i++) {
		message.topic = publisher_topic(publisher, i);
		message.topic_length = strlen(message.topic);
		r = spool_append(spool, &message);
		if (r == 0 && (i + 1) % BATCH == 0)
			r = spool_commit(spool, clock_monotonic_us());
	}
	return r;
}

int publisher_fill(const struct publisher *publisher, const char *directory)
{
	char path[BENCH_PATH_MAX];
	struct spool_conf conf = {
		.directory = path, .max_bytes = SPOOL_BYTES_MAX, .when_full = DROP_NEWEST,
		.sync_us = 1000000,
	};
	struct spool *spool;
	int r;

	snprintf(path, sizeof(path), "%s/spool", directory);
	r = spool_open(&conf, false, &spool);
	if (r < 0)
		return r;
	r = append_all(publisher, spool);
	return spool_close(spool) < 0 && r == 0 ? -EIO : r;
}

static int load_conf(const struct publisher *publisher, const char *directory,
		     struct conf **conf)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_fclose_ FILE *file = NULL;
	char path[2 * BENCH_PATH_MAX];

	if (!faults)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/postbus.conf", directory);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	fprintf(file,
		"gateway = \"bench\";\n"
		"broker: { host = \"127.0.0.1\"; port = %u; version = \"%s\"; inflight = %u; };\n"
		"publish: { clock_wait = \"0s\"; };\n"
		"spool: { directory = \"%s/spool\"; max_size = \"%dM\"; };\n",
		publisher->port, publisher->mqtt5 ? "5" : "3.1.1", publisher->window, directory,
		SPOOL_BYTES_MAX / (1024 * 1024));
	if (fclose(TAKE_PTR(file)))
		return -errno;
	return conf_load(path, conf, faults);
}

/* What is left in the spool of a gateway that has ended. */
static int nothing_is_left(const struct spool_conf *conf)
{
	struct spool *spool;
	struct spool_sums sums;
	int r = spool_open(conf, true, &spool);

	if (r < 0)
		return r;
	sums = spool_sums(spool);
	spool_free(spool);
	return sums.waiting ? -EIO : 0;
}

/* No bus, and so nothing that can be set. */
static int start_uplink(struct conf *conf, struct queue *queue, struct command_ring *ring,
			struct uplink **uplink)
{
	const struct config config = { .conf = conf };
	const struct uplink_setup setup = {
		.conf = conf, .queue = queue, .ring = ring, .settable = settable_new(&config),
	};

	return setup.settable ? uplink_start(&setup, uplink) : -ENOMEM;
}

int publisher_gateway(const struct publisher *publisher, const char *directory)
{
	_cleanup_(conf_freep) struct conf *conf = NULL;
	_cleanup_(queue_freep) struct queue *queue = NULL;
	_cleanup_(command_ring_freep) struct command_ring *ring = NULL;
	struct uplink *uplink;
	sigset_t term;
	int r = load_conf(publisher, directory, &conf), signal;

	if (r == 0)
		r = queue_new(1024 * 1024, &queue);
	if (r == 0)
		r = command_ring_new(&ring);
	if (r < 0)
		return r;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	log_set_level(LOG_WARNING);
	r = start_uplink(conf, queue, ring, &uplink);
	if (r < 0)
		return r;
	sigwait(&term, &signal);
	if (uplink_stop(uplink))
		return -EIO;
	return nothing_is_left(&conf->spool);
}

/* --- libmosquitto alone --- */

struct alone {
	const struct publisher *publisher;
	struct mosquitto *client;
	char payload[PAYLOAD_SIZE + 1];
	bool connected;
	uint64_t sent, acknowledged;
	int error; /* MOSQ_ERR */
};

static volatile sig_atomic_t ended;

static void end(_unused_ int signal)
{
	ended = 1;
}

/* The same packet as the gateway's: MQTT 5 tells the number and what it is as well. */
static void publish_one(struct alone *alone)
{
	mosquitto_property *properties = NULL;
	char number[24];

	snprintf(number, sizeof(number), "%llu",
		 (unsigned long long)(1795460721124 + alone->sent));
	if (alone->publisher->mqtt5)
		alone->error = mosquitto_property_add_string_pair(
			&properties, MQTT_PROP_USER_PROPERTY, "seq", number);
	if (alone->publisher->mqtt5 && !alone->error)
		alone->error = mosquitto_property_add_string(
			&properties, MQTT_PROP_CONTENT_TYPE, "application/json");
	if (!alone->error)
		alone->error = mosquitto_publish_v5(
			alone->client, NULL, publisher_topic(alone->publisher, alone->sent),
			PAYLOAD_SIZE, alone->payload, alone->publisher->qos, false, properties);
	mosquitto_property_free_all(&properties);
	alone->sent++;
}

/*
 * Slots are filled again as they become free, never a whole window at a time; but not in the
 * callback: loop_read() would stop after each packet, taking a full wake-up pipe's EAGAIN
 * for the socket's.
 */
static void refill(struct alone *alone)
{
	while (!alone->error && alone->sent < alone->publisher->count &&
	       alone->sent - alone->acknowledged < alone->publisher->window)
		publish_one(alone);
}

static void on_connect(_unused_ struct mosquitto *client, void *data, int reason)
{
	struct alone *alone = data;

	alone->error = reason;
	alone->connected = reason == 0;
}

static void on_publish(_unused_ struct mosquitto *client, void *data, _unused_ int mid)
{
	((struct alone *)data)->acknowledged++;
}

static int turn(struct alone *alone)
{
	struct pollfd fd = { .fd = mosquitto_socket(alone->client), .events = POLLIN };

	if (alone->connected)
		refill(alone);
	if (mosquitto_want_write(alone->client))
		fd.events |= POLLOUT;
	if (poll(&fd, 1, 1000) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fd.revents & (POLLIN | POLLHUP | POLLERR))
		alone->error = mosquitto_loop_read(alone->client, 1);
	if (!alone->error && mosquitto_want_write(alone->client))
		alone->error = mosquitto_loop_write(alone->client, 1);
	if (!alone->error && !fd.revents)
		alone->error = mosquitto_loop_misc(alone->client);
	return alone->error ? -EIO : 0;
}

static int connect_alone(struct alone *alone)
{
	const struct publisher *publisher = alone->publisher;
	struct mosquitto *client = mosquitto_new("bench-alone", true, alone);

	if (!client)
		return -ENOMEM;
	alone->client = client;
	mosquitto_threaded_set(client, true);
	mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION,
			     publisher->mqtt5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX);
	mosquitto_connect_callback_set(client, on_connect);
	mosquitto_publish_callback_set(client, on_publish);
	return mosquitto_connect(client, "127.0.0.1", publisher->port, PATIENCE_S) ? -EIO : 0;
}

int publisher_alone(const struct publisher *publisher, _unused_ const char *directory)
{
	struct alone alone = { .publisher = publisher };
	int r;

	signal(SIGTERM, end);
	publisher_payload(alone.payload);
	mosquitto_lib_init();
	r = connect_alone(&alone);
	/* What is on its way when the end comes is waited for. */
	while (r == 0 && (!ended || alone.acknowledged < publisher->count))
		r = turn(&alone);
	if (alone.error)
		fprintf(stderr, "libmosquitto: %s\n", mosquitto_strerror(alone.error));
	mosquitto_destroy(alone.client);
	mosquitto_lib_cleanup();
	return r;
}
