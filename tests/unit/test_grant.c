/* SPDX-License-Identifier: MIT */
/* Grant tables by the hypercall: mapping, unmapping, copying, limits, teardown, and a random walk in
 * which the books must balance in the end. */
#include "unit.h"

#include <pthread.h>

#include <asm/current.h>
#include <asm/flushtlb.h>
#include <domus/grant.h>
#include <domus/heap.h>

#define GRANTS_PER_FRAME (PAGE_SIZE / sizeof(grant_entry_v1_t))
#define A 0
#define B 1
#define PAGES 8

static struct domain *a, *b;
static struct page_info *page[PAGES];       /* b's */
static unsigned long free_before;

static int setup(void **state)
{
    (void)state;
    host_machine_create(0x1000);
    heap_init_range(_mfn(HOST_FIRST_MFN), _mfn(0x1000), true);
    return 0;
}

static grant_entry_v1_t *entry(struct domain *d, grant_ref_t ref)
{
    mfn_t mfn;

    assert_int_equal(gnttab_shared_frame(d, ref / GRANTS_PER_FRAME, &mfn), 0);
    return (grant_entry_v1_t *)mfn_to_virt(mfn) + ref % GRANTS_PER_FRAME;
}

static void grant(grant_ref_t ref, struct page_info *pg, domid_t to, u16 flags)
{
    *entry(b, ref) = (grant_entry_v1_t){ GTF_permit_access | flags, to,
                                         (u32)mfn_x(page_to_mfn(pg)) };
}

static int make_domains(void **state)
{
    (void)state;
    free_before = heap_free_pages_count();
    a = host_domain_create(A, 2, true);
    b = host_domain_create(B, 1, false);
    for (int i = 0; i < PAGES; i++)
        page[i] = host_domain_add_page(b);
    host_domains_freed = 0;
    host_preempt_every = 0;
    return 0;
}

/* Nothing is left over: no reference, no page, no domain. */
static int end_domains(void **state)
{
    (void)state;
    host_run(a->vcpu[0]);
    host_domain_destroy(b);
    host_domain_destroy(a);
    host_drop_mappings();
    assert_int_equal(host_domains_freed, 2);
    assert_int_equal(heap_free_pages_count(), free_before);
    return 0;
}

#define OP(cmd, arg)                                        \
    ({                                                      \
        memcpy(host_guest, &(arg), sizeof(arg));            \
        long rc_ = host_grant_op(cmd, host_guest, 1);       \
        memcpy(&(arg), host_guest, sizeof(arg));            \
        rc_;                                                \
    })

static struct gnttab_map_grant_ref map(grant_ref_t ref, u64 addr, u32 flags)
{
    struct gnttab_map_grant_ref arg = { .host_addr = addr, .flags = flags, .ref = ref, .dom = B };

    assert_int_equal(OP(GNTTABOP_map_grant_ref, arg), 0);
    return arg;
}

static int unmap(grant_handle_t handle, u64 addr, u64 dev)
{
    struct gnttab_unmap_grant_ref arg = { .host_addr = addr, .dev_bus_addr = dev, .handle = handle };

    assert_int_equal(OP(GNTTABOP_unmap_grant_ref, arg), 0);
    return arg.status;
}

static unsigned long references(const struct page_info *pg)
{
    return pg->count_info & PGC_count_mask;
}

static void map_and_unmap(void **state)
{
    struct gnttab_map_grant_ref m, r;

    (void)state;
    grant(8, page[0], A, 0);
    m = map(8, 100, GNTMAP_host_map);
    assert_int_equal(m.status, GNTST_okay);
    assert_int_equal(m.dev_bus_addr, mfn_x(page_to_mfn(page[0])) << PAGE_SHIFT);
    assert_ptr_equal(host_mapped_at(100), page[0]);
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(references(page[0]), 2);

    r = map(8, 101, GNTMAP_host_map | GNTMAP_readonly);
    assert_int_equal(r.status, GNTST_okay);
    assert_int_not_equal(r.handle, m.handle);
    assert_int_equal(unmap(m.handle, 101, 0), GNTST_general_error);     /* not this one's address */
    host_tlb_flushes = 0;
    assert_int_equal(unmap(m.handle, 100, 0), GNTST_okay);
    assert_int_equal(host_tlb_flushes, 1);
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access | GTF_reading);
    assert_int_equal(unmap(m.handle, 100, 0), GNTST_bad_handle);
    assert_int_equal(unmap(r.handle, 101, 0), GNTST_okay);
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access);
    assert_int_equal(references(page[0]), 1);
    assert_int_equal(page[0]->type_info & PGT_count_mask, 0);
}

