/* SPDX-License-Identifier: Apache-2.0 */
/* sim_device.c - what a simulated device holds: its registers, or what it says, of its map. */
#include "tools/sim_device.h"
#include "config/identity.h"
#include "drivers/modbus.h"
#include "tools/measure.h"

#include <errno.h>
#include <string.h>

enum { MARGIN = STRING_MAX_LENGTH / 2 }; /* registers of the longest point */

/* The first example from this one on, and then from the beginning, that it may say. */
static size_t said_example(const struct device_map *map, size_t from)
{
	for (size_t i = 0; i < map->example_count; i++) {
		size_t example = (from + i) % map->example_count;

		if (!map->examples[example].writes)
			return example;
	}
	return map->example_count;
}

int sim_device_init(struct sim_device *device, const struct device_map *map, uint8_t address)
{
	*device = (struct sim_device){
		.map = map,
		.address = address,
		.set_up = !map->framing.setup.count,
	};
	device->pins = calloc(map->point_count, sizeof(*device->pins));
	device->on_counts = calloc(map->point_count, sizeof(*device->on_counts));
	return device->pins && device->on_counts ? 0 : -ENOMEM;
}

void sim_device_done(struct sim_device *device)
{
	free(device->pins);
	free(device->on_counts);
	free(device->cells);
}

int sim_device_pin(struct sim_device *device, const char *name, double number)
{
	ssize_t index = device_map_find(device->map, name);
	const struct point *point;
	size_t kept = 0;

	if (index < 0)
		return -ENOENT;
	device->pins[index] = (struct pin){.set = true, .number = number};
	point = &device->map->points[index];
	for (size_t i = 0; i < device->cell_count; i++) {
		const struct sim_cell *cell = &device->cells[i];

		if (cell->table != point->table || cell->addr < point->addr ||
		    cell->addr >= point->addr + point_span(point))
			device->cells[kept++] = *cell;
	}
	device->cell_count = kept;
	return 0;
}

bool sim_device_hold(struct sim_device *device, enum table table, uint16_t addr, uint16_t value,
		     double until_s)
{
	const struct sim_cell held = {table, addr, value, until_s};
	struct sim_cell *cells;

	for (size_t i = 0; i < device->cell_count; i++) {
		if (device->cells[i].table == table && device->cells[i].addr == addr) {
			device->cells[i] = held;
			return true;
		}
	}
	cells = reallocarray(device->cells, device->cell_count + 1, sizeof(*cells));
	if (!cells)
		return false;
	device->cells = cells;
	cells[device->cell_count++] = held;
	return true;
}

/* Whether the map has the request's registers; holes between points count as its own. */
static bool is_inside(const struct device_map *map, const struct request *request)
{
	unsigned first = UINT16_MAX + 1u, end = 0;

	for (size_t i = 0; i < map->point_count; i++) {
		const struct point *point = &map->points[i];

		if (point->table != request->table)
			continue;
		if (point->addr < first)
			first = point->addr;
		if (point->addr + point_span(point) > end)
			end = point->addr + point_span(point);
	}
	return request->first >= first &&
	       request->first + (unsigned)request->count <= end;
}

/* What it says it is stands apart from the points, and is asked for by itself. */
static bool asks_identity(const struct device_map *map, const struct request *request)
{
	return request->table == map->identity.table && request->first == map->identity.addr &&
	       request->count == identity_registers(&map->identity);
}

/* Writes what is pinned, or what is not, of the points that are in the image or partly so. */
static void fill_image(const struct sim_device *device, const struct request *request,
		       double seconds, bool pinned, uint8_t *image)
{
	size_t cell = table_is_bits(request->table) ? 1 : 2;
	int cells = request->count + 2 * MARGIN;

	for (size_t i = 0; i < device->map->point_count; i++) {
		const struct point *point = &device->map->points[i];
		int at = point->addr - request->first + MARGIN;
		uint8_t *bytes;

		if (device->pins[i].set != pinned || point->table != request->table ||
		    at < 0 || at + (int)point_span(point) > cells)
			continue;
		bytes = image + (size_t)at * cell;
		if (pinned)
			measure_pinned(point, device->pins[i].number, bytes);
		else
			measure(device->map, i, device->address, seconds, bytes);
	}
}

/* What was written stands whatever is pinned. */
static void fill_written(const struct sim_device *device, const struct request *request,
			 double seconds, uint8_t *image)
{
	for (size_t i = 0; i < device->cell_count; i++) {
		const struct sim_cell *cell = &device->cells[i];
		uint16_t value = seconds < cell->until_s ? cell->value : 0;
		unsigned at = (unsigned)(cell->addr - request->first) + MARGIN;

		if (cell->table != request->table || cell->addr < request->first ||
		    cell->addr >= request->first + request->count)
			continue;
		if (table_is_bits(request->table)) {
			image[at] = (uint8_t)value;
			continue;
		}
		image[2 * at] = (uint8_t)(value >> 8);
		image[2 * at + 1] = (uint8_t)value;
	}
}

