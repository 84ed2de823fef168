/* SPDX-License-Identifier: MIT */
/*
 * Memory of the fake architecture: frames HOST_FIRST_MFN and up are an anonymous mapping, of which
 * the kernel provides only what is touched; the frame table as well.
 */
#ifndef ASM_MM_H
#define ASM_MM_H

#include <asm/config.h>
#include <domus/list.h>
#include <domus/types.h>

struct domain;

struct page_info {
    struct list_head list;
    unsigned long count_info;
    union {
        unsigned long type_info;
        unsigned long free_order;
    };
    struct domain *owner;
    u32 tlbflush_timestamp;
};

#define PGC_allocated       (1UL << 63)
#define PGC_hypervisor      (1UL << 62)
#define PGC_free            (1UL << 60)
#define PGC_foreign_stale   (1UL << 57)
#define PGC_count_mask      ((1UL << 48) - 1)

#define PGT_none            (0UL << 60)
#define PGT_l1_page_table   (1UL << 60)
#define PGT_writable_page   (7UL << 60)
#define PGT_type_mask       (15UL << 60)
#define PGT_count_mask      ((1UL << 48) - 1)

extern struct page_info *host_frame_table;      /* entry 0: frame 0 */
extern char *host_ram;                          /* address of frame 0 */
extern unsigned long max_page;

static inline bool mfn_valid(mfn_t mfn) { return mfn_x(mfn) && mfn_x(mfn) < max_page; }
static inline struct page_info *mfn_to_page(mfn_t mfn) { return host_frame_table + mfn_x(mfn); }
static inline mfn_t page_to_mfn(const struct page_info *pg)
{
    return _mfn((unsigned long)(pg - host_frame_table));
}
static inline void *mfn_to_virt(mfn_t mfn) { return host_ram + (mfn_x(mfn) << PAGE_SHIFT); }
static inline mfn_t virt_to_mfn(const void *va)
{
    return _mfn((unsigned long)((const char *)va - host_ram) >> PAGE_SHIFT);
}
static inline struct page_info *virt_to_page(const void *va) { return mfn_to_page(virt_to_mfn(va)); }
static inline void *page_to_virt(const struct page_info *pg) { return mfn_to_virt(page_to_mfn(pg)); }

bool get_page(struct page_info *pg, const struct domain *d);
struct page_info *get_page_from_mfn(mfn_t mfn, const struct domain *d);
void put_page(struct page_info *pg);
bool get_page_type(struct page_info *pg, unsigned long type);
void put_page_type(struct page_info *pg);
void put_page_and_type(struct page_info *pg);
void share_page_with_guest(struct page_info *pg, struct domain *d, bool writable);

#endif
