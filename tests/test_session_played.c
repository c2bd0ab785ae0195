/* SPDX-License-Identifier: Apache-2.0 */
/* test_session_played.c - brokers that are played: what Mosquitto does not say, or not when asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "on_stage.h"
#include "uplink/spool.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* --- the brokers --- */

/*
 * One packet of MQTT 5: its first byte, and of a PUBLISH or PUBREL the packet identifier. All packets
 * here are shorter than 16 KiB.
 */
static int next_packet(int fd, uint16_t *mid)
{
	uint8_t head[5], body[16384];
	size_t length = 0, topic;

	for (size_t i = 0; i < sizeof(head); i++) {
		if (recv(fd, &head[i], 1, MSG_WAITALL) != 1)
			return -1;
		if (i)
			length |= (size_t)(head[i] & 0x7F) << (7 * (i - 1));
		if (i && !(head[i] & 0x80))
			break;
	}
	if (length > sizeof(body) || recv(fd, body, length, MSG_WAITALL) != (ssize_t)length)
		return -1;
	if (head[0] >> 4 == 3 && head[0] & 0x06) {
		topic = (size_t)body[0] << 8 | body[1];
		*mid = body[2 + topic] << 8 | body[3 + topic];
	} else if (head[0] >> 4 == 6) {
		*mid = body[0] << 8 | body[1];
	} else {
		*mid = 0;
	}
	return head[0];
}

struct played {
	int listener;
	bool session_present;
	atomic_uint links, again, taken, strays;
	atomic_bool answers;
	bool held[UINT16_MAX + 1]; /* identifiers of which PUBREL is still to come */
};

/* The next connection on which CONNECT comes, which has this answer; -1: there will be none. */
static int accept_with(struct played *played, const uint8_t *connack, size_t n)
{
	uint16_t mid;
	int fd;

	while ((fd = accept(played->listener, NULL, NULL)) >= 0) {
		if (next_packet(fd, &mid) == 0x10) {
			atomic_fetch_add(&played->links, 1);
			(void)!send(fd, connack, n, MSG_NOSIGNAL);
			return fd;
		}
		close(fd);
	}
	return -1;
}

/* CONNACK with no property. */
static int accept_link(struct played *played)
{
	const uint8_t connack[] = { 0x20, 0x03, played->session_present, 0x00, 0x00 };

	return accept_with(played, connack, sizeof(connack));
}

static void answer(int fd, uint16_t mid, uint8_t reason)
{
	const uint8_t puback[] = { 0x40, 0x03, mid >> 8, mid & 0xFF, reason };

	(void)!send(fd, puback, sizeof(puback), MSG_NOSIGNAL);
}

