/* SPDX-License-Identifier: Apache-2.0 */
/* exposition.h - a gateway's figures as the text that Prometheus reads; pure. */
#pragma once

#include "metrics/figures.h"

/*
 * Two forms of nearly the same text. OpenMetrics 1.0 names a counter without its `_total`,
 * knows `info` and units, and ends with `# EOF`; Prometheus' own text format (0.0.4), which
 * node_exporter's textfile collector reads, has none of that.
 */
enum exposition {
	EXPOSITION_OPENMETRICS,
	EXPOSITION_PROMETHEUS,
};

/* The media type of each, as HTTP has it. */
const char *exposition_media_type(enum exposition exposition);

/* Writes all metrics; a failure is the stream's. */
void exposition_write(const struct figures *figures, enum exposition exposition, FILE *out);
