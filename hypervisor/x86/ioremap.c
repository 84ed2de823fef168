/* SPDX-License-Identifier: MIT */
/*
 * Mappings of the hypervisor's own that are made after boot: device memory, per-CPU windows, guard pages. Only tables
 * below the shared third level change, so every address space sees them at once.
 */
#include <domus/bitmap.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/spinlock.h>
#include <asm/config.h>
#include <asm/desc.h>
#include <asm/flushtlb.h>
#include <asm/mm_init.h>

#define IOREMAP_PAGES (IOREMAP_VIRT_SIZE >> PAGE_SHIFT)

static DEFINE_SPINLOCK(map_lock, RANK_IOREMAP);         /* guards tables of all of this, and the map of used pages */
static unsigned long ioremap_used[IOREMAP_PAGES / BITS_PER_LONG];

/* The table that entry points to; a new one if there is none. Large pages are split, keeping what they map. */
static pte_t *next_table(pte_t *entry, u64 large_size)
{
    pte_t *table;
    u64 flags;

    if (pte_present(*entry) && !pte_large(*entry))
        return maddr_to_virt(pte_maddr(*entry));
    table = alloc_heap_pages(0, MEMF_zero);
    if (!table)
        return NULL;
    if (pte_large(*entry)) {
        u64 base = entry->v & PTE_ADDR_MASK & ~(large_size - 1), step = large_size / PTES_PER_PAGE;

        flags = pte_flags(*entry);
        if (step == PAGE_SIZE)
            flags &= ~_PAGE_PSE;
        for (unsigned int i = 0; i < PTES_PER_PAGE; i++)
            table[i] = pte_from_maddr(base + i * step, flags);
    }
    pte_write(entry, pte_from_maddr(virt_to_maddr(table), PAGE_HV_TABLE));
    return table;
}

/* map_lock held. */
static pte_t *walk(unsigned long va)
{
    pte_t *l3 = maddr_to_virt(pte_maddr(idle_l4[l4_index(va)]));
    pte_t *l2 = next_table(&l3[l3_index(va)], GB(1));
    pte_t *l1 = l2 ? next_table(&l2[l2_index(va)], MB(2)) : NULL;

    return l1 ? &l1[l1_index(va)] : NULL;
}

pte_t *hv_pte(unsigned long va)
{
    pte_t *entry = NULL;

    if (l4_index(va) < HV_FIRST_SLOT || l4_index(va) > HV_LAST_SLOT || !pte_present(idle_l4[l4_index(va)]))
        return NULL;
    spin_lock(&map_lock);
    entry = walk(va);
    spin_unlock(&map_lock);
    return entry;
}

/* Flushes an address of the hypervisor everywhere; before other CPUs run, here. */
static void flush_hv(unsigned long va, unsigned long nr_pages)
{
    if (nr_pages == 1)
        flush_mask(&cpu_present_map, va, FLUSH_TLB | FLUSH_VA);
    else
        flush_mask(&cpu_present_map, 0, FLUSH_TLB | FLUSH_TLB_GLOBAL);
}

int hv_unmap_page(const void *va)
{
    pte_t *entry = hv_pte((unsigned long)va);

    if (!entry)
        return -ENOMEM;
    pte_write(entry, pte_empty());
    flush_hv((unsigned long)va, 1);
    return 0;
}

/* A run of nr unused pages, marked used; IOREMAP_PAGES: none. map_lock held. */
static unsigned long take_pages(unsigned long nr)
{
    unsigned long first = 0;

    while ((first = find_next_zero_bit(ioremap_used, IOREMAP_PAGES, first)) + nr <= IOREMAP_PAGES) {
        unsigned long used = find_next_bit(ioremap_used, first + nr, first);

        if (used >= first + nr) {
            bitmap_set(ioremap_used, first, nr);
            return first;
        }
        first = used;
    }
    return IOREMAP_PAGES;
}

/* Takes away the mapping of nr pages from first on. map_lock held; the caller flushes and frees the addresses. */
static void unmap_pages(unsigned long first, unsigned long nr)
{
    for (unsigned long i = 0; i < nr; i++) {
        pte_t *entry = walk(IOREMAP_VIRT_START + ((first + i) << PAGE_SHIFT));

        if (entry)
            pte_write(entry, pte_empty());
    }
}

void *ioremap_flags(paddr_t maddr, size_t len, u64 flags)
{
    unsigned long offset = maddr & (PAGE_SIZE - 1);
    unsigned long nr = PFN_UP(offset + len), first;
    paddr_t page = maddr - offset;

    if (len == 0 || nr > IOREMAP_PAGES || maddr + len < maddr)
        return NULL;
    spin_lock(&map_lock);
    first = take_pages(nr);
    if (first == IOREMAP_PAGES) {
        spin_unlock(&map_lock);
        return NULL;
    }
    for (unsigned long i = 0; i < nr; i++) {
        pte_t *entry = walk(IOREMAP_VIRT_START + ((first + i) << PAGE_SHIFT));

        if (!entry) {
            unmap_pages(first, i);
            bitmap_clear(ioremap_used, first, nr);
            spin_unlock(&map_lock);
            return NULL;
        }
        pte_write(entry, pte_from_maddr(page + (i << PAGE_SHIFT), flags));
    }
    spin_unlock(&map_lock);
    return (void *)(IOREMAP_VIRT_START + (first << PAGE_SHIFT) + offset);
}

void *ioremap(paddr_t maddr, size_t len)
{
    return ioremap_flags(maddr, len, PAGE_HV_RW | PAGE_CACHE_UC);
}

void iounmap(void *va, size_t len)
{
    unsigned long start = (unsigned long)va & PAGE_MASK;
    unsigned long nr = PFN_UP(((unsigned long)va & (PAGE_SIZE - 1)) + len);
    unsigned long first = (start - IOREMAP_VIRT_START) >> PAGE_SHIFT;

    spin_lock(&map_lock);
    unmap_pages(first, nr);
    spin_unlock(&map_lock);
    flush_hv(start, nr);
    spin_lock(&map_lock);
    bitmap_clear(ioremap_used, first, nr);
    spin_unlock(&map_lock);
}
