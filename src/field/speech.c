/* SPDX-License-Identifier: Apache-2.0 */
/* speech.c - what devices that speak in units say: bytes to units, units to values. */
#include "field/speech.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int speech_init(struct speech *speech, const struct bus_config *config)
{
	size_t most = 0;

	for (size_t i = 0; i < config->device_count; i++)
		if (config->devices[i].point_count > most)
			most = config->devices[i].point_count;
	*speech = (struct speech){.readings = calloc(most, sizeof(*speech->readings))};
	return speech->readings ? 0 : -ENOMEM;
}

void speech_done(struct speech *speech)
{
	free(speech->readings);
}

/* --- bytes --- */

ssize_t speech_receive(struct speech *speech, struct port *port)
{
	ssize_t n = port_read(port, speech->bytes + speech->length,
			      sizeof(speech->bytes) - speech->length);

	if (n > 0)
		speech->length += (size_t)n;
	return n;
}

void speech_clear(struct speech *speech)
{
	speech->length = 0;
}

static void drop(struct speech *speech, size_t n)
{
	speech->length -= n;
	memmove(speech->bytes, speech->bytes + n, speech->length);
}

bool speech_strip(struct speech *speech, const uint8_t *own, size_t n)
{
	if (speech->length < n)
		return false;
	if (!memcmp(speech->bytes, own, n))
		drop(speech, n);
	return true;
}

/* --- units --- */

bool speech_next(struct speech *speech, struct device *device, bool cut, size_t *count)
{
	const struct device_config *config = device->config;

	while (speech->taken < speech->length) {
		struct chunk chunk = device->driver->next(config->map, config->address,
							  speech->bytes + speech->taken,
							  speech->length - speech->taken);

		if (chunk.status == REPLY_MORE && !cut)
			break;
		speech->taken += chunk.status == REPLY_MORE ? 1 : chunk.used;
		if (chunk.status == REPLY_OK && chunk.length) {
			*count = device->driver->values(config->map, config->points,
							config->point_count, chunk.unit,
							chunk.length, speech->readings);
			speech->foreign += !*count;
			return true;
		}
		if (chunk.status != REPLY_OK && chunk.status != REPLY_MORE)
			speech_refuse(speech, device, chunk.status);
	}
	drop(speech, speech->taken);
	speech->taken = 0;
	return false;
}

/* --- what is wrong --- */

void speech_refuse(struct speech *speech, struct device *device, enum reply_status status)
{
	device->counters.refused[status]++;
	speech->refused[status]++;
}

void speech_understood(struct speech *speech)
{
	memset(speech->refused, 0, sizeof(speech->refused));
	speech->foreign = 0;
}

void speech_describe(const struct speech *speech, char *text, size_t size)
{
	size_t used = 0;

	snprintf(text, size, "nothing came");
	if (speech->foreign)
		used = (size_t)snprintf(text, size, "without its points %" PRIu64,
					speech->foreign);
	for (unsigned i = 0; i < REPLY_STATUS_COUNT && used < size; i++) {
		if (speech->refused[i])
			used += (size_t)snprintf(text + used, size - used, "%s%s %" PRIu64,
						 used ? ", " : "", reply_status_name(i),
						 speech->refused[i]);
	}
}
