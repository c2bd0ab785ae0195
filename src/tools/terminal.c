// SPDX-License-Identifier: Apache-2.0
/* terminal.c - a pseudo-terminal in place of a serial port, with a link to its name. */
#include "tools/terminal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

static int open_both(struct terminal *t)
{
	struct termios termios;

	t->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (t->master < 0 || grantpt(t->master) < 0 || unlockpt(t->master) < 0 ||
	    ptsname_r(t->master, t->path, sizeof(t->path)) != 0)
		return -errno;
	t->slave = open(t->path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t->slave < 0 || tcgetattr(t->slave, &termios) < 0)
		return -errno;
	cfmakeraw(&termios);
	return tcsetattr(t->slave, TCSANOW, &termios) < 0 ? -errno : 0;
}

/* Only a symbolic link is ever replaced. */
static int make_link(struct terminal *t, const char *link)
{
	struct stat st;

	if (lstat(link, &st) == 0) {
		if (!S_ISLNK(st.st_mode))
			return -EEXIST;
		if (unlink(link) < 0)
			return -errno;
	}
	if (symlink(t->path, link) < 0)
		return -errno;
	t->link = strdup(link);
	if (!t->link) {
		unlink(link);
		return -ENOMEM;
	}
	return 0;
}

/* Unless it has become someone else's. */
static void remove_link(const struct terminal *t)
{
	char target[sizeof(t->path)];
	ssize_t n = t->link ? readlink(t->link, target, sizeof(target)) : -1;

	if (n == (ssize_t)strlen(t->path) && memcmp(target, t->path, (size_t)n) == 0)
		unlink(t->link);
}

int terminal_open(struct terminal *terminal, const char *link)
{
	int r;

	*terminal = (struct terminal){.master = -1, .slave = -1};
	r = open_both(terminal);
	if (r == 0 && link)
		r = make_link(terminal, link);
	return r;
}

void terminal_close(struct terminal *terminal)
{
	remove_link(terminal);
	closep(&terminal->slave);
	closep(&terminal->master);
	free(terminal->link);
}
