/* SPDX-License-Identifier: Apache-2.0 */
/* collect.h - which of the values that a device says are due, and when the next ones are. */
#pragma once

#include "field/device.h"

/* When the first of its points is due. */
uint64_t collect_first_due_us(const struct device *device);

/* Whether a value of the point was kept since the last message. */
bool collect_has(const struct device *device, size_t point);
/* Whether each point that is due has come. */
bool collect_is_complete(const struct device *device, uint64_t now_us);

/* The point is due again a period on, leaving out what was missed; or each that is due. */
void collect_again(struct device *device, size_t point, uint64_t now_us);
void collect_all_again(struct device *device, uint64_t now_us);
