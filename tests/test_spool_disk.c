/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spool_disk.c - a spool on a real file system that is full, read-only, cut off, hangs.
 *
 * An ext4 of its own in a file, mounted in a mount namespace of this process, so that nothing
 * of it is left, however the test ends. Only root may do that; for others, and where there is
 * no loop device, the tests are skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/units.h"
#include "fake_clock.h"
#include "spool_work.h"
#include "tools/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* linux/ext4.h came only with Linux 6.6. */
#define EXT4_IOC_SHUTDOWN _IOR('X', 125, uint32_t)

enum {
	NO_LOG_FLUSH = 2,
	MESSAGES_MAX = 1 << 16,
	DISK_MIB = 24,
};

static char *directory, *disk, *path;
static struct spool_conf conf;
static struct spool *spool;
static bool is_possible;

/* By number, from the first on. */
static struct fate {
	bool ended, kept, found;
} fates[MESSAGES_MAX];
static uint64_t first_seq, refused;
static size_t fate_count;

static _printf_(1, 2) int run(const char *format, ...)
{
	char *command;
	va_list list;
	int r;

	va_start(list, format);
	r = vasprintf(&command, format, list);
	va_end(list);
	assert_true(r > 0);
	r = system(command);
	free(command);
	return r;
}

static int mount_disk(void)
{
	return run("mount -o loop '%s/image' '%s' 2>/dev/null", directory, disk);
}

static int make_disk(void)
{
	return run("truncate -s %uM '%s/image' && mkfs.ext4 -q -F -m 0 -b 4096 '%s/image' "
		   "2>/dev/null", DISK_MIB, directory, directory) || mount_disk();
}

static void unmount_disk(void)
{
	assert_int_equal(umount2(disk, 0), 0);
}

static int begin(_unused_ void **state)
{
	directory = work_directory("/tmp");
	disk = work_directory(directory);
	if (asprintf(&path, "%s/spool", disk) < 0)
		return -1;
	is_possible = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		      make_disk() == 0;
	if (is_possible)
		unmount_disk();
	else
		print_message("skipped: not root, or nothing can be mounted here\n");
	return 0;
}

static int end(_unused_ void **state)
{
	work_remove(directory);
	free(path);
	free(disk);
	free(directory);
	return 0;
}

static int set_up(_unused_ void **state)
{
	if (!is_possible)
		return 0;
	setenv("RUNTIME_DIRECTORY", directory, true);
	conf = (struct spool_conf){ .directory = path, .max_bytes = 64 << 20 };
	*fake_clock() = (struct fake_clock){ .wall_ms = 1795514400000, .boot = 1 };
	log_set_level(LOG_EMERG);
	memset(fates, 0, sizeof(fates));
	fate_count = refused = first_seq = 0;
	return make_disk();
}

static int tear_down(_unused_ void **state)
{
	spool_free(spool);
	spool = NULL;
	/* A test that failed may have left it unmounted. */
	if (is_possible)
		(void)!umount2(disk, MNT_DETACH);
	return 0;
}

/* --- work --- */

static int append(uint32_t length)
{
	uint64_t seq;
	int r = work_append(spool, length, 1 + rand() % 2, &seq);

	assert_true(r == 0 || r == -ENOSPC);
	if (r < 0) {
		refused++;
		return r;
	}
	if (!fate_count)
		first_seq = seq;
	assert_true(fate_count < MESSAGES_MAX && seq == first_seq + fate_count);
	fates[fate_count++] = (struct fate){ 0 };
	return 0;
}

static int commit(bool later)
{
	int r = spool_commit(spool, clock_monotonic_us() +
					    (later ? 3600 * USEC_PER_SEC : 0));

	assert_int_equal(spool_state(spool).failing, r < 0);
	/* What waits is on the disk now; with an interval, only later. */
	for (size_t i = 0; r == 0 && (later || !conf.sync_us) && i < fate_count; i++)
		fates[i].kept = true;
	return r;
}

static void note_overtaken(void)
{
	uint64_t oldest, next;

	spool_range(spool, &oldest, &next);
	for (uint64_t seq = first_seq; fate_count && seq < oldest; seq++)
		fates[seq - first_seq].ended = true;
}

