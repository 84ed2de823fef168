/* SPDX-License-Identifier: MIT */
/* platform_op, memory maps, and the x86 part of domctl and sysctl: CPU policies, page types, extended vCPU state. */
#include "control.h"

static struct xen_platform_op op;
static struct xen_domctl ctl;
static struct xen_sysctl sys;

static long memory_op(unsigned int cmd, void *arg)
{
    return HCALL(memory_op, cmd, arg, 0, 0, 0);
}

/* A domain with one vCPU and some memory, for the tests that want another than dom0. */
static xen_pfn_t frame[16];

static domid_t make_domain(void)
{
    struct xen_memory_reservation r = { .nr_extents = ARRAY_SIZE(frame) };
    domid_t id;

    memset(&ctl, 0, sizeof(ctl));
    ctl.u.createdomain.max_vcpus = 1;
    ctl.u.createdomain.max_evtchn_port = 1023;
    ctl.u.createdomain.max_grant_frames = ctl.u.createdomain.max_maptrack_frames = -1;
    ctl.u.createdomain.grant_opts = 1;
    check_eq(domctl(&ctl, XEN_DOMCTL_createdomain, 0), 0);
    id = ctl.domain;
    ctl.u.max_vcpus.max = 1;
    check_eq(domctl(&ctl, XEN_DOMCTL_max_vcpus, id), 0);
    ctl.u.max_mem.max_memkb = 1024;
    check_eq(domctl(&ctl, XEN_DOMCTL_max_mem, id), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(frame); i++)
        frame[i] = i;
    r.domid = id;
    set_xen_guest_handle(r.extent_start, frame);
    check_eq(memory_op(XENMEM_populate_physmap, &r), ARRAY_SIZE(frame));
    return id;
}

static void drop_domain(domid_t id)
{
    check_eq(domctl(&ctl, XEN_DOMCTL_destroydomain, id), 0);
}

/* ---- platform_op ---- */

static void platform_facts(void)
{
    op.u.pcpu_info.xen_cpuid = 0;
    check_eq(platform_op(&op, XENPF_get_cpuinfo), 0);
    check_eq(op.u.pcpu_info.flags, XEN_PCPU_FLAGS_ONLINE);
    op.u.pcpu_info.xen_cpuid = ~0u;
    check_eq(platform_op(&op, XENPF_get_cpuinfo), 0);
    check_eq(op.u.pcpu_info.flags, XEN_PCPU_FLAGS_INVALID);
    op.u.pcpu_version.xen_cpuid = 0;
    check_eq(platform_op(&op, XENPF_get_cpu_version), 0);
    check(op.u.pcpu_version.family > 0);
    op.u.firmware_info.type = XEN_FW_DISK_INFO;
    check_eq(platform_op(&op, XENPF_firmware_info), -XEN_ESRCH);
    op.u.firmware_info.type = 99;
    check_eq(platform_op(&op, XENPF_firmware_info), -XEN_EINVAL);
    op.u.cpu_ol.cpuid = 0;
    check_eq(platform_op(&op, XENPF_cpu_online), 0);
    check_eq(platform_op(&op, XENPF_cpu_offline), -XEN_EOPNOTSUPP);
    op.u.cpu_ol.cpuid = ~0u;
    check_eq(platform_op(&op, XENPF_cpu_online), -XEN_EINVAL);
}

