/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.c - what a gateway has to offer, kept apart from the configuration that says so. */
#include "bridge/catalog.h"
#include "bridge/mapping.h"

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

/* Whether two points look the same to those who read them. */
static bool is_same_point(const struct point *a, const struct point *b)
{
	return !strcmp(a->name, b->name) && a->type == b->type && a->total == b->total &&
	       is_same_text(a->unit, b->unit) && is_same_text(a->class, b->class) &&
	       has_same_values(a, b);
}

static bool is_list_of(const struct point *list, size_t count,
		       const struct device_config *device)
{
	if (count != device->point_count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_same_point(&list[i], &device->points[i]))
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
	/* The map that has the locators may be gone before this is. */
	for (size_t i = 0; i < device->point_count; i++)
		copy[i].locator = NULL;
	lists[count] = copy;
	counts[count] = device->point_count;
	catalog->list_count++;
	return copy;
}

static const struct point *find_list(struct catalog *catalog,
				     const struct device_config *device)
{
	for (size_t i = 0; i < catalog->list_count; i++)
		if (is_list_of(catalog->lists[i], catalog->list_counts[i], device))
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