static void both_kinds(void **state)
{
    struct gnttab_map_grant_ref m;
    u64 bus;

    (void)state;
    grant(9, page[1], A, 0);
    m = map(9, 5, GNTMAP_host_map | GNTMAP_device_map);
    assert_int_equal(m.status, GNTST_okay);
    bus = m.dev_bus_addr;
    assert_int_equal(references(page[1]), 3);
    assert_int_equal(unmap(m.handle, 0, 0), GNTST_okay);        /* nothing named */
    assert_int_equal(unmap(m.handle, 0, bus + 1), GNTST_bad_dev_addr);
    assert_int_equal(unmap(m.handle, 5, 0), GNTST_okay);
    assert_int_equal(references(page[1]), 2);
    assert_int_equal(entry(b, 9)->flags & GTF_writing, GTF_writing);
    assert_int_equal(unmap(m.handle, 5, 0), GNTST_okay);        /* gone already: ignored */
    assert_int_equal(unmap(m.handle, 0, bus), GNTST_okay);
    assert_int_equal(unmap(m.handle, 0, bus), GNTST_bad_handle);
    assert_int_equal(references(page[1]), 1);
    assert_int_equal(entry(b, 9)->flags, GTF_permit_access);

    m = map(9, 6, GNTMAP_device_map);
    assert_int_equal(m.status, GNTST_okay);
    assert_null(host_mapped_at(6));
    assert_int_equal(unmap(m.handle, 6, bus), GNTST_okay);
}

static void map_refusals(void **state)
{
    struct gnttab_map_grant_ref m = { .dom = 5, .flags = GNTMAP_host_map };

    (void)state;
    assert_int_equal(OP(GNTTABOP_map_grant_ref, m), 0);
    assert_int_equal(m.status, GNTST_bad_domain);
    assert_int_equal(map(8, 1, 0).status, GNTST_bad_gntref);
    assert_int_equal(map(8, 1, GNTMAP_host_map).status, GNTST_general_error);   /* invalid entry */
    assert_int_equal(map(GRANTS_PER_FRAME, 1, GNTMAP_host_map).status, GNTST_bad_gntref);
    assert_int_equal(map(~0u, 1, GNTMAP_host_map).status, GNTST_bad_gntref);

    grant(8, page[0], 7, 0);                /* for somebody else */
    assert_int_equal(map(8, 1, GNTMAP_host_map).status, GNTST_general_error);
    grant(8, page[0], A, GTF_readonly);
    assert_int_equal(map(8, 1, GNTMAP_host_map).status, GNTST_general_error);
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access | GTF_readonly);
    entry(b, 8)->flags = GTF_accept_transfer;
    assert_int_equal(map(8, 1, GNTMAP_host_map).status, GNTST_general_error);

    grant(8, page[0], A, 0);
    assert_true(get_page_type(page[0], PGT_l1_page_table));
    assert_int_equal(map(8, 1, GNTMAP_host_map).status, GNTST_general_error);   /* a page table */
    put_page_type(page[0]);
    entry(b, 8)->frame = 0xfffffff;
    assert_int_equal(map(8, 1, GNTMAP_host_map).status, GNTST_general_error);   /* no such frame */
    entry(b, 8)->frame = (u32)mfn_x(page_to_mfn(host_domain_add_page(a)));
    assert_int_equal(map(8, 1, GNTMAP_host_map).status, GNTST_general_error);   /* not b's */
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access);

    grant(8, page[0], A, 0);
    assert_int_equal(map(8, HOST_MAP_ADDRS, GNTMAP_host_map).status, GNTST_bad_virt_addr);
    assert_int_equal(map(8, HOST_MAP_ADDRS, GNTMAP_host_map | GNTMAP_device_map).status,
                     GNTST_bad_virt_addr);
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access);
    assert_int_equal(references(page[0]), 1);
}

