/* SPDX-License-Identifier: MIT */
/* domctl and sysctl: a domain from creation to the last page, pools, questions, and what is refused. */
#include "kernel.h"

#include <xen/domctl.h>
#include <xen/sysctl.h>

static struct xen_domctl ctl;
static struct xen_sysctl sys;

static long domctl(unsigned int cmd, domid_t domain)
{
    ctl.cmd = cmd;
    ctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    ctl.domain = domain;
    return HCALL(domctl, &ctl, 0, 0, 0, 0);
}

static long sysctl(unsigned int cmd)
{
    sys.cmd = cmd;
    sys.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return HCALL(sysctl, &sys, 0, 0, 0, 0);
}

static long create(domid_t wanted, unsigned int vcpus)
{
    memset(&ctl, 0, sizeof(ctl));
    ctl.u.createdomain.max_vcpus = vcpus;
    ctl.u.createdomain.max_evtchn_port = 1023;
    ctl.u.createdomain.max_grant_frames = -1;
    ctl.u.createdomain.max_maptrack_frames = -1;
    ctl.u.createdomain.grant_opts = 1;
    return domctl(XEN_DOMCTL_createdomain, wanted);
}

static unsigned long free_pages(void)
{
    check_eq(sysctl(XEN_SYSCTL_physinfo), 0);
    return sys.u.physinfo.free_pages;
}