/* Ends each link as taken over (0x8E), after the first message; then takes all. */
static void *play_takeover(void *data)
{
	static const uint8_t disconnect[] = { 0xE0, 0x01, 0x8E };
	struct played *played = data;
	uint16_t mid;
	int fd = accept_link(played), packet;

	while ((packet = next_packet(fd, &mid)) > 0 && !mid)
		;
	(void)!send(fd, disconnect, sizeof(disconnect), MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (next_packet(fd, &mid) > 0)
		;
	close(fd);
	fd = accept_link(played);
	while ((packet = next_packet(fd, &mid)) > 0)
		if (mid) {
			atomic_fetch_add(&played->taken, 1);
			answer(fd, mid, 0x00);
		}
	close(fd);
	return NULL;
}

/* Has no quota for the first message (0x97), takes the others, and that one too, later. */
static void *play_quota(void *data)
{
	struct played *played = data;
	uint16_t mid, first = 0;
	int fd = accept_link(played), packet;

	while ((packet = next_packet(fd, &mid)) > 0) {
		if (!mid)
			continue;
		if (!first) {
			first = mid;
			atomic_fetch_add(&played->again, 1);
			answer(fd, mid, 0x97);
			continue;
		}
		atomic_fetch_add(&played->taken, 1);
		answer(fd, mid, 0x00);
	}
	close(fd);
	return NULL;
}

/* PUBREC (0x50) or PUBCOMP (0x70). */
static void answer_qos_2(int fd, uint8_t type, uint16_t mid, uint8_t reason)
{
	const uint8_t packet[] = { type, 0x03, mid >> 8, mid & 0xFF, reason };

	(void)!send(fd, packet, sizeof(packet), MSG_NOSIGNAL);
}

/* Takes each message once, until the link ends; a PUBREL for what it does not hold is a stray. */
static void take_all(struct played *played, int fd)
{
	bool *held = played->held;
	uint16_t mid;
	int packet;

	while ((packet = next_packet(fd, &mid)) > 0) {
		if (mid && packet >> 4 == 3) {
			held[mid] = true;
			answer_qos_2(fd, 0x50, mid, 0x00);
		} else if (packet >> 4 == 6) {
			atomic_fetch_add(held[mid] ? &played->taken : &played->strays, 1);
			held[mid] = false;
			answer_qos_2(fd, 0x70, mid, 0x00);
		}
	}
	close(fd);
}

/*
 * Has no quota for the first message, answers nothing else, and is left. Then it takes all: a
 * PUBREL for what was never taken is a stray, and what it stands for is lost.
 */
static void *play_quota_qos_2(void *data)
{
	struct played *played = data;
	uint16_t mid;
	int fd = accept_link(played), packet;

	while ((packet = next_packet(fd, &mid)) > 0)
		if (mid && packet >> 4 == 3 && atomic_fetch_add(&played->again, 1) == 0)
			answer_qos_2(fd, 0x50, mid, 0x97);
	close(fd);
	played->session_present = true;
	fd = accept_link(played);
	take_all(played, fd);
	return NULL;
}

/*
 * Ends the link where the first PUBREL comes, and says then that there is no session: but what
 * it took it still knows by its identifier.
 */
static void *play_forgetful(void *data)
{
	struct played *played = data;
	bool held[UINT16_MAX + 1] = { false };
	uint16_t mid;
	int fd = accept_link(played), packet;

	while ((packet = next_packet(fd, &mid)) > 0 && packet >> 4 != 6) {
		if (!mid || held[mid])
			continue;
		held[mid] = true;
		atomic_fetch_add(&played->taken, 1);
		answer_qos_2(fd, 0x50, mid, 0x00);
	}
	close(fd);
	while ((fd = accept_link(played)) >= 0) {
		while ((packet = next_packet(fd, &mid)) > 0) {
			if (mid && packet >> 4 == 3) {
				atomic_fetch_add(held[mid] ? &played->again : &played->taken, 1);
				held[mid] = true;
				answer_qos_2(fd, 0x50, mid, 0x00);
			} else if (packet >> 4 == 6) {
				held[mid] = false;
				answer_qos_2(fd, 0x70, mid, 0x00);
			}
		}
		close(fd);
	}
	return NULL;
}

enum { WINDOW = 3 };

/* CONNACK with Receive Maximum WINDOW. */
static int accept_window(struct played *played, bool session_present)
{
	const uint8_t connack[] = { 0x20, 0x06, session_present, 0x00, 0x03, 0x21, 0x00, WINDOW };

	return accept_with(played, connack, sizeof(connack));
}

/* Takes each once, from link to link, and nothing before it is told to; more at a time is a stray. */
static void take_window(struct played *played, int fd)
{
	bool *held = played->held;
	unsigned open = 0;
	uint16_t mid;
	int packet;

	while ((packet = next_packet(fd, &mid)) > 0) {
		while (!played->answers)
			sched_yield();
		if (mid && packet >> 4 == 3) {
			played->strays += ++open > WINDOW;
			played->taken += !held[mid];
			held[mid] = true;
			answer_qos_2(fd, 0x50, mid, 0x00);
		} else if (packet >> 4 == 6) {
			held[mid] = false;
			open -= open > 0;
			answer_qos_2(fd, 0x70, mid, 0x00);
		}
	}
	close(fd);
}

static void *play_window(void *data)
{
	struct played *played = data;
	int fd;

	while ((fd = accept_window(played, true)) >= 0)
		take_window(played, fd);
	return NULL;
}

/* Knows QoS 0 and 1 only and does not say so: each message gets PUBACK. */
static void *play_lowering(void *data)
{
	struct played *played = data;
	uint16_t mid;
	int fd, packet;

	while ((fd = accept_link(played)) >= 0) {
		while ((packet = next_packet(fd, &mid)) > 0) {
			if (!mid)
				continue;
			/* QoS 2, of which it would be the second link's to have none. */
			played->strays += (packet & 0x06) == 0x04 && played->links > 1;
			played->taken++;
			answer(fd, mid, 0x00);
		}
		close(fd);
	}
	return NULL;
}

/* Ends each connection where CONNECT comes, as brokers do that know no MQTT 5. */
static void *play_no_mqtt_5(void *data)
{
	struct played *played = data;
	uint16_t mid;
	int fd;

	while ((fd = accept(played->listener, NULL, NULL)) >= 0) {
		played->links += next_packet(fd, &mid) == 0x10;
		close(fd);
	}
	return NULL;
}

/* Answers PUBLISH so many times, and ends the link when as many PUBREL have come. */
static void release(int fd, unsigned many)
{
	unsigned taken = 0, released = 0;
	uint16_t mid;
	int packet;

	while (released < many && (packet = next_packet(fd, &mid)) > 0) {
		if (mid && packet >> 4 == 3 && taken++ < many)
			answer_qos_2(fd, 0x50, mid, 0x00);
		released += packet >> 4 == 6;
	}
	close(fd);
}

/*
 * Has a window of messages released, forgets the session, has one of them released once more,
 * and takes all from then on, never more than WINDOW at a time.
 */
static void *play_forgetful_window(void *data)
{
	struct played *played = data;
	int fd;

	while (!played->answers)
		sched_yield();
	release(accept_window(played, true), WINDOW);
	release(accept_window(played, false), 0);
	release(accept_window(played, false), 1);
	while ((fd = accept_window(played, true)) >= 0)
		take_window(played, fd);
	return NULL;
}

/*
 * Takes QoS 2, and from the first message on QoS 1 only: on what is more it ends the link, as
 * Mosquitto does (0x9B).
 */
static void *play_lowered(void *data)
{
	static const uint8_t connack[] = { 0x20, 0x05, 0x01, 0x00, 0x02, 0x24, 0x01 },
			     disconnect[] = { 0xE0, 0x01, 0x9B };
	struct played *played = data;
	int fd = accept_link(played), packet;
	uint16_t mid;

	while ((packet = next_packet(fd, &mid)) > 0 && !mid)
		;
	close(fd);
	while ((fd = accept_with(played, connack, sizeof(connack))) >= 0) {
		while ((packet = next_packet(fd, &mid)) > 0) {
			if (packet >> 4 == 3 && packet & 0x04) {
				atomic_fetch_add(&played->strays, 1);
				(void)!send(fd, disconnect, sizeof(disconnect), MSG_NOSIGNAL);
				break;
			} else if (packet >> 4 == 3 && mid) {
				atomic_fetch_add(&played->taken, 1);
				answer(fd, mid, 0x00);
			} else if (packet >> 4 == 6) {
				atomic_fetch_add(&played->again, 1);
			}
		}
		close(fd);
	}
	return NULL;
}

/* Takes messages of any size, and from the first one on no more than 100 bytes. */
static void *play_smaller(void *data)
{
	static const uint8_t connack[] = {
		0x20, 0x08, 0x01, 0x00, 0x05, 0x27, 0x00, 0x00, 0x00, 100,
	};
	struct played *played = data;
	int fd = accept_link(played), packet;
	uint16_t mid;

	while ((packet = next_packet(fd, &mid)) > 0 && !mid)
		;
	close(fd);
	while ((fd = accept_with(played, connack, sizeof(connack))) >= 0) {
		while ((packet = next_packet(fd, &mid)) > 0) {
			if (packet >> 4 == 3 && mid) {
				atomic_fetch_add(&played->taken, 1);
				answer(fd, mid, 0x00);
			}
		}
		close(fd);
	}
	return NULL;
}

/*
 * Takes messages and answers no PUBREL. Then it is another broker, which has a session of that
 * name too, and takes all; a PUBREL for what it never got is a stray.
 */
static void *play_two_brokers(void *data)
{
	struct played *played = data;
	uint16_t mid;
	int fd = accept_link(played), packet;

	while ((packet = next_packet(fd, &mid)) > 0) {
		if (mid && packet >> 4 == 3)
			answer_qos_2(fd, 0x50, mid, 0x00);
		played->again += packet >> 4 == 6;
	}
	close(fd);
	played->session_present = true;
	while ((fd = accept_link(played)) >= 0)
		take_all(played, fd);
	return NULL;
}

static struct played played;

static pthread_t play(void *(*script)(void *data), const char *publish)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	pthread_t thread;

	memset(&played, 0, sizeof(played));
	played.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(played.listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(played.listener, 4), 0);
	assert_int_equal(getsockname(played.listener, (struct sockaddr *)&address, &length),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, script, &played), 0);
	stage.broker_port = ntohs(address.sin_port);
	stage.broker_group = stage.mosquitto_conf = NULL;
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_int_equal(stage_configure(&stage, publish, ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	return thread;
}

static void end_play(pthread_t thread)
{
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	/* The gateway sends what is in the proxy on its way out. */
	kill(stage.gateway, SIGTERM);
	while (waitpid(stage.gateway, NULL, WNOHANG) == 0)
		assert_int_equal(stage_wait_ms(&stage, 10), 0);
	stage.gateway = 0;
	proxy_cut(stage.proxy, true);
	shutdown(played.listener, SHUT_RDWR);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(played.listener);
}

/* --- what is seen of the spool --- */

static struct spool_sums sums(void)
{
	struct spool_sums found;
	uint64_t next;

	assert_int_equal(stage_look_at_spool(&stage, &found, &next), 0);
	return found;
}

static bool acked_many(struct stage *on, uint64_t count)
{
	struct spool_sums found;
	uint64_t next;

	return stage_look_at_spool(on, &found, &next) == 0 && found.acked >= count;
}

/* --- tests --- */

/* Said by name, and the one who came is left in peace for as long as it gets at most. */
static void a_session_that_is_taken_over_is_told(void **state)
{
	pthread_t thread = play(play_takeover, "qos = 1;");

	(void)state;
	wait_for_log("it uses the client_id \"postbus-demo\" too", 1);
	end_play(thread);
	assert_int_equal(played.links, 2);
	assert_int_equal(lines_with("has taken over the session"), 1);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked, sums().taken);
}

