/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_domctl: building, running, inspecting and destroying other domains.
 * Interface: <xen/domctl.h>, version 0x15. Only dom0 may call it, or a stub domain for its target
 * where devices are concerned. Operations on vCPUs are in domctl_vcpu.c, x86's in x86/arch_domctl.c.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/rangeset.h>
#include <domus/sched.h>
#include <domus/string.h>
#include <domus/vnuma.h>
#include <asm/current.h>
#include "bitmap_guest.h"
#include "control.h"

DEFINE_SPINLOCK(control_lock, RANK_DOMCTL);

static long again(guest_ptr_t u_domctl)
{
    return hypercall_create_continuation(__HYPERVISOR_domctl, 1, u_domctl);
}

/* ---- What is there ---- */

void get_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info)
{
    uint32_t flags = XEN_DOMINF_blocked;
    struct vcpu *v;

    memset(info, 0, sizeof(*info));
    info->domain = d->domain_id;
    info->max_vcpu_id = XEN_INVALID_MAX_VCPU_ID;
    for_each_vcpu(d, v) {
        info->cpu_time += vcpu_cpu_time(v);
        info->max_vcpu_id = v->vcpu_id;
        if (test_bit(VPF_DOWN, &v->pause_flags))
            continue;
        if (!test_bit(VPF_BLOCKED, &v->pause_flags))
            flags &= ~XEN_DOMINF_blocked;
        if (v->is_running)
            flags |= XEN_DOMINF_running;
        info->nr_online_vcpus++;
    }
    if (!info->nr_online_vcpus)
        flags = 0;
    if (d->is_dying == DOMDYING_DEAD)
        flags |= XEN_DOMINF_dying;
    if (d->is_shut_down)
        flags |= XEN_DOMINF_shutdown | (uint32_t)(d->shutdown_code & XEN_DOMINF_shutdownmask)
                                           << XEN_DOMINF_shutdownshift;
    if (d->controller_pause_count)
        flags |= XEN_DOMINF_paused;
    if (d->debugger_attached)
        flags |= XEN_DOMINF_debugged;
    if (d->createflags & XEN_DOMCTL_CDF_xs_domain)
        flags |= XEN_DOMINF_xs_domain;
    info->flags = flags;
    info->tot_pages = d->tot_pages;
    info->max_pages = d->max_pages;
    info->outstanding_pages = d->outstanding_claims;
    info->shared_info_frame = mfn_x(virt_to_mfn(d->shared_info));
    info->ssidref = d->ssid;
    memcpy(info->handle, d->handle, sizeof(info->handle));
    info->cpupool = cpupool_domain_id(d);
}

/* The domain asked for or, if there is none, the next: tools go through all that way. */
static long get_info(struct xen_domctl *op)
{
    struct domain *d;

    if (op->domain >= DOMID_FIRST_RESERVED)
        return -EINVAL;
    d = domain_next(op->domain);
    if (!d)
        return -ESRCH;
    get_domain_info(d, &op->u.getdomaininfo);
    op->domain = op->u.getdomaininfo.domain;
    put_domain(d);
    return 0;
}

/* ---- Creation ---- */

/* Ids are not reused at once, so that tools notice that a domain is another one. */
static domid_t choose_domid(void)
{
    static domid_t last;
    domid_t id = domain_free_id(last + 1u);

    if (id == DOMID_INVALID)
        id = domain_free_id(1);
    if (id != DOMID_INVALID)
        last = id;
    return id;
}

static long create(struct xen_domctl *op)
{
    domid_t id = op->domain;
    int rc;

    if (id == 0 || id >= DOMID_FIRST_RESERVED) {
        id = choose_domid();
        if (id == DOMID_INVALID)
            return -ENOMEM;
    } else if (domain_free_id(id) != id)
        return -EEXIST;
    if (!domain_create(id, &op->u.createdomain, false, &rc))
        return rc;
    op->domain = id;
    return 0;
}

