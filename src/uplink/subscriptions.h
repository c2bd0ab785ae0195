/* SPDX-License-Identifier: Apache-2.0 */
/* subscriptions.h - what the gateway wants to hear of, and what the broker's session holds. */
#pragma once

#include "mqtt/client.h"

/*
 * What somebody wants to hear of. The handler is called by the loop, before the message is
 * acknowledged to the broker: what it notes in the spool to be synced (spool_note()) is on
 * the disk when the acknowledgement leaves.
 */
struct subscription {
	const char *filter; /* as MQTT has it, with + and # */
	uint8_t qos;        /* at most */
	void (*handler)(void *data, const struct incoming *incoming);
	void *data;
};

struct session;

/*
 * Wants it from now on, on this link and all to come; one of the same filter is replaced. The
 * filter is copied. The broker keeps the subscription with the session, so that it is made
 * once; what is not wanted any more is taken back. 0 or -ENOMEM.
 */
int session_subscribe(struct session *session,
		      const struct subscription *subscription) _must_check_;
void session_unsubscribe(struct session *session, const char *filter);

/*
 * Whether incoming messages are to say if they are repeated. The library tells it in its log
 * only, which costs a little for each packet.
 */
void session_watch_repeats(struct session *session, bool watch);
