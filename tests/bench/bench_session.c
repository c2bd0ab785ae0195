/* SPDX-License-Identifier: Apache-2.0 */
/* bench_session.c - messages a second through a broker: the gateway's uplink beside others. */
#include "publisher.h"
#include "watch.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

enum {
	WINDOWS_MAX = 8,
};

static const struct contestant {
	const char *name;
	publish *publish;
	unsigned share; /* it publishes one of so many messages: it is slow */
} contestants[] = {
	{ "postbus, from its spool", publisher_gateway, 1 },
	{ "libmosquitto, nothing kept", publisher_alone, 1 },
#ifdef HAVE_PAHO
	{ "Paho C, nothing kept", publisher_paho, 4 },
	{ "Paho C, kept in files", publisher_paho_files, 40 },
#endif
};

enum { POSTBUS, ALONE, PAHO, PAHO_FILES, CONTESTANTS = ARRAY_SIZE(contestants) };

struct options {
	const char *base;
	unsigned rounds;
	unsigned qos[3], windows[WINDOWS_MAX];
	size_t qos_count, window_count;
	struct publisher publisher;
	/* What a child is to do. */
	const struct contestant *child;
};

struct results {
	double rate[ROUNDS_MAX];   /* messages a second */
	double cpu[ROUNDS_MAX];    /* seconds for 100,000 messages */
	double memory[ROUNDS_MAX]; /* MB */
};

/* Starts this program anew as a publisher. */
static pid_t start_publisher(const struct contestant *contestant,
			     const struct publisher *publisher, char *directory, int *out)
{
	char count[24], port[8], qos[2], window[8], number[12];
	char *argv[] = {
		NULL, "--count", count, "--port", port, "--qos", qos, "--window", window,
		"--mqtt", publisher->mqtt5 ? "5" : "3", "--dir", directory,
		"--publish", number, NULL,
	};

	snprintf(count, sizeof(count), "%llu", (unsigned long long)publisher->count);
	snprintf(port, sizeof(port), "%u", publisher->port);
	snprintf(qos, sizeof(qos), "%u", publisher->qos);
	snprintf(window, sizeof(window), "%u", publisher->window);
	snprintf(number, sizeof(number), "%d", (int)(contestant - contestants) + 1);
	return bench_respawn(argv, out);
}

/* Lets it publish all and ends it: what is left over then makes it fail. */
static int measure(struct watch *watch, const struct contestant *contestant,
		   const struct publisher *publisher, char *directory, unsigned round,
		   struct results *results)
{
	_cleanup_close_ int out = -1;
	pid_t pid = start_publisher(contestant, publisher, directory, &out);
	double messages = publisher->count - 1;
	int r, status;

	if (pid < 0)
		return pid;
	r = watch_publisher(watch, pid);
	kill(pid, SIGTERM);
	status = bench_wait(pid);
	if (r == 0)
		r = status;
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", contestant->name, strerror(-r));
		return r;
	}
	results->rate[round] = messages / (watch->end - watch->begin);
	results->cpu[round] = (watch->cpu_at_end - watch->cpu_at_begin) * 1e5 / messages;
	results->memory[round] = watch->memory_at_end / 1e6;
	return 0;
}

