/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_sysctl: the machine and the hypervisor as a whole, for dom0's tools.
 * Interface: <xen/sysctl.h>, version 0x15. x86's part is in x86/arch_domctl.c.
 */
#include <domus/arch.h>
#include <domus/console.h>
#include <domus/guest_access.h>
#include <domus/heap.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/trace.h>
#include <asm/current.h>
#include <asm/mm.h>
#include "control.h"

#define MAX_KEYS      32
#define NODE_DISTANCE 10        /* of a node to itself, as ACPI's SLIT has it */
#define MAX_DEVICES   4096
#define MAX_QUERY     4096      /* pages asked about at once */

/* ---- Domains ---- */

static long domain_info_list(struct xen_sysctl_getdomaininfolist *u)
{
    struct xen_domctl_getdomaininfo info;
    unsigned int next = u->first_domain;
    uint32_t n = 0;
    struct domain *d;

    while (n < u->max_domains && (d = domain_next(next)) != NULL) {
        next = d->domain_id + 1u;
        get_domain_info(d, &info);
        put_domain(d);
        if (copy_to_guest_offset(u->buffer.p, n, &info, 1))
            return -EFAULT;
        n++;
    }
    u->num_domains = n;
    return 0;
}

/* ---- Machine ---- */

/* The sizes of the boot CPU's core and socket, which stand for all. */
static void count_siblings(struct xen_sysctl_physinfo *info)
{
    unsigned int cpu, threads = 0, in_socket = 0;

    for_each_online_cpu(cpu) {
        if (cpu_to_socket(cpu) != cpu_to_socket(0))
            continue;
        in_socket++;
        threads += cpu_to_core(cpu) == cpu_to_core(0);
    }
    info->threads_per_core = threads;
    info->cores_per_socket = in_socket / threads;
}

static long physinfo(struct xen_sysctl *op, guest_ptr_t u_sysctl, bool *copyback)
{
    struct xen_sysctl_physinfo *info = &op->u.physinfo;

    memset(info, 0, sizeof(*info));
    count_siblings(info);
    info->nr_cpus = num_online_cpus();
    info->max_cpu_id = nr_cpu_ids - 1;
    info->nr_nodes = 1;
    info->capabilities = XEN_SYSCTL_PHYSCAP_gnttab_v1;
    info->total_pages = heap_total_pages();
    info->free_pages = heap_free_pages_count();
    info->scrub_pages = heap_dirty_pages_count();
    info->outstanding_pages = total_claims();
    info->max_mfn = max_page - 1;
    return arch_do_sysctl(op, u_sysctl, copyback);
}

static long cpu_info(struct xen_sysctl_getcpuinfo *u)
{
    uint32_t nr = min(u->max_cpus, nr_cpu_ids);

    for (uint32_t cpu = 0; cpu < nr; cpu++) {
        struct xen_sysctl_cpuinfo info = { .idletime = cpu_idle_time(cpu) };

        if (copy_to_guest_offset(u->info.p, cpu, &info, 1))
            return -EFAULT;
    }
    u->nr_cpus = nr;
    return 0;
}

static long cpu_topology(struct xen_sysctl_cputopoinfo *u)
{
    uint32_t nr = u->cputopo.p ? min(u->num_cpus, nr_cpu_ids) : nr_cpu_ids;

    for (uint32_t cpu = 0; u->cputopo.p && cpu < nr; cpu++) {
        struct xen_sysctl_cputopo topo = { XEN_INVALID_CORE_ID, XEN_INVALID_SOCKET_ID, XEN_INVALID_NODE_ID };

        if (cpumask_test_cpu(cpu, &cpu_present_map))
            topo.node = 0;              /* also while it is off line */
        if (cpu_online(cpu)) {
            topo.core = cpu_to_core(cpu);
            topo.socket = cpu_to_socket(cpu);
        }
        if (copy_to_guest_offset(u->cputopo.p, cpu, &topo, 1))
            return -EFAULT;
    }
    u->num_cpus = nr_cpu_ids;
    return 0;
}

static long numa_info(struct xen_sysctl_numainfo *u)
{
    struct xen_sysctl_meminfo mem = { .memsize = heap_total_pages() << PAGE_SHIFT,
                                      .memfree = heap_free_pages_count() << PAGE_SHIFT };
    uint32_t distance = NODE_DISTANCE;

    if (u->num_nodes) {
        if (u->meminfo.p && copy_to_guest_offset(u->meminfo.p, 0, &mem, 1))
            return -EFAULT;
        if (u->distance.p && copy_to_guest_offset(u->distance.p, 0, &distance, 1))
            return -EFAULT;
    }
    u->num_nodes = 1;
    return 0;
}

/* Which node a device is nearest to is not known. */
static long pci_topology(struct xen_sysctl_pcitopoinfo *u)
{
    uint32_t node = XEN_INVALID_NODE_ID;

    if (!u->devs.p || !u->nodes.p)
        return -EINVAL;
    u->num_devs = min(u->num_devs, (uint32_t)MAX_DEVICES);
    for (uint32_t i = 0; i < u->num_devs; i++)
        if (copy_to_guest_offset(u->nodes.p, i, &node, 1))
            return -EFAULT;
    return 0;
}

