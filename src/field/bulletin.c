/* SPDX-License-Identifier: Apache-2.0 */
/* bulletin.c - the state of a bus, published again and again. */
#include "field/bulletin.h"
#include "base/units.h"
#include "bridge/clock.h"

#include <errno.h>
#include <string.h>

#define FIRST_US USEC_PER_SEC
#define AGAIN_US (60 * USEC_PER_SEC)

struct bulletin {
	struct bulletin_subject subject;
	char *topic;
	sd_event_source *timer;
};

static void publish(const struct bulletin *bulletin)
{
	const struct bulletin_subject *subject = &bulletin->subject;
	const struct publish_conf *conf = &subject->conf->publish;
	struct bus_stats stats = subject->stats(subject->data);
	char body[2048];
	struct text text = { .data = body, .size = sizeof(body) };
	struct message message = {
		.qos = conf->qos,
		.retain = true,
		.form = conf->time == TIME_ISO ? FORM_ISO_TIME : FORM_EPOCH_MS,
		.topic = bulletin->topic,
		.topic_length = strlen(bulletin->topic),
	};

	bus_stats_json(&stats, &text);
	message.body = body;
	message.body_length = text.length;
	clock_stamp(&message);
	if (!text.full)
		subject->sink(subject->sink_data, &message);
}

static int on_timer(sd_event_source *source, _unused_ uint64_t time_us, void *data)
{
	publish(data);
	sd_event_source_set_time(source, clock_monotonic_us() + AGAIN_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int bulletin_new(sd_event *loop, const struct bulletin_subject *subject,
		 struct bulletin **result)
{
	_cleanup_(bulletin_freep) struct bulletin *bulletin = calloc(1, sizeof(*bulletin));
	int r;

	if (!bulletin)
		return -ENOMEM;
	bulletin->subject = *subject;
	if (asprintf(&bulletin->topic, "%s/status/bus/%s", subject->conf->gateway,
		     subject->bus) < 0) {
		bulletin->topic = NULL;
		return -ENOMEM;
	}
	r = sd_event_add_time(loop, &bulletin->timer, CLOCK_MONOTONIC,
			      clock_monotonic_us() + FIRST_US, 0, on_timer, bulletin);
	if (r < 0)
		return r;
	*result = TAKE_PTR(bulletin);
	return 0;
}

void bulletin_free(struct bulletin *bulletin)
{
	if (!bulletin)
		return;
	sd_event_source_disable_unref(bulletin->timer);
	free(bulletin->topic);
	free(bulletin);
}
