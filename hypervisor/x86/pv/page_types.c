/* SPDX-License-Identifier: MIT */
/*
 * References and types of frames: the core of the security of paravirtualized memory.
 *
 * A frame's type_info holds its type, how many users count on it, and the state of its contents:
 *
 *   count 0                      the type is the last one used; any other may be taken
 *   count n, validated           n users; the contents fit the type and only checked changes are made
 *   count 1, neither flag        one CPU checks the contents, or undoes that; others wait
 *   count 1, partial             that work was preempted. The state itself holds the one type
 *                                reference, and a reference of the page: whoever finds it may go on
 *                                checking (get_type) or undo what was done (finish_partial_type)
 *
 * Since two types never have a count at once, a frame is never writable and a page table. What
 * remains in TLBs of a type's former use is flushed before the next type is used.
 *
 * Table types lead strictly downwards (a fourth-level table to thirds, and so on), so that waiting
 * for another CPU's work cannot go round in a circle, and dropping all pins and all bases of address
 * spaces drops all types. Tables that map themselves as tables are refused by the same rule.
 */
#include <domus/arch.h>
#include <domus/dirty_log.h>
#include <domus/domain.h>
#include <domus/hypercall.h>
#include <asm/flushtlb.h>
#include <asm/mm.h>
#include <asm/processor.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <asm/pv_shadow.h>

/* ---- References ---- */

struct page_info *get_page_from_mfn(mfn_t mfn, const struct domain *d)
{
    struct page_info *pg;

    if (!mfn_valid(mfn))
        return NULL;
    pg = mfn_to_page(mfn);
    return get_page(pg, d) ? pg : NULL;
}

void put_page(struct page_info *pg)
{
    unsigned long left = __atomic_sub_fetch(&pg->count_info, 1, __ATOMIC_SEQ_CST);

    if (unlikely((left & PGC_count_mask) == 0))
        free_domain_page(pg);
}

void share_page_with_guest(struct page_info *pg, struct domain *d, bool writable)
{
    bool first;

    /* The count that is never dropped keeps a read-only page from becoming anything else. */
    pg->type_info = (writable ? PGT_writable_page : PGT_none) | PGT_validated | 1;
    spin_lock(&d->page_alloc_lock);
    pg->owner = d;
    smp_wmb();      /* whoever sees a reference sees the owner */
    pg->count_info = PGC_hypervisor | PGC_allocated | 1;
    first = d->xenheap_pages++ == 0;
    list_add_tail(&pg->list, &d->xenpage_list);
    spin_unlock(&d->page_alloc_lock);
    if (first)
        get_knownalive_domain(d);
}

/* ---- The lock of one table ---- */

/* Whenever there is anything but an unlocked, validated type with users. */
bool page_lock_slow(struct page_info *pg)
{
    unsigned long x = READ_ONCE(pg->type_info);

    for (;;) {
        if (!(x & PGT_validated) || !(x & PGT_count_mask))
            return false;
        if (x & PGT_locked) {
            cpu_relax();
            x = READ_ONCE(pg->type_info);
            continue;
        }
        if (__atomic_compare_exchange_n(&pg->type_info, &x, (x + 1) | PGT_locked, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED))
            return true;
    }
}

/* Whenever lock_l1 finds anything but an unlocked, validated table of level 1. */
bool lock_l1_slow(struct page_info *pg, const struct domain *owner)
{
    if (!page_lock_slow(pg))
        return false;
    if ((pg->type_info & PGT_type_mask) == PGT_l1_page_table && pg->owner == owner)
        return true;
    page_unlock(pg);
    return false;
}

/* ---- Types ---- */

/* Before a frame's new type is used: no CPU may go on using it as what it was. */
static void flush_former_use(struct page_info *pg)
{
    const struct domain *d = pg->owner;
    cpumask_t mask;

    if (!d)
        return;
    if (unlikely(pg->count_info & PGC_foreign_stale)) {
        (void)fetch_and(&pg->count_info, ~PGC_foreign_stale);
        cpumask_copy(&mask, &cpu_online_map);
    } else {
        cpumask_copy(&mask, &d->arch.dirty_cpumask);
    }
    tlbflush_filter(&mask, pg->tlbflush_timestamp);
    flush_tlb_mask(&mask);
}

/* The only user of a type gives it up; no other CPU touches type_info until this is visible. */
static void end_type(struct page_info *pg)
{
    pg->tlbflush_timestamp = tlbflush_current_time();
    (void)fetch_and(&pg->type_info, ~(PGT_count_mask | PGT_validated));
}

/* The work on a table stops here, whoever goes on; holds_ref: its reference on the page is there. */
static void leave_partial(struct page_info *pg, bool holds_ref)
{
    if (!holds_ref)
        (void)fetch_add(&pg->count_info, 1);
    (void)fetch_or(&pg->type_info, PGT_partial);
}

