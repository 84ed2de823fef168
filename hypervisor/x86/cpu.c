/* SPDX-License-Identifier: MIT */
/* What the CPUs are and can do, and the control registers as they stay while Domus runs. */
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/string.h>
#include <asm/cpufeature.h>
#include <asm/current.h>
#include <asm/processor.h>

struct cpu_caps boot_cpu __ro_after_init;
unsigned long mmu_cr4_features __ro_after_init;
bool smap_enabled __ro_after_init;

/* smep=, smap=: protect the hypervisor from running, or touching by mistake, memory of guests. */
static bool opt_smep = true, opt_smap = true;
PARAM_BOOL("smep", opt_smep);
PARAM_BOOL("smap", opt_smap);

/* Words of the public feature set that come from CPUID: leaf, subleaf, register. */
static const struct {
    u32 leaf, subleaf;
    u8 word, reg;
} feature_sources[] __initconst = {
    { 0x00000001, 0, 0, 3 },  { 0x00000001, 0, 1, 2 },  { 0x80000001, 0, 2, 3 },  { 0x80000001, 0, 3, 2 },
    { 0x0000000d, 1, 4, 0 },  { 0x00000007, 0, 5, 1 },  { 0x00000007, 0, 6, 2 },  { 0x80000007, 0, 7, 3 },
    { 0x80000008, 0, 8, 1 },  { 0x00000007, 0, 9, 3 },  { 0x00000007, 1, 10, 0 }, { 0x80000021, 0, 11, 0 },
    { 0x00000007, 1, 12, 1 }, { 0x00000007, 2, 13, 3 }, { 0x00000007, 1, 14, 2 }, { 0x00000007, 1, 15, 3 },
};

/* The features that the public interface names: of others nobody is told. */
static const u16 known_features[] __initconst = {
#define XEN_CPUFEATURE(name, number) number,
#include <xen/arch-x86/cpufeatureset.h>
#undef XEN_CPUFEATURE
};

static void __init read_features(void)
{
    u32 known[CPU_CAP_WORDS] = { 0 };

    for (unsigned int i = 0; i < ARRAY_SIZE(known_features); i++)
        known[known_features[i] / 32] |= 1u << known_features[i] % 32;
    for (unsigned int i = 0; i < ARRAY_SIZE(feature_sources); i++) {
        u32 leaf = feature_sources[i].leaf;
        struct cpuid_leaf r;
        u32 regs[4];

        if (leaf > (leaf & 0x80000000 ? boot_cpu.max_extended_leaf : boot_cpu.max_leaf))
            continue;
        /* Leaf 7 says itself how many subleaves it has. */
        if (leaf == 7 && feature_sources[i].subleaf > cpuid(7).a)
            continue;
        r = cpuid_count(leaf, feature_sources[i].subleaf);
        regs[0] = r.a;
        regs[1] = r.b;
        regs[2] = r.c;
        regs[3] = r.d;
        boot_cpu.words[feature_sources[i].word] = regs[feature_sources[i].reg] & known[feature_sources[i].word];
    }
}

