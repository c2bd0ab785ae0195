/* SPDX-License-Identifier: Apache-2.0 */
/* example_write.c - a map's worked examples of writes, played through its driver. */
#include "bridge/setting.h"
#include "config/writing.h"
#include "drivers/raw.h"
#include "field/write_plan.h"
#include "tools/example.h"

#include <string.h>

enum {
	SHOWN_MAX = 3 * 24 + 4
}; /* bytes of a frame in a fault, and that there are more */

static void fault(const struct device_map *map, const struct example *example,
		  struct faults *faults, const char *what)
{
	faults_add(faults, map->file, example->line, example->column, "%s", what);
}

/* "01 05 00 00 FF 00 8C 3A" */
static const char *show(const uint8_t *bytes, size_t n, char text[SHOWN_MAX])
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n && used + 7 < SHOWN_MAX; i++)
		used += (size_t)snprintf(text + used, SHOWN_MAX - used, "%s%02X",
					 i ? " " : "", bytes[i]);
	if (used / 3 + 1 < n)
		snprintf(text + used, SHOWN_MAX - used, " …");
	return text;
}

/* The values as a command would have them; false: one is none, which is told. */
static bool take_values(const struct device_map *map, const struct example *example,
			struct written *written, struct faults *faults)
{
	bool right = true;

	for (size_t i = 0; i < example->value_count; i++) {
		const struct example_value *value = &example->values[i];
		char error[OUTCOME_ERROR_MAX];

		written[i].point = &map->points[value->point];
		if (setting_check(written[i].point, value->text, &written[i].value,
				  error) == 0)
			continue;
		faults_add(faults, map->file, value->line, value->column, "%s", error);
		right = false;
	}
	return right;
}

static void compare_frame(const struct device_map *map, const struct example *example,
			  const uint8_t *frame, size_t n, struct faults *faults)
{
	char text[SHOWN_MAX];

	if (n == example->send_length && !memcmp(frame, example->send, n))
		return;
	faults_add(faults, map->file, example->line, example->column,
		   "send is not what writes that, which is %s", show(frame, n, text));
}

/* --- devices that speak in units --- */

static void play_phrase(const struct device_map *map, const struct example *example,
			const struct driver *driver, const struct written *written,
			struct faults *faults)
{
	const struct phrase *phrase = written->point->locator->phrase;
	uint8_t frame[FRAME_MAX];
	size_t n;

	if (example->value_count > 1) {
		fault(map, example, faults, "one point is written at a time");
		return;
	}
	n = driver->command(map, written->point, &written->value, map->address, frame);
	compare_frame(map, example, frame, n, faults);
	if (!phrase->text_reply && !phrase->frame_reply.count)
		return;
	if (!example->receive_length ||
	    !driver->confirms(map, written->point, &written->value, map->address,
			      example->receive, example->receive_length))
		fault(map, example, faults,
		      "receive is not what the point's `reply:` knows");
}

/* --- Modbus --- */

/* Bits of a register that was read before: the others may be anything. */
static bool is_bits_of(const struct written *written, const struct driver *driver,
		       const struct request *request)
{
	uint8_t data[DATA_MAX], wanted[DATA_MAX];
	size_t n = driver->data(request, request->data, data);

	memcpy(wanted, data, n);
	return request->table == written->point->table &&
	       request->first == written->point->addr &&
	       request->count == point_span(written->point) &&
	       raw_put(written->point, &written->value, wanted) == 0 &&
	       !memcmp(wanted, data, n);
}

static void compare_request(const struct device_map *map, const struct example *example,
			    const struct driver *driver, const struct request *request,
			    const struct written *written, struct faults *faults)
{
	uint8_t frame[FRAME_MAX], data[DATA_MAX] = {0};
	size_t count = example->value_count;
	struct request planned;
	int r;

	if (count == 1 && write_plan_reads_first(written->point)) {
		if (!is_bits_of(written, driver, request))
			fault(map, example, faults, "send does not write these bits");
		return;
	}
	for (size_t i = 0; i < count && count > 1; i++) {
		if (!write_plan_is_shared(written[i].point)) {
			fault(map, example, faults,
			      "these points are not written together");
			return;
		}
	}
	r = count == 1
		    ? write_plan_one(written, request->address, &planned, data)
		    : write_plan_many(written, count, request->address, &planned, data);
	if (r == 0)
		compare_frame(map, example, frame, driver->request(&planned, frame),
			      faults);
}

static void play_request(const struct device_map *map, const struct example *example,
			 const struct driver *driver, const struct written *written,
			 struct faults *faults)
{
	struct request request;
	struct reply reply;
	size_t used = 0;

	if (driver->serve(example->send, example->send_length, &request, &used) !=
		    SERVE_REQUEST ||
	    used != example->send_length || !request.function || !request.count) {
		fault(map, example, faults,
		      "send is not a whole request that writes: length, "
		      "function or checksum is wrong");
		return;
	}
	compare_request(map, example, driver, &request, written, faults);
	reply = driver->reply(&request, example->receive, example->receive_length);
	if (reply.status != REPLY_OK || reply.length != example->receive_length)
		fault(map, example, faults, "receive does not confirm what send writes");
}

void example_play_write(const struct device_map *map, const struct example *example,
			const struct driver *driver, struct faults *faults)
{
	_cleanup_free_ struct written *written =
		calloc(example->value_count + 1, sizeof(*written));

	if (!written || !take_values(map, example, written, faults) ||
	    !example->value_count)
		return;
	if (driver->next)
		play_phrase(map, example, driver, written, faults);
	else
		play_request(map, example, driver, written, faults);
}
