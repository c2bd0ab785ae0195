/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - a link that can be cut: a TCP proxy on loopback. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct proxy;

/* Listens on a free loopback port and passes on to `port` there. 0 or -errno. */
int proxy_new(sd_event *loop, uint16_t port, struct proxy **proxy) _must_check_;
void proxy_free(struct proxy *proxy);
DEFINE_CLEANUP(struct proxy *, proxy_free)

/* The port to connect to. */
uint16_t proxy_port(const struct proxy *proxy);

/* Cuts what is connected, and whoever connects, until it is mended again. */
void proxy_cut(struct proxy *proxy, bool cut);

/*
 * Cuts a connection behind the given number of bytes that pass that way from now on, also in
 * the middle of a packet; once, and who connects again is connected. 0: not any more.
 */
enum proxy_way {
	PROXY_TO_CLIENT,
	PROXY_TO_SERVER,
};
void proxy_cut_after(struct proxy *proxy, enum proxy_way way, size_t bytes);

/* A loopback TCP port that is free at this moment, or -errno. */
int free_port(void);
