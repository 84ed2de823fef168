/* SPDX-License-Identifier: MIT */
/*
 * Plans the memory of a new guest; see layout.h.
 */
#include <stdint.h>
#include <string.h>

#include <xen/xen.h>

#include "build/layout.h"
#include "build/refuse.h"

#define ENTRIES_SHIFT    9
#define LEVEL2_SHIFT     21
#define LEVEL3_SHIFT     30
#define LEVEL4_SHIFT     39
#define CANONICAL_BITS   47

#define REGION_ALIGNMENT (4UL << 20)
#define REGION_PADDING   (512UL << 10)

static uint64_t pages_of(uint64_t bytes) { return (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT; }

/* How many blocks of 2^shift bytes the range touches. */
static uint64_t blocks(const struct table_range *range, unsigned int shift)
{
    uint64_t last = range->va + (range->pages << PAGE_SHIFT) - 1;

    return (last >> shift) - (range->va >> shift) + 1;
}

/* Count the tables that `range` needs; its va and pages are set. Returns the sum. */
static uint64_t count_tables(struct table_range *range)
{
    range->level1 = blocks(range, LEVEL2_SHIFT);
    range->level2 = blocks(range, LEVEL3_SHIFT);
    range->level3 = blocks(range, LEVEL4_SHIFT);
    return range->level1 + range->level2 + range->level3;
}

/* Can a guest map `pages` pages at `va`? Not beyond the addresses there are, nor over the hypervisor's. */
static bool mappable(uint64_t va, uint64_t pages)
{
    uint64_t last = va + (pages << PAGE_SHIFT) - 1;
    uint64_t top = va >> CANONICAL_BITS;

    if (last < va || top != last >> CANONICAL_BITS || (top != 0 && top != UINT64_MAX >> CANONICAL_BITS))
        return false;
    return last < HYPERVISOR_VIRT_START || va >= HYPERVISOR_VIRT_END;
}

static bool share_level4_entry(const struct table_range *a, const struct table_range *b)
{
    return a->va >> LEVEL4_SHIFT < (b->va >> LEVEL4_SHIFT) + b->level3 &&
           b->va >> LEVEL4_SHIFT < (a->va >> LEVEL4_SHIFT) + a->level3;
}

/*
 * Place the tables, the stack and the padding from frame `pfn` on. The tables also map themselves, so their number
 * depends on itself: count again until it holds.
 */
static void plan_tables(struct layout *layout, uint64_t pfn)
{
    struct table_range *main = &layout->main;
    uint64_t counted = 0, end;

    layout->tables_pfn = pfn;
    do {
        layout->tables_pages = counted;
        layout->stack_pfn = pfn + layout->tables_pages;
        end = layout_va(layout, layout->stack_pfn + 1) + REGION_PADDING;
        end = (end + REGION_ALIGNMENT - 1) & ~(REGION_ALIGNMENT - 1);
        main->pages = (end - layout->virt_base) >> PAGE_SHIFT;
        counted = 1 + count_tables(main);
    } while (counted != layout->tables_pages);
    main->tables_pfn = pfn + 1;
}

/* Give `layout` all that lies in the region mapped from virt_base on. */
static void plan_mapped_region(const struct pv_kernel *kernel, struct layout *layout)
{
    uint64_t pfn = pages_of(kernel->end);

    if (!kernel->ramdisk_unmapped) {
        layout->ramdisk_pfn = pfn;
        pfn += pages_of(layout->ramdisk_bytes);
    }
    if (!layout->p2m_apart) {
        layout->p2m_pfn = pfn;
        pfn += layout->p2m_pages;
    }
    layout->start_info_pfn = pfn++;
    layout->store_pfn = pfn++;
    layout->console_pfn = pfn++;
    plan_tables(layout, pfn);
}

/* Place what is not in the mapped region, from its end on. */
static void plan_unmapped(const struct pv_kernel *kernel, struct layout *layout)
{
    uint64_t pfn = layout->main.pages;

    layout->end_pfn = layout->stack_pfn + 1;
    if (layout->p2m_apart) {
        layout->p2m_pfn = pfn;
        layout->p2m.va = kernel->p2m_base;
        layout->p2m.pfn = pfn;
        layout->p2m.pages = layout->p2m_pages;
        layout->p2m.tables_pfn = pfn + layout->p2m_pages;
        pfn = layout->p2m.tables_pfn + count_tables(&layout->p2m);
        layout->end_pfn = pfn;
    }
    if (kernel->ramdisk_unmapped && layout->ramdisk_bytes) {
        layout->ramdisk_pfn = pfn;
        layout->end_pfn = pfn + pages_of(layout->ramdisk_bytes);
    }
}

static uint64_t mib(uint64_t pages) { return (pages + (1UL << (20 - PAGE_SHIFT)) - 1) >> (20 - PAGE_SHIFT); }

static int too_small(const struct pv_kernel *kernel, const struct layout *layout, uint64_t needed,
                     struct failure *failure)
{
    refuse(failure, "",
           "kernel (loaded up to %lu MiB), ramdisk (%lu MiB) and start-up tables need %lu MiB, but the "
           "domain has %lu MiB",
           mib(pages_of(kernel->end)), mib(pages_of(layout->ramdisk_bytes)), mib(needed), mib(layout->nr_pages));
    failure_remedy(failure, "set memory= to more than %lu in the configuration, or use a smaller ramdisk", mib(needed));
    return -1;
}

/*
 * Check that the ranges the kernel wants can be mapped, before their tables are counted. `pages` is what lies in the
 * main one, tables, alignment and padding apart.
 */
static int check_addresses(const struct pv_kernel *kernel, uint64_t pages, const struct layout *layout,
                           struct failure *failure)
{
    uint64_t tables = pages >> (ENTRIES_SHIFT - 1);
    uint64_t slack = 2 * REGION_ALIGNMENT >> PAGE_SHIFT;

    if (!mappable(kernel->virt_base, pages + tables + slack)) {
        return refuse(failure, "use a smaller ramdisk, or another kernel",
                      "kernel and start-up data do not fit where the kernel wants them, at address %#lx",
                      kernel->virt_base);
    }
    if (kernel->has_p2m_base && !mappable(kernel->p2m_base, layout->p2m_pages)) {
        return refuse(failure, "use another kernel",
                      "the kernel wants its table of frames at address %#lx, where it cannot be", kernel->p2m_base);
    }
    return 0;
}

int layout_plan(const struct pv_kernel *kernel, uint64_t ramdisk_bytes, uint64_t nr_pages, struct layout *layout,
                struct failure *failure)
{
    uint64_t needed;

    memset(layout, 0, sizeof(*layout));
    layout->nr_pages = nr_pages;
    layout->first_pfn = kernel->start >> PAGE_SHIFT;
    layout->ramdisk_bytes = ramdisk_bytes;
    layout->virt_base = layout->main.va = kernel->virt_base;
    layout->p2m_apart = kernel->has_p2m_base;
    layout->p2m_pages = pages_of(nr_pages * sizeof(xen_pfn_t));

    /* Checked first so that no sum below can overflow. */
    needed = pages_of(kernel->end) + pages_of(ramdisk_bytes) + layout->p2m_pages;
    if (pages_of(kernel->end) > nr_pages || ramdisk_bytes >> PAGE_SHIFT > nr_pages || needed > nr_pages)
        return too_small(kernel, layout, needed, failure);
    if (check_addresses(kernel, layout->p2m_apart ? needed - layout->p2m_pages : needed, layout, failure) < 0)
        return -1;
    plan_mapped_region(kernel, layout);
    plan_unmapped(kernel, layout);
    needed = layout->main.pages > layout->end_pfn ? layout->main.pages : layout->end_pfn;
    if (needed > nr_pages)
        return too_small(kernel, layout, needed, failure);
    if (layout->p2m_apart && share_level4_entry(&layout->main, &layout->p2m)) {
        return refuse(failure, "use another kernel",
                      "the kernel wants its table of frames at address %#lx, too near to itself", kernel->p2m_base);
    }
    return 0;
}
