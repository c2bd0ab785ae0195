/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - our half of the MQTT persistent session, on libmosquitto.
 *
 * The library keeps its half of the handshake in memory only, so each link, the first one
 * after a crash as well as one after a cable was pulled, begins with a new client that takes
 * over what the journal holds (resume.h). There is one way in, and it is used all the time.
 *
 * Everything the library wants to send stays queued until mosquitto_loop_write(), which is
 * called only when the spool is committed.
 */
#include "uplink/session.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/answer.h"
#include "uplink/connect.h"
#include "uplink/pubrec.h"
#include "uplink/resume.h"
#include "uplink/tls_trouble.h"

#include <assert.h>
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>

enum {
	TICK_US = 1000 * 1000,
	/* How long a broker may take to answer CONNECT. */
	OPEN_TIMEOUT_US = 20 * 1000 * 1000,
	/* QoS 0 messages that are handed over in one turn. */
	UNACKNOWLEDGED_A_TURN = 256,
	/* Links that end soon one after the other, until somebody else is suspected. */
	SHORT_LINKS = 3,
	/* A link that held so long was a good one: begin with the shortest delay again. */
	GOOD_LINK_US = 60 * 1000 * 1000,
	/* How long what the broker did not want now is kept from it. */
	AGAIN_US = 5 * 1000 * 1000,
	/* Refusals are told of so often at most. */
	REFUSALS_US = 60 * 1000 * 1000,
};

enum link {
	LINK_DOWN,       /* a timer runs until the next attempt */
	LINK_CONNECTING, /* the helper has the client */
	LINK_OPENING,    /* CONNECT is sent or about to be */
	LINK_UP,
};

struct session {
	sd_event *loop;
	const struct conf *conf;
	struct spool *spool;
	char *status_topic;

	enum link link;
	struct mosquitto *client;
	struct connecting *connecting;
	int event;
	sd_event_source *event_source, *socket_source, *timer;
	uint32_t socket_events; /* what socket_source waits for */
	uint64_t link_since_us;
	unsigned silent_ticks; /* in which nothing came */
	uint64_t changed_us; /* when the link came up, or was lost */
	unsigned attempts; /* without success */
	bool taken_over;   /* by another client with our id */
	struct will will;
	int lost;          /* the library said so: a MOSQ_ERR code, to be dealt with */
	bool resumed;      /* by the broker, when the link came up */
	bool greeted;      /* `online` was published on this link */
	bool is_paced;     /* the spool gave no more, or holds the rest back for its pace */

	/* what this link's broker allows */
	unsigned window;   /* most messages in flight on this link */
	uint16_t keepalive_s;
	uint8_t max_qos;
	bool retains;
	uint64_t again_us; /* what it did not want now is published again; 0: nothing is */

	uint64_t refusals;        /* of messages, that were not told of yet, … */
	uint64_t refusals_due_us; /* … and when they may be */
	const char *refused_why;  /* the last of them */

	uint16_t last_mid; /* where the client's counter stands */
	uint16_t pubrec;   /* PUBREC came for it, and may still turn out to say no; 0: none */
	bool watches_log;  /* for PUBREC */
	bool blind;        /* PUBREC can't be seen in this library's log */
	char *payload;
	char refusal[TROUBLE_MAX]; /* why there is no link, as far as the library told */
	char trouble[TROUBLE_MAX]; /* what was last said of it */
};

static int begin_attempt(struct session *session, char why[TROUBLE_MAX]);

/* --- publishing --- */

/* MQTT 5.0, 3.3.2.3. Without memory for them a message goes out with fewer. */
static mosquitto_property *message_properties(const struct session *session,
					      const struct message *message)
{
	uint64_t expiry_us = session->conf->publish.expiry_us;
	mosquitto_property *properties = NULL;
	char digits[24];
	struct text text = { .data = digits, .size = sizeof(digits) };

	if (!session->conf->broker.mqtt5)
		return NULL;
	text_addu(&text, message->seq, 1);
	(void)!mosquitto_property_add_string_pair(&properties, MQTT_PROP_USER_PROPERTY, "seq",
						  digits);
	if (message->form != FORM_BARE)
		(void)!mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE,
						     "application/json");
	if (expiry_us)
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

