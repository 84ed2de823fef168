/* SPDX-License-Identifier: MIT */
/* The rules of page types, one by one: what a guest may do, and the attacks that must fail. */
#include <pthread.h>
#include <string.h>
#include "world.h"

#define P   _PAGE_PRESENT
#define RO  (_PAGE_PRESENT | _PAGE_USER)
#define RW  (_PAGE_PRESENT | _PAGE_USER | _PAGE_RW)
#define ENTRY(mfn, flags) ((u64)(mfn) << PAGE_SHIFT | (flags))

/* Page numbers of the guest: an address space with its tables, and plain pages from DATA on. */
enum { L4, L3, L2, L1, L1B, DATA };

static unsigned long g(unsigned int n) { return mfn_of(guest, n); }
static u64 type_of(const struct page_info *pg) { return pg->type_info & PGT_type_mask; }
static unsigned long uses(const struct page_info *pg) { return pg->type_info & PGT_count_mask; }

/* Virtual address (nr) << 12 maps to page DATA + nr, for nr below 8; entry 8 maps L1 itself read-only. */
static void build_tables(void)
{
    poke(page_of(guest, L4), 0, ENTRY(g(L3), RW));
    poke(page_of(guest, L3), 0, ENTRY(g(L2), RW));
    poke(page_of(guest, L2), 0, ENTRY(g(L1), RW));
    for (unsigned int i = 0; i < 8; i++)
        poke(page_of(guest, L1), i, ENTRY(g(DATA + i), i % 2 ? P : P | _PAGE_RW | _PAGE_GLOBAL));
    poke(page_of(guest, L1), 8, ENTRY(g(L1), P));
}

static void start(void)
{
    build_tables();
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), 0);
    assert_int_equal(mmuext(MMUEXT_NEW_BASEPTR, g(L4)), 0);
    check_counts();
}

static void pin_counts_what_is_mapped(void **state)
{
    (void)state;
    start();
    assert_int_equal(type_of(page_of(guest, L1)), PGT_l1_page_table);
    assert_int_equal(type_of(page_of(guest, DATA)), PGT_writable_page);
    assert_int_equal(uses(page_of(guest, DATA)), 1);
    assert_int_equal(uses(page_of(guest, DATA + 1)), 0);
    assert_int_equal(page_of(guest, DATA + 1)->count_info & PGC_count_mask, 2);
    assert_int_equal(peek(page_of(guest, L1), 0), ENTRY(g(DATA), RW));
    /* The guest's kernel reads the machine-to-physical table; only it does. */
    assert_true(peek(page_of(guest, L4), HV_FIRST_SLOT) & _PAGE_PRESENT);
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(L4)), 0);
    assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(L4)), -EINVAL);
    check_counts();
}

static void unpinned_tables_become_plain(void **state)
{
    (void)state;
    build_tables();
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), 0);
    assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(L4)), 0);
    for (unsigned int i = 0; i < DATA + 8; i++)
        assert_int_equal(uses(page_of(guest, i)), 0);
    assert_int_equal(peek(page_of(guest, L4), HV_LAST_SLOT), 0);
    check_counts();
}

static void no_page_is_writable_and_a_table(void **state)
{
    (void)state;
    start();
    for (unsigned int table = L4; table <= L1; table++) {
        assert_int_equal(mmu_set(g(L1), 20, ENTRY(g(table), RW)), -EBUSY);
        assert_int_equal(do_update_va_mapping(20UL << 12, ENTRY(g(table), RW), 0), -EBUSY);
        assert_int_equal(mmu_set(g(L1), 20, ENTRY(g(table), RO)), 0);
        assert_int_equal(mmu_set(g(L1), 20, ENTRY(g(table), RW)), -EBUSY);
        assert_int_equal(mmu_set(g(L1), 20, 0), 0);
    }
    /* And the other way round. */
    assert_int_equal(mmu_set(g(L2), 1, ENTRY(g(DATA), RW)), -EINVAL);
    for (unsigned int cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_PIN_L4_TABLE; cmd++)
        assert_int_equal(mmuext(cmd, g(DATA)), -EINVAL);
    check_counts();
}

