/* SPDX-License-Identifier: Apache-2.0 */
/* connect.h - the way to the broker, which blocks: on a helper thread. */
#pragma once

#include "mqtt/client.h"

/* One attempt: the name is resolved, TCP and TLS are set up, and CONNECT is queued. */
struct connecting;

/*
 * Starts an attempt. The client belongs to it until connecting_is_done(); `event`, an
 * eventfd, is written to then, through a duplicate. 0 or -errno.
 */
int connecting_start(const struct broker_conf *broker, struct client *client, int event,
		     struct connecting **connecting) _must_check_;

bool connecting_is_done(const struct connecting *connecting);

/* Of one that is done: 0, or -EIO, and `trouble` says for people what it was. */
int connecting_result(const struct connecting *connecting, char trouble[TROUBLE_MAX])
	_must_check_;

/* It must be done. The client stays. */
void connecting_free(struct connecting *connecting);
DEFINE_CLEANUP(struct connecting *, connecting_free)
