/* SPDX-License-Identifier: Apache-2.0 */
/* bench_open.c - how long it takes to open a store in which a million messages wait. */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sysexits.h>

enum {
	STORES_MAX = 3,
	COUNT_MOST = 5000000,
};

struct options {
	const char *base;
	unsigned rounds;
	uint64_t count;
	/* What a child is to do. */
	const char *store, *fill, *open;
};

/* What is done to find out how much waits, and with which store. */
struct opener {
	const struct store *store;
	const char *how;
};

static size_t list_openers(struct opener openers[STORES_MAX])
{
	const struct store *sqlite = store_find("SQLite"), *lmdb = store_find("LMDB");
	size_t count = 0;

	openers[count++] = (struct opener){ &store_spool_interval, "open" };
	if (sqlite)
		openers[count++] = (struct opener){ sqlite, "open, SELECT count(*)" };
	if (lmdb)
		openers[count++] = (struct opener){ lmdb, "open, walk" };
	return count;
}

static const struct store *find(const char *name)
{
	return strcmp(name, store_spool_interval.name) ? store_find(name) :
							 &store_spool_interval;
}

/* --- children's parts: as SIGKILL leaves a store, so it is found the next time --- */

/* Peak resident memory of this process in KiB. */
static unsigned long peak_kib(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
	unsigned long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %lu", &kib) == 1)
			break;
	return kib;
}

static int fill(const struct store *store, const char *directory, uint64_t count)
{
	void *data;
	int r = store->open(directory, &data);

	return r < 0 ? r : store_fill(store, data, count);
}

static int open_and_count(const struct store *store, const char *directory)
{
	unsigned long before_kib = peak_kib();
	double start = bench_seconds(), end;
	uint64_t count;
	void *data;
	int r = store->open(directory, &data);

	if (r == 0)
		r = store->count(data, &count);
	end = bench_seconds();
	if (r < 0)
		return r;
	printf("%.9f %llu %lu %lu\n", end - start, (unsigned long long)count, before_kib,
	       peak_kib());
	return fflush(stdout) ? -errno : 0;
}

static int work_as_child(const struct options *options)
{
	const struct store *store = find(options->store);
	int r = -ENOENT;

	if (store)
		r = options->fill ? fill(store, options->fill, options->count) :
				    open_and_count(store, options->open);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", options->store, strerror(-r));
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* --- measuring --- */

struct result {
	double warm[ROUNDS_MAX], cold[ROUNDS_MAX]; /* milliseconds */
	double before_mib, peak_mib;               /* the largest */
};

static int respawn(const struct store *store, const char *what, const char *directory,
		   uint64_t count, char *line, size_t size)
{
	char path[2 * BENCH_PATH_MAX], number[24];
	char *argv[] = { NULL, "--store", (char *)store->name, (char *)what, path, "--count",
			 number, NULL };
	_cleanup_fclose_ FILE *in = NULL;
	int out, r;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/%s", directory, store->name);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)count);
	pid = bench_respawn(argv, &out);
	if (pid < 0)
		return pid;
	in = fdopen(out, "r");
	if (!in || !fgets(line, size, in))
		line[0] = '\0';
	r = bench_wait(pid);
	return r;
}

static int open_once(const struct store *store, const char *directory, uint64_t count,
		     double *ms, struct result *result)
{
	unsigned long before_kib, peak;
	unsigned long long found;
	char line[128];
	double seconds;
	int r = respawn(store, "--open", directory, count, line, sizeof(line));

	if (r < 0)
		return r;
	if (sscanf(line, "%lf %llu %lu %lu", &seconds, &found, &before_kib, &peak) != 4)
		return -EBADMSG;
	if (found != count) {
		fprintf(stderr, "%s: %llu messages wait, not %llu\n", store->name, found,
			(unsigned long long)count);
		return -EBADMSG;
	}
	*ms = seconds * 1e3;
	if (before_kib / 1024.0 > result->before_mib)
		result->before_mib = before_kib / 1024.0;
	if (peak / 1024.0 > result->peak_mib)
		result->peak_mib = peak / 1024.0;
	return 0;
}

/* Clean pages and what is known of names leave memory; root may ask for that. */
static int drop_caches(const char *directory)
{
	_cleanup_close_ int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	bench_settle(directory);
	if (fd < 0 || write(fd, "3", 1) != 1)
		return -errno;
	return 0;
}

static int measure(const struct opener openers[], size_t count, const char *directory,
		   const struct options *options, bool cold, struct result results[])
{
	for (unsigned round = 0; round < options->rounds; round++)
		for (size_t i = 0; i < count; i++) {
			double ms;
			int r = cold ? drop_caches(directory) : 0;

			/* What the one before it used may have driven it out of memory. */
			if (!cold)
				r = open_once(openers[i].store, directory, options->count, &ms,
					      &results[i]);
			if (r == 0)
				r = open_once(openers[i].store, directory, options->count, &ms,
					      &results[i]);
			if (r < 0)
				return r;
			(cold ? results[i].cold : results[i].warm)[round] = ms;
		}
	return 0;
}

static int run(const char *directory, void *data)
{
	const struct options *options = data;
	static struct result results[STORES_MAX];
	struct opener openers[STORES_MAX];
	size_t count = list_openers(openers);
	char line[8];
	bool cold;
	int r = 0;

	printf("Opening stores in which %llu messages of %d bytes wait and whose process was "
	       "killed;\nmedians of %u runs in turn, each in a process of its own.\n\n",
	       (unsigned long long)options->count, RECORD_SIZE, options->rounds);
	for (size_t i = 0; i < count && r == 0; i++)
		r = respawn(openers[i].store, "--fill", directory, options->count, line,
			    sizeof(line));
	bench_settle(directory);
	if (r == 0)
		r = measure(openers, count, directory, options, false, results);
	if (r < 0)
		return r;
	cold = drop_caches(directory) == 0;
	if (!cold)
		printf("cold caches are left out: that takes root\n");
	else
		r = measure(openers, count, directory, options, true, results);
	if (r < 0)
		return r;
	printf("%-8s %-22s %9s %9s %15s %9s\n", "store", "", "warm ms", "cold ms",
	       "MiB at start", "MiB peak");
	for (size_t i = 0; i < count; i++) {
		printf("%-8s %-22s %9.2f", openers[i].store->name, openers[i].how,
		       bench_median(results[i].warm, options->rounds));
		if (cold)
			printf(" %9.2f", bench_median(results[i].cold, options->rounds));
		else
			printf(" %9s", "-");
		printf(" %15.1f %9.1f\n", results[i].before_mib, results[i].peak_mib);
	}
	return 0;
}

static const char help[] =
	"Usage: bench_open [OPTION...]\n"
	"  --dir=DIR      put the stores below this directory ($TMPDIR or /tmp)\n"
	"  --count=N      messages that wait (1000000)\n"
	"  --rounds=N     runs of each (5)\n";

int main(int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'c' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "store", required_argument, NULL, 'S' },
		{ "fill", required_argument, NULL, 'F' },
		{ "open", required_argument, NULL, 'O' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = { .rounds = 5, .count = 1000000 };
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		switch (option) {
		case 'd': options.base = optarg; break;
		case 'c': options.count = bench_number("count", optarg, COUNT_MOST); break;
		case 'r': options.rounds = bench_number("rounds", optarg, ROUNDS_MAX); break;
		case 'S': options.store = optarg; break;
		case 'F': options.fill = optarg; break;
		case 'O': options.open = optarg; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: fputs(help, stderr); return EX_USAGE;
		}
	if (options.store)
		return work_as_child(&options);
	return bench_main(options.base, run, &options);
}
