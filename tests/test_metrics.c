/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_metrics.c - the text for Prometheus: its form, held against the formats' own rules and
 * read by others' parsers where they are installed, and what it says of a gateway at work.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/exposition.h"
#include "on_stage.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char page[1024 * 1024];

/* --- the formats' rules --- */

/* The family that the lines are of. */
struct family {
	char name[96], type[16];
	bool typed;
	unsigned samples;
};

static char seen[512][96];
static size_t seen_count;

static size_t name_length(const char *text)
{
	size_t n = 0;

	while (isalpha((unsigned char)text[n]) || text[n] == '_' || text[n] == ':' ||
	       (n && isdigit((unsigned char)text[n])))
		n++;
	return n;
}

static void begin_family(const char *name, size_t n, struct family *family)
{
	*family = (struct family){ 0 };
	snprintf(family->name, sizeof(family->name), "%.*s", (int)n, name);
	for (size_t i = 0; i < seen_count; i++)
		if (!strcmp(seen[i], family->name))
			fail_msg("%s: twice", family->name);
	assert_true(seen_count < ARRAY_SIZE(seen));
	strcpy(seen[seen_count++], family->name);
}

/* "# HELP name text", "# TYPE name type", "# UNIT name unit": before the samples, in that order. */
static void check_comment(const char *line, struct family *family, enum exposition form)
{
	const char *name = line + 7, *rest;
	size_t n = name_length(name);

	assert_true(n && name[n] == ' ');
	rest = name + n + 1;
	assert_true(*rest);
	if (!strncmp(line, "# HELP ", 7)) {
		begin_family(name, n, family);
		return;
	}
	assert_true(!strncmp(family->name, name, n) && !family->name[n]);
	assert_int_equal(family->samples, 0);
	if (!strncmp(line, "# TYPE ", 7)) {
		assert_false(family->typed);
		family->typed = true;
		snprintf(family->type, sizeof(family->type), "%s", rest);
		assert_true(!strcmp(rest, "gauge") || !strcmp(rest, "counter") ||
			    !strcmp(rest, "summary") ||
			    (!strcmp(rest, "info") && form == EXPOSITION_OPENMETRICS));
		return;
	}
	assert_true(!strncmp(line, "# UNIT ", 7) && form == EXPOSITION_OPENMETRICS);
	assert_true(n > strlen(rest) && !strcmp(name + n - strlen(rest) + strlen(rest), name + n));
	assert_memory_equal(name + n - strlen(rest), rest, strlen(rest));
	assert_int_equal(name[n - strlen(rest) - 1], '_');
}

/* {name="value",…}; where it ends. */
static const char *check_labels(const char *text)
{
	if (*text != '{')
		return text;
	do {
		size_t n = name_length(++text);

		assert_true(n && text[n] == '=' && text[n + 1] == '"');
		for (text += n + 2; *text != '"'; text++) {
			assert_true(*text);
			if (*text == '\\')
				assert_non_null(strchr("\\\"n", *++text));
		}
		text++;
	} while (*text == ',');
	assert_int_equal(*text, '}');
	return text + 1;
}

static void check_sample(const char *line, struct family *family, enum exposition form)
{
	size_t n = name_length(line), family_n = strlen(family->name);
	const char *suffix = line + family_n, *value;
	double number;
	char *end;

	assert_true(family->typed && n >= family_n);
	assert_memory_equal(line, family->name, family_n);
	n -= family_n;
	if (form == EXPOSITION_OPENMETRICS && !strcmp(family->type, "counter"))
		assert_true(n == 6 && !strncmp(suffix, "_total", 6));
	else if (!strcmp(family->type, "info"))
		assert_true(n == 5 && !strncmp(suffix, "_info", 5));
	else if (!strcmp(family->type, "summary"))
		assert_true(n == 0 || (n == 6 && !strncmp(suffix, "_count", 6)));
	else
		assert_int_equal(n, 0);
	if (form == EXPOSITION_PROMETHEUS && !strcmp(family->type, "counter"))
		assert_string_equal(family->name + family_n - 6, "_total");
	value = check_labels(suffix + n);
	assert_int_equal(*value, ' ');
	number = strtod(value + 1, &end);
	assert_true(end > value + 1 && !*end);
	if (strcmp(family->type, "gauge") != 0)
		assert_true(number >= 0);
	family->samples++;
}

