/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - what all benchmarks need: a directory of their own, clocks, medians, children. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>

static int remove_entry(const char *path, _unused_ const struct stat *st, _unused_ int type,
			_unused_ struct FTW *ftw)
{
	return remove(path);
}

void bench_remove(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void bench_die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EX_SOFTWARE);
}

/* In the child: what is mounted is seen by nobody else, and goes when the last of us ends. */
static void run_alone(pid_t parent, int (*run)(const char *directory, void *options),
		      const char *directory, void *options)
{
	int r;

	bench_die_with(parent);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() == 0 && (unshare(CLONE_NEWNS) < 0 ||
			       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		fprintf(stderr, "no mount namespace: %s\n", strerror(errno));
	r = run(directory, options);
	if (r < 0)
		fprintf(stderr, "failed: %s\n", strerror(-r));
	exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* A spool keeps what is not on the disk yet in memory: there, and not among a gateway's. */
static char *make_runtime_directory(void)
{
	static char path[] = "/dev/shm/postbus-bench-XXXXXX";

	if (!mkdtemp(path))
		return NULL;
	setenv("RUNTIME_DIRECTORY", path, true);
	return path;
}

static volatile pid_t runner;

static void pass_on(int signal)
{
	if (runner > 0)
		kill(runner, signal);
}

int bench_main(const char *base, int (*run)(const char *directory, void *options),
	       void *options)
{
	char directory[BENCH_PATH_MAX], *runtime;
	pid_t parent = getpid();
	int status = 0;

	if (!base)
		base = getenv("TMPDIR");
	if (snprintf(directory, sizeof(directory) / 2, "%s/postbus-bench-XXXXXX",
		     base ? base : "/tmp") >= (int)sizeof(directory) / 2 ||
	    !mkdtemp(directory)) {
		fprintf(stderr, "%s: %s\n", directory, strerror(errno));
		return EXIT_FAILURE;
	}
	runtime = make_runtime_directory();
	signal(SIGINT, pass_on);
	signal(SIGTERM, pass_on);
	runner = fork();
	if (runner == 0)
		run_alone(parent, run, directory, options);
	while (runner > 0 && waitpid(runner, &status, 0) < 0 && errno == EINTR)
		;
	bench_remove(directory);
	if (runtime)
		bench_remove(runtime);
	return runner > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

unsigned long bench_number(const char *option, const char *text, unsigned long most)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || end == text || *end || number < 1 || number > most) {
		fprintf(stderr, "--%s: 1 to %lu, not '%s'\n", option, most, text);
		exit(EX_USAGE);
	}
	return number;
}

double bench_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bench_median_ratio(const double *a, const double *b, size_t count)
{
	double ratios[ROUNDS_MAX];

	for (size_t i = 0; i < count; i++)
		ratios[i] = a[i] / b[i];
	return bench_median(ratios, count);
}

void bench_settle(const char *directory)
{
	_cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		fprintf(stderr, "%s: sync: %s\n", directory, strerror(errno));
}

int bench_make_directory(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

pid_t bench_respawn(char *argv[], int *out)
{
	/* The file behind the link: a profiler shows its own there, once it is followed. */
	_cleanup_free_ char *self = realpath("/proc/self/exe", NULL);
	pid_t parent = getpid(), pid;
	int fds[2];

	if (!self || pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	argv[0] = program_invocation_name;
	pid = fork();
	if (pid == 0) {
		bench_die_with(parent);
		dup2(fds[1], STDOUT_FILENO);
		execv(self, argv);
		_exit(127);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -errno;
	}
	*out = fds[0];
	return pid;
}

int bench_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status ? -EIO : 0;
}
