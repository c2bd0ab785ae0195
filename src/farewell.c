/* SPDX-License-Identifier: Apache-2.0 */
/* farewell.c - has the broker forget what is configured no more. */
#include "farewell.h"
#include "base/units.h"
#include "bridge/clock.h"

#include <errno.h>
#include <string.h>

enum {
	/* So many topics at a time, so often: the queue has room for a thousand. */
	AT_A_TIME = 16,
	EVERY_US = 10 * 1000,
};

struct farewell {
	struct retained *gone;
	size_t next;
	uint8_t qos;
	mapping_sink *sink;
	void *sink_data;
	farewell_done *done;
	void *data;
	sd_event_source *timer;
};

static void say(const struct farewell *farewell, const char *topic, const char *body)
{
	struct message message = {
		.qos = farewell->qos,
		.retain = true,
		.form = FORM_BARE,
		.topic = topic,
		.topic_length = strlen(topic),
		.body = body,
		.body_length = strlen(body),
	};

	clock_stamp(&message);
	farewell->sink(farewell->sink_data, &message);
}

static int on_timer(sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	struct farewell *farewell = data;

	for (size_t i = 0; i < AT_A_TIME && farewell->next < farewell->gone->count; i++) {
		const struct retained_topic *topic =
			&farewell->gone->topics[farewell->next++];

		if (topic->availability)
			say(farewell, topic->topic, "offline");
		say(farewell, topic->topic, "");
	}
	if (farewell->next == farewell->gone->count) {
		farewell->done(farewell->data);
		return 0;
	}
	sd_event_source_set_time(source, clock_monotonic_us() + EVERY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int farewell_new(sd_event *loop, struct retained *gone, uint8_t qos, mapping_sink *sink,
		 void *sink_data, farewell_done *done, void *data, struct farewell **result)
{
	_cleanup_(retained_freep) struct retained *mine = gone;
	_cleanup_(farewell_freep) struct farewell *farewell = calloc(1, sizeof(*farewell));
	int r;

	if (!farewell)
		return -ENOMEM;
	farewell->gone = TAKE_PTR(mine);
	farewell->qos = qos;
	farewell->sink = sink;
	farewell->sink_data = sink_data;
	farewell->done = done;
	farewell->data = data;
	r = sd_event_add_time(loop, &farewell->timer, CLOCK_MONOTONIC, 0, 0, on_timer,
			      farewell);
	if (r < 0)
		return r;
	*result = TAKE_PTR(farewell);
	return 0;
}

void farewell_free(struct farewell *farewell)
{
	if (!farewell)
		return;
	sd_event_source_disable_unref(farewell->timer);
	retained_free(farewell->gone);
	free(farewell);
}
