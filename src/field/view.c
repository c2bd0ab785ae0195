/* SPDX-License-Identifier: Apache-2.0 */
/* view.c - a bus, its devices and their last values, for those who look into a gateway. */
#include "field/view.h"
#include "base/units.h"

#include <inttypes.h>

static const char *quality_of(const struct device *device, size_t point, uint64_t now_us)
{
	if (device->split.refused[point])
		return "refused";
	if (!device->last[point].read_us)
		return "unread";
	return device_is_stale(device, point, now_us) ? "stale" : "good";
}

static void view_point(const struct device *device, size_t index, uint64_t now_us,
		       struct text *text)
{
	const struct point *point = &device->config->points[index];
	const struct last *last = &device->last[index];

	json_string(point->name, text);
	text_addf(text, ":{\"value\":");
	if (last->read_us) {
		json_value(&last->read, text);
		text_addf(text, ",\"age_ms\":%" PRIu64, (now_us - last->read_us) / USEC_PER_MSEC);
	} else {
		text_addf(text, "null");
	}
	if (point->unit) {
		text_addf(text, ",\"unit\":");
		json_string(point->unit, text);
	}
	text_addf(text, ",\"quality\":\"%s\"}", quality_of(device, index, now_us));
}

void view_device(const struct device *device, uint64_t now_us, struct text *text)
{
	const struct device_config *config = device->config;
	struct device_stats stats = device_stats(device, now_us);

	text_addf(text, "{\"device\":");
	json_string(stats.name, text);
	text_addf(text, ",\"map\":");
	json_string(config->map->name, text);
	if (config->address)
		text_addf(text, ",\"address\":%u", config->address);
	text_addf(text, ",\"state\":\"%s\",\"silent_ms\":%" PRIu64 ",\"failures\":%u,", stats.state,
		  stats.silent_us / USEC_PER_MSEC, device->failures);
	counters_json(&stats.counters, text);
	text_addf(text, ",\"points\":{");
	for (size_t i = 0; i < config->point_count; i++) {
		if (i)
			text_add(text, ",", 1);
		view_point(device, i, now_us, text);
	}
	text_addf(text, "}}");
}

void view_bus(const struct bus_stats *stats, const struct device *devices, struct text *text)
{
	text_addf(text, "{");
	bus_state_json(stats, text);
	text_addf(text, ",\"devices\":[");
	for (size_t i = 0; i < stats->devices; i++) {
		if (i)
			text_add(text, ",", 1);
		json_string(devices[i].config->name, text);
	}
	text_addf(text, "]}");
}
