/* SPDX-License-Identifier: MIT */
/* The x86 part of domctl and sysctl: hardware permissions, page types, time and CPU state of a domain. <xen/domctl.h>. */
#include <domus/arch.h>
#include <domus/dirty_log.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/rangeset.h>
#include <domus/time.h>
#include <asm/cpuid.h>
#include <asm/current.h>
#include <asm/pv_mm.h>
#include <asm/pv_shadow.h>
#include <asm/smp.h>
#include <asm/time.h>
#include <asm/traps.h>
#include <asm/vcpu_state.h>
#include <xen/sysctl.h>

#define NR_PORTS 0x10000u

static bool port_range_ok(u32 first, u32 nr)
{
    return nr && first < NR_PORTS && nr <= NR_PORTS - first;
}

/* The caller may pass on only what it has itself. */
static long ioport_permission(struct domain *d, const struct xen_domctl_ioport_permission *op)
{
    u32 last = op->first_port + op->nr_ports - 1;

    if (!port_range_ok(op->first_port, op->nr_ports))
        return -EINVAL;
    if (!rangeset_contains_range(current->domain->arch.ioport_caps, op->first_port, last))
        return -EPERM;
    if (op->allow_access)
        return rangeset_add_range(d->arch.ioport_caps, op->first_port, last);
    return rangeset_remove_range(d->arch.ioport_caps, op->first_port, last);
}

/* ---- Page types ---- */

#define MAX_PAGE_INFOS 1024

static xen_pfn_t page_info_bits(struct domain *d, xen_pfn_t frame)
{
    struct page_info *pg = get_page_from_mfn(_mfn(frame), d);
    unsigned long type;
    xen_pfn_t bits = XEN_DOMCTL_PFINFO_XTAB;

    if (!pg)
        return bits;
    type = READ_ONCE(pg->type_info);
    if (pg->count_info & PGC_broken) {
        bits = XEN_DOMCTL_PFINFO_BROKEN;
    } else if (!(pg->count_info & PGC_hypervisor)) {
        bits = XEN_DOMCTL_PFINFO_NOTAB;
        if ((type & PGT_count_mask) && (type & PGT_type_mask) >= PGT_l1_page_table &&
            (type & PGT_type_mask) <= PGT_l4_page_table)
            bits = ((type & PGT_type_mask) >> 60) << XEN_DOMCTL_PFINFO_LTAB_SHIFT;
        if (type & PGT_pinned)
            bits |= XEN_DOMCTL_PFINFO_LPINTAB;
    }
    put_page(pg);
    return bits;
}

static long get_page_infos(struct domain *d, const struct xen_domctl_getpageframeinfo3 *op)
{
    if (op->num > MAX_PAGE_INFOS)
        return -E2BIG;
    for (u64 i = 0; i < op->num; i++) {
        xen_pfn_t frame;

        if (copy_from_guest_offset(&frame, op->array.p, i, 1))
            return -EFAULT;
        frame = page_info_bits(d, frame);
        if (copy_to_guest_offset(op->array.p, i, &frame, 1))
            return -EFAULT;
    }
    return 0;
}

static long hypercall_init(struct domain *d, u64 frame)
{
    struct page_info *pg = get_page_from_mfn(_mfn(frame), d);

    if (!pg)
        return -EINVAL;
    if (!get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        return -EINVAL;
    }
    pv_fill_hypercall_page(page_to_virt(pg));
    mark_dirty(d, page_to_mfn(pg));
    put_page_and_type(pg);
    return 0;
}

/* ---- Time ---- */

/* Modes of <xen/arch-x86/cpuid.h>, leaf 0x40000003. */
#define TSC_MODE_DEFAULT        0
#define TSC_MODE_ALWAYS_EMULATE 1
#define TSC_MODE_NEVER_EMULATE  2

static void get_tsc_info(const struct domain *d, struct xen_domctl_tsc_info *op)
{
    bool native = d->arch.tsc_mode == TSC_MODE_NEVER_EMULATE;

    op->tsc_mode = d->arch.tsc_mode;
    op->gtsc_khz = native ? 0 : (u32)tsc_khz;
    op->incarnation = d->arch.incarnation;
    op->pad = 0;
    op->elapsed_nsec = native ? 0 : (u64)now_ns();
}

