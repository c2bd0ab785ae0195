/* SPDX-License-Identifier: Apache-2.0 */
/* publisher_paho.c - Paho C publishes, with its file persistence or without any. */
#include "publisher.h"

#include <MQTTAsync.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

struct paho {
	const struct publisher *publisher;
	MQTTAsync client;
	sem_t connected, slots; /* a slot is free */
	atomic_int error;       /* as Paho has it */
};

/* --- what Paho's thread calls --- */

static void on_connected(void *context, _unused_ MQTTAsync_successData *data)
{
	sem_post(&((struct paho *)context)->connected);
}

static void on_connected_5(void *context, _unused_ MQTTAsync_successData5 *data)
{
	sem_post(&((struct paho *)context)->connected);
}

static void on_published(void *context, _unused_ MQTTAsync_successData *data)
{
	sem_post(&((struct paho *)context)->slots);
}

static void on_published_5(void *context, _unused_ MQTTAsync_successData5 *data)
{
	sem_post(&((struct paho *)context)->slots);
}

static void fail(struct paho *paho, int error)
{
	atomic_store(&paho->error, error ? error : MQTTASYNC_FAILURE);
	sem_post(&paho->connected);
	sem_post(&paho->slots);
}

static void on_failure(void *context, MQTTAsync_failureData *data)
{
	fail(context, data ? data->code : 0);
}

static void on_failure_5(void *context, MQTTAsync_failureData5 *data)
{
	fail(context, data ? data->code : 0);
}

/* --- publishing --- */

static int wait_for(sem_t *semaphore, struct paho *paho)
{
	while (sem_wait(semaphore) < 0)
		if (errno != EINTR)
			return MQTTASYNC_FAILURE;
	return atomic_load(&paho->error);
}

static int start(struct paho *paho, const char *directory)
{
	MQTTAsync_createOptions create3 = MQTTAsync_createOptions_initializer;
	MQTTAsync_createOptions create5 = MQTTAsync_createOptions_initializer5;
	MQTTAsync_connectOptions connect3 = MQTTAsync_connectOptions_initializer;
	MQTTAsync_connectOptions connect5 = MQTTAsync_connectOptions_initializer5;
	MQTTAsync_connectOptions *connect = paho->publisher->mqtt5 ? &connect5 : &connect3;
	char uri[64];
	int rc;

	create3.maxBufferedMessages = create5.maxBufferedMessages = paho->publisher->window;
	snprintf(uri, sizeof(uri), "tcp://127.0.0.1:%u", paho->publisher->port);
	rc = MQTTAsync_createWithOptions(
		&paho->client, uri, "bench-paho",
		directory ? MQTTCLIENT_PERSISTENCE_DEFAULT : MQTTCLIENT_PERSISTENCE_NONE,
		(void *)directory, paho->publisher->mqtt5 ? &create5 : &create3);
	if (rc)
		return rc;
	connect3.MQTTVersion = MQTTVERSION_3_1_1;
	connect3.cleansession = 1;
	connect3.onSuccess = on_connected;
	connect3.onFailure = on_failure;
	connect5.cleanstart = 1;
	connect5.onSuccess5 = on_connected_5;
	connect5.onFailure5 = on_failure_5;
	connect->maxInflight = paho->publisher->window;
	connect->context = paho;
	rc = MQTTAsync_connect(paho->client, connect);
	return rc ? rc : wait_for(&paho->connected, paho);
}

/* The same packet as the others'. */
static int send_message(struct paho *paho, uint64_t number, char *payload)
{
	MQTTAsync_message message = MQTTAsync_message_initializer;
	MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
	char seq[24], name[] = "seq", json[] = "application/json";
	int length = snprintf(seq, sizeof(seq), "%llu",
			      (unsigned long long)(1795460721124 + number));
	MQTTProperty properties[] = {
		{ .identifier = MQTTPROPERTY_CODE_USER_PROPERTY,
		  .value = { .data = { 3, name }, .value = { length, seq } } },
		{ .identifier = MQTTPROPERTY_CODE_CONTENT_TYPE,
		  .value = { .data = { sizeof(json) - 1, json } } },
	};
	int rc = 0;

	message.payload = payload;
	message.payloadlen = PAYLOAD_SIZE;
	message.qos = paho->publisher->qos;
	response.context = paho;
	if (paho->publisher->mqtt5) {
		response.onSuccess5 = on_published_5;
		response.onFailure5 = on_failure_5;
		for (size_t i = 0; i < ARRAY_SIZE(properties) && rc == 0; i++)
			rc = MQTTProperties_add(&message.properties, &properties[i]);
	} else {
		response.onSuccess = on_published;
		response.onFailure = on_failure;
	}
	if (rc == 0)
		rc = MQTTAsync_sendMessage(paho->client, publisher_topic(paho->publisher, number),
					   &message, &response);
	MQTTProperties_free(&message.properties);
	return rc;
}

static int publish_all(struct paho *paho)
{
	char payload[PAYLOAD_SIZE + 1];
	int rc = 0;

	publisher_payload(payload);
	for (uint64_t i = 0; i < paho->publisher->count && rc == 0; i++) {
		rc = wait_for(&paho->slots, paho);
		if (rc == 0)
			rc = send_message(paho, i, payload);
	}
	/* All slots are free again when all is acknowledged. */
	for (unsigned i = 0; i < paho->publisher->window && rc == 0; i++)
		rc = wait_for(&paho->slots, paho);
	return rc;
}

int publisher_paho_files(const struct publisher *publisher, const char *directory)
{
	struct paho paho = { .publisher = publisher };
	sigset_t term;
	int rc, signal;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	sem_init(&paho.connected, 0, 0);
	sem_init(&paho.slots, 0, publisher->window);
	rc = start(&paho, directory);
	if (rc == 0)
		rc = publish_all(&paho);
	if (rc == 0)
		sigwait(&term, &signal);
	else
		fprintf(stderr, "Paho C: %s\n", MQTTAsync_strerror(rc));
	MQTTAsync_destroy(&paho.client);
	return rc ? -EIO : 0;
}

int publisher_paho(const struct publisher *publisher, _unused_ const char *directory)
{
	return publisher_paho_files(publisher, NULL);
}
