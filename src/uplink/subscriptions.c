/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscriptions.c - what the gateway wants to hear of, and what the broker's session holds.
 *
 * The broker keeps subscriptions with the session, so they are made once and not again as long
 * as both know of the same ones. What it holds is noted in the journal when it has said so;
 * with one filter each is whether that is certain:
 *
 *     CONNECT leaves      nothing is certain any more: a broker that has lost the session makes
 *                         a new one, and we may be gone before CONNACK says so
 *     CONNACK             the session is there: what was certain before is certain again;
 *                         or it is not: nothing is held
 *     SUBSCRIBE, SUBACK   the filter is held, for certain
 *     UNSUBSCRIBE leaves  that filter is not certain any more; UNSUBACK: it is not held
 *
 * What is wanted and not certain is asked for, one after the other; what is held and not wanted
 * is taken back. The note stands also where nothing is held: it says whose session it is in which
 * messages are in flight.
 */
#include "base/log.h"
#include "uplink/resume.h"
#include "uplink/session_state.h"

#include <errno.h>
#include <mqtt_protocol.h>
#include <string.h>
#include <xxhash.h>

struct wanted {
	char *filter;
	struct subscription subscription; /* its filter is the one above */
	bool refused; /* on this link */
};

struct held {
	char *filter;
	uint8_t qos;
	bool certain, was_certain; /* before CONNECT left */
};

static struct wanted *find_wanted(const struct subscriptions *subscriptions,
				  const char *filter)
{
	for (size_t i = 0; i < subscriptions->wanted_count; i++)
		if (!strcmp(subscriptions->wanted[i].filter, filter))
			return &subscriptions->wanted[i];
	return NULL;
}

static struct held *find_held(const struct subscriptions *subscriptions, const char *filter)
{
	for (size_t i = 0; i < subscriptions->held_count; i++)
		if (!strcmp(subscriptions->held[i].filter, filter))
			return &subscriptions->held[i];
	return NULL;
}

/* --- what is held, in the journal --- */

/* Notes are of one session: of another broker, or under another name, nothing is known. */
static uint64_t note_key(const struct session *session)
{
	const struct broker_conf *broker = &session->conf->broker;
	XXH64_hash_t key = XXH3_64bits_withSeed(broker->host, strlen(broker->host), broker->port);

	return XXH3_64bits_withSeed(broker->client_id, strlen(broker->client_id), key);
}

static int add_held(struct subscriptions *subscriptions, const char *filter, size_t length,
		    uint8_t qos, bool certain)
{
	struct held *more = reallocarray(subscriptions->held, subscriptions->held_count + 1,
					 sizeof(*more));
	char *copy = strndup(filter, length);

	if (more)
		subscriptions->held = more;
	if (!more || !copy) {
		free(copy);
		return -ENOMEM;
	}
	more[subscriptions->held_count++] = (struct held){ copy, qos, certain, false };
	return 0;
}

static void forget_held(struct subscriptions *subscriptions, struct held *held)
{
	free(held->filter);
	*held = subscriptions->held[--subscriptions->held_count];
}

/* Of each filter: QoS, 128 where it is certain 1 · length 2 · filter; or one byte, 0 */
enum { ENTRY_HEAD = 3, CERTAIN = 128 };

static void note_held(struct session *session, bool sync)
{
	struct subscriptions *subscriptions = &session->subscriptions;
	uint8_t bytes[NOTE_MAX_BYTES] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < subscriptions->held_count; i++) {
		const struct held *held = &subscriptions->held[i];
		size_t length = strlen(held->filter);

		/* What there is no room for is asked for again after the next start. */
		if (n + ENTRY_HEAD + length > sizeof(bytes))
			break;
		bytes[n] = held->qos | (held->certain ? CERTAIN : 0);
		bytes[n + 1] = length & 0xFF;
		bytes[n + 2] = length >> 8;
		memcpy(bytes + n + ENTRY_HEAD, held->filter, length);
		n += ENTRY_HEAD + length;
	}
	if (spool_note(session->spool, RECORD_SUBSCRIBED, note_key(session), bytes, n ? n : 1,
		       sync) < 0)
		log_error("spool: no room to note what is subscribed to");
	else
		subscriptions->is_noted = true;
}

