/* SPDX-License-Identifier: MIT */
/*
 * Writes a new guest's first page tables into its memory.
 */
#ifndef DOMUS_BUILD_PAGE_TABLES_H
#define DOMUS_BUILD_PAGE_TABLES_H

#include <stdint.h>

#include <xen/xen.h>

#include "build/layout.h"

/* The frames [first_pfn, end_pfn) of a layout, mapped side by side. */
struct guest_memory {
    uint8_t *base;
    uint64_t first_pfn;
};

static inline void *guest_frame(const struct guest_memory *memory, uint64_t pfn)
{
    return memory->base + ((pfn - memory->first_pfn) << PAGE_SHIFT);
}

/*
 * Write all page tables that `layout` plans. `p2m` gives the machine frame of each of its frames. The hypervisor takes
 * them as page tables only once nothing maps them writable: not the tables themselves, which map each other read-only,
 * nor this process.
 */
void page_tables_write(const struct layout *layout, const struct guest_memory *memory, const xen_pfn_t *p2m);

#endif
