/* SPDX-License-Identifier: MIT */
/*
 * Shadow page tables, for logging what a running guest writes.
 *
 * A frame that is a page table has one level for as long as it has its type, so each of the guest's tables
 * has at most one shadow: page_info.shadow of the one names the other, page_info.shadowed goes back. A shadow
 * is filled from page faults, entry by entry, and holds no references: an entry lives only as long as the
 * guest's entry that it copies.
 *
 *   - Whoever changes an entry of the guest's empties the shadow's (shadow_entry_changed) before he drops
 *     what the old entry referred to. TLBs are then as far behind as they would be without shadows.
 *   - A table loses its shadow (shadow_table_ended) before it drops what its entries refer to.
 *   - A shadow's page is used for another only after all CPUs that run the domain have flushed their TLBs.
 *   - All shadows are emptied at once, whatever their number: the roots that vCPUs hold are, a new turn begins, and TLBs
 *     are flushed. The others are out of the CPUs' reach then, and are emptied when a walk comes by that finds in them
 *     the mark of another turn.
 *
 * The lock, d->arch.shadow.lock, guards all shadows. Under it, the tables that a walk from a vCPU's base goes
 * through stay what they are: to drop one, its last entry must have been changed, and then the lock taken.
 * An entry is changed without the lock and looked at without the changer's, so both sides first say what they
 * do and then look: the changer at page_info.shadow, the filler at the entry.
 *
 * Entries of level 1 allow writing only if the page is marked in the log and the guest's entry is dirty. All
 * entries have the accessed bit, and the dirty bit where they are writable, so that the CPU never changes a
 * shadow; the guest's own get theirs here.
 */
#include <asm/pv_shadow.h>

#include <domus/arch.h>
#include <domus/dirty_log.h>
#include <domus/heap.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <asm/current.h>
#include <asm/flushtlb.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <asm/traps.h>

/* Tables below the root that one address needs. */
#define WALK_TABLES 3
/* Of the pool, for a vCPU: its two roots, and tables for all that one instruction may touch, with room to spare. */
#define POOL_A_VCPU 128
/* And a page for so many of the domain's. */
#define PAGES_A_POOL_PAGE 256
/* Moved between pool and heap between two looks for other work. */
#define POOL_A_SLICE 64
/* Shadows given up at once, where pages are wanted or the mode ends. */
#define DETACH_MOST 2048

static inline struct shadow *shadow_of(struct domain *d) { return &d->arch.shadow; }
static inline pte_t *shadow_table(const struct page_info *pg) { return mfn_to_virt(_mfn(pg->shadow)); }

void shadow_init(struct domain *d)
{
    struct shadow *s = shadow_of(d);

    BUILD_BUG_ON(DIRECTMAP_SIZE >> PAGE_SHIFT > 1UL << 32);     /* page_info.shadow and .shadowed */
    spin_lock_init(&s->lock, RANK_SHADOW);
    INIT_LIST_HEAD(&s->free);
    INIT_LIST_HEAD(&s->stale);
    INIT_LIST_HEAD(&s->tables);
    INIT_LIST_HEAD(&s->roots);
}

/* ---- The pool ---- */

/* Gives the guest's table pg a shadow, of which there is a page free. */
static void attach(struct shadow *s, struct page_info *pg, struct list_head *list)
{
    struct page_info *page = list_first_entry(&s->free, struct page_info, list);

    s->nr_free--;
    list_move_tail(&page->list, list);
    clear_page(page_to_virt(page));
    page->shadowed = (u32)mfn_x(page_to_mfn(pg));
    page->shadow_turn = s->turn;
    WRITE_ONCE(pg->shadow, (u32)mfn_x(page_to_mfn(page)));
    /* From now on a changed entry of pg is told here, or has been changed before it is looked at. */
    smp_mb();
}

/* Takes the shadow in this page away from its table. */
static void detach(struct shadow *s, struct page_info *page)
{
    WRITE_ONCE(mfn_to_page(_mfn(page->shadowed))->shadow, 0);
    list_move_tail(&page->list, &s->stale);
    s->nr_stale++;
}

static void clear_guest_slots(pte_t *l4)
{
    for (unsigned int i = 0; i < PTES_PER_PAGE; i++) {
        if (i < HV_FIRST_SLOT || i > HV_LAST_SLOT)
            pte_write(&l4[i], pte_empty());
    }
}

/* Empties the root with that base; 0: there is none. */
static void empty_root(struct shadow *s, unsigned long cr3)
{
    struct page_info *page = mfn_to_page(maddr_to_mfn(cr3));

    if (cr3 == 0)
        return;
    clear_guest_slots(page_to_virt(page));
    page->shadow_turn = s->turn;
}

