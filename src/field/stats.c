/* SPDX-License-Identifier: Apache-2.0 */
/* stats.c - what is counted of a bus and its devices, and how it reads as JSON. */
#include "field/stats.h"

#include <inttypes.h>
#include <math.h>

enum {
	FIRST_BIT = 7, /* below 128 µs all is one */
	STEPS = 4,     /* to each doubling */
};

/*
 * Bucket 0 ends at 2^7 µs; behind it the number's highest bit and the two below it say which:
 * 128 to 159 µs is 1, 160 to 191 µs is 2, … and what is above 5 s is in the last.
 */
static size_t bucket_of(uint64_t usec)
{
	unsigned bit = usec ? 63 - __builtin_clzll(usec) : 0;
	size_t bucket;

	if (bit < FIRST_BIT)
		return 0;
	bucket = 1 + (bit - FIRST_BIT) * STEPS + (usec >> (bit - 2) & (STEPS - 1));
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* Where the bucket ends. */
static uint64_t bucket_end(size_t bucket)
{
	uint64_t doubling = UINT64_C(1) << (FIRST_BIT + bucket / STEPS);

	return doubling + doubling / STEPS * (bucket % STEPS);
}

void latency_add(struct latency *latency, uint64_t usec)
{
	latency->counts[bucket_of(usec)]++;
}

uint64_t latency_quantile(const struct latency *latency, double q)
{
	uint64_t total = 0, wanted;

	for (size_t i = 0; i < LATENCY_BUCKETS; i++)
		total += latency->counts[i];
	if (!total)
		return 0;
	wanted = (uint64_t)ceil(q * (double)total);
	for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
		if (latency->counts[i] >= wanted)
			return bucket_end(i);
		wanted -= latency->counts[i];
	}
	return bucket_end(LATENCY_BUCKETS - 1);
}

void counters_add(struct counters *sum, const struct counters *more)
{
	sum->requests += more->requests;
	sum->answers += more->answers;
	sum->timeouts += more->timeouts;
	for (size_t i = 0; i < REPLY_STATUS_COUNT; i++)
		sum->refused[i] += more->refused[i];
	for (size_t i = 0; i < LATENCY_BUCKETS; i++)
		sum->latency.counts[i] += more->latency.counts[i];
}

void counters_json(const struct counters *counters, struct text *text)
{
	text_addf(text,
		  "\"requests\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"timeouts\":%" PRIu64
		  ",\"refused\":{",
		  counters->requests, counters->answers, counters->timeouts);
	for (enum reply_status i = REPLY_OK + 1; i < REPLY_STATUS_COUNT; i++)
		text_addf(text, "%s\"%s\":%" PRIu64, i == REPLY_OK + 1 ? "" : ",",
			  reply_status_name(i), counters->refused[i]);
	text_addf(text, "},\"latency_ms\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f}",
		  (double)latency_quantile(&counters->latency, 0.5) / 1e3,
		  (double)latency_quantile(&counters->latency, 0.9) / 1e3,
		  (double)latency_quantile(&counters->latency, 0.99) / 1e3);
}

void bus_state_json(const struct bus_stats *stats, struct text *text)
{
	text_addf(text, "\"bus\":");
	json_string(stats->name, text);
	text_addf(text, ",\"port\":");
	json_string(stats->port, text);
	text_addf(text, ",\"trouble\":");
	json_string(stats->trouble, text);
	text_addf(text,
		  ",\"open\":%s,\"lost\":%" PRIu64 ",\"load\":%.3f,\"stretch\":%.2f,",
		  stats->open ? "true" : "false", stats->lost, stats->load, stats->stretch);
	counters_json(&stats->counters, text);
	text_addf(text,
		  ",\"line\":{\"framing\":%" PRIu64 ",\"parity\":%" PRIu64
		  ",\"overrun\":%" PRIu64 ",\"breaks\":%" PRIu64 "}",
		  stats->line.framing, stats->line.parity, stats->line.overrun,
		  stats->line.breaks);
}

void bus_stats_json(const struct bus_stats *stats, struct text *text)
{
	bus_state_json(stats, text);
	text_addf(text, ",\"devices\":%zu,\"offline\":%zu", stats->devices, stats->offline);
}
