// SPDX-License-Identifier: Apache-2.0
/*
 * test_maps.c - each map that ships: what its simulated device was told comes out of the bus.
 *
 *     told ─▶ simulator ── pseudo-terminal ── bus or listener ─▶ message: is it what was told?
 *
 * Polled devices are told a number for each point (and no number, where the map knows how that
 * is said); devices that speak in units are told one of their map's examples.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "field/bus.h"
#include "field/listener.h"
#include "tools/simulator.h"

#include <math.h>
#include <string.h>

enum {
	RIGS_MAX = 100, /* at the same time; each has a terminal and a port */
	BAUD = 115200,
	PACE = 4000000, /* the wire's, so that no time is spent on it */
	PATIENCE_US = 30 * 1000000,
};

/* What one point is told in one round, and what is to come out. */
struct told {
	bool is, seen;
	double raw;
	char text[STRING_MAX_LENGTH + 1]; /* name, string or null; empty: a number */
	double number, tolerance;
};

/* One device and the bus that it hangs on. */
struct rig {
	const struct device_map *map;
	struct simulator *simulator;
	struct device_config device;
	struct bus_config config;
	struct bus *bus;
	struct listener *listener;
	struct told *told;    /* one a point */
	struct point *points; /* the device's own, or NULL */
	size_t missing, wrong;
};

struct fixture {
	sd_event *loop;
	struct map_library *library;
	char **names;
	struct conf conf;
	struct rig rigs[RIGS_MAX];
	size_t rig_count, rounds, points, wrong;
};

static int set_up(void **state)
{
	const char *source = getenv("POSTBUS_SOURCE");
	_cleanup_free_ char *maps = NULL;
	struct fixture *f = calloc(1, sizeof(*f));
	const char *directories[1];

	*state = f;
	log_set_level(LOG_WARNING);
	assert_true(asprintf(&maps, "%s/devices", source ? source : ".") > 0);
	directories[0] = maps;
	assert_return_code(sd_event_new(&f->loop), 0);
	f->library = map_library_new(directories, 1, driver_names());
	f->names = map_library_names(f->library);
	assert_non_null(f->names);
	assert_non_null(f->names[0]);
	f->conf = (struct conf){.gateway = "g", .publish.topic = "{gateway}/{device}"};
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	map_names_free(f->names);
	map_library_free(f->library);
	sd_event_unref(f->loop);
	free(f);
	return 0;
}

/* --- what comes out --- */

/* The value of a key in the members of a JSON object; its length, 0 where it is not there. */
static size_t find_value(const char *body, size_t n, const char *key, const char **value)
{
	char wanted[NAME_MAX_LENGTH + 4];
	const char *end = body + n, *at;
	int length = snprintf(wanted, sizeof(wanted), "\"%s\":", key);

	at = memmem(body, n, wanted, (size_t)length);
	if (!at)
		return 0;
	*value = at + length;
	if (**value != '"')
		return strcspn(*value, ",}");
	++*value;
	at = memchr(*value, '"', (size_t)(end - *value));
	return at ? (size_t)(at - *value) : 0;
}

static bool is_told(const struct told *told, const char *value, size_t length)
{
	char digits[64] = "", *stop;
	double number;

	if (*told->text)
		return length == strlen(told->text) && !memcmp(value, told->text, length);
	if (!length || length >= sizeof(digits))
		return false;
	memcpy(digits, value, length);
	number = strtod(digits, &stop);
	return !*stop && fabs(number - told->number) <= told->tolerance;
}

static void on_message(void *data, const struct message *message)
{
	struct rig *rig = data;
	_cleanup_free_ char *body = strndup(message->body, message->body_length);
	const char *value;

	/* What is said of the bus and of availability is not of the device's values. */
	if (message->topic_length != strlen("g/device") || rig->missing == 0)
		return;
	for (size_t i = 0; i < rig->map->point_count; i++) {
		struct told *told = &rig->told[i];
		size_t length = find_value(body, message->body_length,
					   rig->map->points[i].name, &value);

		if (!told->is || !length)
			continue;
		if (is_told(told, value, length)) {
			rig->missing -= !told->seen;
			told->seen = true;
			continue;
		}
		/* An example may have several units, of which the last says it. */
		if (rig->listener)
			continue;
		rig->wrong++;
		fprintf(stderr, "%s: %s was told %s%.17g (raw %.17g), came out as %.*s\n",
			rig->map->name, rig->map->points[i].name, told->text,
			*told->text ? 0 : told->number, told->raw, (int)length, value);
	}
}

/* --- rigs --- */

