/* SPDX-License-Identifier: MIT */
/* The hypervisor's own mappings: built at boot, and afterwards device mappings on demand. */
#ifndef ASM_MM_INIT_H
#define ASM_MM_INIT_H

#include <asm/mm.h>

/* The hypervisor's fourth-level table: its slots are those of every address space. Idle CPUs run on it. */
extern pte_t idle_l4[PTES_PER_PAGE];

/* Memory before the heap is there: nr pages aligned to align bytes, zeroed, in the direct map. Panics if there is none. */
void *boot_alloc(unsigned long nr_pages, unsigned long align);

/* Builds the final page tables from e820, switches to them, and gives all free memory to the heap. */
void mm_init(void);
/* After boot: frees code and data of the image that only booting needs, and makes what it has set up read-only. */
void mm_seal(void);
extern bool init_released;
/* Lets privileged domains read the machine-to-physical table's frames; once dom_xen is there. */
void share_m2p(void);
/* Gives RAM pages back that were reserved while booting. */
void mm_free_boot_range(paddr_t start, paddr_t end);

/* Maps one page for the hypervisor in slots 256-271: an own L1 entry, tables made as needed; NULL: no memory. */
pte_t *hv_pte(unsigned long va);

/* Takes away the hypervisor's mapping of the page at va, an image or direct map address: a guard page. 0 or -ENOMEM. */
int hv_unmap_page(const void *va);

/*
 * Maps physical memory that is not RAM, uncached, or as flags (PAGE_HV_RW | PAGE_CACHE_*) say. Never unmapped unless by
 * iounmap. NULL if there is no room. Any context but interrupts.
 */
void *ioremap(paddr_t maddr, size_t len);
void *ioremap_flags(paddr_t maddr, size_t len, u64 flags);
void iounmap(void *va, size_t len);

#endif
