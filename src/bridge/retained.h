/* SPDX-License-Identifier: Apache-2.0 */
/* retained.h - the topics on which a broker keeps something of a configuration; pure. */
#pragma once

#include "config/config.h"

struct retained_topic {
	char *topic;
	bool availability; /* of a device */
};

struct retained {
	struct retained_topic *topics; /* in alphabetical order, each once */
	size_t count;
};

/*
 * Those of `old` that are none of `new`: the availability of devices and the state of buses
 * that are no more, and, where readings are retained, theirs too. 0 or -ENOMEM.
 */
int retained_gone(const struct config *old, const struct config *new,
		  struct retained **gone) _must_check_;
void retained_free(struct retained *retained);
DEFINE_CLEANUP(struct retained *, retained_free)