static struct rig *add_rig(struct fixture *f, const struct device_map *map)
{
	struct rig *rig = &f->rigs[f->rig_count++];

	*rig = (struct rig){.map = map};
	rig->told = calloc(map->point_count, sizeof(*rig->told));
	rig->device = (struct device_config){
		.name = "device",
		.map = map,
		.address = map->address || map->kind != DRIVER_MODBUS ? map->address : 1,
		.points = map->points,
		.point_count = map->point_count,
	};
	assert_int_equal(simulator_new(f->loop, NULL, PACE, (struct serial_format){8, 'N', 1},
				       &rig->simulator), 0);
	assert_int_equal(simulator_add(rig->simulator, map, rig->device.address), 0);
	rig->config = (struct bus_config){
		.name = "bus",
		.port = (char *)simulator_path(rig->simulator),
		.baud = BAUD,
		.format = {8, 'N', 1},
		.timeout_us = USEC_PER_SEC,
		.retries = 5,
		.devices = &rig->device,
		.device_count = 1,
	};
	return rig;
}

static void start_rig(struct fixture *f, struct rig *rig)
{
	int r;

	f->rounds++;
	for (size_t i = 0; i < rig->map->point_count; i++)
		rig->missing += rig->told[i].is;
	f->points += rig->missing;
	if (listener_is_for(&rig->config))
		r = listener_new(f->loop, &rig->config, &f->conf, on_message, rig,
				 &rig->listener);
	else
		r = bus_new(f->loop, &rig->config, &f->conf, on_message, rig, &rig->bus);
	assert_int_equal(r, 0);
}

static void end_rig(struct fixture *f, struct rig *rig)
{
	f->wrong += rig->wrong + rig->missing;
	for (size_t i = 0; rig->missing && i < rig->map->point_count; i++) {
		if (rig->told[i].is && !rig->told[i].seen)
			fprintf(stderr, "%s: %s did not come as %s\n", rig->map->name,
				rig->map->points[i].name, rig->told[i].text);
	}
	listener_free(rig->listener);
	bus_free(rig->bus);
	simulator_free(rig->simulator);
	points_free(rig->points, rig->map->point_count);
	free(rig->told);
}

static bool is_anything_missing(const struct fixture *f)
{
	for (size_t i = 0; i < f->rig_count; i++) {
		if (f->rigs[i].missing)
			return true;
	}
	return false;
}

/* Until all has come, or nothing more is to be hoped for. */
static void run_rigs(struct fixture *f)
{
	uint64_t end = clock_monotonic_us() + PATIENCE_US;

	while (is_anything_missing(f) && clock_monotonic_us() < end)
		assert_true(sd_event_run(f->loop, 100000) >= 0);
	for (size_t i = 0; i < f->rig_count; i++)
		end_rig(f, &f->rigs[i]);
	f->rig_count = 0;
}

/* --- polled devices --- */

static unsigned bits_of(const struct point *point)
{
	if (point->bit_count)
		return point->bit_count;
	return point->type == TYPE_U8 || point->type == TYPE_I8
		       ? 8
		       : (unsigned)point_size(point) * 8;
}

/* Some raw number that fits, another for each point, that a double can hold; not the map's nan. */
static double raw_of(const struct point *point, size_t index)
{
	bool negative = (point->type == TYPE_I8 || point->type == TYPE_I16 ||
			 point->type == TYPE_I32 || point->type == TYPE_I64) && index % 2;
	unsigned bits = bits_of(point);
	uint64_t most, raw;

	if (point->type == TYPE_BCD16 || point->type == TYPE_BCD32)
		return (double)((index + 1) * 1234567 % (point->type == TYPE_BCD16 ? 10000 : 100000000));
	/* The highest bit is a sign, or left alone: that is where maps have their nan. */
	bits = bits == 1 ? 1 : bits > 53 ? 52 : bits - 1;
	most = (UINT64_C(1) << bits) - 1;
	raw = (index + 1) * UINT64_C(0x9E3779B97F4A7C15) >> 7 & most;
	if (point->has_nan && raw == point->nan)
		raw ^= 1;
	return negative ? -(double)raw : (double)raw;
}

