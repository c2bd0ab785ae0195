/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - one line per change of state, to the journal's stderr or a terminal. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 1024 };

static atomic_int max_priority = LOG_INFO;

void log_set_level(int priority)
{
	atomic_store(&max_priority, priority);
}

void log_write(int priority, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	int length = 0, text;
	va_list arguments;

	if (priority > atomic_load(&max_priority))
		return;
	if (getenv("JOURNAL_STREAM"))
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
