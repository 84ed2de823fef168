/* SPDX-License-Identifier: MIT */
/*
 * A domain's configuration: the "config" object of docs/control-protocol.md, checked.
 */
#ifndef DOMUSD_CONFIG_H
#define DOMUSD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/failure.h"

#define NAME_LENGTH_MAX 63
#define VCPUS_MAX 128
#define CONFIG_MEMORY_MAX_KIB (16ULL << 30)
#define DEFAULT_BRIDGE "xenbr0"

enum end_action {
    END_DESTROY,
    END_RESTART,
    END_RENAME_RESTART,
    END_PRESERVE,
    END_COREDUMP_DESTROY,
    END_COREDUMP_RESTART,
};

struct disk_config {
    char *target;
    char *vdev;
    uint32_t number; /* of the device, as guests see it */
    bool writable;
};

struct vif_config {
    char *bridge;
    char mac[18];
    char *ip; /* or NULL */
};

struct config {
    char *name, *kernel, *ramdisk /* or NULL */, *cmdline;
    char uuid[37];
    uint64_t memory_kib, max_memory_kib;
    unsigned int vcpus, max_vcpus;
    unsigned int cpu_weight, cap; /* of the credit scheduler; 0: its default, no cap */
    enum end_action on_poweroff, on_reboot, on_crash, on_watchdog;
    struct disk_config *disks;
    unsigned int disk_count;
    struct vif_config *vifs;
    unsigned int vif_count;
};

/*
 * Read and check the form of `object`. What it leaves open (uuid, MAC addresses) is chosen, and written into the
 * object so that the same domain comes of it again. NULL with the why and remedy of *failure set.
 */
struct config *config_parse(json_t *object, struct failure *failure);
void config_free(struct config *config);

/*
 * Check what the configuration names against the host: files, bridges. False with the why and remedy of *failure set.
 */
bool config_check_host(const struct config *config, struct failure *failure);

/* "destroy" and the like. */
const char *config_action_name(enum end_action action);

/* Whether this may be a domain's name. */
bool config_name_valid(const char *name);

#endif
