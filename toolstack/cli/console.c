/* SPDX-License-Identifier: MIT */
/*
 * domus console: joins this terminal to a domain's console, over the connection on which the daemon was asked for it.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

#define ESCAPE         0x1d /* Ctrl-] */
#define REPLAY_DEFAULT 4096
#define REPLAY_MAX     (1 << 20)

/* The terminal as it was, to be put back however the command ends. */
static struct termios saved_terminal;
static volatile sig_atomic_t terminal_is_raw;

static void restore_terminal(void)
{
    if (terminal_is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
    terminal_is_raw = 0;
}

static void on_fatal_signal(int number)
{
    restore_terminal();
    signal(number, SIG_DFL);
    raise(number);
}

static void make_terminal_raw(void)
{
    struct termios raw;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved_terminal) < 0)
        return;
    raw = saved_terminal;
    cfmakeraw(&raw);
    signal(SIGTERM, on_fatal_signal);
    signal(SIGHUP, on_fatal_signal);
    signal(SIGINT, on_fatal_signal);
    signal(SIGQUIT, on_fatal_signal);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0)
        terminal_is_raw = 1;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        data += written;
        size -= written;
    }
    return 0;
}

/* Pass input on, up to the escape character. 1: go on, 0: detach, -1: no more input (or no more use for it). */
static int forward_input(int fd)
{
    char data[1024], *escape;
    ssize_t size = read(STDIN_FILENO, data, sizeof(data));

    if (size < 0 && errno == EINTR)
        return 1;
    if (size <= 0)
        return terminal_is_raw ? 0 : -1;
    escape = memchr(data, ESCAPE, size);
    if (write_all(fd, data, escape ? escape - data : size) < 0)
        return -1;
    return escape ? 0 : 1;
}

/* 1: go on, 0: the console has ended, -1: nobody reads our output. */
static int forward_output(int fd)
{
    char data[4096];
    ssize_t size = read(fd, data, sizeof(data));

    if (size < 0 && errno == EINTR)
        return 1;
    if (size <= 0)
        return 0;
    return write_all(STDOUT_FILENO, data, size) < 0 ? -1 : 1;
}

/* Without a terminal, the end of the input is not the end of the console. Returns whether the user detached. */
static bool join(int fd)
{
    struct pollfd waits[2] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

    for (;;) {
        if (poll(waits, 2, -1) < 0 && errno != EINTR)
            return false;
        if (waits[0].revents && forward_output(fd) <= 0)
            return false;
        if (waits[1].revents) {
            int result = forward_input(fd);

            if (result == 0)
                return true;
            if (result < 0)
                waits[1].fd = -1;
        }
    }
}

int console_run(int fd, const char *name)
{
    bool detached;

    fflush(stdout);
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "Console of %s; Ctrl-] detaches.\n", name);
    make_terminal_raw();
    detached = join(fd);
    restore_terminal();
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "\n%s %s.\n", detached ? "Detached from" : "End of the console of", name);
    return STATUS_OK;
}

int command_console(const struct invocation *invocation)
{
    const char *type = option_value(invocation, 't'), *number = option_value(invocation, 'n');
    long bytes = REPLAY_DEFAULT;
    struct failure failure;
    char what[256];
    json_t *reply = NULL;
    int fd, status;

    if (option_number(invocation, 'r', 0, REPLAY_MAX, &bytes))
        return STATUS_USAGE;
    if ((type && strcmp(type, "pv") != 0) || (number && strcmp(number, "0") != 0))
        return usage_error(invocation->command, "a paravirtualized guest has one console: -t pv -n 0");
    snprintf(what, sizeof(what), "cannot attach to the console of domain %s", invocation->argv[0]);
    fd = daemon_open(what, &failure);
    if (fd >= 0)
        reply = daemon_call(
            fd,
            json_pack("{s:s, s:s, s:I}", "op", "console", "domain", invocation->argv[0], "replay", (json_int_t)bytes),
            what, &failure);
    if (!reply) {
        if (fd >= 0)
            close(fd);
        return report_failure(invocation, &failure);
    }
    if (invocation->json)
        report_json(json_incref(reply));
    status = console_run(fd, json_string_value(json_object_get(reply, "name")));
    json_decref(reply);
    close(fd);
    return status;
}
