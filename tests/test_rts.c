/* SPDX-License-Identifier: Apache-2.0 */
/* test_rts.c - an RS-485 line turned round by RTS: on while a request goes out, and then only. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "fake_time.h"
#include "field/bus.h"
#include "field/plan.h"
#include "field/port.h"
#include "tools/simulator.h"

#include <string.h>
#include <sys/ioctl.h>

enum {
	SWITCHES_MAX = 64,
	READINGS = 8,
	TOLERANCE_US = 60, /* readings of the clock move it on */
};

static const struct serial_format format_8n1 = {8, 'N', 1};

/* A pseudo-terminal has no RTS: what is done to it is noted here. */
static struct {
	struct {
		bool on;
		uint64_t time_us;
	} switches[SWITCHES_MAX];
	size_t count;
	unsigned busy; /* times that the driver says that it still sends */
	bool missing;
} rts;

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	if (request == TIOCSERGETLSR && !rts.missing) {
		*(int *)argument = rts.busy ? 0 : TIOCSER_TEMT;
		rts.busy -= rts.busy > 0;
		return 0;
	}
	if ((request != TIOCMBIS && request != TIOCMBIC) || rts.missing)
		return __real_ioctl(fd, request, argument);
	assert_int_equal(*(int *)argument, TIOCM_RTS);
	if (rts.count < SWITCHES_MAX) {
		rts.switches[rts.count].on = request == TIOCMBIS;
		rts.switches[rts.count++].time_us = clock_monotonic_us();
	}
	return 0;
}

struct fixture {
	char port[64];
	sd_event *loop;
	struct device_map *map;
	struct simulator *simulator;
	struct device_config device;
	struct bus_config config;
	struct conf conf;
	struct bus *bus;
	unsigned readings;
};

static int set_up(void **state)
{
	static const char text[] = "map: m\ndriver: modbus\npoints: {p: {addr: 0, every: 100ms}}\n";
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	memset(&rts, 0, sizeof(rts));
	assert_return_code(sd_event_new(&f->loop), 0);
	assert_int_equal(device_map_parse("m.yaml", text, strlen(text), driver_names(), &f->map,
					  faults), 0);
	assert_int_equal(simulator_new(f->loop, NULL, 9600, format_8n1, &f->simulator), 0);
	assert_int_equal(simulator_add(f->simulator, f->map, 1), 0);
	f->device = (struct device_config){.name = "d", .map = f->map, .address = 1,
					   .points = f->map->points, .point_count = 1};
	f->config = (struct bus_config){
		.name = "bus", .port = (char *)simulator_path(f->simulator), .baud = 9600,
		.format = format_8n1, .timeout_us = 300 * USEC_PER_MSEC, .devices = &f->device,
		.device_count = 1, .rs485 = RS485_RTS,
	};
	f->conf = (struct conf){.gateway = "g", .publish.topic = "{gateway}/{device}"};
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	bus_free(f->bus);
	simulator_free(f->simulator);
	device_map_free(f->map);
	sd_event_unref(f->loop);
	free(f);
	return 0;
}

static void take_message(void *data, const struct message *message)
{
	((struct fixture *)data)->readings += message->topic_length == strlen("g/d");
}

static void run(struct fixture *f)
{
	uint64_t end_us = clock_monotonic_us() + 60 * USEC_PER_SEC;

	assert_int_equal(bus_new(f->loop, &f->config, &f->conf, take_message, f, &f->bus), 0);
	while (f->readings < READINGS) {
		assert_true(clock_monotonic_us() < end_us);
		fake_time_run(f->loop, end_us);
	}
}

/* Off when it is opened; then on and off in turn, for as long as a request takes. */
static void check(struct fixture *f, uint64_t extra_us)
{
	uint64_t wire_us = plan_characters_us(8, 9600, format_8n1) + f->config.rts_before_us +
			   f->config.rts_after_us + extra_us;
	struct bus_stats stats;

	run(f);
	stats = bus_stats(f->bus);
	assert_int_equal(stats.counters.timeouts, 0);
	assert_int_equal(simulator_stats(f->simulator).violations, 0);
	/* The answer begins a silence after the last bit, and RTS is off by then. */
	assert_in_range(latency_quantile(&stats.counters.latency, 0.5),
			plan_silence_us(9600, format_8n1) * 8 / 10,
			plan_silence_us(9600, format_8n1) * 13 / 10);
	assert_true(rts.count >= 2 * READINGS + 1);
	assert_false(rts.switches[0].on);
	for (size_t i = 1; i + 1 < rts.count; i += 2) {
		assert_true(rts.switches[i].on);
		assert_false(rts.switches[i + 1].on);
		assert_in_range(rts.switches[i + 1].time_us - rts.switches[i].time_us, wire_us,
				wire_us + TOLERANCE_US);
	}
}

static void test_by_time(void **state)
{
	check(*state, 0);
}

static void test_before_and_after(void **state)
{
	struct fixture *f = *state;

	f->config.rts_before_us = 5 * USEC_PER_MSEC;
	f->config.rts_after_us = 1 * USEC_PER_MSEC;
	check(f, 0);
}

/* The driver says that it is not done: RTS stays on until it is, but not for ever. */
static void test_driver_is_asked(void **state)
{
	struct fixture *f = *state;
	uint64_t on_us;

	rts.busy = 3;
	run(f);
	on_us = rts.switches[2].time_us - rts.switches[1].time_us;
	assert_in_range(on_us, plan_characters_us(8, 9600, format_8n1) + 600,
			plan_characters_us(8, 9600, format_8n1) + 600 + TOLERANCE_US);
	rts.busy = UINT32_MAX;
	f->readings = 0;
	bus_free(f->bus);
	f->bus = NULL;
	rts.count = 0;
	run(f);
	on_us = rts.switches[2].time_us - rts.switches[1].time_us;
	assert_in_range(on_us, 2 * plan_characters_us(8, 9600, format_8n1),
			2 * plan_characters_us(8, 9600, format_8n1) + 300);
}

static void test_port_without_rts(void **state)
{
	struct fixture *f = *state;
	char trouble[PORT_TROUBLE_MAX];
	struct port *port;

	rts.missing = true;
	assert_true(port_open(&f->config, &port, trouble) < 0);
	assert_non_null(strstr(trouble, "it has no RTS"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_by_time),
		TEST(test_before_and_after),
		TEST(test_driver_is_asked),
		TEST(test_port_without_rts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
