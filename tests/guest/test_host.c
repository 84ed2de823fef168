/* SPDX-License-Identifier: MIT */
/*
 * sysctl and platform_op on the host: idle states, pages that may come and go, live patches, registers, memory
 * types, symbols.
 */
/* SMP: 2 */
#include "control.h"

static struct xen_platform_op op;
static struct xen_sysctl sys;

/* Leaves the CPU to others for a while. */
static void nap(void)
{
    struct sched_poll p = { .timeout = system_time() + 1000000 };

    HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0);
}

/* ---- Idle states ---- */

static uint64_t triggers[4], residencies[4];

static long pmstat(unsigned int type, unsigned int cpu)
{
    sys.u.get_pmstat.type = type;
    sys.u.get_pmstat.cpuid = cpu;
    return sysctl(&sys, XEN_SYSCTL_get_pmstat);
}

static long idle_statistics(unsigned int nr)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.get_pmstat.u.getcx.nr = nr;
    set_xen_guest_handle(sys.u.get_pmstat.u.getcx.triggers, triggers);
    set_xen_guest_handle(sys.u.get_pmstat.u.getcx.residencies, residencies);
    return pmstat(PMSTAT_get_cxstat, 0);
}

static void idle_states(void)
{
    uint64_t waited;

    check_eq(pmstat(PMSTAT_get_max_cx, 0), 0);
    check_eq(sys.u.get_pmstat.u.getcx.nr, 2);
    check_eq(idle_statistics(4), 0);
    check_eq(sys.u.get_pmstat.u.getcx.nr, 2);
    check_eq(sys.u.get_pmstat.u.getcx.idle_time, residencies[1]);
    check(residencies[0] > 0);
    waited = triggers[1];
    /* A CPU has nothing to do but to wait while this vCPU does; Xen counts only what ACPI's driver does. */
    do {
        nap();
        check_eq(idle_statistics(4), 0);
    } while (on_domus() && triggers[1] == waited);
    check(triggers[0] >= triggers[1]);
    /* Room for one, and for none. */
    residencies[1] = 77;
    check_eq(idle_statistics(1), 0);
    check_eq(residencies[1], 77);
    check_eq(idle_statistics(0), 0);
    check_eq(pmstat(PMSTAT_reset_cxstat, 0), 0);
}

static void wrong_idle_states(void)
{
    check_eq(pmstat(PMSTAT_get_max_px, 0), -XEN_ENODEV);
    check_eq(pmstat(PMSTAT_CX | 9, 0), -XEN_ENOSYS);
    check_eq(pmstat(0x91, 0), -XEN_ENODEV);
    check_eq(pmstat(PMSTAT_get_max_cx, 2), -XEN_EINVAL);
    check_eq(pmstat(PMSTAT_get_max_cx, ~0u), -XEN_EINVAL);
    memset(&sys, 0, sizeof(sys));
    sys.u.get_pmstat.u.getcx.nr = ~0u;
    set_xen_guest_handle(sys.u.get_pmstat.u.getcx.triggers, (uint64_t *)HV_SECRET);
    set_xen_guest_handle(sys.u.get_pmstat.u.getcx.residencies, (uint64_t *)HV_SECRET);
    check_eq(pmstat(PMSTAT_get_cxstat, 0), -XEN_EFAULT);
    set_xen_guest_handle(sys.u.get_pmstat.u.getcx.triggers, (uint64_t *)UNMAPPED);
    check_eq(pmstat(PMSTAT_get_cxstat, 0), -XEN_EFAULT);
}

static long pm_op(unsigned int cmd, unsigned int cpu, unsigned int value)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.pm_op.cmd = cmd;
    sys.u.pm_op.cpuid = cpu;
    sys.u.pm_op.u.set_max_cstate = value;
    return sysctl(&sys, XEN_SYSCTL_pm_op);
}

