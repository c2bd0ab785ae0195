/* SPDX-License-Identifier: Apache-2.0 */
/* farewell.h - has the broker forget what is configured no more. */
#pragma once

#include "bridge/mapping.h"
#include "bridge/retained.h"

#include <systemd/sd-event.h>

struct farewell;

/*
 * Gives the sink, for each topic of `gone`, which is its own from then on, an empty
 * retained message, which makes a broker forget what it kept; for the availability of a
 * device "offline" before that. A few at a time, so that readings have room beside them.
 * `done` is called when it is over, and may free it. 0 or -errno.
 */
typedef void farewell_done(void *data);
int farewell_new(sd_event *loop, struct retained *gone, uint8_t qos, mapping_sink *sink,
		 void *sink_data, farewell_done *done, void *data,
		 struct farewell **farewell) _must_check_;
void farewell_free(struct farewell *farewell);
DEFINE_CLEANUP(struct farewell *, farewell_free)