static void acknowledge(unsigned count)
{
	const struct flight *flights;
	struct flight flight;
	size_t n;

	while (count-- && work_send_next(spool, &flight)) {
		flights = spool_flights(spool, &n);
		fates[flights[0].seq - first_seq].ended = true;
		assert_true(spool_acked(spool, flights[0].mid));
	}
}

static void note_found(_unused_ void *data, uint64_t seq)
{
	assert_true(seq >= first_seq && seq - first_seq < fate_count);
	assert_false(fates[seq - first_seq].found);
	fates[seq - first_seq].found = true;
}

static void find_all(void)
{
	for (size_t i = 0; i < fate_count; i++)
		fates[i].found = false;
	work_find_all(spool, note_found, NULL);
}

static void assert_all_is_there(void)
{
	find_all();
	for (size_t i = 0; i < fate_count; i++)
		assert_int_equal(fates[i].found, !fates[i].ended);
	assert_int_equal(spool_sums(spool).taken, fate_count + refused);
	assert_int_equal(spool_sums(spool).damaged, 0);
}

/* Numbers that nobody was promised may come again, and others are skipped. */
static void follow_numbers(void)
{
	uint64_t oldest, next;

	spool_range(spool, &oldest, &next);
	assert_true(!fate_count || next < first_seq + MESSAGES_MAX);
	while (fate_count && first_seq + fate_count < next)
		fates[fate_count++] = (struct fate){ .ended = true };
	while (fate_count && first_seq + fate_count > next)
		assert_false(fates[--fate_count].kept);
}

static void open_spool(void)
{
	assert_int_equal(spool_open(&conf, false, &spool), 0);
	follow_numbers();
}

/* --- a disk that another one fills --- */

static char *filler(void)
{
	static char name[128];

	snprintf(name, sizeof(name), "%s/filler", disk);
	return name;
}

