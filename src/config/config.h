/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - all that the user wrote, read together: gateway, buses and their maps. */
#pragma once

#include "config/bus_config.h"
#include "config/conf.h"

struct config {
	struct conf *conf;
	struct bus_config **buses; /* sorted by file name */
	size_t bus_count;
};

/*
 * Reads postbus.conf, every *.yaml in its buses directory and the maps they name. Beyond
 * each file's own faults: two buses of one name or one port, two devices of one name, no bus
 * at all, topics of two devices that are the same. Reads on after a fault so that all are
 * told at once. Returns 0, -EINVAL with the faults noted, or -errno.
 */
int config_load(const char *file, const char *const *driver_names, struct config **config,
		struct faults *faults) _must_check_;

void config_free(struct config *config);
DEFINE_CLEANUP(struct config *, config_free)
