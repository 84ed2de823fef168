/* SPDX-License-Identifier: MIT */
/*
 * Random guests: they fill pages with what may be page tables, pin, unpin, switch, update and emulate,
 * alone or on several CPUs at once, with preemption at random. Whatever they do, the counts must be
 * what the tables say, and teardown must free every page. The first argument multiplies the rounds.
 */
#include <pthread.h>
#include <string.h>
#include <asm/pv_shadow.h>
#include <asm/traps.h>
#include "world.h"

static unsigned long scale = 1;

#define ALONE_STEPS    60000
#define TOGETHER_STEPS 15000
#define THREADS        3

/* Most frames that a guest names are its own, and some are of use as tables. */
static u64 any_entry(const struct domain *d)
{
    u64 flags = _PAGE_PRESENT | (draw(2) ? _PAGE_RW : 0) | (draw(2) ? _PAGE_USER : 0) | (draw(4) ? 0 : _PAGE_DIRTY) |
                (draw(40) ? 0 : 1UL << draw(64));
    unsigned long mfn = draw(20) ? mfn_of(d, (unsigned int)draw(PAGES_EACH)) : draw(RAM_FRAMES + 10);

    if (draw(4) == 0)
        return 0;
    return (u64)(draw(60) ? mfn : draw(2) ? DEVICE_MFN : draw(1UL << 41)) << PAGE_SHIFT | flags;
}

/* A slot of a table: few, so that they meet. */
static unsigned int any_slot(void)
{
    unsigned int slot = (unsigned int)draw(6);

    return slot == 5 ? (unsigned int)draw(PTES_PER_PAGE) : slot;
}

/* Pages of a domain are thought of as of a level, so that whole address spaces come about: of every ten
 * one of level 4, two each of levels 3 and 2, three of level 1. */
static unsigned int page_of_level(unsigned int level)
{
    static const u8 first[6] = { 8, 5, 3, 1, 0 }, number[6] = { 2, 3, 2, 2, 1 };

    return 10 * (unsigned int)draw(PAGES_EACH / 10) + first[level] + (unsigned int)draw(number[level]);
}

/* An entry that suits a table of that level. */
static u64 suitable_entry(const struct domain *d, unsigned int level)
{
    if (draw(6) == 0)
        return any_entry(d);
    return (u64)mfn_of(d, page_of_level(level - 1)) << PAGE_SHIFT | _PAGE_PRESENT |
           (level > 1 || draw(2) ? _PAGE_RW : 0);
}

/* Writes to a page that the guest could map writable: it holds the type meanwhile. */
static void scribble(const struct domain *d)
{
    unsigned int level = 1 + (unsigned int)draw(4);
    struct page_info *pg = page_of(d, page_of_level(level));

    if (!get_page_and_type(pg, d, PGT_writable_page))
        return;
    if (draw(8) == 0)
        memset(page_to_virt(pg), 0, PAGE_SIZE);
    for (unsigned int i = 0; i < 4; i++)
        __atomic_store_n((u64 *)page_to_virt(pg) + any_slot(), suitable_entry(d, level), __ATOMIC_RELAXED);
    put_page_and_type(pg);
}

static void update(const struct domain *d)
{
    struct mmu_update req[20];
    unsigned int n = 1 + (unsigned int)draw(20), level = 1 + (unsigned int)draw(4);
    unsigned int page = page_of_level(level);

    for (unsigned int i = 0; i < n; i++) {
        unsigned int cmd = draw(8) ? MMU_NORMAL_PT_UPDATE : (unsigned int)draw(4);

        if (draw(4) == 0)
            page = page_of_level(level);
        req[i] = (struct mmu_update){ mfn_of(d, page) << PAGE_SHIFT | any_slot() * 8 | cmd, suitable_entry(d, level) };
    }
    (void)mmu_update(req, n, draw(10) ? DOMID_SELF : draw(4) | draw(4) << 16);
}

static void pin_or_unpin(const struct domain *d)
{
    unsigned int level = 1 + (unsigned int)draw(4);
    unsigned int cmd = draw(2) ? MMUEXT_PIN_L1_TABLE + level - 1 : MMUEXT_UNPIN_TABLE;
    unsigned long mfn = mfn_of(d, page_of_level(draw(8) ? level : (unsigned int)draw(5)));

    /* Some never come back to what they began. */
    if (draw(6))
        (void)mmuext(cmd, mfn);
    else
        (void)mmuext_begin(cmd, mfn);
}

static void write_and_fault(const struct domain *d)
{
    static const char code[4][16] = { "\x48\x89\x07", "\x48\x87\x07", "\xf0\x80\x27\xfd", "\xf0\x48\x0f\xb1\x17" };
    struct cpu_user_regs regs = { .rip = (unsigned long)code[draw(4)] };

    regs.rax = any_entry(d);
    regs.rdx = any_entry(d);
    (void)pv_pt_write_fault(current, draw(8) << PAGE_SHIFT | any_slot() * 8, &regs);
}

