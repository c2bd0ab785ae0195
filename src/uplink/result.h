/* SPDX-License-Identifier: Apache-2.0 */
/* result.h - what became of a command, as a message. */
#pragma once

#include "uplink/command_book.h"
#include "uplink/spool.h"

/* Whom to answer. */
struct result_address {
	const char *gateway, *device, *point;
	const char *response_topic; /* NULL or empty: the point's own, GATEWAY/DEVICE/POINT/result */
	const void *correlation;    /* goes with it under MQTT 5; NULL */
	size_t correlation_length;  /* at most CORRELATION_MAX */
};

/*
 * Puts {"id":…,"ok":true,"value":…} or {"id":…,"ok":false,"error":"…"} into the spool, QoS 1;
 * without `id` (empty or NULL) there is none. `value` is JSON; NULL: `error` says why not. 0 or
 * what spool_append() returns.
 */
int result_append(struct spool *spool, const struct result_address *address, const char *id,
		  const char *value, const char *error) _must_check_;
