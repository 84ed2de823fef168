/* SPDX-License-Identifier: MIT */
/* Shadow tables and the log of writes, rule by rule. */
#include <domus/dirty_log.h>
#include <asm/pv_shadow.h>
#include <asm/traps.h>
#include "world.h"

#define P  _PAGE_PRESENT
#define RW (_PAGE_PRESENT | _PAGE_USER | _PAGE_RW)
#define RO (_PAGE_PRESENT | _PAGE_USER)
#define ENTRY(mfn, flags) ((u64)(mfn) << PAGE_SHIFT | (flags))

/* Page numbers of the guest: two address spaces that share all but the root, and plain pages from DATA on. */
enum { L4, L4B, L3, L2, L1, DATA };

#define READ  PFEC_USER
#define WRITE (PFEC_USER | PFEC_WRITE)
#define FETCH (PFEC_USER | PFEC_INSN)
#define VA(page) ((unsigned long)(page) << PAGE_SHIFT)
/* Bases of VCPUS_EACH vCPUs, a new one, and the tables of one walk. */
#define SMALLEST_POOL (2 * VCPUS_EACH + 1 + 3)

static unsigned long g(unsigned int n) { return mfn_of(guest, n); }

/* Virtual page n maps DATA + n: even ones writable, odd ones not; page 8 may not be executed. */
static void start(unsigned int pool)
{
    for (unsigned int root = L4; root <= L4B; root++)
        poke(page_of(guest, root), 0, ENTRY(g(L3), RW));
    poke(page_of(guest, L3), 0, ENTRY(g(L2), RW));
    poke(page_of(guest, L2), 0, ENTRY(g(L1), RW));
    for (unsigned int i = 0; i < 8; i++)
        poke(page_of(guest, L1), i, ENTRY(g(DATA + i), i % 2 ? RO : RW));
    poke(page_of(guest, L1), 8, ENTRY(g(DATA + 8), RW | _PAGE_NX));
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4)), 0);
    assert_int_equal(mmuext(MMUEXT_PIN_L4_TABLE, g(L4B)), 0);
    assert_int_equal(mmuext(MMUEXT_NEW_BASEPTR, g(L4)), 0);
    start_logging(guest, pool);
    check_counts();
}

/* What the CPU finds for va, from the base that it is given; empty where a table is missing. */
static pte_t walk(unsigned long va)
{
    mfn_t table = maddr_to_mfn(current->arch.cr3_kernel);

    for (unsigned int level = 4;; level--) {
        pte_t e = ((pte_t *)mfn_to_virt(table))[pt_index(va, level)];

        if (level == 1 || !pte_present(e))
            return e;
        table = pte_mfn(e);
    }
}

static bool marked(unsigned int page) { return dirty_log_marked(guest->dirty_log, _mfn(g(page))); }
static bool fault(unsigned int page, u32 error_code)
{
    bool served = shadow_fault(current, VA(page), error_code);

    check_counts();
    return served;
}

static void a_read_does_not_make_writable(void **state)
{
    (void)state;
    start(40);
    assert_int_equal(walk(VA(0)).v, 0);
    assert_true(fault(0, READ));
    assert_int_equal(walk(VA(0)).v, ENTRY(g(DATA), RO | _PAGE_ACCESSED));
    assert_false(marked(DATA));
    /* The guest finds in its own tables what a CPU would have set, on all levels. */
    for (unsigned int table = L3; table <= L1; table++)
        assert_true(peek(page_of(guest, table), 0) & _PAGE_ACCESSED);
    assert_false(peek(page_of(guest, L1), 0) & _PAGE_DIRTY);
    /* A table that has been written is noted as well. */
    assert_true(marked(L1));
}

static void a_write_is_noted_first(void **state)
{
    (void)state;
    start(40);
    assert_true(fault(0, READ));
    assert_true(fault(0, WRITE));
    assert_true(marked(DATA));
    assert_int_equal(walk(VA(0)).v, ENTRY(g(DATA), RW | _PAGE_ACCESSED | _PAGE_DIRTY));
    assert_int_equal(peek(page_of(guest, L1), 0), ENTRY(g(DATA), RW | _PAGE_ACCESSED | _PAGE_DIRTY));
    /* Already noted and dirty: the next time a read is enough. */
    assert_int_equal(mmu_set(g(L2), 0, ENTRY(g(L1), RW)), 0);
    assert_int_equal(walk(VA(0)).v, 0);
    assert_true(fault(0, READ));
    assert_true(walk(VA(0)).v & _PAGE_RW);
    /* Another CPU was quicker: the access is to be tried again. */
    assert_true(fault(0, WRITE));
}

