/* SPDX-License-Identifier: MIT */
/*
 * domus log: what the daemon has logged of a domain, or what its guest has printed on its console. The files are read
 * here, so that the command works whatever state the daemon is in.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

#define LOG_DIR "/var/log/domus"
#define LINE_SIZE 4096
#define LINES_MAX 1000000

/* A log that is read, and what of it is wanted. */
struct reading {
    char path[256];
    FILE *file;
    const char *domain; /* only lines that are about it; NULL: all */
    char **last;        /* a ring of the last lines, `keep` of them */
    long keep, seen;
};

/* Whether a line of the daemon's log is about the domain: "domain NAME", "console of NAME". */
static bool is_about(const char *line, const char *domain)
{
    static const char *const before[] = { "domain ", "of " };
    size_t length = strlen(domain);

    for (const char *at = line; (at = strstr(at, domain)) != NULL; at++) {
        char after = at[length];

        /* A full stop may be part of a longer name, or end a sentence. */
        if (isalnum((unsigned char)after) || (after && strchr("_+-", after)) ||
            (after == '.' && isalnum((unsigned char)at[length + 1])))
            continue;
        for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
            size_t space = strlen(before[i]);

            if ((size_t)(at - line) >= space && memcmp(at - space, before[i], space) == 0)
                return true;
        }
    }
    return false;
}

static void print_line(const char *line)
{
    fputs(line, stdout);
    if (!*line || line[strlen(line) - 1] != '\n')
        putchar('\n');
}

/* Take the lines that are there: print them, or remember the last ones. */
static void read_lines(struct reading *reading, bool print)
{
    char line[LINE_SIZE];

    clearerr(reading->file);
    while (fgets(line, sizeof(line), reading->file)) {
        if (reading->domain && !is_about(line, reading->domain))
            continue;
        if (print) {
            fputs(line, stdout);
        } else {
            free(reading->last[reading->seen % reading->keep]);
            reading->last[reading->seen++ % reading->keep] = strdup(line);
        }
    }
}

/* Whether the file has another one in its place now. */
static bool was_replaced(const struct reading *reading)
{
    struct stat ours, theirs;

    return stat(reading->path, &theirs) == 0 && fstat(fileno(reading->file), &ours) == 0 &&
           (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev);
}

/* Print what comes, until the command is interrupted or its reader has gone. */
static void follow(struct reading *reading)
{
    int watch = inotify_init1(IN_CLOEXEC);
    char happened[4096];

    if (watch < 0 || inotify_add_watch(watch, LOG_DIR, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return;
    do {
        read_lines(reading, true);
        if (was_replaced(reading)) {
            FILE *file = fopen(reading->path, "re");

            if (file) {
                fclose(reading->file);
                reading->file = file;
                read_lines(reading, true);
            }
        }
        if (fflush(stdout) == EOF)
            break;
    } while (read(watch, happened, sizeof(happened)) > 0);
    close(watch);
}

/* What is printed when the file is at its end. */
static void print_last(const struct invocation *invocation, struct reading *reading)
{
    long first = reading->seen > reading->keep ? reading->seen - reading->keep : 0;
    json_t *lines = json_array();

    for (long i = first; i < reading->seen; i++) {
        char *line = reading->last[i % reading->keep];

        if (!line)
            continue;
        if (!invocation->json) {
            print_line(line);
            continue;
        }
        for (char *c = line; *c; c++)
            if ((unsigned char)*c >= 0x80)
                *c = '?';
        line[strcspn(line, "\r\n")] = '\0';
        json_array_append_new(lines, json_string(line));
    }
    if (invocation->json)
        report_json(json_pack("{s:O}", "lines", lines));
    json_decref(lines);
}

static int cannot_read(const struct invocation *invocation, const struct reading *reading)
{
    struct failure failure;
    int error = errno;

    failure_what(&failure, "cannot show the log%s%s", invocation->argc ? " of domain " : "",
                 invocation->argc ? invocation->argv[0] : "");
    failure_why(&failure, "%s: %s", reading->path, strerror(error));
    if (error == EACCES)
        failure_remedy(&failure, "run as root");
    else
        failure_remedy(&failure, option_value(invocation, 'c') ? "check the name: domus list"
                                                               : "start domusd with -d, so that it writes a log");
    return report_failure(invocation, &failure);
}

int command_log(const struct invocation *invocation)
{
    bool console = option_value(invocation, 'c') != NULL, go_on = option_value(invocation, 'f') != NULL;
    const char *domain = invocation->argc ? invocation->argv[0] : NULL;
    struct reading reading = { .keep = LINES_MAX };

    if (option_number(invocation, 'n', 1, LINES_MAX, &reading.keep))
        return STATUS_USAGE;
    if (console && !domain)
        return usage_error(invocation->command, "-c wants the name of a domain");
    if (domain && strchr(domain, '/'))
        return usage_error(invocation->command, "`%s' cannot be the name of a domain", domain);
    if (go_on && invocation->json)
        return usage_error(invocation->command, "-f and --json do not go together");
    reading.domain = console ? NULL : domain;
    if (console)
        snprintf(reading.path, sizeof(reading.path), LOG_DIR "/console-%s.log", domain);
    else
        snprintf(reading.path, sizeof(reading.path), LOG_DIR "/domusd.log");
    reading.file = fopen(reading.path, "re");
    if (!reading.file)
        return cannot_read(invocation, &reading);
    reading.last = calloc(reading.keep, sizeof(*reading.last));
    if (reading.last) {
        read_lines(&reading, false);
        print_last(invocation, &reading);
        if (go_on)
            follow(&reading);
        for (long i = 0; i < reading.keep; i++)
            free(reading.last[i]);
    }
    free(reading.last);
    fclose(reading.file);
    return STATUS_OK;
}
