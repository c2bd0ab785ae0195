/* SPDX-License-Identifier: Apache-2.0 */
/* test_link.c - links that are in trouble: silent brokers, lost packets, names that hang. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "lossy_net.h"
#include "on_stage.h"
#include "uplink/spool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { KEEPALIVE_S = 5 };

static struct lossy_net *net;
static char *crash_gateway, *settings;

static int set_up(_unused_ void **state)
{
	const char *source = getenv("POSTBUS_SOURCE"), *postbus = getenv("POSTBUS");

	if (!postbus || asprintf(&maps, "%s/devices", source ? source : ".") < 0 ||
	    asprintf(&crash_gateway, "%.*s/tests/crash_gateway",
		     (int)(strrchr(postbus, '/') - postbus), postbus) < 0)
		return -1;
	return stage_open(&stage, postbus, maps);
}

static int tear_down(_unused_ void **state)
{
	lossy_net_free(net);
	net = NULL;
	stage_clean_up(&stage);
	free(settings);
	settings = NULL;
	free(crash_gateway);
	free(maps);
	return 0;
}

/* The broker is also at this port of the lossy network; the gateway goes to `host`. */
static void start(const char *host, const char *publish)
{
	int port = free_port();

	assert_true(port > 0);
	if (net)
		assert_true(asprintf(&settings, "listener %d " LOSSY_NEAR "\n", port) > 0);
	stage.mosquitto_conf = settings;
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_configure(&stage, publish, ""), 0);
	if (!host)
		return;
	assert_int_equal(stage_write(&stage, "postbus.conf",
				     "gateway = \"demo\";\nbuses = \"%s\";\nmaps = [ \"%s\" ];\n"
				     "broker: { host = \"%s\"; port = %d; keepalive = \"%ds\";\n"
				     "\treconnect: { first = \"200ms\"; most = \"1s\"; }; };\n"
				     "publish: { %s clock_wait = \"0s\"; };\n"
				     "spool: { directory = \"%s/spool\"; };\n",
				     stage.directory, stage.maps, host, port, KEEPALIVE_S,
				     publish, stage.directory), 0);
}

/* The test is passed over where the machine has no such thing, or we may not. */
static void have_lossy_net(void)
{
	int r = lossy_net_new(stage.loop, &net);

	if (r == 0)
		return;
	print_message("no network of its own: %s\n", strerror(-r));
	skip();
}

/* --- packets that are lost --- */

/* From the moment on in which nothing comes any more, until that is seen. */
static double time_to_notice_s(unsigned times)
{
	uint64_t begun_us = clock_monotonic_us();

	lossy_net_lose(net, 100);
	wait_for_log("link lost", times);
	return (clock_monotonic_us() - begun_us) / (double)USEC_PER_SEC;
}

/* No reset, no end: the cable is out. Seen within 1.5 keepalives, busy or idle. */
static void a_half_open_link_is_noticed(_unused_ void **state)
{
	struct stage_count count;
	double busy_s, idle_s;

	have_lossy_net();
	start(LOSSY_FAR, "qos = 2;");
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 20);
	busy_s = time_to_notice_s(1);
	lossy_net_lose(net, 0);
	wait_for(stage_has_readings, stage.readings + 100);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	idle_s = time_to_notice_s(2);
	lossy_net_lose(net, 0);
	simulator_mute(stage.simulator, false);
	wait_for(stage_has_readings, stage.readings + 20);
	count = finish();
	print_message("noticed after %.1f s busy, %.1f s idle, keepalive %d s; %llu messages, "
		      "twice %llu\n", busy_s, idle_s, KEEPALIVE_S,
		      (unsigned long long)count.delivered, (unsigned long long)count.twice);
	assert_int_equal(count.twice, 0);
	/* It is looked at once a second. */
	assert_true(busy_s <= 1.5 * KEEPALIVE_S + 2);
	assert_true(idle_s <= 1.5 * KEEPALIVE_S + 2);
}

static void a_lossy_link_delivers_once(_unused_ void **state)
{
	struct stage_count count;

	have_lossy_net();
	start(LOSSY_FAR, "qos = 2;");
	lossy_net_lose(net, 2);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 150);
	count = finish();
	print_message("2 %% of packets lost (%u): %llu messages, lost %llu, twice %llu\n",
		      lossy_net_lost(net), (unsigned long long)count.delivered,
		      (unsigned long long)count.lost, (unsigned long long)count.twice);
	assert_true(lossy_net_lost(net) > 0);
	assert_int_equal(count.twice, 0);
}

/* --- a name server that never answers --- */

