/* SPDX-License-Identifier: MIT */
/*
 * CPU policies as the tools read and write them: arrays of CPUID leaves and MSRs, <xen/arch-x86/xen.h>; domctl
 * get_cpu_policy and set_cpu_policy, sysctl get_cpu_policy and get_cpu_featureset.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <domus/xmalloc.h>
#include <asm/cpuid.h>
#include <asm/msr.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>

#define HV_LEAF_FIRST  0x40000000u
#define HV_LEAF_SECOND 0x40000100u
#define EXT_LEAF_FIRST 0x80000000u

/* The most that a policy takes: its tables, with leaves 4, 7, 0xb and 0xd by subleaf, and two hypervisor leaves. */
#define MAX_LEAVES (POLICY_BASIC_LEAVES - 4 + POLICY_CACHE_LEAVES + POLICY_FEAT_LEAVES + POLICY_TOPO_LEAVES + \
                    POLICY_XSTATE_LEAVES + 2 + POLICY_EXT_LEAVES)
#define MAX_MSRS 2

/* ---- Out ---- */

struct leaf_writer {
    XEN_GUEST_HANDLE_64(xen_cpuid_leaf_t) leaves;
    u32 room, written;
    int rc;                         /* first error; nothing more is written after it */
};

static void put_leaf(struct leaf_writer *w, u32 leaf, u32 subleaf, const struct cpuid_leaf *res)
{
    xen_cpuid_leaf_t out = { .leaf = leaf, .subleaf = subleaf, .a = res->a, .b = res->b, .c = res->c, .d = res->d };

    if (w->rc)
        return;
    if (w->written == w->room)
        w->rc = -ENOBUFS;
    else
        w->rc = copy_to_guest_offset(w->leaves.p, w->written++, &out, 1);
}

static void put_basic_leaf(struct leaf_writer *w, const struct cpu_policy *p, u32 leaf)
{
    u64 states;

    switch (leaf) {
    case 4:
        for (u32 i = 0; i < POLICY_CACHE_LEAVES; i++) {
            put_leaf(w, leaf, i, &p->cache[i]);
            if (!(p->cache[i].a & 0x1f))
                break;
        }
        break;
    case 7:
        for (u32 i = 0; i <= min_t(u32, p->feat[0].a, POLICY_FEAT_LEAVES - 1); i++)
            put_leaf(w, leaf, i, &p->feat[i]);
        break;
    case 0xb:
        for (u32 i = 0; i < POLICY_TOPO_LEAVES; i++) {
            put_leaf(w, leaf, i, &p->topo[i]);
            if (!(p->topo[i].c & 0xff00))       /* level type 0: the list ends */
                break;
        }
        break;
    case 0xd:
        put_leaf(w, leaf, 0, &p->xstate[0]);
        put_leaf(w, leaf, 1, &p->xstate[1]);
        states = (u64)p->xstate[0].d << 32 | p->xstate[0].a;
        for (u32 i = 2; i < POLICY_XSTATE_LEAVES; i++)
            if (states >> i & 1)
                put_leaf(w, leaf, i, &p->xstate[i]);
        break;
    default:
        put_leaf(w, leaf, XEN_CPUID_NO_SUBLEAF, &p->basic[leaf]);
        break;
    }
}

static int write_leaves(const struct cpu_policy *p, struct leaf_writer *w)
{
    const struct cpuid_leaf none = { 0 };

    for (u32 leaf = 0; leaf <= min_t(u32, p->basic[0].a, POLICY_BASIC_LEAVES - 1); leaf++)
        put_basic_leaf(w, p, leaf);
    put_leaf(w, HV_LEAF_FIRST, XEN_CPUID_NO_SUBLEAF, &none);
    put_leaf(w, HV_LEAF_SECOND, XEN_CPUID_NO_SUBLEAF, &none);
    for (u32 i = 0; i <= min_t(u32, p->ext[0].a & 0xffff, POLICY_EXT_LEAVES - 1); i++)
        put_leaf(w, EXT_LEAF_FIRST + i, XEN_CPUID_NO_SUBLEAF, &p->ext[i]);
    return w->rc;
}

