/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload.c - a changed configuration is taken over while the gateway runs.
 *
 *     IDLE ── SIGHUP ─▶ READING ── right ─▶ LEAVING ── all have left ─▶ change over ─▶ IDLE
 *      ▲                   │       buses that changed                   what is gone
 *      └──── faults ───────┘       end what they asked                  is told off
 *
 * The files are read whole, on a thread of its own, before anything is touched: whatever
 * is wrong with them, the gateway goes on as it was. A signal that comes meanwhile is a
 * reload of its own afterwards.
 */
#include "base/log.h"
#include "bridge/clock.h"
#include "daemon_state.h"
#include "farewell.h"
#include "reader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>

/* Of a bus that is not among those of the other configuration. */
#define NONE SIZE_MAX

struct reload {
	struct daemon *daemon;
	sd_event_source *signal, *change_over;
	bool under_way, again; /* once more afterwards */
	struct reader *reader;
	struct farewell *farewell;
	struct reload_state state;

	/* from here on, while buses leave */
	struct config *config; /* the new one */
	size_t *becomes;       /* which of it each bus becomes, or NONE */
	size_t leaving;
	size_t changed, added, removed; /* buses */
};

static void begin(struct reload *reload);

/* --- its end --- */

static void finish(struct reload *reload)
{
	reader_free(TAKE_PTR(reload->reader));
	farewell_free(TAKE_PTR(reload->farewell));
	config_free(TAKE_PTR(reload->config));
	free(TAKE_PTR(reload->becomes));
	reload->under_way = false;
	reload->state.times++;
	reload->state.at_ms = clock_wall_ms();
	daemon_tell_systemd(reload->daemon, "READY=1\n");
	if (reload->again)
		begin(reload);
}

static void note_fault(void *data, const char *line)
{
	struct reload *reload = data;

	log_error("%s", line);
	if (!reload->state.faults++)
		snprintf(reload->state.why, sizeof(reload->state.why), "%s", line);
}

/* All that is wrong was noted. */
static void fail(struct reload *reload)
{
	reload->state.failed = true;
	log_error("reload: failed, %zu fault%s: the gateway goes on as it was",
		  reload->state.faults, reload->state.faults == 1 ? "" : "s");
	finish(reload);
}

/* --- the change --- */

static void on_farewell(void *data)
{
	finish(data);
}

/* Of these buses those that have ended, or that are begun. */
static void only_ended(const struct reload *reload, const struct config *old,
		       struct config *ended)
{
	for (size_t i = 0; i < old->bus_count; i++)
		if (reload->becomes[i] == NONE)
			ended->buses[ended->bus_count++] = old->buses[i];
}

static void only_begun(const struct reload *reload, const struct config *new,
		       size_t old_count, struct config *begun)
{
	for (size_t j = 0; j < new->bus_count; j++) {
		bool goes_on = false;

		for (size_t i = 0; i < old_count; i++)
			goes_on = goes_on || reload->becomes[i] == j;
		if (!goes_on)
			begun->buses[begun->bus_count++] = new->buses[j];
	}
}

/* Whatever goes on has topics of its own, before and after: it need not be looked at. */
static int find_gone(const struct reload *reload, const struct config *old,
		     struct retained **gone)
{
	const struct config *new = reload->daemon->config;
	_cleanup_free_ struct bus_config **of_old = calloc(old->bus_count, sizeof(*of_old));
	_cleanup_free_ struct bus_config **of_new = calloc(new->bus_count, sizeof(*of_new));
	struct config ended = { .conf = old->conf, .buses = of_old };
	struct config begun = { .conf = new->conf, .buses = of_new };

	if (!of_old || !of_new)
		return -ENOMEM;
	only_ended(reload, old, &ended);
	only_begun(reload, new, old->bus_count, &begun);
	return retained_gone(&ended, &begun, gone);
}

/* Without memory for it the broker keeps what it has: the readings go on. */
static void say_farewell(struct reload *reload, const struct config *old)
{
	struct daemon *daemon = reload->daemon;
	uint8_t qos = old->conf->publish.qos ? old->conf->publish.qos : 1;
	struct retained *gone;
	int r = find_gone(reload, old, &gone);

	if (r == 0)
		r = farewell_new(daemon->loop, gone, qos, daemon_take_message, daemon,
				 on_farewell, reload, &reload->farewell);
	if (r < 0) {
		log_warning("reload: the broker keeps what is configured no more: %s",
			    strerror(-r));
		finish(reload);
	}
}

/* Those that go on keep what they were started with: it says the same. */
static int start_buses(struct reload *reload, struct buses *buses)
{
	struct daemon *daemon = reload->daemon;
	struct config *old = daemon->config, *new = reload->config;
	int r = buses_init(buses, new->bus_count);

	for (size_t i = 0; i < old->bus_count && r == 0; i++) {
		size_t j = reload->becomes[i];
		struct bus_config *same = old->buses[i];

		if (j == NONE)
			continue;
		buses_take(buses, j, &daemon->buses, i);
		old->buses[i] = new->buses[j];
		new->buses[j] = same;
	}
	/* Their ports have to be free for those that are started. */
	buses_done(&daemon->buses);
	for (size_t j = 0; j < new->bus_count && r == 0; j++)
		if (!buses->confs[j])
			r = daemon_start_bus(daemon, buses, j, new);
	return r;
}

static void *free_config(void *config)
{
	config_free(config);
	return NULL;
}

/* That of a thousand devices takes long enough for a wire to wait. */
static void free_elsewhere(struct config *config)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_config, config))
		config_free(config);
	else
		pthread_detach(thread);
}

