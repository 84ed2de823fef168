/* SPDX-License-Identifier: MIT */
/* The operations of domctl on the vCPUs of another domain. Interface: <xen/domctl.h>. */
#include <domus/arch.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/xmalloc.h>
#include <asm/current.h>
#include "bitmap_guest.h"
#include "control.h"

static long again(guest_ptr_t u_domctl)
{
    return hypercall_create_continuation(__HYPERVISOR_domctl, 1, u_domctl);
}

static long create_vcpus(struct domain *d, unsigned int max, guest_ptr_t u_domctl)
{
    bool progress = false;

    if (d == current->domain || max != d->max_vcpus || d->is_dying)
        return -EINVAL;
    for (unsigned int i = 0; i < max; i++) {
        if (d->vcpu[i])
            continue;
        if (progress && hypercall_preempt_check())
            return again(u_domctl);
        if (!vcpu_create(d, i))
            return -ENOMEM;
        progress = true;
    }
    return 0;
}

/* ---- Registers ---- */

static long set_context(struct vcpu *v, const struct xen_domctl_vcpucontext *u)
{
    struct vcpu_guest_context *c;
    long rc;

    /* Its pages are being given back, or have been: nothing may refer to them any more. */
    if (v->domain->is_dying)
        return -EINVAL;
    if (!u->ctxt.p) {
        vcpu_pause(v);                  /* first: it may be waiting for the lock */
        spin_lock(&v->domain->lock);
        rc = vcpu_reset(v);
        spin_unlock(&v->domain->lock);
        vcpu_unpause(v);
        return rc;
    }
    c = xmalloc(struct vcpu_guest_context);
    if (!c)
        return -ENOMEM;
    rc = copy_from_guest(c, u->ctxt.p, sizeof(*c));
    if (!rc) {
        domain_pause(v->domain);
        spin_lock(&v->domain->lock);
        rc = vcpu_set_context(v, c);
        spin_unlock(&v->domain->lock);
        domain_unpause(v->domain);
    }
    xfree(c);
    return rc;
}

static long get_context(struct vcpu *v, const struct xen_domctl_vcpucontext *u)
{
    struct vcpu_guest_context *c;
    long rc;

    if (!v->is_initialised)
        return -ENODATA;
    c = xmalloc(struct vcpu_guest_context);
    if (!c)
        return -ENOMEM;
    vcpu_pause(v);
    arch_get_info_guest(v, c);
    vcpu_unpause(v);
    rc = copy_to_guest(u->ctxt.p, c, sizeof(*c));
    xfree(c);
    return rc;
}

/* ---- State and placement ---- */

static void get_info(struct vcpu *v, struct xen_domctl_getvcpuinfo *info)
{
    info->online = !test_bit(VPF_DOWN, &v->pause_flags);
    info->blocked = test_bit(VPF_BLOCKED, &v->pause_flags);
    info->running = v->is_running;
    info->cpu_time = vcpu_cpu_time(v);
    info->cpu = v->processor;
}

#define ANY_AFFINITY (XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT)

/* The tools want to know what comes of it: the part of the mask where the vCPU can run. */
static long set_affinity(struct vcpu *v, const struct xen_domctl_vcpuaffinity *u)
{
    const cpumask_t *pool = cpupool_domain_cpus(v->domain);
    cpumask_t mask;
    int rc = 0;

    if (!(u->flags & ANY_AFFINITY) || u->flags & ~(uint32_t)(ANY_AFFINITY | XEN_VCPUAFFINITY_FORCE))
        return -EINVAL;
    if (u->flags & XEN_VCPUAFFINITY_FORCE)
        (void)vcpu_pin_override(v, -1);
    if (u->flags & XEN_VCPUAFFINITY_HARD) {
        rc = cpumask_from_guest(&mask, &u->cpumap_hard);
        if (!rc)
            rc = vcpu_set_hard_affinity(v, &mask);
        cpumask_and(&mask, &v->hard_affinity, pool);
        if (!rc)
            rc = cpumask_to_guest(&u->cpumap_hard, &mask);
    }
    if (!rc && u->flags & XEN_VCPUAFFINITY_SOFT) {
        rc = cpumask_from_guest(&mask, &u->cpumap_soft);
        if (rc)
            return rc;
        vcpu_set_soft_affinity(v, &mask);
        cpumask_and(&mask, &mask, &v->hard_affinity);
        cpumask_and(&mask, &mask, pool);
        rc = cpumask_to_guest(&u->cpumap_soft, &mask);
    }
    return rc;
}

static long get_affinity(struct vcpu *v, const struct xen_domctl_vcpuaffinity *u)
{
    int rc = 0;

    if (!(u->flags & ANY_AFFINITY) || u->flags & ~(uint32_t)ANY_AFFINITY)
        return -EINVAL;
    if (u->flags & XEN_VCPUAFFINITY_HARD)
        rc = cpumask_to_guest(&u->cpumap_hard, &v->hard_affinity);
    if (!rc && u->flags & XEN_VCPUAFFINITY_SOFT)
        rc = cpumask_to_guest(&u->cpumap_soft, &v->soft_affinity);
    return rc;
}

/* ---- Dispatch ---- */

static long context_op(struct xen_domctl *op, struct domain *d, guest_ptr_t u_domctl)
{
    const struct xen_domctl_vcpucontext *u = &op->u.vcpucontext;
    struct vcpu *v = domain_vcpu(d, u->vcpu);
    long rc;

    if (d == current->domain || u->vcpu >= d->max_vcpus)
        return -EINVAL;
    if (!v)
        return -ESRCH;
    rc = op->cmd == XEN_DOMCTL_setvcpucontext ? set_context(v, u) : get_context(v, u);
    return rc == -ERESTART ? again(u_domctl) : rc;
}

long domctl_vcpu(struct xen_domctl *op, struct domain *d, guest_ptr_t u_domctl, bool *copyback)
{
    struct vcpu *v;

    switch (op->cmd) {
    case XEN_DOMCTL_max_vcpus:
        return create_vcpus(d, op->u.max_vcpus.max, u_domctl);
    case XEN_DOMCTL_setvcpucontext:
    case XEN_DOMCTL_getvcpucontext:
        return context_op(op, d, u_domctl);
    case XEN_DOMCTL_getvcpuinfo:
        if (op->u.getvcpuinfo.vcpu >= d->max_vcpus)
            return -EINVAL;
        v = domain_vcpu(d, op->u.getvcpuinfo.vcpu);
        if (!v)
            return -ESRCH;
        get_info(v, &op->u.getvcpuinfo);
        *copyback = true;
        return 0;
    default:
        if (op->u.vcpuaffinity.vcpu >= d->max_vcpus)
            return -EINVAL;
        v = domain_vcpu(d, op->u.vcpuaffinity.vcpu);
        if (!v)
            return -ESRCH;
        return op->cmd == XEN_DOMCTL_setvcpuaffinity ? set_affinity(v, &op->u.vcpuaffinity)
                                                     : get_affinity(v, &op->u.vcpuaffinity);
    }
}