/* All but so many bytes. */
static void fill_disk(uint64_t but)
{
	int fd = open(filler(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct statvfs fs;
	off_t size = 0;

	assert_true(fd >= 0);
	assert_int_equal(fstatvfs(fd, &fs), 0);
	for (uint64_t chunk = 1 << 20; chunk >= 4096;) {
		assert_int_equal(fstatvfs(fd, &fs), 0);
		if (fs.f_bfree * fs.f_bsize < but + chunk ||
		    posix_fallocate(fd, size, chunk) != 0)
			chunk /= 2;
		else
			size += chunk;
	}
	close(fd);
}

/* Two segments can be made at most when it begins, and none, or a part, once it is filled. */
static void work_on_a_full_disk(uint64_t free_bytes)
{
	bool was_full = false;

	open_spool();
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(append(1000), 0);
	assert_int_equal(commit(true), 0);
	fill_disk(free_bytes);
	for (unsigned i = 0; i < 600; i++) {
		was_full |= append(20000) < 0;
		note_overtaken();
		was_full |= spool_sums(spool).given_up[LOSS_FULL] > 0;
		if (i % 4 == 0)
			(void)commit(i % 8 == 0);
		if (i % 50 == 0)
			acknowledge(2);
	}
	assert_true(was_full);
	/* There is room again: it is used, and nothing more is given up. */
	assert_int_equal(unlink(filler()), 0);
	refused = spool_sums(spool).given_up[LOSS_FULL];
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(append(20000), 0);
	assert_int_equal(commit(true), 0);
	assert_int_equal(spool_sums(spool).given_up[LOSS_FULL], refused);
	refused = spool_sums(spool).taken - fate_count;
	assert_all_is_there();
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
	open_spool();
	assert_all_is_there();
}

static void fill(enum spool_when_full when_full, uint64_t sync_us)
{
	if (!is_possible)
		skip();
	conf.when_full = when_full;
	conf.sync_us = sync_us;
	/* From no block to more than a segment of 4 MiB, in steps that end in the midst of one. */
	for (uint64_t free_bytes = 0; free_bytes < 6 << 20; free_bytes += 2100 * 1024) {
		work_on_a_full_disk(free_bytes);
		assert_int_equal(spool_close(spool), 0);
		spool = NULL;
		work_remove(path);
		memset(fates, 0, sizeof(fates));
		fate_count = refused = 0;
		fake_clock()->wall_ms += 1000;
	}
}

static void full_disk_drops_the_oldest(_unused_ void **state)
{
	fill(DROP_OLDEST, 0);
}

static void full_disk_drops_the_newest(_unused_ void **state)
{
	fill(DROP_NEWEST, USEC_PER_SEC);
}

/* --- a disk that turned read-only, as ext4 does by itself after an error --- */

static void read_only_disk_is_survived(uint64_t sync_us)
{
	if (!is_possible)
		skip();
	conf.sync_us = sync_us;
	open_spool();
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(append(1000), 0);
	acknowledge(10);
	assert_int_equal(commit(true), 0);
	assert_false(spool_state(spool).failing);
	assert_int_equal(mount(NULL, disk, NULL, MS_REMOUNT, "abort"), 0);
	/* On from memory, and says so. */
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(append(1000), 0);
	acknowledge(10);
	assert_true(commit(true) < 0);
	assert_true(spool_state(spool).failing);
	assert_all_is_there();
	assert_true(spool_close(spool) < 0);
	spool = NULL;
	unmount_disk();
	(void)run("e2fsck -fy '%s/image' >/dev/null 2>&1", directory);
	assert_int_equal(mount_disk(), 0);
	open_spool();
	/* With a tail, what could not be written is there as well. */
	find_all();
	for (size_t i = 0; i < fate_count; i++)
		assert_true(fates[i].found || fates[i].ended || (!sync_us && !fates[i].kept));
	assert_int_equal(append(1000), 0);
	assert_int_equal(commit(true), 0);
	assert_false(spool_state(spool).failing);
}

static void read_only_disk(_unused_ void **state)
{
	read_only_disk_is_survived(0);
}

static void read_only_disk_with_a_tail(_unused_ void **state)
{
	read_only_disk_is_survived(USEC_PER_SEC);
}

/* Whoever only looks may look, and who wants to have it is told why not. */
static void remounted_disk_can_be_looked_at(_unused_ void **state)
{
	if (!is_possible)
		skip();
	open_spool();
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(append(1000), 0);
	assert_int_equal(commit(true), 0);
	assert_int_equal(spool_close(spool), 0);
	spool = NULL;
	assert_int_equal(mount(NULL, disk, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(spool_open(&conf, false, &spool), -EROFS);
	assert_int_equal(spool_open(&conf, true, &spool), 0);
	assert_all_is_there();
	spool_free(spool);
	spool = NULL;
	assert_int_equal(mount(NULL, disk, NULL, MS_REMOUNT, NULL), 0);
	open_spool();
	assert_all_is_there();
}

/* --- the power fails --- */

static void cut_power(void)
{
	int fd = open(disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t flags = NO_LOG_FLUSH;

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, EXT4_IOC_SHUTDOWN, &flags), 0);
	close(fd);
}

static void lose_power_often(uint64_t sync_us)
{
	if (!is_possible)
		skip();
	conf.sync_us = sync_us;
	for (unsigned round = 0; round < 12; round++) {
		open_spool();
		find_all();
		for (size_t i = 0; i < fate_count; i++) {
			assert_true(fates[i].found || fates[i].ended || !fates[i].kept);
			fates[i].ended = !fates[i].found;
		}
		for (unsigned i = 0; i < 40; i++) {
			assert_int_equal(append(i % 7 ? 300 : 20000), 0);
			if (i % 5 == 0)
				acknowledge(3);
			if (i % (3 + round) == 0)
				assert_int_equal(commit(i % 2), 0);
		}
		cut_power();
		/* As a process finds it that has not noticed yet. */
		(void)!append(300);
		(void)!spool_commit(spool, clock_monotonic_us() + 3600 * USEC_PER_SEC);
		spool_free(spool);
		spool = NULL;
		unmount_disk();
		assert_int_equal(mount_disk(), 0);
		fake_clock()->boot++;
		fake_clock()->wall_ms += 60 * 1000;
	}
}

static void power_cuts(_unused_ void **state)
{
	lose_power_often(0);
}

static void power_cuts_with_a_tail(_unused_ void **state)
{
	lose_power_often(USEC_PER_SEC);
}

/* --- a disk that hangs --- */

static bool has_requests(struct stage *stage, uint64_t count)
{
	return simulator_stats(stage->simulator).requests >= count;
}

static bool all_is_delivered(struct stage *stage, _unused_ uint64_t unused)
{
	struct stage_count count;

	return stage_count(stage, &count) == 0 && count.lost == 0;
}

static struct stage stage;
static char *maps, *stage_spool;

static void start_stage(void)
{
	const char *source = getenv("POSTBUS_SOURCE");

	assert_non_null(getenv("POSTBUS"));
	assert_true(asprintf(&maps, "%s/devices", source ? source : ".") > 0);
	assert_int_equal(stage_open(&stage, getenv("POSTBUS"), maps), 0);
	/* The spool alone is on the disk that hangs. */
	assert_true(asprintf(&stage_spool, "%s/spool", stage.directory) > 0);
	assert_int_equal(mkdir(stage_spool, 0700), 0);
	assert_int_equal(mount(disk, stage_spool, NULL, MS_BIND, NULL), 0);
	assert_int_equal(stage_start_simulator(&stage), 0);
	assert_int_equal(stage_start_broker(&stage), 0);
	assert_int_equal(stage_start_proxy(&stage), 0);
	assert_true(stage_start_subscriber(&stage) >= 0);
	assert_int_equal(stage_configure(&stage, "qos = 1;", "sync = \"always\";"), 0);
	assert_int_equal(stage_start_gateway(&stage), 0);
}

/* A test that failed may have left it frozen. */
static void thaw(void)
{
	_cleanup_close_ int fd = open(disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)!ioctl(fd, FITHAW, 0);
}

static int clean_up_stage(void **state)
{
	thaw();
	stage_end(&stage.gateway, SIGKILL);
	if (stage_spool)
		(void)!umount2(stage_spool, MNT_DETACH);
	stage_clean_up(&stage);
	free(stage_spool);
	free(maps);
	return tear_down(state);
}

/* Ten seconds of polls, at sixteen a second, while not one message gets through. */
static void field_polls_on_while_the_disk_hangs(_unused_ void **state)
{
	enum { POLLS = 160 };
	_cleanup_close_ int fd = -1;
	struct stage_count count;
	uint64_t polls;

	if (!is_possible)
		skip();
	start_stage();
	assert_int_equal(stage_wait(&stage, stage_has_readings, 20), 0);
	fd = open(disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(ioctl(fd, FIFREEZE, 0), 0);
	polls = simulator_stats(stage.simulator).requests;
	assert_int_equal(stage_wait(&stage, has_requests, polls + POLLS), 0);
	/* What was delivered since, had been read before. */
	assert_in_range(stage.readings, 20, polls + 1);
	assert_int_equal(ioctl(fd, FITHAW, 0), 0);
	/* All that was read meanwhile comes. */
	assert_int_equal(stage_wait(&stage, stage_has_readings, polls + POLLS - 8), 0);
	simulator_mute(stage.simulator, true);
	assert_int_equal(stage_wait(&stage, stage_spool_is_empty, 0), 0);
	stage_end(&stage.gateway, SIGTERM);
	assert_int_equal(stage_wait(&stage, all_is_delivered, 0), 0);
	assert_int_equal(stage_count(&stage, &count), 0);
	assert_int_equal(count.lost + count.twice + count.unknown, 0);
}

#define disk_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		disk_test(full_disk_drops_the_oldest),
		disk_test(full_disk_drops_the_newest),
		disk_test(read_only_disk),
		disk_test(read_only_disk_with_a_tail),
		disk_test(remounted_disk_can_be_looked_at),
		disk_test(power_cuts),
		disk_test(power_cuts_with_a_tail),
		cmocka_unit_test_setup_teardown(field_polls_on_while_the_disk_hangs, set_up,
						clean_up_stage),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