static void levels_do_not_mix(void **state)
{
    (void)state;
    start();
    /* Recursive maps, and tables in the wrong place. */
    assert_int_equal(mmu_set(g(L4), 5, ENTRY(g(L4), RO)), -EINVAL);
    assert_int_equal(mmu_set(g(L4), 5, ENTRY(g(L2), RW)), -EINVAL);
    assert_int_equal(mmu_set(g(L3), 5, ENTRY(g(L3), RW)), -EINVAL);
    assert_int_equal(mmu_set(g(L3), 5, ENTRY(g(L4), RW)), -EINVAL);
    assert_int_equal(mmu_set(g(L2), 5, ENTRY(g(L2), RW)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_PIN_L2_TABLE, g(L1)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_NEW_BASEPTR, g(L3)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_NEW_USER_BASEPTR, g(L1)), -EINVAL);
    check_counts();
}

static void a_table_that_maps_itself_is_refused(void **state)
{
    (void)state;
    build_tables();
    poke(page_of(guest, L4), 300, ENTRY(g(L4), RW));
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), -EINVAL);
    for (unsigned int i = 0; i < DATA; i++)
        assert_int_equal(uses(page_of(guest, i)), 0);
    /* A writable map of a table in what is to be validated. */
    poke(page_of(guest, L4), 300, 0);
    poke(page_of(guest, L1), 8, ENTRY(g(L1), RW));
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), -EBUSY);
    poke(page_of(guest, L1), 8, ENTRY(g(L3), RW));
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), -EBUSY);
    check_counts();
}

static void hypervisor_slots_are_ours(void **state)
{
    (void)state;
    build_tables();
    /* What a guest leaves there does not matter, and is gone. */
    for (unsigned int slot = HV_FIRST_SLOT; slot <= HV_LAST_SLOT; slot++)
        poke(page_of(guest, L4), slot, ENTRY(mfn_of(dom0, 0), RW));
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), 0);
    check_counts();
    for (unsigned int slot = HV_FIRST_SLOT; slot <= HV_LAST_SLOT; slot++) {
        assert_int_equal(mmu_set(g(L4), slot, 0), -EINVAL);
        assert_int_equal(mmu_set(g(L4), slot, ENTRY(g(L3), RW)), -EINVAL);
    }
    assert_int_equal(mmuext(MMUEXT_NEW_BASEPTR, g(L4)), 0);
    for (unsigned long slot = HV_FIRST_SLOT; slot <= HV_LAST_SLOT; slot++)
        assert_int_equal(do_update_va_mapping(0xffff000000000000UL | slot << L4_SHIFT, 0, 0), -EINVAL);
    assert_int_equal(do_update_va_mapping(0x0000800000000000UL, 0, 0), -EINVAL);
    assert_int_equal(do_update_va_mapping(0xfffffffffffff000UL, 0, 0), -EINVAL);
}

static void flags_that_no_entry_may_have(void **state)
{
    (void)state;
    start();
    assert_int_equal(mmu_set(g(L2), 1, ENTRY(0, RW | _PAGE_PSE)), -EINVAL);
    assert_int_equal(mmu_set(g(L2), 1, ENTRY(g(L1B), RW | _PAGE_PSE)), -EINVAL);
    assert_int_equal(mmu_set(g(L2), 1, ENTRY(g(L1B), RW | _PAGE_PCD)), -EINVAL);
    assert_int_equal(mmu_set(g(L3), 1, ENTRY(g(L2), RW | _PAGE_GLOBAL)), -EINVAL);
    assert_int_equal(mmu_set(g(L2), 0, ENTRY(g(L1), RW | _PAGE_PSE)), -EINVAL);
    /* Cache attributes are for domains with devices. */
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(g(DATA), RW | _PAGE_PAT)), -EINVAL);
    assert_int_equal(mmu_set(g(L1), 0, ENTRY(g(DATA), RW | _PAGE_PCD)), -EINVAL);
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(g(DATA), RW | _PAGE_NX)), 0);
    test_has_nx = false;
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(g(DATA), RO | _PAGE_NX)), -EINVAL);
    assert_int_equal(mmu_set(g(L1), 21, ENTRY(g(DATA), RO | _PAGE_NX)), -EINVAL);
    assert_int_equal(mmu_set(g(L2), 0, ENTRY(g(L1), RW | _PAGE_NX)), -EINVAL);
    test_has_nx = true;
    assert_int_equal(mmu_set(g(L2), 0, ENTRY(g(L1), RW | _PAGE_NX)), 0);
    check_counts();
}

