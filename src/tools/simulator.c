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

#include "bridge/clock.h"
#include "drivers/modbus.h"
#include "field/plan.h"
#include "field/port.h"
#include "tools/sim_answers.h"
#include "tools/sim_device.h"
#include "tools/sim_faults.h"
#include "tools/terminal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum {
	SAY_US = 1000000,  /* how often a device that is not asked speaks */
	EARLY_US = 50,     /* a request is this early before it counts as a violation */
	PIECES_US = 50000, /* how long the rest of a request may take to come */
};

struct simulator {
	struct terminal terminal;
	const struct driver *driver;
	uint64_t born_us;

	struct sim_device *devices;
	size_t device_count;
	struct sim_faults faults;
	bool muted;
	uint32_t heeded; /* the speed that requests have to come at; 0: any */

	uint8_t in[2 * FRAME_MAX]; /* of a request that is not whole yet */
	size_t in_length;
	uint64_t in_begin_us, in_last_us;
	bool in_early;
	struct answers answers;
	uint64_t say_us;      /* when the device that is not asked speaks next; 0: there is none */
	uint64_t wire_end_us; /* end of the last frame that is wholly past or a request */

	sd_event_source *input, *timer;
	struct simulator_stats stats;
	sim_written_sink *written; /* NULL: nobody wants to know */
	void *written_data;
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t characters_us(const struct simulator *s, size_t n)
{
	return plan_characters_us(n, s->answers.baud, s->answers.format);
}

static uint64_t silence_us(const struct simulator *s)
{
	return plan_silence_us(s->answers.baud, s->answers.format);
}

/* --- requests and answers --- */

static struct sim_device *device_at(const struct simulator *s, uint8_t address)
{
	for (size_t i = 0; i < s->device_count; i++)
		if (s->devices[i].address == address)
			return &s->devices[i];
	return NULL;
}

static double seconds_of(const struct simulator *s)
{
	return (double)(clock_monotonic_us() - s->born_us) / 1e6;
}

/* The exception that the request deserves, or 0: then `data` is what is to be answered. */
static uint8_t carry_out(struct simulator *s, struct sim_device *device,
			 const struct request *request, uint8_t data[DATA_MAX])
{
	uint8_t exception;

	if (!request->function) {
		exception = sim_device_exception(device, request);
		if (!exception)
			sim_device_fill(device, request, seconds_of(s), data);
		return exception;
	}
	if (request->count)
		s->driver->data(request, request->data, data);
	return sim_device_write(device, request, data, seconds_of(s), s->written,
				s->written_data);
}

/* Puts the answer to a request of `length` bytes that ended at `end_us` in the queue. */
static void respond(struct simulator *s, const struct request *request, size_t length,
		    bool known, uint64_t end_us)
{
	struct sim_device *device = device_at(s, request->address);
	struct request answered = *request;
	const struct fault_plan *fault;
	struct answer *answer;
	uint8_t exception, data[DATA_MAX];

	if (!device) {
		s->stats.refused++;
		return;
	}
	s->stats.requests++;
	fault = sim_faults_due(&s->faults, request->address);
	if (s->muted || (fault && fault->kind == FAULT_SILENT) ||
	    s->answers.count + ANSWER_PARTS > ANSWERS_MAX)
		return;

	if (fault && fault->kind == FAULT_ECHO)
		answers_echo(&s->answers, s->in, length, s->in_begin_us);
	if (fault && fault->kind == FAULT_FOREIGN)
		answered.address++;
	answer = answers_add(&s->answers, end_us);
	answer->start_us += silence_us(s);
	answer->right = !fault || fault->kind != FAULT_EXCEPTION;
	exception = sim_fault_exception(fault, request);
	if (!exception)
		exception = known ? carry_out(s, device, request, data) : EXCEPTION_FUNCTION;
	if (exception)
		answer->length = s->driver->serve_exception(answered.address,
							    modbus_function(request), exception,
							    answer->frame);
	else
		answer->length = s->driver->serve_reply(&answered, data, answer->frame);
	if (fault)
		answers_spoil(&s->answers, fault, s->stats.requests);
}

/* Notes that a frame has begun now, and whether that was too soon. */
static void begin(struct simulator *s, uint64_t now)
{
	uint64_t end = later(s->wire_end_us, answers_end_us(&s->answers, now));

	s->in_begin_us = now;
	s->in_early = now + EARLY_US < end + silence_us(s);
}

/* --- devices that speak in lines, frames and telegrams --- */

static void say(struct simulator *s, struct saying saying, uint64_t start_us)
{
	struct answer *answer;

	if (s->muted || s->answers.count == ANSWERS_MAX)
		return;
	answer = answers_add(&s->answers, start_us);
	answer->said = saying.bytes;
	answer->length = saying.length;
	answer->right = true;
}

/* What is not asked speaks each second, or where that takes longer, without a pause. */
static void say_unasked(struct simulator *s, uint64_t now)
{
	if (!s->say_us || now < s->say_us || s->answers.count)
		return;
	s->say_us = now + SAY_US;
	say(s, sim_device_say(&s->devices[0]), now);
}

/* The device that the bytes are for, or may become; whatever it has to say to them. */
static enum serve_status serve_stream(struct simulator *s, size_t *used, struct saying *saying)
{
	enum serve_status found = SERVE_REFUSED;

