/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_torture.c - gateway, link and broker end at every point of a message's way, and each
 * message is delivered: with QoS 1 at least once and in order, with QoS 2 exactly once.
 *
 * POSTBUS_TORTURE=N has each of the two last N more crashes of the gateway, at random.
 * POSTBUS_AEDES=DIRECTORY, where aedes is installed by npm, has all once more with that broker.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "crash_point.h"
#include "tools/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum {
	CRASHES = 60,        /* at random, where the environment does not say */
	CUT_MOST = 2000,     /* bytes that pass at most before the link is cut */
	BROKER_CRASH = 15,   /* of so many crashes one is the broker's too */
};

/* Below it, numbers are not the gateway's, but of what the test publishes itself. */
#define SENTINELS_END 1000000

static struct stage stage;
static char *maps, *program, *script;
static bool forgets; /* the broker says to the gateway that there is no session */
static uint64_t sentinel;
static struct {
	unsigned at_points, at_random, cuts, broker;
} done;

static int set_up(_unused_ void **state)
{
	const char *source = getenv("POSTBUS_SOURCE"), *postbus = getenv("POSTBUS");

	if (!postbus || asprintf(&maps, "%s/devices", source ? source : ".") < 0 ||
	    asprintf(&program, "%.*s/tests/crash_gateway",
		     (int)(strrchr(postbus, '/') - postbus), postbus) < 0)
		return -1;
	memset(&done, 0, sizeof(done));
	sentinel = 0;
	forgets = false;
	return stage_open(&stage, program, maps);
}

static int tear_down(_unused_ void **state)
{
	free((char *)stage.mosquitto_conf);
	free(script);
	script = NULL;
	stage_clean_up(&stage);
	free(maps);
	free(program);
	return 0;
}

static void wait_for(stage_condition *holds, uint64_t argument, const char *what)
{
	int r = stage_wait(&stage, holds, argument);

	if (r < 0) {
		stage_show_log(&stage, "gateway.log");
		stage_show_log(&stage, "mosquitto.log");
		fail_msg("%s: %s", what, strerror(-r));
	}
}

static unsigned below(unsigned n)
{
	return rand() % n;
}

/* --- the stage --- */

static void start(const char *publish, const char *spool)
{
	char *conf;

	stage.node_broker = script;
	stage.broker_group = script ? "version = \"3.1.1\";" : NULL;
	assert_true(asprintf(&conf, "persistence true\npersistence_location %s/\nuser root\n",
			     stage.directory) > 0);
	stage.mosquitto_conf = conf;
	/*
	 * What comes twice is to be the gateway's doing, and between broker and subscriber no
	 * link is lost while something is in flight. With QoS 2 there too, mosquitto_sub 2.0.11
	 * sees a protocol error when its broker comes back.
	 */
	stage.subscriber_qos = 1;
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_configure(&stage, publish, spool), 0);
	/* As fast as the wire allows. */
	assert_int_equal(stage_write(&stage, "bus.yaml",
				     "bus: simulated\n"
				     "port: %s/bus\n"
				     "baud: 19200\n"
				     "devices:\n"
				     "  - {name: \"climate-{address}\", map: xy-md02, "
				     "address: [11-18], every: 100ms}\n",
				     stage.directory), 0);
}

/* The gateway, to be ended at a point (NAME:N), or by us. */
static void start_gateway(const char *point)
{
	if (point)
		setenv("POSTBUS_CRASH", point, true);
	assert_int_equal(stage_start_gateway(&stage), 0);
	unsetenv("POSTBUS_CRASH");
}

