// SPDX-License-Identifier: Apache-2.0
/*
 * simulator.c - devices played on a pseudo-terminal from device maps, paced as a wire.
 *
 * A pseudo-terminal delivers at once what a wire needs its time for. So a request is
 * taken to end as many characters after its first byte as it has, the answer begins when
 * the silence after that is over, and each byte of it is given out when its last bit
 * would have arrived:
 *
 *   request            silence   answer              silence   next request
 *   |=|=|=|=|=|=|=|=|  . . . .   |=|=|=|=|=|=|=|=|=|  . . . .   |=|=|
 *   ^ begins           ^ ends    ^ start_us        ^ given out  ^ earlier: a violation
 */

#include "tools/simulator.h"

#include "field/plan.h"
#include "tools/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>

enum {
	ANSWERS_MAX = 8,   /* requests that a busy device still remembers */
	EARLY_US = 50,     /* a request is this early before it counts as a violation */
	BATCH_US = 1000,   /* bytes are given out at most so often */
	PIECES_US = 50000, /* how long the rest of a request may take to come */
	EXCEPTION_FUNCTION = 1, /* Modbus Application Protocol V1.1b3, section 7 */
	EXCEPTION_ADDRESS = 2,
	EXCEPTION_VALUE = 3,
	MARGIN = STRING_MAX_LENGTH / 2, /* registers of the longest point */
};

struct pin {
	bool set;
	double number;
};

struct sim_device {
	const struct device_map *map;
	uint8_t address;
	struct pin *pins; /* one a point */
};

struct sim_fault {
	struct fault_plan plan;
	uint64_t seen; /* requests that it was asked about */
};

struct answer {
	uint8_t frame[FRAME_MAX];
	size_t length, sent;
	uint64_t start_us; /* when its first character begins */
	bool right;
};

struct simulator {
	int master, slave;
	char path[64];
	char *link;
	uint32_t baud;
	struct serial_format format;
	const struct driver *driver;
	uint64_t born_us;

	struct sim_device *devices;
	size_t device_count;
	struct sim_fault *faults;
	size_t fault_count;
	bool muted;

	uint8_t in[2 * FRAME_MAX]; /* of a request that is not whole yet */
	size_t in_length;
	uint64_t in_begin_us, in_last_us;
	bool in_early;
	struct answer answers[ANSWERS_MAX]; /* in the order of the wire */
	size_t answer_count;
	uint64_t wire_end_us; /* end of the last frame that is wholly past or a request */

