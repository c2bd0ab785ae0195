/* SPDX-License-Identifier: Apache-2.0 */
/* session_state.h - what the files that make up the session share; nobody else's business. */
#pragma once

#include "mqtt/client.h"
#include "mqtt/connect.h"
#include "uplink/session.h"
#include "uplink/subscriptions.h"

enum link {
	LINK_DOWN,       /* a timer runs until the next attempt */
	LINK_CONNECTING, /* the helper has the client */
	LINK_OPENING,    /* CONNECT is sent or about to be */
	LINK_UP,
};

/* What is wanted, and what the broker's session has: see subscriptions.c. */
struct subscriptions {
	struct wanted *wanted;
	size_t wanted_count;
	struct held *held;
	size_t held_count;
	uint64_t key;            /* of the session that it is held in */
	bool is_noted;           /* that what is in flight is of this session, … */
	bool has_moved;          /* … or of another one */
	uint16_t mid;            /* of the request that is under way; 0: none */
	char *asked;             /* its filter */
};

struct session {
	sd_event *loop;
	const struct conf *conf;
	struct spool *spool;
	char *status_topic;

	enum link link;
	struct client *client;
	struct connecting *connecting;
	int event;
	sd_event_source *event_source, *socket_source, *timer;
	uint32_t socket_events; /* what socket_source waits for */
	uint64_t link_since_us;
	unsigned silent_ticks; /* in which nothing came */
	uint64_t changed_us; /* when the link came up, or was lost */
	unsigned attempts; /* without success */
	uint64_t links;    /* that came up so far */
	bool taken_over;   /* by another client with our id */
	struct will will;
	bool only_releases; /* this link: nothing leaves it but PUBREL, and it ends then */
	int lost;          /* how the link ends (enum client_end), to be dealt with */
	bool resumed;      /* by the broker, when the link came up */
	bool greeted;      /* `online` was published on this link */
	bool is_paced;     /* the spool gave no more, or holds the rest back for its pace */

	/* what this link's broker allows */
	unsigned window;   /* most messages in flight on this link */
	bool keeps_window; /* the library, which knows it too, keeps back what is beyond */
	size_t kept_back;  /* so many were, at the end of the last turn */
	uint32_t most_bytes; /* of a packet, as the broker said; 0: it did not */
	bool miscounts;    /* the library: PUBREL was resumed, of which it knows nothing */
	uint16_t keepalive_s;
	uint8_t max_qos;
	bool lowers;       /* the broker: it takes QoS 2 for QoS 1 and had no way to say so */
	bool retains;
	uint64_t again_us; /* what it did not want now is published again; 0: nothing is */

	uint64_t refusals;        /* of messages, that were not told of yet, … */
	uint64_t refusals_due_us; /* … and when they may be */
	const char *refused_why;  /* the last of them */

	struct subscriptions subscriptions;

	bool watches_repeats;
	bool blind;        /* PUBREC can't be seen in this library's log */
	char *payload;
	char refusal[TROUBLE_MAX]; /* why CONNACK was the end; "" where it was not */
	char trouble[TROUBLE_MAX]; /* what was last said of it, … */
	char before[TROUBLE_MAX];  /* … and before that: the two may take turns */
};

/*
 * handshake.c - a client that has no connection yet is brought to where the journal says that
 * the one before it was. 0 or -errno.
 */
int handshake_resume(struct session *session) _must_check_;
/* On a link that is up: PUBREL for what had PUBREC, and for what is given up. */
void handshake_release(struct session *session);
/* Messages that need another client, where the broker takes no more than this quality. */
size_t handshake_give_up_quality(struct session *session, uint8_t max_qos);
/* Whether the link is good for nothing else, where the broker takes so many at a time. */
bool handshake_is_too_much(struct session *session, unsigned most);
/* The broker said so: PUBREC; or the message is over, for this reason. */
void handshake_released(void *session, uint16_t mid);
void handshake_answered(void *session, uint16_t mid, unsigned reason);
void handshake_lowered(void *session, uint16_t mid);
/* Tells of messages that were refused, now and then. */
void handshake_tell_refusals(struct session *session);
/* The gateway's own state; retained, and the last will says the opposite. */
void handshake_publish_status(struct session *session, const char *status);

/*
 * subscriptions.c - the journal's notes are read; CONNECT is about to be sent; a link is up, of
 * a session that the broker has or has not; what is due is asked for.
 */
int subscriptions_load(struct session *session) _must_check_;
void subscriptions_opening(struct session *session);
/*
 * Whether what is in flight was sent in another session: of another broker, or under another
 * name. The next subscriptions_opened() notes that it is of this one.
 */
bool subscriptions_have_moved(const struct session *session);
void subscriptions_opened(struct session *session, bool present);
void subscriptions_feed(struct session *session);
void subscriptions_done(struct session *session);
/* What the broker says: SUBACK, UNSUBACK, a message. */
void subscriptions_subscribed(void *session, uint16_t mid, unsigned granted);
void subscriptions_unsubscribed(void *session, uint16_t mid);
void subscriptions_came(void *session, const struct incoming *incoming);
