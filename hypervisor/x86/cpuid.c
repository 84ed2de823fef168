/* SPDX-License-Identifier: MIT */
/*
 * What CPUID shows to PV guests. The machine's own answers are read once (raw), reduced to what the hypervisor uses
 * (host), and reduced to what a ring 3 kernel can use (PV). Which features those are: the letters "A" (offered) and "a"
 * (offered where asked for) in <xen/arch-x86/cpufeatureset.h>; Xen's own leaves: <xen/arch-x86/cpuid.h>.
 *
 * On CPUs without CPUID faulting, code that does not ask for emulation sees the raw answers.
 */
#include <domus/domain.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <domus/xmalloc.h>
#include <asm/cpuid.h>
#include <asm/fpu.h>
#include <asm/pv_emul.h>
#include <asm/time.h>
#include <xen/arch-x86/cpuid.h>

#define F(name) XEN_X86_FEATURE_##name

/* What a PV guest is offered, where the machine has it. */
static const u16 pv_features[] = {
    F(FPU), F(DE), F(TSC), F(MSR), F(PAE), F(MCE), F(CX8), F(APIC), F(SEP), F(MCA), F(CMOV), F(PAT), F(CLFLUSH), F(ACPI),
    F(MMX), F(FXSR), F(SSE), F(SSE2), F(SS), F(HTT),
    F(SSE3), F(PCLMULQDQ), F(SSSE3), F(FMA), F(CX16), F(SSE4_1), F(SSE4_2), F(MOVBE), F(POPCNT), F(AESNI), F(XSAVE),
    F(AVX), F(F16C), F(RDRAND), F(HYPERVISOR),
    F(SYSCALL), F(NX), F(MMXEXT), F(FFXSR), F(RDTSCP), F(LM), F(3DNOWEXT), F(3DNOW),
    F(LAHF_LM), F(CMP_LEGACY), F(ABM), F(SSE4A), F(MISALIGNSSE), F(3DNOWPREFETCH), F(XOP), F(FMA4), F(TBM),
    F(XSAVEOPT), F(XSAVEC), F(XGETBV1),
    F(FSGSBASE), F(BMI1), F(AVX2), F(BMI2), F(ERMS), F(RTM), F(AVX512F), F(AVX512DQ), F(RDSEED), F(ADX), F(AVX512_IFMA),
    F(CLFLUSHOPT), F(CLWB), F(AVX512PF), F(AVX512ER), F(AVX512CD), F(SHA), F(AVX512BW), F(AVX512VL),
    F(PREFETCHWT1), F(AVX512_VBMI), F(AVX512_VBMI2), F(GFNI), F(VAES), F(VPCLMULQDQ), F(AVX512_VNNI), F(AVX512_BITALG),
    F(AVX512_VPOPCNTDQ), F(RDPID), F(CLDEMOTE),
    F(CLZERO), F(RSTR_FP_ERR_PTRS), F(IBPB), F(SSB_NO), F(BTC_NO), F(IBPB_RET),
    F(AVX512_4VNNIW), F(AVX512_4FMAPS), F(FSRM), F(MD_CLEAR), F(SERIALIZE),
    F(AVX_VNNI), F(AVX512_BF16), F(FZRM), F(FSRS), F(FSRCS),
    F(LFENCE_DISPATCH), F(NSCB), F(SBPB), F(IBPB_BRTYPE), F(SRSO_NO),
    F(MCDT_NO),
    F(RDCL_NO), F(INTEL_SSB_NO), F(MDS_NO), F(IF_PSCHANGE_MC_NO), F(TAA_NO), F(SBDR_SSDP_NO), F(FBSDP_NO), F(PSDP_NO),
    F(FB_CLEAR), F(BHI_NO), F(PBRSB_NO), F(GDS_NO), F(RFDS_NO), F(RFDS_CLEAR),
};