static void limits_of_idle_states(void)
{
    check_eq(pm_op(XEN_SYSCTL_pm_op_get_max_cstate, 0, 0), 0);
    check_eq(sys.u.pm_op.u.get_max_cstate, 1);          /* there are no deeper ones */
    check_eq(pm_op(XEN_SYSCTL_pm_op_set_max_cstate, 0, 0), 0);
    check_eq(pm_op(XEN_SYSCTL_pm_op_get_max_cstate, 0, 7), 0);
    check_eq(sys.u.pm_op.u.get_max_cstate, 0);
    /* A CPU that must not wait still hears its timer. */
    nap();
    check_eq(pm_op(XEN_SYSCTL_pm_op_set_max_cstate, 0, XEN_SYSCTL_CX_UNLIMITED), 0);
    check_eq(pm_op(XEN_SYSCTL_pm_op_get_max_cstate, 1, 0), 0);
    check_eq(pm_op(XEN_SYSCTL_pm_op_set_max_cstate, 2, 0), -XEN_EINVAL);
    check_eq(pm_op(GET_CPUFREQ_PARA, 0, 0), -XEN_EINVAL);
    check_eq(pm_op(SET_CPUFREQ_GOV, 77, 0), -XEN_EINVAL);
    check_eq(pm_op(XEN_SYSCTL_pm_op_enable_turbo, 0, 0), -XEN_EACCES);
    check_eq(pm_op(0x99, 0, 0), -XEN_ENOSYS);
    check_eq(pm_op(0, ~0u, 0), -XEN_EINVAL);
}

/* ---- CPUs, memory and pages ---- */

static void nothing_is_added(void)
{
    op.u.cpu_add = (struct xenpf_cpu_hotadd){ .apic_id = 0, .acpi_id = 0 };
    check_eq(platform_op(&op, XENPF_cpu_hotadd), -XEN_EEXIST);
    op.u.cpu_add.apic_id = ~0u;
    check_eq(platform_op(&op, XENPF_cpu_hotadd), -XEN_EINVAL);
    op.u.mem_add = (struct xenpf_mem_hotadd){ .spfn = 5, .epfn = 4 };
    check_eq(platform_op(&op, XENPF_mem_hotadd), -XEN_EINVAL);
}

static uint32_t status[4];

static long page_query(unsigned int cmd, uint32_t start, uint32_t end, uint32_t *answers)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.page_offline.cmd = cmd;
    sys.u.page_offline.start = start;
    sys.u.page_offline.end = end;
    set_xen_guest_handle(sys.u.page_offline.status, answers);
    return sysctl(&sys, XEN_SYSCTL_page_offline_op);
}

static void pages_that_stay(void)
{
    uint32_t frame = (uint32_t)mfn_of(start_info);

    check_eq(page_query(sysctl_query_page_offline, frame, frame + 1, status), 0);
    check_eq(page_query(sysctl_query_page_offline, 5, 4, status), -XEN_EINVAL);
    check_eq(page_query(sysctl_query_page_offline, ~0u, ~0u, status), -XEN_EINVAL);
    check_eq(page_query(9, frame, frame, status), -XEN_EINVAL);
    check_eq(page_query(sysctl_query_page_offline, frame, frame, (uint32_t *)HV_SECRET), -XEN_EFAULT);
    check_eq(page_query(sysctl_query_page_offline, frame, frame, (uint32_t *)UNMAPPED), -XEN_EFAULT);
    check(page_query(sysctl_query_page_offline, 0, ~0u, status) < 0);
}

/* ---- Live patches ---- */

static long patch_by_name(unsigned int cmd, const char *name, unsigned int size)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.livepatch.cmd = cmd;
    /* The name comes first in each. */
    set_xen_guest_handle(sys.u.livepatch.u.get.name.name, (char *)name);
    sys.u.livepatch.u.get.name.size = (uint16_t)size;
    return sysctl(&sys, XEN_SYSCTL_livepatch_op);
}

