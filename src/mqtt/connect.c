/* SPDX-License-Identifier: Apache-2.0 */
/* connect.c - the way to the broker, which blocks: on a helper thread. */
#include "mqtt/connect.h"
#include "mqtt/client_state.h"

#include <errno.h>
#include <fcntl.h>
#include <mqtt_protocol.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

enum { STACK_BYTES = 512 * 1024 };

/* Owned by the helper until `done` is set. */
struct connecting {
	struct mosquitto *library;
	char *host;
	int port, keepalive_s;
	mosquitto_property *properties;
	int event; /* duplicate of the session's eventfd */
	int result, error;
	atomic_bool done;
};

void connecting_free(struct connecting *connecting)
{
	if (!connecting)
		return;
	mosquitto_property_free_all(&connecting->properties);
	closep(&connecting->event);
	free(connecting->host);
	free(connecting);
}

static void *helper(void *data)
{
	struct connecting *connecting = data;

	connecting->result =
		mosquitto_connect_bind_v5(connecting->library, connecting->host,
					  connecting->port, connecting->keepalive_s, NULL,
					  connecting->properties);
	connecting->error = errno;
	/* From the store on it may be gone: the descriptor is taken before. */
	int event = TAKE_FD(connecting->event);

	atomic_store_explicit(&connecting->done, true, memory_order_release);
	(void)!eventfd_write(event, 1);
	close(event);
	return NULL;
}

int connecting_start(const struct broker_conf *broker, struct client *client, int event,
		     struct connecting **result)
{
	_cleanup_(connecting_freep) struct connecting *connecting =
		calloc(1, sizeof(*connecting));
	pthread_attr_t attributes;
	pthread_t thread;
	int r;

	if (!connecting)
		return -ENOMEM;
	connecting->library = client->library;
	connecting->port = broker->port;
	connecting->keepalive_s = client->limits.keepalive_s;
	connecting->host = strdup(broker->host);
	connecting->event = fcntl(event, F_DUPFD_CLOEXEC, 3);
	if (!connecting->host || connecting->event < 0)
		return -ENOMEM;
	if (broker->mqtt5 && mosquitto_property_add_int32(
				     &connecting->properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
				     client->limits.session_expiry_s))
		return -ENOMEM;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	r = pthread_create(&thread, &attributes, helper, connecting);
	pthread_attr_destroy(&attributes);
	if (r)
		return -r;
	*result = TAKE_PTR(connecting);
	return 0;
}

bool connecting_is_done(const struct connecting *connecting)
{
	return atomic_load_explicit(&connecting->done, memory_order_acquire);
}

int connecting_result(const struct connecting *connecting, char trouble[TROUBLE_MAX])
{
	const char *why;

	switch (connecting->result) {
	case MOSQ_ERR_SUCCESS:
		return 0;
	case MOSQ_ERR_ERRNO:
		why = strerror(connecting->error);
		break;
	case MOSQ_ERR_EAI:
		why = "the name is not known";
		break;
	default:
		why = mosquitto_strerror(connecting->result);
		break;
	}
	snprintf(trouble, TROUBLE_MAX, "%s", why);
	return -EIO;
}
