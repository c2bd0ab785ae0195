/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - our half of the MQTT persistent session, on libmosquitto. */
#pragma once

#include "config/conf.h"
#include "uplink/spool.h"

#include <systemd/sd-event.h>

struct session;

/*
 * A session that has no link yet and looks for one as soon as `loop` runs. conf and spool
 * must outlive it. 0 or -errno.
 */
int session_new(sd_event *loop, const struct conf *conf, struct spool *spool,
		struct session **session) _must_check_;

/*
 * Frees it at once, without a word to the broker. A helper that still resolves the broker's
 * name is left behind: true says so, and the process must end by _exit().
 */
bool session_free(struct session *session);

/*
 * A turn of the uplink is session_feed(), session_feed_ahead(), spool_commit(),
 * session_write(): messages from the spool are handed to the library as far as the window
 * allows, noted, made durable, and only then do their packets leave. session_feed() returns
 * true when there is more to do at once. With `hold` no new message goes out yet.
 */
bool session_feed(struct session *session, bool hold);
/*
 * Where the commit that follows makes QoS 2 steps durable anyway, the next window of messages
 * is handed over and noted with them. The library sends each as soon as one before it is over;
 * it needs no sync of its own then.
 */
void session_feed_ahead(struct session *session, bool hold);
/* Messages that the broker has got, as far as the window allows, and is to answer to. */
size_t session_unanswered(const struct session *session);
void session_write(struct session *session);
/* When session_feed() has something to do again by itself (CLOCK_MONOTONIC); UINT64_MAX. */
uint64_t session_due_us(const struct session *session);

/*
 * Goes on with other settings, which must outlive it from then on. With `anew` the link is left
 * and another one is looked for at once; what is in flight is resumed on it. False: not now, a
 * helper works with the settings there are; it is to be asked again in a later turn.
 */
bool session_change(struct session *session, const struct conf *conf, bool anew);

/* Says good-bye to the broker, so that it does not publish the last will. */
void session_leave(struct session *session);

/* Whether messages are in flight on a link that is up. */
bool session_is_busy(const struct session *session);

/* What is to be known of a session besides its line for people. */
struct session_state {
	bool connected;
	uint64_t since_us; /* CLOCK_MONOTONIC: that it is, or is not */
	bool is_kept;      /* the broker is to keep it beyond a link */
	bool resumed;      /* the broker still had it when the link came up, the last time */
	unsigned attempts; /* to connect, in a row without success */
	unsigned window;   /* most messages in flight on this link */
	uint64_t links;    /* that came up so far */
};
struct session_state session_state(const struct session *session);

/* One line for people: "connected to broker.lan:8883", "no link to …: refused". */
const char *session_describe(const struct session *session);