/* What is in use is used by one domain, and stays the frame that it was. */
static void entry_changed_in_use(void **state)
{
    struct gnttab_map_grant_ref m, second;

    (void)state;
    grant(8, page[0], A, 0);
    m = map(8, 1, GNTMAP_host_map | GNTMAP_readonly);
    grant(8, page[1], A, 0);                /* flags and frame overwritten by the guest */
    second = map(8, 2, GNTMAP_host_map);
    assert_int_equal(second.status, GNTST_okay);
    assert_ptr_equal(host_mapped_at(2), page[0]);
    entry(b, 8)->flags = 0;
    entry(b, 8)->domid = 3;
    assert_int_equal(unmap(m.handle, 1, 0), GNTST_okay);
    assert_int_equal(unmap(second.handle, 2, 0), GNTST_okay);
    assert_int_equal(entry(b, 8)->flags, 0);
    assert_int_equal(references(page[0]) + references(page[1]), 2);
}

static void handle_limit(void **state)
{
    unsigned int max = 4 * PAGE_SIZE / 16, n = 0;
    grant_handle_t *handle = calloc(max + 1, sizeof(*handle));
    struct gnttab_map_grant_ref m;

    (void)state;
    grant(8, page[0], A, 0);
    for (;; n++) {
        host_run(a->vcpu[n % 2]);
        m = map(8, 0, GNTMAP_device_map);
        if (m.status != GNTST_okay)
            break;
        handle[n] = m.handle;
    }
    assert_int_equal(m.status, GNTST_no_space);
    assert_int_equal(n, max);
    host_run(a->vcpu[1]);
    assert_int_equal(unmap(handle[7], 0, (u64)mfn_x(page_to_mfn(page[0])) << 12), GNTST_okay);
    host_run(a->vcpu[0]);                   /* from the other vCPU's list */
    assert_int_equal(map(8, 0, GNTMAP_device_map).status, GNTST_okay);
    assert_int_equal(unmap(max, 0, 1), GNTST_bad_handle);
    assert_int_equal(unmap(~0u, 0, 1), GNTST_bad_handle);
    free(handle);
}

static void batches(void **state)
{
    enum { N = 100 };
    struct gnttab_map_grant_ref *m = (void *)host_guest;
    struct gnttab_unmap_grant_ref *u = (void *)host_guest;
    grant_handle_t handle[N];

    (void)state;
    for (unsigned int i = 0; i < N; i++) {
        grant(i, page[i % PAGES], A, 0);
        m[i] = (struct gnttab_map_grant_ref){ .host_addr = i, .flags = GNTMAP_host_map, .ref = i,
                                              .dom = B };
    }
    host_preempt_every = 7;
    host_continuations = 0;
    assert_int_equal(host_grant_op(GNTTABOP_map_grant_ref, m, N), 0);
    assert_true(host_continuations > 5);
    for (unsigned int i = 0; i < N; i++) {
        assert_int_equal(m[i].status, GNTST_okay);
        handle[i] = m[i].handle;
    }
    for (unsigned int i = 0; i < N; i++)
        u[i] = (struct gnttab_unmap_grant_ref){ .host_addr = i, .handle = handle[i] };
    u[50].handle = 12345;
    host_tlb_flushes = 0;
    host_preempt_every = 2;
    assert_int_equal(host_grant_op(GNTTABOP_unmap_grant_ref, u, N), 0);
    assert_int_equal(host_tlb_flushes, 4);
    for (unsigned int i = 0; i < N; i++)
        assert_int_equal(u[i].status, i == 50 ? GNTST_bad_handle : GNTST_okay);
}

