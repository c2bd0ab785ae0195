/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - the link to the broker and the session on it, on libmosquitto.
 *
 * The library keeps its half of the handshake in memory only, so each link, the first one
 * after a crash as well as one after a cable was pulled, begins with a new client that takes
 * over what the journal holds (resume.h). There is one way in, and it is used all the time.
 *
 * Everything the library wants to send stays queued until mosquitto_loop_write(), which is
 * called only when the spool is committed.
 */
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/session_state.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>

enum {
	TICK_US = 1000 * 1000,
	/* How long a broker may take to answer CONNECT. */
	OPEN_TIMEOUT_US = 20 * 1000 * 1000,
	/* Links that end soon one after the other, until somebody else is suspected. */
	SHORT_LINKS = 3,
	/* A link that held so long was a good one: begin with the shortest delay again. */
	GOOD_LINK_US = 60 * 1000 * 1000,
};

static int begin_attempt(struct session *session, char why[TROUBLE_MAX]);

static void take_limits(struct session *session, const struct client_limits *limits)
{
	const struct broker_conf *broker = &session->conf->broker;
	uint32_t expiry_s = broker->session_expiry_us / USEC_PER_SEC;

	session->keepalive_s = limits->keepalive_s;
	session->max_qos = session->lowers && limits->max_qos > 1 ? 1 : limits->max_qos;
	/* The library takes the broker's word for it, be it more than was set. */
	session->keeps_window = limits->in_flight <= broker->inflight;
	session->window = session->keeps_window ? limits->in_flight : broker->inflight;
	if (!limits->retains && session->retains)
		log_warning("broker %s:%u: retains no messages: states are published without",
			    broker->host, broker->port);
	session->retains = session->will.retain = limits->retains;
	if (limits->session_expiry_s < expiry_s && !broker->clean_session)
		log_warning("broker %s:%u: keeps the session for %u s only, not for %u s",
			    broker->host, broker->port, limits->session_expiry_s, expiry_s);
}

/* CONNACK says no. A last will that is too much for the broker is asked for less of. */
static void on_refused(void *data, unsigned reason, const char *words)
{
	struct session *session = data;
	bool mqtt5 = session->conf->broker.mqtt5;

	if (mqtt5 && reason == MQTT_RC_RETAIN_NOT_SUPPORTED)
		session->will.retain = false;
	if (mqtt5 && reason == MQTT_RC_QOS_NOT_SUPPORTED)
		session->will.qos = 0;
	snprintf(session->refusal, sizeof(session->refusal), "refused: %s", words);
	session->lost = CLIENT_REFUSED;
}

/*
 * The broker has no session of ours, or not the one in which there are messages of which it had
 * PUBREL, or was to have it. They are published again, which takes a client that begins with
 * them: true.
 */
static bool has_forgotten(struct session *session)
{
	ssize_t count = spool_unrelease(session->spool);

	if (count == 0)
		return false;
	if (count < 0)
		snprintf(session->refusal, sizeof(session->refusal), "%s", strerror(-count));
	else
		snprintf(session->refusal, sizeof(session->refusal),
			 "%s: %zd QoS 2 messages are sent again and may arrive twice",
			 subscriptions_have_moved(session) ? "this is another session than before" :
							     "it forgot the session", count);
	session->lost = CLIENT_LOST;
	return true;
}

/* Likewise of messages that the broker takes with a lower quality only. */
static bool takes_less(struct session *session, uint8_t max_qos)
{
	size_t count = handshake_give_up_quality(session, max_qos);

	if (count == 0)
		return false;
	snprintf(session->refusal, sizeof(session->refusal),
		 "it takes no more than QoS %u now: %zu messages are sent again and may arrive "
		 "twice", max_qos, count);
	session->lost = CLIENT_LOST;
	return true;
}

