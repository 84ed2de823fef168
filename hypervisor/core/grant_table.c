/* SPDX-License-Identifier: MIT */
/*
 * Grant tables, the granter's side: the table shared with the domain, and which of its entries are
 * in use. Specification: xen/grant_table.h.
 */
#include "grant.h"

#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/xmalloc.h>

#define DEFAULT_GRANT_FRAMES    64
#define DEFAULT_MAPTRACK_FRAMES 1024
#define UNSTABLE_TRIES          5       /* a guest may change an entry under our hands this often */

static unsigned int gnttab_max_frames = DEFAULT_GRANT_FRAMES;
static unsigned int gnttab_max_maptrack_frames = DEFAULT_MAPTRACK_FRAMES;
PARAM_INT("gnttab_max_frames", gnttab_max_frames);
PARAM_INT("gnttab_max_maptrack_frames", gnttab_max_maptrack_frames);

/* ---- Finding entries ---- */

/* The active entry of ref, or NULL if the table does not reach so far; *shared is the guest's entry. */
static struct active_grant *find_grant(struct domain *d, grant_ref_t ref, grant_entry_v1_t **shared)
{
    struct grant_table *gt = d->grant_table;
    unsigned long nr = (unsigned long)smp_load_acquire(&gt->nr_frames) * GRANTS_PER_FRAME;
    unsigned long i = ref;

    if (i >= nr)
        return NULL;
    i = array_index_nospec(i, nr);
    *shared = &gt->shared[i / GRANTS_PER_FRAME][i % GRANTS_PER_FRAME];
    return &gt->active[i / GRANTS_PER_FRAME][i % GRANTS_PER_FRAME];
}

/* ---- Use of a grant ---- */

/*
 * Set GTF_reading and, with write, GTF_writing in the guest's entry, if flags and domid together
 * allow it: they are one word, read and replaced at once.
 */