static void map_grant(struct domain *d)
{
    struct domain *granter = d == other ? guest : other;
    struct page_info *pg = page_of(granter, (unsigned int)draw(PAGES_EACH));
    bool ro = draw(2);
    u64 addr = draw(6) << PAGE_SHIFT;

    if (!get_page(pg, granter))
        return;
    if (!ro && !get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        return;
    }
    if (pv_create_grant_mapping(addr, page_to_mfn(pg), ro ? 2 | 4 : 2, 0) == 0 &&
        (draw(2) || pv_destroy_grant_mapping(addr, page_to_mfn(pg), draw(4) ? 0 : draw(8) << PAGE_SHIFT, ro ? 2 | 4 : 2)))
        return;         /* the entry's now */
    if (!ro)
        put_page_type(pg);
    put_page(pg);
}

/* As the CPU would, after a walk of the shadows. */
static void fault(struct vcpu *v)
{
    unsigned long va = (u64)any_slot() << L4_SHIFT | (u64)any_slot() << L3_SHIFT | (u64)any_slot() << L2_SHIFT |
                       (u64)any_slot() << L1_SHIFT;

    if (l4_index(va) < HV_FIRST_SLOT)
        (void)shadow_fault(v, va, (u32)draw(32) & (PFEC_PRESENT | PFEC_WRITE | PFEC_USER | PFEC_INSN));
}

static void step(struct domain *d)
{
    if (d->dirty_log && mfn_x(current->arch.guest_table) && draw(2))
        fault(current);
    switch (draw(12)) {
    case 0: case 1: case 2:
        scribble(d);
        break;
    case 3: case 4: case 5:
        update(d);
        break;
    case 6: case 7:
        pin_or_unpin(d);
        break;
    case 8:
        (void)mmuext(draw(2) ? MMUEXT_NEW_BASEPTR : MMUEXT_NEW_USER_BASEPTR, mfn_of(d, page_of_level(4)));
        break;
    case 9:
        if (mfn_x(current->arch.guest_table))
            (void)do_update_va_mapping(draw(6) << PAGE_SHIFT, any_entry(d), draw(3));
        break;
    case 10:
        if (mfn_x(current->arch.guest_table))
            write_and_fault(d);
        break;
    default:
        if (mfn_x(current->arch.guest_table))
            map_grant(d);
        else
            (void)mmuext(MMUEXT_CLEAR_PAGE, mfn_of(d, (unsigned int)draw(PAGES_EACH)));
        break;
    }
}

/* Enough for the bases of all vCPUs, a new one, and one walk: shadows go all the time. */
#define SMALL_POOL (2 * VCPUS_EACH + 1 + 3)

static void log_or_not(struct domain *d)
{
    if (!d->dirty_log)
        start_logging(d, SMALL_POOL + (unsigned int)draw(30));
    else if (draw(2))
        (void)clean_log(d);
    else
        stop_logging(d);
}

static void run_alone(bool logged)
{
    preempt_every = 3;
    for (unsigned long i = 0; i < ALONE_STEPS * scale; i++) {
        struct domain *d = draw(8) ? guest : draw(2) ? other : dom0;

        become(d, (unsigned int)draw(VCPUS_EACH));
        step(d);
        if (i % 16 == 0)
            check_counts();
        if (logged && draw(500) == 0)
            log_or_not(guest);
    }
}

static void alone(void **state)
{
    (void)state;
    run_alone(false);
}

static void alone_and_logged(void **state)
{
    (void)state;
    run_alone(true);
}

static void *run_cpu(void *arg)
{
    unsigned int id = (unsigned int)(unsigned long)arg;

    seed(1000 + id);
    for (unsigned long i = 0; i < TOGETHER_STEPS * scale; i++) {
        struct domain *d = draw(8) ? guest : other;

        /* A vCPU runs on one CPU only. */
        become(d, id);
        step(d);
    }
    return NULL;
}

static bool cpus_run;

static void run_together(void)
{
    pthread_t thread[THREADS];

    preempt_every = 3;
    cpus_run = true;
    for (unsigned long i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_cpu, (void *)i), 0);
    for (unsigned int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    __atomic_store_n(&cpus_run, false, __ATOMIC_SEQ_CST);
}

static void together(void **state)
{
    (void)state;
    run_together();
    check_counts();
}

/* Dom0's toolstack. */
static void *keep_cleaning(void *unused)
{
    seed(2000);
    become(dom0, 0);
    while (__atomic_load_n(&cpus_run, __ATOMIC_SEQ_CST)) {
        (void)clean_log(guest);
        sched_yield();
    }
    return unused;
}

static void together_and_logged(void **state)
{
    pthread_t cleaner;

    (void)state;
    start_logging(guest, SMALL_POOL);
    start_logging(other, SMALL_POOL + 20);
    cpus_run = true;
    assert_int_equal(pthread_create(&cleaner, NULL, keep_cleaning, NULL), 0);
    run_together();
    pthread_join(cleaner, NULL);
    check_counts();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(alone, make_world, end_world),
        cmocka_unit_test_setup_teardown(together, make_world, end_world),
        cmocka_unit_test_setup_teardown(alone_and_logged, make_world, end_world),
        cmocka_unit_test_setup_teardown(together_and_logged, make_world, end_world),
    };

    if (argc > 1)
        scale = strtoul(argv[1], NULL, 0);
    return cmocka_run_group_tests_name("PV memory: random guests", tests, NULL, NULL);
}