static int silent_name_server(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(53),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_free_ char *path = NULL;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(stage_write(&stage, "resolv.conf", "nameserver 127.0.0.1\n"), 0);
	assert_true(asprintf(&path, "%s/resolv.conf", stage.directory) > 0);
	assert_int_equal(mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static uint64_t taken(void)
{
	struct spool_sums sums;
	uint64_t next;

	return stage_look_at_spool(&stage, &sums, &next) == 0 ? sums.taken : 0;
}

static bool has_taken(_unused_ struct stage *on, uint64_t count)
{
	return taken() >= count;
}

static bool is_asked(_unused_ struct stage *on, uint64_t fd)
{
	uint8_t query[512];

	return recv((int)fd, query, sizeof(query), MSG_DONTWAIT) > 0;
}

static void a_name_that_hangs_stops_nothing(_unused_ void **state)
{
	_cleanup_close_ int server = -1;
	uint8_t query[512];

	have_lossy_net();
	server = silent_name_server();
	start("broker.example", "qos = 1;");
	assert_int_equal(stage_start_gateway(&stage), 0);
	/* It asks, and hangs; polling and the spool go on, until it is ended in the midst of it. */
	wait_for(has_taken, 40);
	assert_true(recv(server, query, sizeof(query), MSG_DONTWAIT) > 0);
	assert_int_equal(lines_with("readings are kept"), 0);
	assert_int_equal(WEXITSTATUS(stage_end(&stage.gateway, SIGTERM)), 0);
	assert_true(taken() >= 40);
	/* Another start, and it gives up the name, once in a while, and says so once. */
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for_log("readings are kept", 1);
	wait_for(has_taken, taken() + 40);
	assert_int_equal(lines_with("readings are kept"), 1);
	/* Another host is gone to when the helper is back, without a restart, and nothing else. */
	while (recv(server, query, sizeof(query), MSG_DONTWAIT) > 0)
		;
	wait_for(is_asked, server);
	assert_int_equal(stage_configure(&stage, "qos = 1;", ""), 0);
	assert_int_equal(kill(stage.gateway, SIGHUP), 0);
	wait_for_log("reload: done; buses: 0 new, 0 changed, 0 gone, 1 go on", 1);
	wait_for(has_taken, taken() + 40);
	wait_for_log("broker 127.0.0.1:", 1);
	assert_int_equal(umount2("/etc/resolv.conf", MNT_DETACH), 0);
	assert_int_equal(finish().lost, 0);
}

/* --- a broker that says nothing --- */

static void a_silent_broker_is_left(_unused_ void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	_cleanup_close_ int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(silent, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(silent, 4), 0);
	assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &length), 0);
	stage.broker_port = ntohs(address.sin_port);
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_int_equal(stage_configure(&stage, "qos = 1;", ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	/* The kernel connects who comes, and that is all. */
	wait_for_log("the broker does not answer", 1);
	/* Where a broker is, the next attempt finds it. */
	closep(&silent);
	silent = -1;
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	wait_for(stage_has_readings, 100);
	assert_int_equal(finish().lost, 0);
	assert_int_equal(lines_with("the broker does not answer"), 1);
}

/* --- what is given up while it is in flight --- */

static bool has_crashed(struct stage *on, _unused_ uint64_t unused)
{
	if (waitpid(on->gateway, NULL, WNOHANG) != on->gateway)
		return false;
	on->gateway = 0;
	return true;
}

/* The gateway's spool, while nobody has it. */
static struct spool *open_spool(void)
{
	_cleanup_free_ char *directory = NULL;
	struct spool_conf conf = { .max_bytes = 256 << 20 };
	struct spool *spool;

	assert_true(asprintf(&directory, "%s/spool", stage.directory) > 0);
	conf.directory = directory;
	assert_int_equal(spool_open(&conf, false, &spool), 0);
	return spool;
}

/* The broker holds it, under an identifier that is to be free again: PUBREL has it let go. */
static void what_is_given_up_is_let_go_by_the_broker(_unused_ void **state)
{
	struct spool *spool;
	uint64_t oldest, next;
	size_t in_flight;

	start(NULL, "qos = 2;");
	stage.program = crash_gateway;
	setenv("POSTBUS_CRASH", "got.pubrec.before:1", true);
	assert_int_equal(stage_start_gateway(&stage), 0);
	unsetenv("POSTBUS_CRASH");
	wait_for(has_crashed, 0);
	simulator_mute(stage.simulator, true);
	assert_int_equal(stage.delivery_count, 0);
	spool = open_spool();
	spool_range(spool, &oldest, &next);
	assert_true(spool_drop(spool, oldest, next - 1) > 0);
	assert_int_equal(spool_close(spool), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 1);
	wait_for(stage_spool_is_empty, 0);
	assert_int_equal(WEXITSTATUS(stage_end(&stage.gateway, SIGTERM)), 0);
	spool = open_spool();
	spool_flights(spool, &in_flight);
	spool_free(spool);
	assert_int_equal(in_flight, 0);
}

#define link_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		link_test(what_is_given_up_is_let_go_by_the_broker),
		link_test(a_silent_broker_is_left),
		link_test(a_half_open_link_is_noticed),
		link_test(a_lossy_link_delivers_once),
		link_test(a_name_that_hangs_stops_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
