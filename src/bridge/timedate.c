/* SPDX-License-Identifier: Apache-2.0 */
/* timedate.c - asks systemd-timedated whether the clock is right, where the kernel may not be. */
#include "bridge/timedate.h"
#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-bus.h>

/* While the clock is not right, and from then on. */
#define WAITING_US (2 * USEC_PER_SEC)
#define RIGHT_US (60 * USEC_PER_SEC)

struct timedate {
	sd_event *loop;
	sd_event_source *timer;
	sd_bus *bus; /* NULL: there is no connection */
	sd_bus_slot *question; /* NULL: none is open */
	bool troubled; /* it can't be asked, which has been said */
};

static void note_trouble(struct timedate *timedate, const char *why)
{
	if (!timedate->troubled)
		log_warning("clock: nobody tells whether it is right: %s", why);
	timedate->troubled = true;
}

static void hang_up(struct timedate *timedate)
{
	timedate->question = sd_bus_slot_unref(timedate->question);
	if (timedate->bus)
		sd_bus_detach_event(timedate->bus);
	timedate->bus = sd_bus_close_unref(timedate->bus);
}

static void ask_in(struct timedate *timedate, uint64_t wait_us)
{
	sd_event_source_set_time(timedate->timer, clock_monotonic_us() + wait_us);
	sd_event_source_set_enabled(timedate->timer, SD_EVENT_ONESHOT);
}

static int on_answer(sd_bus_message *answer, void *data, _unused_ sd_bus_error *error)
{
	const sd_bus_error *refused = sd_bus_message_get_error(answer);
	struct timedate *timedate = data;
	int synced = 0, r;

	timedate->question = sd_bus_slot_unref(timedate->question);
	if (refused) {
		note_trouble(timedate, refused->message ? refused->message : refused->name);
		return 0;
	}
	r = sd_bus_message_read(answer, "v", "b", &synced);
	if (r < 0) {
		note_trouble(timedate, strerror(-r));
		return 0;
	}
	timedate->troubled = false;
	clock_note_synced(synced);
	ask_in(timedate, synced ? RIGHT_US : WAITING_US);
	return 0;
}

static int ask(struct timedate *timedate)
{
	int r = 0;

	if (!timedate->bus) {
		r = sd_bus_open_system(&timedate->bus);
		if (r >= 0)
			r = sd_bus_attach_event(timedate->bus, timedate->loop, 0);
	}
	if (r < 0)
		return r;
	return sd_bus_call_method_async(timedate->bus, &timedate->question,
					"org.freedesktop.timedate1",
					"/org/freedesktop/timedate1",
					"org.freedesktop.DBus.Properties", "Get", on_answer,
					timedate, "ss", "org.freedesktop.timedate1",
					"NTPSynchronized");
}

/* A bus that was lost is opened anew the next time; a question may still be open then. */
static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct timedate *timedate = data;
	int r = timedate->question ? 0 : ask(timedate);

	if (r < 0) {
		hang_up(timedate);
		note_trouble(timedate, strerror(-r));
	}
	ask_in(timedate, WAITING_US);
	return 0;
}

int timedate_new(sd_event *loop, struct timedate **result)
{
	_cleanup_(timedate_freep) struct timedate *timedate = NULL;
	int r;

	*result = NULL;
	if (clock_can_be_asked())
		return 0;
	timedate = calloc(1, sizeof(*timedate));
	if (!timedate)
		return -ENOMEM;
	timedate->loop = sd_event_ref(loop);
	r = sd_event_add_time(loop, &timedate->timer, CLOCK_MONOTONIC, 0, 0, on_timer, timedate);
	if (r < 0)
		return r;
	*result = TAKE_PTR(timedate);
	return 0;
}

void timedate_free(struct timedate *timedate)
{
	if (!timedate)
		return;
	hang_up(timedate);
	sd_event_source_disable_unref(timedate->timer);
	sd_event_unref(timedate->loop);
	free(timedate);
}
