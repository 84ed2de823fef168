/* SPDX-License-Identifier: MIT */
/*
 * Event channels in the event loop.
 */
#include "ports.h"

#include <string.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/evtchn.h"
#include "lib/log.h"

struct port {
    port_fn notified;
    void *context;
};

static int device = -1;
static struct event *readable;
static struct port *ports; /* by local port */
static unsigned int port_count;

static void on_readable(int fd, short what, void *context)
{
    uint32_t pending[64];
    int count = evtchn_pending(fd, pending, sizeof(pending) / sizeof(pending[0]));

    (void)what;
    (void)context;
    if (count < 0)
        log_error("event channels cannot be read: %s", strerror(-count));
    for (int i = 0; i < count; i++) {
        uint32_t port = pending[i];

        /* One that was unbound meanwhile has no function any more. */
        if (port < port_count && ports[port].notified && ports[port].notified(ports[port].context))
            port_unmask(port);
    }
}

int ports_open(void)
{
    device = evtchn_open();
    if (device < 0)
        return device;
    readable = event_new(main_loop, device, EV_READ | EV_PERSIST, on_readable, NULL);
    event_add(readable, NULL);
    return 0;
}

/* Remember whom to call for a port that was just bound. */
static int take_port(int port, port_fn notified, void *context)
{
    if (port < 0)
        return port;
    if ((unsigned int)port >= port_count) {
        unsigned int count = port + 64;

        ports = xrealloc(ports, count * sizeof(*ports));
        memset(ports + port_count, 0, (count - port_count) * sizeof(*ports));
        port_count = count;
    }
    ports[port] = (struct port){ .notified = notified, .context = context };
    return port;
}

int port_bind(uint32_t domid, uint32_t remote_port, port_fn notified, void *context)
{
    return take_port(evtchn_bind_interdomain(device, domid, remote_port), notified, context);
}

int port_bind_virq(unsigned int virq, port_fn notified, void *context)
{
    return take_port(evtchn_bind_virq(device, virq), notified, context);
}

void port_unbind(int port)
{
    if (port < 0)
        return;
    ports[port].notified = NULL;
    evtchn_unbind(device, port);
}

void port_notify(int port)
{
    if (port >= 0)
        evtchn_notify(device, port);
}

void port_unmask(int port)
{
    if (port >= 0)
        evtchn_unmask(device, port);
}
