/* SPDX-License-Identifier: Apache-2.0 */
/* port_name.c - what a serial port is called: by people, for good, and by the kernel now. */
#include "field/port_name.h"
#include "config/port_spec.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Where the name has no serial number, any will do. */
static bool fits(const char *name, const struct serial_info *info)
{
	const char *serial;
	int vid, pid;

	return info->usb && port_spec_usb(name, &vid, &pid, &serial) == 0 && vid == info->vid &&
	       pid == info->pid && (!serial || (info->serial && !strcmp(serial, info->serial)));
}

ssize_t port_name_find(const char *name, const struct serial_info *infos, size_t count)
{
	ssize_t found = -ENOENT;

	for (size_t i = 0; i < count; i++) {
		if (!fits(name, &infos[i]))
			continue;
		if (found >= 0)
			return -ENOTUNIQ;
		found = (ssize_t)i;
	}
	return found;
}

int port_name_resolve(const char *name, char **path)
{
	struct serial_info *infos;
	size_t count;
	ssize_t found;
	int r;

	if (port_spec_kind(name) != PORT_USB) {
		*path = strdup(name);
		return *path ? 0 : -ENOMEM;
	}
	r = serial_list(&infos, &count);
	if (r < 0)
		return r;
	found = port_name_find(name, infos, count);
	if (found >= 0) {
		*path = strdup(infos[found].path);
		r = *path ? 0 : -ENOMEM;
	} else {
		r = (int)found;
	}
	serial_list_free(infos, count);
	return r;
}

/* The link that leads to `path`, a new string, or NULL. */
static char *find_link(const char *directory, const char *path)
{
	DIR *links = opendir(directory);
	const struct dirent *entry;
	char *found = NULL;

	while (links && !found && (entry = readdir(links))) {
		_cleanup_free_ char *link = NULL, *target = NULL;

		if (entry->d_name[0] == '.' ||
		    asprintf(&link, "%s/%s", directory, entry->d_name) < 0) {
			link = NULL;
			continue;
		}
		target = realpath(link, NULL);
		if (target && !strcmp(target, path))
			found = TAKE_PTR(link);
	}
	if (links)
		closedir(links);
	return found;
}

char *port_name_stable(const struct serial_info *infos, size_t count, size_t index,
		       const char *links)
{
	const struct serial_info *info = &infos[index];
	char *name = find_link(links, info->path);

	if (name)
		return name;
	if (!info->usb)
		return strdup(info->path);
	if (asprintf(&name, "usb:%04x:%04x%s%s", (unsigned)info->vid, (unsigned)info->pid,
		     info->serial ? ":" : "", info->serial ? info->serial : "") < 0)
		return NULL;
	if (port_name_find(name, infos, count) == (ssize_t)index)
		return name;
	free(name);
	return strdup(info->path);
}

/* /proc/locks: "3: FLOCK  ADVISORY  WRITE 1234 00:05:87 0 EOF", device and inode at the end. */
pid_t port_locked_by(const char *path)
{
	_cleanup_fclose_ FILE *locks = fopen("/proc/locks", "re");
	unsigned device_major, device_minor;
	unsigned long inode;
	char line[256];
	struct stat st;
	int pid;

	if (!locks || stat(path, &st) < 0)
		return 0;
	while (fgets(line, sizeof(line), locks))
		if (sscanf(line, "%*u: FLOCK ADVISORY WRITE %d %x:%x:%lu", &pid, &device_major,
			   &device_minor, &inode) == 4 &&
		    makedev(device_major, device_minor) == st.st_dev && inode == st.st_ino)
			return pid;
	return 0;
}