static void replace(void **state)
{
    struct gnttab_unmap_and_replace arg;
    struct gnttab_map_grant_ref m;

    (void)state;
    grant(8, page[0], A, 0);
    m = map(8, 1, GNTMAP_host_map);
    arg = (struct gnttab_unmap_and_replace){ .host_addr = 1, .handle = m.handle };
    assert_int_equal(OP(GNTTABOP_unmap_and_replace, arg), 0);
    assert_int_equal(arg.status, GNTST_bad_virt_addr);
    arg.new_addr = 2;
    assert_int_equal(OP(GNTTABOP_unmap_and_replace, arg), 0);
    assert_int_equal(arg.status, GNTST_okay);
    assert_int_equal(references(page[0]), 1);
}

static void copies(void **state)
{
    struct page_info *own = host_domain_add_page(a);
    char *mine = page_to_virt(own), *theirs = page_to_virt(page[0]);
    struct gnttab_copy c;

    (void)state;
    grant(8, page[0], A, 0);
    grant(9, page[1], A, GTF_readonly);
    strcpy(mine + 10, "packet");
    c = (struct gnttab_copy){ .source = { .u.gmfn = mfn_x(page_to_mfn(own)), .domid = DOMID_SELF,
                                          .offset = 10 },
                              .dest = { .u.ref = 8, .domid = B, .offset = 4089 }, .len = 7,
                              .flags = GNTCOPY_dest_gref };
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_okay);
    assert_string_equal(theirs + 4089, "packet");

    c.len = 8;
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_bad_copy_arg);
    c.dest.offset = 0xffff;
    c.len = 0xffff;
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_bad_copy_arg);

    c.dest = (struct gnttab_copy_ptr){ .u.ref = 9, .domid = B };
    c.len = 1;
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_general_error);        /* read-only */
    c.dest.domid = 44;
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_bad_domain);
    c.flags = 0;
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_permission_denied);
    c.dest = (struct gnttab_copy_ptr){ .u.gmfn = mfn_x(page_to_mfn(page[0])), .domid = DOMID_SELF };
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_bad_page);             /* b's page */
    c.dest.u.gmfn = ~0ul;
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_bad_page);

    c.source = (struct gnttab_copy_ptr){ .u.ref = 9, .domid = B };
    c.dest = (struct gnttab_copy_ptr){ .u.ref = 8, .domid = B };
    c.flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
    assert_int_equal(OP(GNTTABOP_copy, c), 0);
    assert_int_equal(c.status, GNTST_okay);
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access);
    assert_int_equal(references(page[0]) + references(page[1]) + references(own), 3);
}

static void tables(void **state)
{
    struct gnttab_setup_table s = { .dom = DOMID_SELF, .nr_frames = 3 };
    struct gnttab_query_size q = { .dom = B };
    struct gnttab_set_version v = { .version = 2 };
    struct gnttab_get_version g = { .dom = DOMID_SELF };
    struct gnttab_get_status_frames f = { .dom = DOMID_SELF };
    xen_pfn_t *list = (void *)(host_guest + 1024);

    (void)state;
    host_run(b->vcpu[0]);
    s.frame_list.p = list;
    assert_int_equal(OP(GNTTABOP_setup_table, s), 0);
    assert_int_equal(s.status, GNTST_okay);
    for (unsigned int i = 0; i < 3; i++)
        assert_ptr_equal(mfn_to_page(_mfn(list[i]))->owner, b);
    s.nr_frames = 5;
    assert_int_equal(OP(GNTTABOP_setup_table, s), 0);
    assert_int_equal(s.status, GNTST_general_error);
    s.nr_frames = 3;
    s.frame_list.p = (void *)(host_guest + HOST_GUEST_BYTES - 16);
    assert_int_equal(OP(GNTTABOP_setup_table, s), -EFAULT);
    s.dom = A;
    assert_int_equal(OP(GNTTABOP_setup_table, s), 0);
    assert_int_equal(s.status, GNTST_permission_denied);
    s.dom = 22;
    assert_int_equal(OP(GNTTABOP_setup_table, s), 0);
    assert_int_equal(s.status, GNTST_bad_domain);

    host_run(a->vcpu[0]);
    assert_int_equal(OP(GNTTABOP_query_size, q), 0);
    assert_int_equal(q.nr_frames, 3);
    assert_int_equal(q.max_nr_frames, 4);
    assert_int_equal(OP(GNTTABOP_set_version, v), -ENOSYS);
    assert_int_equal(v.version, 1);
    assert_int_equal(OP(GNTTABOP_set_version, v), 0);
    v.version = 3;
    assert_int_equal(OP(GNTTABOP_set_version, v), -EINVAL);
    assert_int_equal(OP(GNTTABOP_get_version, g), 0);
    assert_int_equal(g.version, 1);
    assert_int_equal(OP(GNTTABOP_get_status_frames, f), 0);
    assert_int_equal(f.status, GNTST_general_error);
}

