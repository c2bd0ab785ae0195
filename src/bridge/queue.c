/* SPDX-License-Identifier: Apache-2.0 */
/* queue.c - the bounded queue of messages from the field side to the uplink side. */
#include "bridge/queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

/*
 * A ring of bytes. Each entry is a struct message, its topic and its body, at a multiple of
 * 8; positions only grow, and are taken modulo the size. An entry never wraps: where it does
 * not fit in what is left before the end, a filler of length 0 skips that.
 */
struct entry {
	uint64_t length; /* with this header, rounded up to 8; 0: skip to the end */
	struct message message;
};

struct queue {
	uint8_t *ring;
	size_t size;
	int fd;
	_Alignas(64) atomic_size_t head; /* written by the one who pushes */
	_Alignas(64) atomic_size_t tail; /* written by the one who pops */
	size_t taken;                    /* length of the entry that was popped last */
	_Alignas(64) _Atomic uint64_t lost;
};

int queue_new(size_t bytes, struct queue **result)
{
	_cleanup_(queue_freep) struct queue *queue = aligned_alloc(64, sizeof(*queue));
	size_t size = 4096;

	if (!queue)
		return -ENOMEM;
	memset(queue, 0, sizeof(*queue));
	queue->fd = -1;
	while (size < bytes)
		size *= 2;
	queue->size = size;
	queue->ring = malloc(size);
	if (!queue->ring)
		return -ENOMEM;
	queue->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (queue->fd < 0)
		return -errno;
	*result = TAKE_PTR(queue);
	return 0;
}

void queue_free(struct queue *queue)
{
	if (!queue)
		return;
	closep(&queue->fd);
	free(queue->ring);
	free(queue);
}

static size_t entry_length(const struct message *message)
{
	size_t length = sizeof(struct entry) + message->topic_length + message->body_length;

	return (length + 7) & ~(size_t)7;
}

int queue_push(struct queue *queue, const struct message *message)
{
	size_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
	size_t tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
	size_t length = entry_length(message), at = head % queue->size;
	size_t skip = queue->size - at < length ? queue->size - at : 0;
	struct entry *entry;

	if (queue->size - (head - tail) < skip + length) {
		atomic_fetch_add_explicit(&queue->lost, 1, memory_order_relaxed);
		return -ENOBUFS;
	}
	if (skip) {
		memset(queue->ring + at, 0, sizeof(entry->length));
		at = 0;
	}
	entry = (struct entry *)(queue->ring + at);
	entry->length = length;
	entry->message = *message;
	memcpy(entry + 1, message->topic, message->topic_length);
	memcpy((char *)(entry + 1) + message->topic_length, message->body,
	       message->body_length);
	atomic_store_explicit(&queue->head, head + skip + length, memory_order_release);
	/* The counter can't overflow in practice, and a full one would be readable anyway. */
	(void)!eventfd_write(queue->fd, 1);
	return 0;
}

bool queue_pop(struct queue *queue, struct message *message)
{
	size_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed) + queue->taken;
	size_t head = atomic_load_explicit(&queue->head, memory_order_acquire);
	struct entry *entry;

	queue->taken = 0;
	if (tail != head) {
		entry = (struct entry *)(queue->ring + tail % queue->size);
		if (!entry->length)
			tail += queue->size - tail % queue->size;
	}
	atomic_store_explicit(&queue->tail, tail, memory_order_release);
	if (tail == head)
		return false;
	entry = (struct entry *)(queue->ring + tail % queue->size);
	*message = entry->message;
	message->topic = (const char *)(entry + 1);
	message->body = message->topic + message->topic_length;
	queue->taken = entry->length;
	return true;
}

uint64_t queue_take_lost(struct queue *queue)
{
	return atomic_exchange_explicit(&queue->lost, 0, memory_order_relaxed);
}

int queue_fd(const struct queue *queue)
{
	return queue->fd;
}

void queue_clear(struct queue *queue)
{
	eventfd_t count;

	(void)!eventfd_read(queue->fd, &count);
}
