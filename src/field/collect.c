/* SPDX-License-Identifier: Apache-2.0 */
/* collect.c - which of the values that a device says are due, and when the next ones are. */
#include "field/collect.h"

uint64_t collect_first_due_us(const struct device *device)
{
	uint64_t due_us = UINT64_MAX;

	for (size_t i = 0; i < device->config->point_count; i++)
		if (device->due_us[i] < due_us)
			due_us = device->due_us[i];
	return due_us;
}

bool collect_has(const struct device *device, size_t point)
{
	for (size_t i = 0; i < device->reading_count; i++) {
		if (device->readings[i].point == point)
			return true;
	}
	return false;
}

bool collect_is_complete(const struct device *device, uint64_t now_us)
{
	for (size_t i = 0; i < device->config->point_count; i++) {
		if (device->due_us[i] <= now_us && !collect_has(device, i))
			return false;
	}
	return true;
}

void collect_again(struct device *device, size_t point, uint64_t now_us)
{
	uint64_t every_us = device->config->points[point].every_us;
	uint64_t *due_us = &device->due_us[point];

	*due_us += every_us;
	if (*due_us <= now_us)
		*due_us = now_us + every_us - (now_us - *due_us) % every_us;
}

void collect_all_again(struct device *device, uint64_t now_us)
{
	for (size_t i = 0; i < device->config->point_count; i++)
		if (device->due_us[i] <= now_us)
			collect_again(device, i, now_us);
}
