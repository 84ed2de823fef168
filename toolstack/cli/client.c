/* SPDX-License-Identifier: MIT */
/*
 * Talks to domusd over its control socket (docs/control-protocol.md).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/control.h"

int daemon_open(const char *what, struct failure *failure)
{
    int fd = control_connect(NULL);

    if (fd >= 0)
        return fd;
    failure_what(failure, "%s", what);
    if (fd == -ENOENT || fd == -ECONNREFUSED) {
        failure_why(failure, "the daemon domusd is not running (nobody listens on %s)", CONTROL_SOCKET);
        failure_remedy(failure, "start domusd in dom0, or look in its log for why it ended");
    } else {
        failure_why(failure, "%s cannot be reached: %s", CONTROL_SOCKET, strerror(-fd));
        failure_remedy(failure, fd == -EACCES ? "run as root" : "check that domusd runs in dom0");
    }
    return -1;
}

/* Can standard error overwrite a line? */
static bool shows_progress(void)
{
    const char *terminal = getenv("TERM");

    return isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

/* Progress is for people: shown where there is a terminal, on a line of its own that the next one overwrites. */
static json_t *skip_progress(int fd, json_t *reply)
{
    const char *progress;
    bool shown = false;

    while (reply && (progress = json_string_value(json_object_get(reply, "progress"))) != NULL) {
        if (shows_progress()) {
            fprintf(stderr, "\r\033[K%s...", progress);
            shown = true;
        }
        json_decref(reply);
        reply = control_receive(fd);
    }
    if (shown)
        fprintf(stderr, "\r\033[K");
    return reply;
}

/* A reply as it came, or NULL with errno, becomes a successful one, or NULL with the failure. */
static json_t *check_reply(json_t *reply, const char *what, struct failure *failure)
{
    if (!reply) {
        failure_what(failure, "%s", what);
        failure_why(failure, "the daemon domusd did not answer: %s", strerror(errno));
        failure_remedy(failure, "look in domusd's log; `domus list` shows what has been done");
        return NULL;
    }
    if (json_is_true(json_object_get(reply, "ok")))
        return reply;
    failure_from_reply(failure, reply);
    json_decref(reply);
    return NULL;
}

json_t *daemon_call(int fd, json_t *request, const char *what, struct failure *failure)
{
    json_t *reply;

    if (!request) {
        failure_what(failure, "%s", what);
        failure_why(failure, "an argument is not text in UTF-8");
        failure_remedy(failure, "check what was typed");
        return NULL;
    }
    reply = skip_progress(fd, control_call(fd, request));
    json_decref(request);
    return check_reply(reply, what, failure);
}

json_t *daemon_wait(int fd, const char *what, struct failure *failure)
{
    return check_reply(skip_progress(fd, control_receive(fd)), what, failure);
}

json_t *daemon_request(json_t *request, const char *what, struct failure *failure)
{
    int fd = daemon_open(what, failure);
    json_t *reply;

    if (fd < 0) {
        json_decref(request);
        return NULL;
    }
    reply = daemon_call(fd, request, what, failure);
    close(fd);
    return reply;
}
