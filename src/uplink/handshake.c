/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake.c - our half of what is said about each message, on libmosquitto:
 *
 *     QoS 1   PUBLISH ─▶ · ◀─ PUBACK          QoS 2   PUBLISH ─▶ · ◀─ PUBREC
 *                                                     PUBREL  ─▶ · ◀─ PUBCOMP
 *
 * What each step leaves in doubt, and how that is resumed, is drawn in resume.h.
 */
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/answer.h"
#include "uplink/pubrec.h"
#include "uplink/resume.h"
#include "uplink/session_state.h"
#include "uplink/tls_trouble.h"
#include "uplink/transfer.h"

#include <assert.h>
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <string.h>

enum {
	/* QoS 0 messages that are handed over in one turn. */
	UNACKNOWLEDGED_A_TURN = 256,
	/* How long what the broker did not want now is kept from it. */
	AGAIN_US = 5 * 1000 * 1000,
	/* Refusals are told of so often at most. */
	REFUSALS_US = 60 * 1000 * 1000,
};

/* --- publishing --- */

/* MQTT 5.0, 3.3.2.3. Without memory for them a message goes out with fewer. */
static mosquitto_property *message_properties(const struct session *session,
					      const struct message *message)
{
	uint64_t expiry_us = session->conf->publish.expiry_us;
	mosquitto_property *properties = NULL;
	char digits[24];
	struct text text = { .data = digits, .size = sizeof(digits) };
	const uint8_t *correlation;
	size_t length;

	if (!session->conf->broker.mqtt5)
		return NULL;
	text_addu(&text, message->seq, 1);
	(void)!mosquitto_property_add_string_pair(&properties, MQTT_PROP_USER_PROPERTY, "seq",
						  digits);
	if (message->form != FORM_BARE)
		(void)!mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE,
						     "application/json");
	correlation = message_correlation(message, &length);
	if (correlation)
		(void)!mosquitto_property_add_binary(&properties, MQTT_PROP_CORRELATION_DATA,
						     correlation, length);
	/* States, which stay until the next one, are retained where readings are not. */
	if (expiry_us && (!message->retain || session->conf->publish.retain))
		(void)!mosquitto_property_add_int32(&properties,
						    MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
						    (expiry_us + USEC_PER_SEC - 1) /
						    USEC_PER_SEC);
	return properties;
}

/* Hands a message to the library. A MOSQ_ERR code; *mid is its packet identifier. */
static int publish(struct session *session, const struct message *message, uint8_t qos,
		   int *mid)
{
	struct text payload = { .data = session->payload, .size = PAYLOAD_MAX };
	mosquitto_property *properties = message_properties(session, message);
	char topic[TOPIC_MAX + 1];
	int rc;

	memcpy(topic, message->topic, message->topic_length);
	topic[message->topic_length] = '\0';
	message_payload(message, &payload);
	rc = mosquitto_publish_v5(session->client, mid, topic, payload.length, payload.data,
				  qos, message->retain && session->retains, properties);
	mosquitto_property_free_all(&properties);
	if (rc == MOSQ_ERR_SUCCESS || rc == MOSQ_ERR_NO_CONN)
		session->last_mid = *mid;
	return rc;
}

static void on_log(struct mosquitto *client, void *data, int level, const char *line);

/* For each packet the library makes a line then: only QoS 2 has PUBREC. */
void handshake_watch_log(struct session *session, bool pubrec)
{
	bool watches;

	session->watches_log = session->watches_log || pubrec;
	watches = session->watches_log || session->watches_repeats || session->link != LINK_UP;
	mosquitto_log_callback_set(session->client, watches ? on_log : NULL);
}

void session_watch_repeats(struct session *session, bool watch)
{
	bool before = session->watches_repeats;

	session->watches_repeats = watch;
	if (watch != before && session->client && session->link == LINK_UP)
		handshake_watch_log(session, false);
}

