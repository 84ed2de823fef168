/* SPDX-License-Identifier: MIT */
/*
 * CPU policies: what CPUID, and the few MSRs that belong to it, show to a domain. x86/cpuid.c makes them and answers
 * CPUID, x86/cpu_policy.c exchanges them with the tools (<xen/arch-x86/xen.h>, xen_cpuid_leaf_t).
 */
#ifndef ASM_CPUID_H
#define ASM_CPUID_H

#include <domus/types.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

struct domain;
struct vcpu;

/* Leaves kept; what lies beyond reads as zero. The tools of Xen 4.17 accept no others. */
#define POLICY_BASIC_LEAVES  0xe
#define POLICY_CACHE_LEAVES  6
#define POLICY_FEAT_LEAVES   3
#define POLICY_TOPO_LEAVES   2
#define POLICY_XSTATE_LEAVES 63
#define POLICY_EXT_LEAVES    0x22

struct cpu_policy {
    struct cpuid_leaf basic[POLICY_BASIC_LEAVES];       /* 4, 7, 0xb, 0xd are in the tables below */
    struct cpuid_leaf cache[POLICY_CACHE_LEAVES];       /* leaf 4 */
    struct cpuid_leaf feat[POLICY_FEAT_LEAVES];         /* leaf 7 */
    struct cpuid_leaf topo[POLICY_TOPO_LEAVES];         /* leaf 0xb */
    struct cpuid_leaf xstate[POLICY_XSTATE_LEAVES];     /* leaf 0xd */
    struct cpuid_leaf ext[POLICY_EXT_LEAVES];           /* 0x80000000 and up */
    u64 platform_info, arch_capabilities;               /* MSRs 0xce, 0x10a */
};

enum policy_kind { POLICY_RAW, POLICY_HOST, POLICY_PV_MAX, POLICY_PV_DEFAULT, NR_POLICIES };

/* One of the machine's policies; made on first use, at boot. */
const struct cpu_policy *system_policy(enum policy_kind kind);

/* Feature words of a policy, as in the public feature set. */
void policy_get_features(const struct cpu_policy *p, u32 words[CPU_CAP_WORDS]);
/* Makes *p one that a PV guest here can have: features beyond the maximum go, derived leaves are computed anew. */
void policy_adjust_pv(struct cpu_policy *p);

/* A domain's own, the default at first. -ENOMEM. */
int cpu_policy_domain_init(struct domain *d);
void cpu_policy_domain_destroy(struct domain *d);

/* Bytes of an XSAVE area in the standard format that holds these components, by the machine. */
u32 xstate_size(u64 states);

/* Whether the policy of v's domain has the feature XEN_X86_FEATURE_*. */
bool vcpu_has_feature(const struct vcpu *v, unsigned int feature);

struct xen_domctl_cpu_policy;
struct xen_sysctl_cpu_policy;
struct xen_sysctl_cpu_featureset;
/* -EFAULT, -ENOBUFS; set: -EINVAL and -ERANGE with err_leaf, err_subleaf, err_msr. d does not run. */
int domctl_get_cpu_policy(struct domain *d, struct xen_domctl_cpu_policy *op);
int domctl_set_cpu_policy(struct domain *d, struct xen_domctl_cpu_policy *op);
/* -EINVAL, -EOPNOTSUPP for HVM, -EFAULT, -ENOBUFS. */
int sysctl_get_cpu_policy(struct xen_sysctl_cpu_policy *op);
int sysctl_get_cpu_featureset(struct xen_sysctl_cpu_featureset *op);

#endif
