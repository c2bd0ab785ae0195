/* SPDX-License-Identifier: Apache-2.0 */
/* bench_drain.c - how fast a backlog drains: the gateway's uplink beside libmosquitto alone. */
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

struct options {
	const char *base;
	unsigned rounds;
	unsigned qos[2], windows[WINDOWS_MAX];
	size_t qos_count, window_count;
	struct publisher publisher;
	/* What a child is to do. */
	const char *gateway;
	bool alone;
};

struct result {
	double rate; /* messages a second */
	double cpu;  /* seconds for 100,000 messages */
};

/* Starts this program anew as a publisher. */
static pid_t start_publisher(const struct publisher *publisher, const char *gateway, int *out)
{
	char count[24], port[8], qos[2], window[8];
	char *argv[] = {
		NULL, "--count", count, "--port", port, "--qos", qos, "--window", window,
		"--mqtt", publisher->mqtt5 ? "5" : "3", gateway ? "--gateway" : "--alone",
		(char *)gateway, NULL,
	};

	snprintf(count, sizeof(count), "%llu", (unsigned long long)publisher->count);
	snprintf(port, sizeof(port), "%u", publisher->port);
	snprintf(qos, sizeof(qos), "%u", publisher->qos);
	snprintf(window, sizeof(window), "%u", publisher->window);
	return bench_respawn(argv, out);
}

/* Lets it publish all and ends it: what is left over then makes it fail. */
static int measure(struct watch *watch, const struct publisher *publisher,
		   const char *gateway, struct result *result)
{
	_cleanup_close_ int out = -1;
	pid_t pid = start_publisher(publisher, gateway, &out);
	int r, status;

	if (pid < 0)
		return pid;
	r = watch_publisher(watch, pid);
	kill(pid, SIGTERM);
	status = bench_wait(pid);
	if (r == 0)
		r = status;
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", gateway ? "gateway" : "libmosquitto", strerror(-r));
		return r;
	}
	result->rate = (publisher->count - 1) / (watch->end - watch->begin);
	result->cpu = (watch->cpu_at_end - watch->cpu_at_begin) * 1e5 / (publisher->count - 1);
	return 0;
}

/* One backlog, filled anew, and the same messages by libmosquitto alone. */
static int measure_round(struct watch *watch, const struct publisher *publisher,
			 const char *directory, struct result *gateway, struct result *alone)
{
	char path[2 * BENCH_PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/gateway", directory);
	r = bench_make_directory(path);
	if (r == 0)
		r = publisher_fill(publisher, path);
	bench_settle(directory);
	if (r == 0)
		r = measure(watch, publisher, path, gateway);
	if (r == 0)
		r = measure(watch, publisher, NULL, alone);
	bench_remove(path);
	return r;
}

static int measure_window(struct watch *watch, const struct options *options,
			  const struct publisher *publisher, const char *directory)
{
	double rates[2][ROUNDS_MAX], cpu[2][ROUNDS_MAX], ratio;

	for (unsigned round = 0; round < options->rounds; round++) {
		struct result gateway, alone;
		int r = measure_round(watch, publisher, directory, &gateway, &alone);

		if (r < 0)
			return r;
		rates[0][round] = gateway.rate;
		rates[1][round] = alone.rate;
		cpu[0][round] = gateway.cpu;
		cpu[1][round] = alone.cpu;
	}
	ratio = bench_median_ratio(rates[0], rates[1], options->rounds);
	printf("%3u %7u %10.0f %10.0f %7.2f %10.2f %10.2f\n", publisher->qos, publisher->window,
	       bench_median(rates[0], options->rounds), bench_median(rates[1], options->rounds),
	       ratio, bench_median(cpu[0], options->rounds),
	       bench_median(cpu[1], options->rounds));
	return 0;
}

static int run(const char *directory, void *data)
{
	const struct options *options = data;
	struct publisher publisher = options->publisher;
	struct watch watch;
	int r = watch_start(&watch, directory);

	publisher.port = watch.port;
	printf("Draining %llu messages, payloads of %d bytes, MQTT %s, from the spool (sync = \"1s\")"
	       " and by\nlibmosquitto alone, in turn; medians of %u rounds.\n\n"
	       "%3s %7s %10s %10s %7s %21s\n%3s %7s %10s %10s %7s %10s %10s\n",
	       (unsigned long long)publisher.count, PAYLOAD_SIZE,
	       publisher.mqtt5 ? "5" : "3.1.1", options->rounds,
	       "", "", "messages/s", "", "", "CPU s per 100,000",
	       "QoS", "window", "spool", "alone", "ratio", "spool", "alone");
	for (size_t i = 0; i < options->qos_count && r == 0; i++)
		for (size_t j = 0; j < options->window_count && r == 0; j++) {
			publisher.qos = options->qos[i];
			publisher.window = options->windows[j];
			r = measure_window(&watch, options, &publisher, directory);
		}
	watch_stop(&watch);
	return r;
}

static int work_as_child(const struct options *options)
{
	struct publisher publisher = options->publisher;
	int r;

	publisher.qos = options->qos[0];
	publisher.window = options->windows[0];
	r = options->gateway ? publisher_gateway(&publisher, options->gateway) :
			       publisher_alone(&publisher);
	if (r < 0)
		fprintf(stderr, "publisher: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char help[] =
	"Usage: bench_drain [OPTION...]\n"
	"  --dir=DIR      put the spool below this directory ($TMPDIR or /tmp)\n"
	"  --count=N      messages in the backlog (200000)\n"
	"  --qos=N        1 or 2; may be given more than once (both)\n"
	"  --window=N     messages in flight; may be given more than once (20, 100, 1000)\n"
	"  --mqtt=3|5     version of the protocol (5)\n"
	"  --rounds=N     runs of each (3)\n";

static void use_defaults(struct options *options)
{
	if (!options->qos_count) {
		options->qos[options->qos_count++] = 1;
		options->qos[options->qos_count++] = 2;
	}
	if (!options->window_count) {
		options->windows[options->window_count++] = 20;
		options->windows[options->window_count++] = 100;
		options->windows[options->window_count++] = 1000;
	}
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
		{ "gateway", required_argument, NULL, 'G' },
		{ "alone", no_argument, NULL, 'A' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options options = {
		.rounds = 3, .publisher = { .count = 200000, .mqtt5 = true },
	};
	struct publisher *publisher = &options.publisher;
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		switch (option) {
		case 'd': options.base = optarg; break;
		case 'c': publisher->count = bench_number("count", optarg, 5000000); break;
		case 'q':
			add_choice(options.qos, ARRAY_SIZE(options.qos), &options.qos_count,
				   bench_number("qos", optarg, 2));
			break;
		case 'w':
			add_choice(options.windows, WINDOWS_MAX, &options.window_count,
				   bench_number("window", optarg, 1000));
			break;
		case 'm': publisher->mqtt5 = bench_number("mqtt", optarg, 5) == 5; break;
		case 'r': options.rounds = bench_number("rounds", optarg, ROUNDS_MAX); break;
		case 'P': publisher->port = bench_number("port", optarg, 65535); break;
		case 'G': options.gateway = optarg; break;
		case 'A': options.alone = true; break;
		case 'h': fputs(help, stdout); return EXIT_SUCCESS;
		default: fputs(help, stderr); return EX_USAGE;
		}
	use_defaults(&options);
	if (options.gateway || options.alone)
		return work_as_child(&options);
	return bench_main(options.base, run, &options);
}
