/* SPDX-License-Identifier: MIT */
/* Grant tables: grants of a domain to itself, and all that can be wrong with them. */
#include "kernel.h"

#define NOBODY 0x1234
#define REF_BASE 16

static grant_entry_v1_t *table;

static long gnt(unsigned int cmd, void *arg)
{
    return HCALL(grant_table_op, cmd, arg, 1, 0, 0);
}

static grant_ref_t grant(void *page, unsigned int flags)
{
    static grant_ref_t next = REF_BASE;

    table[next] = (grant_entry_v1_t){ .flags = (uint16_t)(GTF_permit_access | flags), .domid = 0,
                                      .frame = (uint32_t)mfn_of(page) };
    return next++;
}

/* Mapped by the host address of the page `at`. */
static struct gnttab_map_grant_ref map(void *at, grant_ref_t ref, unsigned int flags)
{
    struct gnttab_map_grant_ref m = { .host_addr = (unsigned long)at, .flags = GNTMAP_host_map | flags, .ref = ref,
                                      .dom = 0 };

    check_eq(gnt(GNTTABOP_map_grant_ref, &m), 0);
    return m;
}

static struct gnttab_unmap_grant_ref unmap(void *at, grant_handle_t handle)
{
    struct gnttab_unmap_grant_ref u = { .host_addr = (unsigned long)at, .handle = handle };

    check_eq(gnt(GNTTABOP_unmap_grant_ref, &u), 0);
    return u;
}

static void set_up(void)
{
    static xen_pfn_t frames[4];
    struct gnttab_query_size q = { .dom = DOMID_SELF };
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 1 };
    struct gnttab_get_version v = { .dom = DOMID_SELF };

    set_xen_guest_handle(s.frame_list, frames);
    check_eq(gnt(GNTTABOP_query_size, &q), 0);
    check_eq(q.status, GNTST_okay);
    check(q.nr_frames <= q.max_nr_frames && q.max_nr_frames >= 4);
    check_eq(gnt(GNTTABOP_setup_table, &s), 0);
    check_eq(s.status, GNTST_okay);
    table = alloc_page();
    check_eq(set_pte((unsigned long)table, frames[0] << PAGE_SHIFT | PTE_DATA), 0);
    check_eq(gnt(GNTTABOP_get_version, &v), 0);
    check_eq(v.version, 1);
}

