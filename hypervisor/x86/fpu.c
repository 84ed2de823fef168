/* SPDX-License-Identifier: MIT */
/* FPU and extended state: eager, all of it at each vCPU switch. */
#include <domus/domain.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/percpu.h>
#include <domus/string.h>
#include <domus/xmalloc.h>
#include <asm/cpufeature.h>
#include <asm/fpu.h>
#include <asm/processor.h>

#define MXCSR_RESET 0x1f80u
#define FCW_RESET   0x037fu
#define XSAVE_CPUID_LEAF 0xd

/* x87 status word: an exception that is not masked is pending. */
#define FSW_ERROR_SUMMARY 0x80

/* What guests may use: x87, SSE, AVX, MPX no more, AVX-512, PKRU not in a PV guest. */
#define XSTATE_AVX512 (7UL << 5)
#define XSTATE_SERVED (XSTATE_FP_SSE | XSTATE_YMM | XSTATE_AVX512)

u64 xfeature_mask __ro_after_init;
unsigned int xsave_size __ro_after_init = 512;

/* The CPU keeps the address of the last x87 instruction, and of its operand, to itself unless an exception is pending. */
static bool keeps_pointers __ro_after_init;

/* XCR0 as this CPU has it. */
static DEFINE_PER_CPU(u64, loaded_xcr0);

static void load_xcr0(u64 value)
{
    if (this_cpu(loaded_xcr0) == value)
        return;
    xsetbv(0, value);
    this_cpu(loaded_xcr0) = value;
}

void fpu_init_boot(void)
{
    struct cpuid_leaf r;

    keeps_pointers = boot_cpu.vendor == VENDOR_AMD && !cpu_has(RSTR_FP_ERR_PTRS);
    if (!cpu_has_xsave)
        return;
    r = cpuid_count(XSAVE_CPUID_LEAF, 0);
    xfeature_mask = ((u64)r.d << 32 | r.a) & XSTATE_SERVED;
    if ((xfeature_mask & XSTATE_AVX512) != XSTATE_AVX512)
        xfeature_mask &= ~XSTATE_AVX512;
    if (!(xfeature_mask & XSTATE_YMM))
        xfeature_mask &= XSTATE_FP_SSE;
    fpu_init_cpu();
    /* Subleaf 0, EBX: the size for what XCR0 enables now. */
    xsave_size = cpuid_count(XSAVE_CPUID_LEAF, 0).b;
}

void fpu_reset_registers(void)
{
    const u32 mxcsr = MXCSR_RESET;

    asm volatile("clts; fninit; ldmxcsr %0" :: "m"(mxcsr));
}

void fpu_init_cpu(void)
{
    fpu_reset_registers();
    if (xfeature_mask != 0) {
        this_cpu(loaded_xcr0) = 0;
        load_xcr0(xfeature_mask);
    }
}

static void fill_reset_state(struct xsave_area *area)
{
    const u16 fcw = FCW_RESET;
    const u32 mxcsr = MXCSR_RESET;

    memset(area, 0, xsave_size);
    memcpy(area->fxsave, &fcw, sizeof(fcw));
    memcpy(area->fxsave + 24, &mxcsr, sizeof(mxcsr));
    if (xfeature_mask != 0)
        area->xstate_bv = XSTATE_FP_SSE;
}

int vcpu_fpu_create(struct vcpu *v)
{
    unsigned int order = get_order_from_pages(DIV_ROUND_UP(xsave_size, PAGE_SIZE));
    struct page_info *pg = alloc_pages(order, 0);

    if (pg == NULL)
        return -ENOMEM;
    v->arch.xsave = page_to_virt(pg);
    v->arch.xcr0 = v->arch.xcr0_accum = xfeature_mask & XSTATE_FP;
    fill_reset_state(v->arch.xsave);
    return 0;
}

void vcpu_fpu_destroy(struct vcpu *v)
{
    if (v->arch.xsave == NULL)
        return;
    free_pages(virt_to_page(v->arch.xsave), get_order_from_pages(DIV_ROUND_UP(xsave_size, PAGE_SIZE)));
    v->arch.xsave = NULL;
}

void vcpu_fpu_reset(struct vcpu *v)
{
    fill_reset_state(v->arch.xsave);
    v->arch.xcr0 = v->arch.xcr0_accum = xfeature_mask & XSTATE_FP;
}

/* Reserved bits of MXCSR make the restore fault. */
#define MXCSR_VALID 0xffffu

void fpu_sanitise_legacy(struct vcpu *v)
{
    u32 mxcsr;

    memcpy(&mxcsr, v->arch.xsave->fxsave + 24, sizeof(mxcsr));
    mxcsr &= MXCSR_VALID;
    memcpy(v->arch.xsave->fxsave + 24, &mxcsr, sizeof(mxcsr));
    if (xfeature_mask != 0)
        v->arch.xsave->xstate_bv |= XSTATE_FP_SSE;
}

void vcpu_fpu_save(struct vcpu *v)
{
    clts();
    if (xfeature_mask != 0) {
        load_xcr0(v->arch.xcr0_accum | XSTATE_FP_SSE);
        asm volatile("xsaveq %0" : "+m"(*v->arch.xsave) : "a"(~0u), "d"(~0u) : "memory");
    } else {
        asm volatile("fxsaveq %0" : "+m"(v->arch.xsave->fxsave));
    }
}

/*
 * AMD's CPUs before Zen 2 neither save nor restore those addresses, so that a guest would see another's: an instruction of
 * our own puts constants there. Source: AMD's manual, volume 2, 11.5.12.
 */
static void hide_pointers(const struct xsave_area *area)
{
    static const u32 zero;
    u16 status;

    memcpy(&status, area->fxsave + 2, sizeof(status));
    if (likely(!keeps_pointers) || (status & FSW_ERROR_SUMMARY))
        return;
    asm volatile("fnclex; ffree %%st(7); fildl %0" : : "m"(zero));
}

void vcpu_fpu_restore(struct vcpu *v)
{
    clts();
    hide_pointers(v->arch.xsave);
    if (xfeature_mask != 0) {
        load_xcr0(v->arch.xcr0_accum | XSTATE_FP_SSE);
        asm volatile("xrstorq %0" : : "m"(*v->arch.xsave), "a"(~0u), "d"(~0u) : "memory");
        load_xcr0(v->arch.xcr0);
    } else {
        asm volatile("fxrstorq %0" : : "m"(v->arch.xsave->fxsave));
    }
    if (v->arch.cr0 & X86_CR0_TS)
        stts();
}

bool xcr0_valid(u64 value)
{
    if ((value & ~xfeature_mask) || !(value & XSTATE_FP))
        return false;
    if ((value & XSTATE_YMM) && !(value & XSTATE_SSE))
        return false;
    if ((value & XSTATE_AVX512) && ((value & XSTATE_AVX512) != XSTATE_AVX512 || !(value & XSTATE_YMM)))
        return false;
    return true;
}

/* Registers of components that v has not used yet hold what others left there: they are loaded anew, as after a reset. */
void vcpu_set_xcr0(struct vcpu *v, u64 value)
{
    bool more = value & ~v->arch.xcr0_accum;
    unsigned long flags = local_irq_save_flags();

    if (more)
        vcpu_fpu_save(v);
    v->arch.xcr0 = value;
    v->arch.xcr0_accum |= value;
    if (more)
        vcpu_fpu_restore(v);
    else
        load_xcr0(value);
    local_irq_restore(flags);
}
