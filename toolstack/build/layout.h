/* SPDX-License-Identifier: MIT */
/*
 * Where everything lies in a new paravirtualized guest, decided before any memory is touched: pure arithmetic on page
 * numbers, following "Start-of-day memory layout" in Xen's public xen.h. Frames are numbered from 0 in the guest's
 * pseudo-physical memory.
 *
 *     frame 0 ─ kernel ─ [ramdisk] ─ [p2m] ─ start info ─ store ─ console ─ page tables ─ stack ─ padding │ [p2m] ─
 * [ramdisk] └───────────────────────── mapped from virt_base on ──────────────────────────────────────────────┘
 *
 * A kernel that says so in its notes has the p2m mapped elsewhere and the ramdisk not at all; both then follow the
 * mapped region.
 */
#ifndef DOMUS_BUILD_LAYOUT_H
#define DOMUS_BUILD_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "build/pv_elf.h"
#include "lib/failure.h"

/* Page tables of levels 3, 2 and 1, in this order side by side, that map one range of virtual addresses. */
struct table_range {
    uint64_t va;                     /* first virtual address */
    uint64_t pfn;                    /* the frame mapped there; the rest follows */
    uint64_t pages;                  /* how many are mapped */
    uint64_t tables_pfn;             /* first frame of the tables */
    uint64_t level3, level2, level1; /* how many tables of each level */
};

struct layout {
    uint64_t nr_pages;  /* all frames of the guest */
    uint64_t first_pfn; /* the builder writes nothing below this frame */
    uint64_t end_pfn;   /* nor from this one on */

    uint64_t ramdisk_pfn, ramdisk_bytes;
    uint64_t p2m_pfn, p2m_pages;
    uint64_t start_info_pfn, store_pfn, console_pfn;
    uint64_t tables_pfn, tables_pages; /* level 4 first, then those of `main` */
    uint64_t stack_pfn;

    uint64_t virt_base;
    struct table_range main;
    bool p2m_apart; /* mapped by tables of its own, which follow it: `p2m` */
    struct table_range p2m;
};

/*
 * Lay out `kernel` with a ramdisk of `ramdisk_bytes` (0: none) in a guest of `nr_pages` frames. 0, or -1 with the
 * reason in *failure.
 */
int layout_plan(const struct pv_kernel *kernel, uint64_t ramdisk_bytes, uint64_t nr_pages, struct layout *layout,
                struct failure *failure);

/* Virtual address of a frame in the mapped region. */
static inline uint64_t layout_va(const struct layout *layout, uint64_t pfn)
{
    return layout->virt_base + (pfn << PAGE_SHIFT);
}

#endif