static long set_max_mem(struct domain *d, uint64_t kib)
{
    uint64_t pages = kib >> (PAGE_SHIFT - 10);

    spin_lock(&d->page_alloc_lock);
    d->max_pages = (unsigned int)min_t(uint64_t, pages, UINT32_MAX);
    spin_unlock(&d->page_alloc_lock);
    return 0;
}

static long set_target(struct domain *d, domid_t id)
{
    struct domain *target = get_domain_by_id(id);

    if (!target)
        return -ESRCH;
    if (target == d || d->target || d->is_dying) {
        put_domain(target);
        return -EINVAL;
    }
    d->target = target;
    return 0;
}

/* ---- Permissions: the caller passes on what it has itself ---- */

static long irq_permission(struct domain *d, const struct xen_domctl_irq_permission *p)
{
    if (p->pirq >= d->nr_pirqs)
        return -EINVAL;
    if (!rangeset_contains_singleton(current->domain->irq_caps, p->pirq))
        return -EPERM;
    return p->allow_access ? rangeset_add_singleton(d->irq_caps, p->pirq)
                           : rangeset_remove_singleton(d->irq_caps, p->pirq);
}

static long iomem_permission(struct domain *d, const struct xen_domctl_iomem_permission *p)
{
    uint64_t first = p->first_mfn, last = first + p->nr_mfns - 1;

    if (!p->nr_mfns || last < first)
        return -EINVAL;
    if (!rangeset_contains_range(current->domain->iomem_caps, first, last))
        return -EPERM;
    return p->allow_access ? rangeset_add_range(d->iomem_caps, first, last)
                           : rangeset_remove_range(d->iomem_caps, first, last);
}

/* There is one node. */
static long node_affinity(struct xen_domctl *op)
{
    unsigned long nodes = 1;
    int rc;

    if (op->cmd == XEN_DOMCTL_getnodeaffinity)
        return bitmap_to_guest(&op->u.nodeaffinity.nodemap, &nodes, 1);
    rc = bitmap_from_guest(&nodes, &op->u.nodeaffinity.nodemap, BITS_PER_LONG);
    return rc ? rc : nodes & 1 ? 0 : -EINVAL;
}

/* ---- Life ---- */

static long set_debugging(struct domain *d, bool enable)
{
    domain_pause(d);
    d->debugger_attached = enable;
    domain_unpause(d);
    return 0;
}

static long life_op(struct xen_domctl *op, struct domain *d, guest_ptr_t u_domctl)
{
    long rc;

    if (d == current->domain)
        return -EINVAL;
    switch (op->cmd) {
    case XEN_DOMCTL_destroydomain:
        rc = domain_kill(d);
        return rc == -ERESTART ? again(u_domctl) : rc;
    case XEN_DOMCTL_pausedomain:
        return domain_pause_by_controller(d);
    case XEN_DOMCTL_unpausedomain:
        return domain_unpause_by_controller(d);
    case XEN_DOMCTL_resumedomain:
        domain_resume(d);
        return 0;
    case XEN_DOMCTL_setdebugging:
        return set_debugging(d, op->u.setdebugging.enable);
    default:            /* soft_reset: only a guest with translated memory keeps its own through it */
        return -EINVAL;
    }
}

/* ---- Dispatch ---- */

