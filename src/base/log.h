/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - one line per change of state, to the journal's stderr or a terminal. */
#pragma once

#include "base/cleanup.h"

#include <syslog.h>

/*
 * Sets the most detailed priority that is written (LOG_ERR … LOG_DEBUG; LOG_INFO at start).
 */
void log_set_level(int priority);

/*
 * Writes one line to stderr. When that is the journal's stream ($JOURNAL_STREAM names it) the
 * line begins with the `<priority>` prefix of sd-daemon(3), otherwise it is plain. One
 * write(2) a line: lines of different threads do not mix. Lines are cut at 1 KiB.
 */
void log_write(int priority, const char *format, ...) _printf_(2, 3);

#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
