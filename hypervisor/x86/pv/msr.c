/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers of PV guests: those that a kernel in ring 3 reads or writes with a meaning. All others give
 * #GP, which kernels expect of registers that they only try; with msr_relaxed, reads give zero and writes are dropped.
 * <xen/arch-x86/xen.h> (struct trap_info, on early RDMSR), <xen/arch-x86/cpuid.h> (leaf 0x40000002).
 */
#include <domus/dirty_log.h>
#include <domus/domain.h>
#include <domus/lib.h>
#include <asm/cpuid.h>
#include <asm/processor.h>
#include <asm/pv_emul.h>
#include <asm/segments.h>
#include <asm/traps.h>

#define MSR_XEN_HYPERCALL    0x40000000
#define APIC_DEFAULT_BASE    0xfee00000u
#define FEATURE_CONTROL_LOCK 1u
#define MISC_ENABLE_PERF_MON (1u << 7)
#define MISC_ENABLE_BTS_OFF  (1u << 11)
#define MISC_ENABLE_PEBS_OFF (1u << 12)
#define PRED_CMD_IBPB        1u

/* AMD */
#define MSR_SYSCFG           0xc0010010
#define MSR_HWCR             0xc0010015
#define  HWCR_TSC_FREQ_SEL   (1u << 24)
#define MSR_TOP_MEM          0xc001001a
#define MSR_TOP_MEM2         0xc001001d
#define MSR_MMIO_CONF_BASE   0xc0010058

/* A machine-check architecture of two banks, in which nothing ever happens. */
#define GUEST_MCE_BANKS      2u
#define MCG_CTL_PRESENT      (1u << 8)
#define MSR_MC_LAST          (MSR_MC0_CTL + 4 * GUEST_MCE_BANKS - 1)

static bool is_intel(void) { return boot_cpu.vendor == VENDOR_INTEL; }
static bool is_amd(void) { return boot_cpu.vendor == VENDOR_AMD; }

/* A register of the machine, as it is. */
static bool read_real(u32 msr, u64 *value)
{
    return rdmsr_safe(msr, value) == 0;
}

/* Registers that only one vendor's CPUs have. */
static bool read_vendor(const struct domain *d, u32 msr, u64 *value)
{
    switch (msr) {
    case MSR_PLATFORM_ID:
        return is_intel() && d->is_privileged && read_real(msr, value);
    case MSR_FEATURE_CONTROL:
        *value = FEATURE_CONTROL_LOCK;
        return is_intel();
    case MSR_PERF_STATUS:
    case MSR_PERF_CTL:
        *value = 0;
        return is_intel();
    case MSR_MISC_ENABLE:
        if (!is_intel() || !read_real(msr, value))
            return false;
        *value = (*value & ~(u64)MISC_ENABLE_PERF_MON) | MISC_ENABLE_BTS_OFF | MISC_ENABLE_PEBS_OFF;
        return true;
    case MSR_HWCR:
        *value = HWCR_TSC_FREQ_SEL;
        return is_amd();
    case MSR_DE_CFG:
        *value = DE_CFG_LFENCE_SERIALISING;
        return is_amd();
    case MSR_SYSCFG:
    case MSR_TOP_MEM:
    case MSR_TOP_MEM2:
    case MSR_MMIO_CONF_BASE:
        return is_amd() && d->is_privileged && read_real(msr, value);
    default:
        return false;
    }
}