/* A broker that refuses one refuses many. */
void handshake_tell_refusals(struct session *session)
{
	uint64_t now_us = clock_monotonic_us();

	if (!session->refusals || now_us < session->refusals_due_us)
		return;
	log_error("broker %s:%u: %llu message%s will never be taken: %s; set aside",
		  session->conf->broker.host, session->conf->broker.port,
		  (unsigned long long)session->refusals, session->refusals == 1 ? "" : "s",
		  session->refused_why);
	session->refusals = 0;
	session->refusals_due_us = now_us + REFUSALS_US;
}

static void note_refusal(struct session *session, const char *why)
{
	session->refusals++;
	session->refused_why = why;
	handshake_tell_refusals(session);
}

/* The library will not take it, now or ever: too large for the broker, topic not valid. */
static void set_aside(struct session *session, const struct message *message, int rc)
{
	bool is_large = rc == MOSQ_ERR_OVERSIZE_PACKET || rc == MOSQ_ERR_PAYLOAD_SIZE;

	spool_set_aside(session->spool, message,
			is_large ? MQTT_RC_PACKET_TOO_LARGE : MQTT_RC_TOPIC_NAME_INVALID);
	note_refusal(session, mosquitto_strerror(rc));
}

static void send_message(struct session *session, const struct message *message,
			 const struct place *place)
{
	uint8_t qos = message->qos < session->max_qos ? message->qos : session->max_qos;
	int mid = 0, rc = publish(session, message, qos, &mid);
	struct flight flight = {
		.seq = message->seq, .segment = place->segment, .offset = place->offset,
		.mid = mid, .qos = qos, .state = FLIGHT_SENT,
		.time_ms = message->time_ms, .clock = message->clock,
	};

	if (rc == MOSQ_ERR_NOMEM) {
		session->lost = rc;
		return;
	}
	if (qos == 2 && !session->watches_log)
		handshake_watch_log(session, true);
	if (rc != MOSQ_ERR_SUCCESS && rc != MOSQ_ERR_NO_CONN) {
		set_aside(session, message, rc);
		return;
	}
	/* A connection that broke meanwhile shows in its own way; the next one sends again. */
	if (qos == 0)
		spool_finished(session->spool, flight.seq);
	else if (spool_sent(session->spool, &flight) < 0)
		session->lost = MOSQ_ERR_NOMEM;
}

/* Flights whose PUBREC the broker has forgotten go out as new publishes. */
static void send_again(struct session *session)
{
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);

	for (size_t i = 0; i < count && !session->lost;) {
		struct flight flight = flights[i];
		struct place place = { flight.segment, flight.offset };
		struct message message;

		if (flight.state != FLIGHT_AGAIN) {
			i++;
			continue;
		}
		/* Either way the flight leaves its place in the array. */
		if (spool_read(session->spool, &flight, &message) < 0)
			spool_damaged(session->spool, flight.seq);
		else
			send_message(session, &message, &place);
		flights = spool_flights(session->spool, &count);
	}
}

void handshake_publish_status(struct session *session, const char *status)
{
	int mid = session->last_mid;

	mosquitto_publish(session->client, &mid, session->status_topic, strlen(status), status,
			  0, session->retains);
	session->last_mid = mid;
}

/* Hands over the next message, where there is one; false: none now. */
static bool feed_one(struct session *session, size_t most, struct message *message)
{
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);
	struct place place;

	if (count >= most || !resume_may_publish(flights, count, session->last_mid))
		return false;
	if (spool_next(session->spool, message, &place) <= 0) {
		session->is_paced = true;
		return false;
	}
	send_message(session, message, &place);
	return true;
}

bool session_feed(struct session *session, bool hold)
{
	unsigned unacknowledged = 0;
	size_t count;

	if (session->link != LINK_UP)
		return false;
	spool_flights(session->spool, &count);
	if (!count)
		session->miscounts = false;
	if (!session->greeted) {
		handshake_publish_status(session, "online");
		send_again(session);
		session->greeted = true;
	}
	subscriptions_feed(session);
	if (session->again_us && clock_monotonic_us() >= session->again_us) {
		session->again_us = 0;
		send_again(session);
	}
	session->is_paced = false;
	while (!session->lost && !hold) {
		struct message message;

		if (!feed_one(session, session->window, &message))
			return false;
		if (message.qos == 0 && ++unacknowledged == UNACKNOWLEDGED_A_TURN)
			return true;
	}
	return session->lost;
}

