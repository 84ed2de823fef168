/* SPDX-License-Identifier: MIT */
/*
 * A guest that makes hypercalls at random, for tests/system: as an unprivileged domain, with arguments of which many are
 * nearly right. It may well destroy itself; nobody else may come to harm. A watchdog ends it should it put itself to
 * sleep. `steps=` and `seed=` on its command line tell how far, and which way, it goes.
 */
#include "kernel.h"

#define NR_SCRATCH 16
#define SCRATCH 0x10000000000UL                 /* with nothing between and behind them, so that long lists end there */
#define PING 256                                /* steps */

static uint64_t state;
static uint64_t *scratch[NR_SCRATCH];           /* pages full of arguments */
static unsigned long scratch_frame[NR_SCRATCH];

static uint32_t below(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static uint64_t some_pointer(void)
{
    switch (below(16)) {
    case 0: return HV_SECRET;
    case 1: return NON_CANONICAL - below(64);
    case 2: return UNMAPPED;
    case 3: return ~0UL - below(64);
    case 4: return HV_START - below(64);
    case 5: return HV_END - below(64);
    case 6: return (uint64_t)scratch[NR_SCRATCH - 1] + PAGE_SIZE - below(64);       /* into what lies behind */
    case 7: return (uint64_t)start_info->pt_base;                                   /* mapped read-only */
    default: return (uint64_t)scratch[below(NR_SCRATCH)] + below(128) * 8;
    }
}

static uint64_t some_frame(void)
{
    switch (below(8)) {
    case 0: return below(1 << 19);
    case 1: return mfn_of((void *)start_info->pt_base);
    case 2: return start_info->shared_info >> PAGE_SHIFT;
    case 3: return start_info->console.domU.mfn;
    case 4: return below(64);
    default: return scratch_frame[below(NR_SCRATCH)];
    }
}

static uint64_t some_value(void)
{
    static const uint64_t flags[] = { 0, PTE_DATA, PTE_RO, PTE_DATA | PTE_PSE, PTE_PRESENT };
    static const uint32_t domid[] = { 0, 1, DOMID_SELF, DOMID_IO, DOMID_XEN, DOMID_COW, DOMID_INVALID, 0x7fff };

    switch (below(12)) {
    case 0: return some_pointer();
    case 1: return some_frame();
    case 2: return some_frame() << PAGE_SHIFT | flags[below(ARRAY_SIZE(flags))];
    case 3: return (some_frame() << PAGE_SHIFT) + below(512) * 8;
    case 4: return domid[below(ARRAY_SIZE(domid))];
    case 5: return domid[below(ARRAY_SIZE(domid))] | (uint64_t)below(8) << 32 | (uint64_t)below(8) << 16;
    case 6: return 1UL << below(64);
    case 7: return ~0UL << below(64);
    case 8: return (uint64_t)below(64) << 32 | below(64);
    case 9: return below(1 << 16);
    default: return below(16);
    }
}

static void fill(unsigned long page, unsigned long unused)
{
    (void)unused;
    for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
        ((volatile uint64_t *)page)[i] = some_value();
}

/* The page may be no more, or a page table by now. */
static void fill_scratch(void)
{
    guarded(fill, (unsigned long)scratch[below(NR_SCRATCH)], 0);
}

static unsigned int some_hypercall(void)
{
    static const unsigned char often[] = {
        __HYPERVISOR_mmu_update, __HYPERVISOR_set_gdt, __HYPERVISOR_set_debugreg, __HYPERVISOR_get_debugreg,
        __HYPERVISOR_update_descriptor, __HYPERVISOR_memory_op, __HYPERVISOR_memory_op, __HYPERVISOR_multicall,
        __HYPERVISOR_update_va_mapping, __HYPERVISOR_set_timer_op, __HYPERVISOR_xen_version, __HYPERVISOR_console_io,
        __HYPERVISOR_grant_table_op, __HYPERVISOR_grant_table_op, __HYPERVISOR_vm_assist,
        __HYPERVISOR_update_va_mapping_otherdomain, __HYPERVISOR_vcpu_op, __HYPERVISOR_mmuext_op, __HYPERVISOR_mmuext_op,
        __HYPERVISOR_nmi_op, __HYPERVISOR_callback_op, __HYPERVISOR_event_channel_op, __HYPERVISOR_event_channel_op,
        __HYPERVISOR_physdev_op, __HYPERVISOR_hvm_op, __HYPERVISOR_hypfs_op, __HYPERVISOR_domctl, __HYPERVISOR_sysctl,
        __HYPERVISOR_platform_op, __HYPERVISOR_arch_0, __HYPERVISOR_xsm_op, __HYPERVISOR_dm_op,
    };

    return below(2000) ? often[below(ARRAY_SIZE(often))] : below(64);
}

static void ping_watchdog(void)
{
    struct sched_watchdog dog = { .timeout = 10 };
    static uint32_t id;
    long set;

    dog.id = id;
    set = HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0);
    if (!id && set > 0)
        id = (uint32_t)set;
}

/* The first argument chooses most often what is done, and the second points at more; or they are a list and its length. */
static void call_something(void)
{
    uint64_t arg[5];

    for (unsigned int i = 0; i < ARRAY_SIZE(arg); i++)
        arg[i] = some_value();
    if (below(8))
        arg[0] = below(40);
    if (below(8))
        arg[1] = some_pointer();
    if (below(4) == 0) {                        /* list, count, done, domain */
        arg[0] = some_pointer();
        arg[1] = below(16);
        arg[2] = 0;
        arg[3] = DOMID_SELF;
    }
    hypercall(some_hypercall(), arg[0], arg[1], arg[2], arg[3], arg[4]);
}

static void attack(void)
{
    unsigned long steps = option("steps=", 20000);

    state = option("seed=", 1);
    for (unsigned int i = 0; i < NR_SCRATCH; i++) {
        void *page = alloc_page();

        scratch_frame[i] = mfn_of(page);
        scratch[i] = (void *)(SCRATCH + 2 * i * PAGE_SIZE);
        check_eq(map_page((unsigned long)scratch[i], scratch_frame[i] << PAGE_SHIFT | PTE_DATA), 0);
        check_eq(set_pte((unsigned long)page, 0), 0);
    }
    for (unsigned long i = 0; i < steps; i++) {
        if (i % PING == 0) {
            ping_watchdog();
            init_traps();                       /* what it called may have taken them away */
        }
        if (below(8) == 0)
            fill_scratch();
        call_something();
    }
    print("%lu steps\n", steps);
}

TESTS({ "attack", attack });
