/* SPDX-License-Identifier: Apache-2.0 */
/* catalog.h - what a gateway has to offer, kept apart from the configuration that says so. */
#pragma once

#include "config/config.h"

/* One device, as those see it who read its topics. */
struct catalog_device {
	char *name, *topic; /* expanded; with layout "point" `/{point}` comes behind it */
	char *map, *title;
	const struct point *points; /* a locator only says if it is read */
	size_t point_count;
};

struct catalog {
	char *gateway;
	enum discovery discovery;
	char *discovery_prefix, *birth_topic;
	bool commands; /* false: none of the points is writable */
	enum layout layout;
	enum payload_format payload;
	struct catalog_device *devices;
	size_t device_count;
	/* Devices of one map have the same points, as a rule: each list is here once. */
	struct point **lists;
	size_t *list_counts, list_count;
};

/*
 * A copy of all that it takes, which may go to another thread and outlive the configuration.
 * Without discovery it has no devices. 0 or -ENOMEM.
 */
int catalog_new(const struct config *config, struct catalog **catalog) _must_check_;
void catalog_free(struct catalog *catalog);
DEFINE_CLEANUP(struct catalog *, catalog_free)
