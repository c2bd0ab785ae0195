/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.c - the gateway: wires the field side and the uplink side together.
 *
 * This thread is the field side: its loop has all ports, the signals and the watchdog, and
 * never waits for a disk or a network. The other one is the uplink's. Between them is the
 * queue.
 */
#include "daemon.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "bridge/timedate.h"
#include "daemon_state.h"
#include "metrics/metrics.h"
#include "uplink/uplink.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

enum {
	QUEUE_BYTES = 256 * 1024,
	/* How often systemd is told how we are. */
	STATUS_US = 5 * 1000 * 1000,
};

static void log_fault(_unused_ void *data, const char *line)
{
	log_error("%s", line);
}

static int read_config(struct daemon *daemon, const char *file)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	int r;

	if (!faults)
		return EX_OSERR;
	r = config_load(file, driver_names(), &daemon->config, faults);
	if (r == 0)
		return 0;
	faults_each(faults, log_fault, NULL);
	if (!faults_count(faults))
		log_error("%s: %s", file, strerror(-r));
	return EX_CONFIG;
}

void daemon_take_message(void *data, const struct message *message)
{
	struct daemon *daemon = data;

	/* Lost where the queue is full: counted there, and told of by the uplink. */
	(void)!queue_push(daemon->queue, message);
}

void daemon_tell_systemd(struct daemon *daemon, const char *first)
{
	const struct reload_state *reload = reload_state(daemon->reload);
	struct uplink_state state;
	size_t devices = 0, offline = 0, closed = 0;
	char ports[64] = "";

	for (size_t i = 0; i < daemon->buses.count; i++) {
		struct bus_stats stats = buses_stats(&daemon->buses, i);

		devices += stats.devices;
		offline += stats.offline;
		closed += !stats.open;
	}
	if (closed)
		snprintf(ports, sizeof(ports), "; %zu of %zu ports not open", closed,
			 daemon->buses.count);
	uplink_describe(daemon->uplink, &state);
	sd_notifyf(0, "%sSTATUS=%s; %llu messages waiting; %zu of %zu devices offline%s%s%s",
		   first, state.link, (unsigned long long)state.sums.waiting, offline, devices,
		   ports, reload->failed ? "; reload failed: " : "",
		   reload->failed ? reload->why : "");
}

/*
 * The watchdog is fed only while both threads make progress: this one by coming here, the
 * uplink by having taken a turn since the last time, which it does each second.
 */
