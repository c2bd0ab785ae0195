/* SPDX-License-Identifier: Apache-2.0 */
/* fake_time.h - time that passes only where nothing else is left to be done. */
#pragma once

#include <systemd/sd-event.h>

/*
 * In a program that is linked with fake_time.c and the flags of Makefile.am,
 * clock_monotonic_us() and the timers of sd-event count in a time of the test's own, which
 * fake_time_run() moves on to the next timer once no descriptor is ready any more. All that
 * is tested runs in this process, on pseudo-terminals that it has opened; so nothing hangs on
 * how fast the machine is, and a minute is over at once.
 */

/* Another loop, which has its turn whenever a loop has one; NULL: none any more. */
void fake_time_also(sd_event *loop);

/*
 * One turn: what is ready, else the timer that is due next, but none after `until_us`. What
 * is tested has such a turn when it calls sd_event_run().
 */
void fake_time_run(sd_event *loop, uint64_t until_us);
