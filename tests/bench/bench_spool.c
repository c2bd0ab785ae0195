/* SPDX-License-Identifier: Apache-2.0 */
/* bench_spool.c - records a second and bytes a record: the spool beside other stores. */
#include "disk.h"
#include "store.h"

#include <errno.h>
#include <getopt.h>
#include <sysexits.h>

enum {
	STORES_MAX = 8,
	/* Work that is counted in instructions, and done before, so that all is in place. */
	COUNTED_RECORDS = 8 * 1024,
	WARM_UP_RECORDS = 2 * 1024,
	/* Before bytes are counted, each file is to have grown as far as it will. */
	WARM_UP_COMMITS = 3000,
	WARM_UP_MOST_S = 5,
};

struct options {
	const char *base;
	unsigned rounds, slice_ms;
	bool unread, instructions;
	const char *keep; /* directory for callgrind's files */
	/* What a child under callgrind is to do. */
	const char *store, *directory;
	unsigned batch;
};

static const unsigned batches[] = { 1, 16, 256 };

/* One store at work. */
struct contest {
	const struct store *store;
	void *data;
	uint64_t number;          /* of the next record */
	double rates[ROUNDS_MAX]; /* records a second, one a round */
	double bytes, flushes;    /* that reach the device, a record */
};

/* Takes what was appended the last time and appends as much, with one commit. */
static int work(struct contest *contest, unsigned batch, bool read)
{
	const struct store *store = contest->store;
	char record[RECORD_SIZE];
	int r = contest->number ? store->take(contest->data, batch, read) : 0;

	for (unsigned i = 0; i < batch && r == 0; i++) {
		record_fill(record, contest->number++);
		r = store->append(contest->data, record);
	}
	return r < 0 ? r : store->commit(contest->data);
}

static int work_for(struct contest *contest, unsigned batch, const struct options *options,
		    double *rate)
{
	double start = bench_seconds(), now = start;
	uint64_t before = contest->number;

	while (now < start + options->slice_ms / 1e3) {
		int r = work(contest, batch, !options->unread);

		if (r < 0)
			return r;
		now = bench_seconds();
	}
	*rate = (contest->number - before) / (now - start);
	return 0;
}

static int open_contest(struct contest *contest, const struct store *store,
			const char *directory, unsigned batch)
{
	char path[2 * BENCH_PATH_MAX];

	*contest = (struct contest){ .store = store };
	snprintf(path, sizeof(path), "%s/%s-%u", directory, store->name, batch);
	return store->open(path, &contest->data);
}

/* The stores take turns; each begins its turn with nothing left to write by the others. */
static int take_turns(struct contest contests[], const char *directory,
		      const struct options *options, unsigned batch)
{
	for (unsigned round = 0; round <= options->rounds; round++)
		for (size_t i = 0; i < store_count; i++) {
			double rate;
			int r;

			bench_settle(directory);
			r = work_for(&contests[i], batch, options, &rate);
			if (r < 0)
				return r;
			/* The first one only warms up. */
			if (round > 0)
				contests[i].rates[round - 1] = rate;
		}
	return 0;
}

static int measure_rates(struct contest contests[], const char *directory,
			 const struct options *options, unsigned batch)
{
	size_t opened = 0;
	int r = 0;

	for (; opened < store_count && r == 0; opened++)
		r = open_contest(&contests[opened], stores[opened], directory, batch);
	if (r == 0)
		r = take_turns(contests, directory, options, batch);
	while (opened-- > 0)
		if (contests[opened].store->close(contests[opened].data) < 0 && r == 0)
			r = -EIO;
	return r;
}

static int warm_up(struct contest *contest, unsigned batch, const struct options *options)
{
	double end = bench_seconds() + WARM_UP_MOST_S;
	int r = 0;

	for (unsigned i = 0; i < WARM_UP_COMMITS && r == 0 && bench_seconds() < end; i++)
		r = work(contest, batch, !options->unread);
	return r;
}

