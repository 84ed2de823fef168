/* SPDX-License-Identifier: MIT */
/*
 * Typed wrappers of the control hypercalls: domctl (one domain) and sysctl (the host). See hypercall.h for the contract
 * and public/domctl.h and public/sysctl.h for the meaning of each.
 */
#include "hypercall.h"

#include <errno.h>
#include <string.h>

/* A control operation that takes no argument but the domain. */
static int plain_domctl(uint32_t cmd, uint32_t domid)
{
    struct xen_domctl op = { .cmd = cmd, .domain = domid };

    return hv_domctl(&op);
}

int hv_domain_create(struct xen_domctl_createdomain *config, uint32_t *domid)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_createdomain, .domain = *domid, .u.createdomain = *config };
    int rc = hv_domctl(&op);

    if (rc == 0)
        *domid = op.domain;
    return rc;
}

int hv_domain_destroy(uint32_t domid)
{
    int rc;

    do {
        rc = plain_domctl(XEN_DOMCTL_destroydomain, domid);
    } while (rc == -EAGAIN || rc == -ERESTART);
    return rc;
}

int hv_domain_pause(uint32_t domid)
{
    return plain_domctl(XEN_DOMCTL_pausedomain, domid);
}

int hv_domain_unpause(uint32_t domid)
{
    return plain_domctl(XEN_DOMCTL_unpausedomain, domid);
}

int hv_domain_shutdown(uint32_t domid, unsigned int reason)
{
    size_t size = sizeof(struct sched_remote_shutdown);
    struct sched_remote_shutdown *shutdown = hv_buf_alloc(size);
    int rc;

    if (!shutdown)
        return -ENOMEM;
    shutdown->domain_id = domid;
    shutdown->reason = reason;
    rc = hv_call(__HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, (uintptr_t)shutdown, 0, 0, 0);
    hv_buf_free(shutdown, size);
    return rc;
}

int hv_domain_trigger(uint32_t domid, unsigned int trigger, uint32_t vcpu)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_sendtrigger, .domain = domid, .u.sendtrigger = { .trigger = trigger, .vcpu = vcpu },
    };

    return hv_domctl(&op);
}

int hv_domain_set_handle(uint32_t domid, const xen_domain_handle_t handle)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_setdomainhandle, .domain = domid };

    memcpy(op.u.setdomainhandle.handle, handle, sizeof(xen_domain_handle_t));
    return hv_domctl(&op);
}

int hv_domain_max_vcpus(uint32_t domid, uint32_t vcpus)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_max_vcpus, .domain = domid, .u.max_vcpus.max = vcpus };

    return hv_domctl(&op);
}

int hv_domain_max_mem(uint32_t domid, uint64_t kib)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_max_mem, .domain = domid, .u.max_mem.max_memkb = kib };

    return hv_domctl(&op);
}

int hv_domain_set_tsc(uint32_t domid, uint32_t mode, uint32_t khz, uint32_t incarnation, uint64_t elapsed_nsec)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_settscinfo, .domain = domid,
        .u.tsc_info = {
            .tsc_mode = mode, .gtsc_khz = khz, .incarnation = incarnation, .elapsed_nsec = elapsed_nsec,
        },
    };

    return hv_domctl(&op);
}

int hv_domain_set_time_offset(uint32_t domid, int64_t seconds)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_settimeoffset, .domain = domid, .u.settimeoffset.time_offset_seconds = seconds,
    };

    return hv_domctl(&op);
}

int hv_domain_info(uint32_t domid, struct xen_domctl_getdomaininfo *info)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_getdomaininfo, .domain = domid };
    int rc = hv_domctl(&op);

    if (rc)
        return rc;
    /* The operation answers for the next domain where this one does not exist. */
    if (op.u.getdomaininfo.domain != domid)
        return -ESRCH;
    *info = op.u.getdomaininfo;
    return 0;
}

int hv_domain_list(uint32_t first, uint32_t max, struct xen_domctl_getdomaininfo *info)
{
    size_t size = max * sizeof(*info);
    struct xen_domctl_getdomaininfo *list = hv_buf_alloc(size);
    struct xen_sysctl op = {
        .cmd = XEN_SYSCTL_getdomaininfolist,
        .u.getdomaininfolist = { .first_domain = first, .max_domains = max },
    };
    int rc;

    if (!list)
        return -ENOMEM;
    set_xen_guest_handle(op.u.getdomaininfolist.buffer, list);
    rc = hv_sysctl(&op);
    if (rc == 0) {
        rc = op.u.getdomaininfolist.num_domains < max ? op.u.getdomaininfolist.num_domains : max;
        memcpy(info, list, rc * sizeof(*info));
    }
    hv_buf_free(list, size);
    return rc;
}

int hv_domain_hypercall_page(uint32_t domid, uint64_t gmfn)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_hypercall_init, .domain = domid, .u.hypercall_init.gmfn = gmfn };

    return hv_domctl(&op);
}