static long avail_heap(struct xen_sysctl_availheap *u)
{
    unsigned long pages;

    u->avail_bytes = 0;
    if (u->node > 0)
        return 0;                       /* a node that is not there has none */
    pages = heap_free_pages_below(u->max_bitwidth);
    if (u->min_bitwidth)
        pages -= min(pages, heap_free_pages_below(u->min_bitwidth));
    u->avail_bytes = (uint64_t)pages << PAGE_SHIFT;
    return 0;
}

/*
 * Whether pages are in use as memory at all. They all are, or were broken from the start: none can be taken out of use
 * or back while the machine runs.
 */
static long page_offline(const struct xen_sysctl_page_offline_op *u)
{
    uint32_t status = 0;

    if (u->end < u->start)
        return -EINVAL;
    if (copy_from_guest(&status, u->status.p, 1))
        return -EFAULT;
    for (uint64_t frame = u->start; frame <= u->end; frame++) {
        if (u->cmd == sysctl_page_offline || u->cmd == sysctl_page_online)
            return -EOPNOTSUPP;
        if (u->cmd != sysctl_query_page_offline || !mfn_valid(_mfn(frame)))
            return -EINVAL;
        if (frame - u->start >= MAX_QUERY)
            return -E2BIG;
        status = PG_OFFLINE_STATUS_ONLINE;
        if (copy_to_guest_offset(u->status.p, frame - u->start, &status, 1))
            return -EFAULT;
    }
    return 0;
}

static long debug_keys(const struct xen_sysctl_debug_keys *u)
{
    char keys[MAX_KEYS];

    if (u->nr_keys > sizeof(keys))
        return -E2BIG;
    if (copy_from_guest(keys, u->keys.p, u->nr_keys))
        return -EFAULT;
    for (uint32_t i = 0; i < u->nr_keys; i++)
        handle_keypress(keys[i]);
    return 0;
}

/* ---- Dispatch ---- */

static long locked_sysctl(struct xen_sysctl *op, guest_ptr_t u_sysctl, bool *copyback)
{
    *copyback = true;
    switch (op->cmd) {
    case XEN_SYSCTL_readconsole:
        return console_ring_read(&op->u.readconsole);
    case XEN_SYSCTL_physinfo:
        return physinfo(op, u_sysctl, copyback);
    case XEN_SYSCTL_sched_id:
        op->u.sched_id.sched_id = sched_id();
        return 0;
    case XEN_SYSCTL_getdomaininfolist:
        return domain_info_list(&op->u.getdomaininfolist);
    case XEN_SYSCTL_debug_keys:
        return debug_keys(&op->u.debug_keys);
    case XEN_SYSCTL_getcpuinfo:
        return cpu_info(&op->u.getcpuinfo);
    case XEN_SYSCTL_availheap:
        return avail_heap(&op->u.availheap);
    case XEN_SYSCTL_cputopoinfo:
        return cpu_topology(&op->u.cputopoinfo);
    case XEN_SYSCTL_numainfo:
        return numa_info(&op->u.numainfo);
    case XEN_SYSCTL_pcitopoinfo:
        return pci_topology(&op->u.pcitopoinfo);
    case XEN_SYSCTL_cpupool_op:
        return cpupool_do_sysctl(&op->u.cpupool_op);
    case XEN_SYSCTL_scheduler_op:
        return sched_adjust_global(&op->u.scheduler_op);
    case XEN_SYSCTL_get_pmstat:
        return sysctl_pm_statistics(&op->u.get_pmstat);
    case XEN_SYSCTL_pm_op:
        return sysctl_pm_op(&op->u.pm_op);
    case XEN_SYSCTL_livepatch_op:
        return sysctl_livepatch(&op->u.livepatch);
    case XEN_SYSCTL_page_offline_op:
        return page_offline(&op->u.page_offline);
    case XEN_SYSCTL_tbuf_op:
        return sysctl_trace(&op->u.tbuf_op);
    case XEN_SYSCTL_coverage_op:
        return -EOPNOTSUPP;
    case XEN_SYSCTL_psr_cmt_op:
        return -ENODEV;         /* no monitoring of caches */
    case XEN_SYSCTL_psr_alloc:
        return op->u.psr_alloc.cmd <= XEN_SYSCTL_PSR_get_mba_info ? -ENODEV : -EOPNOTSUPP;
    case XEN_SYSCTL_perfc_op:
    case XEN_SYSCTL_lockprof_op:
        return -ENOSYS;
    default:
        *copyback = false;
        return arch_do_sysctl(op, u_sysctl, copyback);
    }
}

static long again(guest_ptr_t u_sysctl)
{
    return hypercall_create_continuation(__HYPERVISOR_sysctl, 1, u_sysctl);
}

long do_sysctl(guest_ptr_t u_sysctl)
{
    struct xen_sysctl op;
    bool copyback = false;
    long rc;

    if (!current->domain->is_privileged)
        return -EPERM;
    if (copy_from_guest(&op, (void *)u_sysctl, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_SYSCTL_INTERFACE_VERSION)
        return -EACCES;
    if (!spin_trylock(&control_lock))
        return again(u_sysctl);
    rc = locked_sysctl(&op, u_sysctl, &copyback);
    spin_unlock(&control_lock);
    if (rc == -ERESTART)
        return again(u_sysctl);
    if (copyback && copy_to_guest((void *)u_sysctl, &op, sizeof(op)))
        rc = -EFAULT;
    return rc;
}
