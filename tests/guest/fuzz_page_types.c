/* SPDX-License-Identifier: MIT */
/*
 * Two vCPUs do what comes to them to a few pages: pin them as tables of all levels, enter them in each other and in the
 * page tables that are in use, map them, use them as descriptor tables, give them up and take new ones. The hypervisor
 * must keep its books: when all is undone, each page may be anything again, and none is lost. `steps=` and `seed=` on the
 * kernel's command line make it longer, and another walk.
 */
#include "kernel.h"

#include <xen/sysctl.h>

#define NR_PAGES 20
#define LEVELS 5                                /* page n is most often a table of level n % LEVELS, or none */
#define WINDOW_SLOT 1UL                         /* of the fourth-level table: here pages become tables in use */
#define WINDOW (WINDOW_SLOT << 39)
#define FULL_WALK 30000

struct walker {
    uint64_t random;
    unsigned long steps;
    bool traps;                                 /* faults are caught: it may touch memory */
};

static char *page[NR_PAGES];                    /* where the kernel maps it, or another one, or nothing */
static volatile unsigned long frame[NR_PAGES];  /* 0: given up */
static unsigned long given_up[4096];             /* frames; what was pinned then stays the domain's until it is unpinned */
static volatile unsigned int nr_given_up;
static volatile bool second_is_done;
static char second_stack[8192] __attribute__((aligned(16)));

static uint32_t below(struct walker *w, uint32_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->random >> 33) % n;
}

/* Most often one for that level. */
static unsigned int some_page(struct walker *w, unsigned int level)
{
    return below(w, 12) ? below(w, NR_PAGES / LEVELS) * LEVELS + level % LEVELS : below(w, NR_PAGES);
}

static unsigned long some_frame(struct walker *w, unsigned int level)
{
    switch (below(w, 100)) {
    case 0: return mfn_of((void *)start_info->pt_base);
    case 1: return start_info->shared_info >> PAGE_SHIFT;
    case 2: return below(w, 1 << 18);           /* anybody's */
    case 3: return 0xfffffffffUL;               /* beyond all memory */
    default: return frame[some_page(w, level)];
    }
}

/* For a table of a level. */
static uint64_t some_entry(struct walker *w, unsigned int level)
{
    static const uint64_t odd[] = { PTE_DATA | PTE_NX, PTE_PRESENT | PTE_RW, PTE_PRESENT, PTE_DATA | PTE_PSE, PTE_DATA | 0x100,
                                    PTE_DATA | 0x18, PTE_RO | 0x18, PTE_RW };

    if (below(w, 4) == 0)
        return 0;
    return some_frame(w, level - 1) << PAGE_SHIFT |
           (below(w, 16) ? level > 1 || below(w, 2) ? PTE_DATA : PTE_RO : odd[below(w, ARRAY_SIZE(odd))]);
}

static unsigned int some_index(struct walker *w)
{
    static const unsigned short index[] = { 4, 5, 255, 256, 271, 272, 510, 511 };

    return below(w, 4) ? below(w, 3) : below(w, 4) ? index[below(w, ARRAY_SIZE(index))] : below(w, 512);
}

/* ---- Steps ---- */

static void pin(struct walker *w)
{
    static const unsigned int cmd[LEVELS] = { MMUEXT_UNPIN_TABLE, MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE,
                                              MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE };
    struct mmuext_op op[3];

    for (unsigned int i = 0; i < ARRAY_SIZE(op); i++) {
        unsigned int level = below(w, LEVELS);

        op[i] = (struct mmuext_op){ .cmd = cmd[below(w, 3) ? level : 0], .arg1.mfn = frame[some_page(w, level)] };
    }
    if (below(w, 2)) {                          /* what has got bad entries would never be a table again */
        op[1] = op[0];
        op[0].cmd = MMUEXT_CLEAR_PAGE;
    }
    HCALL(mmuext_op, op, 1 + below(w, ARRAY_SIZE(op)), 0, DOMID_SELF, 0);
}

static void update(struct walker *w)
{
    struct mmu_update request[4];

    for (unsigned int i = 0; i < ARRAY_SIZE(request); i++) {
        unsigned int level = 1 + below(w, LEVELS - 1);

        request[i] = (struct mmu_update){
            .ptr = (frame[some_page(w, level)] << PAGE_SHIFT) + some_index(w) * 8 +
                   (below(w, 4) ? MMU_NORMAL_PT_UPDATE : MMU_PT_UPDATE_PRESERVE_AD),
            .val = some_entry(w, level),
        };
    }
    HCALL(mmu_update, request, 1 + below(w, ARRAY_SIZE(request)), 0, DOMID_SELF, 0);
}

