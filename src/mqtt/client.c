/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - the life of an MQTT client. */
#include "base/units.h"
#include "mqtt/client_state.h"

#include <assert.h>
#include <errno.h>
#include <mqtt_protocol.h>
#include <string.h>

static_assert((int)CLIENT_NO_MEMORY == MOSQ_ERR_NOMEM &&
		      (int)CLIENT_REFUSED == MOSQ_ERR_CONN_REFUSED &&
		      (int)CLIENT_LOST == MOSQ_ERR_CONN_LOST &&
		      (int)CLIENT_SILENT == MOSQ_ERR_KEEPALIVE,
	      "as the library has them");

void client_library_init(void)
{
	mosquitto_lib_init();
}

void client_library_cleanup(void)
{
	mosquitto_lib_cleanup();
}

const char *client_end_words(const struct client *client, int end)
{
	if (end >= MQTT_RC_UNSPECIFIED)
		return mosquitto_reason_string(end);
	return end == MOSQ_ERR_ERRNO ? strerror(client->error) : mosquitto_strerror(end);
}

const char *client_reason_words(unsigned reason)
{
	return mosquitto_reason_string(reason);
}

static int set_up(struct client *client, const struct broker_conf *broker,
		  const struct will *will, char trouble[TROUBLE_MAX])
{
	struct mosquitto *library = client->library;

	mosquitto_threaded_set(library, true);
	mosquitto_int_option(library, MOSQ_OPT_PROTOCOL_VERSION,
			     broker->mqtt5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
	mosquitto_int_option(library, MOSQ_OPT_TCP_NODELAY, 1);
	/* What is beyond it keeps back; a broker that says its own says it later. */
	mosquitto_int_option(library, MOSQ_OPT_SEND_MAXIMUM, broker->inflight);
	if (mosquitto_will_set(library, will->topic, strlen("offline"), "offline", will->qos,
			       will->retain)) {
		snprintf(trouble, TROUBLE_MAX, "no will for %s", will->topic);
		return -EINVAL;
	}
	return settings_apply(broker, library, trouble);
}

int client_new(const struct broker_conf *broker, const struct will *will,
	       const struct client_events *events, void *data, struct client **result,
	       char trouble[TROUBLE_MAX])
{
	_cleanup_(client_freep) struct client *client = calloc(1, sizeof(*client));
	int r;

	if (client)
		*client = (struct client){
			.library = mosquitto_new(broker->client_id, broker->clean_session,
						 client),
			.events = events, .data = data,
			.id = strdup(broker->client_id), .host = strdup(broker->host),
			.mqtt5 = broker->mqtt5,
			.limits = {
				.in_flight = broker->inflight,
				.keepalive_s = broker->keepalive_us / USEC_PER_SEC,
				.max_qos = 2, .retains = true,
				.session_expiry_s = broker->session_expiry_us / USEC_PER_SEC,
			},
			.repeated = REPEATED_UNKNOWN,
		};
	if (!client || !client->library || !client->id || !client->host) {
		snprintf(trouble, TROUBLE_MAX, "no client: %s", strerror(errno));
		return -errno;
	}
	r = set_up(client, broker, will, trouble);
	if (r < 0)
		return r;
	events_listen(client);
	*result = TAKE_PTR(client);
	return 0;
}

void client_free(struct client *client)
{
	if (!client)
		return;
	mosquitto_destroy(client->library);
	free(client->id);
	free(client->host);
	free(client);
}

uint32_t client_limit(const struct client *client)
{
	return client->most_bytes;
}

void client_set_limit(struct client *client, uint32_t most_bytes)
{
	client->most_bytes = most_bytes;
}

const char *client_trouble(const struct client *client)
{
	return client->trouble;
}