/* What reaches the device for a record, all that the file system adds among it. */
static int count_bytes(struct contest *contest, const struct disk *disk,
		       const struct options *options, unsigned batch)
{
	struct disk_counts before, after;
	struct contest other;
	uint64_t first;
	double rate;
	int r = open_contest(&other, contest->store, disk->path, batch);

	if (r < 0)
		return r;
	r = warm_up(&other, batch, options);
	if (r == 0)
		r = disk_count(disk, &before);
	first = other.number;
	if (r == 0)
		r = work_for(&other, batch, options, &rate);
	if (r == 0)
		r = disk_count(disk, &after);
	if (r == 0) {
		contest->bytes = (double)(after.bytes - before.bytes) / (other.number - first);
		contest->flushes =
			(double)(after.flushes - before.flushes) / (other.number - first);
	}
	return other.store->close(other.data) < 0 && r == 0 ? -EIO : r;
}

static const struct contest *contest_of(const struct contest contests[], const char *store)
{
	for (size_t i = 0; i < store_count; i++)
		if (!strcmp(stores[i]->name, store))
			return &contests[i];
	return NULL;
}

static void print_rows(struct contest contests[], const struct options *options,
		       unsigned batch, bool counted)
{
	const struct contest *sqlite = contest_of(contests, "SQLite");
	double ratios[STORES_MAX];

	for (size_t i = 0; i < store_count && sqlite; i++)
		ratios[i] = bench_median_ratio(contests[i].rates, sqlite->rates,
					       options->rounds);
	for (size_t i = 0; i < store_count; i++) {
		printf("%6u  %-8s %11.0f", batch, contests[i].store->name,
		       bench_median(contests[i].rates, options->rounds));
		if (sqlite)
			printf(" %10.2f", ratios[i]);
		else
			printf(" %10s", "-");
		if (counted)
			printf(" %10.0f %10.3f", contests[i].bytes, contests[i].flushes);
		printf("\n");
	}
	printf("\n");
}

static int measure_all(const char *directory, const struct options *options,
		       const struct disk *disk)
{
	static struct contest contests[STORES_MAX];

	printf("\n%6s  %-8s %11s %10s %10s %10s\n", "a sync", "store", "records/s", "x SQLite",
	       disk ? "bytes each" : "", disk ? "flushes" : "");
	for (size_t i = 0; i < ARRAY_SIZE(batches); i++) {
		int r = measure_rates(contests, directory, options, batches[i]);

		for (size_t j = 0; j < store_count && disk && r == 0; j++)
			r = count_bytes(&contests[j], disk, options, batches[i]);
		if (r < 0)
			return r;
		print_rows(contests, options, batches[i], disk);
	}
	return 0;
}

/* --- instructions --- */

int work_counted(struct contest *contest, const struct options *options);

/* What callgrind counts in, so it is to stay a function with this name. */
__attribute__((noinline))
int work_counted(struct contest *contest, const struct options *options)
{
	uint64_t end = contest->number + COUNTED_RECORDS;
	int r = 0;

	while (r == 0 && contest->number < end)
		r = work(contest, options->batch, !options->unread);
	return r;
}

/* The child's part, under callgrind. */
static int work_as_child(const struct options *options)
{
	const struct store *store = store_find(options->store);
	struct contest contest;
	int r = store ? open_contest(&contest, store, options->directory, options->batch) :
			-ENOENT;

	while (r == 0 && contest.number < WARM_UP_RECORDS)
		r = work(&contest, options->batch, !options->unread);
	if (r == 0)
		r = work_counted(&contest, options);
	if (r == 0)
		r = store->close(contest.data);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", options->store, strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int read_sum(const char *path, uint64_t *sum)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char line[256];
	unsigned long long number;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "totals: %llu", &number) == 1) {
			*sum = number;
			return 0;
		}
	}
	return -ENODATA;
}