void sim_device_fill(const struct sim_device *device, const struct request *request,
		     double seconds, uint8_t *data)
{
	/* A cell a register or bit, and room for points that are partly inside. */
	uint8_t image[BATCH_MAX_BITS + 2 * MARGIN] = {0};
	size_t cell = table_is_bits(request->table) ? 1 : 2;

	if (asks_identity(device->map, request)) {
		identity_fill(&device->map->identity, data);
		return;
	}
	/* What was pinned stands, whatever else is in the same registers. */
	fill_image(device, request, seconds, false, image);
	fill_image(device, request, seconds, true, image);
	fill_written(device, request, seconds, image);
	if (!table_is_bits(request->table)) {
		memcpy(data, image + MARGIN * cell, request->count * cell);
		return;
	}
	memset(data, 0, (request->count + 7u) / 8u);
	for (size_t i = 0; i < request->count; i++)
		data[i / 8] |= (uint8_t)((image[MARGIN + i] != 0) << i % 8);
}

uint8_t sim_device_exception(const struct sim_device *device, const struct request *request)
{
	unsigned most = table_is_bits(request->table) ? BATCH_MAX_BITS : BATCH_MAX_REGISTERS;

	if (request->count == 0 || request->count > most)
		return EXCEPTION_VALUE;
	if (asks_identity(device->map, request))
		return 0;
	return is_inside(device->map, request) ? 0 : EXCEPTION_ADDRESS;
}

/* --- devices that speak in lines, frames and telegrams --- */

bool sim_device_is_possible(const struct device_map *map)
{
	const struct driver *driver = driver_find(map->driver);

	return driver->serve || said_example(map, 0) < map->example_count;
}

int sim_device_pin_example(struct sim_device *device, size_t example)
{
	if (example >= device->map->example_count || device->map->examples[example].writes)
		return -ENOENT;
	device->example = example;
	device->pinned = true;
	return 0;
}

struct saying sim_device_say(struct sim_device *device)
{
	const struct example *example = &device->map->examples[device->example];

	if (!device->pinned)
		device->example = said_example(device->map, device->example + 1);
	return (struct saying){example->receive, example->receive_length, NULL, NULL};
}

/* A meter that waits to be acknowledged has named itself, in its first line, and no more. */
static struct saying begin_answer(struct sim_device *device)
{
	const struct example *example = &device->map->examples[device->example];
	const uint8_t *end = memchr(example->receive, '\n', example->receive_length);

	if (!device->map->framing.acknowledge.count || !end)
		return sim_device_say(device);
	device->begun = (size_t)(end + 1 - example->receive);
	return (struct saying){example->receive, device->begun, NULL, NULL};
}

static struct saying go_on(struct sim_device *device)
{
	struct saying saying = sim_device_say(device);

	saying.bytes += device->begun;
	saying.length -= device->begun;
	device->begun = 0;
	return saying;
}

/* Whether the bytes are the wanted ones, or the beginning of them. */
static enum serve_status match(const uint8_t *bytes, size_t n, const uint8_t *wanted,
			       size_t length)
{
	if (!length || memcmp(bytes, wanted, n < length ? n : length))
		return SERVE_REFUSED;
	return n < length ? SERVE_MORE : SERVE_REQUEST;
}

/* Whether it is told what it has to be told first, which it does not answer. */
static enum serve_status hear_setup(struct sim_device *device, const uint8_t *bytes, size_t n,
				    size_t *used, struct saying *saying)
{
	const struct driver *driver = driver_find(device->map->driver);
	enum serve_status status;
	uint8_t frame[FRAME_MAX];

	if (!device->map->framing.setup.count)
		return SERVE_REFUSED;
	*used = driver->set_up(device->map, device->address, frame);
	status = match(bytes, n, frame, *used);
	if (status == SERVE_REQUEST) {
		device->set_up = true;
		*saying = (struct saying){0};
	}
	return status;
}

/* A command of the map's examples, to which it says what it says there. */
static enum serve_status hear_command(const struct sim_device *device, const uint8_t *bytes,
				      size_t n, size_t *used, struct saying *saying)
{
	enum serve_status found = SERVE_REFUSED;

	for (size_t i = 0; i < device->map->example_count; i++) {
		const struct example *example = &device->map->examples[i];
		enum serve_status status;

		if (!example->writes)
			continue;
		status = match(bytes, n, example->send, example->send_length);
		if (status == SERVE_REQUEST) {
			*used = example->send_length;
			*saying = (struct saying){example->receive, example->receive_length,
						  example, device};
			return status;
		}
		if (status == SERVE_MORE)
			found = status;
	}
	return found;
}

enum serve_status sim_device_hear(struct sim_device *device, const uint8_t *bytes, size_t n,
				  size_t *used, struct saying *saying)
{
	const struct driver *driver = driver_find(device->map->driver);
	const struct example *example = &device->map->examples[device->example];
	enum serve_status status, setup = hear_setup(device, bytes, n, used, saying);
	uint8_t frame[FRAME_MAX];

	if (setup == SERVE_REQUEST)
		return setup;
	status = hear_command(device, bytes, n, used, saying);
	if (status == SERVE_REQUEST)
		return status;
	if (status == SERVE_MORE)
		setup = status;
	if (device->begun) {
		*used = driver->acknowledge(device->map, example->receive, device->begun,
					    frame);
		status = match(bytes, n, frame, *used);
		if (status == SERVE_REQUEST)
			*saying = go_on(device);
		if (status != SERVE_REFUSED)
			return status;
	}
	*used = driver->ask(device->map, device->address, frame);
	status = match(bytes, n, frame, *used);
	if (status == SERVE_REQUEST)
		*saying = device->set_up ? begin_answer(device) : (struct saying){0};
	return status == SERVE_REFUSED ? setup : status;
}
