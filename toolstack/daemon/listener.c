/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets that the daemon listens on.
 */
#include "listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/log.h"

struct listener {
    void (*accepted)(int fd, void *context);
    void *context;
    struct event *readable, *retry;
};

static void on_retry(int fd, short what, void *context)
{
    struct listener *listener = context;

    (void)fd;
    (void)what;
    event_add(listener->readable, NULL);
}

static void on_readable(int fd, short what, void *context)
{
    struct listener *listener = context;
    int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct timeval second = { .tv_sec = 1 };

    (void)what;
    if (client >= 0) {
        listener->accepted(client, listener->context);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        /* The connection stays in the queue: do not spin on it. */
        log_warn("cannot accept a connection: %s", strerror(errno));
        event_del(listener->readable);
        event_add(listener->retry, &second);
    }
}

int listener_open(const char *path, void (*accepted)(int fd, void *context), void *context)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct listener *listener;
    mode_t mask;
    int fd, rc;

    strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unlink(path);
    mask = umask(0177);
    rc = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0 ? -errno : 0;
    umask(mask);
    if (rc) {
        log_error("cannot listen on %s: %s", path, strerror(-rc));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    listener = xcalloc(1, sizeof(*listener));
    listener->accepted = accepted;
    listener->context = context;
    listener->retry = event_new(main_loop, -1, 0, on_retry, listener);
    listener->readable = event_new(main_loop, fd, EV_READ | EV_PERSIST, on_readable, listener);
    event_add(listener->readable, NULL);
    return 0;
}
