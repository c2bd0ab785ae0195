/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.c - what the library tells of, as events.
 *
 * It has no callback for PUBREC, none for a PUBCOMP that answers a PUBREL of a session it does
 * not remember, and none for DUP: those are read from its log (log_line.h).
 */
#include "mqtt/client_state.h"
#include "mqtt/log_line.h"
#include "mqtt/tls_trouble.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <string.h>

/* --- CONNACK, and the end --- */

static void read_limits(const mosquitto_property *properties, struct client_limits *limits)
{
	uint8_t retains = limits->retains;

	mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM, &limits->in_flight,
				      false);
	mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE,
				      &limits->keepalive_s, false);
	mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &limits->max_qos,
				     false);
	mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &retains, false);
	limits->retains = retains;
	mosquitto_property_read_int32(properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
				      &limits->session_expiry_s, false);
}

static void on_connect(_unused_ struct mosquitto *library, void *data, int reason, int flags,
		       const mosquitto_property *properties)
{
	struct client *client = data;
	struct client_limits limits = client->limits;

	if (reason) {
		client->events->refused(client->data, reason,
					client->mqtt5 ? mosquitto_reason_string(reason)
						      : mosquitto_connack_string(reason));
		return;
	}
	client->is_open = true;
	events_watch_log(client);
	read_limits(properties, &limits);
	client->most_bytes = 0;
	/* The library is off by some bytes here, and may abort() where it finds out too late. */
	mosquitto_property_read_int32(properties, MQTT_PROP_MAXIMUM_PACKET_SIZE,
				      &client->most_bytes, false);
	client->events->opened(client->data, flags & 1, &limits);
}

static void on_disconnect(_unused_ struct mosquitto *library, void *data, int reason,
			  _unused_ const mosquitto_property *properties)
{
	struct client *client = data;

	client->error = errno;
	client->events->ended(client->data, reason ? reason : MOSQ_ERR_CONN_LOST);
}

/* --- what is said about our messages --- */

void events_settle(struct client *client)
{
	if (client->pubrec)
		client->events->released(client->data, client->pubrec);
	client->pubrec = 0;
}

static void on_publish(_unused_ struct mosquitto *library, void *data, int mid, int reason,
		       _unused_ const mosquitto_property *properties)
{
	struct client *client = data;

	if (client->pubrec == mid && reason >= MQTT_RC_UNSPECIFIED)
		client->pubrec = 0;
	events_settle(client);
	/* The log was faster. */
	if (client->pubcomp != mid)
		client->events->answered(client->data, mid, reason);
	client->pubcomp = client->puback = 0;
}

/* Called by the helper thread too, while it connects. */
static void on_log(struct mosquitto *library, void *data, int level, const char *line)
{
	struct client *client = data;
	bool repeated;
	uint16_t mid;

	if (level == MOSQ_LOG_ERR && !client->is_open)
		tls_trouble(line, mosquitto_ssl_get(library), client->host, client->trouble);
	if (level != MOSQ_LOG_DEBUG)
		return;
	client->puback = 0;
	switch (log_line_parse(line, &mid)) {
	case LOG_LINE_PUBACK:
		client->puback = mid;
		break;
	case LOG_LINE_PUBREC:
		events_settle(client);
		client->pubrec = mid;
		break;
	case LOG_LINE_PUBCOMP:
		events_settle(client);
		client->pubcomp = mid;
		client->events->answered(client->data, mid, 0);
		break;
	case LOG_LINE_OTHER:
		if (log_line_parse_publish(line, client->id, &repeated))
			client->repeated = repeated ? REPEATED_YES : REPEATED_NO;
		break;
	}
}

void events_watch_log(struct client *client)
{
	bool watches = client->watches_pubrec || client->watches_repeats || !client->is_open;

	mosquitto_log_callback_set(client->library, watches ? on_log : NULL);
}

void client_watch_repeats(struct client *client, bool watch)
{
	client->watches_repeats = watch;
	events_watch_log(client);
}

/* --- what comes in --- */

static void on_subscribe(_unused_ struct mosquitto *library, void *data, int mid, int count,
			 const int *granted, _unused_ const mosquitto_property *properties)
{
	struct client *client = data;

	if (count > 0)
		client->events->subscribed(client->data, mid, granted[0]);
}

static void on_unsubscribe(_unused_ struct mosquitto *library, void *data, int mid,
			   _unused_ const mosquitto_property *properties)
{
	struct client *client = data;

	client->events->unsubscribed(client->data, mid);
}

/* What the library says in its own memory; to be freed. */
static void read_properties(const mosquitto_property *properties, struct incoming *incoming,
			    char **response_topic, void **correlation)
{
	uint16_t length = 0;

	mosquitto_property_read_string(properties, MQTT_PROP_RESPONSE_TOPIC, response_topic,
				       false);
	mosquitto_property_read_binary(properties, MQTT_PROP_CORRELATION_DATA, correlation,
				       &length, false);
	incoming->response_topic = *response_topic;
	incoming->correlation = *correlation;
	incoming->correlation_length = length;
	incoming->expires = mosquitto_property_read_int32(
		properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &incoming->expiry_s, false);
}

static void on_message(_unused_ struct mosquitto *library, void *data,
		       const struct mosquitto_message *message,
		       const mosquitto_property *properties)
{
	struct client *client = data;
	_cleanup_free_ char *response_topic = NULL;
	_cleanup_free_ void *correlation = NULL;
	struct incoming incoming = {
		.topic = message->topic,
		.payload = message->payload,
		.length = message->payloadlen,
		.mid = message->mid,
		.retain = message->retain,
		.repeated = client->repeated,
	};

	client->repeated = REPEATED_UNKNOWN;
	read_properties(properties, &incoming, &response_topic, &correlation);
	client->events->came(client->data, &incoming);
}

void events_listen(struct client *client)
{
	struct mosquitto *library = client->library;

	mosquitto_connect_v5_callback_set(library, on_connect);
	mosquitto_disconnect_v5_callback_set(library, on_disconnect);
	mosquitto_publish_v5_callback_set(library, on_publish);
	mosquitto_message_v5_callback_set(library, on_message);
	mosquitto_subscribe_v5_callback_set(library, on_subscribe);
	mosquitto_unsubscribe_v5_callback_set(library, on_unsubscribe);
	events_watch_log(client);
}
