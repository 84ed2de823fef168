/* SPDX-License-Identifier: MIT */
/*
 * Log lines, one write each, so that lines of several processes on one descriptor do not mix. What guests and images
 * bring into them can neither begin a line nor command a terminal.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "printable.h"

static enum log_level log_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    log_level = level;
}

static void log_line(enum log_level level, const char *format, va_list args)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    char line[2048];
    struct timespec now;
    struct tm tm;
    size_t length;
    int wrote;

    if (level > log_level)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    length = strftime(line, sizeof(line), "%FT%T", &tm);
    length += snprintf(line + length, sizeof(line) - length, ".%03ldZ %s: ", now.tv_nsec / 1000000, names[level]);
    wrote = vsnprintf(line + length, sizeof(line) - length - 1, format, args);
    if (wrote > 0)
        length += (size_t)wrote < sizeof(line) - length - 2 ? (size_t)wrote : sizeof(line) - length - 2;
    make_printable(line, length);
    line[length++] = '\n';
    /* Nobody is left to tell if standard error cannot be written. */
    if (write(STDERR_FILENO, line, length) < 0)
        return;
}

#define DEFINE_LOG(function, level) \
    void function(const char *format, ...) \
    { \
        va_list args; \
\
        va_start(args, format); \
        log_line(level, format, args); \
        va_end(args); \
    }

DEFINE_LOG(log_error, LOG_LEVEL_ERROR)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN)
DEFINE_LOG(log_info, LOG_LEVEL_INFO)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG)
