/* SPDX-License-Identifier: MIT */
/*
 * The control hypercalls, with the version of the interface filled in, for tests that run as dom0; and what more than one
 * of them asks of those: CPUs go off line and come back, vCPUs are pinned, free memory is counted.
 */
#ifndef TEST_CONTROL_H
#define TEST_CONTROL_H

#include "kernel.h"

#include <xen/domctl.h>
#include <xen/platform.h>
#include <xen/sysctl.h>

static inline long sysctl(struct xen_sysctl *op, unsigned int cmd)
{
    op->cmd = cmd;
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return HCALL(sysctl, op, 0, 0, 0, 0);
}

static inline long platform_op(struct xen_platform_op *op, unsigned int cmd)
{
    op->cmd = cmd;
    op->interface_version = XENPF_INTERFACE_VERSION;
    return HCALL(platform_op, op, 0, 0, 0, 0);
}

static inline long domctl(struct xen_domctl *op, unsigned int cmd, domid_t domain)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domain;
    return HCALL(domctl, op, 0, 0, 0, 0);
}

/* Pages of the machine that are free. Those that wait for scrubbing are as good as free. */
static inline uint64_t free_pages(void)
{
    static struct xen_sysctl op;

    check_eq(sysctl(&op, XEN_SYSCTL_physinfo), 0);
    return op.u.physinfo.free_pages;
}

/* What XEN_SYSCTL_CPU_HOTPLUG_* asks for, of a CPU. */
static inline long hotplug(unsigned int cpu, unsigned int what)
{
    struct xen_sysctl op = { .u.cpu_hotplug = { .cpu = cpu, .op = what } };

    return sysctl(&op, XEN_SYSCTL_cpu_hotplug);
}

static inline long off(unsigned int cpu) { return hotplug(cpu, XEN_SYSCTL_CPU_HOTPLUG_OFFLINE); }
static inline long on(unsigned int cpu) { return hotplug(cpu, XEN_SYSCTL_CPU_HOTPLUG_ONLINE); }

/* Sets or gets (XEN_DOMCTL_*vcpuaffinity) the CPUs where a vCPU of dom0 may run; they are the result. */
static inline uint64_t affinity(unsigned int cmd, unsigned int vcpu, uint64_t cpus)
{
    uint64_t map = cpus;
    struct xen_domctl op = { .u.vcpuaffinity = { .vcpu = vcpu, .flags = XEN_VCPUAFFINITY_HARD } };

    op.u.vcpuaffinity.cpumap_hard.nr_bits = 64;
    set_xen_guest_handle(op.u.vcpuaffinity.cpumap_hard.bitmap, (uint8_t *)&map);
    check_eq(domctl(&op, cmd, 0), 0);
    return map;
}

static inline void pin(unsigned int vcpu, uint64_t cpus)
{
    affinity(XEN_DOMCTL_setvcpuaffinity, vcpu, cpus);
}

#endif