static void use(struct walker *w)
{
    unsigned long root = mfn_of((void *)start_info->pt_base);

    mmu_update1((root << PAGE_SHIFT) + WINDOW_SLOT * 8, below(w, 4) ? frame[some_page(w, 3)] << PAGE_SHIFT | PTE_DATA : 0);
}

static void use_for_user_space(struct walker *w)
{
    struct mmuext_op op = { .cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = below(w, 3) ? frame[some_page(w, 4)] : 0 };

    HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0);
}

static void map(struct walker *w)
{
    static const unsigned long flush[] = { 0, UVMF_INVLPG, UVMF_INVLPG | UVMF_ALL, UVMF_TLB_FLUSH | UVMF_ALL };
    unsigned int i = below(w, NR_PAGES);
    unsigned long to = frame[i];
    uint64_t pte = below(w, 4) && to ? to << PAGE_SHIFT | (i % LEVELS == 0 || below(w, 16) == 0 ? PTE_DATA : PTE_RO) : 0;

    HCALL(update_va_mapping, page[below(w, NR_PAGES)], pte, flush[below(w, ARRAY_SIZE(flush))], 0, 0);
}

static void touch(struct walker *w)
{
    unsigned long in_window = (unsigned long)below(w, 3) << 30 | below(w, 3) << 21 | below(w, 3) << 12;
    unsigned int i = below(w, NR_PAGES);

    if (!w->traps)
        return;
    if (below(w, 2))
        guarded(write_at, (unsigned long)(page[i] + some_index(w) * 8), some_entry(w, i % LEVELS));
    else
        guarded(read_at, WINDOW | in_window, 0);
}

static void describe(struct walker *w)
{
    unsigned long frames[2] = { frame[below(w, NR_PAGES)], frame[below(w, NR_PAGES)] };
    struct mmuext_op ldt = { .cmd = MMUEXT_SET_LDT, .arg1.linear_addr = (unsigned long)page[below(w, NR_PAGES)],
                             .arg2.nr_ents = below(w, 2) * 512 };
    static const uint64_t descriptor[] = { 0, 0x00cff3000000ffff, 0x00affb000000ffff, 0x00008c0000000000, ~0UL };

    switch (below(w, 3)) {
    case 0:
        HCALL(set_gdt, frames, below(w, 3) * 512, 0, 0, 0);
        break;
    case 1:
        HCALL(mmuext_op, &ldt, 1, 0, DOMID_SELF, 0);
        break;
    default:
        HCALL(update_descriptor, (frames[0] << PAGE_SHIFT) + some_index(w) * 8, descriptor[below(w, ARRAY_SIZE(descriptor))],
              0, 0, 0);
    }
}

static void clear_or_copy(struct walker *w)
{
    struct mmuext_op op = { .cmd = below(w, 2) ? MMUEXT_CLEAR_PAGE : MMUEXT_COPY_PAGE, .arg1.mfn = frame[below(w, NR_PAGES)],
                            .arg2.src_mfn = frame[below(w, NR_PAGES)] };

    HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0);
}

static long reserve(unsigned int cmd, unsigned long *extent)
{
    struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };

    set_xen_guest_handle(r.extent_start, extent);
    return HCALL(memory_op, cmd, &r, 0, 0, 0);
}

static void give_up(unsigned long mfn)
{
    given_up[__atomic_fetch_add(&nr_given_up, 1, __ATOMIC_SEQ_CST) % ARRAY_SIZE(given_up)] = mfn;
    reserve(XENMEM_decrease_reservation, &mfn);
}

static void give_up_or_take(struct walker *w)
{
    unsigned int i = below(w, NR_PAGES);
    unsigned long extent = __atomic_exchange_n(&frame[i], 0, __ATOMIC_SEQ_CST);

    if (extent) {
        give_up(extent);
    } else {
        extent = start_info->nr_pages - 1 - i;
        if (reserve(XENMEM_populate_physmap, &extent) != 1)
            return;
        extent = __atomic_exchange_n(&frame[i], extent, __ATOMIC_SEQ_CST);
        if (extent)                             /* the other vCPU was quicker, and its page is in nobody's hands now */
            give_up(extent);
    }
}

