/* SPDX-License-Identifier: Apache-2.0 */
/* fake_time.c - time that passes only where nothing else is left to be done. */
#include "fake_time.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "bridge/clock.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum {
	TIMERS_MAX = 256,
	TERMINALS_MAX = 64,
	SLAVE_MAJOR = 136, /* Documentation/admin-guide/devices.txt of Linux */
	TERMINAL_ROOM = 4095, /* bytes that the kernel keeps for one that does not read */
	PATIENCE_S = 60,      /* for the kernel to carry bytes from end to end */
};

struct timer {
	sd_event_source *source; /* NULL: a free place */
	sd_event_time_handler_t callback;
	void *data;
	uint64_t time_us;
	int enabled;
};

/* A pseudo-terminal: its master, and the number that its other end has in /dev/pts. */
struct terminal {
	int master;
	unsigned number;
};

static struct timer timers[TIMERS_MAX];
static sd_event *other_loop;
static struct terminal terminals[TERMINALS_MAX];
static size_t terminal_count;
static uint64_t time_us = 1000 * USEC_PER_SEC;

/* --- the clock and its timers --- */

uint64_t __wrap_clock_monotonic_us(void);
int __real_sd_event_add_time(sd_event *loop, sd_event_source **source, clockid_t clock,
			     uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback,
			     void *data);
int __wrap_sd_event_add_time(sd_event *loop, sd_event_source **source, clockid_t clock,
			     uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback,
			     void *data);
int __real_sd_event_source_set_time(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_time(sd_event_source *source, uint64_t usec);
int __real_sd_event_source_set_enabled(sd_event_source *source, int enabled);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);
sd_event_source *__real_sd_event_source_disable_unref(sd_event_source *source);
sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source);
int __real_sd_event_run(sd_event *loop, uint64_t usec);
int __wrap_sd_event_run(sd_event *loop, uint64_t usec);

/* Who looks again and again sees it pass. */
uint64_t __wrap_clock_monotonic_us(void)
{
	return ++time_us;
}

static struct timer *timer_of(const sd_event_source *source)
{
	for (size_t i = 0; i < TIMERS_MAX; i++)
		if (timers[i].source == source)
			return &timers[i];
	return NULL;
}

/* The source of sd-event's never fires; it is what the timer is known by. */
int __wrap_sd_event_add_time(sd_event *loop, sd_event_source **source, clockid_t clock,
			     uint64_t usec, uint64_t accuracy, sd_event_time_handler_t callback,
			     void *data)
{
	struct timer *timer = timer_of(NULL);
	int r;

	if (!timer || clock != CLOCK_MONOTONIC)
		abort();
	r = __real_sd_event_add_time(loop, source, clock, UINT64_MAX, accuracy, callback, data);
	if (r >= 0)
		*timer = (struct timer){*source, callback, data, usec, SD_EVENT_ONESHOT};
	return r;
}

int __wrap_sd_event_source_set_time(sd_event_source *source, uint64_t usec)
{
	timer_of(source)->time_us = usec;
	return 0;
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
	struct timer *timer = timer_of(source);

	if (!timer)
		return __real_sd_event_source_set_enabled(source, enabled);
	timer->enabled = enabled;
	return 0;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
	struct timer *timer = source ? timer_of(source) : NULL;

	if (timer)
		timer->source = NULL;
	return __real_sd_event_source_disable_unref(source);
}

void fake_time_also(sd_event *loop)
{
	other_loop = loop;
}

/* What is ready, of both loops; false: nothing is. */
static bool run_ready(sd_event *loop)
{
	int r = __real_sd_event_run(loop, 0);
	int also = other_loop && other_loop != loop ? __real_sd_event_run(other_loop, 0) : 0;

	if (r < 0 || also < 0)
		abort();
	return r > 0 || also > 0;
}

int __wrap_sd_event_run(sd_event *loop, uint64_t usec)
{
	fake_time_run(loop, usec > UINT64_MAX - time_us ? UINT64_MAX : time_us + usec);
	return 1;
}

void fake_time_run(sd_event *loop, uint64_t until_us)
{
	struct timer *next = NULL;

	if (run_ready(loop))
		return;
	for (size_t i = 0; i < TIMERS_MAX; i++)
		if (timers[i].source && timers[i].enabled != SD_EVENT_OFF &&
		    (!next || timers[i].time_us < next->time_us))
			next = &timers[i];
	if (!next || next->time_us > until_us) {
		time_us = until_us;
		return;
	}
	if (time_us < next->time_us)
		time_us = next->time_us;
	if (next->enabled == SD_EVENT_ONESHOT)
		next->enabled = SD_EVENT_OFF;
	if (next->callback(next->source, next->time_us, next->data) < 0)
		abort();
}

/* --- terminals: what is written has arrived when write() returns --- */

int __real_posix_openpt(int flags);
int __wrap_posix_openpt(int flags);
ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);

/* Numbers of descriptors and terminals are used again: what had them before is gone. */
int __wrap_posix_openpt(int flags)
{
	int fd = __real_posix_openpt(flags);
	unsigned number;
	size_t i = 0;

	if (fd < 0 || ioctl(fd, TIOCGPTN, &number) < 0)
		return fd;
	while (i < terminal_count && terminals[i].master != fd && terminals[i].number != number)
		i++;
	if (i == TERMINALS_MAX)
		abort();
	terminals[i] = (struct terminal){fd, number};
	terminal_count += i == terminal_count;
	return fd;
}

/* A descriptor of the end that reads what is written to `fd`, to be closed; -1: none. */
static int other_end(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode))
		return -1;
	for (size_t i = 0; i < terminal_count; i++) {
		if (terminals[i].master == fd)
			return ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (major(st.st_rdev) == SLAVE_MAJOR && minor(st.st_rdev) == terminals[i].number)
			return dup(terminals[i].master);
	}
	return -1;
}

static int waiting(int fd)
{
	int n = 0;

	return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 ? n : 0;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	_cleanup_close_ int other = other_end(fd);
	int before = waiting(other);
	ssize_t written = __real_write(fd, bytes, n);
	time_t end = time(NULL) + PATIENCE_S;

	if (other < 0 || written <= 0)
		return written;
	while (waiting(other) < before + written && waiting(other) < TERMINAL_ROOM) {
		if (time(NULL) > end)
			abort();
		sched_yield();
	}
	return written;
}