static bool has_crashed(struct stage *on, _unused_ uint64_t unused)
{
	int status;

	if (on->gateway > 0 && waitpid(on->gateway, &status, WNOHANG) == on->gateway) {
		on->gateway = 0;
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	return on->gateway == 0;
}

static bool has_crashed_or_delivers(struct stage *on, uint64_t readings)
{
	return has_crashed(on, 0) || stage_has_readings(on, readings);
}

/* --- crashes of the gateway --- */

static const struct crash {
	const char *name;
	unsigned most[3]; /* by QoS: it is passed so often before long; 0: never */
	bool new_spool;   /* it is passed where nothing was taken in yet */
} points[] = {
	{ "journal.begin.before", { 0, 1, 1 }, true },
	{ "journal.begin.after", { 0, 1, 1 }, true },
	{ "journal.restart.before", { 0, 1, 1 }, true },
	{ "journal.restart.after", { 0, 1, 1 }, true },
	{ "tail.change.before", { 0, 1, 1 }, true },
	{ "tail.change.after", { 0, 1, 1 }, true },
	{ "spool.append.before", { 0, 20, 20 }, false },
	{ "spool.append.after", { 0, 20, 20 }, false },
	{ "journal.commit.before", { 0, 20, 3 }, false },
	{ "journal.commit.after", { 0, 20, 3 }, false },
	{ "tail.commit.before", { 0, 20, 20 }, false },
	{ "tail.commit.after", { 0, 20, 20 }, false },
	/* What is pending is written when the next one starts. */
	{ "disk.write.before", { 0, 1, 20 }, false },
	{ "disk.write.half", { 0, 1, 20 }, false },
	{ "disk.write.after", { 0, 1, 20 }, false },
	{ "tail.begin.before", { 0, 1, 20 }, false },
	{ "tail.begin.after", { 0, 1, 20 }, false },
	{ "journal.sync.before", { 0, 1, 20 }, false },
	{ "journal.sync.after", { 0, 1, 20 }, false },
	{ "disk.sync.before", { 0, 1, 20 }, false },
	{ "disk.sync.after", { 0, 1, 20 }, false },
	{ "session.write.before", { 0, 20, 20 }, false },
	{ "session.write.after", { 0, 20, 20 }, false },
	{ "send.connect.before", { 0, 1, 1 }, false },
	{ "send.connect.half", { 0, 1, 1 }, false },
	{ "send.connect.after", { 0, 1, 1 }, false },
	{ "got.connack.before", { 0, 1, 1 }, false },
	{ "got.connack.after", { 0, 1, 1 }, false },
	{ "send.publish.before", { 0, 20, 20 }, false },
	{ "send.publish.half", { 0, 20, 20 }, false },
	{ "send.publish.after", { 0, 20, 20 }, false },
	{ "got.puback.before", { 0, 20, 0 }, false },
	{ "got.puback.after", { 0, 20, 0 }, false },
	{ "got.pubrec.before", { 0, 0, 10 }, false },
	{ "got.pubrec.after", { 0, 0, 10 }, false },
	{ "got.pubcomp.before", { 0, 0, 10 }, false },
	{ "got.pubcomp.after", { 0, 0, 10 }, false },
	/* Each of these leaves behind what the next ones need. */
	{ "send.pubrel.before", { 0, 0, 10 }, false },
	{ "resume.pubrel.before", { 0, 0, 1 }, false },
	{ "resume.pubrel.half", { 0, 0, 1 }, false },
	{ "resume.pubrel.after", { 0, 0, 1 }, false },
	{ "send.pubrel.half", { 0, 0, 10 }, false },
	{ "resume.pubrel.before", { 0, 0, 1 }, false },
	{ "send.pubrel.after", { 0, 0, 10 }, false },
};

/* Nothing is resumed where there is no session. */
static bool is_resumption(const struct crash *point)
{
	return !strncmp(point->name, "resume.", strlen("resume."));
}

/* Before a message was taken in: the numbers begin at 1 again. */
static void remove_spool(void)
{
	char path[96];
	char *argv[] = { "rm", "-rf", path, NULL };
	pid_t pid;

	snprintf(path, sizeof(path), "%s/spool", stage.directory);
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(stage_end(&pid, 0), 0);
}

static void crash_at_each_point(unsigned qos)
{
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		const struct crash *point = &points[i];
		char text[64];

		if (!point->most[qos] || (forgets && is_resumption(point)))
			continue;
		snprintf(text, sizeof(text), "%s:%u", point->name,
			 1 + below(point->most[qos]));
		if (point->new_spool)
			remove_spool();
		start_gateway(text);
		wait_for(has_crashed, 0, text);
		done.at_points++;
	}
}

/* Once it delivers: at some point, or at any moment, with the link cut at some byte. */
static void crash_at_random(unsigned qos)
{
	const struct crash *point = &points[below(ARRAY_SIZE(points))];
	bool at_point = point->most[qos] && below(2);
	char text[64];

	snprintf(text, sizeof(text), "%s:%u", point->name, 1 + below(100));
	if (below(3) == 0) {
		proxy_cut_after(stage.proxy, below(2), 1 + below(CUT_MOST));
		done.cuts++;
	}
	start_gateway(at_point ? text : NULL);
	wait_for(has_crashed_or_delivers, stage.readings + 1 + below(10), text);
	if (stage.gateway) {
		assert_int_equal(stage_wait_ms(&stage, below(30)), 0);
		stage_end(&stage.gateway, SIGKILL);
	}
	done.at_random++;
}

