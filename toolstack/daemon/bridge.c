/* SPDX-License-Identifier: MIT */
/*
 * Network bridges, by the two requests of netdevice(7) that it takes.
 */
#include "bridge.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int add_port(int fd, const char *bridge, const char *interface)
{
    struct ifreq request = { 0 };

    strncpy(request.ifr_name, bridge, IFNAMSIZ - 1);
    request.ifr_ifindex = if_nametoindex(interface);
    if (request.ifr_ifindex == 0)
        return -errno;
    if (ioctl(fd, SIOCBRADDIF, &request) == 0)
        return 0;
    if (errno == EBUSY) {
        char path[64];

        /* A port of some bridge already: well if it is this one. */
        snprintf(path, sizeof(path), "/sys/class/net/%.15s/brif/%.15s", bridge, interface);
        if (access(path, F_OK) == 0)
            return 0;
        errno = EBUSY;
    }
    return -errno;
}

static int bring_up(int fd, const char *interface)
{
    struct ifreq request = { 0 };

    strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return -errno;
    request.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

int bridge_add(const char *bridge, const char *interface)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return -errno;
    rc = add_port(fd, bridge, interface);
    if (rc == 0)
        rc = bring_up(fd, interface);
    close(fd);
    return rc;
}
