/* SPDX-License-Identifier: Apache-2.0 */
/* fake_clock.h - a clock that a test sets, in place of what bridge/clock.h tells. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * A program that is linked with fake_clock.c and the flags of Makefile.am has its wall clock,
 * its time since boot and its boot from here; timers run as always. The struct is in memory
 * of its own or, where $FAKE_CLOCK names a file, in that file, for another process to set.
 */
struct fake_clock {
	int64_t wall_ms;      /* at real time 0 of CLOCK_MONOTONIC, if it runs; else now */
	uint64_t boottime_us; /* the same */
	bool runs;
	bool synced;
	uint8_t boot; /* which boot it is */
};

struct fake_clock *fake_clock(void);
