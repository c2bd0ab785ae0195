/* SPDX-License-Identifier: Apache-2.0 */
/* client_state.h - what the files that make up the client share; nobody else's business. */
#pragma once

#include "mqtt/client.h"

#include <mosquitto.h>

struct client {
	struct mosquitto *library;
	const struct client_events *events;
	void *data;
	char *id, *host;
	struct client_limits limits; /* that were asked for */
	uint32_t most_bytes; /* of a packet, as the broker says; 0: it does not */
	size_t queued_bytes; /* of the largest that was queued before it could say so */
	bool mqtt5;
	bool is_open;        /* CONNACK said yes */
	bool watches_pubrec; /* in the log: a QoS 2 message was published */
	bool watches_repeats;
	uint16_t last_mid; /* where the library's counter stands */
	uint16_t pubrec;   /* PUBREC came for it, and may still turn out to say no; 0: none */
	uint16_t pubcomp;  /* its PUBCOMP was in the log, and was told of; 0: none */
	uint16_t puback;   /* its PUBACK was in the log, and no more was said of it; 0: none */
	enum repeated repeated; /* of the message that comes next */
	int error; /* errno when the link ended */
	char trouble[TROUBLE_MAX];
};

/* settings.c - what postbus.conf says, for a new client. As client_new(). */
int settings_apply(const struct broker_conf *broker, struct mosquitto *library,
		   char trouble[TROUBLE_MAX]) _must_check_;

/* events.c - listens to the library. */
void events_listen(struct client *client);
/*
 * To be called when all that came was read. PUBREC is in the log before it is known what it
 * says: where it says no, the library says so at once and the handshake is over. Told of as
 * received, it would be resumed with PUBREL after a crash, and the message be lost.
 */
void events_settle(struct client *client);
/* The log is watched only for what is of use: the library makes a line for each packet then. */
void events_watch_log(struct client *client);