static void wrong_platform_requests(void)
{
    check_eq(platform_op(&op, 9999), -XEN_ENOSYS);
    check_eq(HCALL(platform_op, UNMAPPED, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(platform_op, HV_SECRET, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(platform_op, ~0UL, 0, 0, 0, 0), -XEN_EFAULT);
    op.interface_version = 1;
    check_eq(HCALL(platform_op, &op, 0, 0, 0, 0), -XEN_EACCES);
    op.u.settime64 = (struct xenpf_settime64){ .secs = 1, .nsecs = 1000000000 };
    check_eq(platform_op(&op, XENPF_settime64), domus_or_xen(-XEN_EINVAL, 0));      /* Xen carries them into seconds */
    op.u.settime64 = (struct xenpf_settime64){ .secs = 1, .mbz = 1 };
    check_eq(platform_op(&op, XENPF_settime64), -XEN_EINVAL);
    op.u.enter_acpi_sleep = (struct xenpf_enter_acpi_sleep){ .sleep_state = 77 };
    check(platform_op(&op, XENPF_enter_acpi_sleep) < 0);
}

static void wall_clock_can_be_set(void)
{
    op.u.settime64 = (struct xenpf_settime64){ .secs = 2000000000, .nsecs = 5 };
    check_eq(platform_op(&op, XENPF_settime64), 0);
    check_eq(shared_info->wc_sec, 2000000000);
    check_eq(shared_info->wc_nsec, 5);
    check_eq(shared_info->wc_version & 1, 0);
}

/* ---- Memory maps ---- */

struct __attribute__((packed)) e820 {
    uint64_t addr, size;
    uint32_t type;
};

static void machine_map(void)
{
    static struct e820 map[128];
    struct xen_memory_map m = { 0 };
    unsigned int all;
    uint64_t ram = 0;

    check_eq(memory_op(XENMEM_machine_memory_map, &m), 0);
    all = m.nr_entries;
    check(all > 3 && all < ARRAY_SIZE(map));
    m.nr_entries = ARRAY_SIZE(map);
    set_xen_guest_handle(m.buffer, (void *)map);
    check_eq(memory_op(XENMEM_machine_memory_map, &m), 0);
    check_eq(m.nr_entries, all);
    for (unsigned int i = 0; i < all; i++)
        if (map[i].type == 1)
            ram += map[i].size;
    check(ram > 100UL << 20);
    /* A map that does not fit is cut, so that an older kernel boots with what it can hold; Xen refuses. */
    m.nr_entries = 2;
    map[2].size = 0x55;
    check_eq(memory_op(XENMEM_machine_memory_map, &m), domus_or_xen(0, -XEN_EINVAL));
    check_eq(m.nr_entries, 2);
    check_eq(map[2].size, 0x55);
    m.nr_entries = ARRAY_SIZE(map);
    set_xen_guest_handle(m.buffer, (void *)HV_SECRET);
    check_eq(memory_op(XENMEM_machine_memory_map, &m), -XEN_EFAULT);
    check_eq(memory_op(XENMEM_machine_memory_map, (void *)UNMAPPED), -XEN_EFAULT);
}

static void own_map(void)
{
    static struct e820 map[3];
    struct xen_memory_map m = { .nr_entries = 3 };
    struct xen_foreign_memory_map f = { .domid = DOMID_SELF, .map.nr_entries = 2 };

    set_xen_guest_handle(m.buffer, (void *)map);
    check_eq(memory_op(XENMEM_memory_map, &m), -XEN_ENOSYS);
    map[0] = (struct e820){ .addr = 0, .size = 0x100000, .type = 1 };
    map[1] = (struct e820){ .addr = 0x200000, .size = 0x100000, .type = 2 };
    set_xen_guest_handle(f.map.buffer, (void *)map);
    check_eq(memory_op(XENMEM_set_memory_map, &f), 0);
    memset(map, 0, sizeof(map));
    check_eq(memory_op(XENMEM_memory_map, &m), 0);
    check_eq(m.nr_entries, 2);
    check_eq(map[1].addr, 0x200000);
    f.map.nr_entries = ~0u;
    check_eq(memory_op(XENMEM_set_memory_map, &f), -XEN_EINVAL);
    f.map.nr_entries = 1;
    f.domid = 12345;
    check_eq(memory_op(XENMEM_set_memory_map, &f), -XEN_ESRCH);
    f.map.nr_entries = 0;
    f.domid = DOMID_SELF;
    check_eq(memory_op(XENMEM_set_memory_map, &f), 0);
    check_eq(memory_op(XENMEM_memory_map, &m), -XEN_ENOSYS);
}

static void machphys(void)
{
    struct xen_machphys_mapping mapping;
    struct xen_machphys_mfn_list l = { .max_extents = ARRAY_SIZE(frame) };

    check_eq(memory_op(XENMEM_machphys_mapping, &mapping), 0);
    check_eq(mapping.v_start, HV_START);
    check_eq(memory_op(XENMEM_machphys_mapping, (void *)HV_SECRET), -XEN_EFAULT);
    set_xen_guest_handle(l.extent_start, frame);
    check_eq(memory_op(XENMEM_machphys_mfn_list, &l), 0);
    check(l.nr_extents >= 1);
    check(frame[0] != 0);
    l.max_extents = 5;
    set_xen_guest_handle(l.extent_start, (xen_pfn_t *)NON_CANONICAL);
    check_eq(memory_op(XENMEM_machphys_mfn_list, &l), -XEN_EFAULT);
}

/* ---- CPU policies ---- */

static xen_cpuid_leaf_t leaves[256];
static xen_msr_entry_t msrs[8];

static long get_policy(unsigned int index, unsigned int nr_leaves)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.cpu_policy.index = index;
    sys.u.cpu_policy.nr_leaves = nr_leaves;
    sys.u.cpu_policy.nr_msrs = ARRAY_SIZE(msrs);
    set_xen_guest_handle(sys.u.cpu_policy.leaves, leaves);
    set_xen_guest_handle(sys.u.cpu_policy.msrs, msrs);
    return sysctl(&sys, XEN_SYSCTL_get_cpu_policy);
}

static void system_policies(void)
{
    static uint32_t words[32];

    memset(&sys, 0, sizeof(sys));
    check_eq(sysctl(&sys, XEN_SYSCTL_get_cpu_policy), 0);
    check(sys.u.cpu_policy.nr_leaves > 20 && sys.u.cpu_policy.nr_leaves < ARRAY_SIZE(leaves));
    for (unsigned int i = 0; i < 6; i++) {
        bool hvm = i == XEN_SYSCTL_cpu_policy_hvm_max || i == XEN_SYSCTL_cpu_policy_hvm_default;
        long rc = get_policy(i, ARRAY_SIZE(leaves));

        check(rc == 0 || (hvm && rc == -XEN_EOPNOTSUPP));       /* there are none without HVM */
    }
    check_eq(get_policy(6, ARRAY_SIZE(leaves)), -XEN_EINVAL);
    check_eq(get_policy(~0u, ARRAY_SIZE(leaves)), -XEN_EINVAL);
    check_eq(get_policy(0, 3), -XEN_ENOBUFS);

    memset(&sys, 0, sizeof(sys));
    check_eq(sysctl(&sys, XEN_SYSCTL_get_cpu_featureset), 0);
    check(sys.u.cpu_featureset.nr_features > 10);
    sys.u.cpu_featureset.index = XEN_SYSCTL_cpu_featureset_pv;
    set_xen_guest_handle(sys.u.cpu_featureset.features, words);
    sys.u.cpu_featureset.nr_features = ARRAY_SIZE(words);
    check_eq(sysctl(&sys, XEN_SYSCTL_get_cpu_featureset), 0);
    check(words[2] & 1u << 29);
    sys.u.cpu_featureset.nr_features = 2;
    check_eq(sysctl(&sys, XEN_SYSCTL_get_cpu_featureset), -XEN_ENOBUFS);
}

static long set_policy(domid_t id, unsigned int nr, unsigned int nr_msrs)
{
    memset(&ctl, 0, sizeof(ctl));
    ctl.u.cpu_policy.nr_leaves = nr;
    ctl.u.cpu_policy.nr_msrs = nr_msrs;
    set_xen_guest_handle(ctl.u.cpu_policy.leaves, leaves);
    set_xen_guest_handle(ctl.u.cpu_policy.msrs, msrs);
    return domctl(&ctl, XEN_DOMCTL_set_cpu_policy, id);
}

static void a_domains_policy(void)
{
    domid_t id = make_domain();
    unsigned int nr, nr_msrs;

    memset(&ctl, 0, sizeof(ctl));
    ctl.u.cpu_policy.nr_leaves = ARRAY_SIZE(leaves);
    ctl.u.cpu_policy.nr_msrs = ARRAY_SIZE(msrs);
    set_xen_guest_handle(ctl.u.cpu_policy.leaves, leaves);
    set_xen_guest_handle(ctl.u.cpu_policy.msrs, msrs);
    check_eq(domctl(&ctl, XEN_DOMCTL_get_cpu_policy, id), 0);
    nr = ctl.u.cpu_policy.nr_leaves;
    nr_msrs = ctl.u.cpu_policy.nr_msrs;
    check_eq(set_policy(id, nr, nr_msrs), 0);
    /* What is not on offer is taken out again. */
    leaves[1].c |= 1u << 5;
    check_eq(set_policy(id, nr, nr_msrs), 0);
    leaves[0] = (xen_cpuid_leaf_t){ .leaf = 1, .subleaf = 5 };
    check_eq(set_policy(id, 1, 0), -XEN_ERANGE);
    check_eq(ctl.u.cpu_policy.err_leaf, 1);
    leaves[0] = (xen_cpuid_leaf_t){ .leaf = 0xd, .subleaf = 63 };
    check_eq(set_policy(id, 1, 0), -XEN_ERANGE);
    leaves[0] = (xen_cpuid_leaf_t){ .leaf = 0x7fffffff, .subleaf = ~0u };
    check_eq(set_policy(id, 1, 0), -XEN_ERANGE);
    /* More leaves than the machine has; Xen quietly takes that back. */
    leaves[0] = (xen_cpuid_leaf_t){ .leaf = 0, .subleaf = ~0u, .a = ~0u };
    check_eq(set_policy(id, 1, 0), domus_or_xen(-XEN_EINVAL, 0));
    if (on_domus())
        check_eq(ctl.u.cpu_policy.err_leaf, 0);
    check_eq(set_policy(id, ~0u, 0), -XEN_E2BIG);
    msrs[0] = (xen_msr_entry_t){ .idx = 0x1b };
    check_eq(set_policy(id, 0, 1), -XEN_ERANGE);
    msrs[0] = (xen_msr_entry_t){ .idx = 0xce, .val = ~0UL };
    check_eq(set_policy(id, 0, 1), -XEN_EOVERFLOW);
    msrs[0] = (xen_msr_entry_t){ .idx = 0xce, .val = ~0u };
    check_eq(set_policy(id, 0, 1), -XEN_EINVAL);
    msrs[0] = (xen_msr_entry_t){ .idx = 0xce, .flags = 1 };
    check_eq(set_policy(id, 0, 1), -XEN_EINVAL);
    check(set_policy(0, 0, 0) < 0);             /* not the caller's own */
    drop_domain(id);
}

/* ---- Page types and permissions ---- */

static void page_types(void)
{
    domid_t id = make_domain();
    xen_pfn_t list[4] = { frame[0], mfn_of((void *)start_info->pt_base), ~0UL, 0x200 };

    memset(&ctl, 0, sizeof(ctl));
    ctl.u.getpageframeinfo3.num = 4;
    set_xen_guest_handle(ctl.u.getpageframeinfo3.array, list);
    check_eq(domctl(&ctl, XEN_DOMCTL_getpageframeinfo3, id), 0);
    check_eq(list[0], XEN_DOMCTL_PFINFO_NOTAB);
    for (unsigned int i = 1; i < 4; i++)
        check_eq(list[i], XEN_DOMCTL_PFINFO_XTAB);
    ctl.u.getpageframeinfo3.num = 1UL << 40;
    check_eq(domctl(&ctl, XEN_DOMCTL_getpageframeinfo3, id), -XEN_E2BIG);
    ctl.u.getpageframeinfo3.num = 2;
    set_xen_guest_handle(ctl.u.getpageframeinfo3.array, (xen_pfn_t *)HV_SECRET);
    check_eq(domctl(&ctl, XEN_DOMCTL_getpageframeinfo3, id), -XEN_EFAULT);
    ctl.u.hypercall_init.gmfn = frame[1];
    check_eq(domctl(&ctl, XEN_DOMCTL_hypercall_init, id), 0);
    ctl.u.hypercall_init.gmfn = mfn_of(start_info);
    check_eq(domctl(&ctl, XEN_DOMCTL_hypercall_init, id), -XEN_EINVAL);
    ctl.u.hypercall_init.gmfn = ~0UL;
    check_eq(domctl(&ctl, XEN_DOMCTL_hypercall_init, id), -XEN_EINVAL);
    drop_domain(id);
}

static void ports_and_sizes(void)
{
    domid_t id = make_domain();

    ctl.u.ioport_permission = (struct xen_domctl_ioport_permission){ .first_port = 0x80, .nr_ports = 1, .allow_access = 1 };
    check_eq(domctl(&ctl, XEN_DOMCTL_ioport_permission, id), 0);
    ctl.u.ioport_permission.first_port = 0x20;
    check_eq(domctl(&ctl, XEN_DOMCTL_ioport_permission, id), -XEN_EPERM);
    ctl.u.ioport_permission.first_port = 0xffff;
    ctl.u.ioport_permission.nr_ports = 2;
    check_eq(domctl(&ctl, XEN_DOMCTL_ioport_permission, id), -XEN_EINVAL);
    ctl.u.ioport_permission.nr_ports = ~0u;
    check_eq(domctl(&ctl, XEN_DOMCTL_ioport_permission, id), -XEN_EINVAL);
    ctl.u.ioport_permission.nr_ports = 0;
    check_eq(domctl(&ctl, XEN_DOMCTL_ioport_permission, id), -XEN_EINVAL);
    ctl.u.address_size.size = 64;
    check_eq(domctl(&ctl, XEN_DOMCTL_set_address_size, id), 0);
    ctl.u.address_size.size = 32;
    check_eq(domctl(&ctl, XEN_DOMCTL_set_address_size, id), -XEN_EOPNOTSUPP);
    ctl.u.address_size.size = 63;
    check_eq(domctl(&ctl, XEN_DOMCTL_set_address_size, id), -XEN_EINVAL);
    check_eq(domctl(&ctl, XEN_DOMCTL_get_address_size, id), 0);
    check_eq(ctl.u.address_size.size, 64);
    ctl.u.sendtrigger = (struct xen_domctl_sendtrigger){ .trigger = XEN_DOMCTL_SENDTRIGGER_NMI, .vcpu = 5 };
    check_eq(domctl(&ctl, XEN_DOMCTL_sendtrigger, id), -XEN_ESRCH);
    drop_domain(id);
}

/* ---- Extended vCPU state ---- */

static uint64_t area[1024];

static void extended_state(void)
{
    domid_t id = make_domain();
    uint64_t size;

    memset(&ctl, 0, sizeof(ctl));
    check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, id), 0);
    size = ctl.u.vcpuextstate.size;             /* the most that it may ever be */
    if (size) {
        check(size >= 16 + 576 && size <= sizeof(area));
        set_xen_guest_handle(ctl.u.vcpuextstate.buffer, area);
        check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, id), 0);
        check(ctl.u.vcpuextstate.size <= size);
        size = ctl.u.vcpuextstate.size;         /* what it is now */
        check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, id), 0);
        check_eq(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id), 0);
        ctl.u.vcpuextstate.size = size - 1;
        check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, id), -XEN_EINVAL);
        ctl.u.vcpuextstate.size = size;
        ctl.u.vcpuextstate.xfeature_mask ^= 4;
        check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, id), -XEN_EINVAL);
        ctl.u.vcpuextstate.xfeature_mask ^= 4;
        ctl.u.vcpuextstate.size = ~0UL;
        check_eq(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id), -XEN_EINVAL);
        memset(area, 0, sizeof(area));
        ctl.u.vcpuextstate.size = 16;           /* a vCPU that has used nothing yet */
        check_eq(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id), 0);
        ctl.u.vcpuextstate.size = 17;
        check_eq(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id), -XEN_EINVAL);
        ctl.u.vcpuextstate.size = 16 + 576;
        area[0] = area[1] = 3;
        check_eq(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id), 0);
        area[0] = ~0UL;
        check_eq(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id), -XEN_EINVAL);
        area[0] = 3;
        area[2 + 512 / 8] = ~0UL;               /* xstate_bv */
        check_eq(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id), -XEN_EINVAL);
        area[2 + 512 / 8] = 0;
        area[2 + 512 / 8 + 3] = 1;              /* reserved */
        check(domctl(&ctl, XEN_DOMCTL_setvcpuextstate, id) < 0);
    }
    ctl.u.vcpuextstate.vcpu = 1;
    check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, id), -XEN_ESRCH);
    ctl.u.vcpuextstate.vcpu = 0;
    check(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, 0) < 0);           /* the caller itself */
    drop_domain(id);
}

