/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - what time it is, and which boot of the machine this is. */
#include "bridge/clock.h"
#include "base/units.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/timex.h>
#include <systemd/sd-id128.h>
#include <time.h>

static uint64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
	return clock_wall_us() / USEC_PER_MSEC;
}

uint64_t clock_boottime_us(void)
{
	return clock_us(CLOCK_BOOTTIME);
}

static atomic_bool noted_synced;

bool clock_can_be_asked(void)
{
	return adjtimex(&(struct timex){ .modes = 0 }) >= 0;
}

void clock_note_synced(bool synced)
{
	atomic_store(&noted_synced, synced);
}

bool clock_is_synced(void)
{
	struct timex state = { .modes = 0 };
	bool may_ask = adjtimex(&state) >= 0;

	if (may_ask ? !(state.status & STA_UNSYNC) : atomic_load(&noted_synced))
		return true;
	return access("/run/systemd/timesync/synchronized", F_OK) == 0;
}

void clock_stamp(struct message *message)
{
	message->boottime_us = clock_boottime_us();
	message->wall_ms = clock_wall_ms();
	message->wall_synced = clock_is_synced();
}

void clock_boot_id(uint8_t id[BOOT_ID_SIZE])
{
	sd_id128_t boot;

	memset(id, 0, BOOT_ID_SIZE);
	if (sd_id128_get_boot(&boot) >= 0)
		memcpy(id, boot.bytes, BOOT_ID_SIZE);
}
