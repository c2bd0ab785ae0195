/* SPDX-License-Identifier: Apache-2.0 */
/* demo.c - the main job, shown: the link is cut, the gateway is killed, and nothing is lost. */
#include "tools/stage.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

enum {
	ENOUGH = 220, /* readings, before the last act */
	SHOWN = 8,    /* deliveries that are shown as they arrive */
};

static void say(const char *format, ...) _printf_(1, 2);
static void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

static int set_stage(struct stage *stage)
{
	int r;

	say("A simulated RS-485 bus with %d sensors, a private Mosquitto, a gateway between.",
	    STAGE_DEVICES);
	r = stage_start_simulator(stage);
	if (r >= 0)
		r = stage_start_broker(stage);
	if (r >= 0)
		r = stage_start_proxy(stage);
	if (r >= 0)
		r = stage_start_subscriber(stage);
	if (r >= 0)
		r = stage_configure(stage, "qos = 2;", "");
	return r;
}

static int show_spool(struct stage *stage)
{
	struct spool_sums sums = { 0 };
	uint64_t next;
	int r = stage_look_at_spool(stage, &sums, &next);

	say("    spool: %llu taken in, %llu acknowledged, %llu waiting",
	    (unsigned long long)sums.taken, (unsigned long long)sums.acked,
	    (unsigned long long)sums.waiting);
	return r;
}

static int cut_and_kill(struct stage *stage)
{
	int r;

	say("\n2. The link is cut. Polling goes on, the spool fills.");
	proxy_cut(stage->proxy, true);
	r = stage_wait(stage, stage_spool_holds, 40);
	if (r == 0)
		r = show_spool(stage);
	if (r < 0)
		return r;

	say("\n3. The gateway is killed with SIGKILL and started again, still without a link.");
	stage_end(&stage->gateway, SIGKILL);
	r = stage_start_gateway(stage);
	if (r == 0)
		r = stage_wait(stage, stage_spool_holds, 70);
	return r < 0 ? r : show_spool(stage);
}

static int mend(struct stage *stage)
{
	int r;

	say("\n4. The link is back. The backlog goes out, oldest first.");
	stage->to_show = SHOWN / 2;
	proxy_cut(stage->proxy, false);
	r = stage_wait(stage, stage_spool_is_empty, 0);
	return r < 0 ? r : show_spool(stage);
}

static int kill_while_publishing(struct stage *stage)
{
	say("\n5. The gateway is killed five times more, while it is publishing.");
	for (unsigned i = 0; i < 5; i++) {
		int r;

		stage_end(&stage->gateway, SIGKILL);
		r = stage_start_gateway(stage);
		if (r == 0)
			r = stage_wait(stage, stage_has_readings, stage->readings + 10);
		/* Not always at the same point of a message's way. */
		if (r == 0)
			r = stage_wait_ms(stage, 7 * i);
		if (r < 0)
			return r;
	}
	return stage_wait(stage, stage_has_readings, ENOUGH);
}

static int play(struct stage *stage)
{
	int r;

	say("\n1. Readings arrive at a subscriber:");
	stage->to_show = SHOWN;
	r = stage_start_gateway(stage);
	if (r == 0)
		r = stage_wait(stage, stage_has_readings, 40);
	if (r == 0)
		r = cut_and_kill(stage);
	if (r == 0)
		r = mend(stage);
	if (r == 0)
		r = kill_while_publishing(stage);
	if (r < 0)
		return r;

	say("\n6. The sensors fall silent, the last messages are delivered, and are counted.");
	simulator_mute(stage->simulator, true);
	r = stage_wait(stage, stage_spool_is_empty, 0);
	stage_end(&stage->gateway, SIGTERM);
	/* What the broker has passed on may still be on its way to us. */
	return r < 0 ? r : stage_wait_ms(stage, 500);
}

/* Each message that the gateway ever numbered is looked for in what was delivered. */
static int count(struct stage *stage)
{
	struct stage_count count;
	uint64_t delivered, read;
	int r = stage_count(stage, &count);

	if (r < 0)
		return r;
	delivered = count.delivered - count.others;
	read = delivered + count.lost;
	say("    the sensors answered %llu times; beside the readings %llu messages told "
	    "how they and the bus are",
	    (unsigned long long)simulator_stats(stage->simulator).answers,
	    (unsigned long long)count.others);
	say("\nread %llu, delivered %llu, lost %llu, twice %llu", (unsigned long long)read,
	    (unsigned long long)delivered, (unsigned long long)count.lost,
	    (unsigned long long)count.twice);
	return count.lost || count.twice || count.unknown || read < ENOUGH ? 1 : 0;
}

static void usage(FILE *out)
{
	fputs("usage: postbus demo [--maps DIR]\n"
	      "\n"
	      "Shows the main job on this machine alone: a simulated bus, a private broker and\n"
	      "a gateway between them; cuts the link, kills the gateway, brings all back and\n"
	      "counts. Needs mosquitto and mosquitto_sub. Exit status 1: something was lost or\n"
	      "came twice.\n"
	      "\n"
	      "      --maps DIR   where the device maps are (" MAPDIR ")\n"
	      "  -h, --help       this text\n", out);
}

int tool_demo(int argc, char **argv)
{
	static const struct option options[] = {
		{ "maps", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *maps = MAPDIR;
	_cleanup_free_ char *whole = NULL;
	struct stage stage;
	int option, r;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return EXIT_SUCCESS;
		}
		if (option != 'm') {
			usage(stderr);
			return 2;
		}
		maps = optarg;
	}
	/* The gateway looks from its configuration's directory, so the path is made whole. */
	whole = realpath(maps, NULL);
	r = stage_open(&stage, "/proc/self/exe", whole ? whole : maps);
	if (r >= 0)
		r = set_stage(&stage);
	if (r >= 0)
		r = play(&stage);
	if (r >= 0)
		r = count(&stage);
	if (r < 0) {
		fprintf(stderr, "demo: %s\n", r == -EINTR ? "interrupted" : strerror(-r));
		stage_show_log(&stage, "mosquitto.log");
		stage_show_log(&stage, "gateway.log");
		r = 1;
	}
	stage_clean_up(&stage);
	return r;
}