static long set_tsc_info(struct domain *d, const struct xen_domctl_tsc_info *op)
{
    if (d == current->domain)
        return -EINVAL;
    if (op->tsc_mode == TSC_MODE_ALWAYS_EMULATE)
        return -EOPNOTSUPP;
    if (op->tsc_mode != TSC_MODE_DEFAULT && op->tsc_mode != TSC_MODE_NEVER_EMULATE)
        return -EINVAL;
    d->arch.tsc_mode = op->tsc_mode;
    d->arch.incarnation = op->incarnation + 1;
    return 0;
}

/* ---- vCPUs ---- */

static long send_trigger(struct domain *d, const struct xen_domctl_sendtrigger *op)
{
    struct vcpu *v = domain_vcpu(d, op->vcpu);

    if (!v)
        return -ESRCH;
    /* A PV guest has no buttons, and INIT is sent to none. */
    if (op->trigger == XEN_DOMCTL_SENDTRIGGER_POWER || op->trigger == XEN_DOMCTL_SENDTRIGGER_SLEEP)
        return -EINVAL;
    if (op->trigger != XEN_DOMCTL_SENDTRIGGER_NMI)
        return -ENOSYS;
    pv_send_nmi(v);
    return 0;
}

/*
 * Runs one of the functions of vcpu_state.c on a vCPU that stands still meanwhile. The tools' own vCPU cannot be asked
 * for: it runs.
 */
#define WITH_PAUSED_VCPU(d, id, fn, ...)                                        \
    ({                                                                          \
        struct vcpu *wpv_ = domain_vcpu(d, id);                                 \
        long wpv_rc_ = !wpv_ ? -ESRCH : wpv_->domain == current->domain ? -EINVAL : 0; \
        if (!wpv_rc_) {                                                         \
            vcpu_pause(wpv_);                                                   \
            wpv_rc_ = fn(wpv_, __VA_ARGS__);                                    \
            vcpu_unpause(wpv_);                                                 \
        }                                                                       \
        wpv_rc_;                                                                \
    })

/* ---- Dispatch ---- */

long arch_do_domctl(struct xen_domctl *op, struct domain *d, guest_ptr_t u_domctl, bool *copyback)
{
    long rc;

    switch (op->cmd) {
    case XEN_DOMCTL_shadow_op:
        *copyback = true;
        return pv_shadow_op(d, &op->u.shadow_op, u_domctl);
    case XEN_DOMCTL_ioport_permission:
        return ioport_permission(d, &op->u.ioport_permission);
    case XEN_DOMCTL_getpageframeinfo3:
        return get_page_infos(d, &op->u.getpageframeinfo3);
    case XEN_DOMCTL_hypercall_init:
        return hypercall_init(d, op->u.hypercall_init.gmfn);
    case XEN_DOMCTL_sendtrigger:
        return send_trigger(d, &op->u.sendtrigger);
    case XEN_DOMCTL_set_address_size:
        if (op->u.address_size.size == 64)
            return 0;
        return op->u.address_size.size == 32 ? -EOPNOTSUPP : -EINVAL;
    case XEN_DOMCTL_get_address_size:
        op->u.address_size.size = 64;
        *copyback = true;
        return 0;
    case XEN_DOMCTL_settimeoffset:
        d->time_offset_seconds = op->u.settimeoffset.time_offset_seconds;
        update_domain_wallclock_time(d);
        return 0;
    case XEN_DOMCTL_gettscinfo:
        get_tsc_info(d, &op->u.tsc_info);
        *copyback = true;
        return 0;
    case XEN_DOMCTL_settscinfo:
        return set_tsc_info(d, &op->u.tsc_info);
    case XEN_DOMCTL_get_ext_vcpucontext:
        *copyback = true;
        return WITH_PAUSED_VCPU(d, op->u.ext_vcpucontext.vcpu, vcpu_get_ext_context, &op->u.ext_vcpucontext);
    case XEN_DOMCTL_set_ext_vcpucontext:
        return WITH_PAUSED_VCPU(d, op->u.ext_vcpucontext.vcpu, vcpu_set_ext_context, &op->u.ext_vcpucontext);
    case XEN_DOMCTL_getvcpuextstate:
        *copyback = true;
        return WITH_PAUSED_VCPU(d, op->u.vcpuextstate.vcpu, vcpu_get_extstate, &op->u.vcpuextstate);
    case XEN_DOMCTL_setvcpuextstate:
        return WITH_PAUSED_VCPU(d, op->u.vcpuextstate.vcpu, vcpu_set_extstate, &op->u.vcpuextstate);
    case XEN_DOMCTL_get_vcpu_msrs:
        *copyback = true;
        return WITH_PAUSED_VCPU(d, op->u.vcpu_msrs.vcpu, vcpu_get_msrs, &op->u.vcpu_msrs);
    case XEN_DOMCTL_set_vcpu_msrs:
        *copyback = true;
        return WITH_PAUSED_VCPU(d, op->u.vcpu_msrs.vcpu, vcpu_set_msrs, &op->u.vcpu_msrs);
    case XEN_DOMCTL_get_cpu_policy:
        *copyback = true;
        return domctl_get_cpu_policy(d, &op->u.cpu_policy);
    case XEN_DOMCTL_set_cpu_policy:
        if (d == current->domain)
            return -EINVAL;
        domain_pause(d);
        rc = domctl_set_cpu_policy(d, &op->u.cpu_policy);
        domain_unpause(d);
        *copyback = true;
        return rc;
    case XEN_DOMCTL_monitor_op:
        if (op->u.monitor_op.op != XEN_DOMCTL_MONITOR_OP_GET_CAPABILITIES)
            return -EOPNOTSUPP;
        op->u.monitor_op.event = 0;
        *copyback = true;
        return 0;
    case XEN_DOMCTL_psr_cmt_op:
        return -ENODEV;                 /* no monitoring of caches */
    case XEN_DOMCTL_psr_alloc:
        return op->u.psr_alloc.cmd <= XEN_DOMCTL_PSR_GET_MBA_THRTL ? -ENODEV : -EOPNOTSUPP;
    case XEN_DOMCTL_gethvmcontext:
    case XEN_DOMCTL_sethvmcontext:
    case XEN_DOMCTL_gethvmcontext_partial:
    case XEN_DOMCTL_debug_op:
    case XEN_DOMCTL_bind_pt_irq:
    case XEN_DOMCTL_unbind_pt_irq:
    case XEN_DOMCTL_set_broken_page_p2m:
        return -EINVAL;                 /* not a PV guest's */
    case XEN_DOMCTL_memory_mapping:
        if (!op->u.memory_mapping.nr_mfns || op->u.memory_mapping.nr_mfns - 1 > ~op->u.memory_mapping.first_mfn)
            return -EINVAL;
        return -EOPNOTSUPP;             /* of guests with translated memory */
    case XEN_DOMCTL_ioport_mapping:
    case XEN_DOMCTL_get_paging_mempool_size:
    case XEN_DOMCTL_set_paging_mempool_size:
        return -EOPNOTSUPP;             /* of guests with translated memory */
    default:
        return -ENOSYS;
    }
}

