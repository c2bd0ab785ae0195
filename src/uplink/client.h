/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - a client of libmosquitto, set up as postbus.conf says. */
#pragma once

#include "config/conf.h"

struct mosquitto;

enum { TROUBLE_MAX = 256 };

/* What the broker is to publish when the link is lost without a word: "offline". */
struct will {
	const char *topic;
	uint8_t qos;
	bool retain;
};

/*
 * A client that has no connection yet, with its credentials, TLS settings and last will;
 * `data` is what its callbacks get. 0, or -errno, and `trouble` says for people what it was.
 * mosquitto_destroy() frees it.
 */
int client_new(const struct broker_conf *broker, const struct will *will, void *data,
	       struct mosquitto **client, char trouble[TROUBLE_MAX]) _must_check_;
