/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h - a bar on the terminal for what takes longer than a moment. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 *     verifying  [##########                    ]  33%  84.0 of 256.0 MiB
 *
 * It appears on standard error, where that is a terminal, a second after the begin, is drawn
 * again ten times a second at most, and leaves nothing behind.
 */
enum progress_unit {
	PROGRESS_BYTES,
	PROGRESS_COUNT,
};

struct progress {
	const char *what;
	enum progress_unit unit;
	bool is_wanted, is_shown;
	uint64_t due_us; /* drawn next not before */
};

void progress_begin(struct progress *progress, const char *what, enum progress_unit unit);
void progress_update(struct progress *progress, uint64_t done, uint64_t total);
/* Takes the bar away, as must be done before anything else is printed. */
void progress_end(struct progress *progress);
