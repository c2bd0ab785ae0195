/* SPDX-License-Identifier: Apache-2.0 */
/* lossy_net.h - a network of the test's own, in which packets get lost. */
#pragma once

#include "base/cleanup.h"

#include <systemd/sd-event.h>

/*
 *     gateway ── 10.9.8.1 ──▶ tun ──▶ 10.9.8.2 ─┐ in here: some packets are lost, the others
 *     broker  ◀─ 10.9.8.1 ◀── tun ◀─────────────┘ go back with the two addresses exchanged
 *
 * Who connects to a port of 10.9.8.2 is connected to the same port of 10.9.8.1, through the
 * kernel's own TCP on both ends.
 */
#define LOSSY_NEAR "10.9.8.1"
#define LOSSY_FAR "10.9.8.2"

struct lossy_net;

/*
 * Moves the process to a network and mounts of its own, with loopback and that network. -EPERM
 * or another -errno: it may not, or the machine can't; then it may be where it was or not.
 */
int lossy_net_new(sd_event *loop, struct lossy_net **net) _must_check_;
void lossy_net_free(struct lossy_net *net);

/* So many of a hundred packets are lost from now on, either way. 0 at first; 100: all. */
void lossy_net_lose(struct lossy_net *net, unsigned percent);
/* How many were, so far. */
unsigned lossy_net_lost(const struct lossy_net *net);
