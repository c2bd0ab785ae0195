/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_bus.c - polls a second on a paced wire beside libmodbus, and violations of the silence.
 *
 *     wire (this process: simulators)  ── pseudo-terminals ──  master (a child)
 *
 * The wire is played by a process that never sleeps, so that what is late is the master. The
 * limit is what a device that answers at once allows: the two frames and two silences.
 */
#include "base/units.h"
#include "bridge/clock.h"
#include "field/bus.h"
#include "field/plan.h"
#include "tools/simulator.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#ifdef HAVE_MODBUS
#include <modbus.h>
#endif

enum {
	WIRES_MAX = 8,
	DEFAULT_SECONDS = 3,
	FIRST_ANSWERS = 10, /* not counted: the master finds its pace */
	LEAST_ANSWERS = 20, /* counted, however long that takes */
	MASTER_NICE = -10,  /* as the unit has it */
	PERIODS_MAX = 65536,
};

static const struct serial_format format_8n1 = {8, 'N', 1};

/* What one run is: so many wires, each with one device of so many registers. */
struct run {
	size_t wires;
	uint32_t baud;
	unsigned registers;
	uint64_t polls; /* the master ends by itself after so many; 0: it is ended */
	struct device_map *map;
	char ports[WIRES_MAX][64];
};

/* One wire as it was counted. */
struct wire {
	struct simulator *simulator;
	uint64_t answers, first_us, last_us; /* after the first few */
	uint32_t *periods_us; /* from answer to answer */
};

struct result {
	double rate;         /* polls a second of the slowest wire */
	double undisturbed;  /* by the median period: without what else the machine does */
	uint64_t violations; /* of all */
	double cpu, wakeups; /* of the master: share of a core, times a second */
};

typedef void master(const struct run *run);

static void fail(const char *what, int r)
{
	fprintf(stderr, "bench_bus: %s: %s\n", what, strerror(-r));
	exit(1);
}

/* --- a map of so many registers --- */

static struct device_map *make_map(unsigned registers)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *text = NULL;
	struct device_map *map = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int r;

	fputs("map: bench\ndriver: modbus\ndefaults: {table: input, type: u16, every: 1ms}\n"
	      "batch: {registers: 125, gap: 0}\npoints:\n", out);
	for (unsigned i = 0; i < registers; i++)
		fprintf(out, "  r%u: {addr: %u}\n", i, i);
	fclose(out);
	r = device_map_parse("bench.yaml", text, size, driver_names(), &map, faults);
	faults_print(faults, stderr);
	if (r < 0)
		fail("map", r);
	return map;
}

/* --- masters --- */

struct polls {
	sd_event *loop;
	uint64_t made, wanted;
};

static void take_message(void *data, _unused_ const struct message *message)
{
	struct polls *polls = data;

	if (++polls->made == polls->wanted)
		sd_event_exit(polls->loop, 0);
}

static void poll_postbus(const struct run *run)
{
	char gateway[] = "bench", topic[] = "{gateway}/{device}", name[] = "device";
	struct conf conf = {.gateway = gateway, .publish = {.topic = topic}};
	struct device_config devices[WIRES_MAX];
	struct bus_config configs[WIRES_MAX];
	struct bus *buses[WIRES_MAX];
	struct polls polls = {.wanted = run->polls};
	int r = sd_event_new(&polls.loop);

	for (size_t i = 0; i < run->wires && r >= 0; i++) {
		devices[i] = (struct device_config){
			.name = name,
			.map = run->map,
			.address = 1,
			.points = run->map->points,
			.point_count = run->map->point_count,
		};
		configs[i] = (struct bus_config){
			.name = name,
			.port = (char *)run->ports[i],
			.baud = run->baud,
			.format = format_8n1,
			.timeout_us = 300 * USEC_PER_MSEC,
			.devices = &devices[i],
			.device_count = 1,
		};
		r = bus_new(polls.loop, &configs[i], &conf, take_message, &polls, &buses[i]);
	}
	if (r >= 0)
		r = sd_event_loop(polls.loop);
	if (r < 0)
		fail("bus", r);
}

#ifdef HAVE_MODBUS
static void poll_libmodbus(const struct run *run)
{
	modbus_t *modbus = modbus_new_rtu(run->ports[0], (int)run->baud, 'N', 8, 1);
	uint16_t registers[BATCH_MAX_REGISTERS];

	modbus_set_slave(modbus, 1);
	if (modbus_connect(modbus) < 0)
		fail("libmodbus", -errno);
	while (true)
		modbus_read_input_registers(modbus, 0, (int)run->registers, registers);
}
#endif

static pid_t start_master(master *poll, const struct run *run)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork", -errno);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)!setpriority(PRIO_PROCESS, 0, MASTER_NICE);
	/* The buses tell that their ports are open. */
	if (!freopen("/dev/null", "we", stderr))
		_exit(1);
	poll(run);
	_exit(0);
}

/* --- the wire --- */

static void open_wires(struct run *run, struct wire *wires, sd_event *loop)
{
	for (size_t i = 0; i < run->wires; i++) {
		int r = simulator_new(loop, NULL, run->baud, format_8n1,
				      &wires[i].simulator);

		if (r >= 0)
			r = simulator_add(wires[i].simulator, run->map, 1);
		wires[i].periods_us = calloc(PERIODS_MAX, sizeof(*wires[i].periods_us));
		if (r < 0 || !wires[i].periods_us)
			fail("simulator", r < 0 ? r : -ENOMEM);
		snprintf(run->ports[i], sizeof(run->ports[i]), "%s",
			 simulator_path(wires[i].simulator));
	}
}