static void what_is_not_wanted_now_is_sent_again(void **state)
{
	pthread_t thread = play(play_quota, "qos = 1;");

	(void)state;
	wait_for_log("Quota exceeded", 1);
	end_play(thread);
	assert_int_equal(played.again, 1);
	assert_int_equal(sums().refused, 0);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked, sums().taken);
}

/* PUBREC that says no is the end of a handshake, also to a gateway that ends soon after. */
static void what_is_not_wanted_now_survives_a_crash(void **state)
{
	pthread_t thread = play(play_quota_qos_2, "qos = 2;");

	(void)state;
	wait_for_log("Quota exceeded", 1);
	stage_end(&stage.gateway, SIGKILL);
	assert_int_equal(stage_start_gateway(&stage), 0);
	end_play(thread);
	assert_int_equal(played.links, 2);
	assert_int_equal(played.strays, 0);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked, sums().taken);
}

/* Under the identifier that it had, what was released comes once all the same. */
static void what_was_released_keeps_its_identifier(void **state)
{
	pthread_t thread = play(play_forgetful, "qos = 2;");

	(void)state;
	wait_for_log("forgot the session", 1);
	wait_for_log("session new", 2);
	end_play(thread);
	assert_true(played.again > 0);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked, sums().taken);
}