static int mark_in_use(grant_entry_v1_t *shared, domid_t grantee, bool write)
{
    u32 *word = (u32 *)shared;
    u32 old = __atomic_load_n(word, __ATOMIC_SEQ_CST);

    BUILD_BUG_ON(offsetof(grant_entry_v1_t, flags) != 0 || offsetof(grant_entry_v1_t, domid) != 2);

    for (unsigned int i = 0; i < UNSTABLE_TRIES; i++) {
        u32 flags = old & 0xffff, new = old | GTF_reading | (write ? GTF_writing : 0);

        if ((flags & GTF_type_mask) != GTF_permit_access || (domid_t)(old >> 16) != grantee)
            return GNTST_general_error;
        if (write && (flags & GTF_readonly))
            return GNTST_general_error;
        if (__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return GNTST_okay;
    }
    return GNTST_general_error;
}

/* Take back what mark_in_use set, as far as no user is left that needs it; act->lock is held. */
static void unmark(const struct active_grant *act, grant_entry_v1_t *shared)
{
    u16 gone = 0;

    if (!act->writers)
        gone |= GTF_writing;
    if (!act->writers && !act->readers)
        gone |= GTF_reading;
    if (gone)
        (void)fetch_and(&shared->flags, (u16)~gone);
}

static struct page_info *hold_page(const struct domain *granter, mfn_t mfn, bool write)
{
    struct page_info *pg = get_page_from_mfn(mfn, granter);

    if (pg && write && !get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        pg = NULL;
    }
    return pg;
}

/* act->lock is held. */
static int pin_locked(struct active_grant *act, grant_entry_v1_t *shared, struct domain *granter,
                      domid_t grantee, bool write, struct page_info **page)
{
    bool first = !act->readers && !act->writers;
    int rc;

    if (!first && act->domid != grantee)
        return GNTST_general_error;
    if (first || (write && !act->writers)) {
        rc = mark_in_use(shared, grantee, write);
        if (rc != GNTST_okay)
            return rc;
    }
    if (first) {
        act->domid = grantee;
        act->mfn = _mfn(READ_ONCE(shared->frame));
    }

    *page = hold_page(granter, act->mfn, write);
    if (!*page) {
        unmark(act, shared);
        return GNTST_general_error;
    }
    if (write)
        act->writers++;
    else
        act->readers++;
    return GNTST_okay;
}

int gnttab_pin(struct domain *granter, grant_ref_t ref, domid_t grantee, bool write,
               struct page_info **page)
{
    grant_entry_v1_t *shared;
    struct active_grant *act = find_grant(granter, ref, &shared);
    int rc;

    if (!act)
        return GNTST_bad_gntref;
    spin_lock(&act->lock);
    rc = pin_locked(act, shared, granter, grantee, write, page);
    spin_unlock(&act->lock);
    return rc;
}

void gnttab_unpin(struct domain *granter, grant_ref_t ref, bool write)
{
    grant_entry_v1_t *shared = NULL;
    struct active_grant *act = find_grant(granter, ref, &shared);

    spin_lock(&act->lock);
    if (write)
        act->writers--;
    else
        act->readers--;
    unmark(act, shared);
    spin_unlock(&act->lock);
}

struct page_info *gnttab_pinned_page(struct domain *granter, grant_ref_t ref)
{
    grant_entry_v1_t *shared = NULL;

    return mfn_to_page(find_grant(granter, ref, &shared)->mfn);
}

int gnttab_swap(struct domain *d, grant_ref_t a, grant_ref_t b)
{
    grant_entry_v1_t *shared_a = NULL, *shared_b = NULL;
    struct active_grant *act_a = find_grant(d, a, &shared_a);
    struct active_grant *act_b = find_grant(d, b, &shared_b);
    int rc = GNTST_eagain;

    if (!act_a || !act_b)
        return GNTST_bad_gntref;
    if (a == b)
        return GNTST_okay;

    spin_lock(a < b ? &act_a->lock : &act_b->lock);
    spin_lock_same_rank(a < b ? &act_b->lock : &act_a->lock);
    if (!(act_a->readers | act_a->writers | act_b->readers | act_b->writers)) {
        u64 was = __atomic_load_n((u64 *)shared_a, __ATOMIC_RELAXED);

        __atomic_store_n((u64 *)shared_a, __atomic_load_n((u64 *)shared_b, __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
        __atomic_store_n((u64 *)shared_b, was, __ATOMIC_RELAXED);
        rc = GNTST_okay;
    }
    spin_unlock(&act_a->lock);
    spin_unlock(&act_b->lock);
    return rc;
}

/* ---- Growth ---- */

/* gt->lock is held. */
static int add_frame(struct domain *d, struct grant_table *gt)
{
    struct active_grant *active = xzalloc_array(struct active_grant, GRANTS_PER_FRAME);
    struct page_info *pg = alloc_pages(0, MEMF_zero);

    if (!active || !pg) {
        xfree(active);
        if (pg)
            free_pages(pg, 0);
        return -ENOMEM;
    }
    for (unsigned int i = 0; i < GRANTS_PER_FRAME; i++)
        spin_lock_init(&active[i].lock, RANK_GRANT_ENTRY);

    share_page_with_guest(pg, d, true);
    gt->active[gt->nr_frames] = active;
    gt->shared[gt->nr_frames] = page_to_virt(pg);
    smp_store_release(&gt->nr_frames, gt->nr_frames + 1);
    return 0;
}

int gnttab_grow(struct domain *d, unsigned int nr)
{
    struct grant_table *gt = d->grant_table;
    int rc = 0;

    if (nr <= READ_ONCE(gt->nr_frames))
        return 0;
    if (nr > gt->max_frames || d->is_dying)
        return -EINVAL;
    spin_lock(&gt->lock);
    while (!rc && gt->nr_frames < nr)
        rc = add_frame(d, gt);
    spin_unlock(&gt->lock);
    return rc;
}

int gnttab_shared_frame(struct domain *d, unsigned long idx, mfn_t *mfn)
{
    int rc = idx < d->grant_table->max_frames ? gnttab_grow(d, (unsigned int)idx + 1) : -EINVAL;

    if (!rc)
        *mfn = virt_to_mfn(d->grant_table->shared[idx]);
    return rc;
}

/* Status frames belong to version 2 of the table. */
int gnttab_status_frame(struct domain *d __unused, unsigned long idx __unused, mfn_t *mfn __unused)
{
    return -EINVAL;
}

/* ---- Life ---- */

int grant_table_init(struct domain *d, int max_grant_frames, int max_maptrack_frames)
{
    struct grant_table *gt;
    int rc;

    if (max_grant_frames < 0)
        max_grant_frames = (int)min(gnttab_max_frames, MAX_GRANT_FRAMES);
    if (max_maptrack_frames < 0)
        max_maptrack_frames = (int)min(gnttab_max_maptrack_frames, MAX_MAPTRACK_FRAMES);
    if (max_grant_frames < 1 || (unsigned int)max_grant_frames > MAX_GRANT_FRAMES ||
        (unsigned int)max_maptrack_frames > MAX_MAPTRACK_FRAMES)
        return -EINVAL;

    gt = xzalloc(struct grant_table);
    if (!gt)
        return -ENOMEM;
    spin_lock_init(&gt->lock, RANK_GRANT_TABLE);
    spin_lock_init(&gt->maptrack_lock, RANK_GRANT_MAPTRACK);
    gt->max_frames = (unsigned int)max_grant_frames;
    gt->max_maptrack_frames = (unsigned int)max_maptrack_frames;
    gt->shared = xzalloc_array(grant_entry_v1_t *, gt->max_frames);
    gt->active = xzalloc_array(struct active_grant *, gt->max_frames);
    d->grant_table = gt;

    rc = gt->shared && gt->active ? gnttab_grow(d, 1) : -ENOMEM;
    if (rc)
        grant_table_destroy(d);
    return rc;
}

void grant_table_destroy(struct domain *d)
{
    struct grant_table *gt = d->grant_table;

    if (!gt)
        return;
    for (unsigned int i = 0; i < gt->nr_frames; i++) {
        free_shared_page(virt_to_page(gt->shared[i]));
        xfree(gt->active[i]);
    }
    maptrack_destroy(gt);
    xfree(gt->shared);
    xfree(gt->active);
    XFREE(d->grant_table);
}
