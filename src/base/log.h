/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - one line per change of state, to the journal or to stderr. */
#pragma once

#include "base/cleanup.h"

#include <syslog.h>

/*
 * Sets the most detailed priority that is written (LOG_ERR … LOG_DEBUG; LOG_INFO at start).
 */
void log_set_level(int priority);

/*
 * Writes one line to stderr; where that is the journal's stream ($JOURNAL_STREAM names it), to
 * the journal with its priority as a field. Lines of different threads do not mix. Lines are
 * cut at 1 KiB.
 */
void log_write(int priority, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* What a line is about. */
struct log_subject {
	const char *bus, *device; /* a device is always one of a bus; NULL: none */
};

/*
 * The same of a subject, which the line begins with: "bus cellar: meter-1: …". The journal has
 * it in the fields POSTBUS_BUS and POSTBUS_DEVICE too.
 */
void log_about(int priority, struct log_subject subject, const char *format, ...)
	_printf_(3, 4);
