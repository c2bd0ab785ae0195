/* SPDX-License-Identifier: Apache-2.0 */
/* queue.h - the bounded queue of messages from the field side to the uplink side. */
#pragma once

#include "bridge/message.h"

#include <stddef.h>

/*
 * One thread pushes, one thread pops; neither ever waits for the other. Messages are copied
 * in and out.
 */
struct queue;

/* `bytes` is rounded up to a power of two. 0 or -errno. */
int queue_new(size_t bytes, struct queue **queue) _must_check_;
void queue_free(struct queue *queue);
DEFINE_CLEANUP(struct queue *, queue_free)

/* Field side. -ENOBUFS when it is full: the message is lost and counted. */
int queue_push(struct queue *queue, const struct message *message) _must_check_;

/*
 * Uplink side. The next message, pointing into memory of the queue that is valid until the
 * next call; false when there is none.
 */
bool queue_pop(struct queue *queue, struct message *message);

/* Uplink side: messages lost since the last call. */
uint64_t queue_take_lost(struct queue *queue);

/* Becomes readable when messages were pushed; queue_clear() makes it quiet, before popping. */
int queue_fd(const struct queue *queue);
void queue_clear(struct queue *queue);