/* Offered to those who ask for them only: they tie a guest to this machine. */
static const u16 pv_features_on_request[] = {
    F(HLE), F(MOVDIRI), F(MOVDIR64B), F(ITSC), F(AVX512_VP2INTERSECT), F(TSXLDTRK), F(ARCH_CAPS),
};

/* A feature that makes no sense without another. */
static const struct {
    u16 feature, needs;
} feature_needs[] = {
    { F(FXSR), F(FPU) }, { F(SSE), F(FXSR) }, { F(SSE2), F(SSE) }, { F(SSE3), F(SSE2) }, { F(SSSE3), F(SSE3) },
    { F(SSE4_1), F(SSSE3) }, { F(SSE4_2), F(SSE4_1) }, { F(AESNI), F(SSE2) }, { F(PCLMULQDQ), F(SSE2) },
    { F(SHA), F(SSE2) }, { F(SSE4A), F(SSE3) }, { F(MISALIGNSSE), F(SSE) }, { F(GFNI), F(SSE2) },
    { F(MMXEXT), F(MMX) }, { F(3DNOW), F(MMX) }, { F(3DNOWEXT), F(3DNOW) }, { F(LAHF_LM), F(LM) }, { F(CX16), F(LM) },
    { F(XSAVEOPT), F(XSAVE) }, { F(XSAVEC), F(XSAVE) }, { F(XGETBV1), F(XSAVE) }, { F(AVX), F(XSAVE) },
    { F(FMA), F(AVX) }, { F(FMA4), F(AVX) }, { F(F16C), F(AVX) }, { F(XOP), F(AVX) }, { F(AVX2), F(AVX) },
    { F(VAES), F(AVX) }, { F(VPCLMULQDQ), F(AVX) }, { F(AVX_VNNI), F(AVX2) }, { F(AVX512F), F(AVX2) },
    { F(AVX512DQ), F(AVX512F) }, { F(AVX512_IFMA), F(AVX512F) }, { F(AVX512PF), F(AVX512F) },
    { F(AVX512ER), F(AVX512F) }, { F(AVX512CD), F(AVX512F) }, { F(AVX512BW), F(AVX512F) }, { F(AVX512VL), F(AVX512F) },
    { F(AVX512_VNNI), F(AVX512F) }, { F(AVX512_VPOPCNTDQ), F(AVX512F) }, { F(AVX512_4VNNIW), F(AVX512F) },
    { F(AVX512_4FMAPS), F(AVX512F) }, { F(AVX512_VP2INTERSECT), F(AVX512F) }, { F(AVX512_VBMI), F(AVX512BW) },
    { F(AVX512_VBMI2), F(AVX512BW) }, { F(AVX512_BITALG), F(AVX512BW) }, { F(AVX512_BF16), F(AVX512BW) },
};

/* Of a linear address: a guest's page tables have four levels. */
#define PV_ADDRESS_BITS 48

/* AMD repeats these bits of leaf 1, EDX, in leaf 0x80000001, EDX. */
#define AMD_COMMON_EDX 0x0183f3ffu

static struct cpu_policy system_policies[NR_POLICIES];
static bool system_policies_made;

/* ---- Feature words and where they live ---- */

/* Where a word of the feature set lies in a policy: a leaf and its register 0 (eax) to 3 (edx). */
#define SOURCE(table, index, reg) \
    { offsetof(struct cpu_policy, table) + (index) * sizeof(struct cpuid_leaf) + (reg) * sizeof(u32) }
static const struct {
    size_t offset;
} word_source[CPU_CAP_WORDS] = {
    [0] = SOURCE(basic, 1, 3), [1] = SOURCE(basic, 1, 2), [2] = SOURCE(ext, 1, 3), [3] = SOURCE(ext, 1, 2),
    [4] = SOURCE(xstate, 1, 0), [5] = SOURCE(feat, 0, 1), [6] = SOURCE(feat, 0, 2), [7] = SOURCE(ext, 7, 3),
    [8] = SOURCE(ext, 8, 1), [9] = SOURCE(feat, 0, 3), [10] = SOURCE(feat, 1, 0), [11] = SOURCE(ext, 0x21, 0),
    [12] = SOURCE(feat, 1, 1), [13] = SOURCE(feat, 2, 3), [14] = SOURCE(feat, 1, 2), [15] = SOURCE(feat, 1, 3),
    [16] = { offsetof(struct cpu_policy, arch_capabilities) },
    [17] = { offsetof(struct cpu_policy, arch_capabilities) + sizeof(u32) },
    [18] = SOURCE(ext, 0x21, 2),
};

