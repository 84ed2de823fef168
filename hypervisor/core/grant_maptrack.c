/* SPDX-License-Identifier: MIT */
/*
 * Maptrack: a grantee's records of the mappings it made, named by the handles that it holds. Each
 * vCPU has a list of free records of its own; the table's lock is taken only to grow.
 */
#include "grant.h"

#include <domus/heap.h>
#include <domus/xmalloc.h>
#include <asm/current.h>

static struct maptrack_entry *entry_of(struct grant_table *gt, grant_handle_t handle)
{
    return &gt->maptrack[handle / MAPTRACK_PER_FRAME][handle % MAPTRACK_PER_FRAME];
}

/* The list of the running vCPU, or the first if it is another domain's (teardown). */
static struct maptrack_list *own_list(struct domain *d)
{
    struct vcpu *v = current;
    unsigned int i = v->domain == d ? v->vcpu_id : 0;

    return &d->grant_table->maptrack_free[i];
}

static grant_handle_t pop(struct grant_table *gt, struct maptrack_list *list)
{
    grant_handle_t handle;

    spin_lock(&list->lock);
    handle = list->head;
    if (handle != INVALID_HANDLE)
        list->head = entry_of(gt, handle)->next;
    spin_unlock(&list->lock);
    return handle;
}

/* Put the records first .. last, which are linked, on a list. */
static void push(struct grant_table *gt, struct maptrack_list *list, grant_handle_t first,
                 grant_handle_t last)
{
    spin_lock(&list->lock);
    entry_of(gt, last)->next = list->head;
    list->head = first;
    spin_unlock(&list->lock);
}

/* gt->maptrack_lock is held. */
static int make_tables(struct domain *d, struct grant_table *gt)
{
    struct maptrack_list *lists;

    if (gt->maptrack_free)
        return 0;
    if (!gt->maptrack)
        gt->maptrack = xzalloc_array(struct maptrack_entry *, gt->max_maptrack_frames);
    lists = xzalloc_array(struct maptrack_list, d->max_vcpus);
    if (!gt->maptrack || !lists) {
        xfree(lists);
        return -ENOMEM;
    }
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        spin_lock_init(&lists[i].lock, RANK_LEAF);
        lists[i].head = INVALID_HANDLE;
    }
    gt->nr_lists = d->max_vcpus;
    smp_store_release(&gt->maptrack_free, lists);
    return 0;
}

/* Add a frame of records, the first of which is returned; INVALID_HANDLE if that cannot be. */
static grant_handle_t grow(struct domain *d, struct grant_table *gt)
{
    grant_handle_t first = INVALID_HANDLE;
    struct maptrack_entry *frame;

    spin_lock(&gt->maptrack_lock);
    if (gt->nr_maptrack_frames < gt->max_maptrack_frames && !make_tables(d, gt)) {
        frame = alloc_heap_pages(0, MEMF_zero);
        if (frame) {
            first = gt->nr_maptrack_frames * (grant_handle_t)MAPTRACK_PER_FRAME;
            for (unsigned int i = 0; i < MAPTRACK_PER_FRAME; i++)
                frame[i].next = first + i + 1;
            gt->maptrack[gt->nr_maptrack_frames] = frame;
            smp_store_release(&gt->nr_maptrack_frames, gt->nr_maptrack_frames + 1);
        }
    }
    spin_unlock(&gt->maptrack_lock);

    if (first != INVALID_HANDLE)
        push(gt, own_list(d), first + 1, first + (grant_handle_t)MAPTRACK_PER_FRAME - 1);
    return first;
}

/* From other vCPUs' lists: one that maps while another unmaps would run dry. */
static grant_handle_t steal(struct grant_table *gt)
{
    grant_handle_t handle = INVALID_HANDLE;

    for (unsigned int i = 0; handle == INVALID_HANDLE && i < gt->nr_lists; i++)
        if (READ_ONCE(gt->maptrack_free[i].head) != INVALID_HANDLE)
            handle = pop(gt, &gt->maptrack_free[i]);
    return handle;
}

struct maptrack_entry *maptrack_alloc(struct domain *d, grant_handle_t *handle)
{
    struct grant_table *gt = d->grant_table;
    grant_handle_t h = INVALID_HANDLE;
    struct maptrack_entry *e;

    if (smp_load_acquire(&gt->maptrack_free))
        h = pop(gt, own_list(d));
    if (h == INVALID_HANDLE)
        h = grow(d, gt);
    if (h == INVALID_HANDLE && gt->maptrack_free)
        h = steal(gt);
    if (h == INVALID_HANDLE)
        return NULL;

    e = entry_of(gt, h);
    WRITE_ONCE(e->state, MAPTRACK_BUSY);
    *handle = h;
    return e;
}

void maptrack_publish(struct maptrack_entry *e)
{
    smp_store_release(&e->state, MAPTRACK_IN_USE);
}

struct maptrack_entry *maptrack_claim(struct domain *d, grant_handle_t handle)
{
    struct grant_table *gt = d->grant_table;
    unsigned long nr = (unsigned long)smp_load_acquire(&gt->nr_maptrack_frames) * MAPTRACK_PER_FRAME;
    struct maptrack_entry *e;

    if (handle >= nr)
        return NULL;
    e = entry_of(gt, (grant_handle_t)array_index_nospec(handle, nr));
    return cmpxchg(&e->state, MAPTRACK_IN_USE, MAPTRACK_BUSY) == MAPTRACK_IN_USE ? e : NULL;
}

void maptrack_free(struct domain *d, struct maptrack_entry *e, grant_handle_t handle)
{
    e->granter = NULL;
    e->flags = 0;
    WRITE_ONCE(e->state, MAPTRACK_FREE);
    push(d->grant_table, own_list(d), handle, handle);
}

void maptrack_destroy(struct grant_table *gt)
{
    for (unsigned int i = 0; i < gt->nr_maptrack_frames; i++)
        free_heap_pages(gt->maptrack[i], 0);
    gt->nr_maptrack_frames = 0;
    XFREE(gt->maptrack);
    XFREE(gt->maptrack_free);
}
