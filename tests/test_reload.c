/* SPDX-License-Identifier: Apache-2.0 */
/* test_reload.c - configurations that change under a gateway that runs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "on_stage.h"
#include "tools/status.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* A second bus beside the stage's: the attic, with devices 31 to 34. */
enum { ATTIC_DEVICES = 4, ATTIC_ADDRESS = 31 };

static struct simulator *attic;

/* --- the stage --- */

static int open_reload(void **state)
{
	return open_stage(state);
}

static int close_reload(void **state)
{
	simulator_free(attic);
	attic = NULL;
	return close_stage(state);
}

static void start_attic(void)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *link = NULL, *suggestion = NULL;
	const struct device_map *map;

	assert_true(asprintf(&link, "%s/attic", stage.directory) > 0);
	assert_int_equal(map_library_get(stage.library, "xy-md02", &map, &suggestion, faults), 0);
	assert_int_equal(simulator_new(stage.loop, link, 19200,
				       (struct serial_format){ 8, 'N', 1 }, &attic), 0);
	for (unsigned i = 0; i < ATTIC_DEVICES; i++)
		assert_int_equal(simulator_add(attic, map, ATTIC_ADDRESS + i), 0);
}

static void write_attic(unsigned count, const char *every)
{
	assert_int_equal(stage_write(&stage, "attic.yaml",
				     "bus: attic\n"
				     "port: %s/attic\n"
				     "baud: 19200\n"
				     "devices:\n"
				     "  - {name: \"attic-{address}\", map: xy-md02, "
				     "address: [%u-%u], every: %s}\n",
				     stage.directory, ATTIC_ADDRESS, ATTIC_ADDRESS + count - 1,
				     every), 0);
}

static void remove_file(const char *name)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", stage.directory, name) > 0);
	assert_int_equal(unlink(path), 0);
}

static void start(const char *publish)
{
	assert_int_equal(stage_start_simulator(&stage), 0);
	start_attic();
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_configure(&stage, publish, ""), 0);
	write_attic(ATTIC_DEVICES, "200ms");
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(stage_has_readings, 50);
}

static struct stage_count end(void)
{
	simulator_mute(attic, true);
	return finish();
}

static void check_nothing_is_amiss(void)
{
	struct stage_count count = end();

	assert_int_equal(count.lost, 0);
	assert_int_equal(count.twice, 0);
}

/* --- reloads --- */

static unsigned reloads_done(void)
{
	return lines_with("reload: done") + lines_with("reload: failed");
}

static bool are_done(_unused_ struct stage *on, uint64_t count)
{
	return reloads_done() >= count;
}

static void reload(void)
{
	unsigned before = reloads_done();

	assert_int_equal(kill(stage.gateway, SIGHUP), 0);
	wait_for(are_done, before + 1);
}

static cJSON *status(void)
{
	const struct status_place place = { .runtime = stage.directory };
	int fd = status_connect(&place);
	cJSON *json = NULL;

	assert_true(fd >= 0);
	assert_int_equal(status_ask(fd, &json), 0);
	close(fd);
	return json;
}

/* What the status says of a bus; it lives as long as the status. */
static const cJSON *bus_of(const cJSON *json, const char *name)
{
	const cJSON *bus;

	cJSON_ArrayForEach(bus, cJSON_GetObjectItem(json, "buses"))
		if (!strcmp(cJSON_GetStringValue(cJSON_GetObjectItem(bus, "bus")), name))
			return bus;
	return NULL;
}

static int devices_of(const cJSON *json, const char *bus)
{
	return cJSON_GetArraySize(cJSON_GetObjectItem(bus_of(json, bus), "devices"));
}

/* --- what the broker keeps --- */

static bool has_ended(_unused_ struct stage *on, uint64_t pid)
{
	return waitpid((pid_t)pid, NULL, WNOHANG) == (pid_t)pid;
}

/* What a program says, while all else goes on. */
static char *output_of(char *const argv[])
{
	char *text = calloc(1, 65536);
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int out = -1;
	pid_t pid;

	assert_true(asprintf(&path, "%s/output", stage.directory) > 0);
	out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(out >= 0);
	pid = stage_spawn(argv, out);
	wait_for(has_ended, pid);
	assert_true(pread(out, text, 65535, 0) >= 0);
	return text;
}