/* Until the domain is gone: its last memory is freed a moment after destroydomain returns. */
static void wait_gone(domid_t id)
{
    for (int i = 0; i < 1000; i++) {
        if (domctl(XEN_DOMCTL_getdomaininfo, id) == -XEN_ESRCH || ctl.domain != id)
            return;
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
    fail(__FILE__, __LINE__, "domain %u remains", id);
}

static xen_pfn_t frame[256];

static long populate(domid_t id, unsigned long nr)
{
    struct xen_memory_reservation r = { .nr_extents = nr, .domid = id };

    for (unsigned long i = 0; i < nr; i++)
        frame[i] = i;
    set_xen_guest_handle(r.extent_start, frame);
    return HCALL(memory_op, XENMEM_populate_physmap, &r, 0, 0, 0);
}

static void domain_lives_and_dies(void)
{
    unsigned long before;
    domid_t id;

    /* Warm up: allocators keep what they once needed. */
    check_eq(create(0, 3), 0);
    id = ctl.domain;
    ctl.u.max_vcpus.max = 3;
    check_eq(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    check_eq(domctl(XEN_DOMCTL_destroydomain, id), 0);
    wait_gone(id);

    before = free_pages();
    for (int round = 0; round < 3; round++) {
        check_eq(create(0, 3), 0);
        id = ctl.domain;
        check(id > 0 && id < DOMID_FIRST_RESERVED);
        check_eq(populate(id, 10), 0);          /* nothing is allowed yet */
        ctl.u.max_mem.max_memkb = 128 * 4;
        check_eq(domctl(XEN_DOMCTL_max_mem, id), 0);
        check_eq(populate(id, 256), 128);       /* up to the limit */
        ctl.u.max_vcpus.max = 2;
        check_eq(domctl(XEN_DOMCTL_max_vcpus, id), -XEN_EINVAL);
        ctl.u.max_vcpus.max = 3;
        check_eq(domctl(XEN_DOMCTL_max_vcpus, id), 0);
        check_eq(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
        check_eq(ctl.u.getdomaininfo.tot_pages, 128);
        check_eq(ctl.u.getdomaininfo.max_vcpu_id, 2);
        check_eq(ctl.u.getdomaininfo.nr_online_vcpus, 0);
        check(ctl.u.getdomaininfo.flags & XEN_DOMINF_paused);
        check_eq(domctl(XEN_DOMCTL_unpausedomain, id), 0);
        check_eq(domctl(XEN_DOMCTL_unpausedomain, id), -XEN_EINVAL);
        check_eq(domctl(XEN_DOMCTL_pausedomain, id), 0);
        check_eq(domctl(XEN_DOMCTL_destroydomain, id), 0);
        wait_gone(id);
        check_eq(domctl(XEN_DOMCTL_destroydomain, id), -XEN_ESRCH);
        check_eq(free_pages(), before);
    }
}

static void wrong_creations(void)
{
    check_eq(create(0, 0), -XEN_EINVAL);
    check_eq(create(0, ~0U), -XEN_EINVAL);
    create(0, 1);
    check_eq(create(ctl.domain, 1), -XEN_EEXIST);
    check_eq(domctl(XEN_DOMCTL_destroydomain, ctl.domain), 0);
    memset(&ctl, 0, sizeof(ctl));
    ctl.u.createdomain.max_vcpus = 1;
    ctl.u.createdomain.flags = ~0U;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -XEN_EINVAL);
    ctl.u.createdomain.flags = XEN_DOMCTL_CDF_hvm;
    check(domctl(XEN_DOMCTL_createdomain, 0) < 0);
    ctl.u.createdomain.flags = 0;
    ctl.u.createdomain.cpupool_id = 99;
    check_eq(domctl(XEN_DOMCTL_createdomain, 0), -XEN_EINVAL);
}

/* The builder's contexts: addresses and tables that no guest may have are refused, and no harm is done. */
static void wrong_contexts(void)
{
    static struct vcpu_guest_context c;
    domid_t id;

    check_eq(create(0, 1), 0);
    id = ctl.domain;
    ctl.u.max_vcpus.max = 1;
    check_eq(domctl(XEN_DOMCTL_max_vcpus, id), 0);
    ctl.u.max_mem.max_memkb = 64;
    check_eq(domctl(XEN_DOMCTL_max_mem, id), 0);
    check_eq(populate(id, 4), 4);

    ctl.u.vcpucontext.vcpu = 7;
    set_xen_guest_handle(ctl.u.vcpucontext.ctxt, &c);
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -XEN_EINVAL);
    ctl.u.vcpucontext.vcpu = 0;
    check_eq(domctl(XEN_DOMCTL_getvcpucontext, id), -XEN_ENODATA);
    set_xen_guest_handle(ctl.u.vcpucontext.ctxt, (vcpu_guest_context_t *)HV_SECRET);
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -XEN_EFAULT);
    set_xen_guest_handle(ctl.u.vcpucontext.ctxt, &c);
    c.flags = VGCF_in_kernel | VGCF_online;
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -XEN_EINVAL);       /* no page table */
    c.ctrlreg[3] = xen_pfn_to_cr3(mfn_of(alloc_page()));
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -XEN_EINVAL);       /* of another domain */
    c.ctrlreg[3] = xen_pfn_to_cr3(frame[0]);
    c.event_callback_eip = HV_SECRET;
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -XEN_EINVAL);
    c.event_callback_eip = 0;
    c.gdt_ents = 100000;
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), -XEN_EINVAL);
    c.gdt_ents = 0;
    check_eq(domctl(XEN_DOMCTL_setvcpucontext, id), 0);                 /* an empty table is one */
    c = (struct vcpu_guest_context){ 0 };
    set_xen_guest_handle(ctl.u.vcpucontext.ctxt, &c);
    check_eq(domctl(XEN_DOMCTL_getvcpucontext, id), 0);
    check_eq(c.ctrlreg[3], xen_pfn_to_cr3(frame[0]));

    /* It runs into nothing at once: it crashes, alone. */
    check_eq(domctl(XEN_DOMCTL_unpausedomain, id), 0);
    for (int i = 0; i < 1000; i++) {
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        check_eq(domctl(XEN_DOMCTL_getdomaininfo, id), 0);
        if (ctl.u.getdomaininfo.flags & XEN_DOMINF_shutdown)
            break;
    }
    check_eq(ctl.u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask, SHUTDOWN_crash);
    check_eq(domctl(XEN_DOMCTL_destroydomain, id), 0);
    wait_gone(id);
}