static void cleaning_takes_the_right_back(void **state)
{
    (void)state;
    start(40);
    assert_true(fault(0, WRITE));
    assert_true(clean_log(guest) > 0);
    assert_false(marked(DATA));
    assert_false(walk(VA(0)).v & _PAGE_RW);
    assert_true(fault(0, READ));
    assert_false(walk(VA(0)).v & _PAGE_RW);
    assert_true(fault(0, WRITE));
    assert_int_equal(clean_log(guest), 1);
    assert_int_equal(clean_log(guest), 0);
}

static void the_guests_own_faults_are_left_to_it(void **state)
{
    (void)state;
    start(40);
    assert_false(fault(20, READ));
    assert_true(fault(1, READ));
    assert_false(fault(1, WRITE | PFEC_PRESENT));
    assert_false(marked(DATA + 1));
    assert_true(fault(8, READ));
    assert_false(fault(8, FETCH | PFEC_PRESENT));
    /* Before it is filled, the error code would not be right: the access fails again with a better one. */
    assert_true(fault(3, WRITE));
    assert_false(fault(3, WRITE | PFEC_PRESENT));
    assert_false(marked(DATA + 3));
    /* Not writable because of a table above. */
    assert_int_equal(mmu_set(g(L2), 0, ENTRY(g(L1), RO)), 0);
    assert_true(fault(2, WRITE));
    assert_false(fault(2, WRITE | PFEC_PRESENT));
    assert_false(marked(DATA + 2));
    /* Nothing more to allow, for an access that is no guest's. */
    assert_false(fault(2, 0));
}

static void changed_entries_go(void **state)
{
    static const char mov[16] = "\x48\x89\x07";
    struct cpu_user_regs regs = { .rip = (unsigned long)mov };

    (void)state;
    start(40);
    assert_true(fault(0, WRITE));
    assert_int_equal(mmu_set(g(L1), 0, ENTRY(g(DATA + 9), RO)), 0);
    assert_int_equal(walk(VA(0)).v, 0);
    assert_true(fault(0, READ));
    assert_int_equal(walk(VA(0)).v, ENTRY(g(DATA + 9), RO | _PAGE_ACCESSED));
    assert_int_equal(do_update_va_mapping(0, 0, 0), 0);
    assert_int_equal(walk(VA(0)).v, 0);
    assert_false(fault(0, READ));
    /* By a plain instruction: page 10 is the table itself. */
    assert_int_equal(mmu_set(g(L1), 10, ENTRY(g(L1), RO)), 0);
    assert_true(fault(2, WRITE));
    assert_true(pv_pt_write_fault(current, VA(10) + 2 * sizeof(pte_t), &regs));
    assert_int_equal(walk(VA(2)).v, 0);
    /* A grant. */
    assert_true(fault(4, READ));
    assert_true(get_page(page_of(other, 0), other));
    assert_int_equal(pv_create_grant_mapping(VA(4), page_to_mfn(page_of(other, 0)), 2 | 4, 0), 0);
    assert_int_equal(walk(VA(4)).v, 0);
    assert_true(fault(4, READ));
    assert_int_equal(pv_destroy_grant_mapping(VA(4), page_to_mfn(page_of(other, 0)), 0, 2 | 4), 0);
    assert_int_equal(walk(VA(4)).v, 0);
    put_page(page_of(other, 0));
    check_counts();
}

static void tables_that_end_lose_their_shadow(void **state)
{
    (void)state;
    start(40);
    assert_true(fault(0, READ));
    assert_int_not_equal(page_of(guest, L1)->shadow, 0);
    assert_int_equal(mmu_set(g(L2), 0, 0), 0);
    check_counts();
    assert_int_equal(guest->arch.shadow.nr_stale, 1);
    assert_int_equal(mmuext(MMUEXT_NEW_BASEPTR, g(L4B)), 0);
    assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(L4)), 0);
    check_counts();
    assert_int_equal(guest->arch.shadow.nr_stale, 2);
    assert_true(get_page_and_type(page_of(guest, L4), guest, PGT_writable_page));
    put_page_and_type(page_of(guest, L4));
}

static void bases_have_shadows(void **state)
{
    (void)state;
    start(40);
    assert_int_equal(current->arch.cr3_user, 0);
    assert_int_equal(mmuext(MMUEXT_NEW_USER_BASEPTR, g(L4B)), 0);
    check_counts();
    assert_int_not_equal(current->arch.cr3_user, current->arch.cr3_kernel);
    assert_int_equal(mmuext(MMUEXT_NEW_BASEPTR, g(L4B)), 0);
    check_counts();
    assert_int_equal(current->arch.cr3_user, current->arch.cr3_kernel);
    assert_true(fault(0, READ));
    /* What the kernel may see of the hypervisor's, it sees. */
    assert_int_equal(((u64 *)maddr_to_virt(current->arch.cr3_kernel))[HV_FIRST_SLOT], peek(page_of(guest, L4B), HV_FIRST_SLOT));
    stop_logging(guest);
    assert_int_equal(current->arch.cr3_kernel, g(L4B) << PAGE_SHIFT);
    assert_int_equal(current->arch.cr3_user, g(L4B) << PAGE_SHIFT);
}

