/* SPDX-License-Identifier: Apache-2.0 */
/* test_status.c - `postbus status`, the program itself, beside a gateway at work. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tools/spool_cli.h"
#include "on_stage.h"
#include "tools/status.h"
#include "uplink/control.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>

static char output[256 * 1024];

static void start(void)
{
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_int_equal(stage_configure(&stage, "", ""), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

/* What the program says on both its outputs; its exit status. */
static int run_status(const char *option, const char *argument)
{
	char *argv[] = { (char *)stage.program, "status", (char *)option, (char *)argument, NULL };
	size_t length = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = stage_spawn(argv, fds[1]);
	close(fds[1]);
	while ((n = read(fds[0], output + length, sizeof(output) - 1 - length)) > 0)
		length += n;
	output[length] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static cJSON *status_of(const char *config)
{
	_cleanup_(status_place_done) struct status_place place;
	_cleanup_close_ int fd = -1;
	cJSON *json;

	assert_int_equal(status_find(config, &place), 0);
	fd = status_connect(&place);
	return fd < 0 || status_ask(fd, &json) < 0 ? NULL : json;
}

static cJSON *at(const cJSON *json, const char *key)
{
	cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	if (!item)
		fail_msg("no %s", key);
	return item;
}

static double number_at(const cJSON *json, const char *key)
{
	assert_true(cJSON_IsNumber(at(json, key)));
	return at(json, key)->valuedouble;
}

static const char *string_at(const cJSON *json, const char *key)
{
	assert_true(cJSON_IsString(at(json, key)));
	return at(json, key)->valuestring;
}

static const cJSON *device_of(const cJSON *status, int index)
{
	const cJSON *bus = cJSON_GetArrayItem(at(status, "buses"), 0);

	assert_non_null(bus);
	return cJSON_GetArrayItem(at(bus, "devices"), index);
}

/* The link is up, each device is as it should be, and all points of the others were read. */
static bool all_is_seen(struct stage *on, uint64_t unused)
{
	cJSON *status = status_of(NULL);
	bool seen = status && cJSON_IsTrue(at(at(status, "link"), "connected"));

	(void)on, (void)unused;
	for (int i = 0; seen && i < STAGE_DEVICES; i++) {
		const cJSON *device = device_of(status, i), *point;

		seen = !strcmp(string_at(device, "state"), i ? "online" : "offline");
		cJSON_ArrayForEach(point, at(device, "points"))
			seen = seen && !strcmp(string_at(point, "quality"),
					       i ? "good" : "unread");
	}
	cJSON_Delete(status);
	return seen;
}

static bool link_is(struct stage *on, uint64_t connected)
{
	cJSON *status = status_of(NULL);
	bool is = status &&
		  cJSON_IsTrue(at(at(status, "link"), "connected")) == (int)connected;

	(void)on;
	cJSON_Delete(status);
	return is;
}

static void start_with_a_dead_device(void)
{
	const struct fault_plan dead = {
		.kind = FAULT_SILENT, .address = STAGE_FIRST_ADDRESS, .every = 1,
	};

	start();
	assert_int_equal(simulator_add_fault(stage.simulator, &dead), 0);
	wait_for(all_is_seen, 0);
}

/* Of the last ten minutes, and the last of it is now. */
static void check_trend(const cJSON *spool)
{
	const cJSON *trend = at(spool, "trend"), *waiting = at(trend, "waiting");
	int samples = cJSON_GetArraySize(waiting);

	assert_int_equal(number_at(trend, "every_ms"), 5000);
	assert_in_range(samples, 1, 121);
	assert_true(cJSON_GetArrayItem(waiting, samples - 1)->valuedouble ==
		    number_at(spool, "waiting"));
}

static void check_gateway(const cJSON *status)
{
	const cJSON *spool = at(status, "spool"), *session = at(status, "session");

	assert_string_equal(string_at(status, "gateway"), "demo");
	assert_string_equal(string_at(status, "version"), PACKAGE_VERSION);
	assert_int_equal(number_at(status, "pid"), stage.gateway);
	assert_in_range(number_at(status, "uptime_ms"), 1, 600000);
	assert_null(strncmp(string_at(at(status, "link"), "state"), "connected to ", 13) ?
		    "not connected" : NULL);
	assert_true(number_at(at(status, "link"), "since_ms") <=
		    number_at(status, "uptime_ms") + 1000);
	assert_string_equal(string_at(session, "version"), "5");
	assert_true(cJSON_IsFalse(at(session, "resumed")));
	assert_true(number_at(spool, "taken") > 0);
	assert_true(number_at(spool, "taken") ==
		    number_at(spool, "acknowledged") + number_at(spool, "set_aside") +
		    number_at(spool, "dropped") + number_at(spool, "damaged") +
		    number_at(spool, "waiting"));
	assert_true(number_at(spool, "next") > number_at(spool, "taken"));
	check_trend(spool);
	string_at(at(status, "clock"), "time");
}

static void check_bus(const cJSON *bus)
{
	assert_string_equal(string_at(bus, "bus"), "simulated");
	assert_non_null(strstr(string_at(bus, "port"), "/bus"));
	assert_true(cJSON_IsTrue(at(bus, "open")));
	assert_string_equal(string_at(bus, "trouble"), "");
	assert_true(number_at(bus, "answers") >= STAGE_DEVICES - 1);
	assert_true(number_at(bus, "timeouts") >= 2);
	assert_true(number_at(bus, "requests") >=
		    number_at(bus, "answers") + number_at(bus, "timeouts"));
	assert_true(number_at(bus, "stretch") >= 1);
	assert_true(number_at(at(bus, "latency_ms"), "p50") > 0);
	assert_true(number_at(at(bus, "latency_ms"), "p99") >=
		    number_at(at(bus, "latency_ms"), "p50"));
	number_at(at(bus, "line"), "framing");
	assert_int_equal(cJSON_GetArraySize(at(bus, "devices")), STAGE_DEVICES);
}

static void json_tells_all(void **state)
{
	const cJSON *dead, *live, *point;
	cJSON *status;

	(void)state;
	start_with_a_dead_device();
	assert_int_equal(run_status("--json", NULL), 0);
	status = cJSON_Parse(output);
	assert_non_null(status);
	check_gateway(status);
	check_bus(cJSON_GetArrayItem(at(status, "buses"), 0));

	dead = device_of(status, 0);
	assert_string_equal(string_at(dead, "device"), "climate-11");
	assert_int_equal(number_at(dead, "address"), STAGE_FIRST_ADDRESS);
	assert_string_equal(string_at(dead, "state"), "offline");
	assert_int_equal(number_at(dead, "answers"), 0);
	assert_true(number_at(dead, "failures") >= 2);
	assert_true(cJSON_IsNull(at(at(at(dead, "points"), "temperature"), "value")));

	live = device_of(status, 1);
	assert_string_equal(string_at(live, "device"), "climate-12");
	assert_string_equal(string_at(live, "map"), "xy-md02");
	assert_string_equal(string_at(live, "state"), "online");
	assert_int_equal(number_at(live, "failures"), 0);
	assert_true(number_at(live, "silent_ms") < number_at(dead, "silent_ms"));
	point = at(at(live, "points"), "temperature");
	assert_string_equal(string_at(point, "unit"), "°C");
	assert_true(number_at(point, "value") > -50 && number_at(point, "value") < 100);
	assert_true(number_at(point, "age_ms") <= number_at(status, "uptime_ms"));
	cJSON_Delete(status);
}

static void assert_refused(const char *request, const char *error)
{
	_cleanup_(status_place_done) struct status_place place;
	cJSON *json = cJSON_Parse(request), *answer;
	int fd;

	assert_int_equal(status_find(NULL, &place), 0);
	fd = status_connect(&place);
	assert_true(fd >= 0);
	assert_int_equal(control_ask(fd, json, &answer), 0);
	assert_true(cJSON_IsFalse(at(answer, "ok")));
	assert_string_equal(string_at(answer, "error"), error);
	cJSON_Delete(answer);
	cJSON_Delete(json);
	close(fd);
}

static void what_is_not_there_is_told_so(void **state)
{
	(void)state;
	start();
	wait_for(link_is, true);
	assert_refused("{\"verb\":\"bus\"}", "wanted: the name of a \"bus\"");
	assert_refused("{\"verb\":\"bus\",\"bus\":\"attic\"}", "there is no such bus");
	assert_refused("{\"verb\":\"device\",\"bus\":\"attic\",\"device\":\"climate-11\"}",
		       "there is no such bus");
	assert_refused("{\"verb\":\"device\",\"bus\":\"simulated\"}",
		       "wanted: the name of a \"device\"");
	assert_refused("{\"verb\":\"device\",\"bus\":\"simulated\",\"device\":\"climate-99\"}",
		       "there is no such device");
}

/* Of UTF-8: continuation bytes stand in no column of their own. */
static size_t widest_line(const char *text)
{
	size_t widest = 0, width = 0;

	for (; *text; text++) {
		width = *text == '\n' ? 0 : width + (((unsigned char)*text & 0xC0) != 0x80);
		if (width > widest)
			widest = width;
	}
	return widest;
}

static void text_is_for_a_narrow_terminal(void **state)
{
	(void)state;
	start_with_a_dead_device();
	assert_int_equal(run_status(NULL, NULL), 0);
	assert_in_range(widest_line(output), 40, 80);
	assert_non_null(strstr(output, "\nlink       connected to 127.0.0.1:"));
	assert_non_null(strstr(output, "\nbus        simulated\n"));
	assert_non_null(strstr(output, "\n  climate-11 offline, no answer in "));
	assert_non_null(strstr(output, "\n  climate-12 online, answered "));
	assert_non_null(strstr(output, "    temperature             unread\n"));
	assert_non_null(strstr(output, " °C "));
}

/* A sample that was taken, and one of now. */
static bool trend_rises(struct stage *on, uint64_t unused)
{
	cJSON *status = status_of(NULL);
	const cJSON *waiting = status ? at(at(at(status, "spool"), "trend"), "waiting") : NULL;
	int samples = cJSON_GetArraySize(waiting);
	bool rises = samples >= 2 && cJSON_GetArrayItem(waiting, samples - 2)->valuedouble >
					     cJSON_GetArrayItem(waiting, 0)->valuedouble;

	(void)on, (void)unused;
	cJSON_Delete(status);
	return rises;
}

/* A link that is down says since when and why; what waits is counted, and was before. */
static void a_lost_link_is_told(void **state)
{
	cJSON *status;

	(void)state;
	start();
	wait_for(link_is, true);
	proxy_cut(stage.proxy, true);
	wait_for(link_is, false);
	wait_for(stage_spool_holds, 5);
	wait_for(trend_rises, 0);
	status = status_of(NULL);
	assert_non_null(status);
	assert_non_null(strstr(string_at(at(status, "link"), "state"), ": "));
	assert_true(number_at(at(status, "link"), "since_ms") <
		    number_at(status, "uptime_ms"));
	cJSON_Delete(status);
	proxy_cut(stage.proxy, false);
	wait_for(link_is, true);
	status = status_of(NULL);
	assert_true(cJSON_IsTrue(at(at(status, "session"), "resumed")));
	cJSON_Delete(status);
}

static bool answers(struct stage *on, uint64_t config)
{
	cJSON *status = status_of((const char *)config);

	(void)on;
	cJSON_Delete(status);
	return status;
}

static void without_a_gateway_there_is_none(void **state)
{
	char path[128];
	struct stat st;

	(void)state;
	/* Neither here nor, where this machine runs one in earnest, by this configuration. */
	start();
	snprintf(path, sizeof(path), "%s/postbus.conf", stage.directory);
	wait_for(answers, (uintptr_t)path);
	assert_int_equal(run_status("-c", path), 0);

	/* What was killed leaves its sockets behind. */
	stage_end(&stage.gateway, SIGKILL);
	assert_int_equal(run_status("-c", path), EXIT_NOT_SO);
	assert_string_equal(output, "postbus status: no gateway is running here\n");

	/* They are replaced, and taken away at the end. */
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(answers, (uintptr_t)path);
	snprintf(path, sizeof(path), "%s/control", stage.directory);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & (S_IFMT | 0777), S_IFSOCK | 0660);
	stage_end(&stage.gateway, SIGTERM);
	assert_int_equal(lstat(path, &st), -1);
	snprintf(path, sizeof(path), "%s/spool/status", stage.directory);
	assert_int_equal(lstat(path, &st), -1);
	snprintf(path, sizeof(path), "%s/postbus.conf", stage.directory);
	assert_int_equal(run_status("-c", path), EXIT_NOT_SO);
}

