/* SPDX-License-Identifier: Apache-2.0 */
/* test_session.c - what a real Mosquitto allows and refuses, and TLS in all its troubles. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "on_stage.h"
#include "uplink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* --- what the broker allows --- */

/* Mosquitto gives up being root, and could not read what is in the stage's directory. */
#define ROOT "user root\n"

static void start(const char *broker_group, const char *mosquitto_conf, const char *publish)
{
	stage.broker_group = broker_group;
	stage.mosquitto_conf = mosquitto_conf;
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_int_equal(stage_configure(&stage, publish, ""), 0);
}

static struct stage_count deliver(uint64_t readings)
{
	struct stage_count count;

	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, readings);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	assert_int_equal(WEXITSTATUS(stage_end(&stage.gateway, SIGTERM)), 0);
	assert_int_equal(stage_count(&stage, &count), 0);
	return count;
}

static struct spool_sums sums(void)
{
	struct spool_sums found;
	uint64_t next;

	assert_int_equal(stage_look_at_spool(&stage, &found, &next), 0);
	return found;
}

static void a_clean_session_loses_nothing(void **state)
{
	(void)state;
	start("session = \"clean\";", "", "qos = 1;");
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
	for (unsigned i = 1; i <= 4; i++) {
		wait_for(stage_has_readings, 15 * i);
		proxy_cut(stage.proxy, true);
		wait_for(stage_spool_holds, 5);
		proxy_cut(stage.proxy, false);
	}
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	assert_int_equal(sums().refused, 0);
	assert_true(lines_with("session new") >= 4);
	assert_int_equal(lines_with("session resumed"), 0);
}

static bool all_came(struct stage *on, uint64_t unused)
{
	struct stage_count count;

	(void)unused;
	return stage_count(on, &count) == 0 && count.lost == 0;
}

/* QoS 2 goes out at QoS 1, states without retain, three at a time; nothing is refused. */
static void limits_are_kept_to(void **state)
{
	(void)state;
	start("", "max_qos 1\nretain_available false\nmax_inflight_messages 3\n", "qos = 2;");
	(void)deliver(30);
	wait_for(all_came, 0);
	assert_int_equal(sums().refused, 0);
	assert_int_equal(lines_with("retains no messages"), 1);
}

static bool are_refused(struct stage *on, uint64_t count)
{
	struct spool_sums found;
	uint64_t next;

	return stage_look_at_spool(on, &found, &next) == 0 && found.refused >= count;
}

/* A message that is too large is set aside, the others go out. */
static void what_is_too_large_is_set_aside(void **state)
{
	struct stage_count count;

	(void)state;
	/* A reading has some 150 bytes, the word `online` fewer. */
	start("", "max_packet_size 100\n", "qos = 1;");
	assert_int_equal(stage_start_gateway(&stage), 0);
	/* It is said before it is noted. */
	wait_for_log("will never be taken", 1);
	wait_for(are_refused, 1);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	assert_int_equal(stage_count(&stage, &count), 0);
	assert_true(sums().acked > 0);
	/* Many are refused, and it is not said for each. */
	assert_int_equal(lines_with("will never be taken"), 1);
}

