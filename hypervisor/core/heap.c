/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: a binary buddy system over the RAM ranges that the platform gives it.
 *
 * The page_info of a free chunk's first page describes it: PGC_free, its order, and CHUNK_* flags;
 * those of the others stay zero. Free chunks are listed by zone (the width in bits of their last
 * frame number) and order; allocation goes from the highest zone that the request allows down, so
 * that low memory lasts. Buddies merge only inside the range they came from, since outside of it
 * there may be no frame table, and only in the same state of dirt, so that cleaning makes progress.
 */
#include <domus/heap.h>
#include <domus/list.h>
#include <domus/spinlock.h>
#include <domus/string.h>
#include <asm/flushtlb.h>

#define NR_ZONES        41          /* frame numbers of up to 40 bits: 52-bit addresses */
#define MAX_RANGES      512

/* In count_info of a free chunk, beside the count of references, which is zero: guests name frames as they like, and
 * get_page() would count up, and down again later, what is no count. */
#define CHUNK_DIRTY     (1UL << 59) /* not all zeroes */
#define CHUNK_STALE     (1UL << 58) /* a guest's TLB entries from before tlbflush_timestamp may lead here */

#define SCRUB_ORDER     7           /* pages zeroed in one go by the idle loop: 512 KiB */

struct ram_range {
    unsigned long start, end;       /* frame numbers */
};

static DEFINE_SPINLOCK(heap_lock, RANK_HEAP);       /* (irq) guards all of the following */
static struct ram_range ranges[MAX_RANGES];         /* ascending, disjoint */
static unsigned int nr_ranges;
static struct list_head free_list[NR_ZONES][MAX_ORDER + 1];    /* dirty chunks behind clean ones */
static u32 orders_present[NR_ZONES];                /* bit n: free_list[zone][n] is not empty */
static unsigned long zone_free[NR_ZONES];           /* pages, with those being scrubbed */
static unsigned long total_pages, dirty_pages;

static unsigned int zone_of(unsigned long frame, unsigned int order)
{
    return fls(frame + (1UL << order) - 1);
}

static bool chunk_is_free(const struct page_info *pg, unsigned int order)
{
    return (pg->count_info & PGC_free) && pg->free_order == order;
}

/* ---- Lists; heap_lock held ---- */

static void chunk_insert(struct page_info *pg, unsigned int order, unsigned long flags, u32 stamp)
{
    unsigned int zone = zone_of(mfn_x(page_to_mfn(pg)), order);
    struct list_head *list = &free_list[zone][order];

    if (!list->next)
        INIT_LIST_HEAD(list);

    pg->count_info = PGC_free | flags;
    pg->free_order = order;
    pg->tlbflush_timestamp = stamp;
    if (flags & CHUNK_DIRTY) {
        list_add_tail(&pg->list, list);
        dirty_pages += 1UL << order;
    } else {
        list_add(&pg->list, list);
    }
    orders_present[zone] |= 1u << order;
    zone_free[zone] += 1UL << order;
}

/* Take a free chunk off its list; returns its CHUNK_* flags. Its page_info is as of a page in use. */
static unsigned long chunk_remove(struct page_info *pg)
{
    unsigned int order = (unsigned int)pg->free_order;
    unsigned int zone = zone_of(mfn_x(page_to_mfn(pg)), order);
    unsigned long flags = pg->count_info & (CHUNK_DIRTY | CHUNK_STALE);

    list_del(&pg->list);
    if (list_empty(&free_list[zone][order]))
        orders_present[zone] &= ~(1u << order);
    zone_free[zone] -= 1UL << order;
    if (flags & CHUNK_DIRTY)
        dirty_pages -= 1UL << order;
    pg->count_info = 0;
    pg->free_order = 0;
    return flags;
}

/* The range that frame lies in, or NULL. */
static const struct ram_range *range_of(unsigned long frame)
{
    unsigned int low = 0, high = nr_ranges;

    while (low < high) {
        unsigned int mid = (low + high) / 2;

        if (ranges[mid].end <= frame)
            low = mid + 1;
        else
            high = mid;
    }
    return low < nr_ranges && ranges[low].start <= frame ? &ranges[low] : NULL;
}

/* The later of two stamps of the TLB flush clock, of which stamps are the low 32 bits: one that is
 * older than those can tell looks recent, here as in tlbflush_filter. */
static u32 later_stamp(u32 a, u32 b)
{
    u32 now = tlbflush_current_time();

    return now - a < now - b ? a : b;
}

