/* SPDX-License-Identifier: MIT */
/*
 * Event channels through Linux's /dev/xen/evtchn. Ports are this domain's local ports; the descriptor is readable when
 * one of them is pending. All functions return a value >= 0, or -errno.
 */
#ifndef DOMUS_EVTCHN_H
#define DOMUS_EVTCHN_H

#include <stdint.h>

/* Open the device, non-blocking and closed on exec. Closing it unbinds every port. */
int evtchn_open(void);

/* Bind to a channel that `domid` left unbound for us as `remote_port`; returns the local port. */
int evtchn_bind_interdomain(int fd, uint32_t domid, uint32_t remote_port);

/* Bind a global virtual interrupt (VIRQ_*); returns the local port. */
int evtchn_bind_virq(int fd, unsigned int virq);

int evtchn_unbind(int fd, uint32_t port);
int evtchn_notify(int fd, uint32_t port);

/*
 * Read up to `max` pending ports; each is masked until evtchn_unmask. Returns how many, 0 if none.
 */
int evtchn_pending(int fd, uint32_t *ports, unsigned int max);
int evtchn_unmask(int fd, uint32_t port);

#endif