/* Empties all shadows; of those that vCPUs do not hold, nothing has this turn's mark then. TLBs are to be flushed. */
static void empty_all(struct domain *d)
{
    struct shadow *s = shadow_of(d);
    struct vcpu *v;

    s->turn++;
    for_each_vcpu(d, v) {
        empty_root(s, v->arch.cr3_kernel);
        empty_root(s, v->arch.cr3_user);
    }
}

/* Detaches the oldest of a list, nr at most, which are all empty; roots that vCPUs hold stay. Returns how many it were. */
static unsigned int detach_oldest(struct shadow *s, struct list_head *list, unsigned int nr)
{
    struct page_info *page, *next;
    unsigned int done = 0;

    list_for_each_entry_safe(page, next, list, list) {
        if (done == nr)
            break;
        if (page->shadow_turn != s->turn) {
            detach(s, page);
            done++;
        }
    }
    return done;
}

/* Empties all shadows and gives up some. Returns whether there may be more. TLBs are to be flushed. */
static bool detach_some(struct domain *d)
{
    struct shadow *s = shadow_of(d);
    unsigned int done;

    empty_all(d);
    done = detach_oldest(s, &s->tables, DETACH_MOST);
    done += detach_oldest(s, &s->roots, DETACH_MOST - done);
    return done == DETACH_MOST;
}

static void flush_stale(struct domain *d)
{
    struct shadow *s = shadow_of(d);

    /* A CPU that is not in the mask yet finds nothing of what has been taken away. */
    smp_mb();
    flush_tlb_mask(&d->arch.dirty_cpumask);
    list_splice_init(&s->stale, &s->free);
    s->nr_free += s->nr_stale;
    s->nr_stale = 0;
}

/* Sees to it that nr pages, which are few, are free. Shadows may go, but for the roots of vCPUs. */
static void reserve(struct domain *d, unsigned int nr)
{
    struct shadow *s = shadow_of(d);

    if (likely(s->nr_free >= nr))
        return;
    if (s->nr_free + s->nr_stale < nr)
        (void)detach_some(d);
    flush_stale(d);
    BUG_ON(s->nr_free < nr);
}

unsigned long shadow_wanted_pool(const struct domain *d)
{
    return (unsigned long)d->max_vcpus * POOL_A_VCPU + d->tot_pages / PAGES_A_POOL_PAGE;
}

static bool grow_pool(struct shadow *s)
{
    struct page_info *page = alloc_pages(0, MEMF_no_scrub);

    if (!page)
        return false;
    spin_lock(&s->lock);
    list_add(&page->list, &s->free);
    s->nr_free++;
    spin_unlock(&s->lock);
    s->total++;
    return true;
}

static void shrink_pool(struct domain *d)
{
    struct shadow *s = shadow_of(d);
    struct page_info *page;

    spin_lock(&s->lock);
    reserve(d, 1);
    page = list_first_entry(&s->free, struct page_info, list);
    list_del(&page->list);
    s->nr_free--;
    spin_unlock(&s->lock);
    s->total--;
    free_pages(page, 0);
}

int shadow_set_pool(struct domain *d, unsigned long pages)
{
    struct shadow *s = shadow_of(d);

    if (d->dirty_log)
        pages = max(pages, (unsigned long)d->max_vcpus * POOL_A_VCPU);
    if (pages > s->total && pages - s->total > heap_free_pages_count())
        return -ENOMEM;
    for (unsigned int n = 0; s->total != pages; n++) {
        if (n && n % POOL_A_SLICE == 0 && hypercall_preempt_check())
            return -ERESTART;
        if (s->total > pages)
            shrink_pool(d);
        else if (!grow_pool(s))
            return -ENOMEM;
    }
    return 0;
}

/* Whether the shadow of the guest's table pg has been emptied since all were. */
static bool is_of_this_turn(const struct shadow *s, const struct page_info *pg)
{
    return mfn_to_page(_mfn(pg->shadow))->shadow_turn == s->turn;
}

/* ---- Roots ---- */

