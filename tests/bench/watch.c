/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - a broker of its own, and when a publisher's first and last message reach it. */
#include "watch.h"

#include "publisher.h"
#include "tools/proxy.h"

#include <errno.h>
#include <mosquitto.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum {
	START_PATIENCE_S = 10,
	/* For the slowest: a million messages, one at a time. */
	DRAIN_PATIENCE_S = 1800,
};

static double cpu_seconds(pid_t pid)
{
	clockid_t clock;
	struct timespec used = { 0 };

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used) < 0)
		return 0;
	return used.tv_sec + used.tv_nsec / 1e9;
}

static uint64_t peak_bytes(pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[32], line[128];
	unsigned long long kib;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %llu kB", &kib) == 1)
			return kib * 1024;
	return 0;
}

static void on_message(_unused_ struct mosquitto *client, void *data,
		       const struct mosquitto_message *message)
{
	struct watch *watch = data;
	double now = bench_seconds();

	if (!strcmp(message->topic, TOPIC_BEGIN)) {
		watch->begin = now;
		watch->cpu_at_begin = cpu_seconds(watch->publisher);
	} else {
		watch->end = now;
		watch->cpu_at_end = cpu_seconds(watch->publisher);
		watch->memory_at_end = peak_bytes(watch->publisher);
	}
}

static void on_subscribe(_unused_ struct mosquitto *client, void *data, _unused_ int mid,
			 _unused_ int count, _unused_ const int *qos)
{
	((struct watch *)data)->subscribed = true;
}

/* The window is the publisher's alone to choose. */
static int write_conf(const char *path, unsigned port)
{
	_cleanup_fclose_ FILE *file = fopen(path, "we");

	if (!file)
		return -errno;
	fprintf(file,
		"listener %u 127.0.0.1\n"
		"allow_anonymous true\n"
		"max_inflight_messages 0\n"
		"max_queued_messages 0\n"
		"log_type error\n", port);
	return fclose(TAKE_PTR(file)) ? -errno : 0;
}

static int start_broker(struct watch *watch, const char *directory)
{
	char path[2 * BENCH_PATH_MAX];
	char *argv[] = { "mosquitto", "-c", path, NULL };
	pid_t parent = getpid();
	int port = free_port(), r;

	if (port < 0)
		return port;
	watch->port = port;
	snprintf(path, sizeof(path), "%s/mosquitto.conf", directory);
	r = write_conf(path, port);
	if (r < 0)
		return r;
	watch->broker = fork();
	if (watch->broker == 0) {
		bench_die_with(parent);
		/* Debian has it where only root's PATH looks. */
		execv("/usr/sbin/mosquitto", argv);
		execvp(argv[0], argv);
		fprintf(stderr, "mosquitto: %s\n", strerror(errno));
		_exit(127);
	}
	return watch->broker < 0 ? -errno : 0;
}

static int loop_until(struct watch *watch, const bool *flag)
{
	double patience = bench_seconds() + START_PATIENCE_S;

	while (!*flag) {
		if (bench_seconds() > patience)
			return -ETIMEDOUT;
		if (mosquitto_loop(watch->client, 100, 1))
			return -EIO;
	}
	return 0;
}

static int subscribe(struct watch *watch)
{
	double patience = bench_seconds() + START_PATIENCE_S;
	struct timespec moment = { .tv_nsec = 20 * 1000 * 1000 };

	mosquitto_lib_init();
	watch->client = mosquitto_new("bench-watch", true, watch);
	if (!watch->client)
		return -ENOMEM;
	mosquitto_message_callback_set(watch->client, on_message);
	mosquitto_subscribe_callback_set(watch->client, on_subscribe);
	while (mosquitto_connect(watch->client, "127.0.0.1", watch->port, 60)) {
		if (bench_seconds() > patience)
			return -ECONNREFUSED;
		nanosleep(&moment, NULL);
	}
	if (mosquitto_subscribe(watch->client, NULL, TOPIC_BEGIN, 0) ||
	    mosquitto_subscribe(watch->client, NULL, TOPIC_END, 0))
		return -EIO;
	return loop_until(watch, &watch->subscribed);
}

int watch_start(struct watch *watch, const char *directory)
{
	int r;

	*watch = (struct watch){ 0 };
	r = start_broker(watch, directory);
	return r < 0 ? r : subscribe(watch);
}

void watch_stop(struct watch *watch)
{
	mosquitto_destroy(watch->client);
	mosquitto_lib_cleanup();
	if (watch->broker > 0) {
		kill(watch->broker, SIGTERM);
		(void)!bench_wait(watch->broker);
	}
}

int watch_publisher(struct watch *watch, pid_t publisher)
{
	double patience = bench_seconds() + DRAIN_PATIENCE_S;

	watch->publisher = publisher;
	watch->begin = watch->end = 0;
	while (watch->end == 0) {
		siginfo_t info = { 0 };

		if (mosquitto_loop(watch->client, 1000, 1))
			return -EIO;
		if (waitid(P_PID, publisher, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		    info.si_pid == publisher)
			return -ECHILD;
		if (bench_seconds() > patience)
			return -ETIMEDOUT;
	}
	return watch->begin > 0 ? 0 : -EIO;
}
