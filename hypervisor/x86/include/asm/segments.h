/* SPDX-License-Identifier: MIT */
/* Segment registers and bases of the guest that is loaded on this CPU. */
#ifndef ASM_SEGMENTS_H
#define ASM_SEGMENTS_H

#include <asm/cpufeature.h>
#include <asm/processor.h>

/* ds, es, fs, gs, in this order wherever there are four. */
static inline void read_selectors(u16 s[4])
{
    asm volatile("mov %%ds, %0" : "=m"(s[0]));
    asm volatile("mov %%es, %0" : "=m"(s[1]));
    asm volatile("mov %%fs, %0" : "=m"(s[2]));
    asm volatile("mov %%gs, %0" : "=m"(s[3]));
}

/* Loads a selector; false, and the null selector, if it may not be loaded. */
#define LOAD_SELECTOR(reg)                                                                          \
    static inline bool load_##reg(u16 selector)                                                     \
    {                                                                                               \
        bool ok = false;                                                                            \
                                                                                                    \
        asm volatile("1: mov %1, %%" #reg "\n   mov $1, %0\n   jmp 3f\n"                            \
                     "2: mov %2, %%" #reg "\n3:\n" _ASM_EXTABLE(1b, 2b)                             \
                     : "+r"(ok)                                                                     \
                     : "r"((u32)selector), "r"(0)                                                   \
                     : "memory");                                                                   \
        return ok;                                                                                  \
    }
LOAD_SELECTOR(ds)
LOAD_SELECTOR(es)
LOAD_SELECTOR(fs)
LOAD_SELECTOR(gs)
#undef LOAD_SELECTOR

static inline unsigned long read_fs_base(void) { return cpu_has_fsgsbase ? rdfsbase() : rdmsr(MSR_FS_BASE); }
static inline unsigned long read_gs_base(void) { return cpu_has_fsgsbase ? rdgsbase() : rdmsr(MSR_GS_BASE); }
/* The base that SWAPGS would bring in. */
static inline unsigned long read_inactive_gs_base(void) { return rdmsr(MSR_KERNEL_GS_BASE); }

/* base must be canonical. */
static inline void write_fs_base(unsigned long base)
{
    if (cpu_has_fsgsbase)
        wrfsbase(base);
    else
        wrmsr(MSR_FS_BASE, base);
}
static inline void write_gs_base(unsigned long base)
{
    if (cpu_has_fsgsbase)
        wrgsbase(base);
    else
        wrmsr(MSR_GS_BASE, base);
}
static inline void write_inactive_gs_base(unsigned long base) { wrmsr(MSR_KERNEL_GS_BASE, base); }

/* Loads a selector into the inactive GS, and with it the descriptor's base; false if it may not be loaded. IRQs off. */
static inline bool load_inactive_gs(u16 selector)
{
    unsigned long active = read_gs_base();
    u16 s[4];
    bool ok;

    read_selectors(s);
    asm volatile("swapgs" : : : "memory");
    ok = load_gs(selector);
    asm volatile("swapgs" : : : "memory");
    (void)load_gs(s[3]);
    write_gs_base(active);
    return ok;
}

#endif
