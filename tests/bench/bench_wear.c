/* SPDX-License-Identifier: Apache-2.0 */
/* bench_wear.c - what a gateway costs its card: bytes and flushes that reach a device a day. */
#include "disk.h"
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>

enum {
	RUNS_MAX = 8,
	DAY_S = 86400,
	PAGE = 4096,
	FILE_SYSTEM_BYTES = 256 * 1024 * 1024, /* besides what is written */
};

struct options {
	const char *base;
	unsigned duration_s, settle_s;
	struct load load;
};

/* What has come together at one moment. */
struct counts {
	struct disk_counts disk;
	uint64_t written; /* by write calls */
	uint64_t records;
	double seconds;
};

/* A process with a device of its own. */
struct run {
	struct load load;
	const char *name;
	struct disk disk;
	pid_t pid;
	struct load_state *state; /* shared with it */
	struct counts before, after;
};

static int start(struct run *run, const char *directory, const struct options *options,
		 uint64_t bytes)
{
	char name[32], path[2 * BENCH_PATH_MAX];
	pid_t parent = getpid();
	int r;

	snprintf(name, sizeof(name), "%s-%s", run->name, run->load.online ? "up" : "down");
	r = disk_new(directory, name, FILE_SYSTEM_BYTES + 4 * bytes, &run->disk);
	if (r < 0)
		return r;
	run->state = mmap(NULL, sizeof(*run->state), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run->state == MAP_FAILED)
		return -errno;
	run->load.rate = options->load.rate;
	run->load.age_bytes = bytes;
	snprintf(path, sizeof(path), "%s/store", run->disk.path);
	run->pid = fork();
	if (run->pid == 0) {
		bench_die_with(parent);
		r = load_run(&run->load, path, run->state);
		fprintf(stderr, "%s: %s\n", name, strerror(-r));
		_exit(EXIT_FAILURE);
	}
	return run->pid < 0 ? -errno : 0;
}

static int read_written(pid_t pid, uint64_t *written)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[32], line[64];

	snprintf(path, sizeof(path), "/proc/%d/io", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "wchar: %" SCNu64, written) == 1)
			return 0;
	return -ENODATA;
}

static int take_counts(const struct run *run, struct counts *counts)
{
	int r = read_written(run->pid, &counts->written);

	if (r == 0)
		r = disk_count(&run->disk, &counts->disk);
	counts->records = run->state->records;
	counts->seconds = bench_seconds();
	return r;
}

/* Waits; a child that ends meanwhile has failed. */
static int wait_for(struct run *runs, size_t count, double seconds)
{
	double end = bench_seconds() + seconds;
	const struct timespec moment = { .tv_nsec = 200 * 1000 * 1000 };

	while (bench_seconds() < end) {
		nanosleep(&moment, NULL);
		for (size_t i = 0; i < count; i++)
			if (kill(runs[i].pid, 0) < 0 || runs[i].state->failed)
				return -ECHILD;
	}
	return 0;
}

static int wait_until_ready(struct run *runs, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		while (!runs[i].state->ready && r == 0)
			r = wait_for(runs, count, 0.1);
	return r;
}

/* Pages that the records take when each sync, one a second, begins with a page of its own. */
static double whole_pages(const struct run *run, double seconds)
{
	unsigned pages = (run->load.rate * RECORD_SIZE + PAGE - 1) / PAGE;

	return seconds * pages * PAGE;
}

static void print(const struct run *run)
{
	double seconds = run->after.seconds - run->before.seconds, a_day = DAY_S / seconds;
	double records = run->after.records - run->before.records;
	double bytes = run->after.disk.bytes - run->before.disk.bytes;
	double flushes = run->after.disk.flushes - run->before.disk.flushes;
	double written = run->after.written - run->before.written;

	printf("%-8s %-5s %9.0f %11.1f %11.0f %11.1f %9.2f", run->name,
	       run->load.online ? "up" : "down", records, bytes * a_day / 1e6, flushes * a_day,
	       written * a_day / 1e6, written / (records * RECORD_SIZE));
	if (run->load.online)
		printf(" %9s\n", "-");
	else
		printf(" %9.2f\n", bytes / whole_pages(run, seconds));
}