/* All that a broker has retained of the gateway, a line for each: "TOPIC PAYLOAD". */
static char *retained(void)
{
	char port[8];
	char *argv[] = { "mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-t", "demo/#",
			 "--retained-only", "-W", "1", "-F", "%t %p", NULL };

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	return output_of(argv);
}

static bool is_retained(const char *words)
{
	_cleanup_free_ char *text = retained();

	return strstr(text, words);
}

/* Until what was said to the broker has got there. */
static void wait_until_forgotten(const char *words)
{
	for (unsigned tries = 0; tries < 30 && is_retained(words); tries++)
		;
	assert_false(is_retained(words));
}

/* --- the tests --- */

/* How long the longest pause between two requests was that a bus was seen to make. */
struct pauses {
	uint64_t requests, since_us, longest_us;
};

static int on_look(sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct pauses *pauses = data;
	uint64_t now_us = clock_monotonic_us();
	uint64_t requests = simulator_stats(stage.simulator).requests;

	if (requests != pauses->requests) {
		if (pauses->requests && now_us - pauses->since_us > pauses->longest_us)
			pauses->longest_us = now_us - pauses->since_us;
		pauses->requests = requests;
		pauses->since_us = now_us;
	}
	sd_event_source_set_time(source, now_us + USEC_PER_MSEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* One bus reads more often, and the other one does not notice. */
static void only_what_changed_is_restarted(void **state)
{
	struct pauses before = { 0 }, meanwhile = { 0 };
	sd_event_source *look = NULL;

	(void)state;
	start("");
	assert_true(sd_event_add_time(stage.loop, &look, CLOCK_MONOTONIC, 0, 1, on_look,
				      &before) >= 0);
	wait_for(stage_has_readings, stage.readings + 100);
	sd_event_source_set_userdata(look, &meanwhile);
	for (unsigned i = 0; i < 5; i++) {
		write_attic(ATTIC_DEVICES, i % 2 ? "200ms" : "100ms");
		reload();
		wait_for(stage_has_readings, stage.readings + 20);
	}
	sd_event_source_disable_unref(look);
	print_message("longest pause of the other bus: %llu ms, without a reload %llu ms\n",
		      (unsigned long long)(meanwhile.longest_us / USEC_PER_MSEC),
		      (unsigned long long)(before.longest_us / USEC_PER_MSEC));
	assert_true(meanwhile.longest_us < before.longest_us + USEC_PER_SEC);
	assert_int_equal(lines_with("0 new, 1 changed, 0 gone, 1 go on"), 5);
	assert_int_equal(lines_with("/attic is open"), 1 + 5);
	assert_int_equal(lines_with("/bus is open"), 1);
	/* A device that is started anew is online once more. */
	assert_true(end().announced >= STAGE_DEVICES + 6 * ATTIC_DEVICES);
}

static void nothing_changed_nothing_happens(void **state)
{
	(void)state;
	start("");
	reload();
	assert_int_equal(lines_with("0 new, 0 changed, 0 gone, 2 go on"), 1);
	wait_for(stage_has_readings, stage.readings + 20);
	assert_int_equal(lines_with("connected, session"), 1);
	assert_int_equal(lines_with("/attic is open"), 1);
	assert_int_equal(lines_with("/bus is open"), 1);
	check_nothing_is_amiss();
}

/* A device and a bus that go: they are offline, and then the broker keeps nothing of them. */
static void devices_and_buses_come_and_go(void **state)
{
	cJSON *json;

	(void)state;
	start("retain = true;");
	assert_true(is_retained("demo/attic-34/availability online\n"));
	assert_true(is_retained("demo/attic-34 {"));
	write_attic(3, "200ms");
	reload();
	json = status();
	assert_int_equal(devices_of(json, "attic"), 3);
	cJSON_Delete(json);
	wait_until_forgotten("demo/attic-34");
	assert_true(is_retained("demo/attic-33/availability online\n"));

	remove_file("attic.yaml");
	reload();
	assert_int_equal(lines_with("0 new, 0 changed, 1 gone, 1 go on"), 1);
	json = status();
	assert_null(bus_of(json, "attic"));
	assert_int_equal(devices_of(json, "simulated"), STAGE_DEVICES);
	cJSON_Delete(json);
	wait_until_forgotten("demo/attic");
	wait_until_forgotten("demo/status/bus/attic");

	write_attic(ATTIC_DEVICES, "200ms");
	reload();
	assert_int_equal(lines_with("1 new, 0 changed, 0 gone, 1 go on"), 1);
	wait_for(stage_has_readings, stage.readings + 50);
	assert_true(is_retained("demo/attic-34/availability online\n"));
	check_nothing_is_amiss();
}

/* With all its faults told, the gateway goes on as it was, and is mended by the next reload. */
static void a_fault_changes_nothing(void **state)
{
	char *argv[] = { (char *)stage.program, "status", NULL };
	_cleanup_free_ char *text = NULL;
	const cJSON *told;
	cJSON *json;

	(void)state;
	start("");
	assert_int_equal(stage_write(&stage, "attic.yaml",
				     "bus: attic\n"
				     "port: %s/attic\n"
				     "bawd: 19200\n"
				     "devices:\n"
				     "  - {name: a, map: no-such-map, address: 1}\n",
				     stage.directory), 0);
	reload();
	assert_int_equal(lines_with("attic.yaml:3:1: "), 1);
	assert_int_equal(lines_with("attic.yaml:5:20: "), 1);
	assert_int_equal(lines_with("reload: failed, 2 faults: the gateway goes on"), 1);
	json = status();
	told = cJSON_GetObjectItem(json, "reload");
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(told, "done")));
	assert_int_equal(cJSON_GetObjectItem(told, "faults")->valueint, 2);
	assert_non_null(strstr(cJSON_GetStringValue(cJSON_GetObjectItem(told, "fault")),
			       "attic.yaml:3:1: "));
	assert_int_equal(devices_of(json, "attic"), ATTIC_DEVICES);
	cJSON_Delete(json);
	text = output_of(argv);
	assert_non_null(strstr(text, "\nreload     failed at "));
	wait_for(stage_has_readings, stage.readings + 50);

	write_attic(ATTIC_DEVICES, "200ms");
	reload();
	json = status();
	told = cJSON_GetObjectItem(json, "reload");
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(told, "done")));
	cJSON_Delete(json);
	assert_int_equal(lines_with("0 new, 0 changed, 0 gone, 2 go on"), 1);
	assert_int_equal(lines_with("/attic is open"), 1);
	check_nothing_is_amiss();
}

