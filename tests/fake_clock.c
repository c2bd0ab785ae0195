/* SPDX-License-Identifier: Apache-2.0 */
/* fake_clock.c - a clock that a test sets, in place of what bridge/clock.h tells. */
#include "fake_clock.h"
#include "base/units.h"
#include "bridge/clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

struct fake_clock *fake_clock(void)
{
	static struct fake_clock own, *clock;
	const char *path = getenv("FAKE_CLOCK");
	int fd;

	if (clock)
		return clock;
	clock = &own;
	if (!path)
		return clock;
	fd = open(path, O_RDWR | O_CLOEXEC);
	clock = mmap(NULL, sizeof(*clock), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (clock == MAP_FAILED)
		abort();
	return clock;
}

static uint64_t passed_us(void)
{
	return fake_clock()->runs ? clock_monotonic_us() : 0;
}

uint64_t __wrap_clock_boottime_us(void);
uint64_t __wrap_clock_wall_us(void);
int64_t __wrap_clock_wall_ms(void);
bool __wrap_clock_is_synced(void);
void __wrap_clock_boot_id(uint8_t id[BOOT_ID_SIZE]);
void __wrap_clock_stamp(struct message *message);

uint64_t __wrap_clock_boottime_us(void)
{
	return fake_clock()->boottime_us + passed_us();
}

uint64_t __wrap_clock_wall_us(void)
{
	return fake_clock()->wall_ms * USEC_PER_MSEC + passed_us();
}

int64_t __wrap_clock_wall_ms(void)
{
	return __wrap_clock_wall_us() / USEC_PER_MSEC;
}

bool __wrap_clock_is_synced(void)
{
	return fake_clock()->synced;
}

void __wrap_clock_boot_id(uint8_t id[BOOT_ID_SIZE])
{
	memset(id, fake_clock()->boot, BOOT_ID_SIZE);
}

void __wrap_clock_stamp(struct message *message)
{
	message->boottime_us = __wrap_clock_boottime_us();
	message->wall_ms = __wrap_clock_wall_ms();
	message->wall_synced = fake_clock()->synced;
}
