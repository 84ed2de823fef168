/* SPDX-License-Identifier: MIT */
/*
 * Pages of a domain: allocation against its limit and others' claims, and the last put.
 *
 * A domain with pages holds a reference of itself, so that a page's owner never dangles. Claims
 * are promises: a total that allocations of other domains must leave in the heap.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <asm/mm.h>

/* ---- Claims; changed under the page_alloc_lock of the domain, read by all ---- */

static atomic_long_t claimed;

unsigned long total_claims(void)
{
    return (unsigned long)atomic_long_read(&claimed);
}

int domain_claim_pages(struct domain *d, unsigned long nr)
{
    unsigned long more;
    int rc = 0;

    spin_lock(&d->page_alloc_lock);
    if (nr == 0) {
        atomic_long_sub(d->outstanding_claims, &claimed);
        d->outstanding_claims = 0;
    } else if (d->outstanding_claims || nr <= d->tot_pages || nr > d->max_pages || d->is_dying)
        rc = -EINVAL;
    else {
        more = nr - d->tot_pages;
        if ((unsigned long)atomic_long_add_return((long)more, &claimed) > heap_free_pages_count()) {
            atomic_long_sub((long)more, &claimed);
            rc = -ENOMEM;
        } else
            d->outstanding_claims = (unsigned int)more;
    }
    spin_unlock(&d->page_alloc_lock);
    return rc;
}

/* Whether nr pages may go to d: what others have claimed stays. */
static bool claims_allow(const struct domain *d, unsigned long nr)
{
    unsigned long others;

    if (likely(!atomic_long_read(&claimed)))
        return true;
    others = total_claims() - READ_ONCE(d->outstanding_claims);
    return heap_free_pages_count() >= nr + others;
}

/* ---- Lists and counts ---- */

/* nr pages become d's; page_alloc_lock is held. type_info and PGC_foreign_stale stay: of pages that
 * come back they tell what stale TLB entries there may be. */
static void own_pages(struct domain *d, struct page_info *pg, unsigned int nr)
{
    for (unsigned int i = 0; i < nr; i++) {
        pg[i].owner = d;
        smp_wmb();      /* whoever sees a reference sees the owner */
        pg[i].count_info = PGC_allocated | 1 | (pg[i].count_info & PGC_foreign_stale);
        list_add_tail(&pg[i].list, &d->page_list);
    }
}

int assign_pages(struct page_info *pg, unsigned int nr, struct domain *d)
{
    unsigned int claim;

    spin_lock(&d->page_alloc_lock);
    if (d->is_dying || nr > d->max_pages || d->tot_pages > d->max_pages - nr) {
        int rc = d->is_dying ? -EINVAL : -E2BIG;

        spin_unlock(&d->page_alloc_lock);
        return rc;
    }
    if (d->tot_pages == 0)
        get_knownalive_domain(d);
    d->tot_pages += nr;
    claim = min(d->outstanding_claims, nr);
    if (claim) {
        d->outstanding_claims -= claim;
        atomic_long_sub(claim, &claimed);
    }
    own_pages(d, pg, nr);
    spin_unlock(&d->page_alloc_lock);
    return 0;
}

void number_pages(struct page_info *pg, unsigned int nr, unsigned long gpfn)
{
    unsigned long mfn = mfn_x(page_to_mfn(pg));

    for (unsigned int i = 0; i < nr; i++)
        set_gpfn_from_mfn(_mfn(mfn + i), gpfn == INVALID_M2P_ENTRY ? gpfn : gpfn + i);
}

struct page_info *alloc_domain_pages(struct domain *d, unsigned int order, unsigned int memflags, unsigned long gpfn)
{
    struct page_info *pg;

    if (order > MAX_ORDER || !claims_allow(d, 1UL << order))
        return NULL;
    pg = alloc_pages(order, memflags);
    if (!pg)
        return NULL;
    number_pages(pg, 1u << order, gpfn);
    if (assign_pages(pg, 1u << order, d)) {
        number_pages(pg, 1u << order, INVALID_M2P_ENTRY);
        free_pages(pg, order);
        return NULL;
    }
    return pg;
}

/* n pages fewer; the domain's reference goes with the last. */
static void uncount_pages(struct domain *d, unsigned int nr)
{
    bool last;

    spin_lock(&d->page_alloc_lock);
    d->tot_pages -= nr;
    last = d->tot_pages == 0;
    spin_unlock(&d->page_alloc_lock);
    if (last)
        put_domain(d);
}