/* What can't change is refused whole, with what else there is in the same reload. */
static void what_needs_a_restart_is_refused(void **state)
{
	cJSON *json;

	(void)state;
	start("");
	assert_int_equal(stage_write(&stage, "postbus.conf",
				     "gateway = \"other\"; buses = \"%s\"; maps = [ \"%s\" ];\n"
				     "broker: { host = \"127.0.0.1\"; port = %u; };\n"
				     "publish: { qos = 2; clock_wait = \"0s\"; };\n"
				     "spool: { directory = \"%s/elsewhere\"; sync = \"always\"; };\n",
				     stage.directory, stage.maps, proxy_port(stage.proxy),
				     stage.directory), 0);
	reload();
	assert_int_equal(lines_with("reload: failed, 3 faults"), 1);
	assert_int_equal(lines_with("gateway can't change while the gateway runs"), 1);
	assert_int_equal(lines_with("spool.directory can't change"), 1);
	assert_int_equal(lines_with("spool.sync can't change"), 1);
	json = status();
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "gateway")), "demo");
	cJSON_Delete(json);
	wait_for(stage_has_readings, stage.readings + 50);
	assert_int_equal(lines_with("connected, session"), 1);
	check_nothing_is_amiss();
}

/* All is published otherwise, and what waits from before is delivered as it was. */
static void another_publish_section(void **state)
{
	(void)state;
	start("qos = 2; retain = true;");
	proxy_cut(stage.proxy, true);
	wait_for(stage_spool_holds, 50);
	assert_int_equal(stage_configure(&stage, "qos = 2; layout = \"point\"; retain = true;",
					 ""), 0);
	reload();
	assert_int_equal(lines_with("0 new, 2 changed, 0 gone, 0 go on"), 1);
	wait_for(stage_spool_holds, 150);
	proxy_cut(stage.proxy, false);
	wait_until_forgotten("demo/climate-11 {");
	assert_true(is_retained("demo/climate-11/temperature {"));
	check_nothing_is_amiss();
}

