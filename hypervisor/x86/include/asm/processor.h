/* SPDX-License-Identifier: MIT */
/* Instructions of x86-64 that C has no words for: control registers, MSRs, CPUID, TLB, ports, and their bits. */
#ifndef ASM_PROCESSOR_H
#define ASM_PROCESSOR_H

#define X86_CR0_PE 0x00000001
#define X86_CR0_MP 0x00000002
#define X86_CR0_EM 0x00000004
#define X86_CR0_TS 0x00000008
#define X86_CR0_ET 0x00000010
#define X86_CR0_NE 0x00000020
#define X86_CR0_WP 0x00010000
#define X86_CR0_AM 0x00040000
#define X86_CR0_NW 0x20000000
#define X86_CR0_CD 0x40000000
#define X86_CR0_PG 0x80000000

#define X86_CR4_VME        0x00000001
#define X86_CR4_PVI        0x00000002
#define X86_CR4_TSD        0x00000004
#define X86_CR4_DE         0x00000008
#define X86_CR4_PSE        0x00000010
#define X86_CR4_PAE        0x00000020
#define X86_CR4_MCE        0x00000040
#define X86_CR4_PGE        0x00000080
#define X86_CR4_PCE        0x00000100
#define X86_CR4_OSFXSR     0x00000200
#define X86_CR4_OSXMMEXCPT 0x00000400
#define X86_CR4_UMIP       0x00000800
#define X86_CR4_VMXE       0x00002000
#define X86_CR4_FSGSBASE   0x00010000
#define X86_CR4_PCIDE      0x00020000
#define X86_CR4_OSXSAVE    0x00040000
#define X86_CR4_SMEP       0x00100000
#define X86_CR4_SMAP       0x00200000
#define X86_CR4_PKE        0x00400000

#define X86_EFLAGS_CF   0x00000001
#define X86_EFLAGS_MBS  0x00000002
#define X86_EFLAGS_TF   0x00000100
#define X86_EFLAGS_IF   0x00000200
#define X86_EFLAGS_DF   0x00000400
#define X86_EFLAGS_IOPL 0x00003000
#define X86_EFLAGS_NT   0x00004000
#define X86_EFLAGS_RF   0x00010000
#define X86_EFLAGS_VM   0x00020000
#define X86_EFLAGS_AC   0x00040000
#define X86_EFLAGS_VIF  0x00080000
#define X86_EFLAGS_VIP  0x00100000
#define X86_EFLAGS_ID   0x00200000

/* Exceptions. */
#define X86_EXC_DE 0
#define X86_EXC_DB 1
#define X86_EXC_NMI 2
#define X86_EXC_BP 3
#define X86_EXC_OF 4
#define X86_EXC_BR 5
#define X86_EXC_UD 6
#define X86_EXC_NM 7
#define X86_EXC_DF 8
#define X86_EXC_TS 10
#define X86_EXC_NP 11
#define X86_EXC_SS 12
#define X86_EXC_GP 13
#define X86_EXC_PF 14
#define X86_EXC_MF 16
#define X86_EXC_AC 17
#define X86_EXC_MC 18
#define X86_EXC_XM 19

/* Page-fault error code. */
#define PFEC_PRESENT  0x1
#define PFEC_WRITE    0x2
#define PFEC_USER     0x4
#define PFEC_RESERVED 0x8
#define PFEC_INSN     0x10
#define PFEC_PROT_KEY 0x20

#ifndef __ASSEMBLY__

#include <domus/types.h>
#include <asm/extable.h>
#include <asm/msr.h>