/*
 * The log is watched for why a link can't be opened, and for PUBREC, which only QoS 2 has:
 * the library makes a line for each packet then.
 */
static void watch_log(struct session *session, bool pubrec)
{
	session->watches_log = session->watches_log || pubrec;
	mosquitto_log_callback_set(session->client,
				   session->watches_log || session->link != LINK_UP ? on_log :
										      NULL);
}

/* Told at once, and then now and then: a broker that refuses one refuses many. */
static void tell_refusals(struct session *session)
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
	tell_refusals(session);
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
		watch_log(session, true);
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

/* The gateway's own state; retained, and the last will says the opposite. */
static void publish_status(struct session *session, const char *status)
{
	int mid = session->last_mid;

	mosquitto_publish(session->client, &mid, session->status_topic, strlen(status), status,
			  0, session->retains);
	session->last_mid = mid;
}

bool session_feed(struct session *session, bool hold)
{
	unsigned unacknowledged = 0;

	if (session->link != LINK_UP)
		return false;
	if (!session->greeted) {
		publish_status(session, "online");
		send_again(session);
		session->greeted = true;
	}
	if (session->again_us && clock_monotonic_us() >= session->again_us) {
		session->again_us = 0;
		send_again(session);
	}
	session->is_paced = false;
	while (!session->lost && !hold) {
		size_t count;
		const struct flight *flights = spool_flights(session->spool, &count);
		struct message message;
		struct place place;

		if (count >= session->window ||
		    !resume_may_publish(flights, count, session->last_mid))
			return false;
		if (spool_next(session->spool, &message, &place) <= 0) {
			session->is_paced = true;
			return false;
		}
		send_message(session, &message, &place);
		if (message.qos == 0 && ++unacknowledged == UNACKNOWLEDGED_A_TURN)
			return true;
	}
	return session->lost;
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

/*
 * PUBREC is in the log before it is known what it says. Where it says no, on_publish() is told at
 * once, and the handshake is over; noted as received, it would be resumed with PUBREL after a
 * crash, and the message be lost.
 */
static void note_pubrec(struct session *session)
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
	note_pubrec(session);
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
	for (size_t i = 0; i < count && !session->blind; i++) {
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
	uint16_t mid;

	if (level == MOSQ_LOG_ERR && session->link != LINK_UP)
		tls_trouble(line, mosquitto_ssl_get(client), session->conf->broker.host,
			    session->refusal);
	if (level != MOSQ_LOG_DEBUG)
		return;
	switch (pubrec_parse(line, &mid)) {
	case PUBREC_RECEIVED:
		note_pubrec(session);
		session->pubrec = mid;
		break;
	case PUBCOMP_RECEIVED:
		note_pubrec(session);
		spool_acked(session->spool, mid);
		break;
	case PUBREC_OTHER:
		break;
	}
}

/*
 * PUBREL for what the client of an earlier link had PUBREC for, and for what is given up: be it
 * that the broker has it or not, it holds its identifier no longer then. The library knows
 * nothing of it and has sent nothing yet but CONNECT, so the packet can go straight to the connection:
 *
 *     62 02  mid, high byte first       (MQTT 3.1.1 and 5.0, 3.6: PUBREL)
 */
static int send_pubrel(struct session *session, uint16_t mid)
{
	const uint8_t packet[] = { 0x62, 0x02, mid >> 8, mid & 0xFF };
	SSL *tls = mosquitto_ssl_get(session->client);
	ssize_t n;

	if (tls)
		n = SSL_write(tls, packet, sizeof(packet));
	else
		n = send(mosquitto_socket(session->client), packet, sizeof(packet),
			 MSG_NOSIGNAL | MSG_DONTWAIT);
	return n == sizeof(packet) ? 0 : -EIO;
}

static void resume_released(struct session *session)
{
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);

	for (size_t i = 0; i < count; i++)
		if ((flights[i].state == FLIGHT_RELEASED ||
		     flights[i].state == FLIGHT_GIVEN_UP) &&
		    send_pubrel(session, flights[i].mid) < 0)
			session->lost = MOSQ_ERR_CONN_LOST;
}

