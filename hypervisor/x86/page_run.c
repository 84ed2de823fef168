/* SPDX-License-Identifier: MIT */
/* Runs of contiguous pages whose length is no power of two. */
#include <domus/heap.h>
#include <asm/page_run.h>

struct page_info *page_run_alloc(unsigned long nr)
{
    unsigned int order = get_order_from_pages(nr);
    struct page_info *pg;

    if (nr == 0 || order > MAX_ORDER)
        return NULL;
    pg = alloc_pages(order, MEMF_no_scrub);
    if (pg)
        page_run_free(pg + nr, (1UL << order) - nr);
    return pg;
}

void page_run_free(struct page_info *pg, unsigned long nr)
{
    while (nr) {
        unsigned int order = min_t(unsigned int, ilog2(nr), MAX_ORDER);
        unsigned int alignment = ffs(mfn_x(page_to_mfn(pg)));   /* counted from one; 0 for frame 0 */

        if (alignment)
            order = min(order, alignment - 1);
        free_pages(pg, order);
        pg += 1UL << order;
        nr -= 1UL << order;
    }
}
