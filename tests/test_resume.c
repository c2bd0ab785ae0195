/* SPDX-License-Identifier: Apache-2.0 */
/* test_resume.c - what libmosquitto's log tells, and how a new client takes over. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mqtt/log_line.h"
#include "uplink/resume.h"

static void log_lines_are_read(void **state)
{
	uint16_t mid = 0;

	(void)state;
	assert_int_equal(log_line_parse("Client barn received PUBREC (Mid: 17)", &mid),
			 LOG_LINE_PUBREC);
	assert_int_equal(mid, 17);
	assert_int_equal(log_line_parse("Client barn received PUBCOMP (Mid: 65535, RC:0)", &mid),
			 LOG_LINE_PUBCOMP);
	assert_int_equal(mid, 65535);
	assert_int_equal(log_line_parse("Client barn received PUBACK (Mid: 18, RC:16)", &mid),
			 LOG_LINE_PUBACK);
	assert_int_equal(mid, 18);
	/* A client id that looks like a line. */
	assert_int_equal(log_line_parse("Client x received PUBREC (Mid: 3) received PUBCOMP "
					"(Mid: 4, RC:146)", &mid),
			 LOG_LINE_PUBCOMP);
	assert_int_equal(mid, 4);
}

static void other_lines_are_not(void **state)
{
	static const char *const lines[] = {
		"",
		"Client barn received PUBACK (Mid: 17)",
		"Client barn sending PUBREL (m17)",
		"Client barn received PUBREC (Mid: 0)",
		"Client barn received PUBREC (Mid: 65536)",
		"Client barn received PUBREC (Mid: 17",
		"Client barn received PUBREC (Mid: 17) and more",
		"Client barn received PUBREC (Mid: x)",
		"Client barn received PUBCOMP (Mid: 17)",
	};
	uint16_t mid;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_int_equal(log_line_parse(lines[i], &mid), LOG_LINE_OTHER);
}

static bool repeated;

static bool is_publish(const char *line, const char *client_id)
{
	return log_line_parse_publish(line, client_id, &repeated);
}

static void repeats_are_read(void **state)
{
	(void)state;
	assert_true(is_publish("Client barn received PUBLISH (d1, q1, r0, m17, 'barn/a/b/set', "
			       "... (2 bytes))", "barn"));
	assert_true(repeated);
	assert_true(is_publish("Client a received PUBLISH (d0 received PUBLISH (d1, q1",
			       "a received PUBLISH (d0"));
	assert_true(repeated);
	/* A topic that looks like a line. */
	assert_true(is_publish("Client barn received PUBLISH (d0, q1, r0, m17, 'barn/"
			       "Client barn received PUBLISH (d1, q1'", "barn"));
	assert_false(repeated);
	assert_false(is_publish("Client barn sending PUBLISH (d1, q1, r0, m17, 'barn')",
				"barn"));
	assert_false(is_publish("Client barn2 received PUBLISH (d1, q1", "barn"));
	assert_false(is_publish("Client barn received PUBLISH (dup", "barn"));
	assert_false(is_publish("", ""));
}

/* Plays libmosquitto's counter, which gives 1 first and goes round after 65,535. */
static uint16_t burn(uint16_t counter, uint32_t count)
{
	while (count--)
		counter = counter == 65535 ? 1 : counter + 1;
	return counter;
}

static void check_plan(const struct flight *flights, size_t count, uint16_t last_mid,
		       size_t expected)
{
	struct resume_step steps[8];
	uint16_t burn_last, counter = 0;
	size_t n = resume_plan(flights, count, last_mid, steps, &burn_last);

	assert_int_equal(n, expected);
	for (size_t i = 0; i < n; i++) {
		counter = burn(counter, steps[i].burn + 1u);
		assert_int_equal(counter, flights[steps[i].flight].mid);
	}
	assert_int_equal(burn(counter, burn_last), last_mid);
}

static void identifiers_are_continued(void **state)
{
	const struct flight in_order[] = {
		{ .mid = 1, .state = FLIGHT_SENT }, { .mid = 2, .state = FLIGHT_SENT },
		{ .mid = 9, .state = FLIGHT_SENT },
	};
	const struct flight round[] = {
		{ .mid = 65534, .state = FLIGHT_SENT }, { .mid = 65535, .state = FLIGHT_SENT },
		{ .mid = 1, .state = FLIGHT_SENT },
	};
	const struct flight released[] = {
		{ .mid = 7, .state = FLIGHT_RELEASED }, { .mid = 8, .state = FLIGHT_SENT },
		{ .mid = 10, .state = FLIGHT_AGAIN },
	};

	(void)state;
	check_plan(NULL, 0, 0, 0);
	check_plan(NULL, 0, 4711, 0);
	check_plan(in_order, 3, 9, 3);
	check_plan(in_order, 3, 12, 3);
	check_plan(round, 3, 1, 3);
	check_plan(released, 3, 10, 1);
}

static void counter_keeps_off_what_is_in_flight(void **state)
{
	const struct flight stuck = { .mid = 100, .state = FLIGHT_SENT };

	(void)state;
	assert_int_equal(resume_next_mid(1), 2);
	assert_int_equal(resume_next_mid(65535), 1);
	assert_true(resume_may_publish(NULL, 0, 99));
	/* also when it is the one that was just given out */
	assert_true(resume_may_publish(&stuck, 1, 100));
	assert_true(resume_may_publish(&stuck, 1, 101));
	assert_true(resume_may_publish(&stuck, 1, 60000));
	assert_false(resume_may_publish(&stuck, 1, 99));
	assert_false(resume_may_publish(&stuck, 1, 65535));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log_lines_are_read),
		cmocka_unit_test(other_lines_are_not),
		cmocka_unit_test(repeats_are_read),
		cmocka_unit_test(identifiers_are_continued),
		cmocka_unit_test(counter_keeps_off_what_is_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