static void no_patches(void)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.livepatch.cmd = XEN_SYSCTL_LIVEPATCH_LIST;
    check_eq(sysctl(&sys, XEN_SYSCTL_livepatch_op), 0);
    check_eq(sys.u.livepatch.u.list.nr, 0);
    sys.u.livepatch.u.list.nr = 1025;
    check_eq(sysctl(&sys, XEN_SYSCTL_livepatch_op), -XEN_E2BIG);
    sys.u.livepatch.u.list.nr = 0;
    sys.u.livepatch.u.list.pad = 1;
    check_eq(sysctl(&sys, XEN_SYSCTL_livepatch_op), -XEN_EINVAL);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_GET, "none", 5), -XEN_ENOENT);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_ACTION, "none", 5), -XEN_ENOENT);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_UPLOAD, "none", 5), -XEN_EINVAL);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_GET, "none", 4), -XEN_EINVAL);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_GET, "none", 0), -XEN_EINVAL);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_GET, "none", 129), -XEN_EINVAL);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_GET, (char *)HV_SECRET, 5), -XEN_EFAULT);
    check_eq(patch_by_name(XEN_SYSCTL_LIVEPATCH_GET, (char *)UNMAPPED, 5), -XEN_EFAULT);
    check_eq(patch_by_name(77, "none", 5), -XEN_EINVAL);
}

/* ---- Registers ---- */

static xenpf_resource_entry_t entry[4];

static long resource_op(unsigned int cpu, unsigned int nr, xenpf_resource_entry_t *entries)
{
    op.u.resource_op = (struct xenpf_resource_op){ .nr_entries = nr, .cpu = cpu };
    set_xen_guest_handle(op.u.resource_op.entries, entries);
    return platform_op(&op, XENPF_resource_op);
}

static void registers(void)
{
    uint64_t before = system_time();

    for (unsigned int cpu = 0; cpu < 2; cpu++) {
        entry[0] = (xenpf_resource_entry_t){ .u.cmd = XEN_RESOURCE_OP_MSR_READ, .idx = 0x10 };
        check_eq(resource_op(cpu, 1, entry), 1);
        check(entry[0].val >= before);                  /* system time, not the counter */
    }
    /* EFER is not for them to see; what comes after is not done. */
    entry[0] = entry[2] = (xenpf_resource_entry_t){ .u.cmd = XEN_RESOURCE_OP_MSR_READ, .idx = 0x10 };
    entry[1] = (xenpf_resource_entry_t){ .u.cmd = XEN_RESOURCE_OP_MSR_READ, .idx = 0xc0000080, .val = 77 };
    check_eq(resource_op(0, 3, entry), 1);
    check_eq(entry[1].u.ret, -XEN_EPERM);
    check_eq(entry[1].val, 77);
    check_eq(entry[2].val, 0);
    entry[0] = (xenpf_resource_entry_t){ .u.cmd = XEN_RESOURCE_OP_MSR_WRITE, .idx = 0x10 };
    check_eq(resource_op(0, 1, entry), 0);
    check_eq(entry[0].u.ret, -XEN_EPERM);
    entry[0] = (xenpf_resource_entry_t){ .u.cmd = 9, .idx = 0x10 };
    check_eq(resource_op(0, 1, entry), 0);
    check_eq(entry[0].u.ret, -XEN_EOPNOTSUPP);
    entry[0] = (xenpf_resource_entry_t){ .idx = 1UL << 32 | 0x10 };
    check_eq(resource_op(0, 1, entry), 0);
    check_eq(entry[0].u.ret, -XEN_EINVAL);
    entry[0] = (xenpf_resource_entry_t){ .idx = 0x10, .rsvd = 1 };
    check_eq(resource_op(0, 1, entry), 0);
    check_eq(entry[0].u.ret, -XEN_EINVAL);
    check_eq(resource_op(0, 0, entry), 0);
    check_eq(resource_op(0, 4, entry), -XEN_EINVAL);
    check_eq(resource_op(0, ~0u, entry), -XEN_EINVAL);
    check_eq(resource_op(2, 1, entry), -XEN_ENODEV);
    check_eq(resource_op(~0u, 1, entry), -XEN_ENODEV);
    check_eq(resource_op(0, 1, (xenpf_resource_entry_t *)UNMAPPED), -XEN_EFAULT);
    check_eq(resource_op(0, 1, (xenpf_resource_entry_t *)HV_SECRET), -XEN_EFAULT);
}

/* ---- Memory types ---- */

static long add_type(uint64_t mfn, uint64_t nr, uint32_t type)
{
    op.u.add_memtype = (struct xenpf_add_memtype){ .mfn = mfn, .nr_mfns = nr, .type = type };
    return platform_op(&op, XENPF_add_memtype);
}