static void affinity_and_weight(void)
{
    static uint8_t hard[8], soft[8];
    domid_t id;

    check_eq(create(0, 1), 0);
    id = ctl.domain;
    ctl.u.max_vcpus.max = 1;
    check_eq(domctl(XEN_DOMCTL_max_vcpus, id), 0);

    memset(&ctl.u, 0, sizeof(ctl.u));
    ctl.u.vcpuaffinity.flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT;
    set_xen_guest_handle(ctl.u.vcpuaffinity.cpumap_hard.bitmap, hard);
    set_xen_guest_handle(ctl.u.vcpuaffinity.cpumap_soft.bitmap, soft);
    ctl.u.vcpuaffinity.cpumap_hard.nr_bits = ctl.u.vcpuaffinity.cpumap_soft.nr_bits = 64;
    check_eq(domctl(XEN_DOMCTL_setvcpuaffinity, id), -XEN_EINVAL);      /* no CPU */
    hard[0] = 1;
    soft[0] = 0xff;
    check_eq(domctl(XEN_DOMCTL_setvcpuaffinity, id), 0);
    check_eq(soft[0], 1);                                               /* what comes of it */
    soft[0] = 0;
    check_eq(domctl(XEN_DOMCTL_getvcpuaffinity, id), 0);
    check_eq(hard[0], 1);
    ctl.u.vcpuaffinity.vcpu = 1;
    check_eq(domctl(XEN_DOMCTL_getvcpuaffinity, id), -XEN_EINVAL);
    ctl.u.vcpuaffinity.vcpu = 0;
    ctl.u.vcpuaffinity.cpumap_hard.nr_bits = ~0U;
    check_eq(domctl(XEN_DOMCTL_getvcpuaffinity, id), -XEN_E2BIG);

    ctl.u.scheduler_op.sched_id = XEN_SCHEDULER_CREDIT;
    ctl.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    ctl.u.scheduler_op.u.credit.weight = 777;
    ctl.u.scheduler_op.u.credit.cap = 30;
    check_eq(domctl(XEN_DOMCTL_scheduler_op, id), 0);
    memset(&ctl.u.scheduler_op.u, 0, sizeof(ctl.u.scheduler_op.u));
    ctl.u.scheduler_op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    check_eq(domctl(XEN_DOMCTL_scheduler_op, id), 0);
    check_eq(ctl.u.scheduler_op.u.credit.weight, 777);
    check_eq(ctl.u.scheduler_op.u.credit.cap, 30);
    check_eq(domctl(XEN_DOMCTL_destroydomain, id), 0);
}

static void permissions(void)
{
    check_eq(create(0, 1), 0);
    ctl.u.iomem_permission.first_mfn = ~0UL;
    ctl.u.iomem_permission.nr_mfns = 2;
    check_eq(domctl(XEN_DOMCTL_iomem_permission, ctl.domain), -XEN_EINVAL);
    ctl.u.iomem_permission.first_mfn = 0xfee00;         /* the local APIC: not dom0's to give */
    ctl.u.iomem_permission.nr_mfns = 1;
    ctl.u.iomem_permission.allow_access = 1;
    check_eq(domctl(XEN_DOMCTL_iomem_permission, ctl.domain), -XEN_EPERM);
    ctl.u.irq_permission.pirq = ~0U;
    check_eq(domctl(XEN_DOMCTL_irq_permission, ctl.domain), -XEN_EINVAL);
    check_eq(domctl(XEN_DOMCTL_destroydomain, ctl.domain), 0);
}

