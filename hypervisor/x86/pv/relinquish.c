/* SPDX-License-Identifier: MIT */
/*
 * Giving up the memory of a dying domain, in slices: pins are taken off, half-done validations undone,
 * and the reference dropped that a page has for being its owner's.
 *
 * Types lead downwards only (x86/pv/page_types.c), so with no pin and no address space left every
 * table loses its type, and with it the references that its entries hold, its own mappings of page
 * tables included. What remains are pages that other domains map; they go with the last mapping.
 */
#include <domus/domain.h>
#include <domus/hypercall.h>
#include <asm/mm.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>

#define PAGES_BETWEEN_CHECKS 32

/* pg is referenced. 0 or -ERESTART. */
static int relinquish_page(struct page_info *pg)
{
    int rc = 0;

    if ((READ_ONCE(pg->type_info) & PGT_pinned) && (fetch_and(&pg->type_info, ~PGT_pinned) & PGT_pinned))
        rc = put_page_and_type_preemptible(pg);
    if (!rc)
        rc = finish_partial_type(pg, 0, true);
    if (!rc && (fetch_and(&pg->count_info, ~PGC_allocated) & PGC_allocated))
        put_page(pg);
    return rc;
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
    struct page_info *pg;
    unsigned int n = 0;
    int rc;

    while ((pg = next_page(d, list)) != NULL) {
        rc = relinquish_page(pg);
        if (!rc)
            set_aside(d, pg);
        put_page(pg);
        if (!rc && ++n % PAGES_BETWEEN_CHECKS == 0 && hypercall_preempt_check())
            rc = -ERESTART;
        if (rc)
            return rc;
    }
    return 0;
}

int pv_relinquish_memory(struct domain *d)
{
    int rc = 0;

    if (!d->arch.pv_teardown_stage)
        rc = relinquish_list(d, &d->page_list);
    if (!rc) {
        d->arch.pv_teardown_stage = 1;
        rc = relinquish_list(d, &d->xenpage_list);
    }
    return rc;
}
