/* SPDX-License-Identifier: Apache-2.0 */
/* test_subscriptions.c - what is subscribed to stays so, and is asked for no oftener than it has to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "on_stage.h"
#include "uplink/session.h"
#include "uplink/spool.h"
#include "uplink/subscriptions.h"

#include <stdio.h>
#include <string.h>

/* --- a session of our own on the stage's loop --- */

static struct conf conf;
static struct spool *spool;
static struct session *session;
static char *spool_path;
static const struct subscription *wishes;
static sd_event_source *turns;

static struct heard {
	unsigned count, retained;
	char topic[64], payload[64], response[64], correlation[16];
	enum repeated repeated;
	bool expires;
} heard, also_heard;

static void hear(void *data, const struct incoming *incoming)
{
	struct heard *into = data;

	into->count++;
	into->retained += incoming->retain;
	into->repeated = incoming->repeated;
	into->expires = incoming->expires;
	snprintf(into->topic, sizeof(into->topic), "%s", incoming->topic);
	snprintf(into->payload, sizeof(into->payload), "%.*s", (int)incoming->length,
		 incoming->payload ? incoming->payload : "");
	snprintf(into->response, sizeof(into->response), "%s",
		 incoming->response_topic ? incoming->response_topic : "");
	snprintf(into->correlation, sizeof(into->correlation), "%.*s",
		 (int)incoming->correlation_length,
		 incoming->correlation ? (const char *)incoming->correlation : "");
}

static const struct subscription commands = {
	.filter = "t/+/+/set", .qos = 1, .handler = hear, .data = &heard,
};
static const struct subscription births = {
	.filter = "home/status", .qos = 0, .handler = hear, .data = &also_heard,
};

/*
 * As uplink.c does it: what came is noted, then committed, then what is to go goes; before
 * anything else happens.
 */
static int turn(_unused_ sd_event_source *source, _unused_ void *data)
{
	if (!session)
		return 0;
	session_feed(session, false);
	assert_int_equal(spool_commit(spool, clock_monotonic_us()), 0);
	session_write(session);
	return 0;
}

static void begin(void)
{
	assert_int_equal(spool_open(&conf.spool, false, &spool), 0);
	assert_int_equal(session_new(stage.loop, &conf, spool, &session), 0);
	session_watch_repeats(session, true);
	assert_true(sd_event_add_post(stage.loop, &turns, turn, NULL) >= 0);
	assert_true(sd_event_source_set_priority(turns, SD_EVENT_PRIORITY_IMPORTANT) >= 0);
	for (const struct subscription *wish = wishes; wish && wish->filter; wish++)
		assert_int_equal(session_subscribe(session, wish), 0);
}

/* As SIGKILL would. */
static void crash(void)
{
	turns = sd_event_source_disable_unref(turns);
	session_free(session);
	spool_free(spool);
	session = NULL;
	spool = NULL;
}

static int set_up(void **state)
{
	int r = open_stage(state);

	heard = also_heard = (struct heard){ 0 };
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
	return 0;
}

static int tear_down(void **state)
{
	crash();
	free(spool_path);
	return close_stage(state);
}

/* --- what is waited for --- */

static unsigned broker_lines_with(const char *words)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char line[1024];
	unsigned count = 0;

	assert_true(asprintf(&path, "%s/mosquitto.log", stage.directory) > 0);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, words) != NULL;
	return count;
}

static bool broker_says(const char *words, uint64_t times)
{
	return broker_lines_with(words) >= times;
}

static bool subscribed(_unused_ struct stage *on, uint64_t times)
{
	return broker_says("Sending SUBACK", times);
}

static bool unsubscribed(_unused_ struct stage *on, uint64_t times)
{
	return broker_says("Sending UNSUBACK", times);
}

static bool connected(_unused_ struct stage *on, uint64_t since_us)
{
	struct session_state state = session_state(session);

	return state.connected && state.since_us > since_us;
}

static bool disconnected(_unused_ struct stage *on, _unused_ uint64_t unused)
{
	return !session_state(session).connected;
}

static bool has_heard(_unused_ struct stage *on, uint64_t times)
{
	return heard.count + also_heard.count >= times;
}

/* The broker has the answer, too. */
static bool has_acknowledged(_unused_ struct stage *on, uint64_t times)
{
	return broker_says("Received PUBACK from t", times);
}

static void publish(const char *topic, const char *payload, bool retain)
{
	char port[8];
	char *argv[] = { "mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", "1",
			 "-t", (char *)topic, "-m", (char *)payload, "-D", "publish",
			 "response-topic", "answers", "-D", "publish", "correlation-data", "c7",
			 retain ? "-r" : NULL, NULL };
	pid_t pid;

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(stage_end(&pid, 0), 0);
}

static void cut(void)
{
	proxy_cut(stage.proxy, true);
	wait_for(disconnected, 0);
}

static void mend(void)
{
	uint64_t now_us = clock_monotonic_us();

	proxy_cut(stage.proxy, false);
	wait_for(connected, now_us);
}

/*
 * With the link cut before, and left so: what is started now would else hold its socket open,
 * and the loop hear of it after its end.
 */
static void restart_broker(void)
{
	if (session)
		cut();
	stage_end(&stage.broker, SIGKILL);
	assert_int_equal(stage_start_broker(&stage), 0);
}

/* --- tests --- */

static const struct subscription one[] = { commands, { 0 } }, two[] = { commands, births, { 0 } };

