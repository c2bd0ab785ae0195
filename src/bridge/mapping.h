/* SPDX-License-Identifier: Apache-2.0 */
/* mapping.h - readings to topics and payloads; pure. */
#pragma once

#include "bridge/message.h"
#include "config/bus_config.h"
#include "config/conf.h"

/*
 * Expands a topic template: {gateway}, {bus}, {device}, {address}, {map}, {point} (only where
 * `point` is given). Returns a new string, or NULL with errno EINVAL (unknown or unclosed
 * placeholder, an empty level, wildcard, longer than TOPIC_MAX) or ENOMEM.
 */
char *topic_expand(const char *format, const char *gateway, const char *bus,
		   const struct device_config *device, const char *point);

/* Called with each message that the readings make. The message is valid during the call. */
typedef void mapping_sink(void *data, const struct message *message);

/*
 * Makes messages of what one poll of one device read: one for the device, or one a point.
 * `device_topic` is the device's expanded topic (layout device) or the topic that
 * `/{point}` is appended to (layout point). Time, form, QoS and retain are filled in from
 * `publish` and `when`. Keys stand in the order of `readings`. A message too long for
 * BODY_MAX is refused: -EMSGSIZE; otherwise the number of messages made.
 */
int mapping_publish(const struct publish_conf *publish, const char *device_topic,
		    const struct point *points, const struct reading *readings, size_t count,
		    const struct message *when, mapping_sink *sink, void *data);