static u32 *feature_word(struct cpu_policy *p, unsigned int word)
{
    return (u32 *)((char *)p + word_source[word].offset);
}

void policy_get_features(const struct cpu_policy *p, u32 words[CPU_CAP_WORDS])
{
    for (unsigned int i = 0; i < CPU_CAP_WORDS; i++)
        words[i] = *(const u32 *)((const char *)p + word_source[i].offset);
}

static void set_features(struct cpu_policy *p, const u32 words[CPU_CAP_WORDS])
{
    for (unsigned int i = 0; i < CPU_CAP_WORDS; i++)
        *feature_word(p, i) = words[i];
}

static bool has(const u32 *words, unsigned int feature)
{
    return words[feature / 32] >> feature % 32 & 1;
}

static void set(u32 *words, unsigned int feature)
{
    words[feature / 32] |= 1u << feature % 32;
}

static void clear(u32 *words, unsigned int feature)
{
    words[feature / 32] &= ~(1u << feature % 32);
}

/* ---- Making policies ---- */

static void read_raw(struct cpu_policy *p)
{
    u32 max = min_t(u32, cpuid(0).a, POLICY_BASIC_LEAVES - 1);
    u32 max_ext = cpuid(0x80000000).a;

    for (u32 i = 0; i <= max; i++)
        if (i != 4 && i != 7 && i != 0xb && i != 0xd)
            p->basic[i] = cpuid(i);
    for (u32 i = 0; max >= 4 && boot_cpu.vendor == VENDOR_INTEL && i < POLICY_CACHE_LEAVES; i++) {
        p->cache[i] = cpuid_count(4, i);
        if (!(p->cache[i].a & 0x1f))    /* cache type 0: the list ends */
            break;
    }
    for (u32 i = 0; max >= 7 && i <= min_t(u32, cpuid_count(7, 0).a, POLICY_FEAT_LEAVES - 1); i++)
        p->feat[i] = cpuid_count(7, i);
    for (u32 i = 0; max >= 0xb && i < POLICY_TOPO_LEAVES; i++)
        p->topo[i] = cpuid_count(0xb, i);
    if (max >= 0xd) {
        u64 states;

        p->xstate[0] = cpuid_count(0xd, 0);
        p->xstate[1] = cpuid_count(0xd, 1);
        states = (u64)p->xstate[0].d << 32 | p->xstate[0].a;
        for (u32 i = 2; i < POLICY_XSTATE_LEAVES; i++)
            if (states >> i & 1)
                p->xstate[i] = cpuid_count(0xd, i);
    }
    if (max_ext >> 16 == 0x8000)
        for (u32 i = 0; i <= min_t(u32, max_ext & 0xffff, POLICY_EXT_LEAVES - 1); i++)
            p->ext[i] = cpuid(0x80000000 + i);
    p->basic[0].a = max;
    p->feat[0].a = min_t(u32, p->feat[0].a, POLICY_FEAT_LEAVES - 1);
    p->ext[0].a = min_t(u32, max_ext, 0x80000000 + POLICY_EXT_LEAVES - 1);
    if (boot_cpu.words[F(ARCH_CAPS) / 32] >> F(ARCH_CAPS) % 32 & 1)
        rdmsr_safe(MSR_ARCH_CAPABILITIES, &p->arch_capabilities);
}

