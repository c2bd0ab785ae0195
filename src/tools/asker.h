/* SPDX-License-Identifier: Apache-2.0 */
/* asker.h - asks one request after another, and waits for each answer. */
#pragma once

#include "field/wire.h"

struct asker;

/*
 * On the bus's port, which is opened now. The configuration must outlive it; its timeout may
 * be changed between requests. 0 or -errno, and `trouble` says why.
 */
int asker_open(const struct bus_config *config, struct asker **asker,
	       char trouble[PORT_TROUBLE_MAX]) _must_check_;
void asker_close(struct asker *asker);
DEFINE_CLEANUP(struct asker *, asker_close)

/*
 * Asks, at most `attempts` times. 0: *reply is the answer, be it an exception, and its data is
 * valid until the next request. -ETIMEDOUT: nothing came. -EBADMSG: what came was no answer.
 * Any other -errno: the port is gone.
 */
int asker_ask(struct asker *asker, const struct driver *driver, const struct request *request,
	      unsigned attempts, struct reply *reply) _must_check_;