static void swap_and_flush(void **state)
{
    struct gnttab_swap_grant_ref s = { .ref_a = 8, .ref_b = 9 };
    struct gnttab_cache_flush f = { .op = GNTTAB_CACHE_CLEAN, .length = 10 };
    struct gnttab_map_grant_ref m;

    (void)state;
    grant(8, page[0], A, 0);
    grant(9, page[1], A, GTF_readonly);
    m = map(8, 0, GNTMAP_device_map);
    host_run(b->vcpu[0]);
    assert_int_equal(OP(GNTTABOP_swap_grant_ref, s), 0);
    assert_int_equal(s.status, GNTST_eagain);
    host_run(a->vcpu[0]);
    assert_int_equal(unmap(m.handle, 0, m.dev_bus_addr), GNTST_okay);
    host_run(b->vcpu[0]);
    assert_int_equal(OP(GNTTABOP_swap_grant_ref, s), 0);
    assert_int_equal(s.status, GNTST_okay);
    assert_int_equal(entry(b, 8)->frame, mfn_x(page_to_mfn(page[1])));
    assert_int_equal(entry(b, 9)->flags, GTF_permit_access);
    s.ref_b = 8;
    assert_int_equal(OP(GNTTABOP_swap_grant_ref, s), 0);
    assert_int_equal(s.status, GNTST_okay);
    s.ref_b = 1u << 31;
    assert_int_equal(OP(GNTTABOP_swap_grant_ref, s), 0);
    assert_int_equal(s.status, GNTST_bad_gntref);

    assert_int_equal(OP(GNTTABOP_cache_flush, f), 0);
    f.offset = 4090;
    assert_int_equal(OP(GNTTABOP_cache_flush, f), -EINVAL);
    f = (struct gnttab_cache_flush){ .op = GNTTAB_CACHE_INVAL };
    assert_int_equal(OP(GNTTABOP_cache_flush, f), -EOPNOTSUPP);
}

static void bad_calls(void **state)
{
    (void)state;
    for (unsigned int cmd = 0; cmd < 16; cmd++) {
        long rc = host_grant_op(cmd, NULL, 1);

        assert_true(rc == -EFAULT || rc == -ENOSYS || rc == -EOPNOTSUPP);
        assert_true(host_grant_op(cmd, (void *)(~0ul - 3), 2) < 0);
        assert_int_equal(host_grant_op(cmd, host_guest, 0x80000000u), -EINVAL);
    }
    assert_int_equal(host_grant_op(GNTTABOP_map_grant_ref, host_guest, 0), 0);
    assert_int_equal(host_grant_op(~0u, host_guest, 1), -ENOSYS);
}

/* The granter goes first: its pages stay until the grantee lets go. */
static void granter_dies_first(void **state)
{
    struct gnttab_map_grant_ref m;

    (void)state;
    grant(8, page[0], A, 0);
    m = map(8, 3, GNTMAP_host_map);
    host_domain_destroy(b);
    assert_int_equal(host_domains_freed, 0);
    assert_ptr_equal(host_mapped_at(3), page[0]);
    host_run(a->vcpu[0]);
    assert_int_equal(unmap(m.handle, 3, 0), GNTST_okay);
    assert_int_equal(host_domains_freed, 1);
    b = host_domain_create(B, 1, false);
    host_domains_freed = 0;
}