/* Raw, less what has been turned off, and with what the hypervisor has turned on. */
static void make_host(struct cpu_policy *p)
{
    *p = system_policies[POLICY_RAW];
    for (unsigned int i = 0; i < CPU_CAP_WORDS; i++)
        if (i != 16 && i != 17 && i != 18)      /* not kept in boot_cpu */
            *feature_word(p, i) &= boot_cpu.words[i];
    if (cpu_has(LFENCE_DISPATCH)) {
        p->ext[0].a = max(p->ext[0].a, 0x80000021u);
        p->ext[0x21].a |= 1u << F(LFENCE_DISPATCH) % 32;
    }
}

static void make_pv(struct cpu_policy *p, bool on_request)
{
    u32 host[CPU_CAP_WORDS], words[CPU_CAP_WORDS] = { 0 };

    *p = system_policies[POLICY_HOST];
    policy_get_features(p, host);
    for (unsigned int i = 0; i < ARRAY_SIZE(pv_features); i++)
        if (has(host, pv_features[i]))
            set(words, pv_features[i]);
    for (unsigned int i = 0; on_request && i < ARRAY_SIZE(pv_features_on_request); i++)
        if (has(host, pv_features_on_request[i]))
            set(words, pv_features_on_request[i]);
    if (!on_request)
        words[16] = words[17] = 0;              /* belong to ARCH_CAPS */
    set_features(p, words);
}

static void make_system_policies(void)
{
    read_raw(&system_policies[POLICY_RAW]);
    make_host(&system_policies[POLICY_HOST]);
    make_pv(&system_policies[POLICY_PV_MAX], true);
    make_pv(&system_policies[POLICY_PV_DEFAULT], false);
    system_policies_made = true;
    policy_adjust_pv(&system_policies[POLICY_PV_MAX]);
    policy_adjust_pv(&system_policies[POLICY_PV_DEFAULT]);
}

const struct cpu_policy *system_policy(enum policy_kind kind)
{
    if (!system_policies_made)
        make_system_policies();
    return &system_policies[kind];
}

/* ---- Derived leaves ---- */

/* State components that go with the features; the XSAVE leaves follow from them. */
static void derive_xstate(struct cpu_policy *p, const u32 *words)
{
    const struct cpu_policy *host = &system_policies[POLICY_HOST];
    u32 subfeatures = words[4];
    u64 states = 0;
    u32 size = XSAVE_MIN_SIZE;

    if (has(words, F(XSAVE))) {
        states = XSTATE_FP_SSE;
        if (has(words, F(AVX)))
            states |= XSTATE_YMM;
        if (has(words, F(AVX512F)))
            states |= 7UL << 5;
        states &= xfeature_mask;
    }
    memset(p->xstate, 0, sizeof(p->xstate));
    if (!states)
        return;
    for (unsigned int i = 2; i < POLICY_XSTATE_LEAVES; i++) {
        if (!(states >> i & 1))
            continue;
        p->xstate[i] = host->xstate[i];
        p->xstate[i].c &= 2;            /* aligned in the compacted format; no supervisor states */
        p->xstate[i].d = 0;
        size = max(size, host->xstate[i].a + host->xstate[i].b);
    }
    p->xstate[0] = (struct cpuid_leaf){ .a = (u32)states, .b = size, .c = size, .d = (u32)(states >> 32) };
    p->xstate[1].a = subfeatures;
}

/* Leaves that describe what a guest has no use for, or must not see, read as zero. */
static void clear_private_leaves(struct cpu_policy *p)
{
    static const u8 basic[] = { 3, 5, 6, 8, 9, 0xa, 0xc };
    static const u8 ext[] = { 0xa, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20 };

    for (unsigned int i = 0; i < ARRAY_SIZE(basic); i++)
        p->basic[basic[i]] = (struct cpuid_leaf){ 0 };
    for (unsigned int i = 0; i < ARRAY_SIZE(ext); i++)
        p->ext[ext[i]] = (struct cpuid_leaf){ 0 };
    memset(p->topo, 0, sizeof(p->topo));
    p->ext[7] = (struct cpuid_leaf){ .d = p->ext[7].d };                /* invariant TSC */
}

