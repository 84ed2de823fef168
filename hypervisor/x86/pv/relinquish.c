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

/* pg is referenced. 0 or -ERESTART. */
static int relinquish_page(struct page_info *pg)
{
    int rc = 0;

    if (fetch_and(&pg->type_info, ~PGT_pinned) & PGT_pinned)
        rc = put_page_and_type_preemptible(pg);
    if (!rc)
        rc = finish_partial_type(pg, 0, true);
    if (!rc && (fetch_and(&pg->count_info, ~PGC_allocated) & PGC_allocated))
        put_page(pg);
    return rc;
}

/* Works through list; pages done are on relmem_list meanwhile. page_alloc_lock held, released in between. */
static int relinquish_list(struct domain *d, struct list_head *list)
{
    int rc = 0;
    bool progress = false;

    while (!rc && !list_empty(list)) {
        struct page_info *pg = list_first_entry(list, struct page_info, list);

        /* Its last reference is being dropped by someone who waits for our lock to unlink it. */
        if (!get_page(pg, d)) {
            list_move_tail(&pg->list, &d->arch.relmem_list);
            continue;
        }
        spin_unlock(&d->page_alloc_lock);
        rc = relinquish_page(pg);
        spin_lock(&d->page_alloc_lock);
        if (!rc)
            list_move_tail(&pg->list, &d->arch.relmem_list);
        spin_unlock(&d->page_alloc_lock);
        put_page(pg);
        if (!rc && progress && hypercall_preempt_check())
            rc = -ERESTART;
        progress = true;
        spin_lock(&d->page_alloc_lock);
    }
    if (!rc)
        list_splice_init(&d->arch.relmem_list, list);
    return rc;
}

int pv_relinquish_memory(struct domain *d)
{
    int rc;

    spin_lock(&d->page_alloc_lock);
    rc = d->arch.pv_teardown_stage ? 0 : relinquish_list(d, &d->page_list);
    if (!rc) {
        d->arch.pv_teardown_stage = 1;
        rc = relinquish_list(d, &d->xenpage_list);
    }
    spin_unlock(&d->page_alloc_lock);
    return rc;
}
