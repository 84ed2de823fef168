/* SPDX-License-Identifier: MIT */
/*
 * Inside of paravirtualized memory management (x86/pv/): the life of a page-table type, the checks of
 * entries, and the helpers that the hypercalls share. asm/mm.h and asm/pv_mm.h are for everyone else.
 */
#ifndef ASM_PV_PT_H
#define ASM_PV_PT_H

#include <domus/domain.h>
#include <domus/rangeset.h>
#include <asm/current.h>
#include <asm/mm.h>
#include <asm/page.h>

/* A table's level is its type's number, so that 0 stands for "not a page table". */
static inline unsigned int pgt_level(unsigned long type_info)
{
    unsigned long number = type_info >> 60;

    return number <= 4 ? (unsigned int)number : 0;
}
static inline unsigned long pgt_of_level(unsigned int level) { return (unsigned long)level << 60; }
_Static_assert(PGT_l1_page_table == 1UL << 60 && PGT_l4_page_table == 4UL << 60, "level is the type's number");

/* page_info.partial_flags: the entry numbered nr_validated leads to a table that is partial itself. */
#define PARTIAL_CHILD 1

/* ---- Types: x86/pv/page_types.c ---- */

/*
 * Locks one page table against updates by others, and keeps its type: false if pg is not of a
 * validated type with a count. Short; not nested, but for two tables of level 1 in order of address.
 * While it is held the page and its owner stay: the last type reference is not dropped meanwhile.
 */
bool page_lock_slow(struct page_info *pg);
static inline bool page_lock(struct page_info *pg)
{
    unsigned long x = READ_ONCE(pg->type_info);

    return (likely((x & (PGT_validated | PGT_locked)) == PGT_validated && (x & PGT_count_mask)) &&
            likely(__atomic_compare_exchange_n(&pg->type_info, &x, (x + 1) | PGT_locked, false, __ATOMIC_SEQ_CST,
                                               __ATOMIC_RELAXED))) ||
           page_lock_slow(pg);
}
static inline void page_unlock(struct page_info *pg)
{
    (void)__atomic_fetch_sub(&pg->type_info, PGT_locked + 1, __ATOMIC_RELEASE);
}

/* Locks pg if it is a page table of level 1 of owner's; false: it is not, or not any more. */
bool lock_l1_slow(struct page_info *pg, const struct domain *owner);
static inline bool lock_l1(struct page_info *pg, const struct domain *owner)
{
    unsigned long x = READ_ONCE(pg->type_info);

    if (unlikely((x & (PGT_type_mask | PGT_validated | PGT_locked)) != (PGT_l1_page_table | PGT_validated) ||
                 !(x & PGT_count_mask)) ||
        unlikely(!__atomic_compare_exchange_n(&pg->type_info, &x, (x + 1) | PGT_locked, false, __ATOMIC_SEQ_CST,
                                              __ATOMIC_RELAXED)))
        return lock_l1_slow(pg, owner);
    if (likely(pg->owner == owner))
        return true;
    page_unlock(pg);
    return false;
}

/* As get_page_type_preemptible, but after a refusal the table may be left partial: for a table above
 * it, which notes that. */
int get_table_type(struct page_info *pg, unsigned int level, bool preemptible);
/* Drops a type reference; with preemptible it may return -ERESTART and leave the table partial. */
int put_table_type(struct page_info *pg, bool preemptible);

/*
 * Undoes the validation of a partial table: the references that the partial state holds on it go.
 * level: the only one acceptable, or 0 for any. 0 also if pg is not partial. -ERESTART: call again.
 */
int finish_partial_type(struct page_info *pg, unsigned int level, bool preemptible);

/* Leaves a partial table to the current vCPU, which finishes it before its next memory hypercall. */
void defer_partial_type(struct page_info *pg);
/* Does what defer_partial_type left: 0 or -ERESTART. */
int finish_deferred_slow(struct vcpu *v);
static inline int finish_deferred_type(struct vcpu *v)
{
    return likely(mfn_x(v->arch.old_guest_table) == 0) ? 0 : finish_deferred_slow(v);
}

/* get_page_type and put_page_type of PGT_writable_page, quick where it has other users and no lock. */
static inline bool get_writable_type(struct page_info *pg)
{
    unsigned long x = READ_ONCE(pg->type_info);

    if (likely((x & (PGT_type_mask | PGT_validated)) == (PGT_writable_page | PGT_validated) && (x & PGT_count_mask)) &&
        likely(__atomic_compare_exchange_n(&pg->type_info, &x, x + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)))
        return true;
    return get_page_type(pg, PGT_writable_page);
}
static inline void put_writable_type(struct page_info *pg)
{
    unsigned long x = READ_ONCE(pg->type_info);

    if (unlikely((x & PGT_count_mask) <= 1 || (x & PGT_locked)) ||
        unlikely(!__atomic_compare_exchange_n(&pg->type_info, &x, x - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)))
        put_page_type(pg);
}

