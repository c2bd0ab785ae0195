/* SPDX-License-Identifier: Apache-2.0 */
/* test_say.c - commands to devices that speak in lines and frames, unasked and asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/setting.h"
#include "fake_time.h"
#include "field/listener.h"
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <termios.h>

enum {
	OUTCOMES = 16,
	PATIENCE_US = 100 * 1000000, /* of a time that passes at once */
};

struct fixture {
	sd_event *loop;
	struct device_map *map;
	struct device_config device;
	struct bus_config config;
	struct conf conf;
	struct listener *listener;
	int fd; /* the device's end of the wire */
	char path[64];
	char sent[512]; /* by the gateway, since it was last looked at */
	size_t sent_length;
	char published[1024];
	struct outcome outcomes[OUTCOMES];
	unsigned outcome_count;
	bool has_left;
};

static void open_wire(struct fixture *f)
{
	struct termios raw;

	f->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	assert_true(f->fd >= 0);
	assert_int_equal(grantpt(f->fd), 0);
	assert_int_equal(unlockpt(f->fd), 0);
	assert_int_equal(ptsname_r(f->fd, f->path, sizeof(f->path)), 0);
	assert_int_equal(tcgetattr(f->fd, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(f->fd, TCSANOW, &raw), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_return_code(sd_event_new(&f->loop), 0);
	open_wire(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	listener_free(f->listener);
	device_map_free(f->map);
	closep(&f->fd);
	sd_event_unref(f->loop);
	free(f);
	return 0;
}

static void take_message(void *data, const struct message *message)
{
	struct fixture *f = data;
	size_t used = strlen(f->published);

	if (message->topic_length == 5)
		snprintf(f->published + used, sizeof(f->published) - used, "%.*s ",
			 (int)message->body_length, message->body);
}

static void take_outcome(void *data, const struct outcome *outcome)
{
	struct fixture *f = data;

	assert_in_range(f->outcome_count, 0, OUTCOMES - 1);
	f->outcomes[f->outcome_count++] = *outcome;
}

static void start(struct fixture *f, const char *map)
{
	f->map = stream_map(map);
	f->device = (struct device_config){
		.name = "dev",
		.map = f->map,
		.address = 7,
		.points = f->map->points,
		.point_count = f->map->point_count,
		.commands = true,
	};
	f->config = (struct bus_config){
		.name = "bus",
		.port = f->path,
		.baud = 9600,
		.format = {8, 'N', 1},
		.timeout_us = 100 * USEC_PER_MSEC,
		.retries = 2,
		.devices = &f->device,
		.device_count = 1,
	};
	f->conf = (struct conf){.gateway = "g", .publish.topic = "{gateway}/{device}"};
	assert_int_equal(listener_new(f->loop, &f->config, &f->conf, take_message, f,
				      &f->listener), 0);
	listener_tell_outcomes(f->listener, take_outcome, f);
}

/* What the gateway has said by now. */
static void hear(struct fixture *f)
{
	ssize_t n = read(f->fd, f->sent + f->sent_length, sizeof(f->sent) - 1 - f->sent_length);

	if (n > 0)
		f->sent[f->sent_length += (size_t)n] = '\0';
}

static void turn(struct fixture *f, uint64_t until_us)
{
	fake_time_run(f->loop, until_us);
	hear(f);
}

static void run_for(struct fixture *f, uint64_t time_us)
{
	uint64_t end_us = clock_monotonic_us() + time_us;

	while (clock_monotonic_us() < end_us)
		turn(f, end_us);
}

static void forget(struct fixture *f)
{
	f->sent[f->sent_length = 0] = '\0';
	f->published[0] = '\0';
}

/* Until the gateway has said this, and nothing else before it. */
static void run_until_sent(struct fixture *f, const void *bytes, size_t n)
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

	for (hear(f); f->sent_length < n;) {
		assert_true(clock_monotonic_us() < end_us);
		turn(f, end_us);
	}
	assert_int_equal(f->sent_length, n);
	assert_memory_equal(f->sent, bytes, n);
	f->sent[f->sent_length = 0] = '\0';
}

static void run_until_said(struct fixture *f, const char *text)
{
	run_until_sent(f, text, strlen(text));
}

static void run_until_outcomes(struct fixture *f, unsigned count)
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

	while (f->outcome_count < count) {
		assert_true(clock_monotonic_us() < end_us);
		turn(f, end_us);
	}
}

static void speak_bytes(struct fixture *f, const void *bytes, size_t n)
{
	assert_int_equal(write(f->fd, bytes, n), (ssize_t)n);
}

static void speak(struct fixture *f, const char *text)
{
	speak_bytes(f, text, strlen(text));
}

/* As the uplink does it: the text is looked at, and what is wanted goes to the device. */
static void give(struct fixture *f, uint64_t number, const char *point, const char *text)
{
	struct command command = {.number = number, .device = "dev"};
	char error[OUTCOME_ERROR_MAX];

	snprintf(command.point, sizeof(command.point), "%s", point);
	assert_int_equal(setting_check(&f->map->points[device_map_find(f->map, point)], text,
				       &command.value, error), 0);
	assert_int_equal(listener_command(f->listener, &command), 0);
}

static void check_outcome(const struct fixture *f, unsigned i, uint64_t number,
			  enum outcome_kind kind, const char *error)
{
	assert_in_range(f->outcome_count, i + 1, OUTCOMES);
	assert_string_equal(f->outcomes[i].error, error);
	assert_int_equal(f->outcomes[i].number, number);
	assert_int_equal(f->outcomes[i].kind, kind);
}

/* --- who speaks unasked --- */

static const char thermostat[] =
	"map: m\ndriver: text\ndefaults: {every: 1s}\npoints:\n"
	"  temperature: {key: T}\n"
	"  target: {key: S, scale: 0.1,\n"
	"           write: {command: \"SET {value}\\r\\n\", reply: '^OK'}}\n"
	"  mode: {key: M, values: {0: off, 2: eco}, write: {command: \"MODE {value}\\r\\n\"}}\n"
	"  checked: {key: C, write: {command: \"C{value}\\r\\n\", verify: true}}\n"
	"  name: {key: N, type: string, write: {command: \"NAME {value}\\r\\n\"}}\n"
	"  lamp: {key: L, type: bool, write: {command: \"LAMP {value}\\r\\n\"}}\n"
	"  reset: {write: {command: \"RESET\\r\\n\", reply: 'BYE'}}\n";

static void test_said_and_confirmed(void **state)
{
	struct fixture *f = *state;

	start(f, thermostat);
	run_for(f, USEC_PER_SEC);
	speak(f, "T=20.5 S=200\r\n");
	run_for(f, 200 * USEC_PER_MSEC);
	forget(f);
	give(f, 1, "target", "21.5");
	run_until_said(f, "SET 215\r\n");
	/* It goes on speaking as it always does. */
	speak(f, "T=20.6 S=200\r\n");
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(f->outcome_count, 0);
	speak(f, "OK\r\nT=20.6 S=215\r\n");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	run_for(f, 200 * USEC_PER_MSEC);
	/* It is published though it was published within its second. */
	assert_non_null(strstr(f->published, "\"target\":21.5"));
}

static void test_values_as_text(void **state)
{
	struct fixture *f = *state;

	start(f, thermostat);
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, 1, "mode", "eco");
	run_until_said(f, "MODE 2\r\n");
	give(f, 2, "name", "a b");
	run_until_said(f, "NAME a b\r\n");
	give(f, 3, "name", "");
	run_until_said(f, "NAME \r\n");
	give(f, 4, "lamp", "on");
	run_until_said(f, "LAMP 1\r\n");
	for (unsigned i = 0; i < 4; i++)
		check_outcome(f, i, i + 1, OUTCOME_DONE, "");
}

