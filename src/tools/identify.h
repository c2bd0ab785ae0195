/* SPDX-License-Identifier: Apache-2.0 */
/* identify.h - which shipped maps a device is the model of. */
#pragma once

#include "tools/asker.h"

struct identifier;

/* All maps of the library that say how to identify their model; maps with faults are left out. */
struct identifier *identifier_new(struct map_library *library);
void identifier_free(struct identifier *identifier);
DEFINE_CLEANUP(struct identifier *, identifier_free)

/*
 * Asks the device at `address` what it is. The maps that fit, at most `most`; how many. A
 * register that several maps name is asked for once. -errno: the port is gone.
 */
ssize_t identifier_ask(struct identifier *identifier, struct asker *asker, uint8_t address,
		       const struct device_map **maps, size_t most) _must_check_;
