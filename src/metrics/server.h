/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - serves metrics over HTTP, on libmicrohttpd. */
#pragma once

#include "metrics/exposition.h"

/*
 *     GET /metrics ─▶ 200, in OpenMetrics where Accept asks for it, else in Prometheus' format
 *                     503, where there is no page just now
 */
struct server;

/* Makes the page, on the server's thread; the server frees it. NULL: there is none now. */
typedef char *server_page(void *data, enum exposition form, size_t *length);

/*
 * Serves at `listen` (config/listen.h) from a thread of its own. A socket's file is for us and
 * our group; one that nobody listens to any more is replaced. 0; -EADDRINUSE; -ENOTSUP: this
 * postbus was built without libmicrohttpd; -ELIBACC: it is not installed; or -errno.
 */
int server_new(const char *listen, server_page *page, void *data,
	       struct server **server) _must_check_;
void server_free(struct server *server);
DEFINE_CLEANUP(struct server *, server_free)