static void test_no_reply(void **state)
{
	struct fixture *f = *state;

	start(f, thermostat);
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, 1, "target", "21.5");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN, "no answer in 100ms");
	assert_string_equal(f->sent, "SET 215\r\nSET 215\r\nSET 215\r\n");
	forget(f);
	/* What does something each time is said once. */
	give(f, 2, "reset", "press");
	run_until_said(f, "RESET\r\n");
	speak(f, "WHAT?\r\n");
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_UNCERTAIN, "no right answer in 100ms");
	run_for(f, USEC_PER_SEC);
	assert_int_equal(f->sent_length, 0);
}

static void test_read_back(void **state)
{
	struct fixture *f = *state;

	start(f, thermostat);
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, 1, "checked", "5");
	run_until_said(f, "C5\r\n");
	speak(f, "C=4\r\n");
	run_for(f, 100 * USEC_PER_MSEC);
	assert_int_equal(f->outcome_count, 0);
	speak(f, "C=5\r\n");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	give(f, 2, "checked", "6");
	run_until_said(f, "C6\r\n");
	speak(f, "C=5\r\n");
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_FAILED, "it reads back as 5");
	give(f, 3, "checked", "7");
	run_until_outcomes(f, 3);
	check_outcome(f, 2, 3, OUTCOME_UNCERTAIN,
		      "it is written, and was not read back: no value came");
}

