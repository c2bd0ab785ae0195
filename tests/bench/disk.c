/* SPDX-License-Identifier: Apache-2.0 */
/* disk.c - a file system of its own on a loop device, whose writes are counted. */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* A sparse file without a name. */
static int make_image(const char *directory, uint64_t bytes)
{
	_cleanup_close_ int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, bytes) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* Takes a free loop device; another may be quicker. Its descriptor or -errno. */
static int attach(int image, char device[static 32])
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config config = {
		.fd = image, .info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};

	if (control < 0)
		return -errno;
	while (true) {
		_cleanup_close_ int fd = -1;
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		char path[48];

		if (number < 0)
			return -errno;
		snprintf(device, 32, "loop%d", number);
		snprintf(path, sizeof(path), "/dev/%s", device);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return TAKE_FD(fd);
		if (errno != EBUSY)
			return -errno;
	}
}

/*
 * mkfs' own defaults, but for blocks that are 4 KiB also on a small device, and the tables
 * written now: left to the kernel, it would do so while we count.
 */
static int make_file_system(const char *device)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		char path[48];

		bench_die_with(parent);
		snprintf(path, sizeof(path), "/dev/%s", device);
		execlp("mkfs.ext4", "mkfs.ext4", "-q", "-b", "4096", "-E",
		       "lazy_itable_init=0,lazy_journal_init=0", path, NULL);
		execl("/sbin/mkfs.ext4", "mkfs.ext4", "-q", "-b", "4096", "-E",
		      "lazy_itable_init=0,lazy_journal_init=0", path, NULL);
		fprintf(stderr, "mkfs.ext4: %s\n", strerror(errno));
		_exit(127);
	}
	return bench_wait(pid);
}

int disk_new(const char *directory, const char *name, uint64_t bytes, struct disk *disk)
{
	_cleanup_close_ int image = -1, fd = -1;
	char path[48];
	int r;

	if (geteuid() != 0)
		return -EPERM;
	image = make_image(directory, bytes);
	if (image < 0)
		return image;
	fd = attach(image, disk->device);
	if (fd < 0)
		return fd;
	r = make_file_system(disk->device);
	if (r < 0)
		return r;
	if (snprintf(disk->path, sizeof(disk->path), "%s/%s", directory, name) >=
	    (int)sizeof(disk->path))
		return -ENAMETOOLONG;
	r = bench_make_directory(disk->path);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/dev/%s", disk->device);
	return mount(path, disk->path, "ext4", 0, NULL) < 0 ? -errno : 0;
}

/*
 * Documentation/block/stat.rst of the kernel: sectors of 512 bytes written are the seventh
 * number, flush requests the sixteenth.
 */
int disk_count(const struct disk *disk, struct disk_counts *counts)
{
	_cleanup_fclose_ FILE *file = NULL;
	uint64_t numbers[16];
	char path[64];

	bench_settle(disk->path);
	snprintf(path, sizeof(path), "/sys/block/%s/stat", disk->device);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (fscanf(file, "%" SCNu64, &numbers[i]) != 1)
			return -EBADMSG;
	counts->bytes = numbers[6] * 512;
	counts->flushes = numbers[15];
	return 0;
}
