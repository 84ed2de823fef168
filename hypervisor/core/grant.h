/* SPDX-License-Identifier: MIT */
/*
 * Grant tables inside. A domain as granter has the shared table, which it writes, and the active
 * entries, in which the hypervisor keeps what is in use; as grantee it has maptrack, a record for
 * each mapping it made. Only version 1 of the shared table is offered.
 *
 * Both tables only grow, their parts never move, and their sizes are published last, so entries are
 * found with no lock.
 */
#ifndef CORE_GRANT_H
#define CORE_GRANT_H

#include <domus/domain.h>
#include <domus/grant.h>
#include <asm/mm.h>

#define GRANTS_PER_FRAME    (PAGE_SIZE / sizeof(grant_entry_v1_t))
#define MAPTRACK_PER_FRAME  (PAGE_SIZE / sizeof(struct maptrack_entry))
#define MAX_GRANT_FRAMES    65536u
#define MAX_MAPTRACK_FRAMES 65536u
#define INVALID_HANDLE      (~(grant_handle_t)0)

/* What is in use of one grant. */
struct active_grant {
    spinlock_t lock;
    domid_t domid;              /* grantee; the following hold only while there are users */
    u32 readers, writers;       /* maptrack records and copies under way */
    mfn_t mfn;
};

/* One mapping that this domain made of another's grant; free ones are linked by next. */
struct maptrack_entry {
    struct domain *granter;     /* referenced */
    union {
        grant_ref_t ref;
        u32 next;
    };
    u16 flags;                  /* GNTMAP_*: host_map and device_map go as they are undone */
    u8 state;                   /* enum maptrack_state */
};

enum maptrack_state {
    MAPTRACK_FREE,
    MAPTRACK_BUSY,              /* being made or undone by one CPU: nobody else touches it */
    MAPTRACK_IN_USE,
};

/* Free records: each vCPU takes from and returns to its own list. */
struct maptrack_list {
    spinlock_t lock;
    u32 head;                   /* handle, or INVALID_HANDLE */
} __cacheline_aligned;

struct grant_table {
    spinlock_t lock;                    /* growth of the shared table */
    unsigned int max_frames, nr_frames;
    grant_entry_v1_t **shared;          /* [max_frames]: pages shared with the domain */
    struct active_grant **active;       /* [max_frames]: arrays of GRANTS_PER_FRAME */

    spinlock_t maptrack_lock;           /* growth of maptrack */
    unsigned int max_maptrack_frames, nr_maptrack_frames;
    struct maptrack_entry **maptrack;   /* [max_maptrack_frames]; made for the first mapping */
    struct maptrack_list *maptrack_free;    /* [max_vcpus] */
    unsigned int nr_lists;
    u32 release_next;                   /* where release of all mappings goes on */
};

/* ---- grant_table.c: the granter's side. ---- */

/* Make the shared table at least nr frames long: 0, -EINVAL (over the limit), -ENOMEM. */
int gnttab_grow(struct domain *d, unsigned int nr);

/*
 * Note that grantee uses granter's grant ref, and take a reference on its page, with write one of
 * type PGT_writable_page as well. GNTST_*. gnttab_unpin ends the use, not the page's references.
 */
int gnttab_pin(struct domain *granter, grant_ref_t ref, domid_t grantee, bool write,
               struct page_info **page);
void gnttab_unpin(struct domain *granter, grant_ref_t ref, bool write);

/* Exchange two grants that are not in use; GNTST_*. */
int gnttab_swap(struct domain *d, grant_ref_t a, grant_ref_t b);

/* The page of a grant that the caller has pinned. */
struct page_info *gnttab_pinned_page(struct domain *granter, grant_ref_t ref);

static inline void gnttab_put_page(struct page_info *pg, bool write)
{
    if (write)
        put_page_and_type(pg);
    else
        put_page(pg);
}

/* ---- grant_maptrack.c: the grantee's records. ---- */

/* A record in state MAPTRACK_BUSY, or NULL if the limit or memory forbids; *handle names it. */
struct maptrack_entry *maptrack_alloc(struct domain *d, grant_handle_t *handle);
/* Make a record that is filled in visible. */
void maptrack_publish(struct maptrack_entry *e);
/* The record of a handle, which may be anything, made MAPTRACK_BUSY; NULL if it is not in use. */
struct maptrack_entry *maptrack_claim(struct domain *d, grant_handle_t handle);
/* A record that the caller has made busy is free. */
void maptrack_free(struct domain *d, struct maptrack_entry *e, grant_handle_t handle);
void maptrack_destroy(struct grant_table *gt);

/* ---- Operations on one element of a hypercall's array. ---- */

struct copy_cache;

void gnttab_map_one(struct domain *d, struct gnttab_map_grant_ref *op);

/* What gnttab_unmap_one leaves to be done after a flush. */
struct unmap_rest {
    struct maptrack_entry *entry;   /* NULL: nothing */
    grant_handle_t handle;
    u16 undone;                     /* GNTMAP_host_map, GNTMAP_device_map */
};

/* Take a mapping away; new_addr is not 0 for unmap_and_replace. GNTST_*. */
int gnttab_unmap_one(struct domain *d, grant_handle_t handle, u64 host_addr, u64 dev_bus_addr,
                     u64 new_addr, struct unmap_rest *rest);
/* Flush the domain's TLBs and let go of the pages of nr mappings. */
void gnttab_unmap_finish(struct domain *d, struct unmap_rest *rest, unsigned int nr);

long gnttab_copy_batch(struct gnttab_copy *uop, unsigned int count, unsigned int *done);

#endif