/* What x86 adds to the facts that the core has filled in. */
static void physinfo(struct xen_sysctl_physinfo *info)
{
    BUILD_BUG_ON(sizeof(info->hw_cap) != 8 * sizeof(boot_cpu.words[0]));
    info->capabilities |= XEN_SYSCTL_PHYSCAP_pv;
    info->cpu_khz = (uint32_t)tsc_khz;
    for (unsigned int i = 0; i < ARRAY_SIZE(info->hw_cap); i++)
        info->hw_cap[i] = boot_cpu.words[i];
}

static long cpu_hotplug(const struct xen_sysctl_cpu_hotplug *op)
{
    switch (op->op) {
    case XEN_SYSCTL_CPU_HOTPLUG_ONLINE:
        return cpu_up(op->cpu);
    case XEN_SYSCTL_CPU_HOTPLUG_OFFLINE:
        return cpu_down(op->cpu);
    case XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE:
    case XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE:
        return smt_switch(op->op == XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE);
    default:
        return -EOPNOTSUPP;
    }
}

long arch_do_sysctl(struct xen_sysctl *op, guest_ptr_t u_sysctl, bool *copyback)
{
    (void)u_sysctl;
    switch (op->cmd) {
    case XEN_SYSCTL_physinfo:
        physinfo(&op->u.physinfo);
        *copyback = true;
        return 0;
    case XEN_SYSCTL_cpu_hotplug:
        return cpu_hotplug(&op->u.cpu_hotplug);
    case XEN_SYSCTL_get_cpu_levelling_caps:
        op->u.cpu_levelling_caps.caps = 0;
        *copyback = true;
        return 0;
    case XEN_SYSCTL_get_cpu_featureset:
        *copyback = true;
        return sysctl_get_cpu_featureset(&op->u.cpu_featureset);
    case XEN_SYSCTL_get_cpu_policy:
        *copyback = true;
        return sysctl_get_cpu_policy(&op->u.cpu_policy);
    default:
        return -ENOSYS;
    }
}
