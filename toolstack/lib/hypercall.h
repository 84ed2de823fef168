/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls from a dom0 process, through Linux's privcmd device. The wrappers here are typed and thin: one hypercall
 * each, arguments bounced through memory that stays resident while the hypervisor looks at it.
 *
 * Every function that returns int or long gives 0 or a positive result on success and -errno on failure; errno values
 * are the hypervisor's (public/errno.h), which are Linux's for all numbers that occur. A process uses them from one
 * thread only. The layouts are specified by Xen's public headers.
 */
#ifndef DOMUS_HYPERCALL_H
#define DOMUS_HYPERCALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/version.h>

#define HV_PAGE_SHIFT 12
#define HV_PAGE_SIZE (1UL << HV_PAGE_SHIFT)

/*
 * Open the privcmd device. Call once before anything else here, and again in a child after fork (buffers are not
 * inherited). -ENOENT or -ENODEV: not running on a hypervisor, or the xen-privcmd module is missing.
 */
int hv_open(void);
void hv_close(void);

/* The privcmd descriptor, for foreign mappings. */
int hv_fd(void);

/*
 * Memory that hypercall arguments may point to: page aligned, zeroed, resident. NULL if out of memory. `size` in bytes
 * is the same in both calls.
 */
void *hv_buf_alloc(size_t size);
void hv_buf_free(void *buf, size_t size);

/* Issue hypercall `op` (__HYPERVISOR_*). Pointers among the arguments must come from hv_buf_alloc. */
long hv_call(unsigned int op, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);

/*
 * A whole control operation: fills in interface_version, bounces *op both ways. Handles inside *op must point to
 * memory from hv_buf_alloc.
 */
int hv_domctl(struct xen_domctl *op);
int hv_sysctl(struct xen_sysctl *op);

/* Operations whose argument is one flat structure of `size` bytes, bounced both ways. */
long hv_memory_op(unsigned int cmd, void *arg, size_t size);
int hv_evtchn_op(unsigned int cmd, void *arg, size_t size);
long hv_version(unsigned int cmd, void *arg, size_t size);

/* --- domains ------------------------------------------------------------------------------------------------- */

/* Create a domain. *domid in: the number wanted, or 0 to take the first free one; out: the number. */
int hv_domain_create(struct xen_domctl_createdomain *config, uint32_t *domid);
int hv_domain_destroy(uint32_t domid);
int hv_domain_pause(uint32_t domid);
int hv_domain_unpause(uint32_t domid);
/* Mark a domain as shut down from outside, for `reason` (SHUTDOWN_*). */
int hv_domain_shutdown(uint32_t domid, unsigned int reason);
/* Have `vcpu` of it get a non-maskable interrupt or the like: XEN_DOMCTL_SENDTRIGGER_*. */
int hv_domain_trigger(uint32_t domid, unsigned int trigger, uint32_t vcpu);
/* Give it another uuid. */
int hv_domain_set_handle(uint32_t domid, const xen_domain_handle_t handle);
int hv_domain_max_vcpus(uint32_t domid, uint32_t vcpus);
int hv_domain_max_mem(uint32_t domid, uint64_t kib);
/* How the time stamp counter is shown: the modes of arch-x86/cpuid.h, leaf 3. */
#define HV_TSC_NATIVE 2
int hv_domain_set_tsc(uint32_t domid, uint32_t mode, uint32_t khz, uint32_t incarnation, uint64_t elapsed_nsec);
/* How far the domain's clock is ahead of the host's, in seconds. */
int hv_domain_set_time_offset(uint32_t domid, int64_t seconds);
/* Exactly this domain, or -ESRCH. */
int hv_domain_info(uint32_t domid, struct xen_domctl_getdomaininfo *info);
/* Up to `max` domains with numbers from `first` on, in ascending order; returns how many. */
int hv_domain_list(uint32_t first, uint32_t max, struct xen_domctl_getdomaininfo *info);
/* Write the hypercall page at guest frame `gmfn`. */
int hv_domain_hypercall_page(uint32_t domid, uint64_t gmfn);
/* Credit scheduler: relative weight (1..65535) and cap in percent of one CPU (0: none). */
int hv_domain_sched_get(uint32_t domid, uint16_t *weight, uint16_t *cap);
int hv_domain_sched_set(uint32_t domid, uint16_t weight, uint16_t cap);

/* --- virtual CPUs -------------------------------------------------------------------------------------------- */

int hv_vcpu_get_context(uint32_t domid, uint32_t vcpu, vcpu_guest_context_t *context);
int hv_vcpu_set_context(uint32_t domid, uint32_t vcpu, const vcpu_guest_context_t *context);
int hv_vcpu_info(uint32_t domid, uint32_t vcpu, struct xen_domctl_getvcpuinfo *info);

/* --- memory -------------------------------------------------------------------------------------------------- */

/*
 * Give domain `domid` `count` extents of 2^order frames. In: `extents` are guest frame numbers; out, for a PV guest:
 * the machine frame numbers. `flags` are XENMEMF_*. Returns how many extents were populated: fewer than `count` when
 * memory or the domain's limit ran out.
 */
long hv_populate_physmap(uint32_t domid, unsigned long count, unsigned int order, unsigned int flags,
                         xen_pfn_t *extents);
/* Set aside `pages` frames for `domid` before they are populated; 0 gives the rest back. -ENOMEM: not that many. */
int hv_claim_pages(uint32_t domid, uint64_t pages);
/* `count` operations on page tables of PV guest `domid`; stops at the first failure. */
int hv_mmuext_op(struct mmuext_op *ops, unsigned int count, uint32_t domid);
int hv_mmu_update(const struct mmu_update *updates, unsigned int count, uint32_t domid);

/* --- event channels, grants ---------------------------------------------------------------------------------- */

/* A new channel of `domid` that waits to be bound by `remote`; returns its port in `domid`. */
int hv_evtchn_alloc_unbound(uint32_t domid, uint32_t remote);
/* Set up the grant table (version 1) of `domid` with `count` frames and return their frame numbers. */
int hv_grant_setup_table(uint32_t domid, unsigned int count, xen_pfn_t *frames);

/* --- host ---------------------------------------------------------------------------------------------------- */

int hv_physinfo(struct xen_sysctl_physinfo *info);
int hv_sched_id(uint32_t *id);
/*
 * Read the hypervisor's console ring into `buffer` of `size` bytes, from *index on if `incremental`; returns bytes
 * read, *index out: where to continue. `clear` empties the ring.
 */
int hv_console_read(char *buffer, uint32_t size, bool clear, bool incremental, uint32_t *index);
/* Have the hypervisor act on its debug keys, one after the other. */
int hv_debug_keys(const char *keys);

#endif
