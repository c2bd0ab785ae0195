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
#include "mqtt/answer.h"
#include "uplink/resume.h"
#include "uplink/session_state.h"

#include <assert.h>
#include <errno.h>
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

/* Hands a message to the library; *mid is its packet identifier. As client_publish(). */
static int publish(struct session *session, const struct message *message, uint8_t qos,
		   uint16_t *mid)
{
	uint64_t expiry_us = session->conf->publish.expiry_us;
	struct text payload = { .data = session->payload, .size = PAYLOAD_MAX };
	char topic[TOPIC_MAX + 1], digits[24];
	struct text seq = { .data = digits, .size = sizeof(digits) };
	struct publish publish = {
		.topic = topic, .payload = payload.data, .qos = qos,
		.retain = message->retain && session->retains, .seq = digits,
		.content_type = message->form == FORM_BARE ? NULL : "application/json",
	};

	memcpy(topic, message->topic, message->topic_length);
	topic[message->topic_length] = '\0';
	message_payload(message, &payload);
	publish.length = payload.length;
	text_addu(&seq, message->seq, 1);
	publish.correlation = message_correlation(message, &publish.correlation_length);
	/* States, which stay until the next one, are retained where readings are not. */
	if (!message->retain || session->conf->publish.retain)
		publish.expiry_s = (expiry_us + USEC_PER_SEC - 1) / USEC_PER_SEC;
	return client_publish(session->client, &publish, mid);
}

void session_watch_repeats(struct session *session, bool watch)
{
	bool before = session->watches_repeats;

	session->watches_repeats = watch;
	if (watch != before && session->client && session->link == LINK_UP)
		client_watch_repeats(session->client, watch);
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
static void set_aside(struct session *session, const struct message *message, int error)
{
	unsigned reason = error == -EMSGSIZE ? MQTT_RC_PACKET_TOO_LARGE :
					       MQTT_RC_TOPIC_NAME_INVALID;

	spool_set_aside(session->spool, message, reason);
	note_refusal(session, answer_words(reason));
}

static void send_message(struct session *session, const struct message *message,
			 const struct place *place)
{
	struct flight flight = {
		.seq = message->seq, .segment = place->segment, .offset = place->offset,
		.qos = message->qos < session->max_qos ? message->qos : session->max_qos,
		.state = FLIGHT_SENT, .time_ms = message->time_ms, .clock = message->clock,
	};
	int r = publish(session, message, flight.qos, &flight.mid);

	if (r == -ENOMEM)
		session->lost = CLIENT_NO_MEMORY;
	else if (r < 0)
		set_aside(session, message, r);
	/* A connection that broke meanwhile shows in its own way; the next one sends again. */
	else if (flight.qos == 0)
		spool_finished(session->spool, flight.seq);
	else if (spool_sent(session->spool, &flight) < 0)
		session->lost = CLIENT_NO_MEMORY;
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
	const struct publish publish = {
		.topic = session->status_topic, .payload = status, .length = strlen(status),
		.retain = session->retains,
	};
	uint16_t mid;

	(void)!client_publish(session->client, &publish, &mid);
}

/* Hands over the next message, where there is one; false: none now. */
static bool feed_one(struct session *session, size_t most, struct message *message)
{
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);
	struct place place;

	if (count >= most ||
	    !resume_may_publish(flights, count, client_last_mid(session->client)))
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
 * As many as wait for PUBCOMP: so no more than a window is to be published again, as long as the
 * broker does not forget what it had, and the link after this one has no use for keeping any
 * back. The library takes each PUBCOMP for the end of a message that it had counted.
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

	if (session->link != LINK_UP)
		return 0;
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

void handshake_released(void *data, uint16_t mid)
{
	struct session *session = data;

	spool_released(session->spool, mid);
}

/* A message of QoS 2 went out under that identifier, and PUBREC has not come. */
static bool waits_for_pubrec(const struct session *session, uint16_t mid)
{
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);

	for (size_t i = 0; i < count; i++)
		if (flights[i].mid == mid)
			return flights[i].qos == 2 && flights[i].state == FLIGHT_SENT;
	return false;
}

/* Those that are over with PUBREL, of which a new client knows nothing. */
static bool is_to_be_released(const struct flight *flight)
{
	return flight->state == FLIGHT_RELEASED || flight->state == FLIGHT_GIVEN_UP;
}

static size_t count_to_be_released(const struct session *session)
{
	size_t count, n = 0;
	const struct flight *flights = spool_flights(session->spool, &count);

	for (size_t i = 0; i < count; i++)
		n += is_to_be_released(&flights[i]);
	return n;
}