static int write_msrs(const struct cpu_policy *p, XEN_GUEST_HANDLE_64(xen_msr_entry_t) msrs, u32 *nr)
{
    const xen_msr_entry_t entries[MAX_MSRS] = {
        { .idx = MSR_PLATFORM_INFO, .val = p->platform_info },
        { .idx = MSR_ARCH_CAPABILITIES, .val = p->arch_capabilities },
    };

    if (*nr < MAX_MSRS)
        return -ENOBUFS;
    *nr = MAX_MSRS;
    return copy_to_guest_offset(msrs.p, 0, entries, MAX_MSRS);
}

/* A NULL array asks for the most that it can take. */
static int write_policy(const struct cpu_policy *p, XEN_GUEST_HANDLE_64(xen_cpuid_leaf_t) leaves, u32 *nr_leaves,
                        XEN_GUEST_HANDLE_64(xen_msr_entry_t) msrs, u32 *nr_msrs)
{
    int rc = 0;

    if (!leaves.p) {
        *nr_leaves = MAX_LEAVES;
    } else {
        struct leaf_writer w = { .leaves = leaves, .room = *nr_leaves };

        rc = write_leaves(p, &w);
        *nr_leaves = w.written;
    }
    if (rc)
        return rc;
    if (!msrs.p)
        *nr_msrs = MAX_MSRS;
    else
        rc = write_msrs(p, msrs, nr_msrs);
    return rc;
}

/* ---- In ---- */

/* Where a leaf lies in a policy; NULL: nowhere. */
static struct cpuid_leaf *find_leaf(struct cpu_policy *p, u32 leaf, u32 subleaf)
{
    bool single = subleaf == XEN_CPUID_NO_SUBLEAF;

    switch (leaf) {
    case 4:
        return subleaf < POLICY_CACHE_LEAVES ? &p->cache[subleaf] : NULL;
    case 7:
        return subleaf < POLICY_FEAT_LEAVES ? &p->feat[subleaf] : NULL;
    case 0xb:
        return subleaf < POLICY_TOPO_LEAVES ? &p->topo[subleaf] : NULL;
    case 0xd:
        return subleaf < POLICY_XSTATE_LEAVES ? &p->xstate[subleaf] : NULL;
    }
    if (leaf < POLICY_BASIC_LEAVES && single)
        return &p->basic[leaf];
    if (leaf - EXT_LEAF_FIRST < POLICY_EXT_LEAVES && single)
        return &p->ext[leaf - EXT_LEAF_FIRST];
    return NULL;
}

static int read_leaves(struct cpu_policy *p, struct xen_domctl_cpu_policy *op)
{
    for (u32 i = 0; i < op->nr_leaves; i++) {
        xen_cpuid_leaf_t in;
        struct cpuid_leaf *to;

        if (copy_from_guest_offset(&in, op->leaves.p, i, 1))
            return -EFAULT;
        if (in.leaf >> 16 == HV_LEAF_FIRST >> 16)
            continue;                   /* the hypervisor's own are not the tools' to set */
        to = find_leaf(p, in.leaf, in.subleaf);
        if (!to) {
            op->err_leaf = in.leaf;
            op->err_subleaf = in.subleaf;
            return -ERANGE;
        }
        *to = (struct cpuid_leaf){ .a = in.a, .b = in.b, .c = in.c, .d = in.d };
    }
    return 0;
}

static int read_msrs(struct cpu_policy *p, struct xen_domctl_cpu_policy *op)
{
    for (u32 i = 0; i < op->nr_msrs; i++) {
        xen_msr_entry_t in;

        if (copy_from_guest_offset(&in, op->msrs.p, i, 1))
            return -EFAULT;
        op->err_msr = in.idx;
        if (in.flags)
            return -EINVAL;
        if (in.idx == MSR_PLATFORM_INFO && in.val >> 32)
            return -EOVERFLOW;
        if (in.idx == MSR_PLATFORM_INFO)
            p->platform_info = in.val;
        else if (in.idx == MSR_ARCH_CAPABILITIES)
            p->arch_capabilities = in.val;
        else
            return -ERANGE;
    }
    op->err_msr = ~0u;
    return 0;
}