static void others_memory_and_devices_are_out_of_reach(void **state)
{
    (void)state;
    start();
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(mfn_of(other, 0), RO)), -EBUSY);
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(0, RO)), -EPERM);
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(DEVICE_MFN, RO)), -EPERM);
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(0xfffffffff, RO)), -EINVAL);
    assert_int_equal(mmu_set(mfn_of(other, 0), 0, 1), -EINVAL);
    assert_int_equal(mmu_set(0, 0, 1), -EINVAL);
    assert_int_equal(mmu_set(0xfffffffffffUL, 0, 1), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(other, 0)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_CLEAR_PAGE, mfn_of(other, 0)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_CLEAR_PAGE, g(L1)), -EINVAL);
    for (unsigned int fd = 0; fd <= 3; fd++) {
        struct mmu_update req = { g(L1) << PAGE_SHIFT | 20 * 8, ENTRY(mfn_of(dom0, 0), RO) };

        assert_in_range(-mmu_update(&req, 1, fd), 1, 4095);
        assert_in_range(-mmu_update(&req, 1, (fd + 1) << 16 | DOMID_SELF), 1, 4095);
    }
    check_counts();
}

static void dom0_maps_devices_and_guests(void **state)
{
    struct mmu_update req = { 0, 0 };

    (void)state;
    become(dom0, 0);
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(dom0, 0)), 0);
    assert_int_equal(mmu_set(mfn_of(dom0, 0), 0, ENTRY(DEVICE_MFN, RW | _PAGE_PCD)), 0);
    assert_int_equal(mmu_set(mfn_of(dom0, 0), 1, ENTRY(FORBIDDEN_MFN, RO)), -EPERM);

    req.ptr = mfn_of(dom0, 0) << PAGE_SHIFT | 2 * 8;
    req.val = ENTRY(g(DATA), RW);
    assert_int_equal(mmu_update(&req, 1, DOMID_SELF), -EBUSY);
    assert_int_equal(mmu_update(&req, 1, 2), -EBUSY);
    assert_int_equal(mmu_update(&req, 1, 0), -ESRCH);
    assert_int_equal(mmu_update(&req, 1, 77), -ESRCH);
    assert_int_equal(mmu_update(&req, 1, DOMID_IO), -EBUSY);
    assert_int_equal(mmu_update(&req, 1, 1), 0);
    check_counts();
    /* The mapping is the owner's to type, too: no table while it is writable. */
    become(guest, 0);
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, g(DATA)), -EINVAL);
    become(dom0, 0);
    assert_int_equal(mmu_set(mfn_of(dom0, 0), 2, 0), 0);
    cpumask_set_cpu(5, &cpu_online_map);
    become(guest, 0);
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, g(DATA)), 0);
    assert_true(cpumask_test_cpu(5, &test_flushed));

    /* The tables of a guest, by its builder. */
    become(dom0, 0);
    build_tables();
    req.ptr = g(L1B) << PAGE_SHIFT;
    req.val = 0x1234;
    assert_int_equal(mmu_update(&req, 1, 2 << 16 | 1), 0);
    assert_int_equal(peek(page_of(guest, L1B), 0), 0x1234);
    check_counts();
}