/* Another way to the broker, and another name there: flights are kept, seq goes on. */
static void another_link(void **state)
{
	struct proxy *first;

	(void)state;
	start("qos = 2;");
	first = stage.proxy;
	for (unsigned i = 0; i < 4; i++) {
		stage.broker_group = i % 2 ? "inflight = 20;" : "inflight = 50;";
		if (i == 2)
			assert_int_equal(stage_start_proxy(&stage), 0);
		assert_int_equal(stage_configure(&stage, "qos = 2;", ""), 0);
		reload();
		wait_for_log("connected, session resumed", i + 1);
		wait_for(stage_has_readings, stage.readings + 50);
	}
	assert_int_equal(lines_with("0 new, 0 changed, 0 gone, 2 go on"), 4);
	assert_int_equal(lines_with("connected, session new"), 1);
	proxy_cut(first, true);
	wait_for(stage_has_readings, stage.readings + 50);
	stage.broker_group = "client_id = \"another\";";
	assert_int_equal(stage_configure(&stage, "qos = 2;", ""), 0);
	reload();
	wait_for_log("connected, session new", 2);
	wait_for(stage_has_readings, stage.readings + 50);
	proxy_free(first);
	check_nothing_is_amiss();
}

/* Settings of the spool hold without any new link. */
static void the_spool_goes_on(void **state)
{
	cJSON *json;

	(void)state;
	start("");
	assert_int_equal(stage_configure(&stage, "", "max_size = \"32M\"; max_age = \"1d\"; "
					 "when_full = \"drop-newest\";"), 0);
	reload();
	json = status();
	assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "spool"),
					     "max_bytes")->valueint, 32 << 20);
	cJSON_Delete(json);
	wait_for(stage_has_readings, stage.readings + 50);
	assert_int_equal(lines_with("connected, session"), 1);
	check_nothing_is_amiss();
}

/* Signals that come while one is dealt with: what was written last is what holds. */
static void a_reload_that_meets_another_is_not_lost(void **state)
{
	unsigned asked = 0;
	cJSON *json;

	(void)state;
	start("");
	for (unsigned i = 0; i < 20; i++) {
		write_attic(1 + i % ATTIC_DEVICES, "200ms");
		assert_int_equal(kill(stage.gateway, SIGHUP), 0);
		asked++;
		if (i % 3 == 0)
			assert_int_equal(stage_wait_ms(&stage, 2 * i), 0);
	}
	write_attic(3, "100ms");
	reload();
	/* Two that wait are one: it is over when nothing more comes. */
	for (unsigned before = 0; before != reloads_done();) {
		before = reloads_done();
		assert_int_equal(stage_wait_ms(&stage, 500), 0);
	}
	assert_in_range(reloads_done(), 2, asked + 1);
	json = status();
	assert_int_equal(devices_of(json, "attic"), 3);
	cJSON_Delete(json);
	check_nothing_is_amiss();
}

/* Fifty times something else, under load, each message once. */
static void reloads_under_load_lose_nothing(void **state)
{
	enum { TIMES = 50 };
	struct stage_count count;

	(void)state;
	start("qos = 2;");
	for (unsigned i = 0; i < TIMES; i++) {
		if (i % 10 == 9)
			remove_file("attic.yaml");
		else
			write_attic(1 + i % ATTIC_DEVICES, i % 2 ? "50ms" : "100ms");
		if (i % 7 == 3) {
			stage.broker_group = i % 2 ? "inflight = 10;" : "inflight = 30;";
			assert_int_equal(stage_configure(&stage, "qos = 2;", ""), 0);
		}
		reload();
		wait_for(stage_has_readings, stage.readings + 5);
	}
	assert_int_equal(lines_with("reload: done"), TIMES);
	count = end();
	print_message("delivered: %llu\n", (unsigned long long)count.delivered);
	assert_int_equal(count.lost, 0);
	assert_int_equal(count.twice, 0);
}