/*
 * What the broker allows (MQTT 5.0, 3.2.2.3). Maximum Packet Size and Server Keep Alive the
 * library keeps to by itself: it refuses what is too large, and pings as it is told.
 */
static void read_limits(struct session *session, const mosquitto_property *properties)
{
	const struct broker_conf *broker = &session->conf->broker;
	uint32_t expiry_s = broker->session_expiry_us / USEC_PER_SEC, allowed_s = expiry_s;
	uint16_t receive_maximum;
	uint8_t max_qos, retains = 1;

	session->keepalive_s = broker->keepalive_us / USEC_PER_SEC;
	mosquitto_property_read_int16(properties, MQTT_PROP_SERVER_KEEP_ALIVE,
				      &session->keepalive_s, false);
	session->window = broker->inflight;
	session->max_qos = 2;
	if (mosquitto_property_read_int16(properties, MQTT_PROP_RECEIVE_MAXIMUM,
					  &receive_maximum, false) &&
	    receive_maximum < session->window)
		session->window = receive_maximum;
	if (mosquitto_property_read_byte(properties, MQTT_PROP_MAXIMUM_QOS, &max_qos, false))
		session->max_qos = max_qos;
	mosquitto_property_read_byte(properties, MQTT_PROP_RETAIN_AVAILABLE, &retains, false);
	if (!retains && session->retains)
		log_warning("broker %s:%u: retains no messages: states are published without",
			    broker->host, broker->port);
	session->retains = retains;
	session->will.retain = retains;
	mosquitto_property_read_int32(properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
				      &allowed_s, false);
	if (allowed_s < expiry_s && !broker->clean_session)
		log_warning("broker %s:%u: keeps the session for %u s only, not for %u s",
			    broker->host, broker->port, allowed_s, expiry_s);
}

/* CONNACK says no. A last will that is too much for the broker is asked for less of. */
static void refused(struct session *session, int reason)
{
	bool mqtt5 = session->conf->broker.mqtt5;

	if (mqtt5 && reason == MQTT_RC_RETAIN_NOT_SUPPORTED)
		session->will.retain = false;
	if (mqtt5 && reason == MQTT_RC_QOS_NOT_SUPPORTED)
		session->will.qos = 0;
	snprintf(session->refusal, sizeof(session->refusal), "refused: %s",
		 mqtt5 ? mosquitto_reason_string(reason) : mosquitto_connack_string(reason));
	session->lost = MOSQ_ERR_CONN_REFUSED;
}

static void on_connect(_unused_ struct mosquitto *client, void *data, int reason, int flags,
		       const mosquitto_property *properties)
{
	const struct broker_conf *broker = &((struct session *)data)->conf->broker;
	struct session *session = data;
	bool present = flags & 1;
	size_t forgotten = 0, count;

	if (reason) {
		refused(session, reason);
		return;
	}
	read_limits(session, properties);
	if (present && !broker->clean_session)
		resume_released(session);
	else
		forgotten = spool_forget_flights(session->spool, broker->clean_session);
	session->link = LINK_UP;
	watch_log(session, false);
	session->link_since_us = session->changed_us = clock_monotonic_us();
	session->resumed = present;
	session->greeted = false;
	session->again_us = 0;
	session->trouble[0] = '\0';
	spool_link_up(session->spool);
	spool_flights(session->spool, &count);
	log_notice("broker %s:%u: connected, session %s, %zu messages in doubt, %llu waiting",
		   broker->host, broker->port, present ? "resumed" : "new", count,
		   (unsigned long long)spool_sums(session->spool).waiting);
	if (forgotten)
		log_warning("broker %s:%u: forgot the session: %zu QoS 2 messages are sent "
			    "again and may arrive twice", broker->host, broker->port,
			    forgotten);
}

