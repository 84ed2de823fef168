/* SPDX-License-Identifier: MIT */
/*
 * The page-table side of grants: entries of the current domain's tables that map frames which another
 * domain has granted to it. The grant table has checked the right to do so; here only the entry's place
 * is checked. xen/grant_table.h, GNTTABOP_map_grant_ref and following.
 */
#include <domus/domain.h>
#include <asm/flushtlb.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <asm/pv_shadow.h>
#include <xen/grant_table.h>

/* Bits of gntmap_flags that the guest wants to find in the entry's available bits. */
#define GUEST_AVAIL_SHIFT 16
#define PTE_AVAIL_SHIFT   9

/* Of a locked table of the current domain's. */
static pte_t exchange_entry(pte_t *p, pte_t val)
{
    pte_t old = { __atomic_exchange_n(&p->v, val.v, __ATOMIC_SEQ_CST) };

    shadow_entry_changed(current->domain, p);
    return old;
}

/* The entry of the current domain that addr names, its table locked; NULL if there is none. */
static pte_t *lock_grant_entry(u64 addr, unsigned int gntmap_flags)
{
    struct vcpu *v = current;
    struct page_info *pg;

    if (!(gntmap_flags & GNTMAP_contains_pte))
        return lock_l1e(v, addr);
    if ((addr & 7) || !mfn_valid(maddr_to_mfn(addr)))
        return NULL;
    pg = mfn_to_page(maddr_to_mfn(addr));
    if (!page_lock(pg))
        return NULL;
    if ((pg->type_info & PGT_type_mask) == PGT_l1_page_table && pg->owner == v->domain)
        return maddr_to_virt(addr);
    page_unlock(pg);
    return NULL;
}

int pv_create_grant_mapping(u64 addr, mfn_t frame, unsigned int gntmap_flags, unsigned int cache_flags)
{
    u64 flags = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY | (cache_flags & PAGE_CACHE_ATTRS) |
                ((u64)(gntmap_flags >> GUEST_AVAIL_SHIFT) << PTE_AVAIL_SHIFT & _PAGE_AVAIL);
    pte_t *p = lock_grant_entry(addr, gntmap_flags), old;

    if (!p)
        return gntmap_flags & GNTMAP_contains_pte ? GNTST_general_error : GNTST_bad_virt_addr;
    if (!(gntmap_flags & GNTMAP_readonly))
        flags |= _PAGE_RW;
    old = exchange_entry(p, pte_from_mfn(frame, flags));
    page_unlock(virt_to_page(p));
    put_page_from_l1e(old, current->domain);
    return GNTST_okay;
}

/* Takes the entry at va away, with its references, to be put elsewhere. */
static int take_entry(u64 va, pte_t *taken)
{
    pte_t *p = lock_l1e(current, va);

    if (!p)
        return GNTST_bad_virt_addr;
    *taken = exchange_entry(p, pte_empty());
    page_unlock(virt_to_page(p));
    flush_tlb_one_local(va);
    return GNTST_okay;
}

/* Puts it back after all, or drops it if something else has come there meanwhile. */
static void return_entry(u64 va, pte_t e)
{
    pte_t *p = lock_l1e(current, va);
    bool back = p && pte_cmpxchg(p, pte_empty(), e).v == 0;

    if (back)
        shadow_entry_changed(current->domain, p);
    if (p)
        page_unlock(virt_to_page(p));
    if (!back)
        put_page_from_l1e(e, current->domain);
}

int pv_destroy_grant_mapping(u64 addr, mfn_t frame, u64 new_addr, unsigned int gntmap_flags)
{
    pte_t *p, old, val = pte_empty();
    u64 rw = gntmap_flags & GNTMAP_readonly ? 0 : _PAGE_RW;
    bool found = false;

    if (new_addr) {
        int rc;

        if (gntmap_flags & GNTMAP_contains_pte)
            return GNTST_general_error;
        rc = take_entry(new_addr, &val);
        if (rc)
            return rc;
    }
    p = lock_grant_entry(addr, gntmap_flags);
    if (p) {
        old = pte_read(p);
        found = pte_present(old) && mfn_eq(pte_mfn(old), frame) && (old.v & _PAGE_RW) == rw;
        if (found)
            (void)exchange_entry(p, val);
        page_unlock(virt_to_page(p));
    }
    if (found)
        return GNTST_okay;
    if (new_addr)
        return_entry(new_addr, val);
    return GNTST_general_error;
}
