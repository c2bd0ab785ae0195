/* SPDX-License-Identifier: Apache-2.0 */
/* test_subscriptions.c - what is subscribed to stays so, and is asked for no oftener than it has to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "own_session.h"
#include "uplink/subscriptions.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct subscription *wishes;

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

#define COMMANDS "t/+/+/set"
#define SUBSCRIBE_COMMANDS { .filter = COMMANDS, .qos = 1, .handler = hear, .data = &heard }
#define SUBSCRIBE_BIRTHS \
	{ .filter = "home/status", .qos = 0, .handler = hear, .data = &also_heard }

static void begin(void)
{
	open_session();
	session_watch_repeats(session, true);
	for (const struct subscription *wish = wishes; wish && wish->filter; wish++)
		assert_int_equal(session_subscribe(session, wish), 0);
}

static int set_up(void **state)
{
	heard = also_heard = (struct heard){ 0 };
	return open_broker(state);
}

static bool has_heard(_unused_ struct stage *on, uint64_t times)
{
	return heard.count + also_heard.count >= times;
}

/* --- tests --- */

static const struct subscription one[] = { SUBSCRIBE_COMMANDS, { 0 } };
static const struct subscription two[] = { SUBSCRIBE_COMMANDS, SUBSCRIBE_BIRTHS, { 0 } };

static void what_was_missed_comes_back(_unused_ void **state)
{
	char *properties[] = { "-D", "publish", "response-topic", "answers", "-D", "publish",
			       "correlation-data", "c7", NULL };

	wishes = one;
	begin();
	wait_for(subscribed, 1);
	publish_with("t/relay/out/set", "on", properties);
	wait_for(has_heard, 1);
	assert_string_equal(heard.topic, "t/relay/out/set");
	assert_string_equal(heard.payload, "on");
	assert_string_equal(heard.response, "answers");
	assert_string_equal(heard.correlation, "c7");
	assert_int_equal(heard.repeated, REPEATED_NO);
	assert_false(heard.expires);
	wait_for(has_acknowledged, 1);
	cut();
	publish("t/relay/out/set", "off");
	mend();
	wait_for(has_heard, 2);
	assert_string_equal(heard.payload, "off");
	wait_for(has_acknowledged, 2);
	kill_session();
	publish("t/relay/out/set", "");
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
	publish("home/status", "online");
	wait_for(has_heard, 1);
	assert_int_equal(also_heard.count, 1);
	kill_session();
	/* The next one does not want both. */
	wishes = one;
	begin();
	wait_for(unsubscribed, 1);
	publish("home/status", "online");
	publish("t/relay/out/set", "on");
	wait_for(has_heard, 2);
	assert_int_equal(also_heard.count, 1);
	session_unsubscribe(session, COMMANDS);
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
	kill_session();
	restart_broker();
	begin();
	wait_for(subscribed, 6);
	publish("t/relay/out/set", "on");
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
	publish("t/relay/out/set", "on");
	wait_for(has_heard, 1);
	for (unsigned crashes = 0; crashes < 2; crashes++) {
		unsigned connects;

		if (crashes)
			kill_session();
		restart_broker();
		connects = broker_lines_with("Sending CONNACK");
		proxy_cut_after(stage.proxy, PROXY_TO_CLIENT, 1);
		proxy_cut(stage.proxy, false);
		if (crashes)
			begin();
		while (broker_lines_with("Sending CONNACK") < connects + 1) {
			assert_int_equal(stage_wait_ms(&stage, 1), 0);
		}
		if (crashes) {
			kill_session();
			begin();
		}
		wait_for(subscribed, 2 + crashes);
		publish("t/relay/out/set", "on");
		wait_for(has_heard, 2 + crashes);
	}
	/* The broker did have the session each time. */
	assert_int_equal(broker_lines_with("Received SUBSCRIBE"), 3);
}

static void retained_and_repeated_ones_are_told(_unused_ void **state)
{
	char *retained[] = { "-r", NULL };

	publish_with("t/relay/out/set", "old", retained);
	wishes = one;
	begin();
	wait_for(has_heard, 1);
	assert_int_equal(heard.retained, 1);
	publish("t/relay/out/set", "new");
	wait_for(has_heard, 2);
	assert_int_equal(heard.retained, 1);
	assert_int_equal(heard.repeated, REPEATED_NO);
	wait_for(has_acknowledged, 2);
	/* PUBACK does not get through. */
	proxy_cut_after(stage.proxy, PROXY_TO_SERVER, 1);
	publish("t/relay/out/set", "newer");
	wait_for(has_heard, 4);
	assert_string_equal(heard.payload, "newer");
	assert_int_equal(heard.repeated, REPEATED_YES);
	wait_for(has_acknowledged, 3);
	/* Nobody asks: it costs nothing, and nobody is told. */
	session_watch_repeats(session, false);
	publish("t/relay/out/set", "newest");
	wait_for(has_heard, 5);
	assert_int_equal(heard.repeated, REPEATED_UNKNOWN);
}

/* What is noted of another broker's session is of no use, and not kept. */
static void another_session_is_another(_unused_ void **state)
{
	wishes = one;
	begin();
	wait_for(subscribed, 1);
	publish("t/relay/out/set", "on");
	wait_for(has_heard, 1);
	kill_session();
	conf.broker.client_id = "t2";
	begin();
	wait_for(subscribed, 2);
	publish("t/relay/out/set", "on");
	wait_for(has_heard, 2);
	assert_int_equal(spool_notes(spool)->count, 1);
}

#define stage_test(name) cmocka_unit_test_setup_teardown(name, set_up, close_broker)

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
