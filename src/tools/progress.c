/* SPDX-License-Identifier: Apache-2.0 */
/* progress.c - a bar on the terminal for what takes longer than a moment. */
#include "tools/progress.h"
#include "base/units.h"
#include "bridge/clock.h"

#include <inttypes.h>

enum {
	BAR_WIDTH = 30,
	FIRST_US = 1000 * 1000,
	AGAIN_US = 100 * 1000,
};

void progress_begin(struct progress *progress, const char *what, enum progress_unit unit)
{
	*progress = (struct progress){
		.what = what, .unit = unit, .is_wanted = isatty(STDERR_FILENO),
		.due_us = clock_monotonic_us() + FIRST_US,
	};
}

static void draw(const struct progress *progress, uint64_t done, uint64_t total)
{
	static const char marks[BAR_WIDTH + 1] = "##############################";
	const double mib = 1024 * 1024;
	double share = total ? (double)done / total : 1;

	fprintf(stderr, "\r%s  [%-*.*s] %3.0f%%  ", progress->what, BAR_WIDTH,
		(int)(share * BAR_WIDTH), marks, share * 100);
	if (progress->unit == PROGRESS_BYTES)
		fprintf(stderr, "%.1f of %.1f MiB", done / mib, total / mib);
	else
		fprintf(stderr, "%" PRIu64 " of %" PRIu64, done, total);
	fputs("\033[K", stderr);
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total)
{
	uint64_t now_us;

	if (!progress->is_wanted)
		return;
	now_us = clock_monotonic_us();
	if (now_us < progress->due_us)
		return;
	draw(progress, done < total ? done : total, total);
	progress->is_shown = true;
	progress->due_us = now_us + AGAIN_US;
}

void progress_end(struct progress *progress)
{
	if (progress->is_shown)
		fputs("\r\033[K", stderr);
	progress->is_shown = progress->is_wanted = false;
}
