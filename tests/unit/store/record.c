/* SPDX-License-Identifier: MIT */
/*
 * Records what a running XenStore daemon answers to a script (script.h): `record CLIENTS < script > answers`. In dom0 it
 * connects each client by a socket; where there is none, as in a guest, the one client uses /dev/xen/xenbus.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "script.h"

#define SETTLE_MS 40     /* without an event for so long, there is none */
#define PATIENCE_MS 5000 /* for replies */

static int clients[128];

static int client_fd(char client)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/xenstored/socket" };
    int *fd = &clients[(int)client];

    if (*fd)
        return *fd;
    *fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(*fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        *fd = open("/dev/xen/xenbus", O_RDWR);
    if (*fd < 0) {
        perror("no way to the store");
        exit(1);
    }
    return *fd;
}

static void send_request(char client, const struct xsd_sockmsg *header, const void *payload)
{
    char message[sizeof(*header) + XENSTORE_PAYLOAD_MAX];

    memcpy(message, header, sizeof(*header));
    memcpy(message + sizeof(*header), payload, header->len);
    if (write(client_fd(client), message, sizeof(*header) + header->len) < 0)
        perror("write");
}

static bool read_all(int fd, void *data, size_t length)
{
    for (size_t have = 0; have < length;) {
        ssize_t got = read(fd, (char *)data + have, length - have);

        if (got <= 0)
            return false;
        have += got;
    }
    return true;
}

static bool receive(char client, bool wait, struct xsd_sockmsg *header, char *payload)
{
    struct pollfd ready = { .fd = client_fd(client), .events = POLLIN };

    if (poll(&ready, 1, wait ? PATIENCE_MS : SETTLE_MS) <= 0)
        return false;
    if (!read_all(ready.fd, header, sizeof(*header)) || !read_all(ready.fd, payload, header->len))
        return false;
    payload[header->len] = '\0';
    return true;
}

int main(int argc, char **argv)
{
    struct script_transport transport = { .send = send_request, .receive = receive, .clients = argv[1] };

    if (argc != 2) {
        fprintf(stderr, "usage: record CLIENTS < script\n");
        return 2;
    }
    return script_record(stdin, stdout, &transport) != 0;
}