static void a_grant_is_not_made_writable(void **state)
{
    struct page_info *pg = page_of(other, 0);

    (void)state;
    start();
    assert_true(get_page(pg, other));
    assert_int_equal(pv_create_grant_mapping(20UL << 12, page_to_mfn(pg), 2 | 4, 0), 0);
    check_counts();
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(mfn_of(other, 0), RW)), -EBUSY);
    /* Flags that change no right do. */
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(mfn_of(other, 0), RO | _PAGE_NX)), 0);
    assert_int_equal(pv_destroy_grant_mapping(20UL << 12, page_to_mfn(pg), 0, 2), -1);
    assert_int_equal(pv_destroy_grant_mapping(0, page_to_mfn(pg), 0, 2 | 4), -1);
    assert_int_equal(pv_destroy_grant_mapping(20UL << 12, page_to_mfn(pg), 0, 2 | 4), 0);
    put_page(pg);
    check_counts();

    /* By the entry's address; writable; and replaced by another mapping. */
    assert_true(get_page_and_type(pg, other, PGT_writable_page));
    assert_int_equal(pv_create_grant_mapping(g(L1) << PAGE_SHIFT | 20 * 8, page_to_mfn(pg), 2 | 16, 0), 0);
    assert_int_equal(pv_create_grant_mapping(g(DATA) << PAGE_SHIFT, page_to_mfn(pg), 2 | 16, 0), -1);
    assert_int_equal(pv_create_grant_mapping(0x1000UL << PAGE_SHIFT, page_to_mfn(pg), 2 | 16, 0), -1);
    check_counts();
    assert_int_equal(pv_destroy_grant_mapping(20UL << 12, page_to_mfn(pg), 1UL << 12, 2), 0);
    put_page_and_type(pg);
    assert_int_equal(peek(page_of(guest, L1), 20), ENTRY(g(DATA + 1), RO));
    assert_int_equal(peek(page_of(guest, L1), 1), 0);
    assert_int_equal(pv_destroy_grant_mapping(20UL << 12, page_to_mfn(pg), 2UL << 12, 2), -1);
    assert_int_equal(peek(page_of(guest, L1), 2), ENTRY(g(DATA + 2), RW));
    check_counts();
}

/* So many that nothing is done with all of them at once. */
static void build_many_tables(void)
{
    unsigned int l1 = 30;

    build_tables();
    for (unsigned int i = 1; i < 12; i++) {
        poke(page_of(guest, L2), i * 7, ENTRY(g(l1 + i), RW));
        poke(page_of(guest, l1 + i), i, ENTRY(g(DATA + 10), RW));
    }
}

static void preempted_pins_go_on_and_are_abandoned(void **state)
{
    (void)state;
    build_many_tables();
    preempt_every = 1;
    assert_true(mmuext_begin(MMUEXT_PIN_L4_TABLE, g(L4)));
    check_counts();
    assert_true(page_of(guest, L4)->type_info & PGT_partial);
    assert_true(page_of(guest, L2)->type_info & PGT_partial);
    /* A partial table is a table: not writable, not changed, not of another level. */
    assert_int_equal(mmu_set(g(L2), 3, 0), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_CLEAR_PAGE, g(L2)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_PIN_L3_TABLE, g(L2)), -EINVAL);
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), 0);
    check_counts();
    assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(L4)), 0);
    check_counts();
    assert_int_equal(uses(page_of(guest, L2)), 0);

    /* What was refused in the end is undone to the last. */
    poke(page_of(guest, L2), 511, ENTRY(mfn_of(other, 0), RW));
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), -EINVAL);
    check_counts();
    for (unsigned int i = 0; i < 45; i++)
        assert_int_equal(uses(page_of(guest, i)), 0);
    /* Teardown finds what is left half done. */
    poke(page_of(guest, L2), 511, 0);
    assert_true(mmuext_begin(MMUEXT_PIN_L4_TABLE, g(L4)));
    check_counts();
}

