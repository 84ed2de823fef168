/* SPDX-License-Identifier: MIT */
/*
 * Log lines to standard error (which the daemon's starter sends where it likes): time, severity, message.
 */
#ifndef DOMUS_LOG_H
#define DOMUS_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Show messages up to this level; LOG_LEVEL_INFO at start. */
void log_set_level(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
