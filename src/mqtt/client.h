/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - an MQTT client on libmosquitto that sends nothing before it is told to, takes over
 * the packet identifiers of another one, and tells of PUBREC.
 *
 * A client is good for one link. Its calls and events are of one thread, but for those of
 * connect.h; what an event gets is valid during the call. Whatever is to go out is queued until
 * client_write().
 */
#pragma once

#include "config/conf.h"

struct client;

enum { TROUBLE_MAX = 256 };

/*
 * How a link ends, with 0 for: it does not. From 0x80 on it is the reason code of the broker's
 * DISCONNECT (MQTT 5.0, 2.4); below, these and others that client_end_words() has words for.
 */
enum client_end {
	CLIENT_NO_MEMORY = 1,
	CLIENT_REFUSED = 5,
	CLIENT_LOST = 7,
	CLIENT_SILENT = 19,
	CLIENT_TOO_LARGE = 0x95, /* what was queued before CONNACK, see client_limit() */
};
const char *client_end_words(const struct client *client, int end);
/* Of a reason code of MQTT 5. */
const char *client_reason_words(unsigned reason);

/* What the broker is to publish when the link is lost without a word: "offline". */
struct will {
	const char *topic;
	uint8_t qos;
	bool retain;
};

/*
 * What the broker allows (MQTT 5.0, 3.2.2.3), or what was asked for where it says nothing.
 * Maximum Packet Size is the client's own affair: it refuses what is too large. Server Keep
 * Alive the library keeps to by itself.
 */
struct client_limits {
	uint16_t in_flight; /* of messages of QoS 1 and 2, as the library keeps to */
	uint16_t keepalive_s;
	uint8_t max_qos;
	bool retains;
	uint32_t session_expiry_s;
};

/* Whether the broker sent a message before: the DUP flag. */
enum repeated {
	REPEATED_NO,
	REPEATED_YES,
	REPEATED_UNKNOWN, /* nobody asked (client_watch_repeats()), or the library does not tell */
};

/* A message that came in. */
struct incoming {
	const char *topic;
	const char *payload; /* not NUL-terminated; NULL where it has no length */
	size_t length;
	uint16_t mid; /* packet identifier; 0 with QoS 0 */
	bool retain;  /* it was there before the subscription was made */
	enum repeated repeated;
	/* MQTT 5; NULL or 0 where it says none */
	const char *response_topic;
	const uint8_t *correlation;
	size_t correlation_length;
	bool expires;      /* … */
	uint32_t expiry_s; /* … so much later */
};

struct client_events {
	/* CONNACK. Nothing is queued yet; `present`: the broker has the session still. */
	void (*opened)(void *data, bool present, const struct client_limits *limits);
	/* It says no: a reason code of MQTT 5, or a return code of MQTT 3.1.1; and in words. */
	void (*refused)(void *data, unsigned reason, const char *words);
	void (*ended)(void *data, int end);
	/* PUBREC that says yes. */
	void (*released)(void *data, uint16_t mid);
	/* PUBACK, PUBCOMP, or PUBREC that says no; reason 0: success. */
	void (*answered)(void *data, uint16_t mid, unsigned reason);
	/* PUBACK for a message of QoS 2: the broker has it, as one of QoS 1. The link ends. */
	void (*lowered)(void *data, uint16_t mid);
	/* SUBACK with the quality that is granted, or a reason code from 0x80 on; UNSUBACK. */
	void (*subscribed)(void *data, uint16_t mid, unsigned granted);
	void (*unsubscribed)(void *data, uint16_t mid);
	void (*came)(void *data, const struct incoming *incoming);
};

/* Before the first client is made, and after the last one is gone. */
void client_library_init(void);
void client_library_cleanup(void);

/*
 * A client that has no connection yet, with its credentials, TLS settings and last will.
 * `data` is what its events get. 0, or -errno, and `trouble` says for people what it was.
 */
int client_new(const struct broker_conf *broker, const struct will *will,
	       const struct client_events *events, void *data, struct client **client,
	       char trouble[TROUBLE_MAX]) _must_check_;
/* Its connection is gone without a word. Takes NULL. */
void client_free(struct client *client);
DEFINE_CLEANUP(struct client *, client_free)

/*
 * Bytes that a packet may have, as the broker said; 0: it did not. A client that is told so
 * before it connects refuses what is larger.
 */
uint32_t client_limit(const struct client *client);
void client_set_limit(struct client *client, uint32_t most_bytes);

/* Why it has no link, as far as the library told of TLS; "" where it did not. */
const char *client_trouble(const struct client *client);

/* --- bytes: transfer.c --- */

int client_socket(const struct client *client);
/*
 * Reads what has come, packet by packet, and has the library deal with it: the events are
 * told, and what it answers is queued. With `parts` it leaves a PUBREC where it is when what
 * came before has something queued already, for PUBREL is to wait for a sync, and that may not
 * have to. 0, or how the link ends.
 */
int client_read(struct client *client, bool parts) _must_check_;
/* Something is left to be read of which the socket does not tell: it is decrypted already. */
bool client_is_behind(const struct client *client);
/* Writes what is queued, as far as the socket takes it, in as few segments as it fits in. */
int client_write(struct client *client) _must_check_;
bool client_wants_write(const struct client *client);
/*
 * Sends PUBREL at once, for a message that the library knows nothing of. Nothing may be queued.
 * 0 or -EIO.
 */
int client_pubrel(struct client *client, uint16_t mid) _must_check_;
/* Once a second: keeps the link alive. */
int client_tick(struct client *client) _must_check_;
/* Says good-bye, so that the broker does not publish the last will. */
void client_leave(struct client *client);

/* --- packets: publish.c --- */

struct publish {
	const char *topic;
	const void *payload;
	size_t length;
	uint8_t qos;
	bool retain;
	/* MQTT 5.0, 3.3.2.3; NULL or 0: without. Before MQTT 5 they are left out. */
	const char *seq; /* user property of that name */
	const char *content_type;
	const uint8_t *correlation;
	size_t correlation_length;
	uint32_t expiry_s;
};

/*
 * Queues a message, also where there is no connection yet; *mid is its packet identifier. What
 * there is no room for in flight is kept back until there is. 0; -EMSGSIZE: too large for the
 * broker; -EINVAL: it is no message, say for its topic; -ENOMEM.
 */
int client_publish(struct client *client, const struct publish *publish, uint16_t *mid)
	_must_check_;
/* The identifier that was given out last: by publishing, at any quality, or subscribing. */
uint16_t client_last_mid(const struct client *client);
/* Uses up identifiers, where there is no connection yet. */
void client_burn(struct client *client, uint16_t count);

/* Asks for it; *mid is that of the answer. 0 or how the link ends. */
int client_subscribe(struct client *client, const char *filter, uint8_t qos, uint16_t *mid)
	_must_check_;
int client_unsubscribe(struct client *client, const char *filter, uint16_t *mid) _must_check_;
bool client_matches(const char *filter, const char *topic);

/*
 * Whether incoming messages are to say if they are repeated. The library tells it in its log
 * only, which costs a little for each packet.
 */
void client_watch_repeats(struct client *client, bool watch);