static void test_own_echo_confirms_nothing(void **state)
{
	struct fixture *f = *state;

	start(f, "map: m\ndriver: text\npoints:\n"
		 "  a: {field: 1, write: {command: \"OK {value}\\r\\n\", reply: '^OK'}}\n");
	f->config.echo = true;
	f->config.retries = 0;
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, 1, "a", "5");
	run_until_said(f, "OK 5\r\n");
	speak(f, "OK 5\r\n");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN, "no answer in 100ms");
	give(f, 2, "a", "6");
	run_until_said(f, "OK 6\r\n");
	speak(f, "OK 6\r\nOK\r\n");
	run_until_outcomes(f, 2);
	check_outcome(f, 1, 2, OUTCOME_DONE, "");
}

/* --- frames --- */

/* Nova Fitness SDS011, laser dust sensor control protocol V1.3: its working period. */
static void test_frames(void **state)
{
	static const uint8_t set[] = {0xAA, 0xB4, 0x08, 0x01, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00,
				      0x00, 0x00, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0x0C, 0xAB};
	static const uint8_t taken[] = {0xAA, 0xC5, 0x08, 0x01, 0x05,
					0x00, 0xA1, 0x60, 0x0F, 0xAB};
	static const uint8_t other[] = {0xAA, 0xC5, 0x08, 0x01, 0x04,
					0x00, 0xA1, 0x60, 0x0E, 0xAB};
	struct fixture *f = *state;

	start(f, "map: m\ndriver: frame\nstart: 'AA C0'\nlength: 10\nend: 'AB'\n"
		 "checksum: {type: sum8, from: 2}\npoints:\n"
		 "  pm10: {at: 4, type: u16, order: BA}\n"
		 "  period: {type: u8, write: {max: 30, command: \"AA B4 08 01 {value} 00 00 00 00 "
		 "00 00 00 00 00 00 FF FF {checksum} AB\", reply: \"AA C5 08 01 {value}\"}}\n");
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, 1, "period", "5");
	run_until_sent(f, set, sizeof(set));
	speak_bytes(f, other, sizeof(other));
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(f->outcome_count, 0);
	/* In pieces, as it may come. */
	speak_bytes(f, taken, 3);
	run_for(f, 5 * USEC_PER_MSEC);
	speak_bytes(f, taken + 3, sizeof(taken) - 3);
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
}

/* --- who is asked --- */

static const char asked[] =
	"map: m\ndriver: text\nrequest: \"R{address}\\r\"\nend: \"\\r\"\n"
	"defaults: {every: 10s}\npoints:\n"
	"  a: {field: 1, write: {command: \"W{address}={value}\\r\", reply: '^OK$'}}\n"
	"  b: {field: 2, write: {command: \"B{value}\\r\"}}\n"
	"  c: {field: 3, write: {command: \"C{value}\\r\", reply: '^OK$', verify: true}}\n";

static void test_between_two_requests(void **state)
{
	struct fixture *f = *state;

	start(f, asked);
	run_until_said(f, "R7\r");
	/* It is asked just now: nothing else is said before it has answered. */
	give(f, 1, "a", "5");
	run_for(f, 20 * USEC_PER_MSEC);
	assert_int_equal(f->sent_length, 0);
	speak(f, "1,2,3\r");
	run_until_said(f, "W7=5\r");
	speak(f, "OK\r");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	/* What was written is read soon, not after its ten seconds. */
	run_until_said(f, "R7\r");
	speak(f, "5,2,3\r");
	run_for(f, 200 * USEC_PER_MSEC);
	assert_non_null(strstr(f->published, "\"a\":5"));
}

