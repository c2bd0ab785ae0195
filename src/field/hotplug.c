/* SPDX-License-Identifier: Apache-2.0 */
/* hotplug.c - tells when a serial port is plugged in. */
#include "field/hotplug.h"

#include <errno.h>
#include <systemd/sd-device.h>

struct hotplug {
	sd_device_monitor *monitor;
	hotplug_added *added;
	void *data;
};

static int on_device(_unused_ sd_device_monitor *monitor, sd_device *device, void *data)
{
	const struct hotplug *hotplug = data;
	sd_device_action_t action;

	/* The last thing that is done here: who is told may free this. */
	if (sd_device_get_action(device, &action) >= 0 && action != SD_DEVICE_REMOVE)
		hotplug->added(hotplug->data);
	return 0;
}

int hotplug_new(sd_event *loop, hotplug_added *added, void *data, struct hotplug **result)
{
	_cleanup_(hotplug_freep) struct hotplug *hotplug = calloc(1, sizeof(*hotplug));
	int r;

	if (!hotplug)
		return -ENOMEM;
	hotplug->added = added;
	hotplug->data = data;
	r = sd_device_monitor_new(&hotplug->monitor);
	if (r >= 0)
		r = sd_device_monitor_filter_add_match_subsystem_devtype(hotplug->monitor, "tty",
									 NULL);
	if (r >= 0)
		r = sd_device_monitor_attach_event(hotplug->monitor, loop);
	if (r >= 0)
		r = sd_device_monitor_start(hotplug->monitor, on_device, hotplug);
	if (r < 0)
		return r;
	*result = TAKE_PTR(hotplug);
	return 0;
}

void hotplug_free(struct hotplug *hotplug)
{
	if (!hotplug)
		return;
	sd_device_monitor_unref(hotplug->monitor);
	free(hotplug);
}
