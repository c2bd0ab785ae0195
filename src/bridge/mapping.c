// SPDX-License-Identifier: Apache-2.0
/* mapping.c - readings to topics and payloads; pure. */

#include "bridge/mapping.h"

#include <errno.h>
#include <string.h>

enum { PLACEHOLDER_COUNT = 6 };

struct placeholder {
	const char *name, *value; /* a value of NULL is as good as no placeholder */
};

static const char *placeholder_value(const struct placeholder *placeholders,
				     const char *name, size_t length)
{
	for (size_t i = 0; i < PLACEHOLDER_COUNT; i++)
		if (strlen(placeholders[i].name) == length &&
		    memcmp(placeholders[i].name, name, length) == 0)
			return placeholders[i].value;
	return NULL;
}

static bool topic_is_valid(const struct text *topic)
{
	return !topic->full && topic->length > 0 && topic->data[0] != '/' &&
	       topic->data[topic->length - 1] != '/' && !strstr(topic->data, "//") &&
	       !strpbrk(topic->data, "+#");
}

char *topic_expand(const char *format, const char *gateway, const char *bus,
		   const struct device_config *device, const char *point)
{
	char address[4], buffer[TOPIC_MAX + 1] = "";
	const struct placeholder placeholders[PLACEHOLDER_COUNT] = {
		{"gateway", gateway},
		{"bus", bus},
		{"device", device->name},
		{"address", address},
		{"map", device->map ? device->map->name : NULL},
		{"point", point},
	};
	struct text topic = {.data = buffer, .size = sizeof(buffer)};
	const char *value;
	size_t n;

	snprintf(address, sizeof(address), "%u", device->address);
	for (; *format; format += n) {
		n = strcspn(format, "{");
		text_add(&topic, format, n);
		if (!format[n])
			break;
		format += n + 1;
		n = strcspn(format, "}");
		value = placeholder_value(placeholders, format, n);
		if (!format[n] || !value) {
			errno = EINVAL;
			return NULL;
		}
		text_add(&topic, value, strlen(value));
		n++;
	}
	if (!topic_is_valid(&topic)) {
		errno = EINVAL;
		return NULL;
	}
	return strdup(buffer);
}

static enum message_form form_of(const struct publish_conf *publish)
{
	if (publish->layout == LAYOUT_POINT && publish->payload == PAYLOAD_BARE)
		return FORM_BARE;
	return publish->time == TIME_ISO ? FORM_ISO_TIME : FORM_EPOCH_MS;
}

static int give(struct message *message, const struct text *topic,
		const struct text *body, mapping_sink *sink, void *data)
{
	if (topic->full || body->full)
		return -EMSGSIZE;
	message->topic = topic->data;
	message->topic_length = (uint16_t)topic->length;
	message->body = body->data;
	message->body_length = (uint32_t)body->length;
	sink(data, message);
	return 1;
}

/* Said only of what is not good: `"quality":{"energy":"stale"}`. */
static void add_qualities(const struct point *points, const struct reading *readings,
			  size_t count, struct text *body)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (readings[i].quality == QUALITY_GOOD)
			continue;
		text_addf(body, "%s", any ? "," : ",\"quality\":{");
		json_string(points[readings[i].point].name, body);
		text_addf(body, ":\"stale\"");
		any = true;
	}
	if (any)
		text_add(body, "}", 1);
}

static int publish_device(struct message *message, const char *device_topic,
			  const struct point *points, const struct reading *readings,
			  size_t count, mapping_sink *sink, void *data)
{
	char buffer[BODY_MAX + 1], topic_buffer[TOPIC_MAX + 1];
	struct text body = {.data = buffer, .size = sizeof(buffer)};
	struct text topic = {.data = topic_buffer, .size = sizeof(topic_buffer)};

	text_add(&topic, device_topic, strlen(device_topic));
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			text_add(&body, ",", 1);
		json_string(points[readings[i].point].name, &body);
		text_add(&body, ":", 1);
		json_value(&readings[i].value, &body);
	}
	add_qualities(points, readings, count, &body);
	return give(message, &topic, &body, sink, data);
}

static int publish_point(struct message *message, const char *device_topic,
			 const struct point *point, const struct reading *reading,
			 mapping_sink *sink, void *data)
{
	char buffer[BODY_MAX + 1], topic_buffer[TOPIC_MAX + 1];
	struct text body = {.data = buffer, .size = sizeof(buffer)};
	struct text topic = {.data = topic_buffer, .size = sizeof(topic_buffer)};

	text_addf(&topic, "%s/%s", device_topic, point->name);
	if (message->form == FORM_BARE) {
		number_print(&reading->value, &body);
		return give(message, &topic, &body, sink, data);
	}
	text_addf(&body, "\"value\":");
	json_value(&reading->value, &body);
	if (point->unit) {
		text_addf(&body, ",\"unit\":");
		json_string(point->unit, &body);
	}
	if (reading->quality == QUALITY_STALE)
		text_addf(&body, ",\"quality\":\"stale\"");
	return give(message, &topic, &body, sink, data);
}

int mapping_publish(const struct publish_conf *publish, const char *device_topic,
		    const struct point *points, const struct reading *readings,
		    size_t count, const struct message *when, mapping_sink *sink,
		    void *data)
{
	struct message message = *when;
	int r;

	message.form = form_of(publish);
	message.qos = publish->qos;
	message.retain = publish->retain;
	if (count == 0)
		return 0;
	if (publish->layout == LAYOUT_DEVICE)
		return publish_device(&message, device_topic, points, readings, count,
				      sink, data);
	for (size_t i = 0; i < count; i++) {
		r = publish_point(&message, device_topic, &points[readings[i].point],
				  &readings[i], sink, data);
		if (r < 0)
			return r;
	}
	return (int)count;
}
