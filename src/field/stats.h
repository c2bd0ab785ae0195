/* SPDX-License-Identifier: Apache-2.0 */
/* stats.h - what is counted of a bus and its devices, and how it reads as JSON. */
#pragma once

#include "bridge/number.h"
#include "field/driver.h"

enum { LATENCY_BUCKETS = 64 };

/* How many answers took how long, in four steps to each doubling. */
struct latency {
	uint32_t counts[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t usec);
/* The time that the share `q` of them (0 to 1) did not exceed, in µs; 0 where there is none. */
uint64_t latency_quantile(const struct latency *latency, double q);

struct counters {
	uint64_t requests; /* that went out, repetitions among them */
	uint64_t answers;  /* that were right */
	uint64_t timeouts; /* requests that nothing came back for */
	uint64_t refused[REPLY_STATUS_COUNT]; /* what came back, by what was wrong with it */
	struct latency latency; /* from the end of a request to the begin of its answer */
};

void counters_add(struct counters *sum, const struct counters *more);

/* As the port's driver has counted them since it is open; all 0 where it does not count. */
struct line_errors {
	uint64_t framing, parity, overrun, breaks;
};

struct device_stats {
	const char *name, *state; /* online, offline or unknown */
	uint64_t silent_us;       /* since its last answer; of one that never did: since the start */
	struct counters counters;
};

struct bus_stats {
	const char *name, *port;
	bool open;
	const char *trouble; /* that it is not open for; "": none is known */
	size_t devices, offline;
	double load;    /* share of the last seconds in which the wire was busy, 0 to 1 */
	double stretch; /* how many times less often than configured all is read; 1 is on time */
	uint64_t lost;  /* times that the port was */
	struct counters counters; /* of its devices */
	struct line_errors line;
};

/* Members of a JSON object, without its braces; of a bus with and without counts of devices. */
void counters_json(const struct counters *counters, struct text *text);
void bus_state_json(const struct bus_stats *stats, struct text *text);
void bus_stats_json(const struct bus_stats *stats, struct text *text);