/* `postbus spool VERB --all MORE` on the gateway's spool: the exit status. */
static int spool_verb(const char *verb, const char *more, const char *and_more)
{
	_cleanup_free_ char *conf = NULL;
	char *argv[] = { (char *)stage.program, "spool", (char *)verb, "--all", "-c", NULL,
			 (char *)more, (char *)and_more, NULL };
	int status;
	pid_t pid;

	assert_true(asprintf(&conf, "%s/postbus.conf", stage.directory) > 0);
	argv[5] = conf;
	pid = stage_spawn(argv, STDERR_FILENO);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* What the broker's access list forbids is answered for good. */
static void what_is_not_allowed_is_set_aside(void **state)
{
	_cleanup_free_ char *conf = NULL;

	(void)state;
	assert_int_equal(stage_write(&stage, "acl", "topic write demo/+/availability\n"
				     "topic write demo/status\n"), 0);
	/* Where it may queue without end, Mosquitto 2.0.11 ends the link of who is refused. */
	assert_true(asprintf(&conf, ROOT "max_queued_messages 1000\nacl_file %s/acl\n", stage.directory) > 0);
	start("", conf, "qos = 2;");
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for_log("Not authorized", 1);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	assert_true(sums().refused > 0);
	assert_true(sums().acked > 0);
	assert_int_equal(lines_with("Not authorized"), 1);
	/* Given up by hand: it is not kept, and what tells of it is refused in its turn. */
	assert_int_equal(spool_verb("drop", "--refused", "--yes"), 0);
	assert_true(sums().given_up[LOSS_USER] > 0);
	assert_int_equal(sums().given_up[LOSS_REFUSED], 0);
}

/* --- what was set aside is sent again --- */

/* A reading that is set aside, and is to arrive with its time. */
struct expected {
	char topic[64];
	int64_t time_ms;
	bool came;
};

static struct expected expected[1024];
static size_t expected_count;

static bool expect_entry(void *data, const struct spool_entry *entry)
{
	const struct message *message = &entry->message;
	struct expected *one = &expected[expected_count];

	(void)data;
	snprintf(one->topic, sizeof(one->topic), "%.*s", message->topic_length, message->topic);
	one->time_ms = message->time_ms;
	one->came = false;
	expected_count += !strncmp(one->topic, "demo/climate", 12);
	return expected_count < ARRAY_SIZE(expected);
}

/* How many are set aside; with what is expected of them. */
static uint64_t look_at_refused(void)
{
	_cleanup_free_ char *path = NULL;
	struct spool_conf conf = { 0 };
	struct spool_walk walk = { .visit = expect_entry };
	struct spool *spool;
	uint64_t kept;

	expected_count = 0;
	assert_true(asprintf(&path, "%s/spool", stage.directory) > 0);
	conf.directory = path;
	assert_int_equal(spool_open(&conf, true, &spool), 0);
	assert_int_equal(spool_walk_refused(spool, &walk), 0);
	kept = spool_state(spool).kept;
	spool_free(spool);
	assert_true(expected_count <= kept);
	return kept;
}

static FILE *open_in_stage(const char *name)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", stage.directory, name) > 0);
	return fopen(path, "re");
}

/* Whether a file of the stage's has a line with these words. */
static bool has_line(const char *name, const char *words)
{
	_cleanup_fclose_ FILE *file = open_in_stage(name);
	char text[1024];

	while (file && fgets(text, sizeof(text), file))
		if (strstr(text, words))
			return true;
	return false;
}

/*
 * Where the clock is not known to be right, what is made of the time that the machine has been
 * running comes out a little different each time.
 */
static bool is_same_time(int64_t a_ms, int64_t b_ms)
{
	return a_ms - b_ms <= 20 && b_ms - a_ms <= 20;
}

static void note_arrival(const char *topic, int64_t time_ms)
{
	for (size_t i = 0; i < expected_count; i++) {
		struct expected *one = &expected[i];

		if (!one->came && !strcmp(one->topic, topic) &&
		    is_same_time(one->time_ms, time_ms)) {
			one->came = true;
			return;
		}
	}
}

/* How many readings came; `came` is set of those of them that were expected. */
static size_t read_arrivals(void)
{
	_cleanup_fclose_ FILE *file = open_in_stage("came");
	char text[1024], topic[64];
	size_t count = 0;

	for (size_t i = 0; i < expected_count; i++)
		expected[i].came = false;
	while (file && fgets(text, sizeof(text), file)) {
		struct tm tm = { 0 };
		int ms;

		if (sscanf(text, "%63s {\"time\":\"%d-%d-%dT%d:%d:%d.%dZ\"", topic, &tm.tm_year,
			   &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) != 8 ||
		    strncmp(topic, "demo/climate", 12))
			continue;
		tm.tm_year -= 1900;
		tm.tm_mon--;
		note_arrival(topic, timegm(&tm) * INT64_C(1000) + ms);
		count++;
	}
	return count;
}

static bool status_came(struct stage *on, uint64_t unused)
{
	(void)on, (void)unused;
	return has_line("came", "demo/status online");
}

static bool all_expected_came(struct stage *on, uint64_t unused)
{
	(void)on, (void)unused;
	read_arrivals();
	for (size_t i = 0; i < expected_count; i++)
		if (!expected[i].came)
			return false;
	return true;
}