static int change_over(struct reload *reload)
{
	struct config *old = reload->daemon->config;
	struct daemon *daemon = reload->daemon;
	struct buses buses;
	int r = start_buses(reload, &buses);

	daemon->buses = buses;
	daemon->config = TAKE_PTR(reload->config);
	if (r == 0)
		r = daemon_tell_config(daemon);
	if (r < 0) {
		config_free(old);
		return r;
	}
	uplink_change(daemon->uplink, daemon->config->conf);
	log_notice("reload: done; buses: %zu new, %zu changed, %zu gone, %zu go on",
		   reload->added, reload->changed, reload->removed,
		   daemon->config->bus_count - reload->added - reload->changed);
	say_farewell(reload, old);
	free_elsewhere(old);
	return 0;
}

/* From the loop: no bus that is freed here is at work. Those of a gateway that ends stay. */
static int on_change_over(sd_event_source *source, void *data)
{
	struct reload *reload = data;
	int r = reload->daemon->ending ? 0 : change_over(reload);

	if (r == 0)
		return 0;
	log_error("reload: %s", strerror(-r));
	return sd_event_exit(sd_event_source_get_event(source), r);
}

static void on_left(void *data)
{
	struct reload *reload = data;

	if (--reload->leaving == 0)
		sd_event_source_set_enabled(reload->change_over, SD_EVENT_ONESHOT);
}

/* --- what is to be changed --- */

struct changes {
	struct reload *reload;
	bool buses; /* all of them */
};

static void note_change(void *data, const char *name, enum conf_change change)
{
	struct changes *changes = data;
	char line[128];

	if (change == CONF_BUSES)
		changes->buses = true;
	log_info("reload: %s changed", name);
	if (change != CONF_RESTART)
		return;
	snprintf(line, sizeof(line), "%s can't change while the gateway runs: restart it",
		 name);
	note_fault(changes->reload, line);
}

static size_t find_bus(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->bus_count; i++)
		if (!strcmp(config->buses[i]->name, name))
			return i;
	return NONE;
}

/* Which buses go on, and as which. */
static int compare_buses(struct reload *reload, bool all_change)
{
	const struct config *old = reload->daemon->config, *new = reload->config;
	size_t kept = 0;

	reload->becomes = calloc(old->bus_count, sizeof(*reload->becomes));
	if (!reload->becomes)
		return -ENOMEM;
	reload->changed = reload->removed = 0;
	for (size_t i = 0; i < old->bus_count; i++) {
		size_t j = find_bus(new, old->buses[i]->name);
		bool same = j != NONE && !all_change &&
			    bus_config_is_same(old->buses[i], new->buses[j]);

		reload->becomes[i] = same ? j : NONE;
		kept += same;
		reload->changed += j != NONE && !same;
		reload->removed += j == NONE;
	}
	reload->added = new->bus_count - kept - reload->changed;
	return 0;
}

static void have_buses_leave(struct reload *reload)
{
	const struct config *old = reload->daemon->config;

	/* One more than there are: it is not over before each was told. */
	reload->leaving = 1;
	for (size_t i = 0; i < old->bus_count; i++) {
		if (reload->becomes[i] != NONE)
			continue;
		reload->leaving++;
		buses_leave(&reload->daemon->buses, i, on_left, reload);
	}
	on_left(reload);
}

static void on_read(void *data, struct config *config, const struct faults *faults,
		    int error)
{
	struct reload *reload = data;
	struct changes changes = { .reload = reload };

	reload->config = config;
	faults_each(faults, note_fault, reload);
	if (config)
		conf_compare(reload->daemon->config->conf, config->conf, note_change,
			     &changes);
	if (config && !reload->state.faults)
		error = compare_buses(reload, changes.buses);
	if (error < 0 && !reload->state.faults)
		note_fault(reload, strerror(-error));
	if (reload->state.faults)
		fail(reload);
	else if (!reload->daemon->ending)
		have_buses_leave(reload);
}

/* --- its begin --- */

static void begin(struct reload *reload)
{
	struct daemon *daemon = reload->daemon;
	int r;

	reload->under_way = true;
	reload->again = false;
	reload->state.failed = false;
	reload->state.faults = 0;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
		   (unsigned long long)clock_monotonic_us());
	r = reader_new(daemon->loop, daemon->config->conf->file, on_read, reload,
		       &reload->reader);
	if (r < 0) {
		note_fault(reload, strerror(-r));
		fail(reload);
	}
}

static int on_signal(_unused_ sd_event_source *source,
		     _unused_ const struct signalfd_siginfo *info, void *data)
{
	struct reload *reload = data;

	if (reload->under_way)
		reload->again = true;
	else if (!reload->daemon->ending)
		begin(reload);
	return 0;
}

const struct reload_state *reload_state(const struct reload *reload)
{
	return &reload->state;
}

int reload_new(struct daemon *daemon, struct reload **result)
{
	struct reload *reload = calloc(1, sizeof(*reload));
	int r;

	if (!reload)
		return -ENOMEM;
	reload->daemon = daemon;
	r = sd_event_add_signal(daemon->loop, &reload->signal, SIGHUP, on_signal, reload);
	if (r >= 0)
		r = sd_event_add_defer(daemon->loop, &reload->change_over, on_change_over,
				       reload);
	if (r >= 0)
		r = sd_event_source_set_enabled(reload->change_over, SD_EVENT_OFF);
	if (r < 0) {
		reload_free(reload);
		return r;
	}
	*result = reload;
	return 0;
}

void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	sd_event_source_disable_unref(reload->signal);
	sd_event_source_disable_unref(reload->change_over);
	reader_free(reload->reader);
	farewell_free(reload->farewell);
	config_free(reload->config);
	free(reload->becomes);
	free(reload);
}