static int on_status(sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct daemon *daemon = data;
	uint64_t turns = uplink_turns(daemon->uplink), again_us = STATUS_US;

	if (turns != daemon->turns_seen)
		sd_notify(0, "WATCHDOG=1");
	daemon->turns_seen = turns;
	daemon_tell_systemd(daemon, "");
	if (daemon->watchdog_us && daemon->watchdog_us / 3 < again_us)
		again_us = daemon->watchdog_us / 3;
	sd_event_source_set_time(source, clock_monotonic_us() + again_us);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_signal(_unused_ sd_event_source *source, const struct signalfd_siginfo *info,
		     void *data)
{
	log_info("stopping on %s", info->ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
	return daemon_end(data);
}

static int add_sources(struct daemon *daemon)
{
	int r = sd_event_add_signal(daemon->loop, NULL, SIGTERM, on_signal, daemon);

	if (r >= 0)
		r = sd_event_add_signal(daemon->loop, NULL, SIGINT, on_signal, daemon);
	if (r >= 0)
		r = sd_event_add_time(daemon->loop, NULL, CLOCK_MONOTONIC, 0, 0, on_status,
				      daemon);
	return r;
}

int daemon_start_bus(struct daemon *daemon, struct buses *buses, size_t i,
		     const struct config *config)
{
	int r = buses_start(buses, i, daemon->loop, config, daemon_take_message, daemon);

	if (r == 0)
		buses_tell_outcomes(buses, i, dispatch_outcome, daemon->dispatch);
	return r;
}

static int hand_over(void *data, const struct command *command)
{
	return buses_command(&((struct daemon *)data)->buses, command);
}

/* Between the two threads: messages one way, commands the other. */
static int open_ways(struct daemon *daemon)
{
	int r = queue_new(QUEUE_BYTES, &daemon->queue);

	if (r == 0)
		r = command_ring_new(&daemon->commands);
	if (r == 0)
		r = dispatch_new(daemon->loop, daemon->commands, hand_over, daemon,
				 &daemon->dispatch);
	return r;
}

static int start_uplink(struct daemon *daemon)
{
	const struct uplink_setup setup = {
		.conf = daemon->config->conf, .queue = daemon->queue, .ring = daemon->commands,
		.settable = settable_new(daemon->config),
	};

	return setup.settable ? uplink_start(&setup, &daemon->uplink) : -ENOMEM;
}

int daemon_tell_config(struct daemon *daemon)
{
	struct settable *settable = settable_new(daemon->config);
	struct catalog *catalog;
	int r;

	if (!settable)
		return -ENOMEM;
	uplink_set(daemon->uplink, settable);
	daemon->subject = (struct report_subject){
		.config = daemon->config,
		.buses = daemon->buses.buses,
		.listeners = daemon->buses.listeners,
		.uplink = daemon->uplink,
		.reload = reload_state(daemon->reload),
	};
	r = catalog_new(daemon->config, &catalog);
	/* What there is to read is told by the uplink to those who look for it. */
	if (r == 0)
		uplink_offer(daemon->uplink, catalog);
	return r;
}

/* Without them the gateway does all that it is for. */
static void open_windows(struct daemon *daemon)
{
	const struct metrics_conf *metrics = &daemon->begun_with->metrics;
	int r = report_new(daemon->loop, &daemon->subject, &daemon->report);

	if (r < 0)
		log_warning("gateway: no socket to ask for its status: %s", strerror(-r));
	if (!metrics->file && !metrics->listen)
		return;
	r = metrics_new(daemon->loop, metrics, &daemon->subject, &daemon->metrics);
	if (r < 0)
		log_warning("gateway: no metrics: %s", strerror(-r));
}

static int start(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	int r;

	daemon->begun_with = conf_share(config->conf);
	if (sd_watchdog_enabled(0, &daemon->watchdog_us) <= 0)
		daemon->watchdog_us = 0;
	r = sd_event_default(&daemon->loop);
	if (r >= 0)
		r = open_ways(daemon);
	if (r >= 0)
		r = add_sources(daemon);
	if (r >= 0)
		r = reload_new(daemon, &daemon->reload);
	if (r >= 0)
		r = buses_init(&daemon->buses, config->bus_count);
	for (size_t i = 0; i < config->bus_count && r == 0; i++)
		r = daemon_start_bus(daemon, &daemon->buses, i, config);
	if (r == 0)
		r = start_uplink(daemon);
	if (r == 0)
		r = daemon_tell_config(daemon);
	if (r == 0)
		open_windows(daemon);
	return r < 0 ? r : timedate_new(daemon->loop, &daemon->timedate);
}

static bool stop(struct daemon *daemon)
{
	bool left_behind = false;

	metrics_free(daemon->metrics);
	report_free(daemon->report);
	timedate_free(daemon->timedate);
	reload_free(daemon->reload);
	buses_done(&daemon->buses);
	dispatch_free(daemon->dispatch);
	if (daemon->uplink)
		left_behind = uplink_stop(daemon->uplink);
	command_ring_free(daemon->commands);
	queue_free(daemon->queue);
	sd_event_unref(daemon->loop);
	config_free(daemon->config);
	conf_free(daemon->begun_with);
	return left_behind;
}

/* Before any thread is started: the signals come to the loop, and to nobody else. */
static void prepare_process(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Two threads that allocate little: one arena, and memory is given back. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
}

int daemon_run(const char *file)
{
	struct daemon daemon = { 0 };
	int status, r;

	prepare_process();
	status = read_config(&daemon, file);
	if (status == 0) {
		r = start(&daemon);
		if (r >= 0) {
			sd_notify(0, "READY=1");
			log_info("gateway %s: running, %zu bus%s",
				 daemon.config->conf->gateway, daemon.config->bus_count,
				 daemon.config->bus_count == 1 ? "" : "es");
			r = sd_event_loop(daemon.loop);
		}
		if (r < 0) {
			log_error("gateway: %s", strerror(-r));
			status = r == -EBUSY ? EX_TEMPFAIL : EX_OSERR;
		}
		sd_notify(0, "STOPPING=1");
	}
	/* A thread that waits for a name server can't be called back: leave it behind. */
	if (stop(&daemon))
		_exit(status);
	return status;
}
