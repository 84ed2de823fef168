/* SPDX-License-Identifier: MIT */
/*
 * Idle states and frequencies of CPUs, for tools such as xenpm: XEN_SYSCTL_get_pmstat and XEN_SYSCTL_pm_op of
 * <xen/sysctl.h>. A CPU runs (C0) or waits for an interrupt (C1), which it may be told not to; frequencies are left to
 * the firmware.
 */
#include <domus/arch.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/percpu.h>
#include <domus/sched.h>
#include "control.h"

#define C1            1u
#define NR_STATES     2u

static unsigned int deepest_state = C1, deepest_substate = XEN_SYSCTL_CX_UNLIMITED;
static DEFINE_PER_CPU(uint64_t, waits);

bool cpu_may_wait(void)
{
    if (!READ_ONCE(deepest_state))
        return false;
    this_cpu(waits)++;
    return true;
}

/* ---- get_pmstat ---- */

/*
 * Each wait is a transition to C1, and back. Xen's own count begins at one as well: a CPU starts in C0.
 * The time in C1 is what the CPU had no vCPU for.
 */
static long idle_statistics(unsigned int cpu, struct pm_cx_stat *u)
{
    uint64_t idle = cpu_idle_time(cpu), all = (uint64_t)NOW(), entered = READ_ONCE(per_cpu(waits, cpu));
    const uint64_t transitions[NR_STATES] = { entered + 1, entered };
    const uint64_t times[NR_STATES] = { all - min(idle, all), idle };
    uint32_t nr = min(u->nr, NR_STATES);

    if (copy_to_guest(u->triggers.p, transitions, nr * sizeof(transitions[0])) ||
        copy_to_guest(u->residencies.p, times, nr * sizeof(times[0])))
        return -EFAULT;
    u->nr = NR_STATES;
    u->last = C1;
    u->idle_time = idle;
    u->nr_pc = u->nr_cc = 0;            /* no registers that count residencies */
    return 0;
}

/* Errors: -EINVAL no such CPU, -ENODEV not idle states, -ENOSYS no such request, -EFAULT. */
long sysctl_pm_statistics(struct xen_sysctl_get_pmstat *u)
{
    if (u->cpuid >= nr_cpu_ids || !cpu_online(u->cpuid))
        return -EINVAL;
    if ((u->type & PMSTAT_CATEGORY_MASK) != PMSTAT_CX)
        return -ENODEV;
    switch (u->type) {
    case PMSTAT_get_max_cx:
        u->u.getcx.nr = NR_STATES;
        return 0;
    case PMSTAT_get_cxstat:
        return idle_statistics(u->cpuid, &u->u.getcx);
    case PMSTAT_reset_cxstat:
        return 0;                       /* as in Xen, counts go on */
    default:
        return -ENOSYS;
    }
}

/* ---- pm_op ---- */

/* The limits of idle states, and of the substates of C1, of which there is one. */
static unsigned int *limit(unsigned int which)
{
    return which == 0 ? &deepest_state : which == 1 ? &deepest_substate : NULL;
}

/* Errors: -EINVAL no such CPU or limit, or frequencies; -EACCES no turbo; -EOPNOTSUPP; -ENOSYS no such request. */
long sysctl_pm_op(struct xen_sysctl_pm_op *u)
{
    unsigned int *chosen;

    switch (u->cmd) {
    case XEN_SYSCTL_pm_op_get_max_cstate:
    case XEN_SYSCTL_pm_op_set_max_cstate:
        chosen = limit(u->cpuid);
        if (!chosen)
            return -EINVAL;
        if (u->cmd == XEN_SYSCTL_pm_op_set_max_cstate)
            WRITE_ONCE(*chosen, u->u.set_max_cstate);
        else
            u->u.get_max_cstate = *chosen;
        return 0;
    }
    if (u->cpuid >= nr_cpu_ids || !cpu_online(u->cpuid))
        return -EINVAL;
    if ((u->cmd & PM_PARA_CATEGORY_MASK) == CPUFREQ_PARA)
        return -EINVAL;                 /* no driver of frequencies */
    switch (u->cmd) {
    case XEN_SYSCTL_pm_op_enable_turbo:
    case XEN_SYSCTL_pm_op_disable_turbo:
        return -EACCES;
    case XEN_SYSCTL_pm_op_set_sched_opt_smt:
    case XEN_SYSCTL_pm_op_set_vcpu_migration_delay:
    case XEN_SYSCTL_pm_op_get_vcpu_migration_delay:
        return -EOPNOTSUPP;             /* the delay is a parameter of the credit scheduler */
    default:
        return -ENOSYS;
    }
}
