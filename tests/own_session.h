/* SPDX-License-Identifier: Apache-2.0 */
/* own_session.h - a session of a test's own, on a stage's loop, with a real broker behind a proxy. */
#pragma once

#include "base/units.h"
#include "bridge/clock.h"
#include "on_stage.h"
#include "uplink/session.h"
#include "uplink/spool.h"

static struct conf conf;
static struct spool *spool;
static struct session *session;
static char *spool_path;
static sd_event_source *turns;

/* What a test does in each turn before it is committed, and after that. */
static void (*before_commit)(void);
static void (*after_commit)(bool durable);
static bool disk_fails; /* pretended */

/*
 * As uplink.c does it: what came is noted, then committed, then what is to go goes; before
 * anything else happens.
 */
static int turn(_unused_ sd_event_source *source, _unused_ void *data)
{
	if (!session)
		return 0;
	if (before_commit)
		before_commit();
	session_feed(session, false);
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
	if (after_commit)
		after_commit(!disk_fails);
	session_write(session);
	return 0;
}

/* Opens the spool and begins a session in it, which has its turns when the loop runs. */
static void open_session(void)
{
	assert_int_equal(spool_open(&conf.spool, false, &spool), 0);
	assert_int_equal(session_new(stage.loop, &conf, spool, &session), 0);
	assert_true(sd_event_add_post(stage.loop, &turns, turn, NULL) >= 0);
	assert_true(sd_event_source_set_priority(turns, SD_EVENT_PRIORITY_IMPORTANT) >= 0);
}

static bool is_settled(_unused_ struct stage *on, _unused_ uint64_t unused)
{
	return strncmp(session_describe(session), "connecting", strlen("connecting"));
}

/* As SIGKILL would; but a helper that connects would be left behind, and is waited for. */
static void kill_session(void)
{
	if (session)
		(void)!stage_wait(&stage, is_settled, 0);
	turns = sd_event_source_disable_unref(turns);
	session_free(session);
	spool_free(spool);
	session = NULL;
	spool = NULL;
}

static int open_broker(void **state)
{
	int r = open_stage(state);

	stage.mosquitto_conf = "log_type all\n";
	if (r < 0 || stage_start_broker(&stage) < 0 || stage_start_proxy(&stage) < 0 ||
	    asprintf(&spool_path, "%s/spool", stage.directory) < 0)
		return -1;
	conf = (struct conf){
		.gateway = "t",
		.broker = { .host = "127.0.0.1", .port = proxy_port(stage.proxy),
			    .mqtt5 = true, .client_id = "t", .inflight = 10,
			    .keepalive_us = 30 * USEC_PER_SEC,
			    .session_expiry_us = 3600 * USEC_PER_SEC,
			    .reconnect_first_us = 50 * USEC_PER_MSEC,
			    .reconnect_most_us = 100 * USEC_PER_MSEC },
		.spool = { .directory = spool_path, .max_bytes = 1 << 20,
			   .max_age_us = 3600 * USEC_PER_SEC, .sync_us = USEC_PER_SEC },
	};
	before_commit = NULL;
	after_commit = NULL;
	disk_fails = false;
	return 0;
}

static int close_broker(void **state)
{
	kill_session();
	free(spool_path);
	return close_stage(state);
}

/* --- what is waited for --- */

static unsigned broker_lines_with(const char *words)
{
	return file_lines_with("mosquitto.log", words);
}

static _unused_ bool subscribed(_unused_ struct stage *on, uint64_t times)
{
	return broker_lines_with("Sending SUBACK to t") >= times;
}

static _unused_ bool unsubscribed(_unused_ struct stage *on, uint64_t times)
{
	return broker_lines_with("Sending UNSUBACK to t") >= times;
}

/* The broker has the answer to what it sent to us. */
static _unused_ bool has_acknowledged(_unused_ struct stage *on, uint64_t times)
{
	return broker_lines_with("Received PUBACK from t") >= times;
}

static _unused_ bool connected(_unused_ struct stage *on, uint64_t since_us)
{
	struct session_state state = session_state(session);

	return state.connected && state.since_us > since_us;
}

static _unused_ bool disconnected(_unused_ struct stage *on, _unused_ uint64_t unused)
{
	return !session_state(session).connected;
}

/* --- the world --- */

/* With more words for mosquitto_pub, ending with NULL. */
static void publish_with(const char *topic, const char *payload, char *const *more)
{
	char port[8];
	char *argv[24] = { "mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", "1",
			   "-t", (char *)topic, "-m", (char *)payload, NULL };
	pid_t pid;

	for (size_t i = 13; *more; i++)
		argv[i] = *more++;
	snprintf(port, sizeof(port), "%d", stage.broker_port);
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(stage_end(&pid, 0), 0);
}

static _unused_ void publish(const char *topic, const char *payload)
{
	char *none[] = { NULL };

	publish_with(topic, payload, none);
}

static void cut(void)
{
	proxy_cut(stage.proxy, true);
	wait_for(disconnected, 0);
}

static _unused_ void mend(void)
{
	uint64_t now_us = clock_monotonic_us();

	proxy_cut(stage.proxy, false);
	wait_for(connected, now_us);
}

/*
 * With the link cut before, and left so: what is started now would else hold its socket open,
 * and the loop hear of it after its end.
 */
static _unused_ void restart_broker(void)
{
	if (session)
		cut();
	stage_end(&stage.broker, SIGKILL);
	assert_int_equal(stage_start_broker(&stage), 0);
}