/* The credit parameters of a domain, read or written under the scheduler that the host runs. */
static int sched_credit(uint32_t domid, uint32_t cmd, uint16_t *weight, uint16_t *cap)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_scheduler_op, .domain = domid };
    uint32_t sched;
    int rc = hv_sched_id(&sched);

    if (rc)
        return rc;
    op.u.scheduler_op.sched_id = sched;
    op.u.scheduler_op.cmd = cmd;
    if (sched == XEN_SCHEDULER_CREDIT) {
        op.u.scheduler_op.u.credit.weight = *weight;
        op.u.scheduler_op.u.credit.cap = *cap;
    } else if (sched == XEN_SCHEDULER_CREDIT2) {
        op.u.scheduler_op.u.credit2.weight = *weight;
        op.u.scheduler_op.u.credit2.cap = *cap;
    } else {
        return -EOPNOTSUPP;
    }
    rc = hv_domctl(&op);
    if (rc)
        return rc;
    if (sched == XEN_SCHEDULER_CREDIT) {
        *weight = op.u.scheduler_op.u.credit.weight;
        *cap = op.u.scheduler_op.u.credit.cap;
    } else {
        *weight = op.u.scheduler_op.u.credit2.weight;
        *cap = op.u.scheduler_op.u.credit2.cap;
    }
    return 0;
}

int hv_domain_sched_get(uint32_t domid, uint16_t *weight, uint16_t *cap)
{
    *weight = *cap = 0;
    return sched_credit(domid, XEN_DOMCTL_SCHEDOP_getinfo, weight, cap);
}

int hv_domain_sched_set(uint32_t domid, uint16_t weight, uint16_t cap)
{
    return sched_credit(domid, XEN_DOMCTL_SCHEDOP_putinfo, &weight, &cap);
}

/* Read or write one vCPU's registers through memory that the hypervisor can reach. */
static int vcpu_context(uint32_t cmd, uint32_t domid, uint32_t vcpu, vcpu_guest_context_t *context)
{
    struct xen_domctl op = { .cmd = cmd, .domain = domid, .u.vcpucontext.vcpu = vcpu };
    vcpu_guest_context_t *bounce = hv_buf_alloc(sizeof(*bounce));
    int rc;

    if (!bounce)
        return -ENOMEM;
    *bounce = *context;
    set_xen_guest_handle(op.u.vcpucontext.ctxt, bounce);
    rc = hv_domctl(&op);
    *context = *bounce;
    hv_buf_free(bounce, sizeof(*bounce));
    return rc;
}

int hv_vcpu_get_context(uint32_t domid, uint32_t vcpu, vcpu_guest_context_t *context)
{
    memset(context, 0, sizeof(*context));
    return vcpu_context(XEN_DOMCTL_getvcpucontext, domid, vcpu, context);
}

int hv_vcpu_set_context(uint32_t domid, uint32_t vcpu, const vcpu_guest_context_t *context)
{
    vcpu_guest_context_t copy = *context;

    return vcpu_context(XEN_DOMCTL_setvcpucontext, domid, vcpu, &copy);
}

int hv_vcpu_info(uint32_t domid, uint32_t vcpu, struct xen_domctl_getvcpuinfo *info)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_getvcpuinfo, .domain = domid, .u.getvcpuinfo.vcpu = vcpu };
    int rc = hv_domctl(&op);

    if (rc == 0)
        *info = op.u.getvcpuinfo;
    return rc;
}

int hv_physinfo(struct xen_sysctl_physinfo *info)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_physinfo };
    int rc = hv_sysctl(&op);

    if (rc == 0)
        *info = op.u.physinfo;
    return rc;
}

int hv_sched_id(uint32_t *id)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_sched_id };
    int rc = hv_sysctl(&op);

    if (rc == 0)
        *id = op.u.sched_id.sched_id;
    return rc;
}

int hv_console_read(char *buffer, uint32_t size, bool clear, bool incremental, uint32_t *index)
{
    char *bounce = hv_buf_alloc(size);
    struct xen_sysctl op = {
        .cmd = XEN_SYSCTL_readconsole,
        .u.readconsole = { .clear = clear, .incremental = incremental, .index = *index, .count = size },
    };
    int rc;

    if (!bounce)
        return -ENOMEM;
    set_xen_guest_handle(op.u.readconsole.buffer, bounce);
    rc = hv_sysctl(&op);
    if (rc == 0) {
        rc = op.u.readconsole.count < size ? op.u.readconsole.count : size;
        memcpy(buffer, bounce, rc);
        *index = op.u.readconsole.index;
    }
    hv_buf_free(bounce, size);
    return rc;
}

int hv_debug_keys(const char *keys)
{
    size_t length = strlen(keys);
    char *bounce = hv_buf_alloc(length + 1);
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_debug_keys, .u.debug_keys.nr_keys = length };
    int rc;

    if (!bounce)
        return -ENOMEM;
    memcpy(bounce, keys, length);
    set_xen_guest_handle(op.u.debug_keys.keys, bounce);
    rc = hv_sysctl(&op);
    hv_buf_free(bounce, length + 1);
    return rc;
}