#define READ_CR(n)                                                                                                    \
    static inline unsigned long read_cr##n(void)                                                                      \
    {                                                                                                                 \
        unsigned long value;                                                                                          \
                                                                                                                      \
        asm volatile("mov %%cr" #n ", %0" : "=r"(value) : : "memory");                                                \
        return value;                                                                                                 \
    }
#define WRITE_CR(n)                                                                                                   \
    static inline void write_cr##n(unsigned long value)                                                               \
    {                                                                                                                 \
        asm volatile("mov %0, %%cr" #n : : "r"(value) : "memory");                                                    \
    }
READ_CR(0) READ_CR(2) READ_CR(3) READ_CR(4)
WRITE_CR(0) WRITE_CR(2) WRITE_CR(3) WRITE_CR(4)
#undef READ_CR
#undef WRITE_CR

static inline void clts(void) { asm volatile("clts" : : : "memory"); }
static inline void stts(void) { write_cr0(read_cr0() | X86_CR0_TS); }

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* As rdmsr, for a register that may not exist. 0, or -1 with *value 0. */
static inline int rdmsr_safe(u32 msr, u64 *value)
{
    u32 low = 0, high = 0;
    int failed = -1;

    asm volatile("1: rdmsr\n   xor %0, %0\n2:\n" _ASM_EXTABLE(1b, 2b)
                 : "+r"(failed), "+a"(low), "+d"(high)
                 : "c"(msr)
                 : "memory");
    *value = failed ? 0 : (u64)high << 32 | low;
    return failed;
}

/* As wrmsr, for a register or value that may not be valid. 0 or -1. */
static inline int wrmsr_safe(u32 msr, u64 value)
{
    int failed = -1;

    asm volatile("1: wrmsr\n   xor %0, %0\n2:\n" _ASM_EXTABLE(1b, 2b)
                 : "+r"(failed)
                 : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
                 : "memory");
    return failed;
}

struct cpuid_leaf {
    u32 a, b, c, d;
};

static inline struct cpuid_leaf cpuid_count(u32 leaf, u32 subleaf)
{
    struct cpuid_leaf r;

    asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}
static inline struct cpuid_leaf cpuid(u32 leaf) { return cpuid_count(leaf, 0); }

static inline u64 rdtsc(void)
{
    u32 low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}
static inline uint64_t get_cycles(void) { return rdtsc(); }

/* rdtsc that no earlier load passes. */
static inline u64 rdtsc_ordered(void)
{
    u32 low, high;

    asm volatile("lfence\n rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (u64)high << 32 | low;
}

static inline void invlpg(unsigned long va) { asm volatile("invlpg (%0)" : : "r"(va) : "memory"); }
static inline void wbinvd(void) { asm volatile("wbinvd" : : : "memory"); }
static inline void cpu_relax(void) { asm volatile("pause" : : : "memory"); }
static inline void halt(void) { asm volatile("hlt" : : : "memory"); }
/* Interrupts on and halt, with no interrupt lost between the two. */
static inline void safe_halt(void) { asm volatile("sti\n hlt" : : : "memory"); }

static inline u64 xgetbv(u32 index)
{
    u32 low, high;

    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(index));
    return (u64)high << 32 | low;
}
static inline void xsetbv(u32 index, u64 value)
{
    asm volatile("xsetbv" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline unsigned long rdfsbase(void)
{
    unsigned long base;

    asm volatile("rdfsbase %0" : "=r"(base));
    return base;
}
static inline unsigned long rdgsbase(void)
{
    unsigned long base;

    asm volatile("rdgsbase %0" : "=r"(base));
    return base;
}
static inline void wrfsbase(unsigned long base) { asm volatile("wrfsbase %0" : : "r"(base)); }
static inline void wrgsbase(unsigned long base) { asm volatile("wrgsbase %0" : : "r"(base)); }

#define READ_DR(n)                                                                                                    \
    static inline unsigned long read_dr##n(void)                                                                      \
    {                                                                                                                 \
        unsigned long value;                                                                                          \
                                                                                                                      \
        asm volatile("mov %%db" #n ", %0" : "=r"(value));                                                             \
        return value;                                                                                                 \
    }                                                                                                                 \
    static inline void write_dr##n(unsigned long value) { asm volatile("mov %0, %%db" #n : : "r"(value)); }
READ_DR(0) READ_DR(1) READ_DR(2) READ_DR(3) READ_DR(6) READ_DR(7)
#undef READ_DR

/* Lets the hypervisor touch user pages, where the CPU has SMAP (the kernel of a PV guest is a user to the CPU). */
extern bool smap_enabled;
static inline void stac(void)
{
    if (smap_enabled)
        asm volatile("stac" : : : "memory");
}
static inline void clac(void)
{
    if (smap_enabled)
        asm volatile("clac" : : : "memory");
}

/* ---- Interrupt flag ---- */

static inline unsigned long local_save_flags(void)
{
    unsigned long flags;

    asm volatile("pushfq\n pop %0" : "=rm"(flags) : : "memory");
    return flags;
}
static inline void local_irq_disable(void) { asm volatile("cli" : : : "memory"); }
static inline void local_irq_enable(void) { asm volatile("sti" : : : "memory"); }
static inline bool local_irq_is_enabled(void) { return local_save_flags() & X86_EFLAGS_IF; }
/* Turns interrupts off; returns the flags for local_irq_restore. */
static inline unsigned long local_irq_save_flags(void)
{
    unsigned long flags = local_save_flags();

    local_irq_disable();
    return flags;
}
#define local_irq_save(flags) ((flags) = local_irq_save_flags())
static inline void local_irq_restore(unsigned long flags)
{
    if (flags & X86_EFLAGS_IF)
        local_irq_enable();
}

/* ---- Ports ---- */

#define PORT_IO(suffix, type)                                                                                         \
    static inline type in##suffix(u16 port)                                                                           \
    {                                                                                                                 \
        type value;                                                                                                   \
                                                                                                                      \
        asm volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port));                                              \
        return value;                                                                                                 \
    }                                                                                                                 \
    static inline void out##suffix(type value, u16 port)                                                              \
    {                                                                                                                 \
        asm volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port));                                             \
    }
PORT_IO(b, u8)
PORT_IO(w, u16)
PORT_IO(l, u32)
#undef PORT_IO

/* ---- Memory-mapped registers ---- */

#define MMIO(bits)                                                                                                    \
    static inline u##bits mmio_read##bits(const volatile void *p) { return *(const volatile u##bits *)p; }            \
    static inline void mmio_write##bits(volatile void *p, u##bits value) { *(volatile u##bits *)p = value; }
MMIO(8) MMIO(16) MMIO(32) MMIO(64)
#undef MMIO

#endif /* __ASSEMBLY__ */
#endif