void handshake_answered(void *data, uint16_t mid, unsigned reason)
{
	struct session *session = data;

	switch (answer_to_publish(reason)) {
	case ANSWER_TAKEN:
		if (!session->blind && waits_for_pubrec(session, mid)) {
			session->blind = true;
			log_warning("this libmosquitto does not tell of PUBREC: after a crash a "
				    "QoS 2 message may be delivered twice");
		}
		spool_acked(session->spool, mid);
		break;
	case ANSWER_LATER:
		if (spool_again(session->spool, mid) && !session->again_us) {
			session->again_us = clock_monotonic_us() + AGAIN_US;
			log_warning("broker %s:%u: does not take a message now: %s; asking "
				    "again in %d s", session->conf->broker.host,
				    session->conf->broker.port, client_reason_words(reason),
				    AGAIN_US / 1000000);
		}
		break;
	case ANSWER_NEVER:
		if (spool_refused(session->spool, mid, reason))
			note_refusal(session, client_reason_words(reason));
		break;
	}
	if (session->only_releases && !count_to_be_released(session))
		session->lost = CLIENT_LOST;
}

/*
 * What was sent with a quality that the broker does not take any more can't be sent once more:
 * the next client publishes it anew, with the one there is. Until PUBREL the broker would count
 * what it has of it among what it takes at a time. How many those are.
 */
size_t handshake_give_up_quality(struct session *session, uint8_t max_qos)
{
	size_t count, lowered = 0;
	const struct flight *flights = spool_flights(session->spool, &count);

	for (size_t i = 0; i < count; i++) {
		if (flights[i].state != FLIGHT_SENT || flights[i].qos <= max_qos)
			continue;
		if (flights[i].qos == 2)
			(void)!client_pubrel(session->client, flights[i].mid);
		lowered += spool_again(session->spool, flights[i].mid);
	}
	return lowered;
}

/*
 * More is to be published again than the broker takes at a time, where it forgot the session or
 * takes less than it did. The library keeps the rest back, but lets go of one with each PUBCOMP,
 * also those of which it knows nothing. So they come on a link of their own, on which nothing
 * that the library has queued goes out.
 */
bool handshake_is_too_much(struct session *session, unsigned most)
{
	size_t count, released = count_to_be_released(session);

	spool_flights(session->spool, &count);
	session->only_releases = released && count - released > most;
	return session->only_releases;
}

/*
 * Some brokers know QoS 0 and 1 only and have no way to say so before MQTT 5 (RabbitMQ's
 * plug-in): they acknowledge the first message of QoS 2 as if it were of QoS 1.
 */
void handshake_lowered(void *data, uint16_t mid)
{
	struct session *session = data;

	if (!waits_for_pubrec(session, mid))
		return;
	if (!session->lowers)
		log_warning("broker %s:%u: takes QoS 2 for QoS 1: messages are sent with QoS 1 "
			    "and may arrive twice", session->conf->broker.host,
			    session->conf->broker.port);
	session->lowers = true;
	spool_acked(session->spool, mid);
	if (spool_lower(session->spool) < 0)
		session->lost = CLIENT_NO_MEMORY;
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
		if (!is_to_be_released(&flights[i]))
			continue;
		session->miscounts = true;
		if (client_pubrel(session->client, flights[i].mid) < 0)
			session->lost = CLIENT_LOST;
	}
}

/* --- a new client, with what is in doubt --- */

/* Queues a flight's message in the library under the identifier that it has. */
static int resume_flight(struct session *session, const struct flight *flight)
{
	struct message message;
	uint16_t mid = 0;
	int r;

	if (spool_read(session->spool, flight, &message) < 0) {
		/* Its identifier has to be passed by all the same. */
		client_burn(session->client, 1);
		spool_damaged(session->spool, flight->seq);
		return 0;
	}
	r = publish(session, &message, flight->qos, &mid);
	if (r == -EMSGSIZE) {
		client_burn(session->client, 1);
		set_aside(session, &message, r);
		return 0;
	}
	assert(r < 0 || mid == flight->mid);
	return r;
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

	if (session->conf->broker.clean_session)
		count = 0;
	steps = reallocarray(NULL, count + 1, sizeof(*steps));
	flights = reallocarray(NULL, count + 1, sizeof(*flights));
	if (!steps || !flights)
		return -ENOMEM;
	if (count)
		memcpy(flights, known, count * sizeof(*flights));
	n = resume_plan(flights, count, last_mid, steps, &burn_last);
	for (size_t i = 0; i < n; i++) {
		int r;

		client_burn(session->client, steps[i].burn);
		r = resume_flight(session, &flights[steps[i].flight]);
		if (r < 0)
			return r;
	}
	client_burn(session->client, burn_last);
	return 0;
}
