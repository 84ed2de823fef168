/* SPDX-License-Identifier: MIT */
/* References and types of the fake machine's frames; page tables are not checked, only counted. */
#include <asm/mm.h>
#include <asm/pv_mm.h>
#include <domus/arch.h>
#include <domus/atomic.h>
#include <domus/heap.h>
#include <host.h>
#include <xen/grant_table.h>

bool get_page(struct page_info *pg, const struct domain *d)
{
    unsigned long old = READ_ONCE(pg->count_info);

    do {
        if (!(old & PGC_count_mask) || pg->owner != d)
            return false;
    } while (!__atomic_compare_exchange_n(&pg->count_info, &old, old + 1, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return true;
}

struct page_info *get_page_from_mfn(mfn_t mfn, const struct domain *d)
{
    struct page_info *pg = mfn_valid(mfn) ? mfn_to_page(mfn) : NULL;

    return pg && get_page(pg, d) ? pg : NULL;
}

/* The hypervisor's pages are freed by whoever made them, when they are not shared any more. */
void put_page(struct page_info *pg)
{
    unsigned long left = __atomic_sub_fetch(&pg->count_info, 1, __ATOMIC_SEQ_CST);
    struct domain *d = pg->owner;

    if (left & PGC_count_mask)
        return;
    pg->owner = NULL;
    if (!(left & PGC_hypervisor))
        free_guest_pages(pg, 0);
    put_domain(d);
}

/* The guests' numbers are the machine's. */
unsigned long get_gpfn_from_mfn(mfn_t mfn)
{
    return mfn_x(mfn);
}

bool get_page_type(struct page_info *pg, unsigned long type)
{
    unsigned long old = READ_ONCE(pg->type_info), new;

    do {
        if ((old & PGT_count_mask) && (old & PGT_type_mask) != type)
            return false;
        new = type | ((old & PGT_count_mask) + 1);
    } while (!__atomic_compare_exchange_n(&pg->type_info, &old, new, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return true;
}

void put_page_type(struct page_info *pg)
{
    BUG_ON(!(fetch_add(&pg->type_info, -1UL) & PGT_count_mask));
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

void share_page_with_guest(struct page_info *pg, struct domain *d, bool writable)
{
    pg->owner = d;
    pg->type_info = (writable ? PGT_writable_page : PGT_none) | 1;
    pg->count_info = PGC_hypervisor | PGC_allocated | 1;
    get_knownalive_domain(d);
}

void free_shared_page(struct page_info *pg)
{
    host_domain_remove_page(pg);
    pg->count_info = 0;
    free_guest_pages(pg, 0);
}

struct page_info *host_domain_add_page(struct domain *d)
{
    struct page_info *pg = alloc_pages(0, MEMF_zero);

    BUG_ON(!pg);
    pg->owner = d;
    pg->count_info = PGC_allocated | 1;
    get_knownalive_domain(d);
    return pg;
}

void host_domain_remove_page(struct page_info *pg)
{
    if (fetch_and(&pg->count_info, ~PGC_allocated) & PGC_allocated)
        put_page(pg);
}

/* ---- Grant mappings ---- */

static struct {
    struct page_info *pg;
    bool writable;
} mapped[HOST_MAP_ADDRS];

struct page_info *host_mapped_at(u64 addr)
{
    return addr < HOST_MAP_ADDRS ? mapped[addr].pg : NULL;
}

int pv_create_grant_mapping(u64 addr, mfn_t frame, unsigned int gntmap_flags,
                            unsigned int cache_flags __unused)
{
    if (addr >= HOST_MAP_ADDRS || mapped[addr].pg)
        return GNTST_bad_virt_addr;
    mapped[addr].pg = mfn_to_page(frame);
    mapped[addr].writable = !(gntmap_flags & GNTMAP_readonly);
    return GNTST_okay;
}

int pv_destroy_grant_mapping(u64 addr, mfn_t frame, u64 new_addr __unused,
                             unsigned int gntmap_flags)
{
    if (addr >= HOST_MAP_ADDRS || mapped[addr].pg != mfn_to_page(frame) ||
        mapped[addr].writable != !(gntmap_flags & GNTMAP_readonly))
        return GNTST_general_error;
    mapped[addr].pg = NULL;
    return GNTST_okay;
}

void host_drop_mappings(void)
{
    for (unsigned int i = 0; i < HOST_MAP_ADDRS; i++) {
        struct page_info *pg = mapped[i].pg;

        if (!pg)
            continue;
        mapped[i].pg = NULL;
        if (mapped[i].writable)
            put_page_and_type(pg);
        else
            put_page(pg);
    }
}
