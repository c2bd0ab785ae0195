/* SPDX-License-Identifier: Apache-2.0 */
/* publisher.h - who publishes: the gateway's uplink out of its spool, or libmosquitto alone. */
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

/* Writes the backlog into the spool in `directory`/spool. 0 or -errno. */
int publisher_fill(const struct publisher *publisher, const char *directory) _must_check_;

/*
 * Children's parts: publish all, and end when the parent sends SIGTERM. 0 when nothing is
 * left by then, or -errno.
 */
int publisher_gateway(const struct publisher *publisher, const char *directory) _must_check_;
int publisher_alone(const struct publisher *publisher) _must_check_;