/* The page table base for the guest's fourth level `table`, which v holds; in_use: v runs on it now. */
static void set_root(struct vcpu *v, unsigned long *cr3, mfn_t table, bool in_use)
{
    struct domain *d = v->domain;
    struct page_info *pg = mfn_to_page(table);
    const pte_t *guest = mfn_to_virt(table);
    pte_t *l4;

    if (mfn_x(table) == 0) {
        *cr3 = 0;
        return;
    }
    if (!pg->shadow) {
        reserve(d, 1);
        attach(shadow_of(d), pg, &shadow_of(d)->roots);
    } else if (!is_of_this_turn(shadow_of(d), pg)) {
        empty_root(shadow_of(d), mfn_to_maddr(_mfn(pg->shadow)));
    }
    l4 = shadow_table(pg);
    /* The slot of the machine-to-physical table comes and goes (x86/pv/cr3.c), the others stay. */
    for (unsigned int i = HV_FIRST_SLOT; i <= HV_LAST_SLOT; i++)
        pte_write(&l4[i], pte_read(&guest[i]));
    if (*cr3 == mfn_to_maddr(_mfn(pg->shadow)))
        return;
    *cr3 = mfn_to_maddr(_mfn(pg->shadow));
    /* Before the lock is released: the former root is not kept for v any more. */
    if (in_use)
        write_ptbase(v);
}

void shadow_update_cr3(struct vcpu *v)
{
    struct shadow *s = shadow_of(v->domain);
    bool kernel = v->arch.flags & VF_KERNEL_MODE;

    spin_lock(&s->lock);
    set_root(v, &v->arch.cr3_kernel, v->arch.guest_table, v == current && kernel);
    set_root(v, &v->arch.cr3_user, v->arch.guest_table_user, v == current && !kernel);
    spin_unlock(&s->lock);
}

/* ---- Changes of the guest's tables ---- */

void shadow_entry_changed_slow(const pte_t *p)
{
    struct page_info *pg = virt_to_page(p);
    struct shadow *s = shadow_of(pg->owner);

    mark_dirty(pg->owner, page_to_mfn(pg));
    if (!READ_ONCE(pg->shadow))
        return;
    spin_lock(&s->lock);
    if (pg->shadow)
        pte_write(&shadow_table(pg)[((unsigned long)p & ~PAGE_MASK) / sizeof(*p)], pte_empty());
    spin_unlock(&s->lock);
    /* As after the change of the guest's entry: a look at the flush clock, or at who is to be flushed, comes later. */
    smp_mb();
}

void shadow_table_ended_slow(struct page_info *pg)
{
    struct shadow *s = shadow_of(pg->owner);

    mark_dirty(pg->owner, page_to_mfn(pg));
    if (!READ_ONCE(pg->shadow))
        return;
    spin_lock(&s->lock);
    if (pg->shadow)
        detach(s, mfn_to_page(_mfn(pg->shadow)));
    spin_unlock(&s->lock);
}

/* ---- Faults ---- */

/* A walk for one access. */
struct walk {
    struct domain *d;
    unsigned long va;
    bool write, insn;
    bool changed;               /* a shadow's entry was filled or allows more, or the guest's changed meanwhile */
};

/* Sets bits in the guest's entry p, which was e, as the CPU would; false: somebody else has changed it. */
static bool set_accessed(struct walk *w, pte_t *p, pte_t *e, u64 bits)
{
    pte_t val = { e->v | bits };

    if (val.v == e->v)
        return true;
    if (pte_cmpxchg(p, *e, val).v != e->v) {
        w->changed = true;
        return false;
    }
    *e = val;
    mark_dirty(w->d, virt_to_mfn(p));
    return true;
}

static void set_shadow_entry(struct walk *w, pte_t *p, pte_t val)
{
    if (pte_read(p).v != val.v) {
        pte_write(p, val);
        w->changed = true;
    }
}

/* The frame that a writable entry of level 1 maps: whether the log knows that it is written, or need not know. */
static bool is_marked(const struct domain *d, mfn_t mfn)
{
    return !mfn_valid(mfn) || mfn_to_page(mfn)->owner != d || dirty_log_marked(d->dirty_log, mfn);
}

/* Fills the shadow's entry of level 1 from the guest's at p, which is e. may_write: the levels above permit it. */
static void fill_leaf(struct walk *w, pte_t *shadow, pte_t *p, pte_t e, bool may_write)
{
    mfn_t mfn = pte_mfn(e);
    bool write = w->write && may_write && (e.v & _PAGE_RW);

    if (!set_accessed(w, p, &e, _PAGE_ACCESSED | (write ? _PAGE_DIRTY : 0)))
        return;
    /* Frames of other domains' are logged for those, as far as their logs can know. */
    if (write && mfn_valid(mfn) && mfn_to_page(mfn)->owner)
        mark_dirty(mfn_to_page(mfn)->owner, mfn);
    if (!write && (!(e.v & _PAGE_DIRTY) || !is_marked(w->d, mfn)))
        e.v &= ~_PAGE_RW;
    if (!(e.v & _PAGE_RW))
        e.v &= ~_PAGE_DIRTY;
    set_shadow_entry(w, shadow, e);
}