/* ---- Tables: x86/pv/validate.c ---- */

/*
 * Take, or drop, the references of all entries of a table; progress is in pg->nr_validated and
 * ->partial_flags, set to zero (to the number of entries) beforehand. validate_table: 0, -ERESTART or
 * a refusal; a refused table of level 1 holds nothing, a higher one what its progress says.
 */
int validate_table(struct page_info *pg, unsigned int level, bool preemptible);
int devalidate_table(struct page_info *pg, unsigned int level, bool preemptible);

/* ---- Entries: x86/pv/pt_entry.c ---- */

/*
 * What a level 1 entry of a table of pt_owner maps: checked, and referenced if it is RAM. The frame
 * must be pg_owner's, or a device's that pg_owner may touch (dom_io: only devices, by the caller's
 * rights). 0, -EINVAL (flags), -EPERM (device), -EBUSY (owner or type).
 */
int get_page_from_l1e(pte_t e, const struct domain *pt_owner, const struct domain *pg_owner);
void put_page_from_l1e(pte_t e, struct domain *pt_owner);
/* The same of a table's entry that leads to a table of the level below. */
int get_table_from_entry(pte_t e, unsigned int level, const struct domain *owner, bool preemptible);
int put_table_from_entry(pte_t e, unsigned int level, bool preemptible);

/* A present entry as it is stored: user accessible (the guest's kernel runs in ring 3), not global. */
static inline pte_t adjust_l1e(pte_t e) { return (pte_t){ (e.v | _PAGE_USER) & ~_PAGE_GLOBAL }; }
static inline pte_t adjust_table_entry(pte_t e) { return (pte_t){ e.v | _PAGE_USER }; }

enum pte_update {
    PTE_SET,           /* whatever is there */
    PTE_PRESERVE_AD,   /* keeping accessed and dirty bits that are set */
    PTE_CMPXCHG,       /* if it is still *old, else -EAGAIN and *old tells */
};

/*
 * Replace one entry of a locked, validated table. old: used with PTE_CMPXCHG only, else NULL.
 * Errors as of the functions above; then nothing has changed. update_table_entry may leave a table
 * deferred (v->arch.old_guest_table) and may return -ERESTART: nothing has changed, call again.
 */
int update_l1e(pte_t *p, pte_t val, enum pte_update how, pte_t *old, struct domain *pt_owner,
               const struct domain *pg_owner);
int update_table_entry(pte_t *p, pte_t val, unsigned int level, enum pte_update how, struct domain *owner);

/*
 * Finds the level 1 entry of va in the address space with the given fourth level; NULL if there is
 * none. No lock: what it finds may be out of date, and is to be checked by the type of its page.
 */
pte_t *find_l1e(mfn_t l4, unsigned long va);
/* Finds and locks the page of the entry that maps va in the kernel's address space of v, which is the
 * current vCPU; NULL if there is none. Release by page_unlock(virt_to_page(entry)). */
pte_t *lock_l1e(struct vcpu *v, unsigned long va);

/* ---- What the hypercalls share ---- */

/* In the count of mmu_update and mmuext_op: restarted, so that *pdone holds what was done before. */
#define MMU_UPDATE_PREEMPTED 0x80000000u

/*
 * The owner of pages that a caller names: DOMID_SELF, DOMID_IO, DOMID_XEN (privileged callers) or a
 * domain that it may control. NULL and *err: -ESRCH, -EPERM. Release by put_pg_owner.
 * x86/pv/mmu_update.c.
 */
struct domain *get_other_pg_owner(domid_t domid, int *err);
void put_other_pg_owner(struct domain *d);
static inline struct domain *get_pg_owner(domid_t domid, int *err)
{
    return likely(domid == DOMID_SELF) ? current->domain : get_other_pg_owner(domid, err);
}
static inline void put_pg_owner(struct domain *d)
{
    if (unlikely(d != current->domain))
        put_other_pg_owner(d);
}

/* The CPUs on which those vCPUs of d may have translations whose bits are set in the guest's bitmap.
 * 0 or -EFAULT. x86/pv/mmuext.c. */
int read_vcpumask(struct domain *d, const void *guest_bitmap, cpumask_t *cpus);

/* MMUEXT_NEW_USER_BASEPTR: installs mfn (0: none) as v's user L4. 0, -EINVAL, -ERESTART. x86/pv/cr3.c. */
int pv_new_user_cr3(struct vcpu *v, mfn_t mfn);

/* Whether d may set cache attributes and flush caches: it has devices. */
static inline bool cache_flush_permitted(const struct domain *d)
{
    return !rangeset_is_empty(d->iomem_caps) || !rangeset_is_empty(d->arch.ioport_caps);
}

#endif
