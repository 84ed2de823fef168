/* SPDX-License-Identifier: MIT */
/*
 * How CPUs lie in cores and sockets, by the parts of their APIC ids: threads of a core in the lowest bits, above them the
 * cores of a socket, then the socket. Specification: Intel SDM 3A, 9.9; AMD's manual, volume 3, appendix E.4 and E.5.
 */
#include <domus/arch.h>
#include <domus/cpumask.h>
#include <domus/lib.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/smp.h>

#define LEAF_TOPOLOGY_V2   0x1fu        /* with levels between core and socket */
#define LEAF_TOPOLOGY      0xbu
#define LEVEL_THREAD       1
#define LEAF_CACHES        4u
#define EXT_LEAF_SIZES     0x80000008u
#define EXT_LEAF_TOPOLOGY  0x8000001eu

/* Bits of an APIC id below the core's number, and below the socket's. */
static unsigned int thread_bits __ro_after_init, core_bits __ro_after_init;

/* Bits that number n things. */
static unsigned int __init bits_for(unsigned int n)
{
    return n <= 1 ? 0 : fls(n - 1);
}

/* Each subleaf is a level: its type, and how far to shift an id for the number of the level above. The last is the socket's. */
static bool __init by_levels(u32 leaf)
{
    if (boot_cpu.max_leaf < leaf || !cpuid_count(leaf, 0).b)
        return false;
    for (u32 i = 0; i < 8; i++) {
        struct cpuid_leaf level = cpuid_count(leaf, i);
        unsigned int type = level.c >> 8 & 0xff;

        if (!type)
            break;
        if (type == LEVEL_THREAD)
            thread_bits = level.a & 0x1f;
        core_bits = level.a & 0x1f;
    }
    return true;
}

static bool __init by_amd_sizes(void)
{
    u32 sizes;

    if (boot_cpu.vendor != VENDOR_AMD || boot_cpu.max_extended_leaf < EXT_LEAF_SIZES)
        return false;
    sizes = cpuid(EXT_LEAF_SIZES).c;
    core_bits = sizes >> 12 & 0xf;
    if (!core_bits)
        core_bits = bits_for((sizes & 0xff) + 1);
    if (cpu_has(TOPOEXT) && boot_cpu.max_extended_leaf >= EXT_LEAF_TOPOLOGY)
        thread_bits = bits_for((cpuid(EXT_LEAF_TOPOLOGY).b >> 8 & 0xff) + 1);
    return true;
}

/* Counts of the ids that are set aside. */
static void __init by_counts(void)
{
    unsigned int logical = cpuid(1).b >> 16 & 0xff, cores = 1;

    if (!cpu_has(HTT))
        return;
    if (boot_cpu.max_leaf >= LEAF_CACHES)
        cores = (cpuid_count(LEAF_CACHES, 0).a >> 26) + 1;
    core_bits = bits_for(logical);
    thread_bits = bits_for(max(logical / cores, 1u));
}

void __init topology_init(void)
{
    if (!by_levels(LEAF_TOPOLOGY_V2) && !by_levels(LEAF_TOPOLOGY) && !by_amd_sizes())
        by_counts();
    core_bits = max(core_bits, thread_bits);
}

u32 cpu_to_socket(unsigned int cpu)
{
    return cpu_to_apicid[cpu] >> core_bits;
}

bool cpus_have_threads(void)
{
    return thread_bits != 0;
}

u32 cpu_to_thread(unsigned int cpu)
{
    return cpu_to_apicid[cpu] & ((1u << thread_bits) - 1);
}

u32 cpu_to_core(unsigned int cpu)
{
    return (cpu_to_apicid[cpu] & ((1u << core_bits) - 1)) >> thread_bits;
}