static long read_type(uint32_t reg)
{
    op.u.read_memtype = (struct xenpf_read_memtype){ .reg = reg };
    return platform_op(&op, XENPF_read_memtype);
}

static long del_type(uint32_t reg)
{
    op.u.del_memtype = (struct xenpf_del_memtype){ .reg = reg };
    return platform_op(&op, XENPF_del_memtype);
}

static void memory_types(void)
{
    uint32_t reg;

    /* Above all that the firmware speaks of. */
    check_eq(add_type(0x200000, 0x1000, 1), 0);
    reg = op.u.add_memtype.reg;
    check_eq(read_type(reg), 0);
    check_eq(op.u.read_memtype.mfn, 0x200000);
    check_eq(op.u.read_memtype.nr_mfns, 0x1000);
    check_eq(op.u.read_memtype.type, 1);
    /* A part of it again, which is then to be removed as well. */
    check_eq(add_type(0x200800, 0x800, 1), 0);
    check_eq(op.u.add_memtype.reg, reg);
    check_eq(del_type(reg), 0);
    check_eq(read_type(reg), 0);
    check_eq(op.u.read_memtype.nr_mfns, 0x1000);
    /* Of another type what overlaps; and what no register can say. */
    check(add_type(0x200000, 0x1000, 6) < 0);
    check_eq(add_type(0xfd000, 0x1000, 77), -XEN_EINVAL);
    check_eq(add_type(0xfd000, 0, 0), -XEN_EINVAL);
    check_eq(add_type(0xfd001, 0x1000, 0), -XEN_EINVAL);
    check_eq(add_type(0xfd000, 0x1001, 0), -XEN_EINVAL);
    check_eq(add_type(~0UL, ~0UL, ~0u), -XEN_EINVAL);
    check_eq(add_type(1UL << 52, 1, 0), -XEN_EINVAL);
    check_eq(del_type(reg), 0);
    check_eq(read_type(reg), 0);
    check_eq(op.u.read_memtype.nr_mfns, 0);
    check_eq(del_type(reg), -XEN_EINVAL);
    check_eq(del_type(~0u), -XEN_EINVAL);
    check_eq(read_type(~0u), -XEN_EINVAL);
    check_eq(read_type(255), -XEN_EINVAL);
}

/* ---- Symbols ---- */

static void symbols(void)
{
    static char name[128];
    uint64_t last = 0;

    for (unsigned int i = 0; i < 50; i++) {
        op.u.symdata = (struct xenpf_symdata){ .namelen = sizeof(name), .symnum = i };
        set_xen_guest_handle(op.u.symdata.name, name);
        check_eq(platform_op(&op, XENPF_get_symbol), 0);
        check_eq(op.u.symdata.symnum, i + 1);
        check_eq(name[op.u.symdata.namelen - 1], 0);
        check(op.u.symdata.address >= last);
        last = op.u.symdata.address;
    }
    name[1] = 'x';
    op.u.symdata = (struct xenpf_symdata){ .namelen = 1, .symnum = 3 };
    set_xen_guest_handle(op.u.symdata.name, name);
    check_eq(platform_op(&op, XENPF_get_symbol), 0);
    check_eq(name[1], 'x');
    check(op.u.symdata.namelen > 1);
    op.u.symdata = (struct xenpf_symdata){ .namelen = 128, .symnum = 3 };
    set_xen_guest_handle(op.u.symdata.name, (char *)HV_SECRET);
    check_eq(platform_op(&op, XENPF_get_symbol), -XEN_EFAULT);
    op.u.symdata.symnum = ~0u;
    check_eq(platform_op(&op, XENPF_get_symbol), -XEN_ERANGE);
}

TESTS({ "idle states", idle_states },
      { "wrong requests of idle states", wrong_idle_states },
      { "limits of idle states", limits_of_idle_states },
      { "nothing is added", nothing_is_added },
      { "pages that stay", pages_that_stay },
      { "no live patches", no_patches },
      { "registers of a CPU", registers },
      { "memory types", memory_types },
      { "symbols", symbols });
