/* SPDX-License-Identifier: MIT */
/*
 * Single page-table entries: what a guest may put into one, the references that a present entry holds,
 * and replacing one in a validated table.
 *
 * A present entry of level 1 that maps RAM holds a reference of the frame, and if it is writable one of
 * the type PGT_writable_page. One of a higher level holds a reference of the table below and one of
 * its type. Entries that map devices hold nothing.
 */
#include <domus/domain.h>
#include <domus/rangeset.h>
#include <asm/cpufeature.h>
#include <asm/flushtlb.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <asm/pv_shadow.h>

/* Bits that no entry of a higher level may have. Large pages are not offered to PV guests. */
#define TABLE_DISALLOWED (_PAGE_PWT | _PAGE_PCD | _PAGE_PSE | _PAGE_GLOBAL)

/* What decides which references an entry of level 1 holds, and how the frame is accessed. */
#define L1_MAPPING_BITS (PTE_ADDR_MASK | PAGE_CACHE_ATTRS)

static inline bool nx_refused(pte_t e)
{
    return unlikely((e.v & _PAGE_NX) && !cpu_has_nx);
}

static bool l1_flags_ok(pte_t e, const struct domain *pt_owner)
{
    if (nx_refused(e))
        return false;
    return likely(!(e.v & PAGE_CACHE_ATTRS)) || cache_flush_permitted(pt_owner);
}

/* ---- References ---- */

/* The frame of e has no page_info: a device, or nothing. */
static int check_device_frame(pte_t e, const struct domain *pg_owner)
{
    unsigned long mfn = mfn_x(pte_mfn(e));

    if (mfn >> (boot_cpu.paddr_bits - PAGE_SHIFT))
        return -EINVAL;
    if (pg_owner == dom_io)
        pg_owner = current->domain;
    return rangeset_contains_singleton(pg_owner->iomem_caps, mfn) ? 0 : -EPERM;
}

int get_page_from_l1e(pte_t e, const struct domain *pt_owner, const struct domain *pg_owner)
{
    struct page_info *pg;

    if (unlikely(!l1_flags_ok(e, pt_owner)))
        return -EINVAL;
    if (unlikely(!mfn_valid(pte_mfn(e))))
        return check_device_frame(e, pg_owner);

    pg = mfn_to_page(pte_mfn(e));
    if (unlikely(!get_page(pg, pg_owner)))
        return -EBUSY;
    if ((e.v & _PAGE_RW) && unlikely(!get_writable_type(pg))) {
        put_page(pg);
        return -EBUSY;
    }
    return 0;
}

/*
 * A read-only mapping goes that may be the one through which a descriptor table was found: LDT pages
 * mapped by the address in the guest must not outlive it.
 */
static void drop_ldts(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v)
        (void)pv_destroy_ldt(v);
}

/* A writable mapping goes: if by another domain than pg's owner, its CPUs are to be flushed as well. */
static inline void note_foreign_writer(struct page_info *pg, const struct domain *pt_owner)
{
    if (unlikely(pg->owner != pt_owner))
        (void)fetch_or(&pg->count_info, PGC_foreign_stale);
}

void put_page_from_l1e(pte_t e, struct domain *pt_owner)
{
    struct page_info *pg;

    if (!pte_present(e) || unlikely(!mfn_valid(pte_mfn(e))))
        return;
    pg = mfn_to_page(pte_mfn(e));
    if (e.v & _PAGE_RW) {
        note_foreign_writer(pg, pt_owner);
        put_writable_type(pg);
        put_page(pg);
        return;
    }
    if (unlikely((READ_ONCE(pg->type_info) & PGT_type_mask) == PGT_seg_desc_page) &&
        (pg->type_info & PGT_count_mask) && pg->owner == pt_owner)
        drop_ldts(pt_owner);
    put_page(pg);
}

/* The page of owner's that entry e of a higher level names, referenced; NULL if e must not stand there. */
static struct page_info *get_table_page(pte_t e, const struct domain *owner)
{
    if (unlikely((e.v & TABLE_DISALLOWED) || nx_refused(e)))
        return NULL;
    return get_page_from_mfn(pte_mfn(e), owner);
}

int get_table_from_entry(pte_t e, unsigned int level, const struct domain *owner, bool preemptible)
{
    struct page_info *pg = get_table_page(e, owner);
    int rc;

    if (unlikely(!pg))
        return -EINVAL;
    rc = get_table_type(pg, level - 1, preemptible);
    if (unlikely(rc))
        put_page(pg);       /* a partial table has a reference of its own */
    return rc;
}

int put_table_from_entry(pte_t e, unsigned int level, bool preemptible)
{
    struct page_info *pg = mfn_to_page(pte_mfn(e));
    int rc = put_table_type(pg, preemptible && level > 2);

    put_page(pg);
    return rc;
}

/* ---- Replacing an entry ---- */

/* The page is locked: only the CPU's walkers and shadow faults change the entry meanwhile, by setting A
 * and D. A full barrier, so that a look at the flush clock afterwards is later than the change. */
