/* SPDX-License-Identifier: Apache-2.0 */
/* test_tcp.c - a bus behind a converter on the network: connected, lost, connected again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "config/port_spec.h"
#include "field/bus.h"
#include "tools/simulator.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { PATIENCE_S = 60 };

static const char map_text[] =
	"map: thing\n"
	"driver: modbus\n"
	"defaults: {table: input, type: u16, every: 20ms}\n"
	"points: {p0: {addr: 0}}\n";

/* The converter: what comes on one side goes out on the other. */
struct fixture {
	char port[64];
	sd_event *loop;
	struct device_map *map;
	struct simulator *simulator;
	int serial, listening, connection;
	sd_event_source *sources[3];
	struct device_config device;
	struct bus_config config;
	struct conf conf;
	struct bus *bus;
	unsigned readings, wrong;
};

static void pass_on(int from, int to)
{
	uint8_t bytes[512];
	ssize_t n = read(from, bytes, sizeof(bytes));

	if (n > 0)
		assert_int_equal(write(to, bytes, (size_t)n), n);
}

static int on_serial(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		     void *data)
{
	struct fixture *f = data;

	if (f->connection >= 0)
		pass_on(fd, f->connection);
	return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct fixture *f = data;

	if (events & (EPOLLHUP | EPOLLERR))
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	pass_on(fd, f->serial);
	return 0;
}

static int on_listening(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
			void *data)
{
	struct fixture *f = data;

	f->connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(f->connection >= 0);
	return sd_event_add_io(f->loop, &f->sources[2], f->connection, EPOLLIN, on_connection, f);
}

static void hang_up(struct fixture *f)
{
	f->sources[2] = sd_event_source_disable_unref(f->sources[2]);
	closep(&f->connection);
	f->connection = -1;
}

