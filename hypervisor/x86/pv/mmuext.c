/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_mmuext_op: pinning of page tables, bases of address spaces, TLB and cache flushes, LDT,
 * clearing and copying of frames. xen/xen.h, "MMU EXTENDED OPERATIONS".
 */
#include <domus/dirty_log.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <asm/flushtlb.h>
#include <asm/mm.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <xen/xen.h>

/* ---- Pins ---- */

static int pin_table(struct domain *d, mfn_t mfn, unsigned int level)
{
    struct page_info *pg = get_page_from_mfn(mfn, d);
    int rc;

    if (!pg)
        return -EINVAL;
    rc = get_page_type_preemptible(pg, pgt_of_level(level));
    if (rc) {
        /* A domain that goes away is not to leave a table behind that nobody finishes. */
        if (rc == -ERESTART && d->is_dying != DOMDYING_ALIVE) {
            defer_partial_type(pg);
            rc = -EINVAL;
        }
        put_page(pg);
        return rc;
    }
    if (fetch_or(&pg->type_info, PGT_pinned) & PGT_pinned) {
        put_page_and_type(pg);
        return -EINVAL;
    }
    mark_dirty(d, mfn);     /* a pin is part of what a copy of the page is made from */
    /* Teardown sets is_dying before it takes pins off: one of the two sees the other. */
    if (unlikely(READ_ONCE(d->is_dying) != DOMDYING_ALIVE) && (fetch_and(&pg->type_info, ~PGT_pinned) & PGT_pinned)) {
        if (put_page_and_type_preemptible(pg))
            defer_partial_type(pg);
        return -EINVAL;
    }
    return 0;
}

static int unpin_table(struct domain *d, mfn_t mfn)
{
    struct page_info *pg = get_page_from_mfn(mfn, d);
    int rc = 0;

    if (!pg)
        return -EINVAL;
    if (!(fetch_and(&pg->type_info, ~PGT_pinned) & PGT_pinned))
        rc = -EINVAL;
    else if (put_page_and_type_preemptible(pg))
        defer_partial_type(pg);
    mark_dirty(d, mfn);
    put_page(pg);
    return rc;
}

/* ---- Flushes ---- */

int read_vcpumask(struct domain *d, const void *guest_bitmap, cpumask_t *cpus)
{
    cpumask_clear(cpus);
    for (unsigned int base = 0; base < d->max_vcpus; base += BITS_PER_LONG) {
        unsigned int n = min(d->max_vcpus - base, (unsigned int)BITS_PER_LONG), bit;
        unsigned long word = 0;

        if (copy_from_guest(&word, (const char *)guest_bitmap + base / BITS_PER_BYTE,
                            DIV_ROUND_UP(n, BITS_PER_BYTE)))
            return -EFAULT;
        if (n < BITS_PER_LONG)
            word &= BIT(n) - 1;
        for (; word; word &= word - 1) {
            const struct vcpu *v;

            bit = base + (unsigned int)__builtin_ctzl(word);
            v = d->vcpu[bit];
            /* One that starts running from now on begins with no translations. */
            if (v && READ_ONCE(v->is_running))
                __cpumask_set_cpu(READ_ONCE(v->processor), cpus);
        }
    }
    return 0;
}

static inline void flush_here(const struct mmuext_op *op)
{
    if (op->cmd == MMUEXT_TLB_FLUSH_LOCAL)
        flush_tlb_local();
    else if (is_canonical_address(op->arg1.linear_addr) && !is_hypervisor_address(op->arg1.linear_addr))
        flush_tlb_one_local(op->arg1.linear_addr);
}

static int flush_vcpus(struct domain *d, const struct mmuext_op *op)
{
    bool one_page = op->cmd == MMUEXT_INVLPG_MULTI;
    cpumask_t cpus;

    if (read_vcpumask(d, op->arg2.vcpumask.p, &cpus))
        return -EINVAL;
    if (one_page && is_hypervisor_address(op->arg1.linear_addr))
        return 0;
    flush_mask(&cpus, op->arg1.linear_addr, FLUSH_TLB | (one_page ? FLUSH_VA : 0));
    return 0;
}

/* ---- Contents ---- */

static int clear_frame(struct domain *d, mfn_t mfn)
{
    struct page_info *pg = get_page_from_mfn(mfn, d);
    int rc = -EINVAL;

    if (!pg)
        return -EINVAL;
    if (get_page_type(pg, PGT_writable_page)) {
        clear_page(page_to_virt(pg));
        mark_dirty(d, mfn);
        put_page_type(pg);
        rc = 0;
    }
    put_page(pg);
    return rc;
}

static int copy_frame(struct domain *d, mfn_t dst_mfn, mfn_t src_mfn)
{
    struct page_info *src = get_page_from_mfn(src_mfn, d), *dst;
    int rc = -EINVAL;

    if (!src)
        return -EINVAL;
    dst = get_page_from_mfn(dst_mfn, d);
    if (dst) {
        if (get_page_type(dst, PGT_writable_page)) {
            copy_page(page_to_virt(dst), page_to_virt(src));
            mark_dirty(d, dst_mfn);
            put_page_type(dst);
            rc = 0;
        }
        put_page(dst);
    }
    put_page(src);
    return rc;
}

/* ---- One operation ---- */