static pid_t write_down_what_comes(void)
{
	_cleanup_free_ char *path = NULL;
	char port[8];
	char *argv[] = { "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", "2",
			 "-t", "demo/+", "-F", "%t %p", NULL };
	_cleanup_close_ int fd = -1;

	assert_true(asprintf(&path, "%s/came", stage.directory) > 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	snprintf(port, sizeof(port), "%d", stage.broker_port);
	return stage_spawn(argv, fd);
}

static bool acl_is_read_again(struct stage *on, uint64_t unused)
{
	(void)on, (void)unused;
	return has_line("mosquitto.log", "Reloading config");
}

/*
 * Killed while readings are refused, and killed again while they are sent again: once the
 * broker allows it, each arrives, with the time at which it was read.
 */
static void what_was_refused_is_sent_again(void **state)
{
	_cleanup_free_ char *conf = NULL;
	struct spool_sums found;
	uint64_t kept;
	pid_t writer;

	(void)state;
	assert_int_equal(stage_write(&stage, "acl", "topic read #\n"
				     "topic write demo/+/availability\n"
				     "topic write demo/status\n"), 0);
	assert_true(asprintf(&conf, ROOT "max_queued_messages 1000\nacl_file %s/acl\n",
			     stage.directory) > 0);
	start("", conf, "qos = 2;");
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(stage_start_gateway(&stage), 0);
		wait_for(are_refused, 20 * i);
		if (i < 3)
			stage_end(&stage.gateway, SIGKILL);
	}
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	kept = look_at_refused();
	assert_true(expected_count >= 40);
	assert_true(sums().refused >= kept);

	assert_int_equal(stage_write(&stage, "acl", "topic readwrite #\n"), 0);
	kill(stage.broker, SIGHUP);
	wait_for(acl_is_read_again, 0);
	writer = write_down_what_comes();
	wait_for(status_came, 0);
	assert_int_equal(read_arrivals(), 0);
	assert_int_equal(spool_verb("retry", NULL, NULL), 0);
	stage_end(&stage.gateway, SIGKILL);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(all_expected_came, 0);
	wait_for(stage_spool_is_empty, 0);
	/* Once each, and nothing else. */
	assert_int_equal(read_arrivals(), expected_count);
	found = sums();
	assert_int_equal(found.dropped + found.damaged, 0);
	assert_true(found.refused >= kept);
	assert_int_equal(look_at_refused(), 0);
	stage_end(&writer, SIGKILL);
}

/* A reading says of itself what it is and how long it is good for. */
static void properties_are_told(void **state)
{
	char port[8];
	char *argv[] = { "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-C", "1",
			 "-t", "demo/climate-11", "-F", "%C|%E|%P", NULL };
	char line[256] = "";
	int fds[2], status;
	pid_t reader;
	ssize_t n;

	(void)state;
	start("", "", "qos = 1; expiry = \"2h\";");
	assert_int_equal(pipe(fds), 0);
	snprintf(port, sizeof(port), "%d", stage.broker_port);
	reader = stage_spawn(argv, fds[1]);
	close(fds[1]);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_spool_holds, 0);
	while (waitpid(reader, &status, WNOHANG) == 0)
		assert_int_equal(stage_wait_ms(&stage, 10), 0);
	n = read(fds[0], line, sizeof(line) - 1);
	close(fds[0]);
	assert_true(n > 0);
	assert_memory_equal(line, "application/json|7200|seq:", 26);
}

/* --- TLS --- */

/* openssl, by a shell in the stage's directory: a CA, and what it signs. */
static const char certificates[] =
	"set -e\n"
	"key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'\n"
	"ca() { openssl req -x509 $key -keyout $1.key -out $1.crt -subj /CN=$1 -days 2; }\n"
	"cert() { # NAME SUBJECT-ALT-NAME DAYS\n"
	"	openssl req $key -keyout $1.key -out $1.csr -subj /CN=$1\n"
	"	printf 'subjectAltName=%s\\n' \"$2\" >$1.ext\n"
	"	openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.key -CAcreateserial \\\n"
	"		-out $1.crt -extfile $1.ext $3; }\n"
	"ca ca; ca stranger\n"
	"cert right IP:127.0.0.1 '-days 2'\n"
	"cert other DNS:elsewhere.example '-days 2'\n"
	"cert client DNS:demo '-days 2'\n"
	"cert expired IP:127.0.0.1 '-days -1'\n"
	"echo barn:00112233445566778899aabbccddeeff >psk\n"
	"echo 00112233445566778899aabbccddeeff >psk.key\n"
	"mosquitto_passwd -c -b passwd barn secret\n"
	"chmod 600 *.key\n"
	"chmod 644 ca.key\n";

static int make_certificates(void)
{
	char *argv[] = { "sh", NULL, NULL };
	_cleanup_free_ char *script = NULL, *whole = NULL;
	pid_t pid;

	assert_true(asprintf(&whole, "cd %s\n%s", stage.directory, certificates) > 0);
	assert_int_equal(stage_write(&stage, "certificates.sh", "%s", whole), 0);
	assert_true(asprintf(&script, "%s/certificates.sh", stage.directory) > 0);
	argv[1] = script;
	pid = stage_spawn(argv, STDERR_FILENO);
	return WEXITSTATUS(stage_end(&pid, 0));
}

struct tls_case {
	const char *server;  /* certificate and key of the broker */
	const char *settings; /* more of the listener's, with the directory */
	const char *group;   /* the gateway's broker group, with the directory */
	const char *trouble; /* what its log is to say; NULL: it gets through */
};

