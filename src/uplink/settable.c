/* SPDX-License-Identifier: Apache-2.0 */
/* settable.c - the points that commands may write, apart from the configuration they are of. */
#include "uplink/settable.h"

#include <errno.h>
#include <string.h>

struct settable_device {
	char *name;
	const struct device_map *map; /* shared: points lead into it */
	struct point *points;
	size_t point_count;
};

struct settable {
	uint64_t max_age_us;
	size_t count; /* of all points */
	struct settable_device *devices; /* that have any */
	size_t device_count;
};

static size_t count_writable(const struct device_config *config)
{
	size_t count = 0;

	for (size_t i = 0; i < config->point_count; i++)
		count += config->points[i].writable;
	return count;
}

static int copy_points(const struct device_config *config, struct settable_device *device)
{
	for (size_t i = 0; i < config->point_count; i++) {
		struct point *copy;

		if (!config->points[i].writable)
			continue;
		copy = points_copy(&config->points[i], 1);
		if (!copy)
			return -ENOMEM;
		device->points[device->point_count++] = *copy;
		free(copy);
	}
	return 0;
}

static int add_device(struct settable *settable, const struct device_config *config)
{
	struct settable_device *device = &settable->devices[settable->device_count];
	size_t count = count_writable(config);

	if (!count)
		return 0;
	settable->device_count++;
	device->map = device_map_share(config->map);
	device->name = strdup(config->name);
	device->points = calloc(count, sizeof(*device->points));
	if (!device->name || !device->points)
		return -ENOMEM;
	settable->count += count;
	return copy_points(config, device);
}

static int add_bus(struct settable *settable, const struct bus_config *config)
{
	struct settable_device *more =
		reallocarray(settable->devices, settable->device_count + config->device_count + 1,
			     sizeof(*more));
	int r = 0;

	if (!more)
		return -ENOMEM;
	settable->devices = more;
	memset(more + settable->device_count, 0, (config->device_count + 1) * sizeof(*more));
	for (size_t i = 0; r == 0 && i < config->device_count; i++)
		r = add_device(settable, &config->devices[i]);
	return r;
}

struct settable *settable_new(const struct config *config)
{
	_cleanup_(settable_freep) struct settable *settable = calloc(1, sizeof(*settable));

	if (!settable)
		return NULL;
	settable->max_age_us = config->conf->command_max_age_us;
	for (size_t i = 0; config->conf->commands && i < config->bus_count; i++)
		if (add_bus(settable, config->buses[i]) < 0)
			return NULL;
	return TAKE_PTR(settable);
}

void settable_free(struct settable *settable)
{
	if (!settable)
		return;
	for (size_t i = 0; i < settable->device_count; i++) {
		struct settable_device *device = &settable->devices[i];

		points_free(device->points, device->point_count);
		device_map_free((struct device_map *)device->map);
		free(device->name);
	}
	free(settable->devices);
	free(settable);
}

size_t settable_count(const struct settable *settable)
{
	return settable->count;
}

uint64_t settable_max_age_us(const struct settable *settable)
{
	return settable->max_age_us;
}

static const struct settable_device *find_device(const struct settable *settable,
						 const char *name)
{
	for (size_t i = 0; i < settable->device_count; i++)
		if (!strcmp(settable->devices[i].name, name))
			return &settable->devices[i];
	return NULL;
}

const struct point *settable_find(const struct settable *settable, const char *name,
				  const char *point, const char **error)
{
	const struct settable_device *device = find_device(settable, name);

	*error = settable->count ? "there is no such device with points that can be written" :
				   "this gateway takes no commands";
	if (!device)
		return NULL;
	for (size_t i = 0; i < device->point_count; i++)
		if (!strcmp(device->points[i].name, point))
			return &device->points[i];
	*error = "there is no such point that can be written";
	return NULL;
}
