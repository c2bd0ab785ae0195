/* SPDX-License-Identifier: Apache-2.0 */
/* publish.c - what a client sends: messages, and what it subscribes to. */
#include "mqtt/client_state.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <string.h>

/* Without memory for them a message goes out with fewer. */
static mosquitto_property *properties_of(const struct publish *publish)
{
	mosquitto_property *properties = NULL;

	if (publish->seq)
		(void)!mosquitto_property_add_string_pair(&properties, MQTT_PROP_USER_PROPERTY,
							  "seq", publish->seq);
	if (publish->content_type)
		(void)!mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE,
						     publish->content_type);
	if (publish->correlation)
		(void)!mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA,
						     publish->correlation,
						     publish->correlation_length);
	if (publish->expiry_s)
		(void)!mosquitto_property_add_int32(
			&properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, publish->expiry_s);
	return properties;
}

/* As many bytes as say so (MQTT 5.0, 1.5.5). */
static size_t length_size(size_t length)
{
	size_t size = 1;

	while (length >>= 7)
		size++;
	return size;
}

/* Of the packet (MQTT 5.0, 3.3). */
static size_t size_of(const struct publish *publish)
{
	size_t properties = 0, rest = 2 + strlen(publish->topic) + publish->length;

	if (publish->seq)
		properties += 1 + 2 + strlen("seq") + 2 + strlen(publish->seq);
	if (publish->content_type)
		properties += 1 + 2 + strlen(publish->content_type);
	if (publish->correlation)
		properties += 1 + 2 + publish->correlation_length;
	if (publish->expiry_s)
		properties += 1 + 4;
	rest += (publish->qos ? 2 : 0) + length_size(properties) + properties;
	return 1 + length_size(rest) + rest;
}

/* Without a connection the library says so, and has queued it all the same. */
static int result_of(int rc)
{
	switch (rc) {
	case MOSQ_ERR_SUCCESS:
	case MOSQ_ERR_NO_CONN:
		return 0;
	case MOSQ_ERR_NOMEM:
		return -ENOMEM;
	case MOSQ_ERR_OVERSIZE_PACKET:
	case MOSQ_ERR_PAYLOAD_SIZE:
		return -EMSGSIZE;
	default:
		return -EINVAL;
	}
}

int client_publish(struct client *client, const struct publish *publish, uint16_t *mid)
{
	mosquitto_property *properties;
	/* Where the broker has no limit, and has had its say, nobody asks. */
	size_t size = client->most_bytes || !client->is_open ? size_of(publish) : 0;
	int number = 0, r;

	if (client->most_bytes && size > client->most_bytes)
		return -EMSGSIZE;
	if (!client->is_open && size > client->queued_bytes)
		client->queued_bytes = size;
	properties = client->mqtt5 ? properties_of(publish) : NULL;
	if (publish->qos == 2 && !client->watches_pubrec) {
		client->watches_pubrec = true;
		events_watch_log(client);
	}
	r = result_of(mosquitto_publish_v5(client->library, &number, publish->topic,
					   publish->length, publish->payload, publish->qos,
					   publish->retain, properties));
	mosquitto_property_free_all(&properties);
	if (r == 0)
		*mid = client->last_mid = number;
	return r;
}

uint16_t client_last_mid(const struct client *client)
{
	return client->last_mid;
}

/* It fails for want of a connection, and uses up an identifier all the same. */
void client_burn(struct client *client, uint16_t count)
{
	int mid = client->last_mid;

	while (count--)
		mosquitto_publish(client->library, &mid, "burnt", 0, NULL, 0, false);
	client->last_mid = mid;
}

int client_subscribe(struct client *client, const char *filter, uint8_t qos, uint16_t *mid)
{
	int number = 0, rc = mosquitto_subscribe(client->library, &number, filter, qos);

	if (rc == MOSQ_ERR_SUCCESS)
		*mid = client->last_mid = number;
	return rc;
}

int client_unsubscribe(struct client *client, const char *filter, uint16_t *mid)
{
	int number = 0, rc = mosquitto_unsubscribe(client->library, &number, filter);

	if (rc == MOSQ_ERR_SUCCESS)
		*mid = client->last_mid = number;
	return rc;
}

bool client_matches(const char *filter, const char *topic)
{
	bool matches = false;

	(void)!mosquitto_topic_matches_sub(filter, topic, &matches);
	return matches;
}
