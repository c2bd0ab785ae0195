/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - one line per change of state, to the journal or to stderr. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	LINE_MAX_BYTES = 1024,
	FIELDS_MAX_BYTES = LINE_MAX_BYTES + 512,
};

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

static size_t add_field(char *fields, size_t length, const char *name, const char *value)
{
	int n = snprintf(fields + length, FIELDS_MAX_BYTES - length, "%s=%s\n", name, value);

	return n < 0 || length + n >= FIELDS_MAX_BYTES ? length : length + n;
}

/*
 * The journal's own protocol: a datagram of lines NAME=VALUE. Not by sd_journal_send(),
 * which waits while the journal takes nothing, and a wire would stand still.
 */
static bool send_to_journal(int priority, struct log_subject subject, const char *line)
{
	static const struct sockaddr_un address = {
		.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket",
	};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char digit[] = { '0' + priority, '\0' };
	char fields[FIELDS_MAX_BYTES];
	size_t n = add_field(fields, 0, "PRIORITY", digit);

	n = add_field(fields, n, "SYSLOG_IDENTIFIER", "postbus");
	if (subject.bus)
		n = add_field(fields, n, "POSTBUS_BUS", subject.bus);
	if (subject.device)
		n = add_field(fields, n, "POSTBUS_DEVICE", subject.device);
	n = add_field(fields, n, "MESSAGE", line);
	return fd >= 0 && sendto(fd, fields, n, MSG_DONTWAIT | MSG_NOSIGNAL,
				 (const struct sockaddr *)&address,
				 sizeof(address)) == (ssize_t)n;
}

/* Where the journal takes no fields now, its stream takes the line, as sd-daemon(3) has it. */
static void write_line(int priority, struct log_subject subject, char *line, size_t length)
{
	bool journal = stderr_is_the_journal();
	char text[LINE_MAX_BYTES + 8];
	int n;

	/* What a device or a broker said may be quoted in a line; it stays one line. */
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)line[i] < ' ')
			line[i] = ' ';
	if (journal && send_to_journal(priority, subject, line))
		return;
	if (journal)
		n = snprintf(text, sizeof(text), "<%d>%s\n", priority, line);
	else
		n = snprintf(text, sizeof(text), "%s\n", line);
	if (write(STDERR_FILENO, text, n) < 0)
		return; /* nobody left to tell */
}

static void log_arguments(int priority, struct log_subject subject, const char *format,
			  va_list arguments) _printf_(3, 0);

static void log_arguments(int priority, struct log_subject subject, const char *format,
			  va_list arguments)
{
	char line[LINE_MAX_BYTES] = "";
	size_t length;

	if (priority > atomic_load(&max_priority))
		return;
	if (subject.bus)
		snprintf(line, sizeof(line), "bus %s: %s%s", subject.bus,
			 subject.device ? subject.device : "", subject.device ? ": " : "");
	length = strlen(line);
	if (vsnprintf(line + length, sizeof(line) - length, format, arguments) >= 0)
		write_line(priority, subject, line, strlen(line));
}

void log_write(int priority, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_arguments(priority, (struct log_subject){ 0 }, format, arguments);
	va_end(arguments);
}

void log_about(int priority, struct log_subject subject, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_arguments(priority, subject, format, arguments);
	va_end(arguments);
}
