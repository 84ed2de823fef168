/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: all free RAM in chunks of 2^order pages, buddies merged, kept by address width
 * so that memory below a limit can be asked for and is spared otherwise. All chunks are in the
 * direct map.
 */
#ifndef DOMUS_HEAP_H
#define DOMUS_HEAP_H

#include <domus/lib.h>
#include <asm/mm.h>

#define MAX_ORDER       20      /* 4 GiB */

/* Flags of alloc_pages. Pages come zeroed, so MEMF_zero only tells the reader, unless
 * MEMF_no_scrub: the caller overwrites every byte before any guest sees it. */
#define MEMF_zero       0u
#define MEMF_no_scrub   (1u << 1)
#define MEMF_exact_node (1u << 2)       /* fail rather than take from another node */
#define MEMF_node_shift 8               /* node + 1, or 0 for any */
#define MEMF_node(n)    ((((n) + 1u) & 0xff) << MEMF_node_shift)
#define MEMF_bits_shift 24
#define MEMF_bits(n)    ((unsigned int)(n) << MEMF_bits_shift)  /* addresses below 2^n bytes */
#define MEMF_get_bits(f) ((f) >> MEMF_bits_shift)

/*
 * Give the free RAM [start, end) to the allocator. At boot and for boot modules no longer needed;
 * the frame table must cover it and be zero there. Cost: a step for each largest chunk.
 * dirty: the content is not all zeroes.
 */
void heap_init_range(mfn_t start, mfn_t end, bool dirty);

/*
 * Allocate 2^order pages, aligned to their size; NULL if there are none. Their page_infos are zero.
 * Any context but NMI. With interrupts off, memory that a guest had and that needs a TLB flush on
 * other CPUs counts as not there.
 */
struct page_info *alloc_pages(unsigned int order, unsigned int memflags);

/* Free what alloc_pages gave, in whole or in aligned parts of it. Any context but NMI. */
void free_pages(struct page_info *pg, unsigned int order);

/* As free_pages, for memory that a guest could reach: stale TLB entries may still lead to it, and
 * are flushed before it is given out again. */
void free_guest_pages(struct page_info *pg, unsigned int order);

/* Zero a part of the free memory, some tens of microseconds of it, with interrupts on: for the idle
 * loop. True if some is left. */
bool heap_scrub_some(void);

/* In pages; takes the heap's lock. bits: only below 2^bits bytes (0: all). */
unsigned long heap_free_pages_count(void);
unsigned long heap_free_pages_below(unsigned int bits);
unsigned long heap_total_pages(void);
unsigned long heap_dirty_pages_count(void);

/* The same by virtual address in the direct map: NULL if there are none. */
void *alloc_heap_pages(unsigned int order, unsigned int memflags);
void free_heap_pages(void *va, unsigned int order);

#define alloc_page(flags)   alloc_pages(0, flags)
#define free_page(pg)       free_pages(pg, 0)

#endif