void policy_adjust_pv(struct cpu_policy *p)
{
    const struct cpu_policy *host = &system_policies[POLICY_HOST];
    u32 words[CPU_CAP_WORDS], limit[CPU_CAP_WORDS];

    policy_get_features(p, words);
    policy_get_features(&system_policies[POLICY_PV_MAX], limit);
    for (unsigned int i = 0; i < CPU_CAP_WORDS; i++)
        words[i] &= limit[i];
    if (!has(words, F(ARCH_CAPS)))
        words[16] = words[17] = 0;
    for (unsigned int i = 0; i < ARRAY_SIZE(feature_needs); i++)
        if (!has(words, feature_needs[i].needs))
            clear(words, feature_needs[i].feature);
    set(words, F(HYPERVISOR));
    clear(words, F(OSXSAVE));

    p->basic[0] = (struct cpuid_leaf){
        .a = min(p->basic[0].a, host->basic[0].a), .b = host->basic[0].b, .c = host->basic[0].c, .d = host->basic[0].d,
    };
    p->basic[1].b &= 0x00ffffff;        /* APIC ID */
    p->feat[0].a = min(p->feat[0].a, host->feat[0].a);
    p->ext[0] = (struct cpuid_leaf){
        .a = min(p->ext[0].a, host->ext[0].a), .b = host->ext[0].b, .c = host->ext[0].c, .d = host->ext[0].d,
    };
    clear_private_leaves(p);
    derive_xstate(p, words);
    set_features(p, words);
    if (boot_cpu.vendor == VENDOR_AMD)
        p->ext[1].d |= words[0] & AMD_COMMON_EDX;
    p->ext[8] = (struct cpuid_leaf){ .a = PV_ADDRESS_BITS << 8 | (host->ext[8].a & 0xff), .b = words[8] };
    p->platform_info = 0;               /* no CPUID faulting is offered */
}

/* ---- A domain's policy ---- */

/* dom0 never leaves this machine: what ties a guest to it may as well be used. */
static void extend_for_dom0(struct cpu_policy *p)
{
    const struct cpu_policy *max = system_policy(POLICY_PV_MAX);
    u32 words[CPU_CAP_WORDS], limit[CPU_CAP_WORDS];

    policy_get_features(p, words);
    policy_get_features(max, limit);
    if (has(limit, F(ITSC)))
        set(words, F(ITSC));
    if (has(limit, F(ARCH_CAPS))) {
        set(words, F(ARCH_CAPS));
        words[16] = limit[16];
        words[17] = limit[17];
    }
    set_features(p, words);
    policy_adjust_pv(p);
}

int cpu_policy_domain_init(struct domain *d)
{
    struct cpu_policy *p = xmalloc(struct cpu_policy);

    if (!p)
        return -ENOMEM;
    *p = *system_policy(POLICY_PV_DEFAULT);
    if (d->is_privileged)
        extend_for_dom0(p);
    d->arch.policy = p;
    return 0;
}

void cpu_policy_domain_destroy(struct domain *d)
{
    XFREE(d->arch.policy);
}

bool vcpu_has_feature(const struct vcpu *v, unsigned int feature)
{
    const struct cpu_policy *p = v->domain->arch.policy;

    return *(const u32 *)((const char *)p + word_source[feature / 32].offset) >> feature % 32 & 1;
}

/* ---- CPUID ---- */

static void time_leaf(const struct domain *d, u32 subleaf, struct cpuid_leaf *res)
{
    switch (subleaf) {
    case 0:
        res->a = (u32)tsc_in_step << 1 | (u32)cpu_has_rdtscp << 2;
        res->b = d->arch.tsc_mode;
        res->c = (u32)tsc_khz;
        res->d = d->arch.incarnation;
        break;
    case 1:
        res->c = tsc_to_ns.mul;
        res->d = (u32)tsc_to_ns.shift;
        break;
    case 2:
        res->a = (u32)tsc_khz;
        break;
    }
}

