/* SPDX-License-Identifier: MIT */
/*
 * Mapping and unmapping other domains' grants.
 *
 * A mapping holds, for each of GNTMAP_host_map and GNTMAP_device_map, a reference on the page and,
 * unless it is read-only, one of its writable type. Those of the host mapping are the page-table
 * entry's: if the guest replaces the entry by other means, or its page tables are torn down, they
 * go with it, and the grant stays marked as in use until the record goes.
 */
#include "grant.h"

#include <domus/dirty_log.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/trace.h>
#include <asm/flushtlb.h>
#include <asm/pv_mm.h>

#define MAP_KINDS           ((u32)(GNTMAP_host_map | GNTMAP_device_map))
#define RELEASE_EVERY       64      /* records passed between two looks for other work */

static bool is_writable(u32 flags)
{
    return !(flags & GNTMAP_readonly);
}

/* The granter's grant is pinned and one reference on pg taken. The references end with the caller. */
static int make_mappings(struct page_info *pg, const struct gnttab_map_grant_ref *op)
{
    mfn_t mfn = page_to_mfn(pg);
    bool write = is_writable(op->flags);
    int rc;

    /* One reference is there, which is enough for one kind. */
    if ((op->flags & MAP_KINDS) == MAP_KINDS) {
        if (!get_page(pg, pg->owner))
            return GNTST_general_error;
        if (write && !get_page_type(pg, PGT_writable_page)) {
            put_page(pg);
            return GNTST_general_error;
        }
    }
    if (!(op->flags & GNTMAP_host_map))
        return GNTST_okay;

    rc = pv_create_grant_mapping(op->host_addr, mfn, op->flags, 0);
    if (rc != GNTST_okay && (op->flags & GNTMAP_device_map))
        gnttab_put_page(pg, write);
    return rc;
}

static int map_grant(struct domain *d, struct domain *granter, struct gnttab_map_grant_ref *op)
{
    bool write = is_writable(op->flags);
    struct maptrack_entry *e;
    struct page_info *pg;
    grant_handle_t handle;
    int rc;

    e = maptrack_alloc(d, &handle);
    if (!e)
        return GNTST_no_space;

    rc = gnttab_pin(granter, op->ref, d->domain_id, write, &pg);
    if (rc != GNTST_okay)
        goto no_pin;
    rc = make_mappings(pg, op);
    if (rc != GNTST_okay)
        goto no_mapping;

    e->granter = granter;
    e->ref = op->ref;
    e->flags = (u16)op->flags;
    op->handle = handle;
    op->dev_bus_addr = (u64)mfn_x(page_to_mfn(pg)) << PAGE_SHIFT;
    maptrack_publish(e);
    trace(TRC_MEM_PAGE_GRANT_MAP, granter->domain_id);
    return GNTST_okay;

 no_mapping:
    gnttab_put_page(pg, write);
    gnttab_unpin(granter, op->ref, write);
 no_pin:
    maptrack_free(d, e, handle);
    return rc;
}

void gnttab_map_one(struct domain *d, struct gnttab_map_grant_ref *op)
{
    struct domain *granter;

    op->handle = INVALID_HANDLE;
    op->dev_bus_addr = 0;
    if (!(op->flags & MAP_KINDS)) {
        op->status = GNTST_bad_gntref;
        return;
    }
    granter = get_domain_by_id(op->dom);    /* the record keeps the reference */
    if (!granter) {
        op->status = GNTST_bad_domain;
        return;
    }
    op->status = granter->is_dying || !granter->grant_table ? GNTST_bad_domain
                                                            : (s16)map_grant(d, granter, op);
    if (op->status != GNTST_okay)
        put_domain(granter);
}

int gnttab_unmap_one(struct domain *d, grant_handle_t handle, u64 host_addr, u64 dev_bus_addr,
                     u64 new_addr, struct unmap_rest *rest)
{
    struct maptrack_entry *e = maptrack_claim(d, handle);
    int rc = GNTST_okay;
    mfn_t mfn;

    rest->entry = NULL;
    if (!e)
        return GNTST_bad_handle;
    *rest = (struct unmap_rest){ .entry = e, .handle = handle };
    mfn = page_to_mfn(gnttab_pinned_page(e->granter, e->ref));

    if (dev_bus_addr && (e->flags & GNTMAP_device_map)) {
        if (dev_bus_addr != (u64)mfn_x(mfn) << PAGE_SHIFT)
            rc = GNTST_bad_dev_addr;
        else
            rest->undone |= GNTMAP_device_map;
    }
    if (rc == GNTST_okay && host_addr && (e->flags & GNTMAP_host_map)) {
        rc = pv_destroy_grant_mapping(host_addr, mfn, new_addr, e->flags);
        if (rc == GNTST_okay)
            rest->undone |= GNTMAP_host_map;
        else
            rest->undone = 0;
    }
    return rc;
}

void gnttab_unmap_finish(struct domain *d, struct unmap_rest *rest, unsigned int nr)
{
    u16 undone = 0;

    for (unsigned int i = 0; i < nr; i++)
        if (rest[i].entry)
            undone |= rest[i].undone;
    /* Before the pages can be anything else. */
    if (undone & GNTMAP_host_map)
        flush_tlb_mask(&d->arch.dirty_cpumask);

    for (unsigned int i = 0; i < nr; i++) {
        struct maptrack_entry *e = rest[i].entry;
        struct domain *granter;
        struct page_info *pg;
        bool write;

        if (!e)
            continue;
        granter = e->granter;
        write = is_writable(e->flags);
        pg = gnttab_pinned_page(granter, e->ref);
        /* What was written through the mapping is in no log yet. */
        if (write)
            mark_dirty(granter, page_to_mfn(pg));
        if (rest[i].undone & GNTMAP_host_map)
            gnttab_put_page(pg, write);
        if (rest[i].undone & GNTMAP_device_map)
            gnttab_put_page(pg, write);

        e->flags &= (u16)~rest[i].undone;
        if (e->flags & MAP_KINDS) {
            maptrack_publish(e);
            continue;
        }
        gnttab_unpin(granter, e->ref, write);
        maptrack_free(d, e, rest[i].handle);
        trace(TRC_MEM_PAGE_GRANT_UNMAP, granter->domain_id);
        put_domain(granter);
    }
}

int grant_table_release_mappings(struct domain *d)
{
    struct grant_table *gt = d->grant_table;

    if (!gt)
        return 0;
    while (gt->release_next < gt->nr_maptrack_frames * MAPTRACK_PER_FRAME) {
        grant_handle_t handle = gt->release_next++;
        struct maptrack_entry *e = maptrack_claim(d, handle);

        if (e) {
            /* Page-table entries are torn down with the page tables, and their references. */
            struct unmap_rest rest = { e, handle, e->flags & GNTMAP_device_map };

            e->flags &= (u16)~GNTMAP_host_map;
            gnttab_unmap_finish(d, &rest, 1);
        }
        if (gt->release_next % RELEASE_EVERY == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}
