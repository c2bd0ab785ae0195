/* SPDX-License-Identifier: Apache-2.0 */
/* discovery.h - how Home Assistant is told what there is to read; pure. */
#pragma once

#include "bridge/catalog.h"
#include "bridge/number.h"

/*
 * Each point is an entity of its own, with one retained message (Home Assistant's
 * documentation, "MQTT: single component discovery payload"); a message without a payload
 * takes it away:
 *
 *     homeassistant/sensor/barn/meter-1-voltage/config
 *     {"name":"Voltage","unique_id":"postbus/barn/meter-1/voltage",…,"device":{…}}
 *
 * The gateway is an entity too, whether it is connected: its devices are `via_device` it.
 */
enum { DISCOVERY_PAYLOAD_MAX = 16 * 1024 };

/* Where a walk through a catalog's entities is; begins as zeros. */
struct discovery_walk {
	bool begun;
	size_t device, point;
};

/*
 * Writes the topic and the payload of the next entity, each into a text that is empty; false
 * when there is none (any more). A text that was too small is full.
 */
bool discovery_next(const struct catalog *catalog, struct discovery_walk *walk,
		    struct text *topic, struct text *payload);