/* Put a chunk on its list after merging it with all free buddies in the same state. */
static void chunk_free(struct page_info *pg, unsigned int order, unsigned long flags, u32 stamp)
{
    unsigned long frame = mfn_x(page_to_mfn(pg));
    const struct ram_range *range = range_of(frame);

    BUG_ON(!range);
    for (; order < MAX_ORDER; order++) {
        unsigned long size = 1UL << order, buddy = frame ^ size;
        struct page_info *buddy_pg = mfn_to_page(_mfn(buddy));

        if (buddy < range->start || buddy + size > range->end || !chunk_is_free(buddy_pg, order) ||
            (buddy_pg->count_info ^ flags) & CHUNK_DIRTY)
            break;
        if (chunk_remove(buddy_pg) & CHUNK_STALE) {
            u32 theirs = buddy_pg->tlbflush_timestamp;

            stamp = flags & CHUNK_STALE ? later_stamp(stamp, theirs) : theirs;
            flags |= CHUNK_STALE;
        }
        buddy_pg->tlbflush_timestamp = 0;
        frame &= ~size;
    }
    chunk_insert(mfn_to_page(_mfn(frame)), order, flags, stamp);
}

/* Take the first 2^order pages of a free chunk, giving back what is behind them. */
static unsigned long chunk_split(struct page_info *pg, unsigned int order, u32 *stamp)
{
    unsigned int have = (unsigned int)pg->free_order;
    unsigned long flags = chunk_remove(pg);

    *stamp = pg->tlbflush_timestamp;
    pg->tlbflush_timestamp = 0;
    while (have > order) {
        have--;
        chunk_insert(pg + (1UL << have), have, flags, *stamp);
    }
    return flags;
}

/* ---- Ranges ---- */

static bool add_range(unsigned long start, unsigned long end)
{
    unsigned int i = nr_ranges;

    if (nr_ranges == MAX_RANGES)
        return false;
    for (; i && ranges[i - 1].start > start; i--)
        ranges[i] = ranges[i - 1];
    ranges[i] = (struct ram_range){ start, end };
    nr_ranges++;

    BUG_ON(i && ranges[i - 1].end > start);
    BUG_ON(i + 1 < nr_ranges && ranges[i + 1].start < end);
    return true;
}

void heap_init_range(mfn_t start_mfn, mfn_t end_mfn, bool dirty)
{
    unsigned long frame = max(mfn_x(start_mfn), 1UL);   /* frame 0 stands for "none" in places */
    unsigned long end = mfn_x(end_mfn), flags;

    if (frame >= end)
        return;

    spin_lock_irqsave(&heap_lock, flags);
    if (add_range(frame, end)) {
        total_pages += end - frame;
        while (frame < end) {
            unsigned int order = min_t(unsigned int, (unsigned int)__builtin_ctzl(frame),
                                       ilog2(end - frame));

            order = min(order, (unsigned int)MAX_ORDER);
            chunk_insert(mfn_to_page(_mfn(frame)), order, dirty ? CHUNK_DIRTY : 0, 0);
            frame += 1UL << order;
        }
        frame = 0;
    }
    spin_unlock_irqrestore(&heap_lock, flags);

    if (frame)
        printk(LOG_WARN "Heap: too many ranges of memory, %lu pages are not used\n", end - frame);
}

/* ---- Allocation ---- */

/* The CPUs that must flush their TLBs before a chunk with this stamp changes hands. */
static cpumask_t stale_cpus(u32 stamp)
{
    cpumask_t mask = cpu_online_map;

    tlbflush_filter(&mask, stamp);
    return mask;
}

/* Whether this context may take the chunk: it cannot make other CPUs flush with interrupts off. */
static bool chunk_usable(const struct page_info *pg, bool may_flush)
{
    cpumask_t mask;

    if (may_flush || !(pg->count_info & CHUNK_STALE))
        return true;
    mask = stale_cpus(pg->tlbflush_timestamp);
    return cpumask_empty(&mask);
}

/* The best free chunk of at least 2^order pages in zones up to zone; NULL if none. */
static struct page_info *find_chunk(unsigned int order, unsigned int zone, bool may_flush)
{
    do {
        u32 orders = orders_present[zone] & (~0u << order);

        for (; orders; orders &= orders - 1) {
            struct list_head *list = &free_list[zone][ffs(orders) - 1];
            struct page_info *pg = list_first_entry(list, struct page_info, list);

            if (chunk_usable(pg, may_flush))
                return pg;
        }
    } while (zone--);
    return NULL;
}

/* Make a chunk that was just taken fit for a new user. Interrupts on if there are CPUs to flush. */
static void chunk_clean(struct page_info *pg, unsigned int order, unsigned long flags, u32 stamp,
                        bool scrub)
{
    if (flags & CHUNK_STALE) {
        cpumask_t mask = stale_cpus(stamp);

        if (!cpumask_empty(&mask))
            flush_tlb_mask(&mask);
    }
    if ((flags & CHUNK_DIRTY) && scrub)
        memset(page_to_virt(pg), 0, PAGE_SIZE << order);
}

struct page_info *alloc_pages(unsigned int order, unsigned int memflags)
{
    unsigned int bits = MEMF_get_bits(memflags), zone = NR_ZONES - 1;
    bool may_flush = local_irq_is_enabled();
    unsigned long flags, chunk_flags = 0;
    struct page_info *pg;
    u32 stamp = 0;

