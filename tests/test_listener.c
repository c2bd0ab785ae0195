// SPDX-License-Identifier: Apache-2.0
/* test_listener.c - devices that speak in frames, lines and telegrams, to a real broker. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/clock.h"
#include "base/units.h"
#include "tools/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

enum { SAID_MAX = 64 * 1024, PORTS_MAX = 2 };

static struct stage stage;
static char *maps;

/* A device's end of a pseudo-terminal, which the test plays. */
struct wire {
	int fd;
	char path[64];
};

static struct wire wires[PORTS_MAX];

/* All that was published, a line each: TOPIC PAYLOAD. */
static char said[SAID_MAX];
static size_t said_length;
static pid_t ear;
static int ear_fd = -1;

static void open_wire(struct wire *wire)
{
	struct termios raw;

	wire->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(wire->fd >= 0);
	assert_int_equal(grantpt(wire->fd), 0);
	assert_int_equal(unlockpt(wire->fd), 0);
	assert_int_equal(ptsname_r(wire->fd, wire->path, sizeof(wire->path)), 0);
	assert_int_equal(tcgetattr(wire->fd, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(wire->fd, TCSANOW, &raw), 0);
}

static int open_stage(void **state)
{
	const char *source = getenv("POSTBUS_SOURCE");

	(void)state;
	said_length = 0;
	said[0] = '\0';
	for (size_t i = 0; i < PORTS_MAX; i++)
		wires[i].fd = -1;
	if (asprintf(&maps, "%s/devices", source ? source : ".") < 0)
		return -1;
	return stage_open(&stage, getenv("POSTBUS"), maps);
}

static int close_stage(void **state)
{
	(void)state;
	stage_end(&ear, SIGKILL);
	closep(&ear_fd);
	ear_fd = -1;
	for (size_t i = 0; i < PORTS_MAX; i++)
		closep(&wires[i].fd);
	stage_clean_up(&stage);
	free(maps);
	return 0;
}

static void start_ear(void)
{
	char port[8];
	char *argv[] = {"mosquitto_sub", "-h", "127.0.0.1", "-p", port, "-q", "1",
			"-t", "demo/#", "-F", "%t %p", NULL};
	int fds[2];

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	ear_fd = fds[0];
	assert_int_equal(fcntl(ear_fd, F_SETFL, O_NONBLOCK), 0);
	ear = stage_spawn(argv, fds[1]);
	close(fds[1]);
}

static void write_map(const char *name, const char *text)
{
	char file[80];

	snprintf(file, sizeof(file), "%s.yaml", name);
	assert_int_equal(stage_write(&stage, file, "%s", text), 0);
}

/* Takes what was published since, and says whether a line has both words in it. */
static bool is_said(const char *topic, const char *word)
{
	ssize_t n = read(ear_fd, said + said_length, sizeof(said) - 1 - said_length);
	const char *line = said;

	if (n > 0)
		said[said_length += (size_t)n] = '\0';
	while ((line = strstr(line, topic))) {
		const char *end = strchr(line, '\n');
		const char *found = strstr(line, word);

		if (end && found && found < end)
			return true;
		line += strlen(topic);
	}
	return false;
}

struct wanted {
	const char *topic, *word;
};

static bool wanted_is_said(struct stage *on, uint64_t argument)
{
	const struct wanted *wanted = (const struct wanted *)(uintptr_t)argument;

	(void)on;
	return is_said(wanted->topic, wanted->word);
}

static void wait_for(const char *topic, const char *word)
{
	struct wanted wanted = {topic, word};
	int r = stage_wait(&stage, wanted_is_said, (uintptr_t)&wanted);

	if (r < 0) {
		fprintf(stderr, "not said: %s %s; said:\n%s", topic, word, said);
		stage_show_log(&stage, "gateway.log");
	}
	assert_int_equal(r, 0);
}

/* Returns when it hears: what is retained is told to who has subscribed. */
static void open_ear(void)
{
	char port[8];
	char *argv[] = {"mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-r",
			"-t", "demo/ear", "-m", "open", NULL};
	pid_t mouth;
	int status;

	snprintf(port, sizeof(port), "%d", stage.broker_port);
	mouth = stage_spawn(argv, STDOUT_FILENO);
	assert_int_equal(waitpid(mouth, &status, 0), mouth);
	assert_int_equal(status, 0);
	start_ear();
	wait_for("demo/ear", "open");
}

/* A gateway with one bus file for each wire; maps of the test's own stand in front. */
static void start_gateway(const char *const *buses)
{
	_cleanup_free_ char *buses_directory = NULL;

	assert_true(asprintf(&buses_directory, "%s/buses", stage.directory) > 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	open_ear();
	assert_int_equal(stage_write(&stage, "postbus.conf",
				     "gateway = \"demo\";\n"
				     "buses = \"%s\";\n"
				     "maps = [ \"%s/maps\", \"%s\" ];\n"
				     "broker: { host = \"127.0.0.1\"; port = %d; };\n"
				     "publish: { qos = 1; clock_wait = \"0s\"; };\n"
				     "spool: { directory = \"%s/spool\"; };\n",
				     buses_directory, stage.directory, maps, stage.broker_port,
				     stage.directory),
			 0);
	for (size_t i = 0; buses[i]; i++) {
		char file[32];

		open_wire(&wires[i]);
		snprintf(file, sizeof(file), "buses/%zu.yaml", i);
		assert_int_equal(stage_write(&stage, file, "bus: b%zu\nport: %s\n%s", i,
					     wires[i].path, buses[i]),
				 0);
	}
	assert_int_equal(stage_start_gateway(&stage), 0);
}

static void make_directory(const char *name)
{
	_cleanup_free_ char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", stage.directory, name) > 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static size_t count_said(const char *topic, const char *word)
{
	size_t count = 0;

	is_said("", "");
	for (const char *line = said; (line = strstr(line, topic)); line += strlen(topic)) {
		const char *end = strchr(line, '\n'), *found = strstr(line, word);

		count += end && found && found < end;
	}
	return count;
}

static void speak(const struct wire *wire, const void *bytes, size_t n)
{
	assert_int_equal(write(wire->fd, bytes, n), n);
}

/* The gateway must have opened the port: what is said before that, it throws away. */
static bool port_is_open(struct stage *on, uint64_t count)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *log = NULL;
	char line[512];

	assert_true(asprintf(&path, "%s/gateway.log", on->directory) > 0);
	log = fopen(path, "re");
	while (log && count && fgets(line, sizeof(line), log))
		count -= strstr(line, " is open") != NULL;
	return count == 0;
}

static void wait_for_ports(unsigned count)
{
	int r = stage_wait(&stage, port_is_open, count);

	if (r < 0)
		stage_show_log(&stage, "gateway.log");
	assert_int_equal(r, 0);
}

static void finish(void)
{
	int status = stage_end(&stage.gateway, SIGTERM);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Plantower PMS5003, 32 bytes; 5, 8 and 10 ug/m3. */
static const uint8_t pms5003[] = {
	0x42, 0x4D, 0x00, 0x1C, 0x00, 0x05, 0x00, 0x08, 0x00, 0x0A, 0x00,
	0x05, 0x00, 0x08, 0x00, 0x0A, 0x03, 0xE7, 0x01, 0x20, 0x00, 0x40,
	0x00, 0x10, 0x00, 0x05, 0x00, 0x02, 0x97, 0x00, 0x02, 0xD2,
};
static const char gga[] = "$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n";
static const char rmc[] = "$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n";

/* Two devices that ship, on a port each, in bits and pieces and with garbage between. */
static void frames_and_sentences(void **state)
{
	static const char *const buses[] = {
		"devices:\n  - {name: air, map: pms5003, every: 1ms}\n",
		"devices:\n  - {name: gps, map: nmea-gps, every: 1ms}\n", NULL};

	(void)state;
	make_directory("buses");
	make_directory("maps");
	start_gateway(buses);
	wait_for_ports(2);
	speak(&wires[0], pms5003 + 7, 25);
	speak(&wires[0], pms5003, sizeof(pms5003));
	wait_for("demo/air ", "\"pm25\":8,\"pm10\":10");
	wait_for("demo/air/availability", "online");

	speak(&wires[1], gga + 20, sizeof(gga) - 21);
	speak(&wires[1], gga, sizeof(gga) - 1);
	speak(&wires[1], rmc, sizeof(rmc) - 1);
	wait_for("demo/gps ", "\"latitude\":48.1173");
	/* What was said in one go is one message. */
	wait_for("demo/gps ", "\"speed\":");
	assert_true(is_said("demo/gps ", "\"latitude\":48.1173,\"longitude\":11.5166667"));
	wait_for("demo/gps/availability", "online");
	finish();
}

/* The state of their bus is published, as that of a bus whose devices are polled. */
static void status_is_published(void **state)
{
	static const char *const buses[] = {
		"devices:\n  - {name: air, map: pms5003, every: 1ms}\n",
		"timeout: 100ms\nretries: 0\ndevices:\n"
		"  - {name: co2, map: mh-z19, every: 100ms}\n",
		NULL};

	(void)state;
	make_directory("buses");
	make_directory("maps");
	start_gateway(buses);
	wait_for_ports(2);
	speak(&wires[0], pms5003 + 7, 25);
	speak(&wires[0], pms5003, sizeof(pms5003));
	wait_for("demo/air ", "\"pm25\":8");
	wait_for("demo/status/bus/b0 ", "\"bus\":\"b0\"");
	wait_for("demo/status/bus/b0 ", "\"timeouts\":0");
	wait_for("demo/status/bus/b0 ", "\"devices\":1,\"offline\":0");
	wait_for("demo/status/bus/b0 ", "\"line\":{\"framing\":0,");
	wait_for("demo/status/bus/b0 ", "\"time\":");
	/* Of a device that is asked, whether it has failed by then or not. */
	wait_for("demo/status/bus/b1 ", "\"answers\":0,\"timeouts\":");
	wait_for("demo/status/bus/b1 ", "\"devices\":1,\"offline\":");
	finish();
}

/* However often it speaks, it is published no more often than it should. */
static void every_is_the_most(void **state)
{
	static const char *const buses[] = {"devices:\n  - {name: air, map: fast}\n", NULL};
	uint64_t begin_us, end_us;

	(void)state;
	make_directory("buses");
	make_directory("maps");
	write_map("maps/fast", "map: fast\ndriver: text\n"
			       "points: {x: {field: 1, every: 500ms}, y: {field: 2, every: 1h}}\n");
	start_gateway(buses);
	wait_for_ports(1);
	begin_us = clock_monotonic_us();
	for (unsigned i = 0; i < 200; i++) {
		char line[32];

		speak(&wires[0], line, (size_t)sprintf(line, "%u,%u\n", i, i));
		assert_int_equal(stage_wait_ms(&stage, 10), 0);
	}
	end_us = clock_monotonic_us();
	wait_for("demo/air ", "\"x\":");
	assert_in_range(count_said("demo/air ", "\"x\":"), 2, 2 + (end_us - begin_us) / 500000);
	assert_int_equal(count_said("demo/air ", "\"y\":"), 1);
	finish();
}

/* Silent for too long it is offline, once, and says what came; then online again. */
static void silence_is_offline(void **state)
{
	static const char *const buses[] = {"devices:\n  - {name: scale, map: scale}\n", NULL};

	(void)state;
	make_directory("buses");
	make_directory("maps");
	write_map("maps/scale", "map: scale\ndriver: text\nsilence: 1s\n"
				"points: {kg: {match: '([\\d.]+) kg', every: 1ms}}\n");
	start_gateway(buses);
	wait_for_ports(1);
	speak(&wires[0], "1.5 kg\r\n", 8);
	wait_for("demo/scale ", "\"kg\":1.5");
	speak(&wires[0], "\x01\x81\x02\x03" "a\x01z\r\nhello\r\n", 16);
	wait_for("demo/scale/availability", "offline");
	speak(&wires[0], "2.5 kg\r\n", 8);
	wait_for("demo/scale ", "\"kg\":2.5");
	assert_int_equal(count_said("demo/scale/availability", "offline"), 1);
	finish();
}

/*
 * A frame that claims to be long and ends early: once the line has been quiet for long enough,
 * the good one that was taken for a part of it is found, without a byte more.
 */
static void unit_that_is_cut(void **state)
{
	static const char *const buses[] = {"devices:\n  - {name: cut, map: cut}\n", NULL};

	(void)state;
	make_directory("buses");
	make_directory("maps");
	write_map("maps/cut", "map: cut\ndriver: frame\nstart: 5A\nlength: {at: 1}\n"
			      "checksum: sum8\npoints: {x: {at: 2, type: u8}}\n");
	start_gateway(buses);
	wait_for_ports(1);
	speak(&wires[0], "\x5A\xC8\x5A\x04\x07\x65\x5A", 7);
	wait_for("demo/cut ", "\"x\":7");
	finish();
}

/* --- devices that are asked --- */

static size_t heard(const struct wire *wire, uint8_t *bytes, size_t size)
{
	ssize_t n = read(wire->fd, bytes, size);

	return n > 0 ? (size_t)n : 0;
}

struct asked {
	size_t n;
	uint8_t bytes[64];
};

static struct asked asked;

static bool has_asked(struct stage *on, uint64_t n)
{
	(void)on;
	asked.n += heard(&wires[0], asked.bytes + asked.n, sizeof(asked.bytes) - asked.n);
	return asked.n >= n;
}

static void wait_for_request(const void *bytes, size_t n)
{
	int r;

	asked.n = 0;
	r = stage_wait(&stage, has_asked, n);
	if (r < 0)
		stage_show_log(&stage, "gateway.log");
	assert_int_equal(r, 0);
	assert_memory_equal(asked.bytes, bytes, n);
}

/* How long it took to begin its answer is in the status. */
static void check_latency(void)
{
	_cleanup_free_ char *command = NULL, *told = NULL;
	const char *latency;
	size_t size = 0;
	double ms = 0;
	FILE *out;

	assert_true(asprintf(&command, "%s status -c %s/postbus.conf --json", stage.program,
			     stage.directory) > 0);
	out = popen(command, "re");
	assert_non_null(out);
	assert_true(getdelim(&told, &size, '\0', out) > 0);
	assert_int_equal(pclose(out), 0);
	latency = strstr(told, "\"latency_ms\":{\"p50\":");
	assert_non_null(latency);
	assert_int_equal(sscanf(latency, "\"latency_ms\":{\"p50\":%lf", &ms), 1);
	assert_true(ms > 0);
}

/* Winsen MH-Z19B: the document's own request and answer, 544 ppm; then it falls silent. */
static void asked_for_a_frame(void **state)
{
	static const char *const buses[] = {
		"timeout: 200ms\nretries: 1\ndevices:\n  - {name: co2, map: mh-z19, every: 300ms}\n",
		NULL};
	static const uint8_t request[] = {0xFF, 0x01, 0x86, 0, 0, 0, 0, 0, 0x79};
	static const uint8_t answer[] = {0xFF, 0x86, 0x02, 0x20, 0, 0, 0, 0, 0x58};

	(void)state;
	make_directory("buses");
	make_directory("maps");
	start_gateway(buses);
	wait_for_request(request, sizeof(request));
	speak(&wires[0], "\x55", 1);
	speak(&wires[0], answer, 4);
	assert_int_equal(stage_wait_ms(&stage, 20), 0);
	speak(&wires[0], answer + 4, 5);
	wait_for("demo/co2 ", "\"co2\":544");
	wait_for("demo/co2/availability", "online");
	check_latency();
	wait_for("demo/co2/availability", "offline");
	/* Probed now and then, it is back with the first good answer. */
	said_length = 0;
	while (asked.n) {
		asked.n = 0;
		has_asked(&stage, 0);
	}
	wait_for_request(request, sizeof(request));
	speak(&wires[0], answer, sizeof(answer));
	wait_for("demo/co2/availability", "online");
	finish();
}

static const uint8_t sps30_setup[] = {0x7E, 0x00, 0x00, 0x02, 0x01, 0x03, 0xF9, 0x7E};
static const uint8_t sps30_request[] = {0x7E, 0x00, 0x03, 0x00, 0xFC, 0x7E};
static const uint8_t sps30_started[] = {0x7E, 0x00, 0x00, 0x00, 0x00, 0xFF, 0x7E};
static const uint8_t sps30_not_started[] = {0x7E, 0x00, 0x03, 0x43, 0x00, 0xB9, 0x7E};

/* PM1.0 of so many µg/m³, 0 to 7: 40 bytes of values, of which the others are 0. */
static void say_pm1(uint8_t pm1)
{
	static const uint8_t high[] = {0x00, 0x3F, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40};
	static const uint8_t low[] = {0x00, 0x80, 0x00, 0x40, 0x80, 0xA0, 0xC0, 0xE0};
	uint8_t answer[47] = {0x7E, 0x00, 0x03, 0x00, 0x28, high[pm1], low[pm1]};

	answer[45] = (uint8_t)~(0x03 + 0x28 + high[pm1] + low[pm1]);
	answer[46] = 0x7E;
	speak(&wires[0], answer, sizeof(answer));
}

/* Told to measure and asked, whatever it was asked before. */
static bool is_asked_after_setup(struct stage *on, uint64_t unused)
{
	const size_t setup = sizeof(sps30_setup), request = sizeof(sps30_request);
	const uint8_t *last = asked.bytes;

	(void)unused;
	has_asked(on, 0);
	if (asked.n < setup + request)
		return false;
	last += asked.n - setup - request;
	return !memcmp(last, sps30_setup, setup) && !memcmp(last + setup, sps30_request, request);
}

/*
 * Sensirion SPS30: told to measure before it is asked, and again when it says that it does
 * not, or had been silent for so long that it was given up. It is not offline meanwhile.
 */
static void set_up_before_it_is_asked(void **state)
{
	static const char *const buses[] = {
		"timeout: 2s\nretries: 1\ndevices:\n"
		"  - {name: air, map: quick, every: 300ms}\n",
		NULL};

	(void)state;
	make_directory("buses");
	make_directory("maps");
	write_map("maps/quick", "map: quick\nextends: sensirion-sps30\n"
				"setup: {send: '7E 00 00 02 01 03 {checksum} 7E', wait: 50ms}\n");
	start_gateway(buses);
	wait_for_request(sps30_setup, sizeof(sps30_setup));
	speak(&wires[0], sps30_started, sizeof(sps30_started));
	wait_for_request(sps30_request, sizeof(sps30_request));
	say_pm1(1);
	wait_for("demo/air ", "\"pm1\":1,");
	wait_for_request(sps30_request, sizeof(sps30_request));
	speak(&wires[0], sps30_not_started, sizeof(sps30_not_started));
	wait_for_request(sps30_setup, sizeof(sps30_setup));
	wait_for_request(sps30_request, sizeof(sps30_request));
	say_pm1(2);
	wait_for("demo/air ", "\"pm1\":2,");
	assert_int_equal(count_said("demo/air/availability", "offline"), 0);
	wait_for("demo/air/availability", "offline");
	asked.n = 0;
	assert_int_equal(stage_wait(&stage, is_asked_after_setup, 0), 0);
	say_pm1(3);
	wait_for("demo/air ", "\"pm1\":3,");
	finish();
}

/* A request that ends with a carriage return, whatever its length. */
static bool has_asked_line(struct stage *on, uint64_t unused)
{
	(void)unused;
	has_asked(on, 0);
	return asked.n && asked.bytes[asked.n - 1] == '\r';
}

/* Two devices on one line, each asked by its address; an answer is two lines. */
static void asked_by_address(void **state)
{
	static const char *const buses[] = {
		"timeout: 500ms\ndevices:\n"
		"  - {name: 'ph-{address}', map: probe, address: [7, 12], every: 100ms}\n",
		NULL};
	bool seen[2] = {false, false};

	(void)state;
	make_directory("buses");
	make_directory("maps");
	write_map("maps/probe", "map: probe\ndriver: text\nrequest: \"#{address}?\\r\"\nend: \"\\r\"\n"
				"points: {ph: {key: PH}, t: {key: T}}\n");
	start_gateway(buses);
	for (unsigned i = 0; i < 50 && !(seen[0] && seen[1]); i++) {
		bool seven;

		asked.n = 0;
		assert_int_equal(stage_wait(&stage, has_asked_line, 0), 0);
		seven = asked.bytes[1] == '7';
		seen[!seven] = true;
		speak(&wires[0], seven ? "PH=7.01\rT=21\r" : "PH=12.0\rT=22\r", 13);
	}
	wait_for("demo/ph-7 ", "\"ph\":7.01,\"t\":21");
	wait_for("demo/ph-12 ", "\"ph\":12,\"t\":22");
	finish();
}

/* IEC 62056-21 mode C: it names itself, and goes on when that is acknowledged. */
static void meter_with_handshake(void **state)
{
	static const char *const buses[] = {
		"baud: 300\ntimeout: 2s\ndevices:\n  - {name: meter, map: meter}\n", NULL};
	static const char readout[] = "\x02" "1.8.0(004711.5*kWh)\r\n!\r\n\x03";
	uint8_t bcc = 0;

	(void)state;
	make_directory("buses");
	make_directory("maps");
	write_map("maps/meter", "map: meter\ndriver: obis\nchecksum: bcc\nrequest: \"/?!\\r\\n\"\n"
				"acknowledge: \"\\x06000\\r\\n\"\npoints: {energy: {obis: 1.8.0}}\n");
	start_gateway(buses);
	wait_for_request("/?!\r\n", 5);
	speak(&wires[0], "/ISK5MT174-", 11);
	speak(&wires[0], "0001\r\n", 6);
	wait_for_request("\x06" "000\r\n", 6);
	for (size_t i = 1; i < sizeof(readout) - 1; i++)
		bcc ^= (uint8_t)readout[i];
	speak(&wires[0], readout, sizeof(readout) - 1);
	speak(&wires[0], &bcc, 1);
	wait_for("demo/meter ", "\"energy\":4711.5");
	finish();
}

#define listener_test(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		listener_test(frames_and_sentences), listener_test(status_is_published),
		listener_test(every_is_the_most),
		listener_test(silence_is_offline),   listener_test(unit_that_is_cut),
		listener_test(asked_for_a_frame),    listener_test(asked_by_address),
		listener_test(meter_with_handshake), listener_test(set_up_before_it_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