static void check_page(enum exposition form)
{
	_cleanup_free_ char *copy = strdup(page);
	char *rest = copy, *line;
	struct family family = { 0 };
	bool ended = false;

	assert_non_null(copy);
	seen_count = 0;
	assert_true(*page && page[strlen(page) - 1] == '\n');
	while ((line = strsep(&rest, "\n")) && rest) {
		assert_false(ended);
		if (!strcmp(line, "# EOF"))
			ended = true;
		else if (*line == '#')
			check_comment(line, &family, form);
		else
			check_sample(line, &family, form);
	}
	assert_int_equal(ended, form == EXPOSITION_OPENMETRICS);
	assert_true(seen_count > 30);
}

/* The value of the line that begins so. */
static double value_of(const char *sample)
{
	size_t n = strlen(sample);

	for (const char *line = page; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, sample, n) && line[n] == ' ')
			return strtod(line + n, NULL);
	}
	fail_msg("no %s", sample);
	return 0;
}

/* --- others' parsers --- */

/* Runs a shell command with the page as its input; its exit status. */
static int pipe_page(const char *command)
{
	FILE *pipe = popen(command, "we");
	int status;

	assert_non_null(pipe);
	fputs(page, pipe);
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void ask_promtool(void)
{
	if (system("command -v promtool >/dev/null 2>&1")) {
		print_message("promtool is not installed\n");
		return;
	}
	assert_int_equal(pipe_page("promtool check metrics"), 0);
}

static void ask_python(enum exposition form)
{
	char command[512];

	if (system("/usr/bin/python3 -c 'import prometheus_client' 2>/dev/null")) {
		print_message("python3-prometheus-client is not installed\n");
		return;
	}
	snprintf(command, sizeof(command),
		 "/usr/bin/python3 -c 'import sys; from prometheus_client%s.parser import "
		 "text_string_to_metric_families as parse; "
		 "sys.exit(len(list(parse(sys.stdin.read()))) < 30)'",
		 form == EXPOSITION_OPENMETRICS ? ".openmetrics" : "");
	assert_int_equal(pipe_page(command), 0);
}

/* --- figures by hand --- */

static void write_page(const struct figures *figures, enum exposition form)
{
	FILE *out = fmemopen(page, sizeof(page), "w");

	assert_non_null(out);
	exposition_write(figures, form, out);
	assert_int_equal(fclose(out), 0);
}

static void the_form_is_right(void **state)
{
	struct figures_bus buses[] = {
		{ .stats = { .name = "cellar", .open = true, .devices = 2, .offline = 1,
			     .load = 0.125, .stretch = 1 } },
		{ .stats = { .name = "a\"b\\c\nd" } },
	};
	struct figures_device devices[] = {
		{ .bus = "cellar", .name = "meter-1", .online = true, .silent_us = 1500000,
		  .counters = { .requests = 7, .answers = 5, .timeouts = 1 } },
		{ .bus = "cellar", .name = "meter-2" },
	};
	struct figures figures = {
		.gateway = "barn", .now_ms = 1795460721123, .uptime_us = 60123000,
		.link_us = 1123000, .spool_max_bytes = 1 << 20,
		.uplink = { .sums = { .taken = UINT64_C(123456789012), .waiting = 12 },
			    .session = { .connected = true, .links = 3 } },
		.buses = buses, .bus_count = 2, .devices = devices, .device_count = 2,
	};

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		latency_add(&buses[0].stats.counters.latency, 1000);
	devices[0].counters.refused[REPLY_OK + 1] = 1;
	write_page(&figures, EXPOSITION_PROMETHEUS);
	check_page(EXPOSITION_PROMETHEUS);
	ask_promtool();
	ask_python(EXPOSITION_PROMETHEUS);
	write_page(&figures, EXPOSITION_OPENMETRICS);
	check_page(EXPOSITION_OPENMETRICS);
	ask_python(EXPOSITION_OPENMETRICS);

	assert_non_null(strstr(page, "\npostbus_info{gateway=\"barn\",version=\""
			       PACKAGE_VERSION "\"} 1\n"));
	assert_non_null(strstr(page, "\npostbus_start_time_seconds 1795460661\n"));
	assert_non_null(strstr(page, "\npostbus_session_change_time_seconds 1795460720\n"));
	assert_non_null(strstr(page, "\npostbus_spool_messages_taken_total 123456789012\n"));
	assert_non_null(strstr(page, "\npostbus_bus_load_ratio{bus=\"cellar\"} 0.125\n"));
	assert_non_null(strstr(page, "\npostbus_bus_open{bus=\"a\\\"b\\\\c\\nd\"} 0\n"));
	assert_non_null(strstr(page, "\npostbus_bus_answer_latency_seconds_count"
			       "{bus=\"cellar\"} 4\n"));
	assert_non_null(strstr(page, "\npostbus_device_last_answer_time_seconds"
			       "{bus=\"cellar\",device=\"meter-1\"} 1795460719.623\n"));
	assert_null(strstr(page, "last_answer_time_seconds{bus=\"cellar\",device=\"meter-2\"}"));
}

/* --- a gateway at work --- */

static void start(const char *metrics)
{
	_cleanup_free_ char *path = NULL;
	FILE *conf;

	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_int_equal(stage_configure(&stage, "", ""), 0);
	assert_true(asprintf(&path, "%s/postbus.conf", stage.directory) > 0);
	conf = fopen(path, "ae");
	assert_non_null(conf);
	fprintf(conf, "metrics: { %s };\n", metrics);
	assert_int_equal(fclose(conf), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

static bool read_file(void)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	size_t n;

	assert_true(asprintf(&path, "%s/postbus.prom", stage.directory) > 0);
	file = fopen(path, "re");
	if (!file)
		return false;
	n = fread(page, 1, sizeof(page) - 1, file);
	page[n] = '\0';
	return true;
}

/* What the server says to this request, head and all; false: nobody is there. */
static bool ask(const struct sockaddr *address, socklen_t length, const char *request)
{
	_cleanup_close_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t got = 0;
	ssize_t n;

	assert_true(fd >= 0);
	if (connect(fd, address, length) < 0)
		return false;
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while ((n = read(fd, page + got, sizeof(page) - 1 - got)) > 0)
		got += n;
	page[got] = '\0';
	return got;
}

static struct sockaddr_un socket_address(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/metrics", stage.directory);
	return address;
}

static bool ask_socket(const char *accept)
{
	struct sockaddr_un address = socket_address();
	char request[256];

	snprintf(request, sizeof(request),
		 "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", accept);
	return ask((struct sockaddr *)&address, sizeof(address), request);
}

/* The page alone, of a 200 with that type. */
static bool get_page(enum exposition form)
{
	char *body;

	if (!ask_socket(form == EXPOSITION_OPENMETRICS ?
				"Accept: application/openmetrics-text;version=1.0.0;q=0.5,"
				"text/plain;q=0.1\r\n" : ""))
		return false;
	assert_memory_equal(page, "HTTP/1.1 200 ", 13);
	assert_non_null(strstr(page, exposition_media_type(form)));
	body = strstr(page, "\r\n\r\n");
	assert_non_null(body);
	memmove(page, body + 4, strlen(body + 4) + 1);
	return true;
}

static bool all_is_online(struct stage *on, uint64_t unused)
{
	(void)on, (void)unused;
	if (!get_page(EXPOSITION_OPENMETRICS) || value_of("postbus_session_connected") != 1)
		return false;
	for (unsigned i = 0; i < STAGE_DEVICES; i++) {
		char sample[128];

		snprintf(sample, sizeof(sample),
			 "postbus_device_online{bus=\"simulated\",device=\"climate-%u\"}",
			 STAGE_FIRST_ADDRESS + i);
		if (value_of(sample) != 1)
			return false;
	}
	return true;
}

static bool file_is_there(struct stage *on, uint64_t unused)
{
	(void)on, (void)unused;
	return read_file() && value_of("postbus_session_connected") == 1;
}

static bool is_connected(struct stage *on, uint64_t connected)
{
	(void)on;
	return get_page(EXPOSITION_OPENMETRICS) &&
	       value_of("postbus_session_connected") == (double)connected;
}

/* The uplink's state is up to a second old, and each minute there is something to tell. */
static bool spool_is_told(struct stage *on, uint64_t unused)
{
	struct spool_sums sums;
	uint64_t next;

	(void)unused;
	return stage_look_at_spool(on, &sums, &next) == 0 &&
	       get_page(EXPOSITION_OPENMETRICS) && sums.waiting == 0 &&
	       value_of("postbus_spool_messages_waiting") == 0 &&
	       value_of("postbus_spool_messages_taken_total") == sums.taken &&
	       value_of("postbus_spool_messages_acknowledged_total") == sums.acked;
}

static void need_server(void)
{
#ifndef HAVE_MICROHTTPD
	skip();
#endif
}

static void listen_on_a_socket(char *settings, size_t size)
{
	need_server();
	snprintf(settings, size, "listen = \"%s/metrics\";", stage.directory);
}

/* Nothing is on its way any more: what is told is what the spool and the bus have. */
static void it_tells_the_truth(void **state)
{
	double requests = 0, answers = 0, errors = 0;
	char settings[128], sample[128];

	(void)state;
	listen_on_a_socket(settings, sizeof(settings));
	start(settings);
	wait_for(all_is_online, 0);
	simulator_mute(stage.simulator, true);
	wait_for(stage_spool_is_empty, 0);
	proxy_cut(stage.proxy, true);
	wait_for(is_connected, false);
	wait_for(stage_spool_holds, 1); /* devices go offline */
	proxy_cut(stage.proxy, false);
	wait_for(is_connected, true);
	wait_for(stage_spool_is_empty, 0);
	wait_for(spool_is_told, 0);
	check_page(EXPOSITION_OPENMETRICS);
	ask_python(EXPOSITION_OPENMETRICS);
	assert_true(value_of("postbus_spool_messages_dropped_total{why=\"spool full\"}") == 0);
	assert_true(value_of("postbus_session_links_total") == 2);
	assert_true(value_of("postbus_bus_open{bus=\"simulated\"}") == 1);
	assert_true(value_of("postbus_bus_devices{bus=\"simulated\"}") == STAGE_DEVICES);
	assert_true(value_of("postbus_bus_answer_latency_seconds{bus=\"simulated\","
			     "quantile=\"0.5\"}") > 0);
	assert_true(value_of("postbus_start_time_seconds") <= (double)time(NULL));
	for (unsigned i = 0; i < STAGE_DEVICES; i++) {
		char labels[64];

		snprintf(labels, sizeof(labels), "{bus=\"simulated\",device=\"climate-%u\"}",
			 STAGE_FIRST_ADDRESS + i);
		snprintf(sample, sizeof(sample), "postbus_device_requests_total%s", labels);
		requests += value_of(sample);
		snprintf(sample, sizeof(sample), "postbus_device_answers_total%s", labels);
		assert_true(value_of(sample) > 0);
		answers += value_of(sample);
		snprintf(sample, sizeof(sample), "postbus_device_timeouts_total%s", labels);
		errors += value_of(sample);
		snprintf(sample, sizeof(sample), "postbus_device_last_answer_time_seconds%s",
			 labels);
		assert_true(value_of(sample) > value_of("postbus_start_time_seconds"));
	}
	assert_true(value_of("postbus_bus_requests_total{bus=\"simulated\"}") == requests);
	assert_true(value_of("postbus_bus_answers_total{bus=\"simulated\"}") == answers);
	assert_true(answers + errors <= requests);
}

static bool has_devices(struct stage *on, uint64_t count)
{
	(void)on;
	return get_page(EXPOSITION_OPENMETRICS) &&
	       value_of("postbus_bus_devices{bus=\"simulated\"}") == (double)count;
}

/* What is told is what there is now. */
static void a_reload_is_followed(void **state)
{
	char settings[128];

	(void)state;
	listen_on_a_socket(settings, sizeof(settings));
	start(settings);
	wait_for(all_is_online, 0);
	for (unsigned count = 1; count < 4; count++) {
		assert_int_equal(stage_write(&stage, "bus.yaml",
					     "bus: simulated\nport: %s/bus\nbaud: 19200\n"
					     "devices:\n  - {name: \"climate-{address}\", "
					     "map: xy-md02, address: [%u-%u]}\n",
					     stage.directory, STAGE_FIRST_ADDRESS,
					     STAGE_FIRST_ADDRESS + count - 1), 0);
		kill(stage.gateway, SIGHUP);
		wait_for(has_devices, count);
		check_page(EXPOSITION_OPENMETRICS);
		value_of("postbus_device_online{bus=\"simulated\",device=\"climate-11\"}");
		assert_null(strstr(page, "climate-18"));
	}
}

static void http_is_spoken(void **state)
{
	struct sockaddr_un address = socket_address();
	char settings[128];
	struct stat status;

	(void)state;
	listen_on_a_socket(settings, sizeof(settings));
	start(settings);
	address = socket_address();
	wait_for(all_is_online, 0);
	assert_int_equal(lstat(address.sun_path, &status), 0);
	assert_int_equal(status.st_mode & (S_IFMT | 0777), S_IFSOCK | 0660);
	assert_true(get_page(EXPOSITION_PROMETHEUS));
	check_page(EXPOSITION_PROMETHEUS);
	assert_true(ask((struct sockaddr *)&address, sizeof(address),
			"HEAD /metrics HTTP/1.0\r\n\r\n"));
	assert_non_null(strstr(page, " 200 "));
	assert_string_equal(strstr(page, "\r\n\r\n"), "\r\n\r\n");
	assert_true(ask((struct sockaddr *)&address, sizeof(address),
			"GET /secrets HTTP/1.0\r\n\r\n"));
	assert_non_null(strstr(page, " 404 "));
	assert_true(ask((struct sockaddr *)&address, sizeof(address),
			"POST /metrics HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"));
	assert_non_null(strstr(page, " 405 "));
	/* What is no HTTP at all harms nobody. */
	(void)ask((struct sockaddr *)&address, sizeof(address), "\x16\x03\x01\r\n\r\n");
	assert_true(get_page(EXPOSITION_PROMETHEUS));

	/* A killed gateway leaves its socket behind, which the next one replaces. */
	stage_end(&stage.gateway, SIGKILL);
	assert_int_equal(stage_start_gateway(&stage), 0);
	wait_for(all_is_online, 0);
	stage_end(&stage.gateway, SIGTERM);
	assert_int_equal(lstat(address.sun_path, &status), -1);
}

static int a_free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	return ntohs(address.sin_port);
}

static int port;

static bool port_is_served(struct stage *on, uint64_t unused)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	(void)on, (void)unused;
	return ask((struct sockaddr *)&address, sizeof(address),
		   "GET /metrics HTTP/1.0\r\n\r\n");
}