/* A message is never stuck because its broker does not know QoS 2. */
static void a_broker_that_lowers_qos_2_gets_qos_1(void **state)
{
	pthread_t thread = play(play_lowering, "qos = 2;");

	(void)state;
	wait_for_log("takes QoS 2 for QoS 1", 1);
	wait_for(acked_many, 20);
	end_play(thread);
	assert_int_equal(lines_with("takes QoS 2 for QoS 1"), 1);
	assert_int_equal(played.links, 2);
	assert_int_equal(played.strays, 0);
	assert_int_equal(sums().acked, sums().taken);
	assert_true(played.taken >= sums().acked);
}

static bool were_released(_unused_ struct stage *on, uint64_t many)
{
	return played.again >= many;
}

/* What one broker had of a message is not asked of another one, whatever that remembers. */
static void another_broker_gets_what_is_in_doubt_anew(void **state)
{
	const char *publish = "qos = 2;";
	pthread_t thread = play(play_two_brokers, publish);

	(void)state;
	wait_for(were_released, 3);
	stage_end(&stage.gateway, SIGKILL);
	stage.broker_group = "client_id = \"moved\";";
	assert_int_equal(stage_configure(&stage, publish, ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	end_play(thread);
	assert_int_equal(played.strays, 0);
	assert_int_equal(lines_with("another session than before"), 1);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked, sums().taken);
}

static void a_broker_without_mqtt_5_is_told(void **state)
{
	pthread_t thread = play(play_no_mqtt_5, "qos = 1;");

	(void)state;
	wait_for_log("if it does not know MQTT 5", 1);
	stage_end(&stage.gateway, SIGKILL);
	proxy_cut(stage.proxy, true);
	shutdown(played.listener, SHUT_RDWR);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(played.listener);
	assert_true(played.links > 0);
}

static bool are_waiting(struct stage *on, uint64_t many)
{
	struct spool_sums found;
	uint64_t next;

	return stage_look_at_spool(on, &found, &next) == 0 && found.waiting >= many;
}

static bool were_taken(struct stage *on, uint64_t many)
{
	(void)on;
	return played.taken >= many;
}

/* Also when messages are handed to the library before their turn, and a crash finds them there. */
static void a_broker_gets_no_more_than_it_takes(void **state)
{
	pthread_t thread = play(play_window, "qos = 2;");

	(void)state;
	for (unsigned i = 1; i <= 8; i++) {
		played.answers = false;
		wait_for(are_waiting, 40);
		played.answers = true;
		wait_for(were_taken, 20 * i);
		stage_end(&stage.gateway, SIGKILL);
		assert_int_equal(stage_start_gateway(&stage), 0);
	}
	end_play(thread);
	assert_int_equal(played.strays, 0);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked, sums().taken);
}

