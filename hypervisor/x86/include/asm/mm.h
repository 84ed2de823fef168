/* SPDX-License-Identifier: MIT */
/*
 * The frame table: one struct page_info a machine frame, its reference count and its type count.
 *
 * A frame is freed when its reference count reaches zero. While its type count is not zero its
 * type cannot change, and a frame of a page-table or descriptor type is mapped nowhere writable:
 * that is what keeps a paravirtualized guest inside its memory. x86/pv/page_types.c holds the rules.
 */
#ifndef ASM_MM_H
#define ASM_MM_H

#include <domus/types.h>
#include <domus/list.h>
#include <asm/config.h>
#include <asm/page.h>

struct domain;

struct page_info {
    struct list_head list;          /* free list, or the owner's page_list; under heap or page_alloc_lock */
    unsigned long count_info;       /* PGC_*, atomic */
    union {
        unsigned long type_info;    /* PGT_*, atomic; frames in use */
        unsigned long free_order;   /* heap: order of the free block that starts here */
    };
    struct domain *owner;           /* NULL: nobody's, or the hypervisor's own */
    union {
        u32 tlbflush_timestamp;     /* when a type was last dropped: stale TLB entries may live until flushed */
        u32 shadow_turn;            /* pages of a shadow pool: when it was emptied; x86/pv/shadow.c */
    };
    union {
        struct {
            u16 nr_validated;       /* tables not validated: entries that are */
            u16 partial_flags;      /* PGT_partial: of entry nr_validated; x86/pv/page_types.c */
        };
        u32 shadow;                 /* validated tables: frame of the shadow, 0: none; x86/pv/shadow.c */
        u32 shadowed;               /* pages of a shadow pool: frame of the table that this shadows */
    };
};

/* count_info */
#define PGC_allocated    (1UL << 63)     /* holds the reference of being its owner's */
#define PGC_hypervisor   (1UL << 62)     /* hypervisor's page, shared with a guest: not freed to the domain heap */
#define PGC_broken       (1UL << 61)
#define PGC_free         (1UL << 60)     /* in the heap, which has bits 59 and 58 */
#define PGC_foreign_stale (1UL << 57)    /* TLBs of another domain's CPUs may still map it writable */
#define PGC_count_mask   ((1UL << 48) - 1)

/* type_info */
#define PGT_none           (0UL << 60)
#define PGT_l1_page_table  (1UL << 60)
#define PGT_l2_page_table  (2UL << 60)
#define PGT_l3_page_table  (3UL << 60)
#define PGT_l4_page_table  (4UL << 60)
#define PGT_seg_desc_page  (5UL << 60)   /* in a guest's GDT or LDT */
#define PGT_writable_page  (7UL << 60)   /* has writable mappings */
#define PGT_type_mask      (15UL << 60)
#define PGT_pinned         (1UL << 59)   /* the guest asked to keep the type */
#define PGT_validated      (1UL << 58)   /* contents have been checked for the type */
#define PGT_partial        (1UL << 57)   /* validation or its undoing was preempted */
#define PGT_locked         (1UL << 56)   /* short lock of one page table: page_lock */
#define PGT_count_mask     ((1UL << 48) - 1)

#define INVALID_M2P_ENTRY  (~0UL)

extern unsigned long max_page;           /* one more than the highest frame number with a page_info */

static inline struct page_info *frame_table(void) { return (struct page_info *)FRAMETABLE_VIRT_START; }

/*
 * Frames are known by granules of 128 MiB: a granule with any RAM has all its page_info; frames in it that are not RAM
 * are marked PGC_broken, so that looking at one word tells. x86/mm_init.c.
 */
#define GRANULE_SHIFT  15
#define GRANULE_FRAMES (1UL << GRANULE_SHIFT)
extern unsigned long granule_present[];

static inline struct page_info *mfn_to_page(mfn_t mfn) { return frame_table() + mfn_x(mfn); }
/* Whether there is RAM, and so a page_info, for mfn. */
static inline bool mfn_valid(mfn_t mfn)
{
    unsigned long frame = mfn_x(mfn), granule = frame >> GRANULE_SHIFT;

    return frame < max_page && granule_present[granule / BITS_PER_LONG] >> granule % BITS_PER_LONG & 1 &&
           !(mfn_to_page(mfn)->count_info & PGC_broken);
}
static inline mfn_t page_to_mfn(const struct page_info *pg) { return _mfn((unsigned long)(pg - frame_table())); }
static inline void *mfn_to_virt(mfn_t mfn) { return (void *)(DIRECTMAP_VIRT_START + (mfn_x(mfn) << PAGE_SHIFT)); }
static inline mfn_t virt_to_mfn(const void *va) { return maddr_to_mfn(virt_to_maddr(va)); }
static inline struct page_info *virt_to_page(const void *va) { return mfn_to_page(virt_to_mfn(va)); }
static inline void *page_to_virt(const struct page_info *pg) { return mfn_to_virt(page_to_mfn(pg)); }

/*
 * References. x86/pv/page_types.c; lock-free.
 * get_page: takes a reference if pg is owned by d; false if it is not, or is being freed.
 * get_page_from_mfn: the same from a frame number, which may be anything.
 * get_page_type takes a type reference (the caller holds an ordinary one); with a page-table type it
 * validates the contents, all at once; false on refusal. get_page_and_type both.
 */
void put_page(struct page_info *pg);
static inline bool get_page(struct page_info *pg, const struct domain *d)
{
    unsigned long x = READ_ONCE(pg->count_info);

    do {
        /* None: free, or about to be. All ones: one more would look like none. */
        if (unlikely((x & PGC_count_mask) == 0 || (x & PGC_count_mask) == PGC_count_mask))
            return false;
    } while (unlikely(!__atomic_compare_exchange_n(&pg->count_info, &x, x + 1, false, __ATOMIC_SEQ_CST,
                                                   __ATOMIC_RELAXED)));
    /* The owner is stable only now. */
    if (likely(READ_ONCE(pg->owner) == d))
        return true;
    put_page(pg);
    return false;
}
struct page_info *get_page_from_mfn(mfn_t mfn, const struct domain *d);
bool get_page_type(struct page_info *pg, unsigned long type);
void put_page_type(struct page_info *pg);
bool get_page_and_type(struct page_info *pg, const struct domain *d, unsigned long type);
void put_page_and_type(struct page_info *pg);
/*
 * Preemptible forms, for tables of level 2 and above: 0, -EINVAL and others (refused), -ERESTART. After -ERESTART of a get
 * the caller holds no type reference; calling again goes on where it stopped. After -ERESTART of a put the caller's
 * references are gone and the table is left partial, to be finished: x86/pv/page_types.c, finish_partial_type.
 */
int get_page_type_preemptible(struct page_info *pg, unsigned long type);
int put_page_and_type_preemptible(struct page_info *pg);

/* Gives a page of the hypervisor's heap to d to be mapped by it, writable or read-only. */
void share_page_with_guest(struct page_info *pg, struct domain *d, bool writable);

#endif