static void test_asked_without_reply(void **state)
{
	struct fixture *f = *state;
	uint64_t said_us;

	start(f, asked);
	run_until_said(f, "R7\r");
	speak(f, "1,2,3\r");
	run_for(f, 200 * USEC_PER_MSEC);
	give(f, 1, "b", "5");
	run_until_said(f, "B5\r");
	said_us = clock_monotonic_us();
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	/* Whatever it says to that is not taken for the answer to the next request. */
	speak(f, "9,9,9\r");
	run_until_said(f, "R7\r");
	assert_true(clock_monotonic_us() - said_us >= 100 * USEC_PER_MSEC);
	speak(f, "1,5,3\r");
	run_for(f, 200 * USEC_PER_MSEC);
	assert_null(strstr(f->published, "9"));
	assert_non_null(strstr(f->published, "\"b\":5"));
}

static void test_asked_and_read_back(void **state)
{
	struct fixture *f = *state;

	start(f, asked);
	run_until_said(f, "R7\r");
	speak(f, "1,2,3\r");
	run_for(f, 200 * USEC_PER_MSEC);
	give(f, 1, "c", "4");
	run_until_said(f, "C4\r");
	speak(f, "OK\r");
	run_until_said(f, "R7\r");
	speak(f, "1,2,4\r");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
}

static void test_asked_and_dead(void **state)
{
	struct fixture *f = *state;

	start(f, asked);
	run_for(f, 20 * USEC_PER_SEC);
	forget(f);
	give(f, 1, "a", "5");
	run_until_outcomes(f, 1);
	check_outcome(f, 0, 1, OUTCOME_UNCERTAIN, "no answer in 100ms");
	assert_string_equal(f->sent, "W7=5\rW7=5\rW7=5\r");
}

/* --- the port, and the end --- */

static void test_port_is_closed_and_lost(void **state)
{
	struct fixture *f = *state;

	start(f, thermostat);
	give(f, 1, "target", "21.5");
	check_outcome(f, 0, 1, OUTCOME_FAILED, "the port is not open");
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, 2, "target", "21.5");
	give(f, 3, "mode", "eco");
	run_until_said(f, "SET 215\r\n");
	closep(&f->fd);
	f->fd = -1;
	run_until_outcomes(f, 3);
	check_outcome(f, 1, 2, OUTCOME_UNCERTAIN, "the port was lost: the port is gone");
	check_outcome(f, 2, 3, OUTCOME_FAILED, "the port was lost: the port is gone");
}

static void note_left(void *data)
{
	((struct fixture *)data)->has_left = true;
}

static void test_bus_leaves(void **state)
{
	struct fixture *f = *state;
	uint64_t end_us = clock_monotonic_us() + PATIENCE_US;

	start(f, thermostat);
	run_for(f, 100 * USEC_PER_MSEC);
	give(f, 1, "target", "21.5");
	give(f, 2, "mode", "eco");
	listener_leave(f->listener, note_left, f);
	assert_false(f->has_left);
	run_until_said(f, "SET 215\r\n");
	speak(f, "OK\r\n");
	while (!f->has_left) {
		assert_true(clock_monotonic_us() < end_us);
		turn(f, end_us);
	}
	check_outcome(f, 0, 1, OUTCOME_DONE, "");
	check_outcome(f, 1, 2, OUTCOME_FAILED, "its bus is ending");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_said_and_confirmed),	   TEST(test_values_as_text),
		TEST(test_no_reply),		   TEST(test_read_back),
		TEST(test_own_echo_confirms_nothing), TEST(test_frames),
		TEST(test_between_two_requests),   TEST(test_asked_without_reply),
		TEST(test_asked_and_read_back),	   TEST(test_asked_and_dead),
		TEST(test_port_is_closed_and_lost), TEST(test_bus_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