/* A text with the stage's directory in place of each `@`. */
static char *with_directory(const char *text)
{
	char *result = NULL;
	size_t size;
	FILE *file = open_memstream(&result, &size);

	for (; *text; text++)
		if (*text == '@')
			fputs(stage.directory, file);
		else
			fputc(*text, file);
	assert_int_equal(fclose(file), 0);
	return result;
}

static void start_tls(const struct tls_case *test)
{
	_cleanup_free_ char *settings = with_directory(test->settings);
	_cleanup_free_ char *group = with_directory(test->group);
	_cleanup_free_ char *conf = NULL;

	if (test->server)
		assert_true(asprintf(&conf, "cafile %s/ca.crt\n" ROOT "certfile %s/%s.crt\n"
				     "keyfile %s/%s.key\n%s", stage.directory, stage.directory,
				     test->server, stage.directory, test->server,
				     settings) > 0);
	start(group, conf ? conf : settings, "qos = 1;");
	assert_int_equal(stage_start_gateway(&stage), 0);
}

static bool is_acknowledged(struct stage *on, uint64_t count)
{
	struct spool_sums found;
	uint64_t next;

	return stage_look_at_spool(on, &found, &next) == 0 && found.acked >= count;
}

static void tls_gets_through(const struct tls_case *test)
{
	start_tls(test);
	wait_for(is_acknowledged, STAGE_DEVICES);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
}

/* One line, however often it is tried; the readings stay in the spool. */
static void tls_is_in_trouble(const struct tls_case *test)
{
	start_tls(test);
	wait_for_log(test->trouble, 1);
	wait_for(stage_spool_holds, 30);
	/* A broker may say why in its last packet, or be gone before it is read. */
	assert_in_range(lines_with(test->trouble), 1, 2);
	assert_in_range(lines_with("readings are kept, trying again"), 1, 4);
	assert_int_equal(sums().acked, 0);
}

static void try_tls(void **state)
{
	const struct tls_case *test = *state;

	memset(&stage, 0, sizeof(stage));
	assert_int_equal(open_stage(NULL), 0);
	if (make_certificates() != 0) {
		close_stage(NULL);
		skip();
	}
	if (test->trouble)
		tls_is_in_trouble(test);
	else
		tls_gets_through(test);
	close_stage(NULL);
}

#define CA "tls: { ca = \"@/ca.crt\"; };"
#define TLS_TEST(name, ...) \
	{ name, try_tls, NULL, NULL, (struct tls_case[]){ { __VA_ARGS__ } } }
#define SESSION_TEST(f) cmocka_unit_test_setup_teardown(f, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SESSION_TEST(a_clean_session_loses_nothing),
		SESSION_TEST(limits_are_kept_to),
		SESSION_TEST(what_is_too_large_is_set_aside),
		SESSION_TEST(what_is_not_allowed_is_set_aside),
		SESSION_TEST(what_was_refused_is_sent_again),
		SESSION_TEST(properties_are_told),
		TLS_TEST("tls_with_a_ca", "right", "", CA, NULL),
		TLS_TEST("tls_with_a_client_certificate", "right",
			 "require_certificate true\n",
			 "tls: { ca = \"@/ca.crt\"; cert = \"@/client.crt\"; "
			 "key = \"@/client.key\"; };", NULL),
		TLS_TEST("tls_with_a_shared_key", NULL,
			 ROOT "psk_hint hint\npsk_file @/psk\n",
			 "tls: { psk_identity = \"barn\"; psk_file = \"@/psk.key\"; };",
			 NULL),
		TLS_TEST("tls_and_an_unknown_ca", "right", "",
			 "tls: { ca = \"@/stranger.crt\"; };", "certificate is refused"),
		TLS_TEST("tls_and_the_systems_cas", "right", "", "tls: { };",
			 "certificate is refused"),
		TLS_TEST("tls_and_an_expired_certificate", "expired", "", CA,
			 "certificate has expired"),
		TLS_TEST("tls_and_another_hosts_certificate", "other", "", CA,
			 "is not for the host \"127.0.0.1\""),
		TLS_TEST("tls_without_the_certificate_that_is_asked_for", "right",
			 "require_certificate true\n", CA, "TLS: "),
		TLS_TEST("a_key_that_others_may_read", "right", "",
			 "tls: { ca = \"@/ca.crt\"; cert = \"@/client.crt\"; "
			 "key = \"@/ca.key\"; };", "others may read it"),
		TLS_TEST("a_wrong_password", "right",
			 "allow_anonymous false\npassword_file @/passwd\n",
			 CA " username = \"barn\"; password_file = \"@/psk.key\";",
			 "refused: Not authorized"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
