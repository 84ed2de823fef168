/* SPDX-License-Identifier: MIT */
/* Building domain 0 from the boot modules: module 0 is its kernel, module 1, if there is one, its ramdisk. */
#ifndef ASM_DOM0_H
#define ASM_DOM0_H

#include <domus/types.h>

struct boot_info;
struct domain;
struct vcpu;

/*
 * Makes dom0: memory, vCPUs, first vCPU ready to run at the kernel's entry. The caller unpauses it. Panics with the
 * reason and the remedy where that is not possible. Boot CPU, all other CPUs up. x86/pv/dom0_build.c.
 */
struct domain *construct_dom0(const struct boot_info *boot);

/* ---- Between the parts of the builder ---- */

/* dom0's memory: runs of machine frames, in order of their pseudo-physical numbers. */
struct dom0_chunk {
    unsigned long pfn, nr;
    mfn_t mfn;
};
struct dom0_memory {
    struct domain *d;
    unsigned long nr_pages;
    unsigned int nr_chunks;
    struct dom0_chunk *chunk;
};

/* Allocates what dom0_mem= and the machine allow, and sets d->max_pages. x86/pv/dom0_mem.c. */
void dom0_memory_alloc(struct domain *d, struct dom0_memory *m);
/* Frees the list of chunks, not the memory. */
void dom0_memory_done(struct dom0_memory *m);
mfn_t dom0_pfn_to_mfn(const struct dom0_memory *m, unsigned long pfn);
/* Copies len bytes to a pseudo-physical address; data NULL: zeroes. */
void dom0_write(const struct dom0_memory *m, paddr_t to, const void *data, u64 len);

/* Number of vCPUs by dom0_max_vcpus=. x86/pv/dom0_mem.c. */
unsigned int dom0_vcpu_count(void);
/* By dom0_vcpus_pin. */
void dom0_pin_vcpu(struct vcpu *v);

/* Gives d all devices but the hypervisor's own. x86/pv/dom0_caps.c. */
void dom0_permit_devices(struct domain *d);

#endif