/* What it forgot is more than it takes at a time. */
static void a_forgetful_broker_gets_no_more_than_it_takes(void **state)
{
	pthread_t thread = play(play_forgetful_window, "qos = 2;");

	(void)state;
	wait_for(are_waiting, 40);
	played.answers = true;
	wait_for_log("session resumed", 2);
	end_play(thread);
	assert_int_equal(played.strays, 0);
	assert_int_equal(lines_with("it gets PUBREL first"), 1);
	assert_int_equal(sums().acked, sums().taken);
}

/* What is in doubt goes out with the quality that there still is. */
static void a_quality_that_is_not_taken_any_more_is_lowered(void **state)
{
	pthread_t thread = play(play_lowered, "qos = 2;");

	(void)state;
	wait_for_log("session resumed", 1);
	end_play(thread);
	assert_int_equal(played.strays, 0);
	assert_int_equal(lines_with("may arrive twice"), 1);
	/* The broker is rid of what it held. */
	assert_true(played.again > 0);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked, sums().taken);
}

/* Also what was sent before, when it was not too large yet. */
static void what_became_too_large_is_set_aside(void **state)
{
	pthread_t thread = play(play_smaller, "qos = 1;");

	(void)state;
	wait_for_log("session resumed", 1);
	end_play(thread);
	assert_true(sums().refused > 0);
	assert_int_equal(sums().acked, played.taken);
	assert_int_equal(sums().acked + sums().refused, sums().taken);
}

#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(a_session_that_is_taken_over_is_told),
		SESSION_TEST(what_is_not_wanted_now_is_sent_again),
		SESSION_TEST(what_is_not_wanted_now_survives_a_crash),
		SESSION_TEST(what_was_released_keeps_its_identifier),
		SESSION_TEST(a_broker_that_lowers_qos_2_gets_qos_1),
		SESSION_TEST(another_broker_gets_what_is_in_doubt_anew),
		SESSION_TEST(a_broker_without_mqtt_5_is_told),
		SESSION_TEST(a_broker_gets_no_more_than_it_takes),
		SESSION_TEST(a_forgetful_broker_gets_no_more_than_it_takes),
		SESSION_TEST(a_quality_that_is_not_taken_any_more_is_lowered),
		SESSION_TEST(what_became_too_large_is_set_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