static void on_disconnect(_unused_ struct mosquitto *client, void *data, int reason,
			  _unused_ const mosquitto_property *properties)
{
	struct session *session = data;

	if (reason == MQTT_RC_SESSION_TAKEN_OVER)
		session->taken_over = true;
	if (!session->lost)
		session->lost = reason ? reason : MOSQ_ERR_CONN_LOST;
}

/* --- the link --- */

static void drop_client(struct session *session)
{
	session->socket_source = sd_event_source_disable_unref(session->socket_source);
	mosquitto_destroy(session->client);
	session->client = NULL;
}

static uint64_t next_delay_us(const struct session *session)
{
	const struct broker_conf *broker = &session->conf->broker;
	uint64_t delay_us = broker->reconnect_first_us;
	uint32_t random = 0;

	/* Two with one id would push each other out for ever: leave the other one some peace. */
	if (session->taken_over)
		delay_us = broker->reconnect_most_us;
	for (unsigned i = 1; i < session->attempts && delay_us < broker->reconnect_most_us; i++)
		delay_us *= 2;
	if (delay_us > broker->reconnect_most_us)
		delay_us = broker->reconnect_most_us;
	/* A quarter more or less, so that gateways do not come back all at once. */
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	return delay_us * 3 / 4 + delay_us / 2 * (random % 1000) / 1000;
}

static void set_timer(struct session *session, uint64_t in_us)
{
	sd_event_source_set_time(session->timer, clock_monotonic_us() + in_us);
	sd_event_source_set_enabled(session->timer, SD_EVENT_ONESHOT);
}

/* There is no link (any more). Said once for as long as the trouble is the same. */
static void link_failed(struct session *session, const char *why)
{
	const struct broker_conf *broker = &session->conf->broker;

	if (session->link == LINK_UP &&
	    clock_monotonic_us() - session->link_since_us >= GOOD_LINK_US)
		session->attempts = 0;
	if (strcmp(session->trouble, why)) {
		snprintf(session->trouble, sizeof(session->trouble), "%s", why);
		log_warning("broker %s:%u: %s; readings are kept, trying again", broker->host,
			    broker->port, why);
	}
	drop_client(session);
	if (session->link == LINK_UP)
		session->changed_us = clock_monotonic_us();
	session->link = LINK_DOWN;
	session->lost = 0;
	session->attempts++;
	set_timer(session, next_delay_us(session));
	session->taken_over = false;
}

/* Why the link was lost, by a MOSQ_ERR code or the reason code of the broker's DISCONNECT. */
static const char *describe_loss(const struct session *session)
{
	if (session->lost >= MQTT_RC_UNSPECIFIED)
		return mosquitto_reason_string(session->lost);
	return session->lost == MOSQ_ERR_ERRNO ? strerror(errno) :
						 mosquitto_strerror(session->lost);
}

static void deal_with_loss(struct session *session)
{
	char why[TROUBLE_MAX];

	if (!session->lost || session->link == LINK_DOWN)
		return;
	if (session->link == LINK_OPENING && session->refusal[0])
		snprintf(why, sizeof(why), "%s", session->refusal);
	else if (session->taken_over)
		snprintf(why, sizeof(why), "another client has taken over the session: it "
			 "uses the client_id \"%s\" too", session->conf->broker.client_id);
	else if (session->lost == MOSQ_ERR_CONN_LOST && session->link == LINK_UP &&
		 session->attempts >= SHORT_LINKS)
		snprintf(why, sizeof(why), "link lost, as those before it soon after they "
			 "were up: does another client use the client_id \"%s\"?",
			 session->conf->broker.client_id);
	else
		snprintf(why, sizeof(why), "link lost: %s", describe_loss(session));
	link_failed(session, why);
}