static void on_opened(void *data, bool present, const struct client_limits *limits)
{
	const struct broker_conf *broker = &((struct session *)data)->conf->broker;
	struct session *session = data;
	/* Another broker may have one of that name all the same. */
	bool is_ours = present && !subscriptions_have_moved(session);
	size_t count;

	if (broker->clean_session)
		spool_forget_flights(session->spool);
	else if ((!is_ours && has_forgotten(session)) || takes_less(session, limits->max_qos))
		return;
	if (handshake_is_too_much(session, limits->in_flight)) {
		snprintf(session->refusal, sizeof(session->refusal),
			 "more is in doubt than it takes at a time; it gets PUBREL first");
		handshake_release(session);
		return;
	}
	take_limits(session, limits);
	handshake_release(session);
	subscriptions_opened(session, is_ours && !broker->clean_session);
	session->link = LINK_UP;
	session->links++;
	session->link_since_us = session->changed_us = clock_monotonic_us();
	session->resumed = present;
	session->greeted = false;
	session->again_us = 0;
	session->trouble[0] = session->before[0] = '\0';
	spool_link_up(session->spool);
	spool_flights(session->spool, &count);
	log_notice("broker %s:%u: connected, session %s, %zu messages in doubt, %llu waiting",
		   broker->host, broker->port, present ? "resumed" : "new", count,
		   (unsigned long long)spool_sums(session->spool).waiting);
}

static void on_ended(void *data, int end)
{
	struct session *session = data;

	if (end == MQTT_RC_SESSION_TAKEN_OVER)
		session->taken_over = true;
	if (!session->lost)
		session->lost = end;
}

static const struct client_events client_events = {
	.opened = on_opened,
	.refused = on_refused,
	.ended = on_ended,
	.released = handshake_released,
	.answered = handshake_answered,
	.lowered = handshake_lowered,
	.subscribed = subscriptions_subscribed,
	.unsubscribed = subscriptions_unsubscribed,
	.came = subscriptions_came,
};

/* --- the link --- */

static void drop_client(struct session *session)
{
	session->socket_source = sd_event_source_disable_unref(session->socket_source);
	client_free(TAKE_PTR(session->client));
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
	if (strcmp(session->trouble, why) && strcmp(session->before, why)) {
		memcpy(session->before, session->trouble, sizeof(session->before));
		snprintf(session->trouble, sizeof(session->trouble), "%s", why);
		log_warning("broker %s:%u: %s; readings are kept, trying again", broker->host,
			    broker->port, why);
	}
	if (session->client)
		session->most_bytes = client_limit(session->client);
	drop_client(session);
	if (session->link == LINK_UP)
		session->changed_us = clock_monotonic_us();
	session->link = LINK_DOWN;
	session->lost = 0;
	session->attempts++;
	set_timer(session, next_delay_us(session));
	session->taken_over = false;
}

/* Why a link was not opened, as far as anybody said; NULL. */
static const char *refusal(const struct session *session)
{
	const char *trouble = client_trouble(session->client);

	if (session->refusal[0])
		return session->refusal;
	return trouble[0] ? trouble : NULL;
}

static void deal_with_loss(struct session *session)
{
	char why[TROUBLE_MAX];

	if (!session->lost || session->link == LINK_DOWN)
		return;
	if (session->link == LINK_OPENING && refusal(session))
		snprintf(why, sizeof(why), "%s", refusal(session));
	else if (session->link == LINK_OPENING && session->lost == CLIENT_LOST &&
		 session->conf->broker.mqtt5)
		snprintf(why, sizeof(why), "it ends the connection without an answer: if it "
			 "does not know MQTT 5, set version = \"3.1.1\" in the group broker");
	else if (session->taken_over)
		snprintf(why, sizeof(why), "another client has taken over the session: it "
			 "uses the client_id \"%s\" too", session->conf->broker.client_id);
	else if (session->lost == CLIENT_LOST && session->link == LINK_UP &&
		 session->attempts >= SHORT_LINKS)
		snprintf(why, sizeof(why), "link lost, as those before it soon after they "
			 "were up: does another client use the client_id \"%s\"?",
			 session->conf->broker.client_id);
	else
		snprintf(why, sizeof(why), "link lost: %s",
			 client_end_words(session->client, session->lost));
	link_failed(session, why);
}

static void note_end(struct session *session, int end)
{
	if (end && !session->lost)
		session->lost = end;
}

static int on_socket(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events,
		     void *data)
{
	struct session *session = data;

	if (events & EPOLLIN)
		session->silent_ticks = 0;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) || client_is_behind(session->client))
		note_end(session, client_read(session->client, session->kept_back > 0));
	return 0;
}

