/* SPDX-License-Identifier: MIT */
/*
 * Giving up the memory of a dying domain, in slices: pins are taken off, half-done validations undone,
 * and the reference dropped that a page has for being its owner's.
 *
 * Types lead downwards only (x86/pv/page_types.c), so with no pin and no address space left every
 * table loses its type, and with it the references that its entries hold, its own mappings of page
 * tables included. Hence all pins go first: then nearly all pages have no user but their owner, and are
 * freed by the hundred. What remains are pages that other domains map; they go with the last mapping.
 */
#include <domus/domain.h>
#include <domus/hypercall.h>
#include <asm/mm.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>

#define PAGES_BETWEEN_CHECKS 32
#define SIMPLE_PAGES_AT_ONCE 512

/* domain.arch.pv_teardown_stage */
enum { STAGE_UNPIN, STAGE_PAGES, STAGE_XENPAGES };

/* pg, which is referenced, loses its pin and a half-done validation. 0 or -ERESTART. */
static int unpin_page(struct page_info *pg)
{
    int rc = 0;

    if ((READ_ONCE(pg->type_info) & PGT_pinned) && (fetch_and(&pg->type_info, ~PGT_pinned) & PGT_pinned))
        rc = put_page_and_type_preemptible(pg);
    return rc ? rc : finish_partial_type(pg, 0, true);
}

/* pg is referenced. 0 or -ERESTART. */
static int relinquish_page(struct page_info *pg)
{
    int rc = unpin_page(pg);

    if (!rc && (fetch_and(&pg->count_info, ~PGC_allocated) & PGC_allocated))
        put_page(pg);
    return rc;
}

/*
 * Looks at some pages of d's list, which go to relmem_list: the first that unpin_page has to do with, referenced, or NULL.
 * When none is left all go back, and *done is set.
 */
static struct page_info *next_pinned(struct domain *d, bool *done)
{
    struct page_info *pg = NULL;

    spin_lock(&d->page_alloc_lock);
    for (unsigned int n = 0; !pg && n < SIMPLE_PAGES_AT_ONCE && !list_empty(&d->page_list); n++) {
        struct page_info *next = list_first_entry(&d->page_list, struct page_info, list);

        list_move_tail(&next->list, &d->arch.relmem_list);
        if ((READ_ONCE(next->type_info) & (PGT_pinned | PGT_partial)) && get_page(next, d))
            pg = next;
    }
    *done = !pg && list_empty(&d->page_list);
    if (*done)
        list_splice_init(&d->arch.relmem_list, &d->page_list);
    spin_unlock(&d->page_alloc_lock);
    return pg;
}

/* 0 or -ERESTART. */
static int unpin_pages(struct domain *d)
{
    bool done = false;

    while (!done) {
        struct page_info *pg = next_pinned(d, &done);
        int rc = pg ? unpin_page(pg) : 0;

        if (rc) {
            spin_lock(&d->page_alloc_lock);
            list_move(&pg->list, &d->page_list);
            spin_unlock(&d->page_alloc_lock);
        }
        if (pg)
            put_page(pg);
        if (rc || (!done && hypercall_preempt_check()))
            return -ERESTART;
    }
    return 0;
}

/* Puts pg, which is done with and referenced, out of the way, unless it goes with that reference. */
static void set_aside(struct domain *d, struct page_info *pg)
{
    if ((READ_ONCE(pg->count_info) & PGC_count_mask) > 1) {
        spin_lock(&d->page_alloc_lock);
        list_move_tail(&pg->list, &d->arch.relmem_list);
        spin_unlock(&d->page_alloc_lock);
    }
}

/* The next page of list, referenced; NULL: none is left. */
static struct page_info *next_page(struct domain *d, struct list_head *list)
{
    struct page_info *pg = NULL;

    spin_lock(&d->page_alloc_lock);
    while (!list_empty(list)) {
        pg = list_first_entry(list, struct page_info, list);
        if (get_page(pg, d))
            break;
        /* Its last reference is being dropped by someone who waits for our lock to unlink it. */
        list_move_tail(&pg->list, &d->arch.relmem_list);
        pg = NULL;
    }
    if (!pg)
        list_splice_init(&d->arch.relmem_list, list);
    spin_unlock(&d->page_alloc_lock);
    return pg;
}

/* Works through list; pages that others still use are on relmem_list meanwhile. 0 or -ERESTART. */
static int relinquish_list(struct domain *d, struct list_head *list)
{
    unsigned int n = 0;
    int rc = 0;

    while (!rc) {
        struct page_info *pg;

        if (list == &d->page_list && free_unused_pages(d, SIMPLE_PAGES_AT_ONCE)) {
            rc = hypercall_preempt_check() ? -ERESTART : 0;
            continue;
        }
        pg = next_page(d, list);
        if (!pg)
            return 0;
        rc = relinquish_page(pg);
        if (!rc)
            set_aside(d, pg);
        put_page(pg);
        if (!rc && ++n % PAGES_BETWEEN_CHECKS == 0 && hypercall_preempt_check())
            rc = -ERESTART;
    }
    return rc;
}

int pv_relinquish_memory(struct domain *d)
{
    int rc = 0;

    switch (d->arch.pv_teardown_stage) {
    case STAGE_UNPIN:
        rc = unpin_pages(d);
        if (rc)
            return rc;
        d->arch.pv_teardown_stage = STAGE_PAGES;
        fallthrough;
    case STAGE_PAGES:
        rc = relinquish_list(d, &d->page_list);
        if (rc)
            return rc;
        d->arch.pv_teardown_stage = STAGE_XENPAGES;
        fallthrough;
    default:
        return relinquish_list(d, &d->xenpage_list);
    }
}
