/* SPDX-License-Identifier: Apache-2.0 */
/* opener.c - gets a bus's port open, however long that takes. */
#include "field/opener.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "config/port_spec.h"
#include "field/hotplug.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#define REOPEN_US USEC_PER_SEC

/* An attempt on a thread of its own. Who leaves it last, thread or opener, frees it. */
struct attempt {
	atomic_int owners;
	int finished; /* eventfd */
	struct bus_config config; /* as much of it as it takes to open a port */
	int result;
	struct port *port;
	char trouble[PORT_TROUBLE_MAX];
};

struct opener {
	sd_event *loop;
	const struct bus_config *config;
	opener_done *done;
	void *data;
	sd_event_source *timer, *finished;
	struct hotplug *hotplug; /* while the port is waited for */
	struct attempt *attempt;
	char trouble[PORT_TROUBLE_MAX];
};

static void on_plugged(void *data);

static struct log_subject subject(const struct opener *opener)
{
	return (struct log_subject){ .bus = opener->config->name };
}

static void wait_for_port(struct opener *opener, const char *why)
{
	if (strcmp(opener->trouble, why)) {
		snprintf(opener->trouble, sizeof(opener->trouble), "%s", why);
		log_about(LOG_ERR, subject(opener), "%s: %s; trying again each second",
			  opener->config->port, why);
	}
	if (!opener->hotplug && port_spec_kind(opener->config->port) != PORT_TCP &&
	    hotplug_new(opener->loop, on_plugged, opener, &opener->hotplug) < 0)
		log_about(LOG_DEBUG, subject(opener),
			  "udev does not tell when its port is plugged in");
	sd_event_source_set_time(opener->timer, clock_monotonic_us() + REOPEN_US);
	sd_event_source_set_enabled(opener->timer, SD_EVENT_ONESHOT);
}

/* The last thing that is done in a turn: who is given the port may free the opener. */
static void take_result(struct opener *opener, int r, struct port *port, const char *trouble)
{
	const struct bus_config *config = opener->config;

	if (r < 0) {
		wait_for_port(opener, trouble);
		return;
	}
	log_about(LOG_INFO, subject(opener), "%s is open, %u baud, %zu device%s", config->port,
		  config->baud, config->device_count, config->device_count == 1 ? "" : "s");
	opener->trouble[0] = '\0';
	hotplug_free(opener->hotplug);
	opener->hotplug = NULL;
	sd_event_source_set_enabled(opener->timer, SD_EVENT_OFF);
	opener->done(opener->data, port);
}

/* --- on a thread of its own --- */

static void attempt_leave(struct attempt *attempt)
{
	if (!attempt || atomic_fetch_sub(&attempt->owners, 1) > 1)
		return;
	port_close(attempt->port);
	closep(&attempt->finished);
	free(attempt->config.port);
	free(attempt);
}
DEFINE_CLEANUP(struct attempt *, attempt_leave)

static void *run_attempt(void *data)
{
	struct attempt *attempt = data;
	const uint64_t one = 1;

	attempt->result = port_open(&attempt->config, &attempt->port, attempt->trouble);
	(void)!write(attempt->finished, &one, sizeof(one));
	attempt_leave(attempt);
	return NULL;
}

static int on_finished(_unused_ sd_event_source *source, _unused_ int fd,
		       _unused_ uint32_t events, void *data)
{
	struct opener *opener = data;
	_cleanup_(attempt_leavep) struct attempt *attempt = TAKE_PTR(opener->attempt);
	uint64_t count;

	(void)!read(attempt->finished, &count, sizeof(count));
	opener->finished = sd_event_source_disable_unref(opener->finished);
	take_result(opener, attempt->result, TAKE_PTR(attempt->port), attempt->trouble);
	return 0;
}

static int begin_attempt(struct opener *opener)
{
	_cleanup_(attempt_leavep) struct attempt *attempt = calloc(1, sizeof(*attempt));
	pthread_t thread;
	int r;

	if (!attempt)
		return -ENOMEM;
	attempt->owners = 1;
	attempt->finished = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	attempt->config = *opener->config;
	attempt->config.port = strdup(opener->config->port);
	if (attempt->finished < 0 || !attempt->config.port)
		return -ENOMEM;
	r = sd_event_add_io(opener->loop, &opener->finished, attempt->finished, EPOLLIN,
			    on_finished, opener);
	if (r < 0)
		return r;
	attempt->owners = 2;
	r = pthread_create(&thread, NULL, run_attempt, attempt);
	if (r) {
		attempt->owners = 1;
		opener->finished = sd_event_source_disable_unref(opener->finished);
		return -r;
	}
	pthread_detach(thread);
	opener->attempt = TAKE_PTR(attempt);
	return 0;
}

/* --- the attempts --- */

static void try(struct opener *opener)
{
	char trouble[PORT_TROUBLE_MAX];
	struct port *port = NULL;
	int r;

	if (opener->attempt)
		return;
	if (port_spec_kind(opener->config->port) != PORT_TCP) {
		r = port_open(opener->config, &port, trouble);
		take_result(opener, r, port, trouble);
		return;
	}
	r = begin_attempt(opener);
	if (r < 0)
		take_result(opener, r, NULL, strerror(-r));
}

static void on_plugged(void *data)
{
	try(data);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	try(data);
	return 0;
}

void opener_lost(struct opener *opener, const char *why)
{
	wait_for_port(opener, why);
}

const char *opener_trouble(const struct opener *opener)
{
	return opener->trouble;
}

int opener_new(sd_event *loop, const struct bus_config *config, opener_done *done, void *data,
	       struct opener **result)
{
	_cleanup_(opener_freep) struct opener *opener = calloc(1, sizeof(*opener));
	int r;

	if (!opener)
		return -ENOMEM;
	opener->loop = sd_event_ref(loop);
	opener->config = config;
	opener->done = done;
	opener->data = data;
	r = sd_event_add_time(loop, &opener->timer, CLOCK_MONOTONIC, 0, 1, on_timer, opener);
	if (r < 0)
		return r;
	*result = TAKE_PTR(opener);
	return 0;
}

void opener_free(struct opener *opener)
{
	if (!opener)
		return;
	sd_event_source_disable_unref(opener->timer);
	sd_event_source_disable_unref(opener->finished);
	hotplug_free(opener->hotplug);
	attempt_leave(opener->attempt);
	sd_event_unref(opener->loop);
	free(opener);
}