static void dropping_a_subtree_is_preemptible(void **state)
{
    (void)state;
    start();
    for (unsigned int i = 0; i < 10; i++) {
        assert_int_equal(mmu_set(g(L2), 100 + i, ENTRY(g(30 + i), RW)), 0);
        assert_int_equal(mmu_set(g(30 + i), 1, ENTRY(g(DATA + 9), RW)), 0);
    }
    preempt_every = 1;
    assert_int_equal(mmu_set(g(L3), 0, 0), 0);
    check_counts();
    assert_int_equal(uses(page_of(guest, L2)), 0);
    assert_int_equal(uses(page_of(guest, DATA + 9)), 0);
}

/* A kernel that never lets its preempted calls go on cannot have the hypervisor do two such works without a pause. */
static void an_abandoned_drop_goes_before_another(void **state)
{
    unsigned int pauses = 0;
    int rc;

    (void)state;
    build_many_tables();
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), 0);
    preempt_every = 1;
    (void)mmuext_begin(MMUEXT_UNPIN_TABLE, g(L4));
    assert_int_not_equal(mfn_x(current->arch.old_guest_table), 0);
    while ((rc = pv_new_guest_cr3(current, _mfn(g(DATA)))) == -ERESTART)
        pauses++;
    assert_true(pauses > 0);
    assert_int_equal(rc, 0);
    assert_int_equal(mfn_x(current->arch.old_guest_table), 0);
    check_counts();
}

static void stale_writers_are_flushed(void **state)
{
    (void)state;
    start();
    cpumask_set_cpu(3, &guest->arch.dirty_cpumask);
    assert_int_equal(mmu_set(g(L1), 0, 0), 0);
    assert_false(cpumask_test_cpu(3, &test_flushed));
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, g(DATA)), 0);
    assert_true(cpumask_test_cpu(3, &test_flushed));
    cpumask_clear(&test_flushed);
    /* And CPUs that may still walk a former table. */
    assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(DATA)), 0);
    assert_int_equal(mmu_set(g(L1), 0, ENTRY(g(DATA), RW)), 0);
    assert_true(cpumask_test_cpu(3, &test_flushed));
}

/* dom0's CPU, 5, may still know the page as writable when its owner takes back what it gave in exchange. */
static void stale_writers_are_known_after_a_failed_exchange(void **state)
{
    struct mmu_update req = { mfn_of(dom0, 0) << PAGE_SHIFT, ENTRY(g(DATA), RW) };
    struct page_info *pg = page_of(guest, DATA);

    (void)state;
    become(dom0, 0);
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(dom0, 0)), 0);
    assert_int_equal(mmu_update(&req, 1, 1), 0);
    assert_int_equal(mmu_set(mfn_of(dom0, 0), 0, 0), 0);
    cpumask_set_cpu(5, &cpu_online_map);

    become(guest, 0);
    assert_true(get_page(pg, guest));
    assert_true(take_page(guest, pg));
    assert_true(give_pages(guest, pg, 1));
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, g(DATA)), 0);
    assert_true(cpumask_test_cpu(5, &test_flushed));
    check_counts();
}

static void batches_stop_at_the_first_error(void **state)
{
    struct mmu_update req[40];
    unsigned int done = 99;

    (void)state;
    start();
    for (unsigned int i = 0; i < 40; i++)
        req[i] = (struct mmu_update){ g(L1) << PAGE_SHIFT | (100 + i) * 8, ENTRY(g(DATA + 12), i == 30 ? 0x81 : RO) };
    assert_int_equal(do_mmu_update((guest_ptr_t)req, 40, (guest_ptr_t)&done, DOMID_SELF), -EINVAL);
    assert_int_equal(done, 30);
    assert_int_equal(page_of(guest, DATA + 12)->count_info & PGC_count_mask, 31);
    preempt_every = 1;
    req[30].val = 0;
    assert_int_equal(mmu_update(req, 40, DOMID_SELF), 0);
    assert_int_equal(do_mmu_update(0x10, 2, 0, DOMID_SELF), -EFAULT);
    assert_int_equal(do_mmu_update((guest_ptr_t)req, 0, 0x10, DOMID_SELF), -EFAULT);
    req[0].ptr |= 4;
    assert_int_equal(mmu_update(req, 1, DOMID_SELF), -EINVAL);
    check_counts();
}

