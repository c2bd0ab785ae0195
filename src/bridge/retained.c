/* SPDX-License-Identifier: Apache-2.0 */
/* retained.c - the topics on which a broker keeps something of a configuration; pure. */
#include "bridge/retained.h"
#include "bridge/mapping.h"

#include <errno.h>
#include <string.h>

enum { FIRST_ROOM = 64 };

static void topics_free(struct retained_topic *topics, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(topics[i].topic);
	free(topics);
}

void retained_free(struct retained *retained)
{
	if (!retained)
		return;
	topics_free(retained->topics, retained->count);
	free(retained);
}

/* Takes the topic, be it that it fails. */
static int add(struct retained *retained, char *topic, bool availability)
{
	size_t count = retained->count;

	if (!topic)
		return -ENOMEM;
	/* It is full at each power of two. */
	if (count == 0 || (count >= FIRST_ROOM && !(count & (count - 1)))) {
		struct retained_topic *more =
			reallocarray(retained->topics, count ? 2 * count : FIRST_ROOM,
				     sizeof(*more));

		if (!more) {
			free(topic);
			return -ENOMEM;
		}
		retained->topics = more;
	}
	retained->topics[retained->count++] =
		(struct retained_topic){ .topic = topic, .availability = availability };
	return 0;
}

static char *expand(const struct config *config, const struct bus_config *bus,
		    const struct device_config *device, const char *format)
{
	return topic_expand(format, config->conf->gateway, bus->name, device, NULL);
}

static int add_readings(struct retained *retained, const struct config *config,
			const struct bus_config *bus, const struct device_config *device)
{
	const struct publish_conf *publish = &config->conf->publish;
	char *topic = expand(config, bus, device,
			     device->topic ? device->topic : publish->topic);
	int r = topic ? 0 : -ENOMEM;

	if (publish->layout == LAYOUT_DEVICE)
		return add(retained, topic, false);
	for (size_t i = 0; i < device->point_count && r == 0; i++) {
		char *of_point;

		if (asprintf(&of_point, "%s/%s", topic, device->points[i].name) < 0)
			of_point = NULL;
		r = add(retained, of_point, false);
	}
	free(topic);
	return r;
}

static int add_bus(struct retained *retained, const struct config *config,
		   const struct bus_config *bus)
{
	char *topic;
	int r;

	if (asprintf(&topic, "%s/status/bus/%s", config->conf->gateway, bus->name) < 0)
		topic = NULL;
	r = add(retained, topic, false);
	for (size_t i = 0; i < bus->device_count && r == 0; i++) {
		const struct device_config *device = &bus->devices[i];

		r = add(retained,
			expand(config, bus, device, "{gateway}/{device}/availability"), true);
		if (r == 0 && config->conf->publish.retain)
			r = add_readings(retained, config, bus, device);
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct retained_topic *)a)->topic,
		      ((const struct retained_topic *)b)->topic);
}

static int collect(const struct config *config, struct retained **result)
{
	_cleanup_(retained_freep) struct retained *retained = calloc(1, sizeof(*retained));
	int r = retained ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->bus_count && r == 0; i++)
		r = add_bus(retained, config, config->buses[i]);
	if (r < 0)
		return r;
	if (retained->count)
		qsort(retained->topics, retained->count, sizeof(*retained->topics),
		      compare);
	*result = TAKE_PTR(retained);
	return 0;
}

int retained_gone(const struct config *old, const struct config *new,
		  struct retained **result)
{
	_cleanup_(retained_freep) struct retained *gone = NULL, *kept = NULL;
	size_t count = 0;
	int r = collect(old, &gone);

	if (r == 0)
		r = collect(new, &kept);
	if (r < 0)
		return r;
	for (size_t i = 0; i < gone->count; i++) {
		struct retained_topic topic = gone->topics[i];

		if (kept->count &&
		    bsearch(&topic, kept->topics, kept->count, sizeof(topic), compare))
			free(topic.topic);
		else
			gone->topics[count++] = topic;
	}
	gone->count = count;
	*result = TAKE_PTR(gone);
	return 0;
}