/* Takes over the work on a partial table. */
static bool claim_partial(struct page_info *pg, unsigned int level)
{
    unsigned long x = READ_ONCE(pg->type_info);

    do {
        if (!(x & PGT_partial) || (level && pgt_level(x) != level))
            return false;
    } while (!__atomic_compare_exchange_n(&pg->type_info, &x, x & ~PGT_partial, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    return true;
}

static int check_contents(struct page_info *pg, unsigned long type, bool preemptible)
{
    if (type == PGT_seg_desc_page)
        return pv_validate_segdesc_page(pg) ? 0 : -EINVAL;
    return validate_table(pg, pgt_level(type), preemptible);
}

/* This CPU has claimed the type: settle what the frame was, check what it holds, and tell. */
static int begin_type(struct page_info *pg, unsigned long type, bool flush, bool resume, bool preemptible)
{
    int rc = 0;

    if (flush)
        flush_former_use(pg);
    if (type != PGT_writable_page) {
        if (!resume) {
            pg->nr_validated = 0;
            pg->partial_flags = 0;
        }
        rc = check_contents(pg, type, preemptible);
        /* Checks correct what they find; and a copy of a table is made in another way than one of data. */
        if (pg->owner)
            mark_dirty(pg->owner, page_to_mfn(pg));
    }
    if (!rc) {
        pg->shadow = 0;
        (void)fetch_or(&pg->type_info, PGT_validated);
        if (resume)
            put_page(pg);       /* the partial state's; the caller has one of its own */
    } else if (pgt_level(type) >= 2) {
        leave_partial(pg, resume);
    } else {
        end_type(pg);
    }
    return rc;
}

static int get_type(struct page_info *pg, unsigned long type, bool preemptible)
{
    unsigned long x = READ_ONCE(pg->type_info), nx;
    bool flush, resume;

    for (;;) {
        unsigned long old_type = x & PGT_type_mask;

        flush = resume = false;
        if ((x & PGT_count_mask) == 0) {
            flush = old_type != type && old_type != PGT_none;
            nx = type | 1 | (type == PGT_writable_page && !flush ? PGT_validated : 0);
        } else if (unlikely(old_type != type)) {
            return -EINVAL;
        } else if (likely(x & PGT_validated)) {
            nx = x + 1;
            if (unlikely((nx & PGT_count_mask) == 0))
                return -EINVAL;
        } else if (x & PGT_partial) {
            resume = true;
            nx = x & ~PGT_partial;
        } else {
            /* Another CPU is at it. */
            if (preemptible && hypercall_preempt_check())
                return -ERESTART;
            cpu_relax();
            x = READ_ONCE(pg->type_info);
            continue;
        }
        if (likely(__atomic_compare_exchange_n(&pg->type_info, &x, nx, false, __ATOMIC_SEQ_CST,
                                               __ATOMIC_RELAXED)))
            break;
    }
    if (likely(nx & PGT_validated))
        return 0;
    return begin_type(pg, type, flush, resume, preemptible);
}

static int put_type(struct page_info *pg, bool preemptible)
{
    unsigned long x = READ_ONCE(pg->type_info), nx;
    unsigned int level;
    int rc;

    for (;;) {
        level = 0;
        if (likely((x & PGT_count_mask) > 1)) {
            /* The holder of the lock relies on a user other than itself. */
            if (unlikely((x & (PGT_count_mask | PGT_locked)) == (PGT_locked | 2))) {
                cpu_relax();
                x = READ_ONCE(pg->type_info);
                continue;
            }
            nx = x - 1;
        } else {
            level = pgt_level(x);
            if (level) {
                nx = x & ~PGT_validated;
            } else {
                pg->tlbflush_timestamp = tlbflush_current_time();
                nx = (x - 1) & ~PGT_validated;
            }
        }
        if (likely(__atomic_compare_exchange_n(&pg->type_info, &x, nx, false, __ATOMIC_SEQ_CST,
                                               __ATOMIC_RELAXED)))
            break;
    }
    if (likely(!level))
        return 0;

    shadow_table_ended(pg->owner, pg);
    pg->nr_validated = PTES_PER_PAGE;
    pg->partial_flags = 0;
    rc = devalidate_table(pg, level, preemptible);
    if (rc)
        leave_partial(pg, false);
    else
        end_type(pg);
    return rc;
}

int get_table_type(struct page_info *pg, unsigned int level, bool preemptible)
{
    return get_type(pg, pgt_of_level(level), preemptible);
}

int put_table_type(struct page_info *pg, bool preemptible)
{
    return put_type(pg, preemptible);
}

int finish_partial_type(struct page_info *pg, unsigned int level, bool preemptible)
{
    int rc;

    if (!claim_partial(pg, level))
        return 0;
    rc = devalidate_table(pg, pgt_level(pg->type_info), preemptible);
    if (rc) {
        leave_partial(pg, true);
    } else {
        end_type(pg);
        put_page(pg);
    }
    return rc;
}

void defer_partial_type(struct page_info *pg)
{
    struct vcpu *v = current;

    if (mfn_x(v->arch.old_guest_table) == 0)
        v->arch.old_guest_table = page_to_mfn(pg);
    else
        (void)finish_partial_type(pg, 0, false);
}

int finish_deferred_slow(struct vcpu *v)
{
    int rc = finish_partial_type(mfn_to_page(v->arch.old_guest_table), 0, true);

    if (!rc)
        v->arch.old_guest_table = _mfn(0);
    return rc;
}

/* ---- For everyone ---- */

int get_page_type_preemptible(struct page_info *pg, unsigned long type)
{
    int rc = get_type(pg, type, true);

    if (unlikely(rc && rc != -ERESTART && pgt_level(type) >= 2) &&
        finish_partial_type(pg, pgt_level(type), true))
        defer_partial_type(pg);
    return rc;
}

bool get_page_type(struct page_info *pg, unsigned long type)
{
    int rc = get_type(pg, type, false);

    if (unlikely(rc && pgt_level(type) >= 2))
        (void)finish_partial_type(pg, pgt_level(type), false);
    return rc == 0;
}

void put_page_type(struct page_info *pg)
{
    (void)put_type(pg, false);
}

bool get_page_and_type(struct page_info *pg, const struct domain *d, unsigned long type)
{
    if (!get_page(pg, d))
        return false;
    if (likely(get_page_type(pg, type)))
        return true;
    put_page(pg);
    return false;
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

int put_page_and_type_preemptible(struct page_info *pg)
{
    int rc = put_type(pg, true);

    put_page(pg);
    return rc;
}
