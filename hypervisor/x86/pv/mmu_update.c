/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_mmu_update: checked changes of entries of page tables of any level, and of the
 * machine-to-physical table, in batches. xen/xen.h, "HYPERVISOR_mmu_update".
 */
#include <domus/arch.h>
#include <domus/dirty_log.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <asm/guest_read.h>
#include <asm/mm.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <xen/xen.h>

/* Requests copied at once. */
#define CHUNK 16

/* ---- Domains named by the caller ---- */

struct domain *get_other_pg_owner(domid_t domid, int *err)
{
    struct domain *self = current->domain, *d;

    *err = 0;
    if (domid == DOMID_IO)
        return dom_io;
    if (domid == DOMID_XEN) {
        *err = self->is_privileged ? 0 : -EPERM;
        return *err ? NULL : dom_xen;
    }
    /* Naming oneself as a foreign domain is a mistake of the caller's. */
    d = domid == self->domain_id ? NULL : get_domain_by_id(domid);
    if (!d) {
        *err = -ESRCH;
        return NULL;
    }
    if (!is_priv_for(self, d)) {
        put_domain(d);
        *err = -EPERM;
        return NULL;
    }
    return d;
}

void put_other_pg_owner(struct domain *d)
{
    if (d != dom_io && d != dom_xen)
        put_domain(d);
}

/* ---- One request ---- */

/* A batch: whose tables, whose frames, and the table that is locked between requests. */
struct update_batch {
    struct domain *pt_owner, *pg_owner;
    struct page_info *locked;
    mfn_t locked_mfn;
};

static void unlock_table(struct update_batch *b)
{
    if (b->locked) {
        page_unlock(b->locked);
        b->locked = NULL;
    }
}

/* Locks the page with the entry, unless it still is: true if it has a type that can be locked. */
static bool lock_table(struct update_batch *b, mfn_t mfn)
{
    struct page_info *pg;

    if (b->locked && mfn_eq(b->locked_mfn, mfn))
        return true;
    unlock_table(b);
    if (unlikely(!mfn_valid(mfn)))
        return false;
    pg = mfn_to_page(mfn);
    if (unlikely(!page_lock(pg)))
        return false;
    b->locked = pg;
    b->locked_mfn = mfn;
    if (likely(pg->owner == b->pt_owner))
        return true;
    unlock_table(b);
    return false;
}

/* An entry of a frame that is no page table (any more, or yet): plain data of its owner. */
static int update_plain_frame(struct update_batch *b, mfn_t mfn, unsigned int index, u64 val)
{
    struct page_info *pg = get_page_from_mfn(mfn, b->pt_owner);
    int rc = -EINVAL;

    if (!pg)
        return -EINVAL;
    if (get_page_type(pg, PGT_writable_page)) {
        pte_write((pte_t *)page_to_virt(pg) + index, pte_from_value(val));
        put_page_type(pg);
        mark_dirty(b->pt_owner, mfn);
        rc = 0;
    }
    put_page(pg);
    return rc;
}

static int update_pt(struct update_batch *b, u64 maddr, u64 val, enum pte_update how)
{
    mfn_t mfn = maddr_to_mfn(maddr);
    unsigned int index = (unsigned int)(maddr >> 3 & (PTES_PER_PAGE - 1)), level;
    pte_t *p;

    if (unlikely(maddr & 7))
        return -EINVAL;
    if (unlikely(!lock_table(b, mfn)))
        return update_plain_frame(b, mfn, index, val);

    level = pgt_level(b->locked->type_info);
    p = (pte_t *)mfn_to_virt(mfn) + index;
    switch (level) {
    case 1:
        return update_l1e(p, pte_from_value(val), how, NULL, b->pt_owner, b->pg_owner);
    case 4:
        if (index >= HV_FIRST_SLOT && index <= HV_LAST_SLOT)
            return -EINVAL;
        fallthrough;
    case 2:
    case 3:
        if (unlikely(b->pg_owner != b->pt_owner))
            return -EINVAL;
        return update_table_entry(p, pte_from_value(val), level, how, b->pt_owner);
    default:
        unlock_table(b);
        return update_plain_frame(b, mfn, index, val);
    }
}

static int update_m2p(const struct update_batch *b, u64 maddr, u64 gpfn)
{
    struct page_info *pg = get_page_from_mfn(maddr_to_mfn(maddr), b->pg_owner);

    if (!pg)
        return -EINVAL;
    set_gpfn_from_mfn(page_to_mfn(pg), gpfn);
    mark_dirty(b->pg_owner, page_to_mfn(pg));
    put_page(pg);
    return 0;
}

static int serve_request(struct update_batch *b, const struct mmu_update *req)
{
    unsigned int cmd = req->ptr & 3;
    u64 maddr = req->ptr & ~3UL;

    switch (cmd) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_NO_TRANSLATE:
        return update_pt(b, maddr, req->val, PTE_SET);
    case MMU_PT_UPDATE_PRESERVE_AD:
        return update_pt(b, maddr, req->val, PTE_PRESERVE_AD);
    default:
        unlock_table(b);
        return update_m2p(b, maddr, req->val);
    }
}

/* ---- The batch ---- */

/*
 * Serves count requests at ureqs; *done is how many were. Stops at the first error, and with -ERESTART
 * when preempted or when an update left a table to be undone.
 */