	for (size_t i = 0; i < s->device_count; i++) {
		enum serve_status status = sim_device_hear(&s->devices[i], s->in,
							   s->in_length, used, saying);

		if (status == SERVE_REQUEST)
			return status;
		if (status == SERVE_MORE)
			found = status;
	}
	return found;
}

static void take_stream(struct simulator *s)
{
	while (s->in_length > 0) {
		struct saying saying;
		size_t used;
		enum serve_status status = serve_stream(s, &used, &saying);

		if (status == SERVE_MORE)
			return;
		if (status == SERVE_REQUEST) {
			s->stats.requests++;
			sim_saying_tell(&saying, s->written, s->written_data);
			if (saying.length)
				say(s, saying,
				    later(s->in_begin_us + characters_us(s, used),
					  s->in_last_us));
		} else {
			s->stats.refused++;
			used = s->in_length;
		}
		s->in_length -= used;
		memmove(s->in, s->in + used, s->in_length);
	}
}

/* --- the wire --- */

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
			respond(s, &request, used, status == SERVE_REQUEST, end);
		}
		s->in_length -= used;
		memmove(s->in, s->in + used, s->in_length);
		/* What follows came without any silence. */
		s->in_begin_us = end;
		s->in_early = true;
	}
}

static void give(struct simulator *s, uint64_t now)
{
	struct given given = answers_give(&s->answers, s->terminal.master, now);

	s->stats.answers += given.right;
	s->wire_end_us = later(s->wire_end_us, given.end_us);
}

/* When there is next something to do by the clock; UINT64_MAX: nothing. */
static uint64_t due_us(const struct simulator *s, uint64_t now)
{
	uint64_t due = answers_due_us(&s->answers, now);

	if (s->in_length > 0 && s->in_last_us + PIECES_US < due)
		due = s->in_last_us + PIECES_US;
	if (!s->answers.count && s->say_us && s->say_us < due)
		due = s->say_us;
	return due;
}

static int arm(struct simulator *s)
{
	uint64_t due = due_us(s, clock_monotonic_us());
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
	uint64_t now = clock_monotonic_us();

	give(s, now);
	if (s->in_length > 0 && now >= s->in_last_us + PIECES_US) {
		s->in_length = 0;
		s->stats.refused++;
	}
	say_unasked(s, now);
	return arm(s);
}

