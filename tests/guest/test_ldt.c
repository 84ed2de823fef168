/* SPDX-License-Identifier: MIT */
/* LDTs whose pages are taken away while the vCPUs that use them take turns on a CPU. */
/* SMP: 2 */
/* VCPUS: 3 */
#include "kernel.h"

#define DESC_DATA 0x00cff3000000ffffUL          /* flat, writable, DPL 3 */
#define LDT_SELECTOR 0x0f
#define DROPS 200

static char stacks[2][4096] __attribute__((aligned(16)));
static volatile unsigned long turns[2];
static volatile bool pinned = true;
static uint64_t *table;

static void pin_to(unsigned int cpu)
{
    struct sched_pin_override pin = { .pcpu = (int)cpu };

    pinned &= HCALL(sched_op, SCHEDOP_pin_override, &pin, 0, 0, 0) == 0;
}

/* Takes its turn with all segment registers from the LDT. */
static void take_turns(volatile unsigned long *count)
{
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT, .arg1.linear_addr = (unsigned long)table, .arg2.nr_ents = 512 };

    pin_to(1);
    HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0);
    for (;; ++*count) {
        asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(LDT_SELECTOR));
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
}

static void second_main(void)
{
    take_turns(&turns[0]);
}

static void third_main(void)
{
    take_turns(&turns[1]);
}

static void *read_only_page(uint64_t *page)
{
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    return page;
}

/* Both go on however often the domain's LDTs lose their pages, as they do when a mapping of a descriptor table ends. */
static void pages_of_ldts_come_and_go(void)
{
    uint64_t *gdt = read_only_page(alloc_page());
    unsigned long alias = (unsigned long)alloc_page(), mfn = mfn_of(gdt);

    table = alloc_page();
    table[LDT_SELECTOR / 8] = DESC_DATA;
    read_only_page(table);
    check_eq(HCALL(set_gdt, &mfn, 512, 0, 0, 0), 0);
    pin_to(0);
    start_vcpu(1, second_main, stacks[0] + sizeof(stacks[0]));
    start_vcpu(2, third_main, stacks[1] + sizeof(stacks[1]));
    for (unsigned int i = 0; i < DROPS; i++) {
        unsigned long before[] = { turns[0], turns[1] };

        check_eq(set_pte(alias, mfn << PAGE_SHIFT | PTE_RO), 0);
        check_eq(set_pte(alias, 0), 0);
        while (turns[0] < before[0] + 2 || turns[1] < before[1] + 2)
            asm volatile("pause");
    }
    check(pinned);
}

TESTS({ "pages of LDTs come and go", pages_of_ldts_come_and_go });