static void tell(const struct rig *rig, size_t index)
{
	const struct point *point = &rig->map->points[index];
	struct told *told = &rig->told[index];

	*told = (struct told){.is = true};
	if (point->type == TYPE_STRING) {
		/* The simulator's strings are the map's name. */
		snprintf(told->text, point->length + 1u, "%s", rig->map->name);
		return;
	}
	if (point->type == TYPE_F32 || point->type == TYPE_F64)
		told->raw = ((double)index + 1) * (index % 2 ? -10.25 : 10.25);
	else if (point->value_count)
		told->raw = (double)point->values[index % point->value_count].value;
	else if (point->type == TYPE_BOOL)
		told->raw = (double)(index % 2);
	else
		told->raw = raw_of(point, index);
	if (point->value_count)
		strcpy(told->text, point->values[index % point->value_count].name);
	else if (point->type == TYPE_BOOL)
		strcpy(told->text, index % 2 ? "true" : "false");
	told->number = told->raw * point->scale + point->offset;
	told->tolerance = fabs(told->number) * (point->type == TYPE_F32 ? 1e-6 : 1e-12) +
			  fabs(point->scale) * 1e-9;
	assert_int_equal(simulator_set(rig->simulator, rig->device.address, point->name,
				       told->raw), 0);
}

static void tell_nothing(const struct rig *rig, size_t index)
{
	rig->told[index] = (struct told){.is = true, .raw = NAN, .text = "null"};
	assert_int_equal(simulator_set(rig->simulator, rig->device.address,
				       rig->map->points[index].name, NAN), 0);
}

/* Whether two points stand in the same registers, and in the same bits of them. */
static bool do_overlap(const struct point *a, const struct point *b, bool whole)
{
	if (a->table != b->table || a->addr >= b->addr + point_span(b) ||
	    b->addr >= a->addr + point_span(a))
		return false;
	if (whole || !a->bit_count || !b->bit_count || a->addr != b->addr ||
	    a->type != b->type)
		return true;
	return a->bit_low < b->bit_low + b->bit_count && b->bit_low < a->bit_low + a->bit_count;
}

static bool has_room(const struct rig *rig, size_t index, bool whole)
{
	for (size_t i = 0; i < rig->map->point_count; i++) {
		if (rig->told[i].is &&
		    do_overlap(&rig->map->points[i], &rig->map->points[index], whole))
			return false;
	}
	return true;
}

/*
 * As many rounds as it takes for each point to have its registers to itself once. In rounds of
 * nothing, points that can be without a value are.
 */
static void add_rounds(struct fixture *f, const struct device_map *map, bool nothing)
{
	_cleanup_free_ bool *done = calloc(map->point_count, sizeof(*done));
	size_t left = 0;

	for (size_t i = 0; i < map->point_count; i++) {
		done[i] = nothing && !map->points[i].has_nan;
		left += !done[i];
	}
	while (left) {
		struct rig *rig;

		if (f->rig_count == RIGS_MAX)
			run_rigs(f);
		rig = add_rig(f, map);
		for (size_t i = 0; i < map->point_count; i++) {
			if (done[i] || !has_room(rig, i, nothing))
				continue;
			if (nothing)
				tell_nothing(rig, i);
			else
				tell(rig, i);
			done[i] = true;
			left--;
		}
		start_rig(f, rig);
	}
}

/* --- devices that speak in units --- */

static void add_examples(struct fixture *f, const struct device_map *map)
{
	for (size_t i = 0; i < map->example_count; i++) {
		const struct example *example = &map->examples[i];
		struct rig *rig;

		if (example->writes)
			continue; /* `postbus check` plays them */
		if (f->rig_count == RIGS_MAX)
			run_rigs(f);
		rig = add_rig(f, map);
		rig->points = points_copy(map->points, map->point_count);
		assert_non_null(rig->points);
		for (size_t j = 0; j < map->point_count; j++)
			rig->points[j].every_us = 1; /* all that is said is published */
		rig->device.points = rig->points;
		assert_int_equal(simulator_set_example(rig->simulator, rig->device.address, i), 0);
		for (size_t j = 0; j < example->value_count; j++) {
			struct told *told = &rig->told[example->values[j].point];

			told->is = true;
			strcpy(told->text, example->values[j].text);
		}
		start_rig(f, rig);
	}
}

static void test_all(void **state)
{
	struct fixture *f = *state;
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	size_t count = 0;

	for (; f->names[count]; count++) {
		_cleanup_free_ char *suggestion = NULL;
		const struct device_map *map;
		int r = map_library_get(f->library, f->names[count], &map, &suggestion, faults);

		faults_print(faults, stderr);
		assert_int_equal(r, 0);
		if (map->kind != DRIVER_MODBUS) {
			add_examples(f, map);
			continue;
		}
		add_rounds(f, map, false);
		add_rounds(f, map, true);
	}
	run_rigs(f);
	printf("%zu maps, %zu rounds, %zu values\n", count, f->rounds, f->points);
	assert_int_equal(f->wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