/* On any port at first, later on the same one again. */
static void listen_on(struct fixture *f, uint16_t *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int one = 1;

	f->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(f->listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(f->listening, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(f->listening, 4), 0);
	assert_int_equal(getsockname(f->listening, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	assert_return_code(sd_event_add_io(f->loop, &f->sources[1], f->listening, EPOLLIN,
					   on_listening, f), 0);
}

static int set_up(void **state)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->listening = f->connection = -1;
	assert_return_code(sd_event_new(&f->loop), 0);
	assert_int_equal(device_map_parse("thing.yaml", map_text, strlen(map_text),
					  driver_names(), &f->map, faults), 0);
	assert_int_equal(simulator_new(f->loop, NULL, 115200, (struct serial_format){8, 'N', 1},
				       &f->simulator), 0);
	assert_int_equal(simulator_add(f->simulator, f->map, 1), 0);
	assert_int_equal(simulator_set(f->simulator, 1, "p0", 4711), 0);
	f->serial = open(simulator_path(f->simulator),
			 O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_return_code(sd_event_add_io(f->loop, &f->sources[0], f->serial, EPOLLIN, on_serial,
					   f), 0);
	f->device = (struct device_config){.name = "d", .map = f->map, .address = 1,
					   .points = f->map->points, .point_count = 1};
	f->config = (struct bus_config){
		.name = "bus", .port = f->port, .baud = 115200, .format = {8, 'N', 1},
		.timeout_us = PATIENCE_S * USEC_PER_SEC, .devices = &f->device, .device_count = 1,
	};
	f->conf = (struct conf){.gateway = "g", .publish.topic = "{gateway}/{device}"};
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	bus_free(f->bus);
	for (size_t i = 0; i < ARRAY_SIZE(f->sources); i++)
		sd_event_source_disable_unref(f->sources[i]);
	closep(&f->serial);
	closep(&f->listening);
	closep(&f->connection);
	simulator_free(f->simulator);
	device_map_free(f->map);
	sd_event_unref(f->loop);
	free(f);
	return 0;
}

static void take_message(void *data, const struct message *message)
{
	struct fixture *f = data;

	if (message->topic_length != strlen("g/d"))
		return;
	f->readings++;
	f->wrong += message->body_length != strlen("\"p0\":4711") ||
		    memcmp(message->body, "\"p0\":4711", message->body_length);
}

static void start(struct fixture *f, const char *host, uint16_t port)
{
	snprintf(f->port, sizeof(f->port), "tcp://%s:%u", host, port);
	assert_int_equal(bus_new(f->loop, &f->config, &f->conf, take_message, f, &f->bus), 0);
}

static void run_until(struct fixture *f, bool (*holds)(const struct fixture *f))
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_S * USEC_PER_SEC;

	while (!holds(f)) {
		assert_true(clock_monotonic_us() < end_us);
		assert_true(sd_event_run(f->loop, 100 * USEC_PER_MSEC) >= 0);
	}
}

static bool is_read(const struct fixture *f)
{
	return f->readings >= 5;
}

static bool is_lost(const struct fixture *f)
{
	return bus_stats(f->bus).lost == 1;
}

static bool is_in_trouble(const struct fixture *f)
{
	return bus_stats(f->bus).trouble[0] != '\0';
}

/* Nobody listens at first; then it is read; the converter restarts; it is read again. */
static void test_connection_comes_back(void **state)
{
	struct fixture *f = *state;
	uint16_t port = 0;

	listen_on(f, &port);
	closep(&f->listening);
	f->sources[1] = sd_event_source_disable_unref(f->sources[1]);
	start(f, "127.0.0.1", port);
	run_until(f, is_in_trouble);
	assert_non_null(strstr(bus_stats(f->bus).trouble, strerror(ECONNREFUSED)));
	assert_false(bus_stats(f->bus).open);

	listen_on(f, &port);
	run_until(f, is_read);
	assert_true(bus_stats(f->bus).open);
	assert_string_equal(bus_stats(f->bus).trouble, "");

	hang_up(f);
	run_until(f, is_lost);
	f->readings = 0;
	run_until(f, is_read);
	assert_int_equal(f->wrong, 0);
	assert_int_equal(bus_stats(f->bus).counters.timeouts, 0);
}

static void test_names_are_looked_up(void **state)
{
	struct fixture *f = *state;
	uint16_t port = 0;

	listen_on(f, &port);
	start(f, "localhost", port);
	run_until(f, is_read);
	assert_int_equal(f->wrong, 0);
}

/* The bus ends while its connection is being made. */
static void test_end_while_connecting(void **state)
{
	struct fixture *f = *state;
	uint16_t port = 0;

	listen_on(f, &port);
	start(f, "127.0.0.1", port);
	assert_true(sd_event_run(f->loop, PATIENCE_S * USEC_PER_SEC) >= 0);
	bus_free(f->bus);
	f->bus = NULL;
}

static void check_spec(const char *port, const char *host, const char *service)
{
	_cleanup_free_ char *found_host = NULL, *found_service = NULL;

	assert_int_equal(port_spec_tcp(port, &found_host, &found_service), 0);
	assert_string_equal(found_host, host);
	assert_string_equal(found_service, service);
	assert_null(port_spec_check(port));
}

static void test_specs(_unused_ void **state)
{
	static const char *const wrong[] = {
		"tcp://", "tcp://host", "tcp://host:", "tcp://:502", "tcp://host:0",
		"tcp://host:65536", "tcp://host:502x", "tcp://fd00::7:502", "ttyUSB0", "usb:0403",
		"usb:0403:6001:", "usb:xyz:6001", "usb:0403:6001-A",
	};

	check_spec("tcp://moxa.lan:4196", "moxa.lan", "4196");
	check_spec("tcp://192.168.1.50:502", "192.168.1.50", "502");
	check_spec("tcp://[fd00::7]:502", "fd00::7", "502");
	assert_null(port_spec_check("usb:0403:6001"));
	assert_null(port_spec_check("usb:0403:6001:A50285BI"));
	assert_null(port_spec_check("/dev/ttyAMA0"));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_non_null(port_spec_check(wrong[i]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_connection_comes_back),
		TEST(test_names_are_looked_up),
		TEST(test_end_while_connecting),
		cmocka_unit_test(test_specs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