static int load_held(struct session *session, const struct note *note)
{
	const uint8_t *bytes = note->bytes;
	size_t left = note->length;
	int r = 0;

	while (r == 0 && left >= ENTRY_HEAD) {
		size_t length = bytes[1] | bytes[2] << 8;

		if (length > left - ENTRY_HEAD)
			break;
		r = add_held(&session->subscriptions, (const char *)bytes + ENTRY_HEAD, length,
			     bytes[0] & 3, bytes[0] & CERTAIN);
		bytes += ENTRY_HEAD + length;
		left -= ENTRY_HEAD + length;
	}
	return r;
}

int subscriptions_load(struct session *session)
{
	struct subscriptions *subscriptions = &session->subscriptions;
	const struct notes *notes = spool_notes(session->spool);
	bool others = false;
	int r = 0;

	subscriptions->key = note_key(session);
	subscriptions->is_noted = false;
	for (size_t i = 0; r == 0 && i < notes->count; i++) {
		const struct note *note = &notes->list[i];

		if (note->type != RECORD_SUBSCRIBED)
			continue;
		if (note->key != subscriptions->key) {
			others = true;
			continue;
		}
		r = load_held(session, note);
		subscriptions->is_noted = true;
	}
	subscriptions->has_moved = others && !subscriptions->is_noted;
	return r;
}

bool subscriptions_have_moved(const struct session *session)
{
	return session->subscriptions.has_moved;
}

static void forget_others(struct session *session)
{
	const struct notes *notes = spool_notes(session->spool);

	for (size_t i = notes->count; i > 0; i--) {
		const struct note *note = &notes->list[i - 1];

		if (note->type == RECORD_SUBSCRIBED && note->key != session->subscriptions.key)
			(void)!spool_note(session->spool, RECORD_SUBSCRIBED, note->key, NULL, 0,
					  false);
	}
	session->subscriptions.has_moved = false;
}

/* --- the link --- */

void subscriptions_opening(struct session *session)
{
	struct subscriptions *subscriptions = &session->subscriptions;
	bool any = false;

	/* The settings of the broker may have changed meanwhile. */
	if (subscriptions->key != note_key(session)) {
		while (subscriptions->held_count)
			forget_held(subscriptions, subscriptions->held);
		if (subscriptions_load(session) < 0)
			session->lost = CLIENT_NO_MEMORY;
	}
	for (size_t i = 0; i < subscriptions->held_count; i++) {
		struct held *held = &subscriptions->held[i];

		held->was_certain = held->certain;
		held->certain = false;
		any = any || held->was_certain;
	}
	if (any)
		note_held(session, true);
}

void subscriptions_opened(struct session *session, bool present)
{
	struct subscriptions *subscriptions = &session->subscriptions;
	bool any = subscriptions->held_count > 0;

	subscriptions->mid = 0;
	for (size_t i = 0; i < subscriptions->wanted_count; i++)
		subscriptions->wanted[i].refused = false;
	for (size_t i = 0; i < subscriptions->held_count; i++)
		subscriptions->held[i].certain = subscriptions->held[i].was_certain;
	while (!present && subscriptions->held_count)
		forget_held(subscriptions, subscriptions->held);
	if (any || !subscriptions->is_noted)
		note_held(session, any && !present);
	forget_others(session);
}

static bool is_due(const struct subscriptions *subscriptions, const struct wanted *wanted)
{
	const struct held *held = find_held(subscriptions, wanted->filter);

	return !wanted->refused &&
	       (!held || !held->certain || held->qos != wanted->subscription.qos);
}

/* A request is under way, or the library has no memory for it: the next link tries again. */
static void asked(struct session *session, const char *filter, int end, uint16_t mid)
{
	struct subscriptions *subscriptions = &session->subscriptions;

	free(subscriptions->asked);
	subscriptions->asked = strdup(filter);
	if (end || !subscriptions->asked) {
		session->lost = end ? end : CLIENT_NO_MEMORY;
		return;
	}
	subscriptions->mid = mid;
}

static void take_back(struct session *session, struct held *held)
{
	uint16_t mid = 0;
	int end = client_unsubscribe(session->client, held->filter, &mid);

	if (held->certain) {
		held->certain = false;
		note_held(session, true);
	}
	asked(session, held->filter, end, mid);
}