static void hypervisor_leaf(const struct domain *d, u32 leaf, u32 subleaf, struct cpuid_leaf *res)
{
    switch (leaf - XEN_CPUID_FIRST_LEAF) {
    case 0:
        res->a = XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
        res->b = XEN_CPUID_SIGNATURE_EBX;
        res->c = XEN_CPUID_SIGNATURE_ECX;
        res->d = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        res->a = 4 << 16 | 17;
        break;
    case 2:
        res->a = 1;                     /* hypercall pages */
        res->b = 0x40000000;            /* first MSR */
        res->c = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
        break;
    case 3:
        time_leaf(d, subleaf, res);
        break;
    case 5:
        if (subleaf == 0)
            res->b = fls(max_page - 1) + PAGE_SHIFT;
        break;
    }
}

/* Bytes of an XSAVE area for a set of components, in the standard or the compacted format. */
static u32 xsave_area_size(const struct cpu_policy *p, u64 states, bool compacted)
{
    u32 size = XSAVE_MIN_SIZE;

    for (unsigned int i = 2; i < POLICY_XSTATE_LEAVES; i++) {
        if (!(states >> i & 1))
            continue;
        if (!compacted)
            size = max(size, p->xstate[i].a + p->xstate[i].b);
        else
            size = (p->xstate[i].c & 2 ? ROUNDUP(size, 64) : size) + p->xstate[i].a;
    }
    return size;
}

u32 xstate_size(u64 states)
{
    return xsave_area_size(system_policy(POLICY_HOST), states, false);
}

static void xstate_leaf(const struct vcpu *v, u32 subleaf, struct cpuid_leaf *res)
{
    const struct cpu_policy *p = v->domain->arch.policy;

    if (subleaf >= POLICY_XSTATE_LEAVES)
        return;
    *res = p->xstate[subleaf];
    if (!vcpu_has_feature(v, F(XSAVE)))
        return;
    if (subleaf == 0)
        res->b = xsave_area_size(p, v->arch.xcr0, false);
    else if (subleaf == 1 && (p->xstate[1].a & 2))      /* XSAVEC */
        res->b = xsave_area_size(p, v->arch.xcr0, true);
}

static void basic_leaf(const struct vcpu *v, u32 leaf, u32 subleaf, struct cpuid_leaf *res)
{
    const struct cpu_policy *p = v->domain->arch.policy;

    if (leaf > min_t(u32, p->basic[0].a, POLICY_BASIC_LEAVES - 1))
        return;
    switch (leaf) {
    case 1:
        *res = p->basic[1];
        if (v->arch.cr4 & X86_CR4_OSXSAVE)
            res->c |= 1u << F(OSXSAVE) % 32;
        break;
    case 4:
        if (subleaf < POLICY_CACHE_LEAVES)
            *res = p->cache[subleaf];
        break;
    case 7:
        if (subleaf <= p->feat[0].a && subleaf < POLICY_FEAT_LEAVES)
            *res = p->feat[subleaf];
        break;
    case 0xb:
        if (subleaf < POLICY_TOPO_LEAVES)
            *res = p->topo[subleaf];
        break;
    case 0xd:
        xstate_leaf(v, subleaf, res);
        break;
    default:
        *res = p->basic[leaf];
        break;
    }
}

void guest_cpuid(const struct vcpu *v, u32 leaf, u32 subleaf, struct cpuid_leaf *res)
{
    const struct cpu_policy *p = v->domain->arch.policy;

    *res = (struct cpuid_leaf){ 0 };
    switch (leaf >> 16) {
    case 0:
        basic_leaf(v, leaf, subleaf, res);
        break;
    case XEN_CPUID_FIRST_LEAF >> 16:
        hypervisor_leaf(v->domain, leaf, subleaf, res);
        break;
    case 0x8000:
        if (leaf <= p->ext[0].a && leaf - 0x80000000 < POLICY_EXT_LEAVES)
            *res = p->ext[leaf - 0x80000000];
        break;
    }
}