static void a_loopback_port_is_served(void **state)
{
	char settings[128];

	(void)state;
	need_server();
	port = a_free_port();
	snprintf(settings, sizeof(settings), "listen = \"127.0.0.1:%d\";", port);
	start(settings);
	wait_for(port_is_served, 0);
	assert_non_null(strstr(page, " 200 "));
	assert_non_null(strstr(page, "\npostbus_info{gateway=\"demo\""));
}

/* The broker's port is not to be had. */
static void a_port_in_use_is_told(void **state)
{
	char settings[128];

	(void)state;
	need_server();
	stage.broker_port = a_free_port();
	snprintf(settings, sizeof(settings), "listen = \"127.0.0.1:%d\";", stage.broker_port);
	start(settings);
	assert_true(stage_start_subscriber(&stage) >= 0);
	wait_for(stage_has_readings, 10);
	assert_int_equal(lines_with("metrics: nobody is served at 127.0.0.1:"), 1);
	assert_int_equal(lines_with("Address already in use"), 1);
}

static void the_file_is_always_whole(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct stat first, now;
	char settings[128];

	(void)state;
	snprintf(settings, sizeof(settings), "file = \"postbus.prom\"; every = \"1s\";");
	start(settings);
	assert_true(asprintf(&path, "%s/postbus.prom", stage.directory) > 0);
	wait_for(file_is_there, 0);
	assert_int_equal(stat(path, &first), 0);
	assert_int_equal(first.st_mode & 0777, 0644);
	now = first;
	for (unsigned changes = 0; changes < 2;) {
		struct stat before = now;

		assert_true(read_file());
		check_page(EXPOSITION_PROMETHEUS);
		assert_int_equal(stat(path, &now), 0);
		changes += now.st_ino != before.st_ino;
		assert_int_equal(stage_wait_ms(&stage, 5), 0);
	}
	ask_promtool();
	ask_python(EXPOSITION_PROMETHEUS);
	stage_end(&stage.gateway, SIGTERM);
	assert_false(read_file());
}

static void a_file_that_cannot_be_written_is_told_once(void **state)
{
	(void)state;
	start("file = \"none/postbus.prom\"; every = \"1s\";");
	wait_for_log("none/postbus.prom: No such file or directory", 1);
	assert_int_equal(stage_wait_ms(&stage, 2200), 0);
	assert_int_equal(lines_with("none/postbus.prom: No such file or directory"), 1);
	{
		_cleanup_free_ char *path = NULL;

		assert_true(asprintf(&path, "%s/none", stage.directory) > 0);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	wait_for_log("none/postbus.prom: is written again", 1);
}

#define stage_test(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_form_is_right),
		stage_test(it_tells_the_truth),
		stage_test(a_reload_is_followed),
		stage_test(http_is_spoken),
		stage_test(a_loopback_port_is_served),
		stage_test(a_port_in_use_is_told),
		stage_test(the_file_is_always_whole),
		stage_test(a_file_that_cannot_be_written_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