	sd_event_source *input, *timer;
	struct simulator_stats stats;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t characters_us(const struct simulator *s, size_t n)
{
	return plan_characters_us(n, s->baud, s->format);
}

static uint64_t answer_end_us(const struct simulator *s, const struct answer *answer)
{
	return answer->start_us + characters_us(s, answer->length);
}

static bool is_bits(enum table table)
{
	return table == TABLE_COIL || table == TABLE_DISCRETE;
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

/* The reply's data: registers big-endian, or packed bits. */
static void fill(const struct simulator *s, const struct sim_device *device,
		 const struct request *request, uint8_t *data)
{
	/* A cell a register or bit, and room for points that are partly inside. */
	uint8_t image[BATCH_MAX_BITS + 2 * MARGIN] = {0};
	size_t cell = is_bits(request->table) ? 1 : 2;
	double seconds = (double)(now_us() - s->born_us) / 1e6;
	int cells = request->count + 2 * MARGIN;

	for (size_t i = 0; i < device->map->point_count; i++) {
		const struct point *point = &device->map->points[i];
		int at = point->addr - request->first + MARGIN;

		if (point->table != request->table || at < 0 ||
		    at + (int)point_span(point) > cells)
			continue;
		if (device->pins[i].set)
			measure_pinned(point, device->pins[i].number,
				       image + (size_t)at * cell);
		else
			measure(device->map, i, device->address, seconds,
				image + (size_t)at * cell);
	}
	if (!is_bits(request->table)) {
		memcpy(data, image + MARGIN * cell, request->count * cell);
		return;
	}
	memset(data, 0, (request->count + 7u) / 8u);
	for (size_t i = 0; i < request->count; i++)
		data[i / 8] |= (uint8_t)((image[MARGIN + i] != 0) << i % 8);
}

/* --- requests and answers --- */

static const struct sim_device *device_at(const struct simulator *s, uint8_t address)
{
	for (size_t i = 0; i < s->device_count; i++)
		if (s->devices[i].address == address)
			return &s->devices[i];
	return NULL;
}

/* The first fault that is due for this request, or NULL. Each counts its requests. */
static const struct fault_plan *fault_due(struct simulator *s, uint8_t address)
{
	const struct fault_plan *due = NULL;

	for (size_t i = 0; i < s->fault_count; i++) {
		struct sim_fault *fault = &s->faults[i];

		if (fault->plan.address != 0 && fault->plan.address != address)
			continue;
		fault->seen++;
		if (!due &&
		    (fault->plan.every < 2 || fault->seen % fault->plan.every == 0))
			due = &fault->plan;
	}
	return due;
}

/* The exception that the request deserves, or 0. */
static uint8_t exception_for(const struct sim_device *device,
			     const struct request *request)
{
	unsigned most = is_bits(request->table) ? BATCH_MAX_BITS : BATCH_MAX_REGISTERS;

	if (request->count == 0 || request->count > most)
		return EXCEPTION_VALUE;
	return is_inside(device->map, request) ? 0 : EXCEPTION_ADDRESS;
}

static void spoil(const struct simulator *s, const struct fault_plan *fault,
		  struct answer *answer)
{
	/* Any byte after the first three, so that only the checksum is wrong. */
	size_t at = 3 + s->stats.requests % (answer->length - 3);

	if (fault->kind == FAULT_CHECKSUM)
		answer->frame[at] ^= (uint8_t)(1 << s->stats.requests % 8);
	else if (fault->kind == FAULT_SHORT)
		answer->length /= 2;
	else if (fault->kind == FAULT_LATE)
		answer->start_us += fault->late_us;
	answer->right = fault->kind == FAULT_LATE;
}

/* Puts the answer to a request that ended at `end_us` in the queue. */
static void respond(struct simulator *s, const struct request *request, uint8_t function,
		    bool known, uint64_t end_us)
{
	const struct sim_device *device = device_at(s, request->address);
	const struct fault_plan *fault;
	struct answer *answer;
	uint8_t exception, data[DATA_MAX];

	if (!device) {
		s->stats.refused++;
		return;
	}
	s->stats.requests++;
	fault = fault_due(s, request->address);
	if (s->muted || (fault && fault->kind == FAULT_SILENT) ||
	    s->answer_count == ANSWERS_MAX)
		return;

	answer = &s->answers[s->answer_count];
	if (s->answer_count > 0)
		end_us = later(end_us, answer_end_us(s, answer - 1));
	*answer = (struct answer){
		.start_us = end_us + plan_silence_us(s->baud, s->format),
		.right = true,
	};
	exception = known ? exception_for(device, request) : EXCEPTION_FUNCTION;
	if (fault && fault->kind == FAULT_EXCEPTION)
		exception = fault->exception;
	if (exception) {
		answer->length = s->driver->serve_exception(request->address, function,
							    exception, answer->frame);
	} else {
		fill(s, device, request, data);
		answer->length = s->driver->serve_reply(request, data, answer->frame);
	}
	if (fault)
		spoil(s, fault, answer);
	s->answer_count++;
}

/* Notes that a frame has begun now, and whether that was too soon. */
static void begin(struct simulator *s, uint64_t now)
{
	uint64_t end = s->wire_end_us;

	for (size_t i = 0; i < s->answer_count && s->answers[i].start_us <= now; i++)
		end = later(end, answer_end_us(s, &s->answers[i]));
	s->in_begin_us = now;
	s->in_early = now + EARLY_US < end + plan_silence_us(s->baud, s->format);
}

/* Answers all whole requests among the bytes and throws away what is none. */
static void take(struct simulator *s)
{
	while (s->in_length > 0) {
		enum serve_status status = SERVE_REFUSED;
		struct request request;
		size_t used;
		uint64_t end;

		if (s->driver)
			status = s->driver->serve(s->in, s->in_length, &request, &used);
		if (status == SERVE_MORE)
			return;
		if (status == SERVE_REFUSED)
			used = s->in_length;
		end = later(s->in_begin_us + characters_us(s, used), s->in_last_us);
		s->wire_end_us = later(s->wire_end_us, end);
		if (status == SERVE_REFUSED) {
			s->stats.refused++;
		} else {
			s->stats.violations += s->in_early;
			respond(s, &request, s->in[1], status == SERVE_REQUEST, end);
		}
		s->in_length -= used;
		memmove(s->in, s->in + used, s->in_length);
		/* What follows came without any silence. */
		s->in_begin_us = end;
		s->in_early = true;
	}
}

/* Gives out the bytes of the first answer that have arrived by now. */
static void give(struct simulator *s, uint64_t now)
{
	struct answer *answer = &s->answers[0];
	uint64_t second_bits = serial_format_bits(s->format) * UINT64_C(1000000);
	uint64_t arrived;

	if (s->answer_count == 0 || now < answer->start_us)
		return;
	arrived = (now - answer->start_us) * s->baud / second_bits;
	if (arrived > answer->length)
		arrived = answer->length;
	/* A terminal that nobody reads fills up: then bytes are lost, as on a wire. */
	if (arrived > answer->sent &&
	    write(s->master, answer->frame + answer->sent, arrived - answer->sent) !=
		    (ssize_t)(arrived - answer->sent))
		answer->right = false;
	answer->sent = arrived;
	if (answer->sent < answer->length)
		return;

	s->stats.answers += answer->right;
	s->wire_end_us = later(s->wire_end_us, answer_end_us(s, answer));
	s->answer_count--;
	memmove(s->answers, s->answers + 1, s->answer_count * sizeof(*s->answers));
}

/* When there is next something to do by the clock; UINT64_MAX: nothing. */
static uint64_t due_us(const struct simulator *s, uint64_t now)
{
	const struct answer *answer = &s->answers[0];
	uint64_t due = UINT64_MAX, byte, last;

	if (s->in_length > 0)
		due = s->in_last_us + PIECES_US;
	if (s->answer_count == 0)
		return due;
	byte = answer->start_us + characters_us(s, answer->sent + 1);
	last = answer_end_us(s, answer);
	byte = later(byte, now + BATCH_US);
	if (byte > last)
		byte = last;
	return byte < due ? byte : due;
}

static int arm(struct simulator *s)
{
	uint64_t due = due_us(s, now_us());
	int r;

	if (due == UINT64_MAX)
		return sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	r = sd_event_source_set_time(s->timer, due);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static int on_time(_unused_ sd_event_source *source, _unused_ uint64_t time, void *data)
{
	struct simulator *s = data;
	uint64_t now = now_us();

	give(s, now);
	if (s->in_length > 0 && now >= s->in_last_us + PIECES_US) {
		s->in_length = 0;
		s->stats.refused++;
	}
	return arm(s);
}

static int on_input(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		    void *data)
{
	struct simulator *s = data;
	uint64_t now = now_us();
	ssize_t n = read(fd, s->in + s->in_length, sizeof(s->in) - s->in_length);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return 0;
	if (s->in_length == 0)
		begin(s, now);
	s->in_length += (size_t)n;
	s->in_last_us = now;
	take(s);
	return arm(s);
}

/* --- the terminal --- */

/* Its own open slave side keeps the master from hanging up when the gateway closes. */
static int open_terminal(struct simulator *s)
{
	struct termios termios;

	s->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (s->master < 0 || grantpt(s->master) < 0 || unlockpt(s->master) < 0 ||
	    ptsname_r(s->master, s->path, sizeof(s->path)) != 0)
		return -errno;
	s->slave = open(s->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0 || tcgetattr(s->slave, &termios) < 0)
		return -errno;
	cfmakeraw(&termios);
	return tcsetattr(s->slave, TCSANOW, &termios) < 0 ? -errno : 0;
}

/* Only a symbolic link is ever replaced. */
static int make_link(struct simulator *s, const char *link)
{
	struct stat st;

	if (lstat(link, &st) == 0) {
		if (!S_ISLNK(st.st_mode))
			return -EEXIST;
		if (unlink(link) < 0)
			return -errno;
	}
	if (symlink(s->path, link) < 0)
		return -errno;
	s->link = strdup(link);
	if (!s->link) {
		unlink(link);
		return -ENOMEM;
	}
	return 0;
}

/* Unless it has become someone else's. */
static void remove_link(const struct simulator *s)
{
	char target[sizeof(s->path)];
	ssize_t n = s->link ? readlink(s->link, target, sizeof(target)) : -1;

	if (n == (ssize_t)strlen(s->path) && memcmp(target, s->path, (size_t)n) == 0)
		unlink(s->link);
}

int simulator_new(sd_event *loop, const char *link, uint32_t baud,
		  struct serial_format format, struct simulator **simulator)
{
	_cleanup_(simulator_freep) struct simulator *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->master = s->slave = -1;
	s->baud = baud;
	s->format = format;
	s->born_us = now_us();
	r = open_terminal(s);
	if (r < 0)
		return r;
	r = sd_event_add_io(loop, &s->input, s->master, EPOLLIN, on_input, s);
	if (r < 0)
		return r;
	/* Bytes that are there already go before a timer that waits for them. */
	r = sd_event_source_set_priority(s->input, SD_EVENT_PRIORITY_NORMAL - 1);
	if (r < 0)
		return r;
	r = sd_event_add_time(loop, &s->timer, CLOCK_MONOTONIC, UINT64_MAX, 1, on_time,
			      s);
	if (r < 0)
		return r;
	r = link ? make_link(s, link) : 0;
	if (r < 0)
		return r;
	*simulator = TAKE_PTR(s);
	return 0;
}

void simulator_free(struct simulator *simulator)
{
	if (!simulator)
		return;
	sd_event_source_disable_unref(simulator->input);
	sd_event_source_disable_unref(simulator->timer);
	remove_link(simulator);
	closep(&simulator->slave);
	closep(&simulator->master);
	for (size_t i = 0; i < simulator->device_count; i++)
		free(simulator->devices[i].pins);
	free(simulator->devices);
	free(simulator->faults);
	free(simulator->link);
	free(simulator);
}

int simulator_add(struct simulator *simulator, const struct device_map *map,
		  uint8_t address)
{
	const struct driver *driver = driver_find(map->driver);
	struct sim_device *devices;

	if (device_at(simulator, address))
		return -EEXIST;
	if (!driver || !driver->serve ||
	    (simulator->driver && simulator->driver != driver))
		return -EPROTONOSUPPORT;
	devices = reallocarray(simulator->devices, simulator->device_count + 1,
			       sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	simulator->devices = devices;
	devices += simulator->device_count;
	*devices = (struct sim_device){.map = map, .address = address};
	devices->pins = calloc(map->point_count, sizeof(*devices->pins));
	if (!devices->pins)
		return -ENOMEM;
	simulator->device_count++;
	simulator->driver = driver;
	return 0;
}

int simulator_add_fault(struct simulator *simulator, const struct fault_plan *fault)
{
	struct sim_fault *faults = reallocarray(
		simulator->faults, simulator->fault_count + 1, sizeof(*faults));

	if (!faults)
		return -ENOMEM;
	simulator->faults = faults;
	faults[simulator->fault_count++] = (struct sim_fault){.plan = *fault};
	return 0;
}

void simulator_mute(struct simulator *simulator, bool mute)
{
	simulator->muted = mute;
	if (mute)
		simulator->answer_count = 0;
}

int simulator_set(struct simulator *simulator, uint8_t address, const char *point,
		  double number)
{
	const struct sim_device *device = device_at(simulator, address);
	ssize_t index = device ? device_map_find(device->map, point) : -ENOENT;

	if (index < 0)
		return -ENOENT;
	device->pins[index] = (struct pin){.set = true, .number = number};
	return 0;
}

const char *simulator_path(const struct simulator *simulator)
{
	return simulator->path;
}

struct simulator_stats simulator_stats(const struct simulator *simulator)
{
	return simulator->stats;
}
