/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - one line per change of state, to the journal's stderr or a terminal. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LINE_MAX_BYTES = 1024 };

static atomic_int max_priority = LOG_INFO;

void log_set_level(int priority)
{
	atomic_store(&max_priority, priority);
}

/*
 * The variable is inherited by all that a service starts, a user's shell among it, whose stderr
 * is another: it names device and inode of the one that it speaks of.
 */
static bool stderr_is_the_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_write(int priority, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	int length = 0, text;
	va_list arguments;

	if (priority > atomic_load(&max_priority))
		return;
	if (stderr_is_the_journal())
		length = snprintf(line, sizeof(line), "<%d>", priority);

	va_start(arguments, format);
	text = vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
	va_end(arguments);
	if (text < 0)
		return;
	length += text;
	if (length > LINE_MAX_BYTES - 2)
		length = LINE_MAX_BYTES - 2;
	/* What a device or a broker said may be quoted in a line; it stays one line. */
	for (int i = 0; i < length; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	line[length++] = '\n';
	if (write(STDERR_FILENO, line, length) < 0)
		return; /* nobody left to tell */
}