void session_write(struct session *session)
{
	bool writes = !session->only_releases;
	uint32_t events = EPOLLIN;

	if (session->link == LINK_OPENING || session->link == LINK_UP) {
		if (!session->lost && writes && client_wants_write(session->client))
			note_end(session, client_write(session->client));
		if (!session->lost && writes && client_wants_write(session->client))
			events |= EPOLLOUT;
		/* What the socket does not tell of is read as soon as it is looked at again. */
		if (!session->lost && client_is_behind(session->client))
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
	note_end(session, client_tick(session->client));
	session->silent_ticks++;
	if (is_silent(session))
		note_end(session, CLIENT_SILENT);
	handshake_tell_refusals(session);
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
		link_failed(session, refusal(session) ? refusal(session) : why);
		return 0;
	}
	r = sd_event_add_io(session->loop, &session->socket_source,
			    client_socket(session->client), EPOLLIN | EPOLLOUT, on_socket,
			    session);
	session->socket_events = EPOLLIN | EPOLLOUT;
	if (r < 0) {
		link_failed(session, strerror(-r));
		return 0;
	}
	session->link = LINK_OPENING;
	session->link_since_us = clock_monotonic_us();
	subscriptions_opening(session);
	set_timer(session, TICK_US);
	return 0;
}

/* --- a new client, with what is in doubt --- */

static int begin_attempt(struct session *session, char why[TROUBLE_MAX])
{
	int r = client_new(&session->conf->broker, &session->will, &client_events, session,
			   &session->client, why);

	if (r < 0)
		return r;
	client_watch_repeats(session->client, session->watches_repeats);
	client_set_limit(session->client, session->most_bytes);
	session->refusal[0] = '\0';
	session->only_releases = false;
	r = handshake_resume(session);
	/* From here on the helper thread may be told of the library's log. */
	session->link = LINK_CONNECTING;
	if (r == 0)
		r = connecting_start(&session->conf->broker, session->client, session->event,
				     &session->connecting);
	if (r < 0)
		snprintf(why, TROUBLE_MAX, "can't connect: %s", strerror(-r));
	return r;
}

/* --- life --- */

/* Of a broker nothing is known yet. */
static void expect_all(struct session *session)
{
	session->will = (struct will){ .topic = session->status_topic, .qos = 1, .retain = true };
	session->retains = true;
	session->lowers = false;
	session->most_bytes = 0;
}

bool session_change(struct session *session, const struct conf *conf, bool anew)
{
	if (session->link == LINK_CONNECTING)
		return false;
	session->conf = conf;
	if (!anew)
		return true;
	session_leave(session);
	drop_client(session);
	if (session->link == LINK_UP)
		session->changed_us = clock_monotonic_us();
	session->link = LINK_DOWN;
	session->lost = 0;
	session->attempts = 0;
	session->taken_over = false;
	session->trouble[0] = session->before[0] = '\0';
	expect_all(session);
	set_timer(session, 0);
	return true;
}

int session_new(sd_event *loop, const struct conf *conf, struct spool *spool,
		struct session **result)
{
	struct session *session = calloc(1, sizeof(*session));
	int r = -ENOMEM;

	if (!session)
		return -ENOMEM;
	client_library_init();
	session->loop = sd_event_ref(loop);
	session->conf = conf;
	session->spool = spool;
	session->changed_us = clock_monotonic_us();
	session->payload = malloc(PAYLOAD_MAX);
	session->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (asprintf(&session->status_topic, "%s/status", conf->gateway) < 0)
		session->status_topic = NULL;
	expect_all(session);
	if (session->payload && session->status_topic && session->event >= 0)
		r = subscriptions_load(session);
	if (r == 0)
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
	handshake_publish_status(session, "offline");
	client_leave(session->client);
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
	subscriptions_done(session);
	free(session->payload);
	free(session->status_topic);
	if (left_behind)
		return true;
	client_free(session->client);
	free(session);
	client_library_cleanup();
	return false;
}

struct session_state session_state(const struct session *session)
{
	return (struct session_state){
		.connected = session->link == LINK_UP,
		.since_us = session->changed_us,
		.is_kept = !session->conf->broker.clean_session,
		.resumed = session->resumed,
		.attempts = session->attempts,
		.window = session->window,
		.links = session->links,
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
