/* SPDX-License-Identifier: Apache-2.0 */
/* stage.c - what it takes to see a gateway at work: simulated bus, broker, link, subscriber. */
#include "tools/stage.h"
#include "base/units.h"
#include "bridge/clock.h"
#include "uplink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>

enum {
	PATIENCE_S = 60, /* for anything that is waited for */
};

/* --- children --- */

pid_t stage_spawn(char *const argv[], int out)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EX_SOFTWARE);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execvp(argv[0], argv);
	dprintf(out, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int open_log(const struct stage *stage, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", stage->directory, name) < 0)
		return -ENOMEM;
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

int stage_end(pid_t *pid, int signal)
{
	int status = 0;

	if (*pid <= 0)
		return 0;
	kill(*pid, signal);
	while (waitpid(*pid, &status, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
	return status;
}

int stage_write(const struct stage *stage, const char *name, const char *format, ...)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	va_list arguments;

	if (asprintf(&path, "%s/%s", stage->directory, name) < 0)
		return -ENOMEM;
	file = fopen(path, "we");
	if (!file)
		return -errno;
	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	return ferror(file) ? -EIO : 0;
}

/* --- what the subscriber was given --- */

static int note_delivery(struct stage *stage, const char *topic, uint64_t seq)
{
	struct delivery delivery = { .seq = seq };

	if (stage->delivery_count == stage->delivery_room) {
		size_t room = stage->delivery_room ? stage->delivery_room * 2 : 1024;
		struct delivery *more = reallocarray(stage->deliveries, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		stage->deliveries = more;
		stage->delivery_room = room;
	}
	/* demo/climate-11, but not demo/climate-11/availability, and not demo/loss */
	delivery.reading = strchr(topic, '/') == strrchr(topic, '/') &&
			   strcmp(topic, "demo/loss");
	delivery.announcement = strstr(topic, "/availability") != NULL;
	stage->readings += delivery.reading;
	stage->deliveries[stage->delivery_count++] = delivery;
	return 0;
}

/*
 * "TOPIC<tab>seq:NUMBER<tab>PAYLOAD"; without properties the payload says the number, where it
 * is no bare word. The gateway's own status has none.
 */
static int take_line(struct stage *stage, char *line)
{
	char *rest = line, *topic = strsep(&rest, "\t"), *properties = strsep(&rest, "\t");
	unsigned long long seq;
	const char *number;

	if (!rest)
		return 0;
	number = strstr(rest, "\"seq\":");
	if (sscanf(properties, "seq:%llu", &seq) != 1 &&
	    (!number || sscanf(number, "\"seq\":%llu", &seq) != 1))
		return 0;
	if (stage->to_show) {
		stage->to_show--;
		printf("    %s %s\n", topic, rest);
		fflush(stdout);
	}
	return note_delivery(stage, topic, seq);
}

static int on_subscriber(sd_event_source *source, int fd, _unused_ uint32_t events, void *data)
{
	struct stage *stage = data;
	char *start_of_line = stage->line, *newline;
	ssize_t n = read(fd, stage->line + stage->line_length,
			 sizeof(stage->line) - 1 - stage->line_length);

	if (n <= 0)
		return sd_event_source_set_enabled(source, SD_EVENT_OFF);
	stage->line_length += n;
	stage->line[stage->line_length] = '\0';
	while ((newline = strchr(start_of_line, '\n'))) {
		int r;

		*newline = '\0';
		r = take_line(stage, start_of_line);
		if (r < 0)
			return r;
		start_of_line = newline + 1;
	}
	stage->line_length -= start_of_line - stage->line;
	memmove(stage->line, start_of_line, stage->line_length);
	return 0;
}

/* --- waiting --- */

int stage_wait(struct stage *stage, stage_condition *holds, uint64_t argument)
{
	uint64_t end_us = clock_monotonic_us() + PATIENCE_S * USEC_PER_SEC;

	while (!holds(stage, argument)) {
		int r = sd_event_run(stage->loop, 50 * USEC_PER_MSEC);

		if (r < 0)
			return r;
		if (stage->interrupted)
			return -EINTR;
		if (clock_monotonic_us() > end_us)
			return -ETIMEDOUT;
	}
	return 0;
}

static bool time_is_over(_unused_ struct stage *stage, uint64_t end_us)
{
	return clock_monotonic_us() >= end_us;
}

static bool broker_listens(struct stage *stage, _unused_ uint64_t argument)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(stage->broker_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

bool stage_has_readings(struct stage *stage, uint64_t count)
{
	return stage->readings >= count;
}

int stage_look_at_spool(const struct stage *stage, struct spool_sums *sums, uint64_t *next)
{
	_cleanup_(spool_freep) struct spool *spool = NULL;
	_cleanup_free_ char *directory = NULL;
	struct spool_conf conf = { .max_bytes = 256 << 20 };
	uint64_t oldest;
	int r;

	if (asprintf(&directory, "%s/spool", stage->directory) < 0)
		return -ENOMEM;
	conf.directory = directory;
	r = spool_open(&conf, true, &spool);
	if (r < 0)
		return r;
	*sums = spool_sums(spool);
	spool_range(spool, &oldest, next);
	return 0;
}

bool stage_spool_holds(struct stage *stage, uint64_t at_least)
{
	struct spool_sums sums;
	uint64_t next;

	return stage_look_at_spool(stage, &sums, &next) == 0 && sums.waiting >= at_least;
}

bool stage_spool_is_empty(struct stage *stage, _unused_ uint64_t argument)
{
	struct spool_sums sums;
	uint64_t next;

	return stage_look_at_spool(stage, &sums, &next) == 0 && sums.waiting == 0;
}

int stage_wait_ms(struct stage *stage, uint64_t ms)
{
	return stage_wait(stage, time_is_over, clock_monotonic_us() + ms * USEC_PER_MSEC);
}

/* --- the stage --- */

int stage_start_gateway(struct stage *stage)
{
	_cleanup_free_ char *conf = NULL;
	_cleanup_close_ int log = open_log(stage, "gateway.log");
	char *argv[] = { (char *)stage->program, "run", "-c", NULL, NULL };

	if (log < 0 || asprintf(&conf, "%s/postbus.conf", stage->directory) < 0)
		return -ENOMEM;
	argv[3] = conf;
	stage->gateway = stage_spawn(argv, log);
	return stage->gateway < 0 ? -errno : 0;
}

int stage_start_broker(struct stage *stage)
{
	_cleanup_free_ char *conf = NULL;
	_cleanup_close_ int log = open_log(stage, "mosquitto.log");
	char *argv[] = { "mosquitto", "-c", NULL, NULL }, port[8];
	int r;

	/* Debian has it where only root's PATH looks. */
	if (access("/usr/sbin/mosquitto", X_OK) == 0)
		argv[0] = "/usr/sbin/mosquitto";
	if (!stage->broker_port)
		stage->broker_port = free_port();
	r = stage_write(stage, "mosquitto.conf",
		       "listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n%s",
		       stage->broker_port,
		       stage->mosquitto_conf ? stage->mosquitto_conf : "");
	if (log < 0 || r < 0 || asprintf(&conf, "%s/mosquitto.conf", stage->directory) < 0)
		return r < 0 ? r : -ENOMEM;
	argv[2] = conf;
	if (stage->node_broker) {
		snprintf(port, sizeof(port), "%d", stage->broker_port);
		argv[0] = "node";
		argv[1] = (char *)stage->node_broker;
		argv[2] = port;
	}
	stage->broker = stage_spawn(argv, log);
	return stage_wait(stage, broker_listens, 0);
}

/*
 * The subscriber's session outlives the broker's restart, where the broker keeps sessions, and
 * what the broker has retained is not told again then. `once`: only until it has subscribed.
 */
static pid_t spawn_subscriber(const struct stage *stage, bool once, int out)
{
	char port[8], qos[2] = { '0' + (stage->subscriber_qos ? stage->subscriber_qos : 2) };
	char *argv[] = { "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", port, "-q", qos,
			 "-R", "-c", "-i", "subscriber", "-t", "demo/#", "-F", "%t\t%P\t%p",
			 [17 ... 24] = NULL };
	char **more = argv + 17;

	if (once)
		*more++ = "-E";
	if (stage->node_broker) {
		argv[2] = "311";
	} else {
		/* With the limit that is its default, mosquitto_sub 2.0.11 miscounts and gives up. */
		*more++ = "-D";
		*more++ = "connect";
		*more++ = "receive-maximum";
		*more++ = "65535";
		*more++ = "-x";
		*more++ = "3600";
	}
	snprintf(port, sizeof(port), "%d", stage->broker_port);
	return stage_spawn(argv, out);
}

/* What is published from here on comes, however long the subscriber takes to be there. */
static int subscribe(struct stage *stage)
{
	_cleanup_close_ int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pid_t pid = spawn_subscriber(stage, true, out);
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int stage_start_subscriber(struct stage *stage)
{
	_cleanup_close_ int out = -1;
	int fds[2], r = subscribe(stage);

	if (r < 0)
		return r;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	stage->subscriber_fd = fds[0];
	out = fds[1];
	stage->subscriber = spawn_subscriber(stage, false, out);
	return sd_event_add_io(stage->loop, &stage->subscriber_source, fds[0], EPOLLIN,
			       on_subscriber, stage);
}

int stage_start_simulator(struct stage *stage)
{
	_cleanup_(faults_freep) struct faults *faults = faults_new();
	_cleanup_free_ char *link = NULL, *suggestion = NULL;
	const struct device_map *map;
	int r;

	if (!faults || asprintf(&link, "%s/bus", stage->directory) < 0)
		return -ENOMEM;
	stage->library = map_library_new(&stage->maps, 1, driver_names());
	r = map_library_get(stage->library, "xy-md02", &map, &suggestion, faults);
	if (r < 0) {
		fprintf(stderr, "no map xy-md02 in %s\n", stage->maps);
		return r;
	}
	r = simulator_new(stage->loop, link, 19200, (struct serial_format){ 8, 'N', 1 },
			  &stage->simulator);
	for (unsigned i = 0; i < STAGE_DEVICES && r >= 0; i++)
		r = simulator_add(stage->simulator, map, STAGE_FIRST_ADDRESS + i);
	return r;
}

int stage_start_proxy(struct stage *stage)
{
	return proxy_new(stage->loop, stage->broker_port, &stage->proxy);
}

int stage_configure(struct stage *stage, const char *publish, const char *spool)
{
	int r = stage_write(stage, "postbus.conf",
			    "gateway = \"demo\";\n"
			    "buses = \"%s\";\n"
			    "maps = [ \"%s\" ];\n"
			    "broker: { host = \"127.0.0.1\"; port = %u;\n"
			    "\treconnect: { first = \"200ms\"; most = \"1s\"; }; %s };\n"
			    "publish: { %s clock_wait = \"0s\"; };\n"
			    "spool: { directory = \"%s/spool\"; %s };\n",
			    stage->directory, stage->maps, proxy_port(stage->proxy),
			    stage->broker_group ? stage->broker_group : "", publish,
			    stage->directory, spool);

	if (r < 0)
		return r;
	return stage_write(stage, "bus.yaml",
			   "bus: simulated\n"
			   "port: %s/bus\n"
			   "baud: 19200\n"
			   "devices:\n"
			   "  - {name: \"climate-{address}\", map: xy-md02, "
			   "address: [%u-%u], every: 500ms}\n",
			   stage->directory, STAGE_FIRST_ADDRESS,
			   STAGE_FIRST_ADDRESS + STAGE_DEVICES - 1);
}

/* --- the count --- */

static int compare_deliveries(const void *a, const void *b)
{
	const struct delivery *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

int stage_count(struct stage *stage, struct stage_count *count)
{
	size_t size = stage->delivery_count * sizeof(*stage->deliveries);
	_cleanup_free_ struct delivery *deliveries = malloc(size + 1);
	struct spool_sums sums;
	uint64_t next;
	int r = stage_look_at_spool(stage, &sums, &next);

	if (r < 0)
		return r;
	if (!deliveries)
		return -ENOMEM;
	*count = (struct stage_count){ 0 };
	if (size) {
		memcpy(deliveries, stage->deliveries, size);
		qsort(deliveries, stage->delivery_count, sizeof(*deliveries),
		      compare_deliveries);
	}
	for (size_t i = 0; i < stage->delivery_count; i++) {
		const struct delivery *delivery = &deliveries[i];

		if (delivery->seq < next - sums.taken || delivery->seq >= next) {
			count->unknown++;
		} else if (i && delivery->seq == delivery[-1].seq) {
			count->twice++;
		} else {
			count->delivered++;
			count->others += !delivery->reading;
			count->announced += delivery->announcement;
		}
	}
	count->lost = sums.taken - count->delivered;
	return 0;
}

/* --- life --- */

static int remove_entry(const char *path, _unused_ const struct stat *st, _unused_ int type,
			_unused_ struct FTW *ftw)
{
	return remove(path);
}

void stage_clean_up(struct stage *stage)
{
	stage_end(&stage->gateway, SIGKILL);
	stage_end(&stage->subscriber, SIGKILL);
	stage_end(&stage->broker, SIGKILL);
	sd_event_source_disable_unref(stage->subscriber_source);
	closep(&stage->subscriber_fd);
	proxy_free(stage->proxy);
	simulator_free(stage->simulator);
	map_library_free(stage->library);
	sd_event_unref(stage->loop);
	free(stage->deliveries);
	if (stage->directory[0])
		nftw(stage->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void stage_show_log(const struct stage *stage, const char *name)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	char line[1024];

	if (asprintf(&path, "%s/%s", stage->directory, name) < 0)
		return;
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		fprintf(stderr, "%s: %s", name, line);
}

static int on_signal(_unused_ sd_event_source *source,
		     _unused_ const struct signalfd_siginfo *info, void *data)
{
	((struct stage *)data)->interrupted = true;
	return 0;
}

int stage_open(struct stage *stage, const char *program, const char *maps)
{
	const char *base = getenv("TMPDIR");
	sigset_t signals;
	int r;

	*stage = (struct stage){ .program = program, .maps = maps, .subscriber_fd = -1 };
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (snprintf(stage->directory, sizeof(stage->directory), "%s/postbus-XXXXXX",
		     base ? base : "/tmp") >= (int)sizeof(stage->directory) ||
	    !mkdtemp(stage->directory)) {
		stage->directory[0] = '\0';
		return errno ? -errno : -ENAMETOOLONG;
	}
	/* Where the gateway keeps what is not on the disk yet: it is to go with the rest. */
	setenv("RUNTIME_DIRECTORY", stage->directory, true);
	r = sd_event_new(&stage->loop);
	if (r >= 0)
		r = sd_event_add_signal(stage->loop, NULL, SIGINT, on_signal, stage);
	if (r >= 0)
		r = sd_event_add_signal(stage->loop, NULL, SIGTERM, on_signal, stage);
	return r;
}