/* Two with one runtime directory: each is found by its configuration. */
static void two_gateways_are_told_apart(void **state)
{
	char conf[128], path[128], *argv[] = { (char *)stage.program, "run", "-c", conf, NULL };
	int log;
	const cJSON *bus;
	cJSON *status;
	pid_t second;

	(void)state;
	start();
	wait_for(link_is, true);
	snprintf(conf, sizeof(conf), "%s/second", stage.directory);
	assert_int_equal(mkdir(conf, 0700), 0);
	assert_int_equal(stage_write(&stage, "second/postbus.conf",
				     "gateway = \"second\"; buses = \"%s/second\"; maps = [ \"%s\" ];\n"
				     "broker: { host = \"127.0.0.1\"; port = %d; };\n"
				     "spool: { directory = \"%s/second/spool\"; };\n",
				     stage.directory, maps, stage.broker_port,
				     stage.directory), 0);
	assert_int_equal(stage_write(&stage, "second/bus.yaml",
				     "bus: attic\nport: %s/none\ndevices:\n"
				     "  - {name: a, map: xy-md02, address: 1}\n",
				     stage.directory), 0);
	snprintf(path, sizeof(path), "%s/second.log", stage.directory);
	log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	snprintf(conf, sizeof(conf), "%s/second/postbus.conf", stage.directory);
	second = stage_spawn(argv, log);
	close(log);
	wait_for(answers, (uintptr_t)conf);
	status = status_of(conf);
	assert_string_equal(string_at(status, "gateway"), "second");
	bus = cJSON_GetArrayItem(at(status, "buses"), 0);
	assert_true(cJSON_IsFalse(at(bus, "open")));
	assert_true(*string_at(bus, "trouble"));
	cJSON_Delete(status);
	status = status_of(NULL);
	assert_string_equal(string_at(status, "gateway"), "demo");
	cJSON_Delete(status);
	stage_end(&second, SIGTERM);
}

