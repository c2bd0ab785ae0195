/* SPDX-License-Identifier: Apache-2.0 */
/* hotplug.h - tells when a serial port is plugged in. */
#pragma once

#include "base/cleanup.h"

#include <systemd/sd-event.h>

struct hotplug;

/* Called each time a terminal device is there, after its names in /dev are. */
typedef void hotplug_added(void *data);

/* 0 or -errno: where udev does not run nobody tells, and who waits has to look. */
int hotplug_new(sd_event *loop, hotplug_added *added, void *data,
		struct hotplug **hotplug) _must_check_;
void hotplug_free(struct hotplug *hotplug);
DEFINE_CLEANUP(struct hotplug *, hotplug_free)