static int serve_requests(struct update_batch *b, guest_ptr_t ureqs, unsigned int count, unsigned int *done)
{
    struct mmu_update req[CHUNK];
    struct vcpu *v = current;
    unsigned int chunk = CHUNK;
    int rc = 0;

    *done = 0;
    while (*done < count) {
        unsigned int n = min(count - *done, chunk);

        if (unlikely(*done && hypercall_preempt_check()))
            return -ERESTART;
        if (unlikely(copy_from_guest(req, (const void *)(ureqs + *done * sizeof(req[0])), n * sizeof(req[0])))) {
            if (n == 1)
                return -EFAULT;
            chunk = 1;      /* serve what comes before the fault */
            continue;
        }
        for (unsigned int i = 0; i < n; i++) {
            rc = serve_request(b, &req[i]);
            if (unlikely(rc))
                break;
            ++*done;
            if (unlikely(mfn_x(v->arch.old_guest_table))) {
                unlock_table(b);
                rc = finish_deferred_type(v);
                if (rc)
                    break;
            }
        }
        unlock_table(b);
        if (unlikely(rc))
            return rc;
    }
    return 0;
}

/* foreigndom: low half, owner of the frames; high half, owner of the tables plus one, or 0 for the caller. */
static int open_batch(struct update_batch *b, unsigned int foreigndom)
{
    int rc = 0;

    *b = (struct update_batch){ .pt_owner = current->domain };
    if (unlikely(foreigndom >> 16)) {
        b->pt_owner = get_pg_owner((domid_t)((foreigndom >> 16) - 1), &rc);
        if (!b->pt_owner)
            return rc;
        if (b->pt_owner->is_special)
            return -EPERM;
    }
    b->pg_owner = get_pg_owner((domid_t)foreigndom, &rc);
    if (b->pg_owner)
        return 0;
    put_pg_owner(b->pt_owner);
    return rc;
}

static void close_batch(struct update_batch *b)
{
    put_pg_owner(b->pg_owner);
    put_pg_owner(b->pt_owner);
}

/* By far the most frequent call: one entry of level 1, of the caller's own tables and frames. false: not that. */
static inline bool serve_single(struct vcpu *v, guest_ptr_t ureq, int *rc)
{
    u64 req[2];             /* struct mmu_update: ptr, val */
    struct page_info *pg;
    mfn_t mfn;
    pte_t *p;

    if (unlikely(!read_guest_pair(req, ureq)))
        return false;
    mfn = maddr_to_mfn(req[0]);
    if (unlikely((req[0] & 7) != MMU_NORMAL_PT_UPDATE && (req[0] & 7) != MMU_PT_UPDATE_PRESERVE_AD) ||
        unlikely(!mfn_valid(mfn)))
        return false;
    pg = mfn_to_page(mfn);
    if (unlikely(!lock_l1(pg, v->domain)))
        return false;
    p = maddr_to_virt(req[0] & ~7UL);
    *rc = update_l1e(p, pte_from_value(req[1]), req[0] & 7 ? PTE_PRESERVE_AD : PTE_SET, NULL, v->domain, v->domain);
    page_unlock(pg);
    return true;
}

/* All but what serve_single has done. */
static noinline long serve_call(struct vcpu *v, guest_ptr_t ureqs, unsigned int count, guest_ptr_t pdone,
                                unsigned int foreigndom)
{
    struct update_batch batch;
    unsigned int done_before = 0, done = 0;
    int rc = finish_deferred_type(v);

    if (unlikely(rc))
        return hypercall_create_continuation(__HYPERVISOR_mmu_update, 4, ureqs, (unsigned long)count, pdone,
                                             (unsigned long)foreigndom);
    /* Restarted for that alone: the result of the requests was put into the last argument. */
    if (unlikely(count == MMU_UPDATE_PREEMPTED && !ureqs))
        return (int)foreigndom;
    if (unlikely(count & MMU_UPDATE_PREEMPTED)) {
        count &= ~MMU_UPDATE_PREEMPTED;
        if (pdone && copy_from_guest(&done_before, (const void *)pdone, sizeof(done_before)))
            return -EFAULT;
    }

    rc = open_batch(&batch, foreigndom);
    if (unlikely(rc))
        return rc;
    rc = serve_requests(&batch, ureqs, count, &done);
    close_batch(&batch);

    if (pdone) {
        done_before += done;
        if (unlikely(copy_to_guest((void *)pdone, &done_before, sizeof(done_before))) && rc != -ERESTART)
            rc = -EFAULT;
    }
    if (unlikely(rc == -ERESTART)) {
        return hypercall_create_continuation(__HYPERVISOR_mmu_update, 4, ureqs + done * sizeof(struct mmu_update),
                                             (unsigned long)((count - done) | MMU_UPDATE_PREEMPTED), pdone,
                                             (unsigned long)foreigndom);
    }
    if (unlikely(mfn_x(v->arch.old_guest_table)))
        return hypercall_create_continuation(__HYPERVISOR_mmu_update, 4, 0UL, (unsigned long)MMU_UPDATE_PREEMPTED,
                                             0UL, (unsigned long)(unsigned int)rc);
    return rc;
}

long do_mmu_update(guest_ptr_t ureqs, unsigned int count, guest_ptr_t pdone, unsigned int foreigndom)
{
    struct vcpu *v = current;
    int rc;

    if (likely(count == 1 && !pdone && foreigndom == DOMID_SELF && !mfn_x(v->arch.old_guest_table)) &&
        likely(serve_single(v, ureqs, &rc)))
        return rc;
    return serve_call(v, ureqs, count, pdone, foreigndom);
}
