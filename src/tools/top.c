/* SPDX-License-Identifier: Apache-2.0 */
/* top.c - `postbus top`: the running gateway, live on the whole terminal. */
#include "tools/top.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "tools/screen.h"
#include "tools/spool_cli.h"
#include "tools/tools.h"
#include "tools/top_feed.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>

enum {
	INTERVAL_US = 1000 * 1000,
	INTERVAL_LEAST_US = 100 * 1000,
	INTERVAL_MOST_US = 3600u * 1000 * 1000,
	CONTROL_L = 'L' - '@', /* draws all anew, as in other programs */
};

struct top {
	sd_event *loop;
	struct grid grid;
	struct top_model model;
	uint64_t heard_us; /* when the last status came */
};

static void usage(FILE *out)
{
	fputs("usage: postbus top [-c FILE] [--interval DURATION]\n"
	      "\n"
	      "Shows the running gateway on the whole terminal, as it changes: link, session,\n"
	      "spool, buses, and devices with their last values. The key ? tells of the others.\n"
	      "\n"
	      "  -c, --config FILE        the gateway that runs with this configuration\n"
	      "  -i, --interval DURATION  how often it is asked, 100ms to 1h (1s)\n"
	      "  -h, --help               this text\n"
	      "\n"
	      "Exit status 1: the terminal has no cursor that can be moved, or there is none.\n",
	      out);
}

static void draw(struct top *top)
{
	top->model.age_ms = (clock_monotonic_us() - top->heard_us) / USEC_PER_MSEC;
	top_draw(&top->model, &top->grid);
	screen_show(&top->grid);
}

/* --- what happens --- */

static void on_status(void *data, cJSON *status)
{
	struct top *top = data;

	top->heard_us = clock_monotonic_us();
	top_model_take(&top->model, status);
	draw(top);
}

static void on_trouble(void *data, const char *why)
{
	struct top *top = data;

	top->model.trouble = why;
	draw(top);
}

static int on_keys(_unused_ sd_event_source *source, _unused_ int fd, uint32_t events,
		   void *data)
{
	struct top *top = data;
	unsigned key;

	while ((key = screen_key()) != SCREEN_NONE) {
		if (key == CONTROL_L)
			screen_is_spoilt();
		else if (!top_key(&top->model, key))
			return sd_event_exit(top->loop, EXIT_SUCCESS);
	}
	if (events & (EPOLLHUP | EPOLLERR))
		return sd_event_exit(top->loop, EXIT_SUCCESS);
	draw(top);
	return 0;
}

static int on_size(_unused_ sd_event_source *source,
		   _unused_ const struct signalfd_siginfo *info, void *data)
{
	struct top *top = data;
	int r = screen_fit(&top->grid);

	if (r < 0)
		return r;
	draw(top);
	return 0;
}

static int on_end(_unused_ sd_event_source *source,
		  _unused_ const struct signalfd_siginfo *info, void *data)
{
	return sd_event_exit(((struct top *)data)->loop, EXIT_SUCCESS);
}

/* --- the verb --- */

static int add_sources(struct top *top)
{
	static const struct {
		int signal;
		sd_event_signal_handler_t on_signal;
	} signals[] = {
		{ SIGWINCH, on_size },
		/* While it was stopped, others were told of the size. */
		{ SIGCONT, on_size },
		{ SIGINT, on_end },
		{ SIGTERM, on_end },
		{ SIGHUP, on_end },
	};
	sigset_t mask;
	int r = 0;

	sigemptyset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaddset(&mask, signals[i].signal);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++)
		r = sd_event_add_signal(top->loop, NULL, signals[i].signal,
					signals[i].on_signal, top);
	if (r >= 0)
		r = sd_event_add_io(top->loop, NULL, STDIN_FILENO, EPOLLIN, on_keys, top);
	return r;
}

static int run(struct top *top, const struct status_place *place, uint64_t interval_us)
{
	const struct top_feed_ear ear = { on_status, on_trouble, top };
	_cleanup_(top_feed_freep) struct top_feed *feed = NULL;
	int r = add_sources(top);

	if (r >= 0)
		r = top_feed_new(top->loop, place, interval_us, &ear, &feed);
	return r < 0 ? r : sd_event_loop(top->loop);
}

static int show(const char *config, uint64_t interval_us)
{
	_cleanup_(status_place_done) struct status_place place;
	struct top top = { 0 };
	const char *trouble;
	int r = status_find(config, &place);

	if (r < 0)
		return r == -EINVAL ? EX_CONFIG : EX_OSERR;
	trouble = screen_open(&top.grid);
	if (trouble) {
		fprintf(stderr, "postbus top: %s; postbus status tells the same once\n",
			trouble);
		return EXIT_NOT_SO;
	}
	r = sd_event_new(&top.loop);
	if (r >= 0)
		r = run(&top, &place, interval_us);
	screen_close();
	sd_event_unref(top.loop);
	top_model_done(&top.model);
	grid_done(&top.grid);
	if (r < 0)
		fprintf(stderr, "postbus top: %s\n", strerror(-r));
	return r < 0 ? EX_OSERR : r;
}

static bool parse_interval(const char *text, uint64_t *interval_us)
{
	if (parse_duration(text, interval_us) == 0 && *interval_us >= INTERVAL_LEAST_US &&
	    *interval_us <= INTERVAL_MOST_US)
		return true;
	fprintf(stderr, "postbus top: '%s' is no duration from 100ms to 1h\n", text);
	return false;
}

static int wrong_usage(void)
{
	usage(stderr);
	return EXIT_WRONG_USAGE;
}

int tool_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "interval", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	uint64_t interval_us = INTERVAL_US;
	const char *config = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "c:i:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case 'i':
			if (!parse_interval(optarg, &interval_us))
				return EXIT_WRONG_USAGE;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			return wrong_usage();
		}
	}
	return optind < argc ? wrong_usage() : show(config, interval_us);
}
