/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.c - what a gateway has to offer, kept apart from the configuration that says so. */
#include "bridge/catalog.h"
#include "bridge/mapping.h"
#include "config/writing.h"

#include <errno.h>
#include <string.h>

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool has_same_values(const struct point *a, const struct point *b)
{
	if (a->value_count != b->value_count)
		return false;
	for (size_t i = 0; i < a->value_count; i++)
		if (strcmp(a->values[i].name, b->values[i].name) != 0)
			return false;
	return true;
}

static bool has_same_range(const struct point *a, const struct point *b)
{
	return a->has_write_min == b->has_write_min && a->write_min == b->write_min &&
	       a->has_write_max == b->has_write_max && a->write_max == b->write_max &&
	       a->has_write_step == b->has_write_step && a->write_step == b->write_step &&
	       a->scale == b->scale && a->offset == b->offset;
}

/* Whether a point that is kept looks the same to those who read and set it. */
static bool is_same_point(const struct point *kept, const struct point *point, bool commands)
{
	if (strcmp(kept->name, point->name) || kept->type != point->type ||
	    kept->length != point->length || kept->total != point->total ||
	    !is_same_text(kept->unit, point->unit) ||
	    !is_same_text(kept->class, point->class) || !has_same_values(kept, point) ||
	    kept->writable != (point->writable && commands) ||
	    point_is_read(kept) != point_is_read(point))
		return false;
	return !kept->writable || (has_same_range(kept, point) &&
				   writing_is_action(kept) == writing_is_action(point));
}

/*
 * What stands for the locators of a map, which may be gone before the catalog is: whether the
 * point is read, and whether it is an action.
 */
static const struct locator *stand_in(const struct point *point)
{
	static const struct phrase of_action; /* without a value */
	static const struct locator written = { .how = LOCATE_NOWHERE };
	static const struct locator action = { .how = LOCATE_NOWHERE,
					       .phrase = (struct phrase *)&of_action };
	static const struct locator read_action = { .phrase = (struct phrase *)&of_action };

	if (!point->locator)
		return NULL;
	if (point->writable && writing_is_action(point) && !point->write_pulse_us)
		return point_is_read(point) ? &read_action : &action;
	return point_is_read(point) ? NULL : &written;
}

static bool is_list_of(const struct catalog *catalog, size_t index,
		       const struct device_config *device)
{
	if (catalog->list_counts[index] != device->point_count)
		return false;
	for (size_t i = 0; i < device->point_count; i++)
		if (!is_same_point(&catalog->lists[index][i], &device->points[i],
				   catalog->commands))
			return false;
	return true;
}

static const struct point *add_list(struct catalog *catalog,
				    const struct device_config *device)
{
	size_t count = catalog->list_count;
	struct point *copy = points_copy(device->points, device->point_count);
	struct point **lists;
	size_t *counts;

	if (!copy)
		return NULL;
	lists = reallocarray(catalog->lists, count + 1, sizeof(*lists));
	if (lists)
		catalog->lists = lists;
	counts = reallocarray(catalog->list_counts, count + 1, sizeof(*counts));
	if (counts)
		catalog->list_counts = counts;
	if (!lists || !counts) {
		points_free(copy, device->point_count);
		return NULL;
	}
	for (size_t i = 0; i < device->point_count; i++) {
		copy[i].writable = copy[i].writable && catalog->commands;
		copy[i].locator = stand_in(&copy[i]);
	}
	lists[count] = copy;
	counts[count] = device->point_count;
	catalog->list_count++;
	return copy;
}

static const struct point *find_list(struct catalog *catalog,
				     const struct device_config *device)
{
	for (size_t i = 0; i < catalog->list_count; i++)
		if (is_list_of(catalog, i, device))
			return catalog->lists[i];
	return add_list(catalog, device);
}

static int add_device(struct catalog *catalog, const struct conf *conf, const char *bus,
		      const struct device_config *config)
{
	struct catalog_device *device = &catalog->devices[catalog->device_count++];

	device->name = strdup(config->name);
	device->topic = topic_expand(config->topic ? config->topic : conf->publish.topic,
				     conf->gateway, bus, config, NULL);
	device->map = strdup(config->map->name);
	device->title = strdup(config->map->title ? config->map->title : config->map->name);
	device->points = find_list(catalog, config);
	device->point_count = config->point_count;
	if (!device->name || !device->topic || !device->map || !device->title ||
	    !device->points)
		return -ENOMEM;
	return 0;
}

static int add_devices(struct catalog *catalog, const struct config *config)
{
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < config->bus_count; i++)
		count += config->buses[i]->device_count;
	catalog->devices = calloc(count ? count : 1, sizeof(*catalog->devices));
	if (!catalog->devices)
		return -ENOMEM;
	for (size_t i = 0; i < config->bus_count && r == 0; i++) {
		const struct bus_config *bus = config->buses[i];

		for (size_t j = 0; j < bus->device_count && r == 0; j++)
			r = add_device(catalog, config->conf, bus->name, &bus->devices[j]);
	}
	return r;
}

int catalog_new(const struct config *config, struct catalog **result)
{
	const struct publish_conf *publish = &config->conf->publish;
	_cleanup_(catalog_freep) struct catalog *catalog = calloc(1, sizeof(*catalog));
	int r = 0;

	if (!catalog)
		return -ENOMEM;
	catalog->gateway = strdup(config->conf->gateway);
	catalog->discovery = publish->discovery;
	catalog->discovery_prefix = strdup(publish->discovery_prefix);
	catalog->birth_topic = strdup(publish->birth_topic);
	catalog->commands = config->conf->commands;
	catalog->layout = publish->layout;
	catalog->payload = publish->payload;
	if (!catalog->gateway || !catalog->discovery_prefix || !catalog->birth_topic)
		return -ENOMEM;
	if (publish->discovery != DISCOVERY_NONE)
		r = add_devices(catalog, config);
	if (r < 0)
		return r;
	*result = TAKE_PTR(catalog);
	return 0;
}

void catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	for (size_t i = 0; i < catalog->device_count; i++) {
		free(catalog->devices[i].name);
		free(catalog->devices[i].topic);
		free(catalog->devices[i].map);
		free(catalog->devices[i].title);
	}
	for (size_t i = 0; i < catalog->list_count; i++)
		points_free(catalog->lists[i], catalog->list_counts[i]);
	free(catalog->lists);
	free(catalog->list_counts);
	free(catalog->devices);
	free(catalog->gateway);
	free(catalog->discovery_prefix);
	free(catalog->birth_topic);
	free(catalog);
}