void subscriptions_feed(struct session *session)
{
	struct subscriptions *subscriptions = &session->subscriptions;
	size_t count;
	const struct flight *flights = spool_flights(session->spool, &count);

	if (subscriptions->mid ||
	    !resume_may_publish(flights, count, client_last_mid(session->client)))
		return;
	for (size_t i = 0; i < subscriptions->wanted_count; i++) {
		struct wanted *wanted = &subscriptions->wanted[i];
		uint16_t mid = 0;
		int end;

		if (!is_due(subscriptions, wanted))
			continue;
		end = client_subscribe(session->client, wanted->filter,
				       wanted->subscription.qos, &mid);
		asked(session, wanted->filter, end, mid);
		return;
	}
	for (size_t i = 0; i < subscriptions->held_count; i++) {
		struct held *held = &subscriptions->held[i];

		if (!find_wanted(subscriptions, held->filter)) {
			take_back(session, held);
			return;
		}
	}
}

/* --- what the broker says --- */

void subscriptions_subscribed(void *data, uint16_t mid, unsigned granted)
{
	struct session *session = data;
	struct subscriptions *subscriptions = &session->subscriptions;
	struct wanted *wanted;
	struct held *held;

	if (mid != subscriptions->mid)
		return;
	subscriptions->mid = 0;
	wanted = find_wanted(subscriptions, subscriptions->asked);
	if (granted >= MQTT_RC_UNSPECIFIED) {
		log_error("broker %s:%u: refuses the subscription to %s: %s",
			  session->conf->broker.host, session->conf->broker.port,
			  subscriptions->asked, client_reason_words(granted));
		if (wanted)
			wanted->refused = true;
		return;
	}
	/* Of a lower quality than was asked for, it is not asked for again. */
	held = find_held(subscriptions, subscriptions->asked);
	if (held) {
		held->certain = true;
		held->qos = wanted ? wanted->subscription.qos : granted;
	} else if (add_held(subscriptions, subscriptions->asked, strlen(subscriptions->asked),
			    wanted ? wanted->subscription.qos : granted, true) < 0) {
		session->lost = CLIENT_NO_MEMORY;
		return;
	}
	note_held(session, false);
	log_info("broker %s:%u: subscribed to %s", session->conf->broker.host,
		 session->conf->broker.port, subscriptions->asked);
}

void subscriptions_unsubscribed(void *data, uint16_t mid)
{
	struct session *session = data;
	struct subscriptions *subscriptions = &session->subscriptions;
	struct held *held;

	if (mid != subscriptions->mid)
		return;
	subscriptions->mid = 0;
	held = find_held(subscriptions, subscriptions->asked);
	if (held)
		forget_held(subscriptions, held);
	note_held(session, false);
}

void subscriptions_came(void *data, const struct incoming *incoming)
{
	struct subscriptions *subscriptions = &((struct session *)data)->subscriptions;

	for (size_t i = 0; i < subscriptions->wanted_count; i++) {
		const struct subscription *wanted = &subscriptions->wanted[i].subscription;

		if (client_matches(wanted->filter, incoming->topic))
			wanted->handler(wanted->data, incoming);
	}
}

/* --- what is wanted --- */

int session_subscribe(struct session *session, const struct subscription *subscription)
{
	struct subscriptions *subscriptions = &session->subscriptions;
	struct wanted *wanted = find_wanted(subscriptions, subscription->filter), *more;
	char *filter;

	if (!wanted) {
		more = reallocarray(subscriptions->wanted, subscriptions->wanted_count + 1,
				    sizeof(*more));
		filter = strdup(subscription->filter);
		if (more)
			subscriptions->wanted = more;
		if (!more || !filter) {
			free(filter);
			return -ENOMEM;
		}
		wanted = &more[subscriptions->wanted_count++];
		*wanted = (struct wanted){ .filter = filter };
	}
	wanted->subscription = *subscription;
	wanted->subscription.filter = wanted->filter;
	return 0;
}

void session_unsubscribe(struct session *session, const char *filter)
{
	struct subscriptions *subscriptions = &session->subscriptions;
	struct wanted *wanted = find_wanted(subscriptions, filter);

	if (!wanted)
		return;
	free(wanted->filter);
	*wanted = subscriptions->wanted[--subscriptions->wanted_count];
}

void subscriptions_done(struct session *session)
{
	struct subscriptions *subscriptions = &session->subscriptions;

	while (subscriptions->held_count)
		forget_held(subscriptions, subscriptions->held);
	while (subscriptions->wanted_count)
		session_unsubscribe(session, subscriptions->wanted->filter);
	free(subscriptions->held);
	free(subscriptions->wanted);
	free(subscriptions->asked);
}
