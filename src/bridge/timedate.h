/* SPDX-License-Identifier: Apache-2.0 */
/* timedate.h - asks systemd-timedated whether the clock is right, where the kernel may not be. */
#pragma once

#include "base/cleanup.h"

#include <systemd/sd-event.h>

/*
 * The call that reads whether the clock is right is the one that sets it, so that a service
 * which is to have no part in that (ProtectClock= of systemd) may not read it either. D-Bus
 * then has the answer: `NTPSynchronized` of org.freedesktop.timedate1, whoever keeps the time.
 */
struct timedate;

/*
 * Asks again and again as long as the loop runs, never waits, and tells clock_note_synced().
 * Where the kernel can be asked, there is nothing to do: *timedate is NULL. 0 or -errno.
 */
int timedate_new(sd_event *loop, struct timedate **timedate) _must_check_;
void timedate_free(struct timedate *timedate);
DEFINE_CLEANUP(struct timedate *, timedate_free)
