/* SPDX-License-Identifier: MIT */
/* Two vCPUs on one CPU: what one of them leaves in the CPU is not there for the other. */
/* SMP: 1 */
#include "kernel.h"

#define CR4_OSXSAVE (1UL << 18)
#define XCR0_SSE 3
#define XCR0_AVX 7
#define SECRET   0x5ec4e75ec4e75ec4UL

static char second_stack[4096] __attribute__((aligned(16)));
static volatile bool second_done;

static bool have_avx(void)
{
    uint32_t a = 1, b, c = 0, d;

    asm volatile(XEN_CPUID : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c & 1u << 28;
}

static void set_xcr0(uint32_t value)
{
    unsigned long cr4;

    asm volatile("mov %%cr4, %0" : "=r"(cr4));
    asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSXSAVE));
    asm volatile("xsetbv" : : "a"(value), "d"(0), "c"(0));
}

/* Keeps a secret in the upper half of a register, and the CPU busy whenever it is left to it. */
static void second_main(void)
{
    uint64_t secret[4] = { SECRET, SECRET, SECRET, SECRET };

    set_xcr0(XCR0_AVX);
    for (;;) {
        asm volatile("vmovdqu %0, %%ymm7" : : "m"(secret));
        second_done = true;
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
}

static void new_state_components_are_clean(void)
{
    const uint32_t control = 0x1f00;
    uint32_t control_after;
    uint64_t low = 0x1234, ymm[4] = { 0 };

    if (!have_avx())
        return;
    set_xcr0(XCR0_SSE);
    start_vcpu(1, second_main, second_stack + sizeof(second_stack));
    asm volatile("movq %0, %%xmm7; ldmxcsr %1" : : "m"(low), "m"(control));
    while (!second_done)
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    set_xcr0(XCR0_AVX);
    asm volatile("vmovdqu %%ymm7, %0; stmxcsr %1" : "=m"(ymm), "=m"(control_after));
    check_eq(ymm[0], low);
    check_eq(ymm[1], 0);
    check_eq(ymm[2], 0);
    check_eq(ymm[3], 0);
    check_eq(control_after, control);
}

TESTS({ "state components that XCR0 did not enable before", new_state_components_are_clean });