static void accessed_and_dirty_are_kept(void **state)
{
    struct mmu_update req = { g(L1) << PAGE_SHIFT | MMU_PT_UPDATE_PRESERVE_AD, ENTRY(g(DATA), RO) };

    (void)state;
    start();
    poke(page_of(guest, L1), 0, peek(page_of(guest, L1), 0) | _PAGE_DIRTY | _PAGE_ACCESSED);
    assert_int_equal(mmu_update(&req, 1, DOMID_SELF), 0);
    assert_int_equal(peek(page_of(guest, L1), 0), ENTRY(g(DATA), RO | _PAGE_DIRTY | _PAGE_ACCESSED));
    check_counts();
}

/* The kernel runs `code` and faults on entry 1 of L1, which entry 8 of L1 maps at 0x8000. */
static bool fault(const char *code, struct cpu_user_regs *regs)
{
    regs->rip = (unsigned long)code;
    return pv_pt_write_fault(current, 0x8000 + 1 * 8, regs);
}

static void plain_writes_are_checked(void **state)
{
    static const char mov[16] = "\x48\x89\x07", xchg[16] = "\x48\x87\x07", and8[16] = "\xf0\x80\x27\xfd",
                      cmpxchg[16] = "\xf0\x48\x0f\xb1\x17", mov_sp[16] = "\x48\x89\xe0";
    struct cpu_user_regs regs = { .rax = ENTRY(g(DATA + 14), P | _PAGE_RW) };

    (void)state;
    start();
    assert_true(fault(mov, &regs));
    assert_int_equal(peek(page_of(guest, L1), 1), ENTRY(g(DATA + 14), RW));
    assert_int_equal(regs.rip, (unsigned long)mov + 3);
    check_counts();
    assert_true(fault(and8, &regs));
    assert_int_equal(peek(page_of(guest, L1), 1), ENTRY(g(DATA + 14), RO));
    check_counts();
    regs.rax = 0;
    assert_true(fault(xchg, &regs));
    assert_int_equal(regs.rax, ENTRY(g(DATA + 14), RO));
    assert_int_equal(peek(page_of(guest, L1), 1), 0);
    check_counts();
    regs.rax = 5;
    regs.rdx = ENTRY(g(DATA + 14), RW);
    assert_true(fault(cmpxchg, &regs));
    assert_int_equal(regs.rax, 0);
    assert_int_equal(peek(page_of(guest, L1), 1), 0);
    assert_true(fault(cmpxchg, &regs));
    assert_int_equal(peek(page_of(guest, L1), 1), ENTRY(g(DATA + 14), RW));
    check_counts();

    regs.rax = ENTRY(g(L2), P | _PAGE_RW);
    assert_false(fault(mov, &regs));
    assert_false(fault(mov_sp, &regs));
    /* Across two entries; a page that is no table; one that is not mapped. */
    regs.rip = (unsigned long)mov;
    assert_false(pv_pt_write_fault(current, 0x8004, &regs));
    assert_false(pv_pt_write_fault(current, 0x3000, &regs));
    assert_false(pv_pt_write_fault(current, 0x9000, &regs));
    assert_false(pv_pt_write_fault(current, HYPERVISOR_SPACE_START, &regs));
    regs.rip = 0;
    assert_false(pv_pt_write_fault(current, 0x8008, &regs));
    check_counts();
}