static long domain_op(struct xen_domctl *op, struct domain *d, guest_ptr_t u_domctl, bool *copyback)
{
    switch (op->cmd) {
    case XEN_DOMCTL_destroydomain:
    case XEN_DOMCTL_pausedomain:
    case XEN_DOMCTL_unpausedomain:
    case XEN_DOMCTL_resumedomain:
    case XEN_DOMCTL_setdebugging:
    case XEN_DOMCTL_soft_reset:
        return life_op(op, d, u_domctl);
    case XEN_DOMCTL_max_vcpus:
    case XEN_DOMCTL_setvcpucontext:
    case XEN_DOMCTL_getvcpucontext:
    case XEN_DOMCTL_getvcpuinfo:
    case XEN_DOMCTL_setvcpuaffinity:
    case XEN_DOMCTL_getvcpuaffinity:
        return domctl_vcpu(op, d, u_domctl, copyback);
    case XEN_DOMCTL_max_mem:
        return set_max_mem(d, op->u.max_mem.max_memkb);
    case XEN_DOMCTL_scheduler_op:
        *copyback = true;
        return sched_adjust_domain(d, &op->u.scheduler_op);
    case XEN_DOMCTL_setdomainhandle:
        memcpy(d->handle, op->u.setdomainhandle.handle, sizeof(d->handle));
        return 0;
    case XEN_DOMCTL_irq_permission:
        return irq_permission(d, &op->u.irq_permission);
    case XEN_DOMCTL_iomem_permission:
        return iomem_permission(d, &op->u.iomem_permission);
    case XEN_DOMCTL_set_target:
        return set_target(d, op->u.set_target.target);
    case XEN_DOMCTL_subscribe:
        d->suspend_port = op->u.subscribe.port;
        return 0;
    case XEN_DOMCTL_set_virq_handler:
        return set_global_virq_handler(d, op->u.set_virq_handler.virq);
    case XEN_DOMCTL_setnodeaffinity:
    case XEN_DOMCTL_getnodeaffinity:
        return node_affinity(op);
    case XEN_DOMCTL_setvnumainfo:
        return vnuma_set(d, &op->u.vnuma);
    case XEN_DOMCTL_assign_device:
    case XEN_DOMCTL_deassign_device:
    case XEN_DOMCTL_test_assign_device:
    case XEN_DOMCTL_get_device_group:
    case XEN_DOMCTL_set_access_required:
        return -EOPNOTSUPP;
    case XEN_DOMCTL_vm_event_op:
    case XEN_DOMCTL_mem_sharing_op:
        return -ENOSYS;
    case XEN_DOMCTL_vmtrace_op:
        return -EINVAL;                 /* of guests that the processor virtualizes */
    default:
        return arch_do_domctl(op, d, u_domctl, copyback);
    }
}

static long locked_domctl(struct xen_domctl *op, guest_ptr_t u_domctl, bool *copyback)
{
    struct domain *d;
    long rc;

    switch (op->cmd) {
    case XEN_DOMCTL_createdomain:
        *copyback = true;
        return create(op);
    case XEN_DOMCTL_getdomaininfo:
        *copyback = true;
        return get_info(op);
    }
    /* Whether any domain could have the device. */
    if (op->cmd == XEN_DOMCTL_test_assign_device && op->domain == DOMID_INVALID)
        return -EOPNOTSUPP;
    d = get_domain_by_id(op->domain);
    if (!d)
        return -ESRCH;
    rc = domain_op(op, d, u_domctl, copyback);
    put_domain(d);
    return rc;
}

/* Whether the caller may do this: dom0 anything, a stub domain map its target's devices. */
static bool allowed(const struct xen_domctl *op)
{
    const struct domain *caller = current->domain;

    if (caller->is_privileged)
        return true;
    switch (op->cmd) {
    case XEN_DOMCTL_bind_pt_irq:
    case XEN_DOMCTL_unbind_pt_irq:
    case XEN_DOMCTL_memory_mapping:
    case XEN_DOMCTL_ioport_mapping:
        return caller->target && caller->target->domain_id == op->domain;
    }
    return false;
}

long do_domctl(guest_ptr_t u_domctl)
{
    struct xen_domctl op;
    bool copyback = false;
    long rc;

    if (copy_from_guest(&op, (void *)u_domctl, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_DOMCTL_INTERFACE_VERSION)
        return -EACCES;
    if (!allowed(&op))
        return -EPERM;
    if (!spin_trylock(&control_lock))
        return again(u_domctl);
    rc = locked_domctl(&op, u_domctl, &copyback);
    spin_unlock(&control_lock);
    if (rc == -ERESTART)
        return again(u_domctl);
    if (copyback && copy_to_guest((void *)u_domctl, &op, sizeof(op)))
        rc = -EFAULT;
    return rc;
}
