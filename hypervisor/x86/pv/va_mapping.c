/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_update_va_mapping and update_va_mapping_otherdomain: a checked change of the entry that
 * maps a virtual address, with the TLB flush that belongs to it. xen/xen.h.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <asm/flushtlb.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <xen/xen.h>

static int flush_after(struct domain *d, unsigned long va, unsigned long flags)
{
    unsigned long target = flags & ~UVMF_FLUSHTYPE_MASK;
    unsigned int what;
    cpumask_t cpus;

    switch (flags & UVMF_FLUSHTYPE_MASK) {
    case UVMF_TLB_FLUSH:
        what = FLUSH_TLB;
        break;
    case UVMF_INVLPG:
        what = FLUSH_TLB | FLUSH_VA;
        break;
    default:
        return 0;
    }
    switch (target) {
    case UVMF_LOCAL:
        flush_area_local(va, what);
        return 0;
    case UVMF_ALL:
        flush_mask(&d->arch.dirty_cpumask, va, what);
        return 0;
    default:
        if (read_vcpumask(d, (const void *)target, &cpus))
            return -EFAULT;
        flush_mask(&cpus, va, what);
        return 0;
    }
}

static long update_va(unsigned long va, u64 val, unsigned long flags, const struct domain *pg_owner)
{
    struct vcpu *v = current;
    struct domain *d = v->domain;
    pte_t *p = lock_l1e(v, va);
    int rc, flushed;

    if (unlikely(!p))
        return -EINVAL;
    rc = update_l1e(p, pte_from_value(val), PTE_SET, NULL, d, pg_owner);
    page_unlock(virt_to_page(p));
    if (likely(!(flags & UVMF_FLUSHTYPE_MASK)))
        return rc;
    flushed = flush_after(d, va, flags);
    return rc ? rc : flushed;
}

long do_update_va_mapping(unsigned long va, uint64_t val, unsigned long flags)
{
    return update_va(va, val, flags, current->domain);
}

long do_update_va_mapping_otherdomain(unsigned long va, uint64_t val, unsigned long flags, domid_t domid)
{
    struct domain *pg_owner;
    long rc;
    int err;

    pg_owner = get_pg_owner(domid, &err);
    if (!pg_owner)
        return err;
    rc = update_va(va, val, flags, pg_owner);
    put_pg_owner(pg_owner);
    return rc;
}