/* Those on the caller's own address space, whatever domain it names. */
static int serve_own(struct vcpu *v, const struct mmuext_op *op)
{
    struct domain *d = v->domain;

    switch (op->cmd) {
    case MMUEXT_NEW_BASEPTR:
        return pv_new_guest_cr3(v, _mfn(op->arg1.mfn));

    case MMUEXT_NEW_USER_BASEPTR:
        return pv_new_user_cr3(v, _mfn(op->arg1.mfn));

    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
        flush_here(op);
        return 0;

    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
        return flush_vcpus(d, op);

    case MMUEXT_TLB_FLUSH_ALL:
        flush_tlb_mask(&d->arch.dirty_cpumask);
        return 0;

    case MMUEXT_INVLPG_ALL:
        if (!is_hypervisor_address(op->arg1.linear_addr))
            flush_tlb_one_mask(&d->arch.dirty_cpumask, op->arg1.linear_addr);
        return 0;

    case MMUEXT_FLUSH_CACHE:
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        if (!cache_flush_permitted(d))
            return -EACCES;
        if (op->cmd == MMUEXT_FLUSH_CACHE)
            flush_area_local(0, FLUSH_CACHE);
        else
            flush_all(FLUSH_CACHE);
        return 0;

    case MMUEXT_SET_LDT:
        if (op->arg2.nr_ents > 8192 || (op->arg1.linear_addr & ~PAGE_MASK) ||
            !is_canonical_address(op->arg1.linear_addr) || is_hypervisor_address(op->arg1.linear_addr))
            return -EINVAL;
        return pv_set_ldt(v, op->arg1.linear_addr, op->arg2.nr_ents);

    default:
        return -ENOSYS;
    }
}

static int serve_op(struct vcpu *v, struct domain *pg_owner, const struct mmuext_op *op)
{
    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return pin_table(pg_owner, _mfn(op->arg1.mfn), op->cmd - MMUEXT_PIN_L1_TABLE + 1);

    case MMUEXT_UNPIN_TABLE:
        return unpin_table(pg_owner, _mfn(op->arg1.mfn));

    case MMUEXT_CLEAR_PAGE:
        return clear_frame(pg_owner, _mfn(op->arg1.mfn));

    case MMUEXT_COPY_PAGE:
        return copy_frame(pg_owner, _mfn(op->arg1.mfn), _mfn(op->arg2.src_mfn));

    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -EOPNOTSUPP;

    default:
        return pg_owner == v->domain ? serve_own(v, op) : -EPERM;
    }
}

/* ---- The batch ---- */

/* As serve_requests of mmu_update.c. */
static int serve_ops(struct vcpu *v, struct domain *pg_owner, guest_ptr_t uops, unsigned int count,
                     unsigned int *done)
{
    struct mmuext_op op;
    int rc;

    for (*done = 0; *done < count; ) {
        if (unlikely(*done && hypercall_preempt_check()))
            return -ERESTART;
        if (unlikely(copy_from_guest(&op, (const void *)(uops + *done * sizeof(op)), sizeof(op))))
            return -EFAULT;
        rc = serve_op(v, pg_owner, &op);
        if (unlikely(rc))
            return rc;
        ++*done;
        rc = finish_deferred_type(v);
        if (unlikely(rc))
            return rc;
    }
    return 0;
}

/* The most frequent call: a flush of this CPU alone. false: not that. */
static inline bool serve_local_flush(guest_ptr_t uop)
{
    struct mmuext_op op;

    if (unlikely(copy_from_guest(&op, (const void *)uop, sizeof(op))) ||
        (op.cmd != MMUEXT_TLB_FLUSH_LOCAL && op.cmd != MMUEXT_INVLPG_LOCAL))
        return false;
    flush_here(&op);
    return true;
}

long do_mmuext_op(guest_ptr_t uops, unsigned int count, guest_ptr_t pdone, unsigned int foreigndom)
{
    struct vcpu *v = current;
    struct domain *pg_owner;
    unsigned int done_before = 0, done = 0;
    int rc = finish_deferred_type(v);

    if (likely(!rc && count == 1 && !pdone && foreigndom == DOMID_SELF) && serve_local_flush(uops))
        return 0;
    if (unlikely(rc))
        return hypercall_create_continuation(__HYPERVISOR_mmuext_op, 4, uops, (unsigned long)count, pdone,
                                             (unsigned long)foreigndom);
    /* Restarted for that alone: the result of the operations was put into the last argument. */
    if (unlikely(count == MMU_UPDATE_PREEMPTED && !uops))
        return (int)foreigndom;
    if (unlikely(count & MMU_UPDATE_PREEMPTED)) {
        count &= ~MMU_UPDATE_PREEMPTED;
        if (pdone && copy_from_guest(&done_before, (const void *)pdone, sizeof(done_before)))
            return -EFAULT;
    }

    pg_owner = get_pg_owner((domid_t)foreigndom, &rc);
    if (unlikely(!pg_owner))
        return rc;
    rc = serve_ops(v, pg_owner, uops, count, &done);
    put_pg_owner(pg_owner);

    if (pdone) {
        done_before += done;
        if (unlikely(copy_to_guest((void *)pdone, &done_before, sizeof(done_before))) && rc != -ERESTART)
            rc = -EFAULT;
    }
    if (unlikely(rc == -ERESTART)) {
        return hypercall_create_continuation(__HYPERVISOR_mmuext_op, 4, uops + done * sizeof(struct mmuext_op),
                                             (unsigned long)((count - done) | MMU_UPDATE_PREEMPTED), pdone,
                                             (unsigned long)foreigndom);
    }
    if (unlikely(mfn_x(v->arch.old_guest_table)))
        return hypercall_create_continuation(__HYPERVISOR_mmuext_op, 4, 0UL, (unsigned long)MMU_UPDATE_PREEMPTED,
                                             0UL, (unsigned long)(unsigned int)rc);
    return rc;
}