/* The grantee goes, with its page tables: nothing stays in use. */
static void grantee_dies_first(void **state)
{
    (void)state;
    grant(8, page[0], A, 0);
    grant(9, page[1], A, 0);
    map(8, 3, GNTMAP_host_map);
    map(8, 4, GNTMAP_host_map | GNTMAP_readonly);
    map(9, 5, GNTMAP_host_map | GNTMAP_device_map);
    host_preempt_every = 1;
    host_domain_destroy(a);
    host_drop_mappings();
    assert_int_equal(host_domains_freed, 1);
    assert_int_equal(entry(b, 8)->flags, GTF_permit_access);
    assert_int_equal(entry(b, 9)->flags, GTF_permit_access);
    assert_int_equal(references(page[0]) + references(page[1]), 2);
    host_run(b->vcpu[0]);
    a = host_domain_create(A, 2, true);
    host_domains_freed = 0;
}

/* Maps, unmaps and copies at random, at addresses of this CPU, while the granter scribbles over its table. */
static void random_ops(unsigned int steps, uint64_t seed, unsigned int vcpu)
{
    grant_handle_t handle[64];
    u64 addr[64];
    unsigned int held = 0;

    host_run(a->vcpu[vcpu]);
    for (unsigned int i = 0; i < steps; i++) {
        grant_ref_t ref = random_below(&seed, 20);

        switch (random_below(&seed, 5)) {
        case 0:
            if (random_below(&seed, 20))
                *entry(b, ref) = (grant_entry_v1_t){
                    (u16)(random_below(&seed, 8) ? GTF_permit_access : random_next(&seed)),
                    (u16)(random_below(&seed, 8) ? A : random_below(&seed, 4)),
                    (u32)mfn_x(page_to_mfn(page[random_below(&seed, PAGES)])) };
            else
                entry(b, ref)->frame = random_next(&seed);
            break;
        case 1:
        case 2: {
            struct gnttab_map_grant_ref m = {
                .host_addr = host_cpu * 1000 + random_below(&seed, 200), .ref = ref, .dom = B,
                .flags = random_below(&seed, 8) };

            OP(GNTTABOP_map_grant_ref, m);
            if (m.status == GNTST_okay && held < 64) {
                handle[held] = m.handle;
                addr[held++] = m.host_addr;
            }
            break;
        }
        case 3: {
            unsigned int n = held ? random_below(&seed, held) : 0;
            struct gnttab_unmap_grant_ref u = {
                .handle = held ? handle[n] : random_below(&seed, 300),
                .host_addr = held ? addr[n] : host_cpu * 1000 + random_below(&seed, 200) };

            if (random_below(&seed, 6) == 0)
                u.handle = random_below(&seed, 300);
            OP(GNTTABOP_unmap_grant_ref, u);
            if (held && u.status == GNTST_okay) {
                handle[n] = handle[--held];
                addr[n] = addr[held];
            }
            break;
        }
        default: {
            struct gnttab_copy c = {
                .source = { .u.ref = ref, .domid = B, .offset = (u16)random_below(&seed, 5000) },
                .dest = { .u.ref = random_below(&seed, 20), .domid = B },
                .len = (u16)random_below(&seed, 500), .flags = (u16)random_below(&seed, 4) };

            OP(GNTTABOP_copy, c);
        }
        }
    }
}

static void random_walk(void **state)
{
    (void)state;
    random_ops(40000, 21, 0);
}

static void *worker(void *arg)
{
    unsigned int n = (unsigned int)(unsigned long)arg;

    host_cpu = n + 1;
    random_ops(10000, 500 + n, n % 2);
    return NULL;
}

static void random_walk_in_threads(void **state)
{
    pthread_t thread[3];

    (void)state;
    for (unsigned long i = 0; i < ARRAY_SIZE(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, worker, (void *)i), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
        pthread_join(thread[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_domains, end_domains)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(map_and_unmap),
        TEST(both_kinds),
        TEST(map_refusals),
        TEST(entry_changed_in_use),
        TEST(handle_limit),
        TEST(batches),
        TEST(replace),
        TEST(copies),
        TEST(tables),
        TEST(swap_and_flush),
        TEST(bad_calls),
        TEST(granter_dies_first),
        TEST(grantee_dies_first),
        TEST(random_walk),
        TEST(random_walk_in_threads),
    };

    return cmocka_run_group_tests_name("grant", tests, setup, NULL);
}
