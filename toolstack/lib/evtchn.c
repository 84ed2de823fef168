/* SPDX-License-Identifier: MIT */
/*
 * Event channels by way of /dev/xen/evtchn (interface: evtchn.h of the public headers' sys/ folder).
 */
#include "evtchn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/sys/evtchn.h>

int evtchn_open(void)
{
    int fd = open("/dev/xen/evtchn", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int evtchn_ioctl(int fd, unsigned long cmd, void *arg)
{
    int rc = ioctl(fd, cmd, arg);

    return rc < 0 ? -errno : rc;
}

int evtchn_bind_interdomain(int fd, uint32_t domid, uint32_t remote_port)
{
    struct ioctl_evtchn_bind_interdomain bind = { .remote_domain = domid, .remote_port = remote_port };

    return evtchn_ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bind);
}

int evtchn_bind_virq(int fd, unsigned int virq)
{
    struct ioctl_evtchn_bind_virq bind = { .virq = virq };

    return evtchn_ioctl(fd, IOCTL_EVTCHN_BIND_VIRQ, &bind);
}

int evtchn_unbind(int fd, uint32_t port)
{
    struct ioctl_evtchn_unbind unbind = { .port = port };

    return evtchn_ioctl(fd, IOCTL_EVTCHN_UNBIND, &unbind);
}

int evtchn_notify(int fd, uint32_t port)
{
    struct ioctl_evtchn_notify notify = { .port = port };

    return evtchn_ioctl(fd, IOCTL_EVTCHN_NOTIFY, &notify);
}

int evtchn_pending(int fd, uint32_t *ports, unsigned int max)
{
    ssize_t got = read(fd, ports, max * sizeof(*ports));

    if (got < 0)
        return errno == EAGAIN ? 0 : -errno;
    return got / sizeof(*ports);
}

int evtchn_unmask(int fd, uint32_t port)
{
    return write(fd, &port, sizeof(port)) == sizeof(port) ? 0 : -errno;
}
