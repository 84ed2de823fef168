/* SPDX-License-Identifier: MIT */
/*
 * Disks and network cards of a domain: their nodes in the store, and what dom0 does to serve them. The back ends are
 * the kernel's xen-blkback and xen-netback; the store's keys are those of public/io/blkif.h and netif.h.
 */
#ifndef DOMUSD_DEVICES_H
#define DOMUSD_DEVICES_H

#include <stdint.h>

#include "config.h"
#include "lib/failure.h"

struct devices;

/* Called once: `failure` NULL when all back ends are ready for the guest. */
typedef void (*devices_fn)(void *context, const struct failure *failure);

/* Some devices of a configuration, which must live and stay where they are until `ready` is called. */
struct device_list {
    const struct disk_config *disks;
    unsigned int disk_count;
    const struct vif_config *vifs;
    unsigned int vif_count;
};

/*
 * Set up devices of domain `domid`: loop devices for files, servers of images, store nodes, bridge ports. `ready` is
 * called later, and may free the devices.
 */
struct devices *devices_start(uint16_t domid, const char *uuid, const struct device_list *list, devices_fn ready,
                              void *context);

/* Stop waiting for back ends and let go of loop devices, which live on as long as a back end has them open. */
void devices_free(struct devices *devices);

/* Take all devices of domain `domid` out of the store, which makes their back ends go. */
void devices_remove(uint16_t domid);

#endif