static void note(struct wire *wire, uint64_t now_us)
{
	uint64_t answers = simulator_stats(wire->simulator).answers;

	if (answers < FIRST_ANSWERS)
		return;
	if (!wire->first_us)
		wire->first_us = wire->last_us = now_us;
	if (answers - FIRST_ANSWERS == wire->answers)
		return;
	if (wire->answers < PERIODS_MAX)
		wire->periods_us[wire->answers] = (uint32_t)(now_us - wire->last_us);
	wire->last_us = now_us;
	wire->answers = answers - FIRST_ANSWERS;
}

static int compare_periods(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median_rate(struct wire *wire)
{
	size_t count = wire->answers < PERIODS_MAX ? wire->answers : PERIODS_MAX;

	qsort(wire->periods_us, count, sizeof(*wire->periods_us), compare_periods);
	return count ? 1e6 / wire->periods_us[count / 2] : 0;
}

static struct result count(struct wire *wires, const struct run *run)
{
	struct result result = {.rate = 1e9, .undisturbed = 1e9};

	for (size_t i = 0; i < run->wires; i++) {
		struct wire *wire = &wires[i];
		uint64_t time_us = wire->last_us - wire->first_us;
		double rate = time_us ? (double)wire->answers * 1e6 / (double)time_us : 0;

		result.rate = fmin(result.rate, rate);
		result.undisturbed = fmin(result.undisturbed, median_rate(wire));
		free(wire->periods_us);
		result.violations += simulator_stats(wire->simulator).violations;
		simulator_free(wire->simulator);
	}
	return result;
}

static struct result measure_master(master *poll, struct run *run, unsigned seconds)
{
	_cleanup_(sd_event_unrefp) sd_event *loop = NULL;
	struct wire wires[WIRES_MAX] = {0};
	uint64_t begin_us = clock_monotonic_us(), now_us = begin_us;
	struct rusage usage;
	struct result result;
	bool ended = false;
	pid_t pid;
	int r = sd_event_new(&loop);

	if (r < 0)
		fail("loop", r);
	open_wires(run, wires, loop);
	pid = start_master(poll, run);
	while (!ended && (run->polls || wires[0].answers < LEAST_ANSWERS ||
			  now_us < begin_us + seconds * USEC_PER_SEC)) {
		r = sd_event_run(loop, 0);
		if (r < 0)
			fail("loop", r);
		now_us = clock_monotonic_us();
		for (size_t i = 0; i < run->wires; i++)
			note(&wires[i], now_us);
		ended = run->polls && waitpid(pid, NULL, WNOHANG) == pid;
	}
	result = count(wires, run);
	if (ended)
		return result;
	kill(pid, SIGKILL);
	wait4(pid, NULL, 0, &usage);
	result.cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	result.cpu /= (double)(now_us - begin_us) / 1e6;
	result.wakeups = (double)usage.ru_nvcsw / ((double)(now_us - begin_us) / 1e6);
	return result;
}

/* --- what is shown --- */

static double limit_of(const struct run *run)
{
	struct request request = {
		.address = 1, .table = TABLE_INPUT, .count = (uint16_t)run->registers};

	return 1e6 / (double)plan_wire_time_us(driver_find("modbus"), &request, run->baud,
					       format_8n1);
}

static void show(const struct run *run, const char *who, struct result result)
{
	double limit = limit_of(run);

	printf("%7" PRIu32 " %5u  %zu x %-9s %8.2f %8.2f %6.1f %% %6.1f %% %11" PRIu64
	       " %6.1f %% %8.0f\n",
	       run->baud, run->registers, run->wires, who, limit, result.rate,
	       100 * result.rate / limit, 100 * result.undisturbed / limit,
	       result.violations, 100 * result.cpu, result.wakeups);
	fflush(stdout);
}

static void compare(size_t wires, uint32_t baud, unsigned registers, unsigned seconds)
{
	struct run run = {
		.wires = wires,
		.baud = baud,
		.registers = registers,
		.map = make_map(registers),
	};

	show(&run, "postbus", measure_master(poll_postbus, &run, seconds));
#ifdef HAVE_MODBUS
	if (wires == 1)
		show(&run, "libmodbus", measure_master(poll_libmodbus, &run, seconds));
#endif
	device_map_free(run.map);
}

static void compare_all(unsigned seconds)
{
	static const uint32_t bauds[] = {9600, 19200, 115200};
	static const unsigned registers[] = {2, 10, 50, 125};

	printf("8N1, a device that answers at once; polls/s of the slowest wire, as a share of "
	       "the limit, and that by the\nmedian period; silences violated; CPU and wake-ups/s "
	       "of the master%s\n"
	       "   baud  regs  master         limit  polls/s    share   median  violations     "
	       "CPU wake-ups\n",
	       geteuid() ? "" : " (at nice -10)");
	for (size_t i = 0; i < ARRAY_SIZE(bauds); i++)
		for (size_t j = 0; j < ARRAY_SIZE(registers); j++)
			compare(1, bauds[i], registers[j], seconds);
	compare(WIRES_MAX, 9600, 10, seconds);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seconds", required_argument, NULL, 's'},
		{"polls", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	struct run run = {.wires = 1, .baud = 115200, .registers = 10};
	unsigned seconds = DEFAULT_SECONDS;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 's') {
			seconds = (unsigned)strtoul(optarg, NULL, 10);
		} else if (c == 'p') {
			run.polls = strtoul(optarg, NULL, 10);
		} else {
			fprintf(stderr, "usage: bench_bus [--seconds N] [--polls N]\n"
					"--seconds: of each line; --polls: only so many, for a "
					"profiler to count\n");
			return 2;
		}
	}
	if (!run.polls) {
		compare_all(seconds);
		return 0;
	}
	run.map = make_map(run.registers);
	measure_master(poll_postbus, &run, 0);
	device_map_free(run.map);
	return 0;
}
