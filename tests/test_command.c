/* SPDX-License-Identifier: Apache-2.0 */
/* test_command.c - commands and their outcomes cross between two threads whole and in order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/command.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

static struct command numbered(uint64_t number)
{
	struct command command = {
		.number = number, .value = {.kind = VALUE_UNSIGNED, .u = number * 7}};

	snprintf(command.device, sizeof(command.device), "relay-%u", (unsigned)(number % 97));
	snprintf(command.point, sizeof(command.point), "point-%u", (unsigned)(number % 89));
	return command;
}

static void assert_is_numbered(const struct command *command, uint64_t number)
{
	struct command wanted = numbered(number);

	assert_int_equal(command->number, number);
	assert_string_equal(command->device, wanted.device);
	assert_string_equal(command->point, wanted.point);
	assert_int_equal(command->value.u, wanted.value.u);
}

static struct outcome outcome_of(const struct command *command)
{
	struct outcome outcome = {
		.number = command->number,
		.kind = command->number % 3 ? OUTCOME_DONE : OUTCOME_FAILED,
		.value = command->value,
	};

	snprintf(outcome.error, sizeof(outcome.error), "no %s", command->point);
	return outcome;
}

static void each_command_takes_the_room_of_its_outcome_with_it(void **state)
{
	_cleanup_(command_ring_freep) struct command_ring *ring = NULL;
	struct command command;
	struct outcome outcome;

	(void)state;
	assert_int_equal(command_ring_new(&ring), 0);
	for (uint64_t i = 1; i <= COMMANDS_MAX; i++) {
		command = numbered(i);
		assert_int_equal(command_push(ring, &command), 0);
	}
	assert_int_equal(command_push(ring, &command), -ENOBUFS);
	/* Popped is not answered: its outcome still needs a place. */
	for (uint64_t i = 1; i <= COMMANDS_MAX; i++) {
		assert_true(command_pop(ring, &command));
		assert_is_numbered(&command, i);
	}
	assert_false(command_pop(ring, &command));
	assert_int_equal(command_push(ring, &command), -ENOBUFS);
	for (uint64_t i = 1; i <= COMMANDS_MAX; i++) {
		command = numbered(i);
		outcome = outcome_of(&command);
		outcome_push(ring, &outcome);
	}
	assert_int_equal(command_push(ring, &command), -ENOBUFS);
	assert_true(outcome_pop(ring, &outcome));
	assert_int_equal(outcome.number, 1);
	assert_int_equal(command_push(ring, &command), 0);
	assert_int_equal(command_push(ring, &command), -ENOBUFS);
}

static void descriptors_tell_of_each_way_apart(void **state)
{
	_cleanup_(command_ring_freep) struct command_ring *ring = NULL;
	struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
	struct command command = numbered(1);
	struct outcome outcome = outcome_of(&command);

	(void)state;
	assert_int_equal(command_ring_new(&ring), 0);
	fds[0].fd = command_fd(ring);
	fds[1].fd = outcome_fd(ring);
	assert_int_equal(poll(fds, 2, 0), 0);
	assert_int_equal(command_push(ring, &command), 0);
	assert_int_equal(poll(fds, 2, 0), 1);
	assert_true(fds[0].revents & POLLIN);
	command_clear(ring);
	assert_true(command_pop(ring, &command));
	assert_int_equal(poll(fds, 2, 0), 0);
	outcome_push(ring, &outcome);
	assert_int_equal(poll(fds, 2, 0), 1);
	assert_true(fds[1].revents & POLLIN);
	outcome_clear(ring);
	assert_int_equal(poll(fds, 2, 0), 0);
	assert_true(outcome_pop(ring, &outcome));
	assert_false(outcome_pop(ring, &outcome));
}

enum { MANY = 100000 };

/* The field side: answers what it is told, in its order. */
static void *answer_many(void *data)
{
	struct pollfd fd = {.events = POLLIN, .fd = command_fd(data)};
	uint64_t wanted = 1;

	while (wanted <= MANY && poll(&fd, 1, 30000) == 1) {
		struct command command;

		command_clear(data);
		while (command_pop(data, &command)) {
			struct outcome outcome = outcome_of(&command);

			if (command.number != wanted++)
				outcome.kind = OUTCOME_UNCERTAIN;
			outcome_push(data, &outcome);
		}
	}
	return NULL;
}

static void two_threads_agree(void **state)
{
	_cleanup_(command_ring_freep) struct command_ring *ring = NULL;
	struct pollfd fd = {.events = POLLIN};
	uint64_t pushed = 0, popped = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(command_ring_new(&ring), 0);
	fd.fd = outcome_fd(ring);
	assert_int_equal(pthread_create(&thread, NULL, answer_many, ring), 0);
	while (popped < MANY) {
		struct outcome outcome;

		for (; pushed < MANY; pushed++) {
			struct command command = numbered(pushed + 1);

			if (command_push(ring, &command) < 0)
				break;
		}
		assert_int_equal(poll(&fd, 1, 30000), 1);
		outcome_clear(ring);
		while (outcome_pop(ring, &outcome)) {
			struct command command = numbered(++popped);
			struct outcome wanted = outcome_of(&command);

			assert_int_equal(outcome.number, popped);
			assert_int_equal(outcome.kind, wanted.kind);
			assert_int_equal(outcome.value.u, wanted.value.u);
			assert_string_equal(outcome.error, wanted.error);
		}
	}
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_command_takes_the_room_of_its_outcome_with_it),
		cmocka_unit_test(descriptors_tell_of_each_way_apart),
		cmocka_unit_test(two_threads_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
