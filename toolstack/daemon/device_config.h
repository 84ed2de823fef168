/* SPDX-License-Identifier: MIT */
/*
 * Disks and network cards of a configuration: the elements of `disk` and `vif` in docs/control-protocol.md, checked.
 */
#ifndef DOMUSD_DEVICE_CONFIG_H
#define DOMUSD_DEVICE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/failure.h"

#define DISKS_MAX 256
#define VIFS_MAX 64
#define VIF_IPS_MAX 16
#define DEFAULT_BRIDGE "xenbr0"
#define VLAN_MAX 4094

struct disk_config {
    char *target;
    char *vdev;
    const char *format; /* as QEMU calls it: "raw", "qcow2", "vmdk", ... */
    uint32_t number;    /* of the device, as guests see it */
    bool writable, cdrom;
};

struct vif_config {
    unsigned int index; /* the device's number */
    char *bridge;
    char mac[18];
    char *ip;          /* or NULL */
    uint32_t rate_bytes, rate_us; /* it may send so many bytes in each so many microseconds; 0: no limit */
    unsigned int vlan;            /* 0: as the bridge has it */
    unsigned int mtu;             /* 0: the bridge's */
    bool antispoof;               /* frames with other senders' addresses are dropped */
    bool isolated;                /* nothing goes to or comes from other isolated ports */
};

struct config;

/*
 * Read and check the form of one device and add it to the configuration. What it leaves open (MAC address) is derived,
 * always the same from the same, and written into the object. False with the why and remedy of *failure set.
 */
bool disk_config_add(struct config *config, const json_t *object, struct failure *failure);
bool vif_config_add(struct config *config, json_t *object, struct failure *failure);

/* Remove the device with this index in the configuration's array. */
void disk_config_remove(struct config *config, unsigned int index);
void vif_config_remove(struct config *config, unsigned int index);

/*
 * Check what the device names against the host: file, bridge. False with the why and remedy of *failure set.
 */
bool disk_config_check(const struct disk_config *disk, struct failure *failure);
bool vif_config_check(const struct vif_config *vif, struct failure *failure);

/* The IPv4 addresses, in network order, of a text with spaces between them; -1 if it is something else or too many. */
int vif_addresses(const char *text, uint32_t addresses[VIF_IPS_MAX]);

/* The number of a virtual disk by its name (xvda, xvdb1, sda, hdc); false if it is none. */
bool disk_number(const char *vdev, uint32_t *number);

#endif
