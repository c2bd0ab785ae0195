/* SPDX-License-Identifier: Apache-2.0 */
/* map_library.c - the device maps that bus files ask for, each read once. */
#include "config/bus_config.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

struct entry {
	char *name;
	struct device_map *map; /* NULL where it has faults */
	int error;
};

struct map_library {
	char **directories;
	size_t directory_count;
	const char *const *driver_names;
	struct entry *entries;
	size_t count;
};

struct map_library *map_library_new(const char *const *directories, size_t count,
				    const char *const *driver_names)
{
	_cleanup_(map_library_freep) struct map_library *library =
		calloc(1, sizeof(*library));

	if (!library)
		return NULL;
	library->driver_names = driver_names;
	library->directories = calloc(count + 1, sizeof(*library->directories));
	if (!library->directories)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		library->directories[i] = strdup(directories[i]);
		if (!library->directories[i])
			return NULL;
		library->directory_count++;
	}
	return TAKE_PTR(library);
}

void map_library_free(struct map_library *library)
{
	if (!library)
		return;
	for (size_t i = 0; i < library->count; i++) {
		free(library->entries[i].name);
		device_map_free(library->entries[i].map);
	}
	for (size_t i = 0; i < library->directory_count; i++)
		free(library->directories[i]);
	free(library->directories);
	free(library->entries);
	free(library);
}

/* Where the map's file is, or NULL with errno ENOENT or ENOMEM. */
static char *find_file(const struct map_library *library, const char *name)
{
	for (size_t i = 0; i < library->directory_count; i++) {
		char *file;

		if (asprintf(&file, "%s/%s.yaml", library->directories[i], name) < 0)
			return NULL;
		if (!access(file, F_OK))
			return file;
		free(file);
	}
	errno = ENOENT;
	return NULL;
}

void map_names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

/* Adds the names of the maps of one directory; one that cannot be read has none. */
static void list_directory(const char *directory, char ***names, size_t *count)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);
		char **more;

		if (length <= 5 || strcmp(entry->d_name + length - 5, ".yaml"))
			continue;
		more = reallocarray(*names, *count + 2, sizeof(*more));
		if (!more)
			break;
		*names = more;
		more[*count] = strndup(entry->d_name, length - 5);
		if (!more[*count])
			break;
		more[++*count] = NULL;
	}
	if (dir)
		closedir(dir);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **map_library_names(const struct map_library *library)
{
	char **names = calloc(1, sizeof(*names));
	size_t count = 0, kept = 0;

	for (size_t i = 0; names && i < library->directory_count; i++)
		list_directory(library->directories[i], &names, &count);
	if (!names)
		return NULL;
	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (kept && !strcmp(names[kept - 1], names[i]))
			free(names[i]);
		else
			names[kept++] = names[i];
	}
	names[kept] = NULL;
	return names;
}

static char *suggest(const struct map_library *library, const char *name)
{
	_cleanup_(map_names_freep) char **names = map_library_names(library);
	const char *meant = names ? fault_suggest(name, (const char *const *)names) : NULL;

	return meant ? strdup(meant) : NULL;
}

static int add_entry(struct map_library *library, const char *name, const char *file,
		     struct faults *faults)
{
	struct entry *entries =
		reallocarray(library->entries, library->count + 1, sizeof(*entries));
	struct entry *entry;

	if (!entries)
		return -ENOMEM;
	library->entries = entries;
	entry = &entries[library->count];
	*entry = (struct entry){.name = strdup(name)};
	if (!entry->name)
		return -ENOMEM;
	library->count++;
	/* Whatever is wrong with it was noted: for who asks for it, it is just not right. */
	entry->error = device_map_load_among(file,
					     (const char *const *)library->directories,
					     library->driver_names, &entry->map, faults);
	if (entry->error < 0 && entry->error != -ENOMEM)
		entry->error = -EINVAL;
	return 0;
}

static const struct entry *find_entry(const struct map_library *library, const char *name)
{
	for (size_t i = 0; i < library->count; i++) {
		if (!strcmp(library->entries[i].name, name))
			return &library->entries[i];
	}
	return NULL;
}

int map_library_get(struct map_library *library, const char *name,
		    const struct device_map **map, char **suggestion, struct faults *faults)
{
	const struct entry *entry = find_entry(library, name);
	_cleanup_free_ char *file = NULL;
	int r;

	*suggestion = NULL;
	if (!entry) {
		file = find_file(library, name);
		if (!file && errno == ENOENT)
			*suggestion = suggest(library, name);
		if (!file)
			return -errno;
		r = add_entry(library, name, file, faults);
		if (r < 0)
			return r;
		entry = &library->entries[library->count - 1];
	}
	*map = entry->map;
	return entry->error;
}