static void other_vcpu_state(void)
{
    domid_t id = make_domain();
    xen_domctl_vcpu_msr_t msr = { .index = 0x1b };

    memset(&ctl, 0, sizeof(ctl));
    check_eq(domctl(&ctl, XEN_DOMCTL_get_ext_vcpucontext, id), 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_set_ext_vcpucontext, id), 0);
    ctl.u.ext_vcpucontext.sysenter_callback_eip = NON_CANONICAL;
    check_eq(domctl(&ctl, XEN_DOMCTL_set_ext_vcpucontext, id), -XEN_EINVAL);
    /* Not the guest's to run; Xen finds that out when it goes there. */
    ctl.u.ext_vcpucontext.sysenter_callback_eip = HV_SECRET;
    check_eq(domctl(&ctl, XEN_DOMCTL_set_ext_vcpucontext, id), domus_or_xen(-XEN_EINVAL, 0));
    ctl.u.ext_vcpucontext.sysenter_callback_eip = 0;
    ctl.u.ext_vcpucontext.size = 1;
    check_eq(domctl(&ctl, XEN_DOMCTL_set_ext_vcpucontext, id), -XEN_EINVAL);

    memset(&ctl, 0, sizeof(ctl));
    check_eq(domctl(&ctl, XEN_DOMCTL_get_vcpu_msrs, id), 0);
    check(ctl.u.vcpu_msrs.msr_count > 0);
    ctl.u.vcpu_msrs.msr_count = 1;
    set_xen_guest_handle(ctl.u.vcpu_msrs.msrs, &msr);
    check_eq(domctl(&ctl, XEN_DOMCTL_set_vcpu_msrs, id), -XEN_EINVAL);
    check_eq(ctl.u.vcpu_msrs.msr_count, 0);
    ctl.u.tsc_info.tsc_mode = 7;
    check_eq(domctl(&ctl, XEN_DOMCTL_settscinfo, id), -XEN_EINVAL);
    ctl.u.tsc_info.tsc_mode = 0;
    check_eq(domctl(&ctl, XEN_DOMCTL_settscinfo, id), 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_gettscinfo, id), 0);
    check(ctl.u.tsc_info.gtsc_khz > 1000);
    drop_domain(id);
}

TESTS({ "facts of the platform", platform_facts },
      { "wrong requests of the platform", wrong_platform_requests },
      { "the wall clock can be set", wall_clock_can_be_set },
      { "the machine's memory map", machine_map },
      { "a domain's own memory map", own_map },
      { "the machine-to-physical table", machphys },
      { "CPU policies of the machine", system_policies },
      { "CPU policy of a domain", a_domains_policy },
      { "page types as the tools see them", page_types },
      { "ports, address size, triggers", ports_and_sizes },
      { "extended state of a vCPU", extended_state },
      { "other state of a vCPU", other_vcpu_state });