static int measure(struct run *runs, size_t count, const struct options *options)
{
	int r = wait_until_ready(runs, count);

	if (r == 0)
		r = wait_for(runs, count, options->settle_s);
	for (size_t i = 0; i < count && r == 0; i++)
		r = take_counts(&runs[i], &runs[i].before);
	if (r == 0)
		r = wait_for(runs, count, options->duration_s);
	for (size_t i = 0; i < count && r == 0; i++)
		r = take_counts(&runs[i], &runs[i].after);
	return r;
}

static size_t list_runs(struct run runs[RUNS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < 2; i++)
		runs[count++] = (struct run){ .name = "spool", .load.online = i == 0 };
	for (size_t i = 0; i < store_count; i++) {
		const struct store *store = stores[i];

		if (store == &store_spool || store == &store_files)
			continue;
		for (size_t j = 0; j < 2; j++)
			runs[count++] = (struct run){
				.name = store->name, .load.store = store, .load.online = j == 0,
			};
	}
	return count;
}

static int run_all(const char *directory, void *data)
{
	const struct options *options = data;
	static struct run runs[RUNS_MAX];
	size_t count = list_runs(runs), started = 0;
	/* All that is written meanwhile, should each second fill pages of its own. */
	uint64_t bytes = (uint64_t)(options->duration_s + options->settle_s) *
			 (options->load.rate * 2 * RECORD_SIZE + PAGE);
	int r = 0;

	printf("%u records of %d bytes a second for %u s, after %u s to settle: the spool with "
	       "sync = \"1s\", the others\nwith one commit a second; each on an ext4 of its own "
	       "that has held and lost %.1f MB of records before.\n", options->load.rate,
	       RECORD_SIZE, options->duration_s, options->settle_s, bytes / 1e6);
	while (started < count && r == 0)
		r = start(&runs[started++], directory, options, bytes);
	if (r == -EPERM)
		printf("left out: a loop device takes root\n");
	if (r == 0)
		r = measure(runs, count, options);
	for (size_t i = 0; i < started; i++)
		if (runs[i].pid > 0) {
			kill(runs[i].pid, SIGKILL);
			(void)!bench_wait(runs[i].pid);
		}
	if (r < 0)
		return r == -EPERM ? 0 : r;
	printf("\n%-8s %-5s %9s %23s %21s %9s\n%-8s %-5s %9s %11s %11s %11s %9s %9s\n", "", "",
	       "", "to the device, a day", "in write calls", "device",
	       "store", "link", "records", "MB", "flushes", "MB a day", "x records", "x pages");
	for (size_t i = 0; i < count; i++)
		print(&runs[i]);
	printf("x records: bytes in write calls to the records' own. x pages: bytes to the device "
	       "to the records' own,\nrounded up to whole pages each second.\n");
	return 0;
}

static const char help[] =
	"Usage: bench_wear [OPTION...]\n"
	"  --dir=DIR         put the devices' images into this directory ($TMPDIR or /tmp)\n"
	"  --duration=S      how long it is counted (900)\n"
	"  --settle=S        how long before that (60)\n"
	"  --rate=N          records a second (10)\n";

int main(int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "duration", required_argument, NULL, 't' },
		{ "settle", required_argument, NULL, 's' },
		{ "rate", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = { .duration_s = 900, .settle_s = 60, .load.rate = 10 };
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		switch (option) {
		case 'd': options.base = optarg; break;
		case 't': options.duration_s = bench_number("duration", optarg, DAY_S); break;
		case 's': options.settle_s = bench_number("settle", optarg, DAY_S); break;
		case 'r': options.load.rate = bench_number("rate", optarg, 1000); break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: fputs(help, stderr); return EX_USAGE;
		}
	return bench_main(options.base, run_all, &options);
}
