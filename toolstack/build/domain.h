/* SPDX-License-Identifier: MIT */
/*
 * Builds a paravirtualized domain from a kernel and a ramdisk, and leaves it paused.
 */
#ifndef DOMUS_BUILD_DOMAIN_H
#define DOMUS_BUILD_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/xen.h>

#include "lib/failure.h"

/* What is to be built; the strings are the caller's. */
struct spec {
    const char *name;
    xen_domain_handle_t uuid;
    const char *kernel;
    const char *ramdisk; /* NULL: none */
    const char *cmdline;
    uint64_t memory_kib, max_memory_kib;
    uint32_t max_vcpus;
    int max_grant_frames, max_maptrack_frames; /* -1: the hypervisor's default */
    bool tsc_native;                           /* tell the guest that its time stamp counter is the processor's */
    int64_t time_offset_s;                     /* of its clock */
};

/* A page that the guest shares with dom0, and the guest's port of the event channel that belongs to it. */
struct shared_ring {
    uint64_t mfn;
    uint32_t port;
};

struct built {
    uint32_t domid;
    struct shared_ring store, console;
};

/*
 * Build the domain. hv_open must have been called. From here on SIGTERM, SIGINT and SIGHUP are held back, and a domain
 * half built is destroyed when one comes in. 0, or -1 with *failure filled in and no domain left.
 */
int domain_build(const struct spec *spec, struct built *built, struct failure *failure);

#endif