/* Killed in the midst of it, be it reading, leaving or changing over. */
static void a_crash_in_a_reload_loses_nothing(void **state)
{
	(void)state;
	start("qos = 2;");
	for (unsigned i = 0; i < 12; i++) {
		write_attic(1 + i % ATTIC_DEVICES, "50ms");
		stage.broker_group = i % 2 ? "inflight = 10;" : "inflight = 30;";
		assert_int_equal(stage_configure(&stage, "qos = 2;", ""), 0);
		assert_int_equal(kill(stage.gateway, SIGHUP), 0);
		assert_int_equal(stage_wait_ms(&stage, i * 3), 0);
		stage_end(&stage.gateway, SIGKILL);
		assert_int_equal(stage_start_gateway(&stage), 0);
		wait_for_log("running, ", i + 2);
		wait_for(stage_has_readings, stage.readings + 20);
	}
	check_nothing_is_amiss();
}

/* A file that does not open, as one on a disk in trouble does: no bus waits for it. */
static void no_bus_waits_for_a_file(void **state)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct pauses pauses = { 0 };
	sd_event_source *look = NULL;
	int ended;

	(void)state;
	start("qos = 2;");
	assert_true(asprintf(&path, "%s/slow.conf", stage.directory) > 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	stage.broker_group = "\n@include \"slow.conf\"\n";
	assert_int_equal(stage_configure(&stage, "qos = 2;", ""), 0);
	assert_int_equal(kill(stage.gateway, SIGHUP), 0);
	assert_true(sd_event_add_time(stage.loop, &look, CLOCK_MONOTONIC, 0, 1, on_look,
				      &pauses) >= 0);
	wait_for(stage_has_readings, stage.readings + 200);
	sd_event_source_disable_unref(look);
	print_message("longest pause: %llu ms\n",
		      (unsigned long long)(pauses.longest_us / USEC_PER_MSEC));
	assert_int_equal(reloads_done(), 0);
	/* A pipe it is, which opens when somebody writes. */
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "inflight = 50;\n", 15), 15);
	close(TAKE_FD(fd));
	wait_for(are_done, 1);
	assert_int_equal(lines_with("reload: done"), 1);
	assert_int_equal(lines_with("reload: broker.inflight changed"), 1);
	assert_int_equal(kill(stage.gateway, SIGHUP), 0);
	wait_for(stage_has_readings, stage.readings + 50);
	assert_int_equal(reloads_done(), 1);
	/* Nor does the end of the gateway wait for it. */
	simulator_mute(attic, true);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	ended = stage_end(&stage.gateway, SIGTERM);
	assert_true(WIFEXITED(ended));
	assert_int_equal(WEXITSTATUS(ended), 0);
}

/* --- buses that speak by themselves --- */

static void start_speaker(const char *map_name)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *link = NULL, *suggestion = NULL;
	const struct device_map *map;

	simulator_free(attic);
	assert_true(asprintf(&link, "%s/attic", stage.directory) > 0);
	assert_int_equal(map_library_get(stage.library, map_name, &map, &suggestion, faults), 0);
	assert_int_equal(simulator_new(stage.loop, link, 9600,
				       (struct serial_format){ 8, 'N', 1 }, &attic), 0);
	assert_int_equal(simulator_add(attic, map, 0), 0);
}

static void write_speaker(const char *map_name, unsigned every_ms)
{
	assert_int_equal(stage_write(&stage, "attic.yaml",
				     "bus: attic\n"
				     "port: %s/attic\n"
				     "baud: 9600\n"
				     "devices:\n"
				     "  - {name: speaker, map: %s, every: %ums}\n",
				     stage.directory, map_name, every_ms), 0);
}

static unsigned spoken;

static bool has_spoken(struct stage *on, uint64_t times)
{
	return on->readings >= times && lines_with("/attic is open") >= spoken;
}

/* One that speaks unasked and one that is asked in frames, as well as what is polled. */
static void listeners_change_too(void **state)
{
	static const char *const speakers[] = { "pms5003", "mh-z19" };
	cJSON *json;

	(void)state;
	start("qos = 2;");
	for (unsigned i = 0; i < 12; i++) {
		const char *map = speakers[i / 2 % 2];

		if (i % 2 == 0)
			start_speaker(map);
		write_speaker(map, 500 + i);
		reload();
		spoken = 2 + i;
		wait_for(has_spoken, stage.readings + 20);
	}
	assert_int_equal(lines_with("0 new, 1 changed, 0 gone, 1 go on"), 12);
	assert_int_equal(lines_with("/bus is open"), 1);
	json = status();
	assert_int_equal(devices_of(json, "attic"), 1);
	cJSON_Delete(json);
	check_nothing_is_amiss();
}