static int count_instructions(const char *directory, const struct options *options,
			      const char *store, unsigned batch, uint64_t *sum)
{
	char file[2 * BENCH_PATH_MAX], out[sizeof(file) + 32], number[16];
	_cleanup_free_ char *self = realpath("/proc/self/exe", NULL);
	char *argv[] = { "valgrind", "-q", "--tool=callgrind", "--collect-atstart=no",
			 "--toggle-collect=work_counted", out, self, "--store",
			 (char *)store, "--directory", (char *)directory, "--batch", number,
			 options->unread ? "--unread" : NULL, NULL };
	pid_t parent = getpid(), pid;
	int r;

	snprintf(file, sizeof(file), "%s/callgrind.out.%s-%u",
		 options->keep ? options->keep : directory, store, batch);
	snprintf(out, sizeof(out), "--callgrind-out-file=%s", file);
	snprintf(number, sizeof(number), "%u", batch);
	pid = fork();
	if (pid == 0) {
		bench_die_with(parent);
		execvp(argv[0], argv);
		fprintf(stderr, "valgrind: %s\n", strerror(errno));
		_exit(127);
	}
	r = pid < 0 ? -errno : bench_wait(pid);
	return r < 0 ? r : read_sum(file, sum);
}

static int measure_instructions(const char *directory, const struct options *options)
{
	printf("%6s  %-8s %14s\n", "a sync", "store", "instructions");
	for (size_t i = 0; i < ARRAY_SIZE(batches); i++)
		for (size_t j = 0; j < store_count; j++) {
			uint64_t sum;
			int r = count_instructions(directory, options, stores[j]->name,
						   batches[i], &sum);

			if (r < 0)
				return r;
			printf("%6u  %-8s %14.0f\n", batches[i], stores[j]->name,
			       (double)sum / COUNTED_RECORDS);
		}
	if (options->keep)
		printf("where they go: callgrind_annotate %s/callgrind.out.STORE-BATCH\n",
		       options->keep);
	return 0;
}

/* --- what to do --- */

static int run(const char *directory, void *data)
{
	const struct options *options = data;
	struct disk disk;
	int r;

	printf("Records of %d bytes: append, commit, %serase with the next commit; medians of %u "
	       "runs in turn.\n", RECORD_SIZE, options->unread ? "" : "read back, ",
	       options->rounds);
	for (size_t i = 0; i < store_count; i++)
		printf("  %-8s %s\n", stores[i]->name, stores[i]->how);
	if (options->instructions)
		return measure_instructions(directory, options);
	r = disk_new(directory, "disk", STORE_BYTES_MAX, &disk);
	if (r < 0)
		printf("bytes to the device are left out: no loop device: %s\n", strerror(-r));
	return measure_all(directory, options, r < 0 ? NULL : &disk);
}

static const char help[] =
	"Usage: bench_spool [OPTION...]\n"
	"  --dir=DIR               measure in this directory ($TMPDIR or /tmp)\n"
	"  --rounds=N              runs of each store (5)\n"
	"  --slice=MS              how long a run is (500)\n"
	"  --unread                do not read the records back\n"
	"  --instructions[=DIR]    count instructions with callgrind instead; keep its files\n";

int main(int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "slice", required_argument, NULL, 's' },
		{ "unread", no_argument, NULL, 'u' },
		{ "instructions", optional_argument, NULL, 'i' },
		{ "store", required_argument, NULL, 'S' },
		{ "directory", required_argument, NULL, 'D' },
		{ "batch", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = { .rounds = 5, .slice_ms = 500 };
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		switch (option) {
		case 'd': options.base = optarg; break;
		case 'r': options.rounds = bench_number("rounds", optarg, ROUNDS_MAX); break;
		case 's': options.slice_ms = bench_number("slice", optarg, 60000); break;
		case 'u': options.unread = true; break;
		case 'i': options.instructions = true; options.keep = optarg; break;
		case 'S': options.store = optarg; break;
		case 'D': options.directory = optarg; break;
		case 'B': options.batch = bench_number("batch", optarg, 100000); break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: fputs(help, stderr); return EX_USAGE;
		}
	if (options.store)
		return work_as_child(&options);
	return bench_main(options.base, run, &options);
}