static int measure_in(struct watch *watch, const struct contestant *contestant,
		      struct publisher publisher, const char *directory, unsigned round,
		      struct results *results)
{
	char path[2 * BENCH_PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/publisher", directory);
	r = bench_make_directory(path);
	publisher.count /= contestant->share;
	if (publisher.count < 2)
		publisher.count = 2;
	if (r == 0 && contestant->publish == publisher_gateway)
		r = publisher_fill(&publisher, path);
	bench_settle(directory);
	if (r == 0)
		r = measure(watch, contestant, &publisher, path, round, results);
	bench_remove(path);
	return r;
}

static void show(const struct publisher *publisher, struct results *results, unsigned rounds)
{
	double ratios[CONTESTANTS];
	char window[8] = "-";

	if (publisher->qos)
		snprintf(window, sizeof(window), "%u", publisher->window);
	/* A median sorts, and these are of neighbours in time. */
	for (unsigned i = 0; i < CONTESTANTS; i++)
		ratios[i] = bench_median_ratio(results[i].rate, results[ALONE].rate, rounds);
#ifdef HAVE_PAHO
	double times = bench_median_ratio(results[POSTBUS].rate, results[PAHO_FILES].rate, rounds);
#endif
	for (unsigned i = 0; i < CONTESTANTS; i++)
		printf("%3u %6s  %-27s %10.0f %9.2f %11.2f %8.1f\n", publisher->qos, window,
		       contestants[i].name, bench_median(results[i].rate, rounds), ratios[i],
		       bench_median(results[i].cpu, rounds),
		       bench_median(results[i].memory, rounds));
#ifdef HAVE_PAHO
	printf("%11s postbus: %.1f times Paho C that keeps messages in files\n", "", times);
#endif
	printf("\n");
}

/* All contestants in turn, round by round. */
static int measure_window(struct watch *watch, const struct options *options,
			  const struct publisher *publisher, const char *directory)
{
	struct results results[CONTESTANTS];

	for (unsigned round = 0; round < options->rounds; round++)
		for (unsigned i = 0; i < CONTESTANTS; i++) {
			int r = measure_in(watch, &contestants[i], *publisher, directory, round,
					   &results[i]);

			if (r < 0)
				return r;
		}
	show(publisher, results, options->rounds);
	return 0;
}

static int measure_qos(struct watch *watch, const struct options *options, unsigned qos,
		       const char *directory)
{
	struct publisher publisher = options->publisher;
	int r = 0;

	publisher.port = watch->port;
	publisher.qos = qos;
	/* Nothing of QoS 0 is in flight for long. */
	for (size_t i = 0; i < (qos ? options->window_count : 1) && r == 0; i++) {
		publisher.window = options->windows[i];
		r = measure_window(watch, options, &publisher, directory);
	}
	return r;
}

static int run(const char *directory, void *data)
{
	const struct options *options = data;
	struct watch watch;
	int r = watch_start(&watch, directory);

	printf("%llu messages, payloads of %d bytes, MQTT %s, over loopback to Mosquitto; postbus "
	       "has them on the\ndisk before (sync = \"1s\"). In turn; medians of %u rounds.\n\n",
	       (unsigned long long)options->publisher.count, PAYLOAD_SIZE,
	       options->publisher.mqtt5 ? "5" : "3.1.1", options->rounds);
	if (CONTESTANTS <= PAHO)
		printf("Paho C is not installed: passed over.\n\n");
	printf("%38s %10s %9s %11s %8s\n%3s %6s  %-27s %10s %9s %11s %8s\n", "", "messages",
	       "of libmo-", "CPU s for", "memory", "QoS", "window", "", "a second", "squitto's",
	       "100,000", "MB");
	for (size_t i = 0; i < options->qos_count && r == 0; i++)
		r = measure_qos(&watch, options, options->qos[i], directory);
	watch_stop(&watch);
	return r;
}

static int work_as_child(const struct options *options)
{
	struct publisher publisher = options->publisher;
	int r;

	publisher.qos = options->qos[0];
	publisher.window = options->windows[0];
	r = options->child->publish(&publisher, options->base);
	if (r < 0)
		fprintf(stderr, "publisher: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char help[] =
	"Usage: bench_session [OPTION...]\n"
	"  --dir=DIR      put what is kept below this directory ($TMPDIR or /tmp)\n"
	"  --count=N      messages (100000; slow ones publish fewer)\n"
	"  --qos=N        0, 1 or 2; may be given more than once (all)\n"
	"  --window=N     messages in flight; may be given more than once (20, 100, 1000)\n"
	"  --mqtt=3|5     version of the protocol (5)\n"
	"  --rounds=N     runs of each (3)\n";

static void use_defaults(struct options *options)
{
	static const unsigned windows[] = { 20, 100, 1000 };

	if (!options->qos_count)
		for (unsigned qos = 0; qos <= 2; qos++)
			options->qos[options->qos_count++] = qos;
	if (options->window_count)
		return;
	options->window_count = ARRAY_SIZE(windows);
	memcpy(options->windows, windows, sizeof(windows));
}

static void add_choice(unsigned *choices, size_t most, size_t *count, unsigned choice)
{
	if (*count < most)
		choices[(*count)++] = choice;
}

int main(int argc, char *argv[])
{
	static const struct option longs[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'c' },
		{ "qos", required_argument, NULL, 'q' },
		{ "window", required_argument, NULL, 'w' },
		{ "mqtt", required_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "port", required_argument, NULL, 'P' },
		{ "publish", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = {
		.rounds = 3, .publisher = { .count = 100000, .mqtt5 = true },
	};
	struct publisher *publisher = &options.publisher;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		switch (option) {
		case 'd': options.base = optarg; break;
		case 'c': publisher->count = bench_number("count", optarg, 5000000); break;
		case 'q':
			add_choice(options.qos, ARRAY_SIZE(options.qos), &options.qos_count,
				   strcmp(optarg, "0") ? bench_number("qos", optarg, 2) : 0);
			break;
		case 'w':
			add_choice(options.windows, WINDOWS_MAX, &options.window_count,
				   bench_number("window", optarg, 1000));
			break;
		case 'm': publisher->mqtt5 = bench_number("mqtt", optarg, 5) == 5; break;
		case 'r': options.rounds = bench_number("rounds", optarg, ROUNDS_MAX); break;
		case 'P': publisher->port = bench_number("port", optarg, 65535); break;
		case 'p':
			options.child = &contestants[bench_number("publish", optarg, CONTESTANTS) - 1];
			break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: fputs(help, stderr); return EX_USAGE;
		}
	use_defaults(&options);
	if (options.child)
		return work_as_child(&options);
	return bench_main(options.base, run, &options);
}