static void contexts_set_from_outside(void **state)
{
    struct vcpu *v = guest->vcpu[1];
    int rc;

    (void)state;
    build_tables();
    become(dom0, 0);
    assert_int_equal(pv_set_guest_tables(v, _mfn(g(DATA)), _mfn(0)), 0);    /* an empty one will do */
    assert_int_equal(pv_set_guest_tables(v, _mfn(mfn_of(dom0, 3)), _mfn(0)), -EINVAL);
    check_counts();
    assert_int_equal(pv_set_guest_tables(v, _mfn(g(L4)), _mfn(g(L1))), -EINVAL);
    check_counts();
    preempt_every = 2;
    do {
        rc = pv_set_guest_tables(v, _mfn(g(L4)), _mfn(g(DATA + 1)));
        check_counts();
    } while (rc == -ERESTART);
    /* Page DATA + 1 is mapped read-only by L1, which hinders nothing. */
    assert_int_equal(rc, 0);
    while (pv_drop_guest_tables(v))
        check_counts();
    check_counts();
}

static void shared_pages_keep_their_type(void **state)
{
    struct page_info *pg = mfn_to_page(_mfn(RAM_FRAMES - 1));

    (void)state;
    start();
    share_page_with_guest(pg, guest, false);
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(RAM_FRAMES - 1, RW)), -EBUSY);
    assert_int_equal(mmu_set(g(L1), 20, ENTRY(RAM_FRAMES - 1, RO)), 0);
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, RAM_FRAMES - 1), -EINVAL);
    assert_int_equal(mmu_set(g(L1), 20, 0), 0);
    list_del(&pg->list);
    *pg = (struct page_info){ 0 };
}

#define SHARED_FRAME (RAM_FRAMES - 1)

static bool stop_naming;
static unsigned long named;

static void *keep_naming(void *unused)
{
    become(other, 0);
    while (!__atomic_load_n(&stop_naming, __ATOMIC_ACQUIRE)) {
        assert_int_equal(mmu_set(SHARED_FRAME, 0, 0), -EINVAL);
        __atomic_add_fetch(&named, 1, __ATOMIC_RELEASE);
    }
    return unused;
}

/* Another domain, on another CPU, has just locked the frame to see whether it is a page table of its own. */
static void shared_pages_are_freed_while_others_name_them(void **state)
{
    struct page_info *pg = mfn_to_page(_mfn(SHARED_FRAME));
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, keep_naming, NULL), 0);
    for (unsigned int i = 0; __atomic_load_n(&named, __ATOMIC_ACQUIRE) < 200000; i++) {
        assert_int_equal(READ_ONCE(pg->type_info), 0);
        share_page_with_guest(pg, guest, i % 2);
        drop_allocated_ref(pg);
        while (READ_ONCE(guest->xenheap_pages))
            cpu_relax();
        free_shared_page(pg);
    }
    __atomic_store_n(&stop_naming, true, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_int_equal(pg->type_info, 0);
    pages_freed = 0;
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(pin_counts_what_is_mapped), RULE(unpinned_tables_become_plain), RULE(no_page_is_writable_and_a_table),
        RULE(levels_do_not_mix), RULE(a_table_that_maps_itself_is_refused), RULE(hypervisor_slots_are_ours),
        RULE(flags_that_no_entry_may_have), RULE(others_memory_and_devices_are_out_of_reach),
        RULE(dom0_maps_devices_and_guests), RULE(a_grant_is_not_made_writable),
        RULE(preempted_pins_go_on_and_are_abandoned), RULE(dropping_a_subtree_is_preemptible),
        RULE(an_abandoned_drop_goes_before_another),
        RULE(stale_writers_are_flushed), RULE(stale_writers_are_known_after_a_failed_exchange), RULE(batches_stop_at_the_first_error), RULE(accessed_and_dirty_are_kept),
        RULE(plain_writes_are_checked), RULE(contexts_set_from_outside), RULE(shared_pages_keep_their_type),
        RULE(shared_pages_are_freed_while_others_name_them),
    };

    return cmocka_run_group_tests_name("PV memory: rules", tests, NULL, NULL);
}