static bool read_known(struct vcpu *v, u32 msr, u64 *value)
{
    const struct cpu_policy *p = v->domain->arch.policy;

    switch (msr) {
    case MSR_FS_BASE:
        *value = read_fs_base();
        return true;
    case MSR_GS_BASE:
        *value = read_gs_base();
        return true;
    case MSR_KERNEL_GS_BASE:
        *value = read_inactive_gs_base();
        return true;
    case MSR_EFER:
        *value = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;
        return true;
    case MSR_TSC:
        *value = rdtsc();
        return true;
    case MSR_TSC_AUX:
        *value = v->arch.tsc_aux;
        return vcpu_has_feature(v, XEN_X86_FEATURE_RDTSCP);
    case MSR_APIC_BASE:
        *value = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | (v->vcpu_id == 0 ? APIC_BASE_BSP : 0);
        return true;
    case MSR_PAT:
        *value = MSR_PAT_VALUE;
        return true;
    case MSR_PLATFORM_INFO:
        *value = p->platform_info;
        return true;
    case MSR_MISC_FEATURES_ENABLES:
        *value = 0;
        return true;
    case MSR_ARCH_CAPABILITIES:
        *value = p->arch_capabilities;
        return vcpu_has_feature(v, XEN_X86_FEATURE_ARCH_CAPS);
    case MSR_UCODE_REV:
        return read_real(msr, value);
    case MSR_MCG_CAP:
        *value = GUEST_MCE_BANKS | (is_amd() ? MCG_CTL_PRESENT : 0);
        return true;
    case MSR_MCG_STATUS:
        *value = 0;
        return true;
    case MSR_MCG_CTL:
        *value = ~0UL;
        return is_amd();
    case MSR_MC0_CTL ... MSR_MC_LAST:
        *value = (msr & 3) == 0 ? ~0UL : 0;
        return true;
    case MSR_XEN_HYPERCALL:
        *value = 0;
        return true;
    default:
        return read_vendor(v->domain, msr, value);
    }
}

bool guest_rdmsr(struct vcpu *v, u32 msr, u64 *value)
{
    if (read_known(v, msr, value))
        return true;
    *value = 0;
    if (v->domain->arch.msr_relaxed || v->arch.trap[X86_EXC_GP].address == 0)
        return true;
    printk(LOG_GUEST LOG_DEBUG "d%uv%u: RDMSR %#x refused\n", v->domain->domain_id, v->vcpu_id, msr);
    return false;
}

/* Writes the hypercall page into the guest's frame; value: its machine address, low bits: number of the page. */
static bool write_hypercall_page(struct vcpu *v, u64 value)
{
    struct page_info *pg;

    if (value & ~PAGE_MASK)
        return false;
    pg = get_page_from_mfn(_mfn(value >> PAGE_SHIFT), v->domain);
    if (!pg)
        return false;
    if (!get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        return false;
    }
    pv_fill_hypercall_page(page_to_virt(pg));
    mark_dirty(v->domain, page_to_mfn(pg));
    put_page_and_type(pg);
    return true;
}

static bool write_known(struct vcpu *v, u32 msr, u64 value)
{
    switch (msr) {
    case MSR_FS_BASE:
        if (!is_canonical_address(value))
            return false;
        write_fs_base(value);
        return true;
    case MSR_GS_BASE:
        if (!is_canonical_address(value))
            return false;
        write_gs_base(value);
        return true;
    case MSR_KERNEL_GS_BASE:
        if (!is_canonical_address(value))
            return false;
        write_inactive_gs_base(value);
        return true;
    case MSR_TSC_AUX:
        if (!vcpu_has_feature(v, XEN_X86_FEATURE_RDTSCP) || value >> 32)
            return false;
        v->arch.tsc_aux = value;
        wrmsr(MSR_TSC_AUX, value);
        return true;
    case MSR_STAR:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_SYSCALL_MASK:
    case MSR_SYSENTER_CS:
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
        return true;        /* callbacks are registered by hypercall; kernels write these out of habit */
    case MSR_PRED_CMD:
        return vcpu_has_feature(v, XEN_X86_FEATURE_IBPB) && !(value & ~(u64)PRED_CMD_IBPB) &&
               wrmsr_safe(msr, value) == 0;
    case MSR_UCODE_REV:
        return is_intel() && v->domain->is_privileged && value == 0;    /* asks for the revision to be read */
    case MSR_MISC_FEATURES_ENABLES:
        return value == 0;
    case MSR_DE_CFG:
        return is_amd();
    case MSR_PERF_CTL:
        return is_intel();
    case MSR_MCG_STATUS:
    case MSR_MCG_CTL:
    case MSR_MC0_CTL ... MSR_MC_LAST:
        return true;
    case MSR_XEN_HYPERCALL:
        return write_hypercall_page(v, value);
    default:
        return false;
    }
}

bool guest_wrmsr(struct vcpu *v, u32 msr, u64 value)
{
    u64 now;

    if (write_known(v, msr, value))
        return true;
    /* To write what is there already changes nothing. */
    if (read_known(v, msr, &now) && now == value)
        return true;
    if (v->domain->arch.msr_relaxed)
        return true;
    printk(LOG_GUEST LOG_DEBUG "d%uv%u: WRMSR %#x of %#lx refused\n", v->domain->domain_id, v->vcpu_id, msr, value);
    return false;
}
