/* SPDX-License-Identifier: MIT */
/*
 * A domain's configuration: the "config" object of docs/control-protocol.md, checked.
 */
#ifndef DOMUSD_CONFIG_H
#define DOMUSD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "device_config.h"
#include "lib/failure.h"

#define NAME_LENGTH_MAX 63
#define VCPUS_MAX 128
#define CONFIG_MEMORY_MAX_KIB (16ULL << 30)

enum end_action {
    END_DESTROY,
    END_RESTART,
    END_RENAME_RESTART,
    END_PRESERVE,
    END_COREDUMP_DESTROY,
    END_COREDUMP_RESTART,
};

struct config {
    char *name, *kernel, *ramdisk /* or NULL */, *cmdline;
    char uuid[37];
    bool uuid_given; /* and not chosen here */
    uint64_t memory_kib, max_memory_kib;
    unsigned int vcpus, max_vcpus;
    unsigned int cpu_weight, cap; /* of the credit scheduler; 0: its default, no cap */
    char *pool;                   /* or NULL */
    int max_grant_frames, max_maptrack_frames; /* -1: the hypervisor's default */
    bool tsc_native;                           /* the guest is told that its time stamp counter is the processor's */
    int64_t rtc_timeoffset;                    /* of its clock, in seconds */
    bool localtime;                            /* besides, its clock is set to dom0's local time */
    json_t *cpus, *cpus_soft;     /* where it runs, or NULL: lists of CPUs, see place.c */
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

/* Set why and remedy. Returns false. */
bool config_refuse(struct failure *failure, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether `text` has the form of `pattern`, in which x stands for a hexadecimal digit. */
bool config_has_form(const char *text, const char *pattern);

/* Whether this may be a domain's name. */
bool config_name_valid(const char *name);

#endif