/* --- crashes of the broker --- */

static bool sentinel_has_come(struct stage *on, _unused_ uint64_t unused)
{
	for (size_t i = on->delivery_count; i > 0; i--)
		if (on->deliveries[i - 1].seq == sentinel)
			return true;
	return false;
}

/* What the test publishes itself; returns when the subscriber has it. */
static void send_sentinel(char *qos)
{
	char port[8], number[24];
	char *argv[] = { "mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", qos,
			 "-t", "demo/torture/sentinel", "-m", "", "-D", "publish",
			 "user-property", "seq", number, NULL };
	pid_t pid;

	sentinel++;
	snprintf(port, sizeof(port), "%d", stage.broker_port);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)sentinel);
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(stage_end(&pid, 0), 0);
	wait_for(sentinel_has_come, 0, "sentinel");
}

/* The state that the broker wrote last; 0: none. */
static ino_t saved_state(void)
{
	char path[96];
	struct stat status;

	snprintf(path, sizeof(path), "%s/mosquitto.db", stage.directory);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

static bool is_saved_anew(_unused_ struct stage *on, uint64_t before)
{
	return saved_state() != before;
}

/*
 * Mosquitto keeps in memory what it acknowledged until it saves its state. So this is a crash
 * of a broker that would not: while the link is down and the subscriber has all, the state is
 * saved, with what the gateway has in doubt, and nothing happens until the crash.
 */
static void crash_broker(void)
{
	ino_t before = saved_state();

	proxy_cut(stage.proxy, true);
	/* It comes behind all that the broker had for the subscriber, … */
	send_sentinel("1");
	/* … and this one when the handshake of that one is over. */
	send_sentinel("0");
	kill(stage.broker, SIGUSR1);
	wait_for(is_saved_anew, before, "broker saves");
	stage_end(&stage.broker, SIGKILL);
	assert_int_equal(stage_start_broker(&stage), 0);
	proxy_cut(stage.proxy, false);
	done.broker++;
}

/* --- what became of it --- */

static bool all_is_delivered(struct stage *on, _unused_ uint64_t unused)
{
	struct stage_count count;

	return stage_count(on, &count) == 0 && count.lost == 0;
}

/* Deliveries that are neither a repeat of an earlier one nor newer than all before. */
static unsigned count_out_of_order(uint64_t first, uint64_t next)
{
	_cleanup_free_ bool *seen = calloc(next - first + 1, sizeof(*seen));
	unsigned count = 0;
	uint64_t newest = 0;

	assert_non_null(seen);
	for (size_t i = 0; i < stage.delivery_count; i++) {
		uint64_t seq = stage.deliveries[i].seq;

		if (seq < first || seq >= next)
			continue;
		count += seq < newest && !seen[seq - first];
		seen[seq - first] = true;
		if (seq > newest)
			newest = seq;
	}
	return count;
}

static void check_all(unsigned qos)
{
	struct stage_count count;
	struct spool_sums sums;
	uint64_t next, sentinels = 0;
	unsigned out_of_order;

	proxy_cut_after(stage.proxy, PROXY_TO_CLIENT, 0);
	proxy_cut_after(stage.proxy, PROXY_TO_SERVER, 0);
	simulator_mute(stage.simulator, true);
	start_gateway(NULL);
	wait_for(stage_spool_is_empty, 0, "spool to be empty");
	stage_end(&stage.gateway, SIGTERM);
	(void)!stage_wait(&stage, all_is_delivered, 0);
	assert_int_equal(stage_look_at_spool(&stage, &sums, &next), 0);
	assert_int_equal(stage_count(&stage, &count), 0);
	out_of_order = count_out_of_order(next - sums.taken, next);
	for (size_t i = 0; i < stage.delivery_count; i++)
		sentinels += stage.deliveries[i].seq < SENTINELS_END;
	print_message("QoS %u: %u crashes at points, %u at random, %u cuts of the link, %u "
		      "crashes of the broker: %llu messages, lost %llu, twice %llu, out of "
		      "order %u, given up %llu\n", qos, done.at_points, done.at_random,
		      done.cuts, done.broker, (unsigned long long)count.delivered,
		      (unsigned long long)count.lost, (unsigned long long)count.twice,
		      out_of_order, (unsigned long long)(sums.dropped + sums.damaged));
	assert_int_equal(count.lost, 0);
	assert_int_equal(count.unknown, sentinels);
	assert_int_equal(sums.refused + sums.dropped + sums.damaged, 0);
	assert_int_equal(out_of_order, 0);
	if (qos == 2 && !forgets)
		assert_int_equal(count.twice, 0);
}

/* To a client that never subscribed aedes says that there is no session: so it has. */
static void subscribe_as_gateway(void)
{
	char port[8];
	char *argv[] = { "mosquitto_sub", "-V", "311", "-h", "127.0.0.1", "-p", port, "-q", "1",
			 "-c", "-i", "postbus-demo", "-t", "demo/torture/set", "-E", NULL };
	pid_t pid;

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(stage_end(&pid, 0), 0);
}

static void torture(unsigned qos, const char *publish, const char *spool)
{
	const char *more = getenv("POSTBUS_TORTURE");
	unsigned crashes = CRASHES + (more ? strtoul(more, NULL, 10) : 0);

	start(publish, spool);
	if (script && !forgets)
		subscribe_as_gateway();
	crash_at_each_point(qos);
	for (unsigned i = 1; i <= crashes; i++) {
		crash_at_random(qos);
		/* What aedes holds is in memory. */
		if (i % BROKER_CRASH == 0 && !script)
			crash_broker();
	}
	check_all(qos);
}

static void qos_1_loses_nothing(_unused_ void **state)
{
	torture(1, "qos = 1;", "sync = \"1s\";");
}

static void qos_2_is_exactly_once(_unused_ void **state)
{
	torture(2, "qos = 2;", "sync = \"1s\";");
}

/*
 * A broker by other people, written to the same standard. On the way to the subscriber aedes
 * loses messages that it took, which is kept from happening here:
 *
 * - Those that come together it handles at once, and one that is retained is overtaken by the
 *   next. It takes the later one for a repeat, and another off the subscriber's queue
 *   (dedupe() in client.js): so they are handled one after the other.
 * - Two PUBRELs that it owes the subscriber at a time become the second one, twice
 *   (outgoingUpdate() in aedes-persistence): so it sends with QoS 1.
 */
static void use_aedes(void)
{
	const char *directory = getenv("POSTBUS_AEDES");

	if (!directory) {
		print_message("POSTBUS_AEDES does not say where aedes is: npm install --prefix "
			      "DIRECTORY aedes\n");
		skip();
	}
	assert_int_equal(stage_write(&stage, "aedes.mjs",
				     "import { createRequire } from 'module'\n"
				     "import net from 'net'\n"
				     "const { Aedes } = createRequire('%s/')('aedes')\n"
				     "const broker = await Aedes.createBroker({\n"
				     "  authorizePublish: (client, packet, done) =>"
				     " setImmediate(done, null),\n"
				     "  authorizeForward: (client, packet) =>"
				     " Object.assign(packet, { qos: Math.min(packet.qos, 1) }),\n"
				     "})\n"
				     "net.createServer(broker.handle)"
				     ".listen(process.argv[2], '127.0.0.1')\n",
				     directory), 0);
	assert_true(asprintf(&script, "%s/aedes.mjs", stage.directory) > 0);
}

static void aedes_qos_1_loses_nothing(_unused_ void **state)
{
	use_aedes();
	torture(1, "qos = 1;", "sync = \"1s\";");
}

static void aedes_qos_2_is_exactly_once(_unused_ void **state)
{
	use_aedes();
	torture(2, "qos = 2;", "sync = \"1s\";");
}

/*
 * It says that there is no session, and yet holds what was not released by its identifier. Of
 * what was, nobody can tell whether it had it.
 */
static void aedes_without_a_session_loses_nothing(_unused_ void **state)
{
	forgets = true;
	use_aedes();
	torture(2, "qos = 2;", "sync = \"1s\";");
}

#define torture_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		torture_test(qos_1_loses_nothing),
		torture_test(qos_2_is_exactly_once),
		torture_test(aedes_qos_1_loses_nothing),
		torture_test(aedes_qos_2_is_exactly_once),
		torture_test(aedes_without_a_session_loses_nothing),
	};
	const char *seed = getenv("POSTBUS_SEED");
	unsigned number = seed ? strtoul(seed, NULL, 10) : (unsigned long)time(NULL);

	print_message("POSTBUS_SEED=%u\n", number);
	srand(number);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
