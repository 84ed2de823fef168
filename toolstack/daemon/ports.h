/* SPDX-License-Identifier: MIT */
/*
 * Event channels: calls a function when a port of ours is notified.
 */
#ifndef DOMUSD_PORTS_H
#define DOMUSD_PORTS_H

#include <stdbool.h>
#include <stdint.h>

/* Called when the port is pending. Returns true to have it unmasked, false to call port_unmask later. */
typedef bool (*port_fn)(void *context);

/* Open the device and watch it in the event loop. 0 or -errno. */
int ports_open(void);

/* Bind and call `notified` from now on; returns the local port or -errno. */
int port_bind(uint32_t domid, uint32_t remote_port, port_fn notified, void *context);
int port_bind_virq(unsigned int virq, port_fn notified, void *context);
/* Negative ports are ignored by all of these. */
void port_unbind(int port);
void port_notify(int port);
void port_unmask(int port);

#endif