static void walk(struct walker *w)
{
    static void (*const step[])(struct walker *w) = {
        pin, pin, pin, update, update, update, update, use, use, use_for_user_space, map, map, map, touch, touch, touch,
        describe, clear_or_copy,
    };

    for (unsigned long i = 0; i < w->steps; i++)
        (below(w, 64) ? step[below(w, ARRAY_SIZE(step))] : give_up_or_take)(w);
}

/* ---- The second vCPU ---- */

static struct walker second = { .random = 2 };

static void second_main(void)
{
    walk(&second);
    HCALL(set_gdt, NULL, 0, 0, 0, 0);
    HCALL(mmuext_op, &(struct mmuext_op){ .cmd = MMUEXT_SET_LDT }, 1, 0, DOMID_SELF, 0);
    HCALL(mmuext_op, &(struct mmuext_op){ .cmd = MMUEXT_NEW_USER_BASEPTR }, 1, 0, DOMID_SELF, 0);
    second_is_done = true;
    HCALL(vcpu_op, VCPUOP_down, 1, 0, 0, 0);
    for (;;)
        continue;
}

/* ---- The books ---- */

static long reservation(void)
{
    domid_t self = DOMID_SELF;

    return HCALL(memory_op, XENMEM_current_reservation, &self, 0, 0, 0);
}

/* Those of the machine, which only dom0 is told. */
static long free_pages(void)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo, .interface_version = XEN_SYSCTL_INTERFACE_VERSION };

    if (!(start_info->flags & SIF_PRIVILEGED))
        return 0;
    check_eq(HCALL(sysctl, &op, 0, 0, 0, 0), 0);
    return (long)op.u.physinfo.free_pages;
}

static void unpin(unsigned long mfn)
{
    struct mmuext_op op = { .cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = mfn };

    HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0);
}

/* Drops every use that the walks may have left. */
static void undo(void)
{
    struct mmuext_op op[] = { { .cmd = MMUEXT_SET_LDT }, { .cmd = MMUEXT_NEW_USER_BASEPTR } };

    check_eq(mmu_update1((mfn_of((void *)start_info->pt_base) << PAGE_SHIFT) + WINDOW_SLOT * 8, 0), 0);
    check_eq(HCALL(set_gdt, NULL, 0, 0, 0, 0), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(op); i++)
        check_eq(HCALL(mmuext_op, &op[i], 1, 0, DOMID_SELF, 0), 0);
    for (unsigned int i = 0; i < NR_PAGES; i++)
        check_eq(HCALL(update_va_mapping, page[i], 0, UVMF_INVLPG | UVMF_ALL, 0, 0), 0);
    for (unsigned int i = 0; i < NR_PAGES; i++)
        unpin(frame[i]);
    check(nr_given_up < ARRAY_SIZE(given_up));
    for (unsigned int i = 0; i < nr_given_up; i++)
        unpin(given_up[i]);
}

static void two_vcpus(void)
{
    struct walker first = { .random = option("seed=", 1), .steps = option("steps=", FULL_WALK), .traps = true };
    long reserved = reservation(), free = free_pages();

    for (unsigned int i = 0; i < NR_PAGES; i++) {
        page[i] = alloc_page();
        frame[i] = mfn_of(page[i]);
    }
    second = (struct walker){ .random = ~first.random, .steps = first.steps };
    start_vcpu(1, second_main, second_stack + sizeof(second_stack));
    walk(&first);
    while (!second_is_done || HCALL(vcpu_op, VCPUOP_is_up, 1, 0, 0, 0))
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    undo();
    for (unsigned int i = 0; i < NR_PAGES; i++) {
        unsigned long extent = frame[i];

        if (!extent)
            continue;
        check_eq(set_pte((unsigned long)page[i], extent << PAGE_SHIFT | PTE_DATA), 0);
        check_eq(set_pte((unsigned long)page[i], 0), 0);
        check_eq(reserve(XENMEM_decrease_reservation, &extent), 1);
    }
    check_eq(reservation(), reserved - NR_PAGES);
    check_eq(free_pages(), free ? free + NR_PAGES : 0);
}

TESTS({ "books of the page types", two_vcpus });
