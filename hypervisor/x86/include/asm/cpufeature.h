/* SPDX-License-Identifier: MIT */
/*
 * What the machine's CPUs can do, by the names and numbers of the public feature set (<xen/arch-x86/cpufeatureset.h>).
 * Features that not all CPUs share are taken off as they come up.
 */
#ifndef ASM_CPUFEATURE_H
#define ASM_CPUFEATURE_H

#include <domus/types.h>
#include <xen/arch-x86/cpufeatureset.h>

#define CPU_CAP_WORDS 19

enum cpu_vendor { VENDOR_UNKNOWN, VENDOR_INTEL, VENDOR_AMD };

struct cpu_caps {
    u32 words[CPU_CAP_WORDS];       /* as in the public feature set */
    enum cpu_vendor vendor;
    unsigned int family, model, stepping;
    u32 max_leaf, max_extended_leaf;
    unsigned int paddr_bits, vaddr_bits;
    bool arat;                      /* the APIC timer runs in every sleep state */
    char vendor_id[13], model_name[49];
};

extern struct cpu_caps boot_cpu;

/* cpu_has(SMAP): whether all CPUs have the feature. */
#define cpu_has(name) cpu_has_feature(XEN_X86_FEATURE_##name)

static inline bool cpu_has_feature(unsigned int feature)
{
    return boot_cpu.words[feature / 32] >> feature % 32 & 1;
}

#define cpu_has_nx       cpu_has(NX)
#define cpu_has_pge      cpu_has(PGE)
#define cpu_has_smep     cpu_has(SMEP)
#define cpu_has_smap     cpu_has(SMAP)
#define cpu_has_umip     cpu_has(UMIP)
#define cpu_has_fsgsbase cpu_has(FSGSBASE)
#define cpu_has_xsave    cpu_has(XSAVE)
#define cpu_has_x2apic   cpu_has(X2APIC)
#define cpu_has_pcid     cpu_has(PCID)
#define cpu_has_invpcid  cpu_has(INVPCID)
#define cpu_has_page1gb  cpu_has(PAGE1GB)
#define cpu_has_rdtscp   cpu_has(RDTSCP)
#define cpu_has_tsc_deadline cpu_has(TSC_DEADLINE)
#define cpu_has_invariant_tsc cpu_has(ITSC)
#define cpu_has_hypervisor cpu_has(HYPERVISOR)
#define cpu_has_arat     (boot_cpu.arat)

/* Turns a feature off for the whole machine, before CPUs use it: a command-line choice or an erratum. */
static inline void cpu_clear_feature(unsigned int feature)
{
    boot_cpu.words[feature / 32] &= ~(1u << feature % 32);
}

/*
 * On each AMD CPU, once faults are caught: makes LFENCE wait for what is before it, if it does not anyway; guests are told
 * that it does. AMD, "Software Techniques for Managing Speculation on AMD Processors".
 */
void cpu_init_lfence(void);

/* Reads CPUID of the boot CPU into boot_cpu. Panics where a feature is missing that nothing works without. */
void cpu_identify_boot(void);
/* Sets CR0, CR4, EFER and PAT of this CPU as they stay; all CPUs, early. */
void cpu_init(void);
/* Command-line and page-level protections that cpu_init puts into CR4. */
extern unsigned long mmu_cr4_features;

#endif