/* What status_print() makes of a state, with any ' of it as a ". */
static void print_state(const char *words)
{
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO);
	char text[4096];
	cJSON *json;
	size_t n;

	snprintf(text, sizeof(text), "%s", words);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json = cJSON_Parse(text);
	assert_non_null(json);
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	status_print(json);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	cJSON_Delete(json);
	rewind(file);
	n = fread(output, 1, sizeof(output) - 1, file);
	output[n] = '\0';
	fclose(file);
}

/* Long names and long texts go on below; what a terminal would obey to is no longer that. */
static void nothing_is_wider_than_the_terminal(void **state)
{
	(void)state;
	print_state("{'gateway':'g23456789-123456789-123456789-123456789-123456789-123456789-"
		    "123456789-123456789-123456789-123456789','buses':[{'bus':'cellar',"
		    "'port':'/dev/serial/by-id/usb-0123456789012345678901234567890123456789012345"
		    "678901234567890123456789-if00-port0','trouble':'one long reason or other, "
		    "and there are as many words to it as do not go on two lines of a terminal, "
		    "which is no wider than eighty columns, and so they stand on three lines',"
		    "'devices':[{'device':'device-with-a-name-that-is-wider-than-its-column',"
		    "'state':'online','answers':1,'points':{'text':{'value':"
		    "'\\u001b[2J\\u009b2J\\u007f µµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµµ"
		    "µµµµµµµµµµµµµµµµµµµµµµµµ','age_ms':7200000,'quality':'stale'}}}]}]}");
	assert_in_range(widest_line(output), 70, 80);
	assert_non_null(strstr(output, "?[2J??2J?\n"));
	assert_null(strchr(output, '\033'));
	assert_null(strstr(output, "\xC2\x9B"));
	assert_non_null(strstr(output, "2 h ago, stale"));
	assert_non_null(strstr(output, "not open: one long reason or other, "));
	assert_non_null(strstr(output, "\n           eighty columns, ") ?
			output : strstr(output, "\n           "));
}

