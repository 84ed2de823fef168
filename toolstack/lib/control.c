/* SPDX-License-Identifier: MIT */
/*
 * The client's side of the control socket.
 */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Far above any reply that the daemon sends (a list of thousands of domains); a guard against a runaway peer. */
#define REPLY_MAX (64UL << 20)

int control_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd, rc;

    if (!path)
        path = CONTROL_SOCKET;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return -1;
        data += sent;
        length -= sent;
    }
    return 0;
}

/*
 * Read one line, taking from the socket no byte after its newline: look at what is there first, then take that much.
 * Returns memory to free, or NULL with errno.
 */
static char *receive_line(int fd)
{
    size_t length = 0, capacity = 0;
    char *line = NULL, *end = NULL;

    while (!end) {
        ssize_t got;

        if (capacity - length < 4096) {
            char *larger = capacity < REPLY_MAX ? realloc(line, capacity * 2 + 8192) : NULL;

            if (!larger) {
                free(line);
                errno = ENOMEM;
                return NULL;
            }
            line = larger;
            capacity = capacity * 2 + 8192;
        }
        got = recv(fd, line + length, capacity - length - 1, MSG_PEEK);
        if (got > 0) {
            end = memchr(line + length, '\n', got);
            got = recv(fd, line + length, end ? end - (line + length) + 1 : got, 0);
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            if (got == 0)
                errno = ECONNRESET;
            free(line);
            return NULL;
        }
        length += got;
    }
    *end = '\0';
    return line;
}

json_t *control_receive(int fd)
{
    char *line = receive_line(fd);
    json_t *reply;

    if (!line)
        return NULL;
    reply = json_loads(line, 0, NULL);
    free(line);
    if (!json_is_object(reply)) {
        json_decref(reply);
        errno = EPROTO;
        return NULL;
    }
    return reply;
}

int control_send(int fd, const json_t *request)
{
    char *text = json_dumps(request, JSON_COMPACT);
    size_t length;
    int rc;

    if (!text) {
        errno = ENOMEM;
        return -1;
    }
    length = strlen(text);
    /* The newline takes the place of the NUL: one packet wakes the daemon once. */
    text[length] = '\n';
    rc = send_all(fd, text, length + 1);
    free(text);
    return rc;
}

json_t *control_call(int fd, const json_t *request)
{
    return control_send(fd, request) < 0 ? NULL : control_receive(fd);
}
