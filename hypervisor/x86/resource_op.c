/* SPDX-License-Identifier: MIT */
/*
 * XENPF_resource_op of <xen/platform.h>: dom0 reads a few model-specific registers of a CPU of its choice, and writes
 * those of cache monitoring; all in one go, so that a time read beside a counter belongs to it.
 */
#include <domus/arch.h>
#include <domus/cpumask.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/time.h>
#include <asm/cpufeature.h>
#include <asm/machine.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/smp.h>

#define MAX_ENTRIES 3

struct resource_request {
    unsigned int nr, done;
    xenpf_resource_entry_t entry[MAX_ENTRIES];
};

static bool has_tsx_ctrl(void)
{
    u64 caps;

    return cpu_has(ARCH_CAPS) && !rdmsr_safe(MSR_ARCH_CAPABILITIES, &caps) && caps & ARCH_CAPS_TSX_CTRL;
}

/*
 * Registers that any dom0 may see: what they hold is no secret of a guest's. Those that the CPU does not say it has are
 * not read, as an emulated one may answer with anything.
 */
static bool readable(u64 msr)
{
    switch (msr) {
    case MSR_TSC:
    case MSR_CMT_EVENT_SELECT:
    case MSR_CMT_COUNTER:
        return true;
    case MSR_TSX_FORCE_ABORT:
        return cpu_has(TSX_FORCE_ABORT);
    case MSR_TSX_CTRL:
        return has_tsx_ctrl();
    case MSR_MCU_OPT_CTRL:
        return cpu_has(SRBDS_CTRL);
    default:
        return false;
    }
}

static bool writable(u64 msr)
{
    return msr == MSR_CMT_EVENT_SELECT || msr == MSR_CMT_COUNTER;
}

/* Whether the entry may be served at all: 0 or an error. */
static int check_entry(const xenpf_resource_entry_t *e)
{
    if (e->rsvd)
        return -EINVAL;
    switch (e->u.cmd) {
    case XEN_RESOURCE_OP_MSR_READ:
        return e->idx >> 32 ? -EINVAL : readable(e->idx) ? 0 : -EPERM;
    case XEN_RESOURCE_OP_MSR_WRITE:
        return e->idx >> 32 ? -EINVAL : writable(e->idx) ? 0 : -EPERM;
    default:
        return -EOPNOTSUPP;
    }
}

static int serve_entry(xenpf_resource_entry_t *e)
{
    if (e->u.cmd == XEN_RESOURCE_OP_MSR_WRITE)
        return wrmsr_safe((u32)e->idx, e->val) ? -EPERM : 0;
    if (e->idx != MSR_TSC)
        return rdmsr_safe((u32)e->idx, &e->val) ? -EPERM : 0;
    e->val = (u64)NOW();
    return 0;
}

/* On the CPU that is meant, with interrupts off. */
static void serve(void *arg)
{
    struct resource_request *r = arg;
    int rc = 0;

    for (; r->done < r->nr && !rc; r->done += !rc) {
        xenpf_resource_entry_t *e = &r->entry[r->done];

        rc = check_entry(e);
        if (!rc)
            rc = serve_entry(e);
        if (rc)
            e->u.ret = rc;
    }
}

long platform_resource_op(const xenpf_resource_op_t *op)
{
    struct resource_request r = { .nr = op->nr_entries };
    cpumask_t mask = CPU_MASK_NONE;
    unsigned int used;

    if (r.nr == 0)
        return 0;
    if (r.nr > MAX_ENTRIES)
        return -EINVAL;
    if (op->cpu >= NR_CPUS || !cpumask_test_cpu(op->cpu, &cpu_online_map))
        return -ENODEV;
    if (copy_from_guest(r.entry, op->entries.p, r.nr * sizeof(r.entry[0])))
        return -EFAULT;
    __cpumask_set_cpu(op->cpu, &mask);
    on_selected_cpus(&mask, serve, &r, true);
    used = min(r.done + 1, r.nr);       /* with the one that says why the rest was not done */
    if (copy_to_guest(op->entries.p, r.entry, used * sizeof(r.entry[0])))
        return -EFAULT;
    return r.done;
}
