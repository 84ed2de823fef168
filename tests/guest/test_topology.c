/* SPDX-License-Identifier: MIT */
/* sysctl: what the CPUs are and in which core and socket. The machine has two sockets of two cores, of two threads each. */
/* SMP: 8,sockets=2,cores=2,threads=2 */
#include "control.h"

#define NR_CPUS 8

static struct xen_sysctl op;

static void sizes(void)
{
    memset(&op, 0, sizeof(op));
    check_eq(sysctl(&op, XEN_SYSCTL_physinfo), 0);
    check_eq(op.u.physinfo.nr_cpus, NR_CPUS);
    check_eq(op.u.physinfo.max_cpu_id, NR_CPUS - 1);
    /* QEMU's CPU is AMD's by name and tells threads in a leaf where Xen looks for Intel's only: all are cores to it. */
    check_eq(op.u.physinfo.threads_per_core, domus_or_xen(2, 1));
    check_eq(op.u.physinfo.cores_per_socket, domus_or_xen(2, 4));
    /* Leaf 1's EDX: SSE2, and no SYSENTER on a CPU of AMD's. */
    check_eq(op.u.physinfo.hw_cap[0] & (1u << 26 | 1u << 11), 1u << 26);
    /* Leaf 7's ECX: PKU; five-level page tables (16) and PKS (31), which QEMU's CPU has, are not in the public header. */
    check_eq(op.u.physinfo.hw_cap[6] & (1u << 3 | 1u << 16 | 1u << 31), 1u << 3);
}

static void cores_and_sockets(void)
{
    static struct xen_sysctl_cputopo cpus[NR_CPUS + 1];

    memset(&op, 0, sizeof(op));
    check_eq(sysctl(&op, XEN_SYSCTL_cputopoinfo), 0);
    check_eq(op.u.cputopoinfo.num_cpus, NR_CPUS);
    memset(cpus, 0x55, sizeof(cpus));
    op.u.cputopoinfo.num_cpus = NR_CPUS + 1;
    set_xen_guest_handle(op.u.cputopoinfo.cputopo, cpus);
    check_eq(sysctl(&op, XEN_SYSCTL_cputopoinfo), 0);
    for (unsigned int cpu = 0; cpu < NR_CPUS; cpu++) {
        check_eq(cpus[cpu].core, domus_or_xen(cpu / 2 % 2, cpu % 4));
        check_eq(cpus[cpu].socket, cpu / 4);
        check_eq(cpus[cpu].node, 0);
    }
    op.u.cputopoinfo.num_cpus = 1;
    set_xen_guest_handle(op.u.cputopoinfo.cputopo, (void *)HV_SECRET);
    check_eq(sysctl(&op, XEN_SYSCTL_cputopoinfo), -XEN_EFAULT);
}

TESTS({ "sizes of cores and sockets", sizes }, { "cores and sockets", cores_and_sockets });