/* The shadow of the guest's table pg, below a root, is there and of this turn. */
static void want_shadow(struct shadow *s, struct page_info *pg)
{
    if (!pg->shadow) {
        attach(s, pg, &s->tables);
    } else if (!is_of_this_turn(s, pg)) {
        clear_page(shadow_table(pg));
        mfn_to_page(_mfn(pg->shadow))->shadow_turn = s->turn;
    }
}

/* Goes down from the root pg. Returns whether the guest's tables permit the access; what they permit is filled. */
static bool fill(struct walk *w, struct page_info *pg)
{
    u64 rights = _PAGE_RW, forbidden = 0;

    for (unsigned int level = 4;; level--) {
        unsigned int index = pt_index(w->va, level);
        pte_t *p = (pte_t *)page_to_virt(pg) + index, *shadow = shadow_table(pg) + index, e = pte_read(p);
        struct page_info *below;

        /* Not there: that is what the error code says in any case. */
        if (!pte_present(e)) {
            w->changed = false;
            return false;
        }
        rights &= e.v;
        forbidden |= e.v & _PAGE_NX;
        if (level == 1) {
            fill_leaf(w, shadow, p, e, rights);
            return (!w->write || rights) && (!w->insn || !forbidden);
        }
        if (!set_accessed(w, p, &e, _PAGE_ACCESSED))
            return false;
        below = mfn_to_page(pte_mfn(e));
        want_shadow(shadow_of(w->d), below);
        set_shadow_entry(w, shadow, pte_from_mfn(_mfn(below->shadow), pte_flags(e)));
        pg = below;
    }
}

bool shadow_fault(struct vcpu *v, unsigned long va, u32 error_code)
{
    struct domain *d = v->domain;
    struct shadow *s = shadow_of(d);
    mfn_t root = v->arch.flags & VF_KERNEL_MODE ? v->arch.guest_table : v->arch.guest_table_user;
    struct walk w = { .d = d, .va = va, .write = error_code & PFEC_WRITE, .insn = error_code & PFEC_INSN };
    bool permitted;

    spin_lock(&s->lock);
    s->fault_count++;
    reserve(d, WALK_TABLES);
    permitted = fill(&w, mfn_to_page(root));
    spin_unlock(&s->lock);
    /* If nothing was missing, this CPU's TLB may have been behind, which its guest is not to see. An access by the
     * hypervisor, or by the CPU on its own, may be forbidden for other reasons. */
    return w.changed || (permitted && (error_code & PFEC_USER));
}

/* ---- The mode ---- */

void shadow_revoke(struct domain *d)
{
    struct shadow *s = shadow_of(d);

    spin_lock(&s->lock);
    empty_all(d);
    flush_stale(d);
    spin_unlock(&s->lock);
}

void shadow_start(struct domain *d, struct dirty_log *log)
{
    struct vcpu *v;

    shadow_of(d)->fault_count = 0;
    smp_store_release(&d->dirty_log, log);
    for_each_vcpu(d, v) {
        update_cr3(v);
        pv_update_entry(v);
    }
}

int shadow_clear(struct domain *d)
{
    struct shadow *s = shadow_of(d);
    bool more;

    do {
        spin_lock(&s->lock);
        more = detach_some(d);
        flush_stale(d);
        spin_unlock(&s->lock);
        if (more && hypercall_preempt_check())
            return -ERESTART;
    } while (more);
    return 0;
}

struct dirty_log *shadow_stop(struct domain *d)
{
    struct shadow *s = shadow_of(d);
    struct dirty_log *log = d->dirty_log;
    struct vcpu *v;

    spin_lock(&s->lock);
    for_each_vcpu(d, v) {
        v->arch.cr3_kernel = mfn_to_maddr(v->arch.guest_table);
        v->arch.cr3_user = mfn_to_maddr(v->arch.guest_table_user);
    }
    /* The roots that vCPUs held are left. */
    s->turn++;
    (void)detach_oldest(s, &s->roots, ~0u);
    flush_stale(d);
    BUG_ON(s->nr_free != s->total);
    WRITE_ONCE(d->dirty_log, NULL);
    spin_unlock(&s->lock);
    for_each_vcpu(d, v)
        pv_update_entry(v);
    return log;
}