static void one_is_told_from_many(void **state)
{
	(void)state;
	print_state("{'buses':[{'bus':'a','open':true,'lost':1,'timeouts':2,'refused':{'short':1},"
		    "'devices':[{'device':'d','state':'online','failures':1,'timeouts':1}]}]}");
	assert_non_null(strstr(output, "open, lost 1 time\n"));
	assert_non_null(strstr(output, "0, 0 answered, 2 timeouts, 1 short\n"));
	assert_non_null(strstr(output, "1 request given up; ; 1 timeout\n"));
	/* Where nothing is read, nothing is on time. */
	assert_non_null(strstr(output, "on time"));
	print_state("{'buses':[{'bus':'a','trouble':'gone'}]}");
	assert_non_null(strstr(output, "not open: gone\n"));
	assert_null(strstr(output, "on time"));
}

static void it_is_used_as_it_says(void **state)
{
	(void)state;
	assert_int_equal(run_status("--help", NULL), 0);
	assert_non_null(strstr(output, "--json"));
	assert_int_equal(run_status("--jsno", NULL), EXIT_WRONG_USAGE);
	assert_int_equal(run_status("barn", NULL), EXIT_WRONG_USAGE);
	assert_int_equal(run_status("-c", "/dev/null/none.conf"), EX_CONFIG);
}

#define status_test(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		status_test(json_tells_all),
		status_test(what_is_not_there_is_told_so),
		status_test(text_is_for_a_narrow_terminal),
		status_test(a_lost_link_is_told),
		status_test(without_a_gateway_there_is_none),
		status_test(two_gateways_are_told_apart),
		status_test(nothing_is_wider_than_the_terminal),
		status_test(one_is_told_from_many),
		status_test(it_is_used_as_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