static void bad_set_up(void)
{
    xen_pfn_t frames[4];
    struct gnttab_query_size q = { .dom = NOBODY };
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 1000000 };

    check_eq(gnt(GNTTABOP_query_size, &q), 0);
    check_eq(q.status, GNTST_bad_domain);
    set_xen_guest_handle(s.frame_list, frames);
    check_eq(gnt(GNTTABOP_setup_table, &s), 0);
    check(s.status < 0);
    s.nr_frames = ~0u;
    check_eq(gnt(GNTTABOP_setup_table, &s), 0);
    check(s.status < 0);
    s = (struct gnttab_setup_table){ .dom = NOBODY, .nr_frames = 1 };
    check_eq(gnt(GNTTABOP_setup_table, &s), 0);
    check_eq(s.status, GNTST_bad_domain);
    check_eq(HCALL(grant_table_op, GNTTABOP_query_size, UNMAPPED, 1, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(grant_table_op, GNTTABOP_setup_table, HV_SECRET, 1, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(grant_table_op, GNTTABOP_setup_table, &s, 2, 0, 0), -XEN_EINVAL);
}

static void map_and_unmap(void)
{
    char *page = alloc_page(), *at = alloc_page();
    grant_ref_t ref = grant(page, 0);
    struct gnttab_map_grant_ref m;

    page[5] = 'g';
    m = map(at, ref, 0);
    check_eq(m.status, GNTST_okay);
    check_eq(m.dev_bus_addr, mfn_of(page) << PAGE_SHIFT);
    check_eq(at[5], 'g');
    at[6] = 'h';
    check_eq(page[6], 'h');
    check_eq(table[ref].flags & (GTF_reading | GTF_writing), GTF_reading | GTF_writing);
    check_eq(unmap(at, m.handle).status, GNTST_okay);
    check_eq(table[ref].flags & (GTF_reading | GTF_writing), 0);
    check_eq(guarded(read_at, (unsigned long)at, 0), 14);
    /* A second time. */
    check(unmap(at, m.handle).status < 0);
    check_eq(set_pte((unsigned long)at, mfn_of(at) << PAGE_SHIFT | PTE_DATA), 0);
}

static void read_only(void)
{
    char *page = alloc_page(), *at = alloc_page();
    grant_ref_t ref = grant(page, GTF_readonly);
    struct gnttab_map_grant_ref m = map(at, ref, 0);

    check(m.status < 0);
    m = map(at, ref, GNTMAP_readonly);
    check_eq(m.status, GNTST_okay);
    check_eq(guarded(write_at, (unsigned long)at, 0), 14);
    check_eq(last_trap.error_code, 3);
    check(unmap(at, m.handle).status <= 0);
}

static void bad_maps(void)
{
    char *page = alloc_page(), *at = alloc_page();
    struct gnttab_map_grant_ref m;
    grant_ref_t ref;

    check(map(at, 0x7fffffff, 0).status < 0);
    check(map(at, ~0u, 0).status < 0);
    check(map(at, 500, 0).status < 0);
    check(map((void *)HV_SECRET, grant(page, 0), 0).status < 0);
    check(map((void *)NON_CANONICAL, grant(page, 0), 0).status < 0);
    check(map((void *)0x400000000000, grant(page, 0), 0).status < 0);
    check(map((void *)-PAGE_SIZE, grant(page, 0), 0).status < 0);
    ref = grant(page, 0);
    table[ref].domid = NOBODY;
    check(map(at, ref, 0).status < 0);
    ref = grant(page, 0);
    table[ref].frame = 0xfffffff0;
    check(map(at, ref, 0).status < 0);
    ref = grant((void *)start_info->pt_base, 0);
    check(map(at, ref, 0).status < 0);
    m = (struct gnttab_map_grant_ref){ .host_addr = (unsigned long)at, .flags = GNTMAP_host_map, .ref = ref,
                                       .dom = NOBODY };
    check_eq(gnt(GNTTABOP_map_grant_ref, &m), 0);
    check_eq(m.status, GNTST_bad_domain);
    m = (struct gnttab_map_grant_ref){ .host_addr = (unsigned long)at, .flags = 0, .ref = ref, .dom = 0 };
    check_eq(gnt(GNTTABOP_map_grant_ref, &m), 0);
    check(m.status < 0);
    /* Nothing was mapped over. */
    check_eq(guarded(write_at, (unsigned long)at, 1), TRAP_NONE);
    check_eq(HCALL(grant_table_op, GNTTABOP_map_grant_ref, UNMAPPED, 1, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(grant_table_op, GNTTABOP_map_grant_ref, HV_SECRET, 1, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(grant_table_op, GNTTABOP_map_grant_ref, &m, 0, 0, 0), 0);
    check(HCALL(grant_table_op, GNTTABOP_map_grant_ref, &m, 0xffffffff, 0, 0) < 0);
    check(HCALL(grant_table_op, GNTTABOP_map_grant_ref, HV_SECRET, 0x7fffffff, 0, 0) < 0);
}

static void bad_unmaps(void)
{
    char *page = alloc_page(), *at = alloc_page(), *other = alloc_page();
    struct gnttab_map_grant_ref m = map(at, grant(page, 0), 0);

    check_eq(m.status, GNTST_okay);
    check(unmap(at, 0x7fffffff).status < 0);
    check(unmap(at, ~0u).status < 0);
    check(unmap(at, m.handle + 100).status < 0);
    check(unmap(other, m.handle).status < 0);
    check(unmap((void *)HV_SECRET, m.handle).status < 0);
    check_eq(HCALL(grant_table_op, GNTTABOP_unmap_grant_ref, UNMAPPED, 1, 0, 0), -XEN_EFAULT);
    (void)unmap(at, m.handle);
    check_eq(guarded(write_at, (unsigned long)other, 1), TRAP_NONE);
}

static void by_entry(void)
{
    char *page = alloc_page(), *at = alloc_page();
    grant_ref_t ref = grant(page, 0);
    uint64_t value, where = pte_maddr((unsigned long)at, &value);
    struct gnttab_map_grant_ref m = map((void *)where, ref, GNTMAP_contains_pte);
    struct gnttab_unmap_grant_ref u = { .host_addr = where, .handle = m.handle };
    struct mmuext_op flush = { .cmd = MMUEXT_TLB_FLUSH_LOCAL };

    check_eq(m.status, GNTST_okay);
    check_eq(HCALL(mmuext_op, &flush, 1, 0, DOMID_SELF, 0), 0);
    page[9] = 'p';
    check_eq(at[9], 'p');
    check_eq(gnt(GNTTABOP_unmap_grant_ref, &u), 0);
    check_eq(u.status, GNTST_okay);
    /* Entries elsewhere: not in a page table of ours. */
    check(map((void *)(mfn_of(page) << PAGE_SHIFT), ref, GNTMAP_contains_pte).status < 0);
    check(map((void *)(0xfffffffffUL << PAGE_SHIFT), ref, GNTMAP_contains_pte).status < 0);
    check(map((void *)(where | 3), ref, GNTMAP_contains_pte).status < 0);
    check(map((void *)(mfn_of((void *)start_info->pt_base) << PAGE_SHIFT), ref, GNTMAP_contains_pte).status < 0);
}

/* A frame that somebody has mapped writable becomes no page table; nor the other way round. */
static void granted_frames_have_types(void)
{
    uint64_t *page = alloc_page(), *at = alloc_page();
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = mfn_of(page) };
    grant_ref_t ref = grant(page, 0);
    struct gnttab_map_grant_ref m;

    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    m = map(at, ref, 0);
    check_eq(m.status, GNTST_okay);
    check(HCALL(mmuext_op, &pin, 1, 0, DOMID_SELF, 0) != 0);
    check_eq(unmap(at, m.handle).status, GNTST_okay);
    check_eq(HCALL(mmuext_op, &pin, 1, 0, DOMID_SELF, 0), 0);
    check(map(at, ref, 0).status < 0);
    pin.cmd = MMUEXT_UNPIN_TABLE;
    check_eq(HCALL(mmuext_op, &pin, 1, 0, DOMID_SELF, 0), 0);
}

static struct gnttab_copy copy_of(grant_ref_t from, void *to, unsigned int offset, unsigned int length)
{
    struct gnttab_copy c = { .source.u.ref = from, .source.domid = DOMID_SELF, .source.offset = (uint16_t)offset,
                             .dest.u.gmfn = mfn_of(to), .dest.domid = DOMID_SELF, .dest.offset = (uint16_t)offset,
                             .len = (uint16_t)length, .flags = GNTCOPY_source_gref };

    check_eq(gnt(GNTTABOP_copy, &c), 0);
    return c;
}

static void copies(void)
{
    char *from = alloc_page(), *to = alloc_page();
    grant_ref_t ref = grant(from, 0), only_read = grant(from, GTF_readonly);
    struct gnttab_copy c;

    memset(from, 'c', PAGE_SIZE);
    check_eq(copy_of(ref, to, 100, 50).status, GNTST_okay);
    check(to[99] == 0 && to[100] == 'c' && to[149] == 'c' && to[150] == 0);
    check_eq(copy_of(ref, to, 0, PAGE_SIZE).status, GNTST_okay);
    check_eq(copy_of(only_read, to, 0, 1).status, GNTST_okay);
    check_eq(copy_of(ref, to, 1, PAGE_SIZE).status, GNTST_bad_copy_arg);
    check_eq(copy_of(ref, to, 0xffff, 0xffff).status, GNTST_bad_copy_arg);
    check_eq(copy_of(ref, to, PAGE_SIZE - 1, 2).status, GNTST_bad_copy_arg);
    check(copy_of(700, to, 0, 10).status < 0);
    check(copy_of(~0u, to, 0, 10).status < 0);
    check(copy_of(ref, (void *)start_info->pt_base, 0, 8).status < 0);
    c = (struct gnttab_copy){ .source.u.gmfn = mfn_of(from), .source.domid = DOMID_SELF, .dest.u.ref = only_read,
                              .dest.domid = DOMID_SELF, .len = 8, .flags = GNTCOPY_dest_gref };
    check_eq(gnt(GNTTABOP_copy, &c), 0);
    check(c.status < 0);
    c = (struct gnttab_copy){ .source.u.gmfn = 0xfffffffffUL, .source.domid = DOMID_SELF, .dest.u.gmfn = mfn_of(to),
                              .dest.domid = DOMID_SELF, .len = 8 };
    check_eq(gnt(GNTTABOP_copy, &c), 0);
    check(c.status < 0);
    c = (struct gnttab_copy){ .source.u.ref = ref, .source.domid = NOBODY, .dest.u.gmfn = mfn_of(to),
                              .dest.domid = DOMID_SELF, .len = 8, .flags = GNTCOPY_source_gref };
    check_eq(gnt(GNTTABOP_copy, &c), 0);
    check_eq(c.status, GNTST_bad_domain);
    /* By frame number of a domain that is not the caller. */
    c.flags = 0;
    c.source.domid = DOMID_XEN;
    check_eq(gnt(GNTTABOP_copy, &c), 0);
    check(c.status < 0);
    check_eq(HCALL(grant_table_op, GNTTABOP_copy, UNMAPPED, 1, 0, 0), -XEN_EFAULT);
    check(HCALL(grant_table_op, GNTTABOP_copy, &c, 0xffffffff, 0, 0) < 0);
}

static void transfers(void)
{
    struct gnttab_transfer t = { .mfn = mfn_of(alloc_page()), .domid = NOBODY, .ref = 1 };
    long rc = gnt(GNTTABOP_transfer, &t);

    check(rc < 0 || t.status < 0);
    t = (struct gnttab_transfer){ .mfn = 0xfffffffffUL, .domid = DOMID_SELF, .ref = 1 };
    rc = gnt(GNTTABOP_transfer, &t);
    check(rc < 0 || t.status < 0);
}

static void versions(void)
{
    struct gnttab_set_version v = { .version = 3 };

    check_eq(gnt(GNTTABOP_set_version, &v), -XEN_EINVAL);
    v.version = 0;
    check_eq(gnt(GNTTABOP_set_version, &v), -XEN_EINVAL);
    check_eq(HCALL(grant_table_op, GNTTABOP_set_version, UNMAPPED, 1, 0, 0), -XEN_EFAULT);
    check(gnt(100, &v) < 0);
}

static void swaps_and_flushes(void)
{
    struct gnttab_swap_grant_ref s = { .ref_a = ~0u, .ref_b = 1 };
    struct gnttab_cache_flush f = { .offset = 4000, .length = 4000, .op = GNTTAB_CACHE_CLEAN };
    long rc = gnt(GNTTABOP_swap_grant_ref, &s);

    check(rc < 0 || s.status < 0);
    check(gnt(GNTTABOP_cache_flush, &f) < 0);
}

TESTS({ "set-up", set_up }, { "bad set-up", bad_set_up }, { "map and unmap", map_and_unmap },
      { "read-only", read_only }, { "bad maps", bad_maps }, { "bad unmaps", bad_unmaps }, { "maps by entry", by_entry },
      { "granted frames have types", granted_frames_have_types }, { "copies", copies }, { "transfers", transfers },
      { "versions", versions }, { "swaps and cache flushes", swaps_and_flushes });