    if (order > MAX_ORDER || (bits && bits <= PAGE_SHIFT))
        return NULL;
    if (bits)
        zone = min(bits - PAGE_SHIFT, zone);

    spin_lock_irqsave(&heap_lock, flags);
    pg = find_chunk(order, zone, may_flush);
    if (pg)
        chunk_flags = chunk_split(pg, order, &stamp);
    spin_unlock_irqrestore(&heap_lock, flags);

    if (pg)
        chunk_clean(pg, order, chunk_flags, stamp, !(memflags & MEMF_no_scrub));
    return pg;
}

static void free_as(struct page_info *pg, unsigned int order, unsigned long chunk_flags, u32 stamp)
{
    unsigned long flags;

    BUG_ON(order > MAX_ORDER || !IS_ALIGNED(mfn_x(page_to_mfn(pg)), 1UL << order));
    for (unsigned long i = 0; i < 1UL << order; i++) {
        BUG_ON(pg[i].count_info & (PGC_free | PGC_count_mask));
        pg[i] = (struct page_info){ 0 };
    }
#ifdef DEBUG
    memset(page_to_virt(pg), 0xdb, PAGE_SIZE << order);
#endif

    spin_lock_irqsave(&heap_lock, flags);
    chunk_free(pg, order, chunk_flags, stamp);
    spin_unlock_irqrestore(&heap_lock, flags);
}

void free_pages(struct page_info *pg, unsigned int order)
{
    free_as(pg, order, CHUNK_DIRTY, 0);
}

void free_guest_pages(struct page_info *pg, unsigned int order)
{
    free_as(pg, order, CHUNK_DIRTY | CHUNK_STALE, tlbflush_current_time());
}

void *alloc_heap_pages(unsigned int order, unsigned int memflags)
{
    struct page_info *pg = alloc_pages(order, memflags);

    return pg ? page_to_virt(pg) : NULL;
}

void free_heap_pages(void *va, unsigned int order)
{
    if (va)
        free_pages(virt_to_page(va), order);
}

/* ---- Cleaning while idle ---- */

/* A dirty chunk, the largest of the highest zone; heap_lock held. */
static struct page_info *find_dirty(void)
{
    for (unsigned int zone = NR_ZONES; zone--; ) {
        for (u32 orders = orders_present[zone]; orders; orders &= ~(1u << (fls(orders) - 1))) {
            struct list_head *list = &free_list[zone][fls(orders) - 1];
            struct page_info *pg = list_last_entry(list, struct page_info, list);

            if (pg->count_info & CHUNK_DIRTY)
                return pg;
        }
    }
    return NULL;
}

bool heap_scrub_some(void)
{
    /* One CPU at a time: more would only wait for each other's lock. */
    static bool scrubbing;
    unsigned long flags, chunk_flags = 0;
    unsigned int order = 0, zone = 0;
    struct page_info *pg;
    u32 stamp = 0;
    bool more = false;

    if (!READ_ONCE(dirty_pages) || __atomic_exchange_n(&scrubbing, true, __ATOMIC_ACQUIRE))
        return false;

    spin_lock_irqsave(&heap_lock, flags);
    pg = find_dirty();
    if (pg) {
        order = min_t(unsigned int, (unsigned int)pg->free_order, SCRUB_ORDER);
        chunk_flags = chunk_split(pg, order, &stamp);
        /* It counts as free meanwhile: whoever compares numbers of free pages shall not take it for lost. */
        zone = zone_of(mfn_x(page_to_mfn(pg)), order);
        zone_free[zone] += 1UL << order;
    }
    spin_unlock_irqrestore(&heap_lock, flags);
    if (pg) {
        chunk_clean(pg, order, chunk_flags, stamp, true);

        spin_lock_irqsave(&heap_lock, flags);
        zone_free[zone] -= 1UL << order;
        chunk_free(pg, order, 0, 0);
        more = dirty_pages != 0;
        spin_unlock_irqrestore(&heap_lock, flags);
    }
    __atomic_store_n(&scrubbing, false, __ATOMIC_RELEASE);
    return more;
}

/* ---- Statistics ---- */

unsigned long heap_free_pages_below(unsigned int bits)
{
    unsigned int last = NR_ZONES - 1;
    unsigned long n = 0, flags;

    if (bits && bits <= PAGE_SHIFT)
        return 0;
    if (bits)
        last = min(bits - PAGE_SHIFT, last);
    /* Chunks that are being split or merged are in no count for a moment: without the lock they would be missed. */
    spin_lock_irqsave(&heap_lock, flags);
    for (unsigned int zone = 0; zone <= last; zone++)
        n += zone_free[zone];
    spin_unlock_irqrestore(&heap_lock, flags);
    return n;
}

unsigned long heap_free_pages_count(void)
{
    return heap_free_pages_below(0);
}

unsigned long heap_total_pages(void)
{
    return READ_ONCE(total_pages);
}

unsigned long heap_dirty_pages_count(void)
{
    return READ_ONCE(dirty_pages);
}