static void __init read_identity(void)
{
    struct cpuid_leaf r = cpuid(0);
    u32 signature = cpuid(1).a;

    boot_cpu.max_leaf = r.a;
    memcpy(boot_cpu.vendor_id, &r.b, 4);
    memcpy(boot_cpu.vendor_id + 4, &r.d, 4);
    memcpy(boot_cpu.vendor_id + 8, &r.c, 4);
    if (strcmp(boot_cpu.vendor_id, "GenuineIntel") == 0)
        boot_cpu.vendor = VENDOR_INTEL;
    else if (strcmp(boot_cpu.vendor_id, "AuthenticAMD") == 0 || strcmp(boot_cpu.vendor_id, "HygonGenuine") == 0)
        boot_cpu.vendor = VENDOR_AMD;

    boot_cpu.family = signature >> 8 & 0xf;
    boot_cpu.model = signature >> 4 & 0xf;
    boot_cpu.stepping = signature & 0xf;
    if (boot_cpu.family == 0xf || boot_cpu.family == 6)
        boot_cpu.model |= signature >> 12 & 0xf0;
    if (boot_cpu.family == 0xf)
        boot_cpu.family += signature >> 20 & 0xff;

    boot_cpu.max_extended_leaf = cpuid(0x80000000).a;
    if (boot_cpu.max_extended_leaf >= 0x80000004) {
        for (u32 i = 0; i < 3; i++) {
            r = cpuid(0x80000002 + i);
            memcpy(boot_cpu.model_name + 16 * i, &r, 16);
        }
    }
    boot_cpu.paddr_bits = 36;
    boot_cpu.vaddr_bits = 48;
    if (boot_cpu.max_extended_leaf >= 0x80000008) {
        r = cpuid(0x80000008);
        boot_cpu.paddr_bits = r.a & 0xff;
        boot_cpu.vaddr_bits = r.a >> 8 & 0xff;
    }
    boot_cpu.arat = boot_cpu.max_leaf >= 6 && (cpuid(6).a & 4);
}

void __init cpu_identify_boot(void)
{
    read_identity();
    read_features();

    /* AMD's CPUs have no SYSENTER in long mode: nobody is told of it. */
    if (boot_cpu.vendor == VENDOR_AMD)
        cpu_clear_feature(XEN_X86_FEATURE_SEP);
    if (!opt_smep)
        cpu_clear_feature(XEN_X86_FEATURE_SMEP);
    if (!opt_smap)
        cpu_clear_feature(XEN_X86_FEATURE_SMAP);
    if (!cpu_has(SYSCALL) || !cpu_has(FXSR) || !cpu_has(SSE2) || !cpu_has(CX8) || !cpu_has(APIC) || !cpu_has(PAT))
        panic("This CPU lacks a feature that all 64-bit CPUs have: SYSCALL, FXSR, SSE2, CX8, APIC or PAT\n");

    mmu_cr4_features = X86_CR4_PAE | X86_CR4_DE | X86_CR4_PSE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    if (cpu_has(PGE))
        mmu_cr4_features |= X86_CR4_PGE;
    if (cpu_has(MCE))
        mmu_cr4_features |= X86_CR4_MCE;
    if (cpu_has(FSGSBASE))
        mmu_cr4_features |= X86_CR4_FSGSBASE;
    if (cpu_has(XSAVE))
        mmu_cr4_features |= X86_CR4_OSXSAVE;
    if (cpu_has(SMEP))
        mmu_cr4_features |= X86_CR4_SMEP;
    if (cpu_has(SMAP))
        mmu_cr4_features |= X86_CR4_SMAP;
    smap_enabled = cpu_has(SMAP);
}

void cpu_init_lfence(void)
{
    /* These have no switch for it. */
    bool serialising = boot_cpu.family == 0xf || boot_cpu.family == 0x11;
    u64 cfg;

    if (boot_cpu.vendor != VENDOR_AMD)
        return;
    if (!serialising && rdmsr_safe(MSR_DE_CFG, &cfg) == 0)
        serialising = wrmsr_safe(MSR_DE_CFG, cfg | DE_CFG_LFENCE_SERIALISING) == 0 &&
                      rdmsr_safe(MSR_DE_CFG, &cfg) == 0 && (cfg & DE_CFG_LFENCE_SERIALISING);
    if (serialising && !cpu_has(LFENCE_DISPATCH))
        boot_cpu.words[XEN_X86_FEATURE_LFENCE_DISPATCH / 32] |= 1u << XEN_X86_FEATURE_LFENCE_DISPATCH % 32;
}

void cpu_init(void)
{
    u64 efer = rdmsr(MSR_EFER);

    wrmsr(MSR_EFER, efer | EFER_SCE | EFER_NX);
    wrmsr(MSR_PAT, MSR_PAT_VALUE);
    write_cr0(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE);
    write_cr4(mmu_cr4_features);
    get_cpu_info()->cr4 = mmu_cr4_features;
    /* User memory is out of bounds until asked for. */
    clac();
}
