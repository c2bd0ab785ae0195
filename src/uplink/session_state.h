/* SPDX-License-Identifier: Apache-2.0 */
/* session_state.h - what the files that make up the session share; nobody else's business. */
#pragma once

#include "uplink/client.h"
#include "uplink/connect.h"
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
	uint16_t mid;            /* of the request that is under way; 0: none */
	char *asked;             /* its filter */
	enum repeated repeated;  /* of the message that comes next */
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
	uint64_t links;    /* that came up so far */
	bool taken_over;   /* by another client with our id */
	struct will will;
	int lost;          /* the library said so: a MOSQ_ERR code, to be dealt with */
	bool resumed;      /* by the broker, when the link came up */
	bool greeted;      /* `online` was published on this link */
	bool is_paced;     /* the spool gave no more, or holds the rest back for its pace */

	/* what this link's broker allows */
	unsigned window;   /* most messages in flight on this link */
	bool keeps_window; /* the library, which knows it too, keeps back what is beyond */
	size_t kept_back;  /* so many were, at the end of the last turn */
	bool miscounts;    /* the library: PUBREL was resumed, of which it knows nothing */
	uint16_t keepalive_s;
	uint8_t max_qos;
	bool retains;
	uint64_t again_us; /* what it did not want now is published again; 0: nothing is */

	uint64_t refusals;        /* of messages, that were not told of yet, … */
	uint64_t refusals_due_us; /* … and when they may be */
	const char *refused_why;  /* the last of them */

	struct subscriptions subscriptions;

	uint16_t last_mid; /* where the client's counter stands */
	uint16_t pubrec;   /* PUBREC came for it, and may still turn out to say no; 0: none */
	bool watches_log;     /* for PUBREC */
	bool watches_repeats; /* for DUP */
	bool blind;        /* PUBREC can't be seen in this library's log */
	char *payload;
	char refusal[TROUBLE_MAX]; /* why there is no link, as far as the library told */
	char trouble[TROUBLE_MAX]; /* what was last said of it, … */
	char before[TROUBLE_MAX];  /* … and before that: the two may take turns */
};

/*
 * handshake.c - a client that has no connection yet is brought to where the journal says that
 * the one before it was, and its answers are listened to. 0 or -errno.
 */
int handshake_resume(struct session *session) _must_check_;
/* On a link that is up: PUBREL for what had PUBREC, and for what is given up. */
void handshake_release(struct session *session);
/*
 * The library's log is watched for why a link can't be opened and, once a QoS 2 message was
 * sent, for PUBREC.
 */
void handshake_watch_log(struct session *session, bool pubrec);
/*
 * To be called when all that came was read. PUBREC is in the log before it is known what it
 * says: where it says no, on_publish() is told at once and the handshake is over. Noted as
 * received, it would be resumed with PUBREL after a crash, and the message be lost.
 */
void handshake_note_pubrec(struct session *session);
/* Tells of messages that were refused, now and then. */
void handshake_tell_refusals(struct session *session);
/* The gateway's own state; retained, and the last will says the opposite. */
void handshake_publish_status(struct session *session, const char *status);

/*
 * subscriptions.c - the journal's notes are read; the client's messages and answers are
 * listened to; CONNECT is about to be sent; a link is up, of a session that the broker has or
 * has not; what is due is asked for.
 */
int subscriptions_load(struct session *session) _must_check_;
void subscriptions_listen(struct session *session);
void subscriptions_opening(struct session *session);
void subscriptions_opened(struct session *session, bool present);
void subscriptions_feed(struct session *session);
void subscriptions_done(struct session *session);