void free_domain_page(struct page_info *pg)
{
    struct domain *d = pg->owner;
    bool hypervisors = pg->count_info & PGC_hypervisor, last;

    if (!d)
        return;
    spin_lock(&d->page_alloc_lock);
    list_del(&pg->list);
    last = hypervisors ? --d->xenheap_pages == 0 : --d->tot_pages == 0;
    spin_unlock(&d->page_alloc_lock);

    /* A page of the hypervisor's own is only not shared any more. */
    if (!hypervisors) {
        set_gpfn_from_mfn(page_to_mfn(pg), INVALID_M2P_ENTRY);
        pg->count_info = 0;
        pg->owner = NULL;
        free_guest_pages(pg, 0);
    }
    if (last)
        put_domain(d);
}

void drop_allocated_ref(struct page_info *pg)
{
    if (fetch_and(&pg->count_info, ~PGC_allocated) & PGC_allocated)
        put_page(pg);
}

void free_shared_page(struct page_info *pg)
{
    drop_allocated_ref(pg);
    /* Waits for who has just locked it, to see whether it is a page table: then nobody writes its page_info any more. */
    put_page_type(pg);
    pg->count_info = 0;
    pg->owner = NULL;
    free_guest_pages(pg, 0);
}

/*
 * Ends pg's being anyone's if it has refs references: the one of being its owner's, and the caller's if any. A type in
 * use would have another. Nobody can take a reference afterwards.
 */
static bool leave_owner(struct page_info *pg, unsigned long refs)
{
    unsigned long stale = READ_ONCE(pg->count_info) & PGC_foreign_stale, alone = PGC_allocated | refs | stale;

    return cmpxchg(&pg->count_info, alone, stale) == alone;
}

/* ---- Many at once ---- */

/* Gives nr pages from frame on back to the heap, in chunks as large as can be. */
static void free_run(unsigned long frame, unsigned long nr)
{
    while (nr) {
        unsigned int order = min((unsigned int)__builtin_ctzl(frame), (unsigned int)ilog2(nr));

        order = min(order, (unsigned int)MAX_ORDER);
        free_guest_pages(mfn_to_page(_mfn(frame)), order);
        frame += 1UL << order;
        nr -= 1UL << order;
    }
}

/* Frees the pages of list, of which nobody knows any more. Runs of frames that follow each other go as one. */
static void free_list_in_runs(struct list_head *list)
{
    unsigned long start = 0, nr = 0;

    while (!list_empty(list)) {
        struct page_info *pg = list_first_entry(list, struct page_info, list);
        unsigned long frame = mfn_x(page_to_mfn(pg));

        list_del(&pg->list);
        set_gpfn_from_mfn(_mfn(frame), INVALID_M2P_ENTRY);
        pg->owner = NULL;
        if (frame != start + nr) {
            free_run(start, nr);
            start = frame;
            nr = 0;
        }
        nr++;
    }
    free_run(start, nr);
}

unsigned int free_unused_pages(struct domain *d, unsigned int max)
{
    struct list_head unused;
    unsigned int nr = 0;
    bool last;

    INIT_LIST_HEAD(&unused);
    spin_lock(&d->page_alloc_lock);
    while (nr < max && !list_empty(&d->page_list)) {
        struct page_info *pg = list_first_entry(&d->page_list, struct page_info, list);

        if (!leave_owner(pg, 1))
            break;
        list_move_tail(&pg->list, &unused);
        nr++;
    }
    d->tot_pages -= nr;
    last = nr && d->tot_pages == 0;
    spin_unlock(&d->page_alloc_lock);

    free_list_in_runs(&unused);
    if (last)
        put_domain(d);
    return nr;
}

/* ---- Exchange ---- */

bool take_page(struct domain *d, struct page_info *pg)
{
    if (!leave_owner(pg, 2))
        return false;
    spin_lock(&d->page_alloc_lock);
    list_del(&pg->list);
    spin_unlock(&d->page_alloc_lock);
    pg->owner = NULL;
    return true;
}

bool give_pages(struct domain *d, struct page_info *pg, unsigned int nr)
{
    bool dying;

    spin_lock(&d->page_alloc_lock);
    dying = d->is_dying;
    if (!dying)
        own_pages(d, pg, nr);
    spin_unlock(&d->page_alloc_lock);
    if (dying)
        uncount_pages(d, nr);
    return !dying;
}
