/* SPDX-License-Identifier: Apache-2.0 */
/* command.c - the rings that carry commands to the field side, and what became of them back. */
#include "bridge/command.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

/* One way: positions only grow, and are taken modulo COMMANDS_MAX. */
struct way {
	_Alignas(64) atomic_size_t head; /* written by the one who pushes */
	_Alignas(64) atomic_size_t tail; /* written by the one who pops */
	int fd;
};

struct command_ring {
	struct way out, back;
	size_t without_outcome; /* uplink side: pushed, and no outcome popped yet */
	struct command commands[COMMANDS_MAX];
	struct outcome outcomes[COMMANDS_MAX];
};

static int way_open(struct way *way)
{
	way->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return way->fd < 0 ? -errno : 0;
}

/* The place that is to be filled next; way_push() then hands it over. */
static size_t way_free_place(struct way *way)
{
	return atomic_load_explicit(&way->head, memory_order_relaxed) % COMMANDS_MAX;
}

static void way_push(struct way *way)
{
	atomic_fetch_add_explicit(&way->head, 1, memory_order_release);
	/* The counter can't overflow in practice, and a full one would be readable anyway. */
	(void)!eventfd_write(way->fd, 1);
}

/* The place that is to be taken next, and then left by way_pop(); false: there is none. */
static bool way_peek(struct way *way, size_t *place)
{
	size_t tail = atomic_load_explicit(&way->tail, memory_order_relaxed);

	*place = tail % COMMANDS_MAX;
	return tail != atomic_load_explicit(&way->head, memory_order_acquire);
}

static void way_pop(struct way *way)
{
	atomic_fetch_add_explicit(&way->tail, 1, memory_order_release);
}

static void way_clear(struct way *way)
{
	eventfd_t count;

	(void)!eventfd_read(way->fd, &count);
}

int command_ring_new(struct command_ring **result)
{
	_cleanup_(command_ring_freep) struct command_ring *ring =
		aligned_alloc(64, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	memset(ring, 0, sizeof(*ring));
	ring->out.fd = ring->back.fd = -1;
	r = way_open(&ring->out);
	if (r == 0)
		r = way_open(&ring->back);
	if (r < 0)
		return r;
	*result = TAKE_PTR(ring);
	return 0;
}

void command_ring_free(struct command_ring *ring)
{
	if (!ring)
		return;
	closep(&ring->out.fd);
	closep(&ring->back.fd);
	free(ring);
}

/*
 * Who has its outcome has left the ring of commands before: popping the outcome acquires what
 * the field side did, so a place that is free by this count is free for good.
 */
int command_push(struct command_ring *ring, const struct command *command)
{
	if (ring->without_outcome == COMMANDS_MAX)
		return -ENOBUFS;
	ring->without_outcome++;
	ring->commands[way_free_place(&ring->out)] = *command;
	way_push(&ring->out);
	return 0;
}

bool command_pop(struct command_ring *ring, struct command *command)
{
	size_t place;

	if (!way_peek(&ring->out, &place))
		return false;
	*command = ring->commands[place];
	way_pop(&ring->out);
	return true;
}

void outcome_push(struct command_ring *ring, const struct outcome *outcome)
{
	ring->outcomes[way_free_place(&ring->back)] = *outcome;
	way_push(&ring->back);
}

bool outcome_pop(struct command_ring *ring, struct outcome *outcome)
{
	size_t place;

	if (!way_peek(&ring->back, &place))
		return false;
	*outcome = ring->outcomes[place];
	way_pop(&ring->back);
	assert(ring->without_outcome);
	ring->without_outcome--;
	return true;
}

int command_fd(const struct command_ring *ring)
{
	return ring->out.fd;
}

void command_clear(struct command_ring *ring)
{
	way_clear(&ring->out);
}

int outcome_fd(const struct command_ring *ring)
{
	return ring->back.fd;
}

void outcome_clear(struct command_ring *ring)
{
	way_clear(&ring->back);
}
