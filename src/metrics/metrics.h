/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - a gateway's figures for Prometheus: in a file, or served to who asks. */
#pragma once

#include "report.h"

/*
 *     field side's loop ── takes the figures ──▶ · ◀── asks for them ── the file's thread
 *                                                └──────────────────── the server's thread
 *
 * Disks and those who ask are waited for by threads of their own; the field side does no more
 * than to copy its counters.
 */
struct metrics;

/*
 * Does as `conf` says, which with the subject and the loop must outlive it; the subject may
 * become another one. A file that can't
 * be written or an address that can't be served are logged, and no error. 0 or -errno.
 */
int metrics_new(sd_event *loop, const struct metrics_conf *conf,
		const struct report_subject *subject, struct metrics **metrics) _must_check_;
/* The file is removed, so that nobody takes a gateway that stopped for one that runs. */
void metrics_free(struct metrics *metrics);
DEFINE_CLEANUP(struct metrics *, metrics_free)