/* Messages that were handed over and that the library keeps until there is room for them. */
static size_t kept_back(const struct session *session)
{
	size_t count;

	spool_flights(session->spool, &count);
	return count > session->window ? count - session->window : 0;
}

/*
 * As many as wait for PUBCOMP: so no more than a window is ever to be published again, and the
 * link after this one has no use for keeping any back. The library takes each PUBCOMP for the
 * end of a message that it had counted.
 */
static void feed_ahead(struct session *session)
{
	size_t count, released = 0;
	const struct flight *flights = spool_flights(session->spool, &count);
	struct message message;

	for (size_t i = 0; i < count; i++)
		released += flights[i].state == FLIGHT_RELEASED;
	for (size_t i = 0; i < released && !session->lost; i++)
		if (!feed_one(session, session->window + released, &message))
			return;
}

void session_feed_ahead(struct session *session, bool hold)
{
	if (session->link == LINK_UP && !hold && session->keeps_window && !session->miscounts &&
	    !session->again_us && spool_allows_ahead(session->spool))
		feed_ahead(session);
	session->kept_back = kept_back(session);
}

size_t session_unanswered(const struct session *session)
{
	size_t count, kept = kept_back(session), queued = 0;

	spool_flights(session->spool, &count);
	if (kept < session->kept_back)
		queued = session->kept_back - kept;
	count -= kept;
	return count > queued ? count - queued : 0;
}

uint64_t session_due_us(const struct session *session)
{
	uint64_t due_us = UINT64_MAX;

	if (session->link != LINK_UP)
		return due_us;
	if (session->is_paced)
		due_us = spool_pace_due_us(session->spool);
	if (session->again_us && session->again_us < due_us)
		due_us = session->again_us;
	return due_us;
}

bool session_is_busy(const struct session *session)
{
	size_t count;

	spool_flights(session->spool, &count);
	return session->link == LINK_UP && count > 0;
}

/* --- what the broker answers --- */

void handshake_note_pubrec(struct session *session)
{
	if (session->pubrec)
		spool_released(session->spool, session->pubrec);
	session->pubrec = 0;
}

static void on_publish(_unused_ struct mosquitto *client, void *data, int mid, int reason,
		       _unused_ const mosquitto_property *properties)
{
	struct session *session = data;
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);

	if (session->pubrec == mid && answer_to_publish(reason) != ANSWER_TAKEN)
		session->pubrec = 0;
	handshake_note_pubrec(session);
	switch (answer_to_publish(reason)) {
	case ANSWER_TAKEN:
		break;
	case ANSWER_LATER:
		if (spool_again(session->spool, mid) && !session->again_us) {
			session->again_us = clock_monotonic_us() + AGAIN_US;
			log_warning("broker %s:%u: does not take a message now: %s; asking "
				    "again in %d s", session->conf->broker.host,
				    session->conf->broker.port, mosquitto_reason_string(reason),
				    AGAIN_US / 1000000);
		}
		return;
	case ANSWER_NEVER:
		if (spool_refused(session->spool, mid, reason))
			note_refusal(session, mosquitto_reason_string(reason));
		return;
	}
	/* Without QoS 2 there is nothing to look for among the flights. */
	for (size_t i = 0; i < count && session->watches_log && !session->blind; i++) {
		if (flights[i].mid != mid || flights[i].qos != 2 ||
		    flights[i].state != FLIGHT_SENT)
			continue;
		session->blind = true;
		log_warning("this libmosquitto does not tell of PUBREC: after a crash a QoS 2 "
			    "message may be delivered twice");
	}
	spool_acked(session->spool, mid);
}

