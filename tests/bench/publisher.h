/* SPDX-License-Identifier: Apache-2.0 */
/* publisher.h - who publishes: the gateway's uplink out of its spool, and others. */
#pragma once

#include "bench.h"

/* The first message and the last have topics of their own, which the bench looks out for. */
#define TOPIC_BEGIN "bench/begin"
#define TOPIC_END "bench/end"

enum {
	PAYLOAD_SIZE = 200,
};

struct publisher {
	uint64_t count; /* messages */
	unsigned port, qos, window;
	bool mqtt5;
};

/* What all of them publish: the topic of message `number`, and a payload. */
const char *publisher_topic(const struct publisher *publisher, uint64_t number);
void publisher_payload(char payload[PAYLOAD_SIZE + 1]);

/* Writes the backlog into the spool in `directory`/spool. 0 or -errno. */
int publisher_fill(const struct publisher *publisher, const char *directory) _must_check_;

/*
 * Children's parts: publish all, and end when the parent sends SIGTERM. 0 when nothing is
 * left by then, or -errno. The directory is the publisher's own: of the gateway, with the
 * spool that was filled.
 */
typedef int publish(const struct publisher *publisher, const char *directory);
publish publisher_gateway, publisher_alone;
/* Paho C, with nothing kept, and with each message kept in a file until it is acknowledged. */
publish publisher_paho, publisher_paho_files;