/* --- what systemd is told --- */

static int notified = -1;
static char notices[65536];

static void listen_as_systemd(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", stage.directory);
	notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(notified, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, true), 0);
}

static int stop_listening(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	close(TAKE_FD(notified));
	return close_reload(state);
}

static const char *wanted_of_systemd;

/* Each message stands behind a line of its own. */
static bool is_notified(_unused_ struct stage *on, _unused_ uint64_t unused)
{
	size_t length = strlen(notices);
	ssize_t n;

	while ((n = recv(notified, notices + length, sizeof(notices) - length - 16, 0)) > 0) {
		strcpy(notices + length + n, "\n--\n");
		length += n + 4;
	}
	return strstr(notices, wanted_of_systemd);
}

static void wait_for_notice(const char *words)
{
	wanted_of_systemd = words;
	wait_for(is_notified, 0);
}

/* As Type=notify-reload wants it; what failed is in the status line until it is mended. */
static void systemd_is_told(void **state)
{
	uint64_t before_us;
	unsigned long long told_us;
	const char *begun;

	(void)state;
	listen_as_systemd();
	start("");
	wait_for_notice("READY=1\n");
	memset(notices, 0, sizeof(notices));
	before_us = clock_monotonic_us();
	reload();
	wait_for_notice("READY=1\nSTATUS=connected to ");
	begun = strstr(notices, "RELOADING=1\nMONOTONIC_USEC=");
	assert_non_null(begun);
	assert_true(begun < strstr(notices, "READY=1"));
	assert_int_equal(sscanf(begun, "RELOADING=1\nMONOTONIC_USEC=%llu", &told_us), 1);
	assert_in_range(told_us, before_us, clock_monotonic_us());
	assert_null(strstr(notices, "failed"));

	memset(notices, 0, sizeof(notices));
	assert_int_equal(stage_write(&stage, "attic.yaml", "bus: 7/8\n"), 0);
	reload();
	wait_for_notice("READY=1\nSTATUS=connected to ");
	assert_non_null(strstr(notices, "; reload failed: "));
	assert_non_null(strstr(notices, "attic.yaml:1:"));
	memset(notices, 0, sizeof(notices));
	wait_for_notice("; reload failed: "); /* and still is */

	write_attic(1, "1s");
	reload();
	memset(notices, 0, sizeof(notices));
	wait_for_notice("STATUS=");
	assert_null(strstr(notices, "failed"));
}

/* In the midst of a reload the gateway ends as it should. */
static void stops_in_a_reload(void **state)
{
	(void)state;
	start("qos = 2;");
	for (unsigned i = 0; i < 6; i++) {
		int ended;

		write_attic(1 + i % ATTIC_DEVICES, "50ms");
		assert_int_equal(kill(stage.gateway, SIGHUP), 0);
		assert_int_equal(stage_wait_ms(&stage, i * 2), 0);
		ended = stage_end(&stage.gateway, SIGTERM);
		assert_true(WIFEXITED(ended));
		assert_int_equal(WEXITSTATUS(ended), 0);
		assert_int_equal(stage_start_gateway(&stage), 0);
		wait_for_log("running, ", i + 2);
		wait_for(stage_has_readings, stage.readings + 20);
	}
	check_nothing_is_amiss();
}

#define reload_test(name) cmocka_unit_test_setup_teardown(name, open_reload, close_reload)

int main(void)
{
	const struct CMUnitTest tests[] = {
		reload_test(only_what_changed_is_restarted),
		reload_test(nothing_changed_nothing_happens),
		reload_test(devices_and_buses_come_and_go),
		reload_test(a_fault_changes_nothing),
		reload_test(what_needs_a_restart_is_refused),
		reload_test(another_publish_section),
		reload_test(another_link),
		reload_test(the_spool_goes_on),
		reload_test(a_reload_that_meets_another_is_not_lost),
		reload_test(reloads_under_load_lose_nothing),
		reload_test(a_crash_in_a_reload_loses_nothing),
		reload_test(no_bus_waits_for_a_file),
		reload_test(listeners_change_too),
		cmocka_unit_test_setup_teardown(systemd_is_told, open_reload, stop_listening),
		reload_test(stops_in_a_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