static void what_was_missed_comes_back(_unused_ void **state)
{
	wishes = one;
	begin();
	wait_for(subscribed, 1);
	publish("t/relay/out/set", "on", false);
	wait_for(has_heard, 1);
	assert_string_equal(heard.topic, "t/relay/out/set");
	assert_string_equal(heard.payload, "on");
	assert_string_equal(heard.response, "answers");
	assert_string_equal(heard.correlation, "c7");
	assert_int_equal(heard.repeated, REPEATED_NO);
	assert_false(heard.expires);
	wait_for(has_acknowledged, 1);
	cut();
	publish("t/relay/out/set", "off", false);
	mend();
	wait_for(has_heard, 2);
	assert_string_equal(heard.payload, "off");
	wait_for(has_acknowledged, 2);
	crash();
	publish("t/relay/out/set", "", false);
	begin();
	wait_for(has_heard, 3);
	assert_string_equal(heard.payload, "");
	/* Once a session. */
	assert_int_equal(broker_lines_with("Received SUBSCRIBE"), 1);
}

/* Where nothing is wanted nothing is asked for; and then the difference. */
static void a_changed_set_goes_by_difference(_unused_ void **state)
{
	wishes = NULL;
	begin();
	wait_for(connected, 0);
	assert_int_equal(session_subscribe(session, &two[0]), 0);
	wait_for(subscribed, 1);
	assert_int_equal(session_subscribe(session, &two[1]), 0);
	wait_for(subscribed, 2);
	publish("home/status", "online", false);
	wait_for(has_heard, 1);
	assert_int_equal(also_heard.count, 1);
	crash();
	/* The next one does not want both. */
	wishes = one;
	begin();
	wait_for(unsubscribed, 1);
	publish("home/status", "online", false);
	publish("t/relay/out/set", "on", false);
	wait_for(has_heard, 2);
	assert_int_equal(also_heard.count, 1);
	session_unsubscribe(session, commands.filter);
	wait_for(unsubscribed, 2);
	assert_int_equal(session_subscribe(session, &two[0]), 0);
	wait_for(subscribed, 3);
	assert_int_equal(broker_lines_with("Received SUBSCRIBE"), 3);
}

static void a_lost_session_is_subscribed_again(_unused_ void **state)
{
	wishes = two;
	begin();
	wait_for(subscribed, 2);
	restart_broker();
	mend();
	wait_for(subscribed, 4);
	crash();
	restart_broker();
	begin();
	wait_for(subscribed, 6);
	publish("t/relay/out/set", "on", false);
	wait_for(has_heard, 1);
}

/*
 * The broker has lost the session and makes a new one, and CONNACK, which would say so, does
 * not come through: to the next CONNECT it says that it has the session.
 */
static void a_connack_that_never_came_is_reckoned_with(_unused_ void **state)
{
	wishes = one;
	begin();
	wait_for(subscribed, 1);
	publish("t/relay/out/set", "on", false);
	wait_for(has_heard, 1);
	for (unsigned crashes = 0; crashes < 2; crashes++) {
		unsigned connects;

		restart_broker();
		connects = broker_lines_with("Sending CONNACK");
		proxy_cut_after(stage.proxy, PROXY_TO_CLIENT, 1);
		proxy_cut(stage.proxy, false);
		if (crashes) {
			crash();
			begin();
		}
		while (broker_lines_with("Sending CONNACK") < connects + 1) {
			assert_int_equal(stage_wait_ms(&stage, 1), 0);
		}
		if (crashes) {
			crash();
			begin();
		}
		wait_for(subscribed, 2 + crashes);
		publish("t/relay/out/set", "on", false);
		wait_for(has_heard, 2 + crashes);
	}
	/* The broker did have the session each time. */
	assert_int_equal(broker_lines_with("Received SUBSCRIBE"), 3);
}

static void retained_and_repeated_ones_are_told(_unused_ void **state)
{
	publish("t/relay/out/set", "old", true);
	wishes = one;
	begin();
	wait_for(has_heard, 1);
	assert_int_equal(heard.retained, 1);
	publish("t/relay/out/set", "new", false);
	wait_for(has_heard, 2);
	assert_int_equal(heard.retained, 1);
	assert_int_equal(heard.repeated, REPEATED_NO);
	wait_for(has_acknowledged, 2);
	/* PUBACK does not get through. */
	proxy_cut_after(stage.proxy, PROXY_TO_SERVER, 1);
	publish("t/relay/out/set", "newer", false);
	wait_for(has_heard, 4);
	assert_string_equal(heard.payload, "newer");
	assert_int_equal(heard.repeated, REPEATED_YES);
	wait_for(has_acknowledged, 3);
	/* Nobody asks: it costs nothing, and nobody is told. */
	session_watch_repeats(session, false);
	publish("t/relay/out/set", "newest", false);
	wait_for(has_heard, 5);
	assert_int_equal(heard.repeated, REPEATED_UNKNOWN);
}

/* What is noted of another broker's session is of no use, and not kept. */
static void another_session_is_another(_unused_ void **state)
{
	wishes = one;
	begin();
	wait_for(subscribed, 1);
	publish("t/relay/out/set", "on", false);
	wait_for(has_heard, 1);
	crash();
	conf.broker.client_id = "u";
	begin();
	wait_for(subscribed, 2);
	publish("t/relay/out/set", "on", false);
	wait_for(has_heard, 2);
	assert_int_equal(spool_notes(spool)->count, 1);
}

#define stage_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		stage_test(what_was_missed_comes_back),
		stage_test(a_changed_set_goes_by_difference),
		stage_test(a_lost_session_is_subscribed_again),
		stage_test(a_connack_that_never_came_is_reckoned_with),
		stage_test(retained_and_repeated_ones_are_told),
		stage_test(another_session_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