static void note_result(struct session *session, int rc)
{
	if (rc && !session->lost)
		session->lost = rc;
}

static int on_socket(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events,
		     void *data)
{
	struct session *session = data;

	/*
	 * A call takes at most as many packets as messages are in flight, and it ends early where
	 * errno says EAGAIN, also where that is left over from before.
	 */
	errno = 0;
	if (events & EPOLLIN)
		session->silent_ticks = 0;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		note_result(session, mosquitto_loop_read(session->client, 1));
	note_pubrec(session);
	return 0;
}

void session_write(struct session *session)
{
	uint32_t events = EPOLLIN;

	if (session->link == LINK_OPENING || session->link == LINK_UP) {
		if (!session->lost && mosquitto_want_write(session->client))
			note_result(session, mosquitto_loop_write(session->client, 1));
		if (!session->lost && mosquitto_want_write(session->client))
			events |= EPOLLOUT;
		if (!session->lost && events != session->socket_events) {
			session->socket_events = events;
			sd_event_source_set_io_events(session->socket_source, events);
		}
	}
	deal_with_loss(session);
}

/*
 * The library pings when a keepalive has passed in silence, and waits another one for the
 * answer. A link is lost when a broker would say so too: after one and a half. Ticks are
 * counted, not time, in which we may not have looked.
 */
static bool is_silent(const struct session *session)
{
	return session->link == LINK_UP && session->keepalive_s &&
	       (uint64_t)session->silent_ticks * TICK_US >
		       session->keepalive_s * USEC_PER_SEC * 3 / 2;
}

/* Keepalive, and a broker that never answers. */
static void tick(struct session *session)
{
	note_result(session, mosquitto_loop_misc(session->client));
	session->silent_ticks++;
	if (is_silent(session))
		note_result(session, MOSQ_ERR_KEEPALIVE);
	tell_refusals(session);
	if (session->link == LINK_OPENING &&
	    clock_monotonic_us() - session->link_since_us > OPEN_TIMEOUT_US) {
		link_failed(session, "the broker does not answer");
		return;
	}
	set_timer(session, TICK_US);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t now_us, void *data)
{
	struct session *session = data;
	char why[TROUBLE_MAX];
	int r;

	switch (session->link) {
	case LINK_OPENING:
	case LINK_UP:
		tick(session);
		break;
	case LINK_DOWN:
		r = begin_attempt(session, why);
		if (r < 0)
			link_failed(session, why);
		break;
	case LINK_CONNECTING:
		break;
	}
	return 0;
}

