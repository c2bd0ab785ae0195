// SPDX-License-Identifier: Apache-2.0
/* fuzz_bus_config.c - any text as a bus file; one that is let through holds what it promises. */
#include "config/bus_config.h"
#include "field/driver.h"
#include "fuzz_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char directory[] = "/tmp/fuzz_bus_config.XXXXXX";

/* Devices that are polled, that are asked by address, and that speak unasked. */
static const struct {
	const char *name, *text;
} maps[] = {
	{"m", "map: m\ndriver: modbus\nserial: {address: 1}\n"
	      "points: {a: {addr: 0}, b: {addr: 1, values: {0: off}}, c: {addr: 2, table: coil}}\n"},
	{"f", "map: f\ndriver: frame\nrequest: '{address} 01'\nlength: 4\naddress_at: 0\n"
	      "points: {a: {at: 1}}\n"},
	{"t", "map: t\ndriver: text\npoints: {a: {field: 1}}\n"},
};

static void remove_maps(void)
{
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		snprintf(path, sizeof(path), "%s/%s.yaml", directory, maps[i].name);
		unlink(path);
	}
	rmdir(directory);
}

static struct map_library *new_library(void)
{
	const char *directories[] = {directory};
	struct map_library *library;
	char path[64];

	if (!mkdtemp(directory) || atexit(remove_maps))
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		_cleanup_fclose_ FILE *file = NULL;

		snprintf(path, sizeof(path), "%s/%s.yaml", directory, maps[i].name);
		file = fopen(path, "we");
		if (!file || fputs(maps[i].text, file) < 0)
			abort();
	}
	library = map_library_new(directories, 1, driver_names());
	return library ? library : (abort(), NULL);
}

static void check_device(const struct bus_config *bus, size_t index)
{
	const struct device_config *device = &bus->devices[index];

	if (!name_is_valid(device->name) || !device->map || device->address > 247 ||
	    device->point_count != device->map->point_count)
		abort();
	for (size_t i = 0; i < index; i++) {
		if (device->address && bus->devices[i].address == device->address)
			abort();
	}
	for (size_t i = 0; i < device->point_count; i++) {
		if (!device->points[i].every_us ||
		    strcmp(device->points[i].name, device->map->points[i].name))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct map_library *library;
	struct faults *faults = faults_new();
	struct bus_config *bus = NULL;
	int r;

	if (!library)
		library = new_library();
	r = bus_config_load(fuzz_file(bytes, n), library, &bus, faults);
	if ((r == 0) != (bus != NULL) || (r < 0) != (faults_count(faults) > 0))
		abort();
	if (bus && (!name_is_valid(bus->name) || !bus->device_count || !bus->baud))
		abort();
	for (size_t i = 0; bus && i < bus->device_count; i++)
		check_device(bus, i);
	bus_config_free(bus);
	faults_free(faults);
	return 0;
}