static bool store_entry(pte_t *p, pte_t *old, pte_t val, enum pte_update how, const struct domain *owner)
{
    pte_t seen;

    switch (how) {
    case PTE_CMPXCHG:
        seen = pte_cmpxchg(p, *old, val);
        if (seen.v != old->v) {
            *old = seen;
            return false;
        }
        break;
    case PTE_PRESERVE_AD:
        for (;;) {
            pte_t merged = { val.v | (old->v & (_PAGE_ACCESSED | _PAGE_DIRTY)) };

            seen = pte_cmpxchg(p, *old, merged);
            if (seen.v == old->v)
                break;
            *old = seen;
        }
        break;
    case PTE_SET:
        __atomic_store_n(&p->v, val.v, __ATOMIC_SEQ_CST);
        break;
    }
    shadow_entry_changed(owner, p);
    return true;
}

/* Both entries map the same frame with the same cache attributes: at most the right to write changes. */
static int update_same_frame(pte_t *p, pte_t *old, pte_t val, enum pte_update how,
                             const struct domain *pt_owner, const struct domain *pg_owner)
{
    struct page_info *pg = NULL;
    bool gains = val.v & ~old->v & _PAGE_RW;
    bool loses = old->v & ~val.v & _PAGE_RW;

    if (nx_refused(val))
        return -EINVAL;
    if ((gains || loses) && mfn_valid(pte_mfn(val))) {
        pg = mfn_to_page(pte_mfn(val));
        if (gains && (pg->owner != pg_owner || !get_writable_type(pg)))
            return -EBUSY;
    }
    if (!store_entry(p, old, val, how, pt_owner)) {
        if (pg && gains)
            put_writable_type(pg);
        return -EAGAIN;
    }
    if (pg && loses) {
        note_foreign_writer(pg, pt_owner);
        put_writable_type(pg);
    }
    return 0;
}

int update_l1e(pte_t *p, pte_t val, enum pte_update how, pte_t *expected, struct domain *pt_owner,
               const struct domain *pg_owner)
{
    pte_t now = pte_read(p), *old = expected ? expected : &now;
    int rc;

    if (how == PTE_CMPXCHG && now.v != old->v) {
        *old = now;
        return -EAGAIN;
    }
    if (pte_present(val)) {
        val = adjust_l1e(val);
        if (pte_present(*old) && !((val.v ^ old->v) & L1_MAPPING_BITS))
            return update_same_frame(p, old, val, how, pt_owner, pg_owner);
        rc = get_page_from_l1e(val, pt_owner, pg_owner);
        if (unlikely(rc))
            return rc;
    }
    if (unlikely(!store_entry(p, old, val, how, pt_owner))) {
        put_page_from_l1e(val, pt_owner);
        return -EAGAIN;
    }
    put_page_from_l1e(*old, pt_owner);
    return 0;
}

int update_table_entry(pte_t *p, pte_t val, unsigned int level, enum pte_update how, struct domain *owner)
{
    pte_t old = pte_read(p);
    struct page_info *pg;
    int rc;

    if (pte_present(val)) {
        val = adjust_table_entry(val);
        if (pte_present(old) && !((val.v ^ old.v) & (PTE_ADDR_MASK | TABLE_DISALLOWED))) {
            if (nx_refused(val))
                return -EINVAL;
            (void)store_entry(p, &old, val, how, owner);
            return 0;
        }
        pg = get_table_page(val, owner);
        if (unlikely(!pg))
            return -EINVAL;
        rc = get_page_type_preemptible(pg, pgt_of_level(level - 1));
        if (unlikely(rc)) {
            put_page(pg);
            return rc;
        }
    }
    (void)store_entry(p, &old, val, how, owner);
    if (pte_present(old) && put_table_from_entry(old, level, true))
        defer_partial_type(mfn_to_page(pte_mfn(old)));
    return 0;
}

/* ---- Finding an entry ---- */

/* Goes down by one entry of the table that mfn holds. A table may go while we look: what is read then may
 * be anything, so the frame is checked before it is read. */
static inline bool walk_down(mfn_t *mfn, unsigned int index)
{
    pte_t e = pte_read((const pte_t *)mfn_to_virt(*mfn) + index);

    *mfn = pte_mfn(e);
    return likely(pte_present(e)) && likely(mfn_valid(*mfn));
}

pte_t *find_l1e(mfn_t l4, unsigned long va)
{
    mfn_t mfn = l4;

    if (walk_down(&mfn, l4_index(va)) && walk_down(&mfn, l3_index(va)) && walk_down(&mfn, l2_index(va)))
        return (pte_t *)mfn_to_virt(mfn) + l1_index(va);
    return NULL;
}

pte_t *lock_l1e(struct vcpu *v, unsigned long va)
{
    pte_t *p;

    if (unlikely(!is_canonical_address(va) || is_hypervisor_address(va)))
        return NULL;
    p = find_l1e(v->arch.guest_table, va);
    if (unlikely(!p))
        return NULL;
    return likely(lock_l1(virt_to_page(p), v->domain)) ? p : NULL;
}
