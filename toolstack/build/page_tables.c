/* SPDX-License-Identifier: MIT */
/*
 * Writes a new guest's first page tables; see page_tables.h. The tables of one level lie side by side, so each level of
 * a range is one long array of entries.
 */
#include <string.h>

#include "build/page_tables.h"

#define PTE_PRESENT        0x001UL
#define PTE_WRITE          0x002UL
#define PTE_USER           0x004UL
#define PTE_ACCESSED       0x020UL
#define PTE_DIRTY          0x040UL

/* A PV kernel runs in ring 3: its own pages, too, are user pages to the processor. */
#define PTE_TABLE          (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define PTE_READ_ONLY      (PTE_PRESENT | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define PTE_WRITABLE       (PTE_READ_ONLY | PTE_WRITE)

#define ENTRIES_SHIFT      9
#define LEVEL_SHIFT(level) (PAGE_SHIFT + ((level)-1) * ENTRIES_SHIFT)

/*
 * Fill `count` entries, the first being that of `va` in an array of tables of `level` whose first table holds it, with
 * the frames from `pfn` on.
 */
static void fill(uint64_t *tables, unsigned int level, uint64_t va, uint64_t pfn, uint64_t count, uint64_t flags,
                 const xen_pfn_t *p2m)
{
    uint64_t *entry = tables + ((va >> LEVEL_SHIFT(level)) & ((1UL << ENTRIES_SHIFT) - 1));

    for (uint64_t i = 0; i < count; i++)
        entry[i] = p2m[pfn + i] << PAGE_SHIFT | flags;
}

static void write_range(const struct table_range *range, uint64_t *level4, const struct guest_memory *memory,
                        const xen_pfn_t *p2m)
{
    uint64_t level3_pfn = range->tables_pfn;
    uint64_t level2_pfn = level3_pfn + range->level3;
    uint64_t level1_pfn = level2_pfn + range->level2;

    memset(guest_frame(memory, level3_pfn), 0, (range->level3 + range->level2 + range->level1) << PAGE_SHIFT);
    fill(level4, 4, range->va, level3_pfn, range->level3, PTE_TABLE, p2m);
    fill(guest_frame(memory, level3_pfn), 3, range->va, level2_pfn, range->level2, PTE_TABLE, p2m);
    fill(guest_frame(memory, level2_pfn), 2, range->va, level1_pfn, range->level1, PTE_TABLE, p2m);
    fill(guest_frame(memory, level1_pfn), 1, range->va, range->pfn, range->pages, PTE_WRITABLE, p2m);
}

void page_tables_write(const struct layout *layout, const struct guest_memory *memory, const xen_pfn_t *p2m)
{
    const struct table_range *main = &layout->main;
    uint64_t *level4 = guest_frame(memory, layout->tables_pfn);
    uint64_t *level1 = guest_frame(memory, main->tables_pfn + main->level3 + main->level2);

    memset(level4, 0, PAGE_SIZE);
    write_range(main, level4, memory, p2m);
    if (layout->p2m_apart)
        write_range(&layout->p2m, level4, memory, p2m);
    fill(level1 + layout->tables_pfn - main->pfn, 1, main->va, layout->tables_pfn, layout->tables_pages, PTE_READ_ONLY,
         p2m);
}
