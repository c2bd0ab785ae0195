/* SPDX-License-Identifier: Apache-2.0 */
/* test_queue.c - messages cross between two threads whole, in order, and are counted when lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bridge/queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct message numbered(unsigned number, char topic[32], char body[64])
{
	int topic_length = snprintf(topic, 32, "gateway/device-%u", number % 97);
	int body_length = snprintf(body, 64, "\"value\":%u%.*s", number, (int)(number % 7),
				   "0000000");

	return (struct message){
		.seq = number, .qos = 1, .topic = topic, .topic_length = topic_length,
		.body = body, .body_length = body_length,
	};
}

static void assert_is_numbered(const struct message *message, unsigned number)
{
	char topic[32], body[64];
	struct message expected = numbered(number, topic, body);

	assert_int_equal(message->seq, number);
	assert_int_equal(message->topic_length, expected.topic_length);
	assert_memory_equal(message->topic, topic, expected.topic_length);
	assert_int_equal(message->body_length, expected.body_length);
	assert_memory_equal(message->body, body, expected.body_length);
}

static void full_queue_counts_what_is_lost(void **state)
{
	_cleanup_(queue_freep) struct queue *queue = NULL;
	struct message message;
	char topic[32], body[64];
	unsigned pushed = 0, popped = 0;

	(void)state;
	assert_int_equal(queue_new(4096, &queue), 0);
	for (unsigned i = 0; i < 100; i++) {
		message = numbered(i, topic, body);
		if (queue_push(queue, &message) == 0)
			pushed++;
		else
			assert_int_equal(queue_push(queue, &message), -ENOBUFS);
	}
	assert_in_range(pushed, 10, 99);
	assert_int_equal(queue_take_lost(queue), 2 * (100 - pushed));
	assert_int_equal(queue_take_lost(queue), 0);
	while (queue_pop(queue, &message))
		assert_is_numbered(&message, popped++);
	assert_int_equal(popped, pushed);
	/* There is room again, also across the end of the ring. */
	for (unsigned i = 0; i < 1000; i++) {
		message = numbered(i, topic, body);
		assert_int_equal(queue_push(queue, &message), 0);
		assert_true(queue_pop(queue, &message));
		assert_is_numbered(&message, i);
	}
}

static void descriptor_tells_of_messages(void **state)
{
	_cleanup_(queue_freep) struct queue *queue = NULL;
	struct pollfd poll_fd = { .events = POLLIN };
	struct message message;
	char topic[32], body[64];

	(void)state;
	assert_int_equal(queue_new(4096, &queue), 0);
	poll_fd.fd = queue_fd(queue);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	message = numbered(1, topic, body);
	assert_int_equal(queue_push(queue, &message), 0);
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
	queue_clear(queue);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_true(queue_pop(queue, &message));
}

enum { MANY = 200000 };

static void *push_many(void *data)
{
	char topic[32], body[64];

	for (unsigned i = 0; i < MANY;) {
		struct message message = numbered(i, topic, body);

		if (queue_push(data, &message) == 0)
			i++;
	}
	return NULL;
}

static void two_threads_agree(void **state)
{
	_cleanup_(queue_freep) struct queue *queue = NULL;
	struct pollfd poll_fd = { .events = POLLIN };
	pthread_t thread;
	unsigned popped = 0;

	(void)state;
	assert_int_equal(queue_new(16384, &queue), 0);
	poll_fd.fd = queue_fd(queue);
	assert_int_equal(pthread_create(&thread, NULL, push_many, queue), 0);
	while (popped < MANY) {
		struct message message;

		assert_int_equal(poll(&poll_fd, 1, 30000), 1);
		queue_clear(queue);
		while (queue_pop(queue, &message))
			assert_is_numbered(&message, popped++);
	}
	pthread_join(thread, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_queue_counts_what_is_lost),
		cmocka_unit_test(descriptor_tells_of_messages),
		cmocka_unit_test(two_threads_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