static int on_connected(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
			void *data)
{
	struct session *session = data;
	_cleanup_(connecting_freep) struct connecting *connecting = NULL;
	char why[TROUBLE_MAX];
	eventfd_t count;
	int r;

	(void)!eventfd_read(fd, &count);
	if (!session->connecting || !connecting_is_done(session->connecting))
		return 0;
	connecting = TAKE_PTR(session->connecting);
	if (connecting_result(connecting, why) < 0) {
		link_failed(session, session->refusal[0] ? session->refusal : why);
		return 0;
	}
	r = sd_event_add_io(session->loop, &session->socket_source,
			    mosquitto_socket(session->client), EPOLLIN | EPOLLOUT, on_socket,
			    session);
	session->socket_events = EPOLLIN | EPOLLOUT;
	if (r < 0) {
		link_failed(session, strerror(-r));
		return 0;
	}
	session->link = LINK_OPENING;
	session->link_since_us = clock_monotonic_us();
	set_timer(session, TICK_US);
	return 0;
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
static int resume(struct session *session)
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
	for (size_t i = 0; i < count; i++)
		if (flights[i].qos == 2)
			watch_log(session, true);
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

static int begin_attempt(struct session *session, char why[TROUBLE_MAX])
{
	int r = client_new(&session->conf->broker, &session->will, session, &session->client,
			   why);

	if (r < 0)
		return r;
	mosquitto_connect_v5_callback_set(session->client, on_connect);
	mosquitto_disconnect_v5_callback_set(session->client, on_disconnect);
	mosquitto_publish_v5_callback_set(session->client, on_publish);
	session->refusal[0] = '\0';
	session->watches_log = false;
	r = resume(session);
	watch_log(session, false);
	/* From here on the helper thread may call on_log(). */
	session->link = LINK_CONNECTING;
	if (r == 0)
		r = connecting_start(&session->conf->broker, session->client, session->event,
				     &session->connecting);
	if (r < 0)
		snprintf(why, TROUBLE_MAX, "can't connect: %s", strerror(-r));
	return r;
}

/* --- life --- */

int session_new(sd_event *loop, const struct conf *conf, struct spool *spool,
		struct session **result)
{
	struct session *session = calloc(1, sizeof(*session));
	int r = -ENOMEM;

	if (!session)
		return -ENOMEM;
	mosquitto_lib_init();
	session->loop = sd_event_ref(loop);
	session->conf = conf;
	session->spool = spool;
	session->changed_us = clock_monotonic_us();
	session->payload = malloc(PAYLOAD_MAX);
	session->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (asprintf(&session->status_topic, "%s/status", conf->gateway) < 0)
		session->status_topic = NULL;
	session->will = (struct will){ .topic = session->status_topic, .qos = 1, .retain = true };
	session->retains = true;
	if (session->payload && session->status_topic && session->event >= 0)
		r = sd_event_add_io(loop, &session->event_source, session->event, EPOLLIN,
				    on_connected, session);
	if (r >= 0)
		r = sd_event_add_time(loop, &session->timer, CLOCK_MONOTONIC, 0, TICK_US / 50,
				      on_timer, session);
	if (r < 0) {
		session_free(session);
		return r;
	}
	*result = session;
	return 0;
}

void session_leave(struct session *session)
{
	if (session->link != LINK_UP || session->lost)
		return;
	publish_status(session, "offline");
	mosquitto_disconnect(session->client);
	mosquitto_loop_write(session->client, 1);
}

bool session_free(struct session *session)
{
	bool left_behind = false;

	if (!session)
		return false;
	if (session->connecting) {
		left_behind = !connecting_is_done(session->connecting);
		if (!left_behind)
			connecting_free(session->connecting);
	}
	sd_event_source_disable_unref(session->timer);
	sd_event_source_disable_unref(session->event_source);
	sd_event_source_disable_unref(session->socket_source);
	sd_event_unref(session->loop);
	closep(&session->event);
	free(session->payload);
	free(session->status_topic);
	if (left_behind)
		return true;
	mosquitto_destroy(session->client);
	free(session);
	mosquitto_lib_cleanup();
	return false;
}

struct session_state session_state(const struct session *session)
{
	return (struct session_state){
		.connected = session->link == LINK_UP,
		.since_us = session->changed_us,
		.resumed = session->resumed,
		.attempts = session->attempts,
		.window = session->window,
	};
}

const char *session_describe(const struct session *session)
{
	static const char *const words[] = {
		[LINK_DOWN] = "no link to", [LINK_CONNECTING] = "connecting to",
		[LINK_OPENING] = "connecting to", [LINK_UP] = "connected to",
	};
	/* Written by the thread that asks. */
	static _Thread_local char text[2 * TROUBLE_MAX];

	snprintf(text, sizeof(text), "%s %s:%u%s%s", words[session->link],
		 session->conf->broker.host, session->conf->broker.port,
		 session->trouble[0] && session->link != LINK_UP ? ": " : "",
		 session->link != LINK_UP ? session->trouble : "");
	return text;
}