static void nobody_and_itself(void)
{
    check_eq(domctl(XEN_DOMCTL_pausedomain, 0), -XEN_EINVAL);
    check_eq(domctl(XEN_DOMCTL_destroydomain, 0), -XEN_EINVAL);
    check_eq(domctl(XEN_DOMCTL_pausedomain, 30000), -XEN_ESRCH);
    check_eq(domctl(XEN_DOMCTL_pausedomain, DOMID_SELF), -XEN_ESRCH);
    check_eq(domctl(999, 0), -XEN_ENOSYS);
    ctl.interface_version = 0x14;
    check_eq(HCALL(domctl, &ctl, 0, 0, 0, 0), -XEN_EACCES);
    check_eq(HCALL(domctl, HV_SECRET, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(sysctl, HV_SECRET, 0, 0, 0, 0), -XEN_EFAULT);
    sys.interface_version = 3;
    check_eq(HCALL(sysctl, &sys, 0, 0, 0, 0), -XEN_EACCES);
    check_eq(sysctl(999), -XEN_ENOSYS);
}

static void machine(void)
{
    static struct xen_domctl_getdomaininfo info[4];
    static struct xen_sysctl_cputopo topo[4];
    static uint8_t map[8];

    check_eq(sysctl(XEN_SYSCTL_physinfo), 0);
    check(sys.u.physinfo.nr_cpus >= 1);
    check(sys.u.physinfo.free_pages <= sys.u.physinfo.total_pages);
    check(sys.u.physinfo.capabilities & XEN_SYSCTL_PHYSCAP_pv);
    check_eq(sysctl(XEN_SYSCTL_sched_id), 0);
    check_eq(sys.u.sched_id.sched_id, XEN_SCHEDULER_CREDIT);

    sys.u.getdomaininfolist.first_domain = 0;
    sys.u.getdomaininfolist.max_domains = 4;
    set_xen_guest_handle(sys.u.getdomaininfolist.buffer, info);
    check_eq(sysctl(XEN_SYSCTL_getdomaininfolist), 0);
    check(sys.u.getdomaininfolist.num_domains >= 1);
    check_eq(info[0].domain, 0);
    check(info[0].flags & XEN_DOMINF_running);
    set_xen_guest_handle(sys.u.getdomaininfolist.buffer, (xen_domctl_getdomaininfo_t *)HV_SECRET);
    check_eq(sysctl(XEN_SYSCTL_getdomaininfolist), -XEN_EFAULT);

    sys.u.cputopoinfo.num_cpus = 4;
    set_xen_guest_handle(sys.u.cputopoinfo.cputopo, topo);
    check_eq(sysctl(XEN_SYSCTL_cputopoinfo), 0);
    check(sys.u.cputopoinfo.num_cpus >= 1);

    sys.u.cpupool_op.op = XEN_SYSCTL_CPUPOOL_OP_INFO;
    sys.u.cpupool_op.cpupool_id = 0;
    sys.u.cpupool_op.cpumap.nr_bits = 64;
    set_xen_guest_handle(sys.u.cpupool_op.cpumap.bitmap, map);
    check_eq(sysctl(XEN_SYSCTL_cpupool_op), 0);
    check_eq(map[0] & 1, 1);
    check(sys.u.cpupool_op.n_dom >= 1);
    sys.u.cpupool_op.cpupool_id = 5;
    check_eq(sysctl(XEN_SYSCTL_cpupool_op), -XEN_ENOENT);
    sys.u.availheap.min_bitwidth = sys.u.availheap.max_bitwidth = 0;
    sys.u.availheap.node = -1;
    check_eq(sysctl(XEN_SYSCTL_availheap), 0);
    check(sys.u.availheap.avail_bytes > 0);
    sys.u.debug_keys.nr_keys = ~0U;
    check_eq(sysctl(XEN_SYSCTL_debug_keys), -XEN_E2BIG);
}

TESTS({ "a domain lives and dies", domain_lives_and_dies }, { "wrong creations", wrong_creations },
      { "wrong contexts", wrong_contexts }, { "affinity and weight", affinity_and_weight },
      { "permissions", permissions }, { "nobody and itself", nobody_and_itself }, { "machine", machine });
