/* SPDX-License-Identifier: Apache-2.0 */
/* top_feed.c - asks a gateway for its status again and again, and waits for nothing. */
#include "tools/top_feed.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "tools/inquiry.h"
#include "uplink/control.h"

#include <errno.h>
#include <fcntl.h>

enum {
	AGAIN_US = 1000 * 1000,
	/* An answer that takes longer is told of. */
	PATIENCE_US = 3 * 1000 * 1000,
	/*
	 * A gateway with many devices has other things to do: it is asked so much of the time.
	 * It rests no longer than that, since an answer may have taken long for another reason.
	 */
	ASKING_PER_CENT = 10,
	REST_MOST_US = 3 * 1000 * 1000,
};

struct top_feed {
	sd_event *loop;
	const struct status_place *place;
	uint64_t interval_us;
	struct top_feed_ear ear;
	sd_event_source *timer, *source;
	int fd; /* -1: not connected */
	bool asking;
	uint64_t asked_us; /* when the inquiry began */
	struct inquiry inquiry;
	struct control_line line;
};

static void disconnect(struct top_feed *feed)
{
	feed->source = sd_event_source_disable_unref(feed->source);
	closep(&feed->fd);
	feed->fd = -1;
	feed->asking = false;
	inquiry_done(&feed->inquiry);
	control_line_done(&feed->line);
}

static void finish_inquiry(struct top_feed *feed)
{
	uint64_t now_us = clock_monotonic_us();
	uint64_t rest_us = (now_us - feed->asked_us) * 100 / ASKING_PER_CENT;

	if (rest_us > REST_MOST_US)
		rest_us = REST_MOST_US;
	if (rest_us < feed->interval_us)
		rest_us = feed->interval_us;
	sd_event_source_set_time(feed->timer, now_us + rest_us);
	feed->asking = false;
	feed->ear.on_status(feed->ear.data, TAKE_PTR(feed->inquiry.status));
	inquiry_done(&feed->inquiry);
}

/* Sends the next request, or tells of what all the answers make up. 0 or -errno. */
static int ask_next(struct top_feed *feed)
{
	cJSON *request = inquiry_request(&feed->inquiry);
	int r;

	if (!request) {
		finish_inquiry(feed);
		return 0;
	}
	r = control_send(feed->fd, request);
	cJSON_Delete(request);
	return r;
}

static int take_answers(struct top_feed *feed)
{
	while (feed->asking) {
		cJSON *answer;
		int r = control_receive(feed->fd, &feed->line, &answer);

		if (r == 0) {
			inquiry_take(&feed->inquiry, answer);
			r = ask_next(feed);
		}
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
	}
	return 0;
}

static int begin_inquiry(struct top_feed *feed)
{
	feed->asking = true;
	feed->asked_us = clock_monotonic_us();
	return ask_next(feed);
}

/*
 * A gateway closes a connection when it ends, or when others want one. It is asked anew in its
 * time, not at once: many who put each other out would keep it busy.
 */
static int on_answer(_unused_ sd_event_source *source, _unused_ int fd,
		     _unused_ uint32_t events, void *data)
{
	struct top_feed *feed = data;

	if (!feed->asking || take_answers(feed) < 0)
		disconnect(feed);
	return 0;
}

static int connect_to_gateway(struct top_feed *feed)
{
	int r;

	feed->fd = status_connect(feed->place);
	if (feed->fd < 0)
		return feed->fd;
	if (fcntl(feed->fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = sd_event_add_io(feed->loop, &feed->source, feed->fd, EPOLLIN, on_answer, feed);
	return r < 0 ? r : 0;
}

static int take_turn(struct top_feed *feed)
{
	int r = feed->fd < 0 ? connect_to_gateway(feed) : 0;

	if (r < 0)
		return r;
	if (!feed->asking)
		return begin_inquiry(feed);
	return clock_monotonic_us() - feed->asked_us > PATIENCE_US ? -ETIMEDOUT : 0;
}

static int on_timer(sd_event_source *source, uint64_t time_us, void *data)
{
	struct top_feed *feed = data;
	uint64_t again_us = feed->interval_us;
	int r = take_turn(feed);

	if (r < 0)
		feed->ear.on_trouble(feed->ear.data, status_trouble(r));
	/* One that only takes its time is not asked anew. */
	if (r < 0 && r != -ETIMEDOUT)
		disconnect(feed);
	if (r < 0 && again_us > AGAIN_US)
		again_us = AGAIN_US;
	sd_event_source_set_time(source, time_us + again_us);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int top_feed_new(sd_event *loop, const struct status_place *place, uint64_t interval_us,
		 const struct top_feed_ear *ear, struct top_feed **result)
{
	_cleanup_(top_feed_freep) struct top_feed *feed = calloc(1, sizeof(*feed));
	int r;

	if (!feed)
		return -ENOMEM;
	feed->fd = -1;
	feed->loop = sd_event_ref(loop);
	feed->place = place;
	feed->interval_us = interval_us;
	feed->ear = *ear;
	r = sd_event_add_time(loop, &feed->timer, CLOCK_MONOTONIC, clock_monotonic_us(), 1000,
			      on_timer, feed);
	if (r < 0)
		return r;
	*result = TAKE_PTR(feed);
	return 0;
}

void top_feed_free(struct top_feed *feed)
{
	if (!feed)
		return;
	disconnect(feed);
	sd_event_source_disable_unref(feed->timer);
	sd_event_unref(feed->loop);
	free(feed);
}
