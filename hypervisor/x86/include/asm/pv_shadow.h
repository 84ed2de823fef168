/* SPDX-License-Identifier: MIT */
/*
 * Shadow page tables of a paravirtualized domain whose writes are logged (domain.dirty_log): the CPU walks
 * copies of the guest's tables, in which pages not yet logged may not be written. x86/pv/shadow.c.
 */
#ifndef ASM_PV_SHADOW_H
#define ASM_PV_SHADOW_H

#include <domus/domain.h>
#include <domus/hypercall.h>
#include <asm/mm.h>
#include <asm/page.h>

void shadow_init(struct domain *d);

/*
 * A page fault of v, which is current, at an address outside of the hypervisor's slots. true: the shadow
 * was behind the guest's tables, or the log had to note a write; it allows more now, so try again. false:
 * the fault is the guest's, and its error code fits the guest's own tables. Interrupts on.
 */
bool shadow_fault(struct vcpu *v, unsigned long va, u32 error_code);

/* Entry p of a table of d's has just been replaced, by a store that is a full barrier; what the old one
 * refers to is still held. The table is locked (page_lock), or is not validated. */
void shadow_entry_changed_slow(const pte_t *p);
static inline void shadow_entry_changed(const struct domain *d, const pte_t *p)
{
    if (unlikely(READ_ONCE(d->dirty_log) != NULL))
        shadow_entry_changed_slow(p);
}

/* pg, a validated table of d's, is one no longer: nobody refers to it, what it refers to is still held. */
void shadow_table_ended_slow(struct page_info *pg);
static inline void shadow_table_ended(const struct domain *d, struct page_info *pg)
{
    if (unlikely(READ_ONCE(d->dirty_log) != NULL))
        shadow_table_ended_slow(pg);
}

/* update_cr3 (x86/pv/cr3.c) of a domain with a log. */
void shadow_update_cr3(struct vcpu *v);

/* Takes the right to write away from all pages that are not marked (any more), on all CPUs. */
void shadow_revoke(struct domain *d);

/*
 * From the guest's own tables to shadows and back, with log as d->dirty_log meanwhile. No vCPU of d runs,
 * the domctl lock is held. shadow_clear, which comes before shadow_stop, takes the shadows apart: 0 or -ERESTART,
 * call again before a vCPU has run. shadow_stop returns the log, which others may still be marking.
 */
void shadow_start(struct domain *d, struct dirty_log *log);
int shadow_clear(struct domain *d);
struct dirty_log *shadow_stop(struct domain *d);

/*
 * The pool that shadows live in, in pages. shadow_set_pool: 0, -ENOMEM, -ERESTART (call again). It is not made smaller
 * than what the shadows in it need to go on. Domctl lock held.
 */
int shadow_set_pool(struct domain *d, unsigned long pages);
/* What a domain of its size should have. */
unsigned long shadow_wanted_pool(const struct domain *d);

/* ---- x86/pv/log_dirty.c ---- */

/* XEN_DOMCTL_shadow_op, from the caller's record at u_domctl. -ERESTART: call again. Domctl lock held. */
struct xen_domctl_shadow_op;
long pv_shadow_op(struct domain *d, struct xen_domctl_shadow_op *op, guest_ptr_t u_domctl);
/* Frees all of the above of a dying domain, whose vCPUs do not run. 0 or -ERESTART. */
int pv_log_dirty_relinquish(struct domain *d);

#endif