/* Called by the helper thread too, while it has the client. */
static void on_log(struct mosquitto *client, void *data, int level, const char *line)
{
	struct session *session = data;
	bool repeated;
	uint16_t mid;

	if (level == MOSQ_LOG_ERR && session->link != LINK_UP)
		tls_trouble(line, mosquitto_ssl_get(client), session->conf->broker.host,
			    session->refusal);
	if (level != MOSQ_LOG_DEBUG)
		return;
	switch (pubrec_parse(line, &mid)) {
	case PUBREC_RECEIVED:
		handshake_note_pubrec(session);
		session->pubrec = mid;
		break;
	case PUBCOMP_RECEIVED:
		handshake_note_pubrec(session);
		spool_acked(session->spool, mid);
		break;
	case PUBREC_OTHER:
		if (publish_parse(line, session->conf->broker.client_id, &repeated))
			session->subscriptions.repeated = repeated ? REPEATED_YES : REPEATED_NO;
		break;
	}
}

/*
 * PUBREL for what the client of an earlier link had PUBREC for, and for what is given up: be it
 * that the broker has it or not, it holds its identifier no longer then. The library knows
 * nothing of it and has sent nothing yet but CONNECT, so the packet can go straight to the
 * connection.
 */
void handshake_release(struct session *session)
{
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);

	session->miscounts = false;
	for (size_t i = 0; i < count; i++) {
		if (flights[i].state != FLIGHT_RELEASED && flights[i].state != FLIGHT_GIVEN_UP)
			continue;
		session->miscounts = true;
		if (transfer_pubrel(session->client, flights[i].mid) < 0)
			session->lost = MOSQ_ERR_CONN_LOST;
	}
}

/* --- a new client, with what is in doubt --- */

static void burn_identifiers(struct session *session, uint16_t count)
{
	/* Fails, as there is no connection, and uses up an identifier all the same. */
	while (count--)
		mosquitto_publish(session->client, NULL, session->status_topic, 0, NULL, 0,
				  false);
}

/* Queues a flight's message in the library under the identifier that it has. */
static int resume_flight(struct session *session, const struct flight *flight)
{
	struct message message;
	int mid = 0, rc;

	if (spool_read(session->spool, flight, &message) < 0) {
		/* Its identifier has to be passed by all the same. */
		burn_identifiers(session, 1);
		spool_damaged(session->spool, flight->seq);
		return 0;
	}
	rc = publish(session, &message, flight->qos, &mid);
	if (rc != MOSQ_ERR_NO_CONN && rc != MOSQ_ERR_SUCCESS)
		return rc == MOSQ_ERR_NOMEM ? -ENOMEM : -EINVAL;
	assert(mid == flight->mid);
	return 0;
}

/*
 * Brings a new client to where the journal says that the one before it was. In a clean
 * session nothing is resumed but the counter: all in flight will be published anew.
 */
int handshake_resume(struct session *session)
{
	_cleanup_free_ struct resume_step *steps = NULL;
	_cleanup_free_ struct flight *flights = NULL;
	uint16_t last_mid = spool_last_mid(session->spool), burn_last;
	size_t count, n;
	const struct flight *known = spool_flights(session->spool, &count);

	mosquitto_publish_v5_callback_set(session->client, on_publish);
	session->watches_log = false;
	handshake_watch_log(session, false);
	if (session->conf->broker.clean_session)
		count = 0;
	steps = reallocarray(NULL, count + 1, sizeof(*steps));
	flights = reallocarray(NULL, count + 1, sizeof(*flights));
	if (!steps || !flights)
		return -ENOMEM;
	if (count)
		memcpy(flights, known, count * sizeof(*flights));
	for (size_t i = 0; i < count; i++)
		if (flights[i].qos == 2)
			handshake_watch_log(session, true);
	n = resume_plan(flights, count, last_mid, steps, &burn_last);
	for (size_t i = 0; i < n; i++) {
		int r;

		burn_identifiers(session, steps[i].burn);
		r = resume_flight(session, &flights[steps[i].flight]);
		if (r < 0)
			return r;
	}
	burn_identifiers(session, burn_last);
	session->last_mid = last_mid;
	return 0;
}
