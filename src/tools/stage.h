/* SPDX-License-Identifier: Apache-2.0 */
/* stage.h - what it takes to see a gateway at work: simulated bus, broker, link, subscriber. */
#pragma once

#include "config/bus_config.h"
#include "tools/proxy.h"
#include "tools/simulator.h"
#include "uplink/ledger.h"

#include <sys/types.h>

/*
 *     simulator ── pseudo-terminal ── postbus run ── proxy ── mosquitto ── mosquitto_sub
 *     (in here)                       (a child)     (in here)  (a child)      (a child)
 *
 * All of it lives in a directory of its own and ends when this process does.
 */
struct delivery {
	uint64_t seq;
	bool reading;      /* on a device's own topic */
	bool announcement; /* that a device is online or offline */
};

struct stage {
	const char *program; /* postbus */
	const char *maps;    /* directory of the device maps */
	const char *broker_group;   /* more settings of the gateway's broker group; NULL */
	const char *mosquitto_conf; /* more lines of Mosquitto's settings; NULL */
	unsigned subscriber_qos;    /* most of a delivery; 0: 2 */
	/* A broker that node runs, called with its port; it speaks MQTT 3.1.1. NULL: Mosquitto. */
	const char *node_broker;
	char directory[64];
	sd_event *loop;
	struct simulator *simulator;
	struct map_library *library;
	struct proxy *proxy;
	sd_event_source *subscriber_source;
	pid_t broker, subscriber, gateway;
	int broker_port, subscriber_fd;
	bool interrupted; /* by SIGINT or SIGTERM */

	char line[4096];
	size_t line_length;
	struct delivery *deliveries; /* in the order in which they came */
	size_t delivery_count, delivery_room;
	uint64_t readings;           /* of these */
	unsigned to_show;            /* deliveries to be printed */
};

enum {
	STAGE_DEVICES = 8,
	STAGE_FIRST_ADDRESS = 11,
};

/* Makes the directory and the loop. 0 or -errno; stage_clean_up() in either case. */
int stage_open(struct stage *stage, const char *program, const char *maps) _must_check_;
void stage_clean_up(struct stage *stage);

/* Eight XY-MD02 at 19,200 baud behind the link DIRECTORY/bus. */
int stage_start_simulator(struct stage *stage) _must_check_;
/* Mosquitto on a free loopback port, or again on the one it had; returns when it listens. */
int stage_start_broker(struct stage *stage) _must_check_;
/* The proxy before the broker. */
int stage_start_proxy(struct stage *stage) _must_check_;
/* A subscriber to all that the gateway says; its deliveries are noted as the loop runs. */
int stage_start_subscriber(struct stage *stage) _must_check_;
/* Writes postbus.conf, with these settings in its publish and spool groups, and the bus file. */
int stage_configure(struct stage *stage, const char *publish,
		    const char *spool) _must_check_;
int stage_start_gateway(struct stage *stage) _must_check_;

/* Writes a file into the stage's directory. */
int stage_write(const struct stage *stage, const char *name, const char *format, ...)
	_printf_(3, 4) _must_check_;
/* Copies a log of the stage's to stderr, to say why something failed. */
void stage_show_log(const struct stage *stage, const char *name);

/* Starts a program with its output in the descriptor; it ends when we do. */
pid_t stage_spawn(char *const argv[], int out);
/* Sends a child the signal and waits for its end: its wait status, 0 when there was none. */
int stage_end(pid_t *pid, int signal);

/* Lets the loop run until the condition holds: 0, -ETIMEDOUT after a minute, or -EINTR. */
typedef bool stage_condition(struct stage *stage, uint64_t argument);
int stage_wait(struct stage *stage, stage_condition *holds, uint64_t argument) _must_check_;
int stage_wait_ms(struct stage *stage, uint64_t ms) _must_check_;
/* Conditions: so many readings were delivered; so many messages wait; none does. */
bool stage_has_readings(struct stage *stage, uint64_t count);
bool stage_spool_holds(struct stage *stage, uint64_t at_least);
bool stage_spool_is_empty(struct stage *stage, uint64_t unused);

/* The sums and the next number of the gateway's spool, running or not. */
int stage_look_at_spool(const struct stage *stage, struct spool_sums *sums,
			uint64_t *next) _must_check_;

/* What became of all the messages that the gateway ever numbered. */
struct stage_count {
	uint64_t delivered; /* numbers that came at least once */
	uint64_t lost;      /* numbers that never came */
	uint64_t twice;     /* deliveries beyond the first */
	uint64_t unknown;   /* numbers that the gateway never gave */
	uint64_t others;    /* of those delivered: not readings */
	uint64_t announced; /* of these: that a device is online or offline */
};
int stage_count(struct stage *stage, struct stage_count *count) _must_check_;
