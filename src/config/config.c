/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - all that the user wrote, read together: gateway, buses and their maps. */
#include "config/config.h"

#include "config/topic.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

/* One device of any bus, with its whole topic, for comparing with the others. */
struct placed {
	const struct bus_config *bus;
	const struct device_config *device;
	char *topic;
};

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->bus_count; i++)
		bus_config_free(config->buses[i]);
	free(config->buses);
	conf_free(config->conf);
	free(config);
}

static int is_bus_file(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	/* Editors' hidden copies are not meant. */
	return entry->d_name[0] != '.' && length > 5 &&
	       !strcmp(entry->d_name + length - 5, ".yaml");
}

/* The order must not hang on the locale, as alphasort's does. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_bus(struct config *config, struct map_library *library, const char *name,
		    struct faults *faults)
{
	_cleanup_free_ char *file = NULL;

	if (asprintf(&file, "%s/%s", config->conf->buses, name) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	return bus_config_load(file, library, &config->buses[config->bus_count], faults);
}

/* Reads every bus file; one with faults does not keep the others from being read. */
static int load_buses(struct config *config, struct map_library *library,
		      struct faults *faults)
{
	struct dirent **entries;
	int count, r, result = 0;

	count = scandir(config->conf->buses, &entries, is_bus_file, compare_names);
	if (count < 0) {
		r = -errno;
		faults_add(faults, config->conf->buses, 0, 0,
			   "the directory of the bus files cannot be read: %s", strerror(-r));
		return r;
	}
	config->buses = calloc(count + 1, sizeof(*config->buses));
	for (int i = 0; i < count; i++) {
		r = config->buses ? load_bus(config, library, entries[i]->d_name, faults) :
				  -ENOMEM;
		if (r < 0 && result != -ENOMEM)
			result = r;
		config->bus_count += r == 0;
		free(entries[i]);
	}
	free(entries);
	if (count == 0)
		faults_add(faults, config->conf->buses, 0, 0,
			   "no bus: at least one NAME.yaml is needed here");
	return result < 0 ? result : count ? 0 : -EINVAL;
}

static int check_buses(const struct config *config, struct faults *faults)
{
	size_t before = faults_count(faults);

	for (size_t i = 0; i < config->bus_count; i++) {
		const struct bus_config *bus = config->buses[i];

		for (size_t j = 0; j < i; j++) {
			const struct bus_config *other = config->buses[j];

			if (!strcmp(bus->name, other->name))
				faults_add(faults, bus->file, 0, 0,
					   "bus '%s' is in %s already", bus->name,
					   other->file);
			if (!strcmp(bus->port, other->port))
				faults_add(faults, bus->file, 0, 0,
					   "port %s is bus %s's already (%s)", bus->port,
					   other->name, other->file);
		}
	}
	return faults_count(faults) > before ? -EINVAL : 0;
}

static char *device_topic(const struct conf *conf, const struct bus_config *bus,
			  const struct device_config *device)
{
	char address[4];
	const struct topic_words words = {
		.gateway = conf->gateway,
		.bus = bus->name,
		.device = device->name,
		.address = address,
		.map = device->map->name,
	};

	snprintf(address, sizeof(address), "%u", device->address);
	return topic_fill(device->topic ? device->topic : conf->publish.topic, &words);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct placed *)a)->device->name,
		      ((const struct placed *)b)->device->name);
}

static int by_topic(const void *a, const void *b)
{
	return strcmp(((const struct placed *)a)->topic, ((const struct placed *)b)->topic);
}

/* The fault stands at the later of the two, as they are read. */
static void add_twice(const struct placed *a, const struct placed *b, bool name,
		      struct faults *faults)
{
	int files = strcmp(a->bus->file, b->bus->file);
	bool a_first = files < 0 || (!files && a->device->line <= b->device->line);
	const struct placed *first = a_first ? a : b, *later = a_first ? b : a;

	faults_add(faults, later->bus->file, later->device->line, later->device->column,
		   "%s '%s' is %s%s already (%s, line %u)", name ? "the name" : "topic",
		   name ? later->device->name : later->topic, name ? "" : "that of ",
		   name ? "another device's" : first->device->name, first->bus->file,
		   first->device->line);
}

static int check_placed(struct placed *all, size_t count, struct faults *faults)
{
	size_t before = faults_count(faults);

	qsort(all, count, sizeof(*all), by_name);
	for (size_t i = 1; i < count; i++) {
		if (!by_name(&all[i - 1], &all[i]))
			add_twice(&all[i - 1], &all[i], true, faults);
	}
	qsort(all, count, sizeof(*all), by_topic);
	for (size_t i = 1; i < count; i++) {
		/* Of the same name they were told above. */
		if (!by_topic(&all[i - 1], &all[i]) && by_name(&all[i - 1], &all[i]))
			add_twice(&all[i - 1], &all[i], false, faults);
	}
	return faults_count(faults) > before ? -EINVAL : 0;
}

static int check_devices(const struct config *config, struct faults *faults)
{
	_cleanup_free_ struct placed *all = NULL;
	size_t count = 0, room = 0;
	int r = 0;

	for (size_t i = 0; i < config->bus_count; i++)
		room += config->buses[i]->device_count;
	all = calloc(room + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < config->bus_count; i++) {
		const struct bus_config *bus = config->buses[i];

		for (size_t j = 0; j < bus->device_count; j++) {
			all[count] = (struct placed){
				.bus = bus,
				.device = &bus->devices[j],
				.topic = device_topic(config->conf, bus, &bus->devices[j]),
			};
			if (!all[count++].topic)
				r = -ENOMEM;
		}
	}
	if (!r)
		r = check_placed(all, count, faults);
	for (size_t i = 0; i < count; i++)
		free(all[i].topic);
	return r;
}

int config_load(const char *file, const char *const *driver_names, struct config **config,
		struct faults *faults)
{
	_cleanup_(config_freep) struct config *made = calloc(1, sizeof(*made));
	_cleanup_(map_library_freep) struct map_library *library = NULL;
	int conf, buses, together, devices;

	if (!made)
		return -ENOMEM;
	conf = conf_load(file, &made->conf, faults);
	if (!made->conf)
		return conf;
	library = map_library_new((const char *const *)made->conf->maps, made->conf->map_count,
				  driver_names);
	if (!library)
		return -ENOMEM;
	buses = load_buses(made, library, faults);
	together = check_buses(made, faults);
	devices = check_devices(made, faults);
	/* The first that is not 0: each has told its faults. */
	conf = conf ?: buses ?: together ?: devices;
	if (conf < 0)
		return conf;
	*config = TAKE_PTR(made);
	return 0;
}
