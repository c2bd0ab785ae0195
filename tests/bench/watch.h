/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - a broker of its own, and when a publisher's first and last message reach it. */
#pragma once

#include "bench.h"

struct mosquitto;

struct watch {
	unsigned port;
	pid_t broker;
	struct mosquitto *client;
	bool subscribed;
	/* The publisher that is looked at, what it has used, and when. */
	pid_t publisher;
	double begin, end;               /* 0: not yet */
	double cpu_at_begin, cpu_at_end; /* seconds */
	uint64_t memory_at_end;          /* bytes that it had resident, at most */
};

/* Starts Mosquitto on a free loopback port, and a client of it. 0 or -errno. */
int watch_start(struct watch *watch, const char *directory) _must_check_;
void watch_stop(struct watch *watch);

/*
 * Waits until the publisher's last message is there. 0, -ECHILD: it ended before, or
 * -ETIMEDOUT.
 */
int watch_publisher(struct watch *watch, pid_t publisher) _must_check_;