/* What this machine cannot pretend to be. */
static int check_compatible(const struct cpu_policy *p, struct xen_domctl_cpu_policy *op)
{
    const struct cpu_policy *max = system_policy(POLICY_PV_MAX);

    op->err_subleaf = XEN_CPUID_NO_SUBLEAF;
    op->err_leaf = 0;
    if (p->basic[0].a > max->basic[0].a)
        return -EINVAL;
    op->err_leaf = 7;
    op->err_subleaf = 0;
    if (p->feat[0].a > max->feat[0].a)
        return -EINVAL;
    op->err_leaf = EXT_LEAF_FIRST;
    op->err_subleaf = XEN_CPUID_NO_SUBLEAF;
    if (p->ext[0].a > max->ext[0].a)
        return -EINVAL;
    op->err_leaf = op->err_subleaf = ~0u;
    op->err_msr = MSR_PLATFORM_INFO;
    if (p->platform_info & ~max->platform_info)
        return -EINVAL;
    op->err_msr = ~0u;
    return 0;
}

/* ---- Operations ---- */

int domctl_get_cpu_policy(struct domain *d, struct xen_domctl_cpu_policy *op)
{
    if (!d->arch.policy)
        return -EOPNOTSUPP;
    return write_policy(d->arch.policy, op->leaves, &op->nr_leaves, op->msrs, &op->nr_msrs);
}

int domctl_set_cpu_policy(struct domain *d, struct xen_domctl_cpu_policy *op)
{
    struct cpu_policy *p;
    int rc;

    if (!d->arch.policy)
        return -EOPNOTSUPP;
    if (d->creation_finished)
        return -EEXIST;
    op->err_leaf = op->err_subleaf = op->err_msr = ~0u;
    if (op->nr_leaves > MAX_LEAVES || op->nr_msrs > MAX_MSRS)
        return -E2BIG;
    p = xmalloc(struct cpu_policy);
    if (!p)
        return -ENOMEM;
    *p = *d->arch.policy;
    rc = read_leaves(p, op);
    rc = rc ?: read_msrs(p, op);
    rc = rc ?: check_compatible(p, op);
    if (!rc) {
        policy_adjust_pv(p);
        *d->arch.policy = *p;
    }
    xfree(p);
    return rc;
}

int sysctl_get_cpu_policy(struct xen_sysctl_cpu_policy *op)
{
    static const enum policy_kind kinds[] = {
        [XEN_SYSCTL_cpu_policy_raw] = POLICY_RAW,
        [XEN_SYSCTL_cpu_policy_host] = POLICY_HOST,
        [XEN_SYSCTL_cpu_policy_pv_max] = POLICY_PV_MAX,
        [XEN_SYSCTL_cpu_policy_hvm_max] = NR_POLICIES,
        [XEN_SYSCTL_cpu_policy_pv_default] = POLICY_PV_DEFAULT,
        [XEN_SYSCTL_cpu_policy_hvm_default] = NR_POLICIES,
    };

    if (op->index >= ARRAY_SIZE(kinds))
        return -EINVAL;
    if (kinds[op->index] == NR_POLICIES)
        return -EOPNOTSUPP;
    return write_policy(system_policy(kinds[op->index]), op->leaves, &op->nr_leaves, op->msrs, &op->nr_msrs);
}

int sysctl_get_cpu_featureset(struct xen_sysctl_cpu_featureset *op)
{
    static const enum policy_kind kinds[] = {
        [XEN_SYSCTL_cpu_featureset_raw] = POLICY_RAW,
        [XEN_SYSCTL_cpu_featureset_host] = POLICY_HOST,
        [XEN_SYSCTL_cpu_featureset_pv] = POLICY_PV_DEFAULT,
        [XEN_SYSCTL_cpu_featureset_hvm] = NR_POLICIES,
        [XEN_SYSCTL_cpu_featureset_pv_max] = POLICY_PV_MAX,
        [XEN_SYSCTL_cpu_featureset_hvm_max] = NR_POLICIES,
    };
    u32 words[CPU_CAP_WORDS], wanted = op->nr_features;

    if (!op->features.p) {
        op->nr_features = CPU_CAP_WORDS;
        return 0;
    }
    if (op->index >= ARRAY_SIZE(kinds))
        return -EINVAL;
    if (kinds[op->index] == NR_POLICIES)
        return -EOPNOTSUPP;
    policy_get_features(system_policy(kinds[op->index]), words);
    op->nr_features = min_t(u32, wanted, CPU_CAP_WORDS);
    if (copy_to_guest_offset(op->features.p, 0, words, op->nr_features))
        return -EFAULT;
    return wanted < CPU_CAP_WORDS ? -ENOBUFS : 0;
}