/* What the other end has set the terminal to can be seen from here. */
static bool is_understood(const struct simulator *s)
{
	struct termios termios;

	return !s->heeded || tcgetattr(s->terminal.master, &termios) < 0 ||
	       port_terminal_baud(&termios) == s->heeded;
}

static int on_input(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		    void *data)
{
	struct simulator *s = data;
	uint64_t now = clock_monotonic_us();
	ssize_t n = read(fd, s->in + s->in_length, sizeof(s->in) - s->in_length);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return 0;
	if (!is_understood(s)) {
		s->stats.refused++;
		return 0;
	}
	if (s->in_length == 0)
		begin(s, now);
	s->in_length += (size_t)n;
	s->in_last_us = now;
	if (s->driver && s->driver->next)
		take_stream(s);
	else
		take(s);
	return arm(s);
}

/* --- the whole --- */

int simulator_new(sd_event *loop, const char *link, uint32_t baud,
		  struct serial_format format, struct simulator **simulator)
{
	_cleanup_(simulator_freep) struct simulator *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->answers.baud = baud;
	s->answers.format = format;
	s->born_us = clock_monotonic_us();
	r = terminal_open(&s->terminal, link);
	if (r < 0)
		return r;
	r = sd_event_add_io(loop, &s->input, s->terminal.master, EPOLLIN, on_input, s);
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
	*simulator = TAKE_PTR(s);
	return 0;
}

void simulator_free(struct simulator *simulator)
{
	if (!simulator)
		return;
	sd_event_source_disable_unref(simulator->input);
	sd_event_source_disable_unref(simulator->timer);
	terminal_close(&simulator->terminal);
	for (size_t i = 0; i < simulator->device_count; i++)
		sim_device_done(&simulator->devices[i]);
	free(simulator->devices);
	sim_faults_free(&simulator->faults);
	free(simulator);
}

int simulator_add(struct simulator *simulator, const struct device_map *map,
		  uint8_t address)
{
	const struct driver *driver = driver_find(map->driver);
	struct sim_device *devices;

	if (device_at(simulator, address))
		return -EEXIST;
	if (!driver || (simulator->driver && simulator->driver != driver) ||
	    !sim_device_is_possible(map))
		return -EPROTONOSUPPORT;
	devices = reallocarray(simulator->devices, simulator->device_count + 1,
			       sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	simulator->devices = devices;
	devices += simulator->device_count;
	if (sim_device_init(devices, map, address) < 0)
		return -ENOMEM;
	simulator->device_count++;
	simulator->driver = driver;
	if (!driver->next || map->framing.request.count)
		return 0;
	simulator->say_us = clock_monotonic_us();
	return arm(simulator);
}

int simulator_add_fault(struct simulator *simulator, const struct fault_plan *fault)
{
	return sim_faults_add(&simulator->faults, fault);
}

void simulator_clear_faults(struct simulator *simulator)
{
	sim_faults_free(&simulator->faults);
}

void simulator_heed_speed(struct simulator *simulator)
{
	simulator->heeded = simulator->answers.baud;
}

void simulator_mute(struct simulator *simulator, bool mute)
{
	simulator->muted = mute;
	if (mute)
		simulator->answers.count = 0;
}

void simulator_tell_written(struct simulator *simulator, sim_written_sink *sink, void *data)
{
	simulator->written = sink;
	simulator->written_data = data;
}

int simulator_set(struct simulator *simulator, uint8_t address, const char *point,
		  double number)
{
	struct sim_device *device = device_at(simulator, address);

	return device ? sim_device_pin(device, point, number) : -ENOENT;
}

int simulator_set_example(struct simulator *simulator, uint8_t address, size_t example)
{
	struct sim_device *device = device_at(simulator, address);

	return device ? sim_device_pin_example(device, example) : -ENOENT;
}

const char *simulator_path(const struct simulator *simulator)
{
	return simulator->terminal.path;
}

struct simulator_stats simulator_stats(const struct simulator *simulator)
{
	return simulator->stats;
}