/* A pool in which one walk fits besides the bases: all goes on, only slowly. */
static void a_pool_that_is_used_up(void **state)
{
    (void)state;
    start(SMALLEST_POOL);
    for (unsigned int round = 0; round < 20; round++) {
        assert_true(fault(0, WRITE));
        assert_true(walk(VA(0)).v & _PAGE_RW);
        assert_int_equal(mmu_set(g(L2), 1, ENTRY(g(L1), RW)), 0);
        assert_true(shadow_fault(current, 1UL << L2_SHIFT, READ));
        assert_int_equal(mmuext(round % 2 ? MMUEXT_NEW_BASEPTR : MMUEXT_NEW_USER_BASEPTR, g(round / 2 % 2 ? L4 : L4B)), 0);
        assert_int_equal(mmu_set(g(L2), 1, 0), 0);
        check_counts();
    }
}

static void other_domains_pages(void **state)
{
    (void)state;
    start(40);
    start_logging(other, SMALLEST_POOL);
    /* Written through a grant: the log is the granter's. */
    assert_true(get_page_and_type(page_of(other, 0), other, PGT_writable_page));
    assert_int_equal(pv_create_grant_mapping(VA(4), page_to_mfn(page_of(other, 0)), 2, 0), 0);
    assert_true(fault(4, WRITE));
    assert_true(dirty_log_marked(other->dirty_log, page_to_mfn(page_of(other, 0))));
    assert_false(dirty_log_marked(guest->dirty_log, page_to_mfn(page_of(other, 0))));
    assert_int_equal(pv_destroy_grant_mapping(VA(4), page_to_mfn(page_of(other, 0)), 0, 2), 0);
    put_page_and_type(page_of(other, 0));
}

static void what_hypercalls_write_is_noted(void **state)
{
    struct mmu_update m2p = { g(DATA + 12) << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, g(DATA + 12) };

    (void)state;
    start(40);
    assert_int_equal(mmuext(MMUEXT_CLEAR_PAGE, g(DATA + 10)), 0);
    assert_true(marked(DATA + 10));
    assert_int_equal(mmu_set(g(DATA + 11), 0, 5), 0);
    assert_true(marked(DATA + 11));
    assert_int_equal(mmu_update(&m2p, 1, DOMID_SELF), 0);
    assert_true(marked(DATA + 12));
    /* A page that becomes a table, and one that is none any more. */
    assert_int_equal(mmuext(MMUEXT_PIN_L1_TABLE, g(DATA + 13)), 0);
    assert_true(marked(DATA + 13));
    (void)clean_log(guest);
    assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(DATA + 13)), 0);
    assert_true(marked(DATA + 13));
    assert_false(marked(DATA + 12));
}

static void the_pool_can_be_resized(void **state)
{
    (void)state;
    assert_int_equal(shadow_set_pool(guest, 30), 0);
    assert_int_equal(shadow_set_pool(guest, 5), 0);
    assert_int_equal(guest->arch.shadow.total, 5);
    check_shadows(guest);
    assert_int_equal(shadow_set_pool(guest, RAM_FRAMES), -ENOMEM);
    check_shadows(guest);
    assert_int_equal(shadow_set_pool(guest, 0), 0);
    check_shadows(guest);
}

/* Guests name frames as they like: however often all shadows were emptied, no page of the pool looks like a table. */
static void pages_of_the_pool_cannot_be_locked(void **state)
{
    (void)state;
    for (u32 turn = 1; turn; turn <<= 1) {
        guest->arch.shadow.turn = turn;
        start(SMALLEST_POOL);
        assert_true(fault(0, WRITE));
        for (unsigned long mfn = FIRST_HV_FRAME; mfn < RAM_FRAMES; mfn++)
            assert_false(page_lock(mfn_to_page(_mfn(mfn))));
        stop_logging(guest);
        assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(L4)), 0);
        assert_int_equal(mmuext(MMUEXT_UNPIN_TABLE, g(L4B)), 0);
    }
}

#define RULE(f) cmocka_unit_test_setup_teardown(f, make_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RULE(a_read_does_not_make_writable), RULE(a_write_is_noted_first), RULE(cleaning_takes_the_right_back),
        RULE(the_guests_own_faults_are_left_to_it), RULE(changed_entries_go), RULE(tables_that_end_lose_their_shadow),
        RULE(bases_have_shadows), RULE(a_pool_that_is_used_up), RULE(other_domains_pages),
        RULE(what_hypercalls_write_is_noted), RULE(the_pool_can_be_resized),
        RULE(pages_of_the_pool_cannot_be_locked),
    };

    return cmocka_run_group_tests_name("PV memory: shadow tables", tests, NULL, NULL);
}
